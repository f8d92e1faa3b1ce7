// 디코딩 옵션의 지금 값. 정하지 않은 것은 서버의 기본값을 따르고, 요청에 넣지 않습니다.

import { complaint } from "./fields.js";

/** fields: GET /api/settings의 fields. 바뀔 때마다 "change" 이벤트를 냅니다. */
export class Settings extends EventTarget {
  #named = new Map();

  constructor(fields) {
    super();
    this.fields = new Map(fields.map((field) => [field.name, field]));
  }

  /** 정한 값. 정하지 않았으면 undefined */
  get(name) {
    return this.#named.get(name);
  }

  /** undefined나 ""이면 기본값으로 돌아갑니다. */
  set(name, value) {
    if (value === undefined || value === "") this.#named.delete(name);
    else this.#named.set(name, value);
    this.dispatchEvent(new Event("change"));
  }

  /** 정한 값이 범위 안인지. 정하지 않은 것은 언제나 맞습니다. */
  isValid(name) {
    const value = this.get(name);
    return value === undefined || complaint(this.fields.get(name), value) === undefined;
  }

  /** 정한 것 모두: {temperature: 0.7, …}, fields의 순서로 */
  named() {
    const names = [...this.fields.keys()].filter((name) => this.#named.has(name));
    return Object.fromEntries(names.map((name) => [name, this.#named.get(name)]));
  }

  /** 모두 이것으로 바꿉니다. 모르는 이름은 버립니다. */
  replace(knobs) {
    const known = Object.entries(knobs).filter(([name]) => this.fields.has(name));
    this.#named = new Map(known);
    this.dispatchEvent(new Event("change"));
  }
}
