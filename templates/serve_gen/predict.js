// 예상하고 확인하기: 옵션을 바꾸면 무엇이 어떻게 될지 고르고, 이 모델로 이어 써서 확인합니다.

import { CARDS } from "./cards.js";
import { button, count, make, percent, summary } from "./dom.js";

const RUNS = 4; // 한 번의 우연으로 정하지 않게, 시드 넷으로
const WORDS = { "1": "늘어난다", "0": "거의 같다", "-1": "줄어든다" };

const mean = (numbers) => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
const pieces = (number) => `${count(Math.round(10 * number) / 10)}개`;
const drawn = (step) => step.candidates.find(({ id }) => id === step.token).model;

/** 연속한 세 글자가 앞에 그대로 나온 비율 */
function repeated(text) {
  const letters = [...text.replace(/\s/g, "")];
  const triples = letters.slice(2).map((_, at) => letters.slice(at, at + 3).join(""));
  return triples.length && 1 - new Set(triples).size / triples.length;
}

/** of(이어 쓴 것들, 그 스텝들): 평균. left는 중앙값, model은 기하평균. needs: 엔진에 필요한 것 */
export const MEASURES = {
  length: { asks: "새 토큰의 수는?", shown: pieces, needs: "stream", // 책의 함수는 텍스트만 줍니다.
    of: (runs) => mean(runs.map(({ tokens }) => tokens)) },
  left: { asks: "한 스텝에 남는 후보의 수는?", shown: pieces, needs: "left",
    of: (_, steps) => median(steps.map(({ left }) => Object.values(left).at(-1))) },
  model: { asks: "모델이 뽑힌 토큰에 준 확률은?", shown: percent, needs: "steps",
    of: (_, steps) => Math.exp(mean(steps.map((step) => Math.log(drawn(step))))) },
  repeat: { asks: "앞에 나온 세 글자가 그대로 또 나오는 비율은?", shown: percent,
    of: (runs) => mean(runs.map(({ text }) => repeated(text))) },
  same: { asks: "네 번 쓴 텍스트끼리 서로 같은 비율은?", shown: percent,
    of: (runs) => mean(runs.flatMap(
      (a, at) => runs.slice(at + 1).map((b) => Number(a.text === b.text)))) },
};

/** 1 늘었고, 0 거의 같고(10% 안), -1 줄었습니다. */
export function change(before, after) {
  return Math.abs(after - before) <= 0.1 * before ? 0 : Math.sign(after - before);
}

/** 시드 넷으로 한꺼번에 쓰고 measure로 계산합니다. 뽑지 않는 설정은 한 번이면 됩니다. */
export async function measured(engine, knobs, measure, { prompt, seed, signal }) {
  const { needs, of } = MEASURES[measure];
  const draws = knobs.do_sample !== false && !knobs.num_beams && !knobs.penalty_alpha;
  const times = draws || measure === "same" ? RUNS : 1;
  const runs = await Promise.all(Array.from({ length: times }, async (_, at) => {
    const request = { prompt, ...knobs };
    if (engine.settings.seed) request.seed = (seed + at) % 2 ** 32;
    if (needs === "steps" || needs === "left") request.steps = 1;
    const run = { text: "", steps: [] }; // text: 이어 쓴 것만
    const onPart = (part) => {
      run.text += part.text;
      run.steps.push(...(part.steps ?? []));
    };
    return Object.assign(await engine.write(request, { signal, onPart }), run);
  }));
  return { value: of(runs, runs.flatMap((run) => run.steps)), sample: runs[0].result };
}

export function predict(section, { engine, settings, prompt, seed, say }) {
  const known = (knobs) => Object.keys(knobs).every((name) => settings.fields.has(name));
  const cards = CARDS.filter(({ before, after }) => known({ ...before, ...after }));
  const firsts = new Map(); // 옵션 → 처음 예상이 맞았는지
  let card, running;

  const choice = make("select", { onchange: show }, ...cards.map(({ knob }) =>
    make("option", { value: knob }, `${settings.fields.get(knob).korean} (${knob})`)));
  const question = make("p", { className: "question" });
  const answers = make("div", { className: "row", role: "group", "aria-label": "예상" });
  const stop = button("멈추기", () => running.abort(), { hidden: true });
  const outcome = make("div", { className: "outcome" });
  const score = make("p");
  section.append(make("label", {}, "옵션 ", choice), question, answers, stop, outcome, score);
  if (cards.length) show();

  function show() {
    running?.abort();
    card = cards.find(({ knob }) => knob === choice.value);
    const { asks, needs } = MEASURES[card.measure];
    const has = { ...engine.settings, left: engine.settings.steps === true };
    const can = !needs || has[needs];
    question.textContent = `${card.question}, ${asks}`;
    answers.replaceChildren(...(can ? [1, 0, -1] : []).map((sign) => button(
      WORDS[sign], (event) => check(sign, event.target), { "aria-pressed": "false" })));
    const lacks = { steps: "토큰별 확률", left: "남은 후보의 수", stream: "토큰의 수" }[needs];
    outcome.replaceChildren(can ? "" : `이 엔진은 ${lacks} 없이 답합니다. ` +
      "다른 카드를 고르거나, 서버를 --engine transformers로 시작하세요.");
  }

  async function check(guess, pressed) {
    if (running) return;
    const asked = card;
    running = new AbortController();
    const given = { prompt: prompt(), seed: seed(), signal: running.signal };
    for (const each of answers.children) each.setAttribute("aria-pressed", each === pressed);
    stop.hidden = false;
    outcome.replaceChildren("이어 쓰는 중…");
    try {
      const both = await Promise.all([asked.before, asked.after].map((knobs) =>
        measured(engine, knobs, asked.measure, given)));
      given.signal.throwIfAborted();
      tell(asked, guess, ...both);
    } catch (error) {
      const stopped = given.signal.aborted;
      const message = stopped ? "멈추었습니다." : error.message;
      running.abort(); // 하나가 안 되면 나머지도 그만둡니다.
      if (asked === card)
        outcome.replaceChildren(make("p", { className: stopped ? "" : "error" }, message));
      say(message);
    } finally {
      running = undefined;
      if (document.activeElement === stop) pressed.focus();
      stop.hidden = true;
    }
  }

  function tell({ knob, measure, before, after, usual, why }, guess, from, to) {
    const sign = change(from.value, to.value);
    const right = sign === guess;
    const [was, is] = [from, to].map(({ value }) => MEASURES[measure].shown(value));
    const verdict = right ? "✓ 맞았습니다." : "✗ 예상과 다릅니다.";
    const numbers = `예상: ${WORDS[guess]}. 결과: ${WORDS[sign]} (${was} → ${is}).`;
    const unusual = sign === usual ? [] :
      [make("p", {}, "이번 결과는 보통과 다릅니다. 시드나 프롬프트를 바꾸어 다시 해 보세요.")];
    outcome.replaceChildren(
      make("p", { className: right ? "right" : "wrong" }, verdict),
      make("p", {}, numbers),
      make("dl", { className: "pair" }, ...[["전", before, from], ["후", after, to]].map(
        ([when, knobs, { sample }]) => make("div", {},
          make("dt", {}, `${when}: ${summary(knobs)}`), make("dd", {}, sample)))),
      make("p", {}, `보통은 ${WORDS[usual]}: ${why}`), ...unusual,
      button("이 설정으로 바꾸기", () => settings.replace(after)));
    if (!firsts.has(knob)) firsts.set(knob, right);
    const good = [...firsts.values()].filter(Boolean).length;
    score.textContent = `처음 예상으로 ${firsts.size}장 가운데 ${good}장을 맞혔습니다.`;
    say(`${verdict} ${numbers}`);
  }
}
