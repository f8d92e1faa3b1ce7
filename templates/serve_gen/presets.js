// 둘러보기: infer_gen-N.py가 비교하는 설정들. 누르면 그 설정으로 쓰고, 무엇을 볼지 말합니다.

import { button, make, summary } from "./dom.js";

/** use(설정)은 누를 때, beside(설정들)은 나란히 비교할 때 불립니다. */
export function showPresets(list, presets, { use, beside }) {
  const knobsOf = (number) => presets.find((preset) => preset.number === number).knobs;
  for (const preset of presets) {
    const { number, knobs, look_for: look, compared_with: other } = preset;
    const item = make("li", { value: number }, button(summary(knobs), () => use(preset)));
    if (other) {
      item.append(button(`[${other}]번과 나란히`, () => beside([knobsOf(other), knobs]), {
        "aria-label": `${number}번을 ${other}번과 나란히 비교`,
      }));
    }
    item.append(make("p", {}, look));
    list.append(item);
  }
}
