// 이번에 쓴 것들. 탭을 닫을 때까지 남습니다.

import { button, make, summary } from "./dom.js";
import { toLink } from "./link.js";

const KEY = "nlpbook-history";
const MOST = 50;

export class History {
  /** again(상태)은 '다시 실행'을 누를 때 불립니다. copy(텍스트, 무엇인지)는 클립보드에 넣습니다. */
  constructor(list, { again, copy }) {
    Object.assign(this, { list, again, copy });
    this.entries = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    this.#show();
  }

  /** entry: {text, prompt, knobs, seed, prefix, picked, model} */
  add(entry) {
    this.entries = [entry, ...this.entries].slice(0, MOST);
    sessionStorage.setItem(KEY, JSON.stringify(this.entries));
    this.#show();
  }

  #show() {
    this.list.replaceChildren(...this.entries.map((entry) => {
      const seed = entry.seed === undefined ? "" : `, 시드 ${entry.seed}`;
      return make("li", {},
        make("p", { className: "text" }, entry.text),
        make("small", {}, summary(entry.knobs), seed),
        make("p", { className: "row" },
          button("복사", () => this.copy(entry.text, "텍스트")),
          button("다시 실행", () => this.again(entry)),
          button("링크", () => this.copy(toLink(entry), "링크"))));
    }));
    if (!this.entries.length) this.list.append(make("li", {}, "아직 쓴 것이 없습니다."));
  }
}
