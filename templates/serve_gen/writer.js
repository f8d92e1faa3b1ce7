// 이어 쓰기: 지금 텍스트와 그 가지들. 무엇을 보내고, 온 토큰을 어디에 두고, 어떻게 되돌리는지

import { button, byId, count, ending, ENDS, make } from "./dom.js";
import { toLink } from "./link.js";
import { TextView } from "./text.js";
import { Tree, Undo } from "./tree.js";
import { Xray } from "./xray.js";

const STEPS = 20; // 토큰마다 받을 후보. 엔진이 알려 주는 것이 더 적으면 그만큼

/** 좁은 화면에서는 X-ray가 아래에서 올라옵니다. */
export const isPhone = () => matchMedia("(max-width: 60rem)").matches;

export class Writer {
  #run = null; // 지금 보이는 것: {prompt, knobs, seed, tree, leaf: 마지막 토큰}
  #writing = null; // 쓰는 동안의 AbortController

  /** onDone(상태)은 다 썼을 때 불립니다. */
  constructor({ engine, settings, say, onDone }) {
    Object.assign(this, { engine, settings, say, onDone });
    this.view = new TextView(byId("result"), (place) => this.openXray(place));
    this.xray = new Xray(byId("xray"), { engine, settings, say, writer: this });
    this.undo = new Undo(({ run, leaf }) => this.#visit({ ...run, leaf }));
  }

  get text() {
    return byId("result").textContent;
  }

  get seed() {
    return this.#run?.seed;
  }

  get #path() {
    return this.#run ? this.#run.tree.path(this.#run.leaf) : [];
  }

  /** 링크로 되살릴 수 있는 지금 상태. 손으로 고른 토큰이 있으면 거기까지의 토큰도 넣습니다. */
  get state() {
    const { prompt, leaf, knobs, seed } = this.#run;
    const { model } = this.engine.settings;
    const path = this.#path;
    const picked = [...path.keys()].filter((place) => path[place].picked);
    const prefix = path.slice(0, (picked.at(-1) ?? -1) + 1).map((node) => node.id);
    const own = this.engine.settings.seed ? { seed } : {};
    return { prompt, knobs: leaf.knobs ?? knobs, ...own, prefix, picked, model };
  }

  /** 처음부터 씁니다. prefix: 정해 둔 토큰 번호들, picked: 그 가운데 손으로 고른 자리들 */
  start({ prompt, seed, prefix = [], picked = [] }) {
    const tree = new Tree();
    let node = tree.root;
    for (const [place, id] of prefix.entries()) {
      node = tree.grow(node, { id, text: "" });
      node.picked = picked.includes(place);
    }
    return this.#write({ prompt, seed, tree }, tree.path(node));
  }

  stop() {
    this.#writing?.abort();
    return this.#writing !== null;
  }

  /** place번째 토큰 대신 candidate. 이미 있는 가지면 그리로 가고, 아니면 거기서부터 이어 씁니다. */
  pick(place, candidate) {
    const { tree } = this.#run;
    const node = this.#path[place];
    if (candidate.id === node.id) return this.say("지금 텍스트에 있는 토큰입니다.");
    const kept = node.parent.children.get(candidate.id);
    if (kept) {
      this.visit(kept);
      this.openXray(place);
      return this.say(`다른 가지로 왔습니다: ‘${candidate.text}’`);
    }
    const picked = tree.grow(node.parent, candidate);
    const step = { ...node.step, token: candidate.id, forced: true, interval: null };
    Object.assign(picked, { step, knobs: node.knobs, picked: true });
    this.say(`‘${candidate.text}’ 다음을 이어 씁니다.`);
    return this.#write(this.#run, tree.path(picked), place);
  }

  /** 이미 쓴 가지로. 거기서 마지막에 본 끝까지 보입니다. */
  visit(node) {
    this.#visit({ ...this.#run, leaf: this.#run.tree.follow(node) });
    this.#remember();
  }

  openXray(place) {
    const path = this.#path;
    if (!path[place]) return;
    if (!path[place].step) return this.say("이 텍스트에는 토큰별 확률이 없습니다.");
    this.view.mark(place);
    this.xray.open(this.#run, path, place).then(() => this.xray.focus());
    if (isPhone()) byId("answer-title").scrollIntoView(); // 올라온 표가 텍스트를 가리지 않게
  }

  /** 열려 있었으면 true */
  closeXray(isFocused = true) {
    if (this.xray.isClosed) return false;
    this.xray.close();
    this.view.mark(undefined);
    if (isFocused) this.view.focus(this.xray.place);
    return true;
  }

  #visit(run) {
    this.stop();
    this.#run = run;
    this.closeXray(false);
    this.#show(false);
  }

  /**
   * prefix의 마디들 다음을 이어 씁니다. place는 X-ray가 열려 있을 자리입니다.
   * 오류로 하나도 쓰지 못했으면 전의 텍스트로 돌아갑니다.
   */
  async #write(next, prefix, place) {
    this.stop();
    const before = this.#run;
    const writing = (this.#writing = new AbortController());
    const knobs = this.settings.named();
    const run = { ...next, knobs, leaf: prefix.at(-1) ?? next.tree.root };
    this.#run = run;
    if (place === undefined) this.closeXray(false);
    this.#show(place !== undefined);
    this.#busy(true);
    if (place === undefined) this.say("쓰는 중…");
    else this.xray.open(run, prefix, place);
    const { seed: hasSeed, steps: hasSteps } = this.engine.settings;
    const request = { prompt: run.prompt, ...knobs };
    if (hasSeed) request.seed = run.seed;
    if (hasSteps) request.steps = Math.min(STEPS, this.settings.fields.get("steps").maximum);
    if (prefix.length) request.prefix = prefix.map(({ id }) => id);
    const put = this.#placer(run, prefix.length);
    try {
      const onPart = (part) => this.#run === run && put(part);
      const onWait = (told) => this.#run === run && this.say(told);
      const done = await this.engine.write(request, { signal: writing.signal, onPart, onWait });
      if (this.#run === run) this.#finish(done);
    } catch (error) {
      if (this.#run !== run) return; // 그사이에 다른 것을 씁니다.
      const stopped = writing.signal.aborted;
      const length = this.#path.length;
      if (stopped) run.leaf.told = `멈추었습니다${length ? ` · 새 토큰 ${count(length)}개` : ""}`;
      this.say(stopped ? "멈추었습니다." : error.message, !stopped);
      if (stopped || !before || run.text || run.leaf !== (prefix.at(-1) ?? run.tree.root)) return;
      if (place !== undefined) run.tree.drop(run.leaf, before.tree.path(before.leaf)[place]);
      this.#visit(before);
    } finally {
      if (this.#writing === writing) {
        this.#writing = null;
        this.#busy(false);
      }
      if (this.#run === run) {
        this.#remember();
        if (!this.xray.isClosed) this.xray.open(run, this.#path, place);
      }
    }
  }

  /** 온 조각의 토큰을 나무와 화면에 차례로 둡니다. */
  #placer(run, kept) {
    let node = run.tree.root;
    let place = 0;
    return ({ text, tokens, steps = [] }) => {
      if (!tokens.length && !steps.length) { // 토큰을 알려 주지 않는 엔진의 텍스트
        run.text = (run.text ?? "") + text;
        this.view.append(text);
      }
      // 텍스트 없이 스텝만 온 것은 eos입니다.
      const ends = steps.slice(tokens.length).filter(Boolean)
        .map(({ token }) => ({ id: token, text: "", end: true }));
      for (const [i, token] of [...tokens, ...ends].entries()) {
        node = run.tree.grow(node, token);
        // 토큰 여럿이 글자 하나일 때, 글자는 첫 토큰에 적습니다.
        const isPart = tokens.length > 1;
        node.text = isPart ? (i ? "" : text) : token.text;
        node.name = token.text;
        node.end = token.end;
        node.part = isPart && i > 0;
        node.step = steps[i] ?? node.step; // 정해진 토큰의 것은 알려 주지 않는 엔진도 있습니다.
        node.knobs = run.knobs;
        this.view.put(place++, node);
        if (place > kept) run.leaf = node;
      }
    };
  }

  #finish(done) {
    const { tokens, seconds, seed } = done;
    const speed = seconds ? `초당 ${count(Math.round(tokens / seconds))}토큰` : "";
    const parts = [...ending(done), speed, seed !== undefined && `시드 ${seed}`];
    this.#run.leaf.told = parts.filter(Boolean).join(" · ");
    this.say(`다 썼습니다. ${ENDS[done.finish_reason] ?? ""}`);
    history.replaceState(null, "", toLink(this.state));
    this.onDone({ ...this.state, text: this.text });
  }

  #busy(isWriting) {
    byId("send").textContent = isWriting ? "쓰는 중…" : "이어 쓰기";
    byId("stop").disabled = !isWriting || !this.engine.settings.stream;
  }

  #remember() {
    this.undo.add({ run: this.#run, leaf: this.#run.leaf });
    this.#showTools();
  }

  /** isKept면 화면에 있는 토큰 가운데 같은 것을 그대로 둡니다. */
  #show(isKept) {
    if (!isKept) this.view.start(this.#run.prompt);
    for (const [place, node] of this.#path.entries()) this.view.put(place, node);
    this.view.cut(this.#path.length);
    if (!isKept) this.view.append(this.#run.text ?? "");
    this.#showTools();
  }

  #showTools() {
    byId("told").textContent = this.#run.leaf.told ?? "";
    byId("undo").disabled = !this.undo.canUndo;
    byId("redo").disabled = !this.undo.canRedo;
    byId("copy").disabled = byId("link").disabled = false;
    byId("legend").hidden = !this.engine.settings.steps;
    const { tree, leaf } = this.#run;
    const leaves = tree.leaves();
    const [summary, list] = byId("branches").children;
    byId("branches").hidden = leaves.length < 2;
    summary.textContent = `가지 ${leaves.length}개`;
    list.replaceChildren(...leaves.map((each) => {
      const text = tree.path(each).map((node) => node.text).join("") || "(빈 텍스트)";
      const go = button(text, () => this.visit(each));
      go.setAttribute("aria-current", each === leaf);
      return make("li", {}, go);
    }));
  }
}
