// X-ray: 토큰 하나를 고른 과정. 후보마다 모델의 확률이 페널티, 온도, 자르기를 거치며 어떻게 되는지
// 표로 보입니다. 옵션을 움직이면 그 스텝의 로짓으로 곧바로 다시 계산합니다.

import { control } from "./controls.js";
import { complete, isDrawn, takeStep, UNKNOWN } from "./decoding.js";
import { button, count, make, percent, summary, visible } from "./dom.js";
import { defaultsOf } from "./fields.js";

const STAGES = { model: "모델", penalties: "페널티 후", temperature: "온도 후", cuts: "자른 후" };
const QUICK = ["temperature", "top_k", "top_p"]; // 표 위에서도 움직이는 옵션
const DRAWS = 100;
const PARTIAL = "이 엔진은 확률이 높은 후보에 모델이 준 확률만 알려 줍니다. " +
  "페널티와 온도, 자르기를 거친 확률과 뽑은 수는 알 수 없습니다.";
const FORCED = "뽑은 것을 쓰지 않고, 손으로 고른 토큰을 썼습니다.";

const draws = (step) => step.number !== null;
const quoted = (text) => `‘${visible(text)}’`;
const isPartial = (step) => step.entropy === null; // 모델의 확률만 아는 엔진의 것
const final = (step) => step.order.at(-1);
const chosenOf = (step) => step.candidates.find(({ id }) => id === step.token);

/** 후보가 몇 개씩 남았는지와 엔트로피 */
function pipeline(step) {
  const left = Object.entries(step.left).map(
    ([name, number]) => `${name === "vocabulary" ? "모델" : name} ${count(number)}`);
  const bits = [step.entropy, step.final_entropy].map((each) => `${each.toFixed(2)}비트`);
  return [[...left, "1"].join(" → "), make("small", {}, ` 엔트로피 ${bits.join(" → ")}`)];
}

/** 정해진 토큰이라도, 뽑았을 때와 같은 토큰이면 뽑은 것으로 칩니다. */
function isForced(step) {
  const best = Math.max(...step.candidates.map((each) => each[final(step)]));
  const isOfDraw = draws(step) ? step.interval !== null : chosenOf(step)[final(step)] === best;
  return step.forced && !isOfDraw;
}

export class Xray {
  #counts = null; // 100번 뽑은 결과: 토큰 → 횟수
  #asked = 0; // 몇 번째 계산인지: 늦게 끝난 것은 버립니다.

  constructor(section, { engine, settings, say, writer }) {
    Object.assign(this, { section, engine, settings, say, writer });
    this.title = make("h2", { tabIndex: -1 });
    this.pipeline = make("p", { className: "pipeline" });
    this.draw = make("div");
    this.note = make("p", { className: "note" });
    this.head = make("tr");
    this.body = make("tbody");
    this.many = button(`${DRAWS}번 뽑기`, () => this.#drawMany());
    this.last = make("input", { type: "checkbox", role: "switch" });
    this.last.onchange = () => settings.set("temperature_last", this.last.checked || undefined);
    const known = QUICK.filter((name) => settings.fields.has(name));
    section.append(
      make("div", { className: "row top" },
        this.title, this.many, button("닫기", () => writer.closeXray())),
      this.pipeline, this.draw,
      make("div", { className: "quick", hidden: !this.#isWhole },
        ...known.map((name) => control(settings, name, "xray-")),
        make("label", {}, this.last, " 자른 다음에 온도로 나누기")),
      this.note,
      make("table", {}, make("thead", {}, this.head), this.body));
    this.many.hidden = !this.#isWhole;
    this.body.addEventListener("keydown", (event) => this.#onKey(event));
    settings.addEventListener("change", () => {
      this.#counts = null;
      if (!this.isClosed) this.#redraw();
    });
  }

  /** 로짓까지 알려 주는 엔진인지. 아니면 다시 계산할 수 없습니다. */
  get #isWhole() {
    return this.engine.settings.steps === true;
  }

  get isClosed() {
    return this.section.hidden;
  }

  /** path의 place번째 토큰. run은 그 텍스트의 {prompt, seed}입니다. */
  open(run, path, place) {
    if (this.node?.parent !== path[place].parent) this.#counts = null;
    Object.assign(this, { run, place, node: path[place] });
    this.prefix = path.slice(0, place).map((node) => node.id);
    this.section.hidden = false;
    return this.#redraw();
  }

  close() {
    this.section.hidden = true;
    this.node = undefined;
  }

  focus() {
    this.title.scrollIntoView({ block: "nearest" });
    const start = this.body.querySelector("[data-candidate][tabindex='0']") ?? this.title;
    start.focus({ preventScroll: true });
  }

  /** 쓸 때의 설정이면 그때 계산한 것을, 설정을 바꾸었으면 다시 계산한 것을 보입니다. */
  async #redraw() {
    const asked = ++this.#asked;
    const knobs = this.settings.named();
    this.last.checked = knobs.temperature_last === true;
    const isChanged = JSON.stringify(knobs) !== JSON.stringify(this.node.knobs);
    const wrong = Object.keys(knobs).find((name) => !this.settings.isValid(name));
    if (wrong) return this.#tell(`${wrong}: 값이 범위를 벗어나 다시 계산하지 않았습니다.`);
    if (this.engine.whole(knobs)) {
      return this.#tell("이 설정은 다 써야 텍스트가 정해지므로 X-ray가 없습니다.");
    }
    if (!this.#isWhole) {
      this.#show(this.node.step);
      return this.#tell(isChanged ? "바꾼 설정은 다시 이어 쓸 때 쓰입니다." : "");
    }
    try {
      const step = isChanged ? await this.#step(knobs) : this.node.step;
      if (asked !== this.#asked) return;
      this.#show(step);
      const { text } = chosenOf(step);
      this.#tell(isChanged ? `지금 설정(${summary(knobs)})이면 여기서 ${quoted(text)}입니다.` : "");
    } catch (error) {
      if (asked === this.#asked) this.#tell(error.message);
    }
  }

  /** 이 설정이라면 이 자리의 스텝. 뽑는 수는 쓸 때와 같습니다. */
  async #step(named) {
    const { run, prefix, node, engine } = this;
    const { number, candidates } = node.step;
    const knobs = complete(named, defaultsOf(this.settings.fields.values()));
    if (UNKNOWN.some((name) => named[name]) || (isDrawn(knobs) && number === null)) {
      return engine.step(run.prompt, prefix, named, run.seed);
    }
    const { ids, logits } = await engine.logits(run.prompt, prefix);
    const { eos } = engine.settings;
    const promptLength = ids.length - prefix.length;
    const step = takeStep({ logits, ids, promptLength, eos, knobs, number });
    const texts = new Map(candidates.map(({ id, text }) => [id, text]));
    for (const each of step.candidates) {
      each.text = texts.get(each.id) ?? await engine.text(each.id);
    }
    return step;
  }

  #tell(text) {
    this.note.textContent = text;
  }

  #show(step) {
    this.step = step;
    const { node } = this;
    const text = node.end ? "끝" : node.name || node.text;
    this.title.textContent = `X-ray: 토큰 ${this.place + 1} ${quoted(text)}`;
    this.pipeline.replaceChildren(...(isPartial(step) ? [PARTIAL] : pipeline(step)));
    this.draw.replaceChildren(...this.#drawnAt(step));
    const names = ["후보", "", ...step.order.map((each) => STAGES[each])];
    this.head.replaceChildren(...names.map((name) => make("th", { scope: "col" }, name)));
    const focused = this.#buttons.indexOf(document.activeElement);
    const was = this.#buttons[focused]?.dataset.candidate;
    const most = Math.max(...step.candidates.flatMap((each) => [each.model, each[final(step)]]));
    this.body.replaceChildren(...step.candidates.map((each) => this.#row(each, step, most)));
    const buttonOf = (id) => this.#buttons.find((each) => each.dataset.candidate === String(id));
    const start = buttonOf(was) ?? buttonOf(step.token);
    start.tabIndex = 0;
    if (focused >= 0) start.focus({ preventScroll: true });
    this.many.disabled = !draws(step);
  }

  /** 뽑은 수가 떨어진 곳: 후보들이 확률만큼의 너비로 나란히 선 막대 위의 금 */
  #drawnAt(step) {
    if (isPartial(step)) return [];
    if (!draws(step)) {
      return [make("p", {}, isForced(step) ? FORCED : "뽑지 않고 가장 높은 것을 골랐습니다.")];
    }
    const bar = make("div", { className: "bar", "aria-hidden": "true" });
    const share = (each) => each[final(step)];
    let end = 0;
    for (const each of step.candidates.toSorted((one, other) => share(other) - share(one))) {
      const part = make("span", {}, share(each) > 0.06 ? visible(each.text) : "");
      const isChosen = each.id === step.token;
      const start = isChosen && step.interval ? step.interval[0] : end; // 표 밖의 후보 다음일 수도
      part.style.left = `${100 * start}%`;
      part.style.width = `${100 * share(each)}%`;
      part.classList.toggle("drawn", isChosen);
      end += share(each);
      if (share(each)) bar.append(part);
    }
    const mark = make("i");
    mark.style.left = `${100 * step.number}%`;
    bar.append(mark);
    const ends = step.interval?.map((end) => end.toFixed(4)).join("–");
    const where = isForced(step) ? FORCED
      : `${quoted(chosenOf(step).text)}의 구간 ${ends}에 떨어졌습니다.`;
    return [bar, make("p", {}, `뽑은 수 ${step.number.toFixed(4)}: ${where}`)];
  }

  #row(each, step, most) {
    const { node } = this;
    const isChosen = each.id === step.token;
    const isWritten = each.id === node.id;
    const times = this.#counts && (this.#counts.get(each.id) ?? 0);
    const chips = [
      each.cut_by && `${each.cut_by}가 제외`,
      isChosen && !isPartial(step) && !isForced(step) && (draws(step) ? "✓ 뽑힘" : "✓ 가장 높음"),
      isWritten && (node.picked ? "● 손으로 고름" : "● 쓴 토큰"),
      !isWritten && node.parent.children.has(each.id) && "◆ 다른 가지",
      this.#counts && `${times}회`,
    ].filter(Boolean);
    const share = each[final(step)];
    const pick = button(visible(each.text), () => this.writer.pick(this.place, each), {
      tabIndex: -1, "aria-label": [visible(each.text), percent(share), ...chips].join(" "),
    });
    pick.dataset.candidate = each.id;
    const bars = { before: each.model, after: share, drawn: times / DRAWS };
    const row = make("tr", { className: `${each.cut_by ? "cut" : ""} ${isChosen ? "chosen" : ""}` },
      make("th", { scope: "row" }, pick,
        ...chips.map((chip) => make("span", { className: "chip" }, chip))),
      make("td", { className: "bars" }, ...Object.entries(bars).map(([className, part]) => {
        const bar = make("span", { className });
        bar.style.width = `${Math.min(100, (100 * part) / most)}%`;
        return bar;
      })),
      ...step.order.map((stage) => make("td", {}, percent(each[stage]))));
    return row;
  }

  /** 이 스텝에서 백 번 더 뽑아, 나온 횟수를 막대로 겹칩니다. */
  async #drawMany() {
    const step = this.step.drawn ? this.step : await this.#step(this.settings.named());
    if (!step.drawn) return this.#tell("서버에서만 계산하는 옵션이 있어 여기서 뽑을 수 없습니다.");
    this.#counts = new Map();
    for (let i = 0; i < DRAWS; i++) {
      const id = step.drawn(Math.random());
      this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    }
    this.#show(this.step);
    const inTable = this.step.candidates.map(({ id }) => this.#counts.get(id) ?? 0);
    const others = DRAWS - inTable.reduce((sum, each) => sum + each, 0);
    const kinds = `${DRAWS}번 뽑아 토큰 ${this.#counts.size}가지가 나왔습니다.`;
    this.#tell(`${kinds} 표에 없는 토큰: ${others}회`);
    this.say(this.note.textContent);
  }

  get #buttons() {
    return [...this.body.querySelectorAll("[data-candidate]")];
  }

  /** 위아래는 후보, 좌우는 토큰 사이를 옮겨 다닙니다. */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const buttons = this.#buttons;
    const at = buttons.indexOf(document.activeElement);
    const last = buttons.length - 1;
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: last }[event.key];
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (to === undefined && move === undefined) return;
    event.preventDefault();
    if (move) return this.writer.openXray(this.place + move);
    const next = buttons[Math.max(0, Math.min(to, last))];
    for (const each of buttons) each.tabIndex = each === next ? 0 : -1;
    next.focus();
  }
}
