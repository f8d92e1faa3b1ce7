// 링크: 주소의 # 뒤에 프롬프트, 설정, 시드, 골라 둔 토큰을 적습니다. 서버에는 가지 않는 부분입니다.

/** state: {prompt, knobs, seed, prefix: 토큰 번호들, picked: 손으로 고른 자리들, model} */
export function toLink({ prompt, knobs, seed, prefix = [], picked = [], model }) {
  const parts = new URLSearchParams({ prompt, ...knobs });
  if (seed !== undefined) parts.set("seed", seed);
  if (prefix.length) parts.set("prefix", prefix.join("."));
  if (picked.length) parts.set("picked", picked.join("."));
  if (model) parts.set("model", model);
  return `${location.href.split("#")[0]}#${parts}`;
}

/** 주소에 적힌 것. 없으면 null */
export function fromLink() {
  const { prompt, seed, prefix, picked, model, ...knobs } = Object.fromEntries(
    new URLSearchParams(location.hash.slice(1)));
  if (!prompt) return null;
  const numbers = (text) => (text ? text.split(".").map(Number) : []);
  const values = Object.entries(knobs).map(([name, text]) => [name, value(text)]);
  return {
    prompt, model, knobs: Object.fromEntries(values), seed: seed && value(seed),
    prefix: numbers(prefix), picked: numbers(picked),
  };
}

/** 적힌 것을 값으로. 숫자도 true나 false도 아니면 그대로 둡니다: 틀린 것은 서버가 말합니다. */
export function value(text) {
  if (text === "true" || text === "false") return text === "true";
  const trimmed = text.trim();
  return trimmed === "" || Number.isNaN(Number(trimmed)) ? trimmed : Number(trimmed);
}
