// 텍스트: 토큰마다 버튼 하나. 밑줄과 색이 모델의 확률을 보입니다.

import { button, make, percent, visible } from "./dom.js";

const LEVELS = [0.5, 0.2, 0.05, 0.01]; // 확률이 이보다 낮을 때마다 밑줄이 한 단계 굵어집니다.

export class TextView {
  #buttons = [];

  /** open(몇 번째 토큰)은 토큰을 누를 때 불립니다. */
  constructor(container, open) {
    this.container = container;
    container.addEventListener("click", (event) => {
      const place = this.#buttons.indexOf(event.target.closest("[data-token]"));
      if (place >= 0) open(place);
    });
    container.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** 프롬프트만 남깁니다. */
  start(prompt) {
    this.#buttons = [];
    const shown = prompt.normalize("NFC").trimEnd();
    this.container.replaceChildren(make("span", { className: "prompt" }, shown));
  }

  /** place번째 토큰의 자리에 node를. 뒤의 토큰은 그대로입니다. */
  put(place, node) {
    const old = this.#buttons[place];
    const space = node.text.trim() ? /^\s*/.exec(node.text)[0] : ""; // 밑줄은 단어에만
    if (old?.node === node && old.textContent === node.text.slice(space.length)) {
      this.#describe(old, place);
      return;
    }
    this.cut(place);
    const made = button(node.text.slice(space.length), null, { tabIndex: place === 0 ? 0 : -1 });
    made.node = node;
    made.dataset.token = node.id;
    this.#describe(made, place);
    this.#buttons.push(made);
    this.container.append(space, made);
  }

  /** 처음 length개의 토큰만 남깁니다. */
  cut(length) {
    for (const each of this.#buttons.splice(length)) {
      if (each.previousSibling?.nodeType === Node.TEXT_NODE) each.previousSibling.remove();
      each.remove();
    }
  }

  /** 토큰 없이 텍스트만 */
  append(text) {
    this.container.append(text);
  }

  /** place번째 토큰이 X-ray에 열려 있음을 보입니다. undefined면 없음 */
  mark(place) {
    for (const [at, each] of this.#buttons.entries()) {
      each.classList.toggle("open", at === place);
      each.setAttribute("aria-current", at === place);
    }
  }

  focus(place) {
    const next = this.#buttons[Math.max(0, Math.min(place, this.#buttons.length - 1))];
    for (const each of this.#buttons) each.tabIndex = each === next ? 0 : -1;
    next?.focus();
  }

  #describe(made, place) {
    made.className = classes(made.node) + (made.classList.contains("open") ? " open" : "");
    made.setAttribute("aria-label", label(made.node, place));
  }

  #onKey(event) {
    const place = this.#buttons.indexOf(document.activeElement);
    const to = {
      ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: this.#buttons.length,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.focus(to);
  }
}

/** 뽑힌 토큰을 모델이 얼마나 그럴듯하게 보았는지 */
const probability = (node) =>
  node.step?.candidates.find((each) => each.id === node.id)?.model;

function classes(node) {
  const share = probability(node);
  const level = share !== undefined && `p${LEVELS.filter((least) => share < least).length}`;
  const forked = node.parent.children.size > 1 && "forked";
  const { end, part, picked } = node;
  return [level, forked, end && "end", part && "part", picked && "picked"]
    .filter(Boolean).join(" ");
}

function label(node, place) {
  const share = probability(node);
  const text = node.end ? "텍스트의 끝" : visible(node.name ?? node.text);
  const sure = share === undefined ? "" : `, 확률 ${percent(share)}`;
  const hand = node.picked ? ", 손으로 고름" : "";
  return `토큰 ${place + 1}: ${text}${sure}${hand}`;
}
