// 옵션 하나의 입력: 슬라이더와 숫자. 이름, 범위, 기본값, 설명은 모두 GET /api/settings에서 옵니다.

import { button, make } from "./dom.js";
import { value } from "./link.js";

/** name의 값을 보이고 바꾸는 요소. place는 같은 옵션이 여러 곳에 있을 때 서로 다른 말입니다. */
export function control(settings, name, place = "") {
  const field = settings.fields.get(name);
  const id = `${place}${name}`;
  const input = field.type === "boolean" ? choice(id) : number(id);
  const slider = field.type === "boolean" ? null : range(field);
  if (!place) input.name = name;
  const change = (text) => settings.set(name, value(text));
  input.oninput = () => change(input.value);
  if (slider) slider.oninput = () => change(slider.value);
  const reset = button("↺", () => settings.set(name, undefined), {
    title: "기본값으로", "aria-label": `${name} 기본값으로`,
  });

  function show() {
    const now = settings.get(name);
    if (document.activeElement !== input || value(input.value) !== now) input.value = now ?? "";
    if (slider) slider.value = now ?? field.default ?? off(field);
    reset.disabled = now === undefined;
    input.setAttribute("aria-invalid", !settings.isValid(name));
  }
  input.placeholder = field.default ?? "없음";
  settings.addEventListener("change", show);
  show();
  const names = [make("label", { htmlFor: id }, field.korean), " ", make("code", {}, name)];
  const help = make("small", { id: `${id}-help` }, place ? "" : `${field.help}. ${told(field)}`);
  input.setAttribute("aria-describedby", help.id);
  return make("div", { className: "knob" },
    make("div", { className: "names" }, ...names),
    make("div", { className: "inputs" }, ...[slider, input, reset].filter(Boolean)), help);
}

const number = (id) => make("input", { id, inputMode: "decimal", autocomplete: "off" });

function choice(id) {
  const options = { "": "기본값", true: "true", false: "false" };
  return make("select", { id }, ...Object.entries(options).map(
    ([value, text]) => make("option", { value }, text)));
}

function range(field) {
  const [from, to] = field.slider ?? [field.minimum ?? field.above, field.maximum];
  const step = field.type === "integer" ? 1 : (to - from) / 100;
  const min = field.minimum === undefined && !field.slider ? from + step : from;
  return make("input", {
    type: "range", min, max: to, step, "aria-label": `${field.korean} 슬라이더`,
  });
}

/** 정하지 않았을 때 슬라이더가 서 있을 곳 */
const off = (field) => (field.minimum === undefined ? field.maximum : 0);

function told(field) {
  if (field.type === "boolean") return "";
  const from = field.minimum ?? `${field.above} 초과`;
  const unset = field.default ?? "없음";
  return `${from}부터 ${field.maximum.toLocaleString("ko")}까지, 기본값 ${unset}`;
}
