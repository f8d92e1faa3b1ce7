// 요소를 만들고 숫자를 적는 작은 함수들. 텍스트는 늘 텍스트로만 넣습니다: HTML로 읽히지 않습니다.

/** make("p", {className: "note", onclick: f, "aria-label": "…"}, "텍스트", 다른요소) */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** 눌러도 폼을 보내지 않는 버튼 */
export const button = (text, onclick, properties = {}) =>
  make("button", { type: "button", className: "quiet", onclick, ...properties }, text);

export const byId = (id) => document.getElementById(id);

/** 12.3%. 아주 작은 확률을 0%라고 하지 않습니다. */
export function percent(share) {
  if (share === 0) return "0";
  return share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
}

export const count = (number) => number.toLocaleString("ko");

/** 공백과 줄바꿈이 보이게 */
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵");

/** 왜 끝났는지. 알려 주지 않는 엔진도 있습니다. */
export const ENDS = { stop: "모델이 끝냈습니다(eos)", length: "길이가 다 되었습니다" };

/** 왜 끝났는지와 새 토큰의 수 가운데 엔진이 알려 준 것 */
export const ending = ({ finish_reason: reason, tokens }) =>
  [ENDS[reason], tokens && `새 토큰 ${count(tokens)}개`].filter(Boolean);

/** temperature=0.7, top_k=50 */
export function summary(knobs) {
  const parts = Object.entries(knobs).map(([name, value]) => `${name}=${value}`);
  return parts.join(", ") || "기본값";
}
