// 로짓에서 다음 토큰 하나를 고릅니다: 서버(transformers)와 같은 계산을 같은 순서로.
// 후보는 {ids, scores}: 점수가 높은 것부터 세운 토큰 번호와 점수. 자른 후보는 빠집니다.

/** 여기서 계산하지 못하는 옵션: 서버에 요청해야 합니다. */
export const UNKNOWN = ["polarity", "num_beams", "penalty_alpha"];

// 새 토큰만 세는 길이를 정하면, 프롬프트까지 세는 길이는 쓰지 않습니다.
const WINS = { min_new_tokens: "min_length", max_new_tokens: "max_length" };
// 뽑을 때만 작동합니다.
const SAMPLING = ["temperature", "top_h", "top_k", "top_p", "min_p", "typical_p"];
export const ACTS_ON_DRAWS = ["temperature_last", "top_n_sigma", ...SAMPLING];

// 작동하는 순서대로: [옵션, 종류, 하는 일, 꺼진 값]
const PROCESSORS = [
  ["repetition_penalty", "penalties", penalizeRepetition, 1],
  ["no_repeat_ngram_size", "penalties", banRepeatedNgrams, 0],
  ["min_length", "penalties", banEos, 0],
  ["min_new_tokens", "penalties", banEos, 0],
  ["top_n_sigma", "cuts", keepTopNSigma, 0],
  ["temperature", "temperature", divideByTemperature, 1],
  ["top_h", "cuts", keepTopH, 1],
  ["top_k", "cuts", keepTopK, 0],
  ["top_p", "cuts", keepTopP, 1],
  ["min_p", "cuts", keepMinP, null],
  ["typical_p", "cuts", keepTypicalP, 1],
];

/** 정한 옵션(named)에 나머지의 기본값을 더합니다. defaults: {이름: 기본값}, null은 없음 */
export function complete(named, defaults) {
  const unused = Object.keys(WINS).filter((name) => name in named).map((name) => WINS[name]);
  const given = without(named, unused);
  if (given.do_sample === undefined && given.temperature !== 0) {
    const acts = ACTS_ON_DRAWS.some((name) => name in given);
    given.do_sample = !given.penalty_alpha && (acts || !(given.num_beams > 1));
  }
  if (!isDrawn(given)) unused.push(...SAMPLING);
  const knobs = { ...without(defaults, unused), ...given };
  if (!("min_length" in given) && knobs.min_length > knobs.max_length) {
    knobs.min_length = knobs.max_length;
  }
  return knobs;
}

/**
 * 한 스텝. ids: 프롬프트와 지금까지 쓴 토큰. knobs: complete()의 결과.
 * number: 0 이상 1 미만의 난수. token: 이미 정해진 토큰이 있을 때만.
 *
 * 결과는 서버의 steps와 같은 모양이고(텍스트는 없음), 다음이 더 있습니다.
 * finalists: 끝까지 남은 후보(그리디 서치에서는 하나), reached: 거기까지의 누적 확률,
 * drawn(number): 난수가 다르면 뽑힐 토큰.
 */
export function takeStep({ logits, ids, promptLength, eos, knobs, number, shown = 20, token }) {
  const stages = [{ ...ranked(logits), name: "vocabulary", kind: "model" }];
  for (const [name, kind, act, value] of acting(knobs, ids.length, promptLength)) {
    stages.push({ ...act(stages.at(-1), value, { logits, ids, eos }), name, kind });
  }
  const last = stages.at(-1);
  if (!last.ids.length) throw new Error("남은 후보가 없습니다.");

  const draws = isDrawn(knobs);
  const finalists = draws ? last.ids.slice() : last.ids.slice(0, 1);
  const reached = draws ? cumulative(sharesOf(last)) : Float64Array.of(1);
  const placeOf = (at) => {
    const place = reached.findIndex((end) => end > at * reached.at(-1));
    return place < 0 ? reached.length - 1 : place;
  };
  const place = placeOf(number);
  const forced = token !== undefined;
  const chosen = forced ? token : finalists[place];
  const isOfDraw = draws && chosen === finalists[place];

  const { order, stageOf } = kindsOf(stages);
  const candidates = [...new Set([...stages[0].ids.subarray(0, shown), chosen])].map((id) => ({
    id,
    logit: logits[id],
    ...Object.fromEntries(order.map((kind) => [kind, shareOf(id, stageOf[kind])])),
    cut_by: stages.find((stage) => !stage.ids.includes(id))?.name ?? null,
  }));
  return {
    token: chosen,
    number: draws ? number : null,
    interval: isOfDraw ? [place && reached[place - 1], reached[place]] : null,
    forced,
    left: Object.fromEntries(stages.map((stage) => [stage.name, stage.ids.length])),
    order,
    entropy: entropy(sharesOf(stages[0])) / Math.LN2, // 비트 단위로
    final_entropy: entropy(sharesOf(last)) / Math.LN2,
    candidates,
    finalists,
    reached,
    drawn: (another) => finalists[placeOf(another)],
  };
}

/** 확률에 따라 뽑는지. 아니면 가장 높은 것을 고릅니다. */
export const isDrawn = (knobs) => knobs.do_sample !== false && knobs.temperature !== 0;

/** names와 null을 뺀 나머지 */
function without(values, names) {
  const isKept = ([name, value]) => value !== null && !names.includes(name);
  return Object.fromEntries(Object.entries(values).filter(isKept));
}

/** 이 스텝에서 작동하는 것: [옵션, 종류, 하는 일, 값] */
function acting(knobs, length, promptLength) {
  const values = without(knobs, isDrawn(knobs) ? [] : SAMPLING);
  if ("min_new_tokens" in values) values.min_length = promptLength + values.min_new_tokens;
  if (!(length < values.min_length)) values.min_length = values.min_new_tokens = 0;
  const rows = PROCESSORS.filter(([name, , , off]) => name in values && values[name] !== off)
    .map(([name, kind, act]) => [name, kind, act, values[name]]);
  const waits = ([name]) => name === "temperature" && values.temperature_last;
  return [...rows.filter((row) => !waits(row)), ...rows.filter(waits)];
}

/** 종류별로 마지막 단계와 그 순서. 작동한 것이 없는 종류는 앞 종류와 같습니다. */
function kindsOf(stages) {
  const order = ["model", "penalties", "temperature", "cuts"];
  const stageOf = {};
  let stage;
  for (const kind of order) {
    stage = stages.findLast((each) => each.kind === kind) ?? stage;
    stageOf[kind] = stage;
  }
  const place = (kind) => stages.indexOf(stageOf[kind]);
  return { order: order.sort((one, other) => place(one) - place(other)), stageOf };
}

// 옵션이 하는 일. 기준값은 서버처럼 float32로 반올림합니다(Math.fround).

// 이미 나온 토큰의 점수를 낮춥니다: 양수는 나누고 음수는 곱합니다. 늘 첫 번째라 로짓에 합니다.
function penalizeRepetition(_, penalty, { logits, ids }) {
  const scores = logits.slice();
  const by = Math.fround(penalty);
  for (const id of new Set(ids)) scores[id] = scores[id] < 0 ? scores[id] * by : scores[id] / by;
  return ranked(scores);
}

// 마지막 n-1개 토큰이 앞에도 나왔으면, 그때 이어진 토큰을 뺍니다.
function banRepeatedNgrams(candidates, n, { ids }) {
  const recent = ids.slice(ids.length - n + 1);
  const isRepeated = (_, end) => recent.every((id, i) => id === ids[end - n + 1 + i]);
  return drop(candidates, ids.filter((id, end) => end >= n - 1 && isRepeated(id, end)));
}

// 최소 길이가 되기 전에는 끝내지 못합니다.
function banEos(candidates, _, { eos }) {
  return drop(candidates, [eos].flat());
}

// 온도가 높으면 점수의 차이가 줄고, 낮으면 벌어집니다.
function divideByTemperature({ ids, scores }, temperature) {
  const by = Math.fround(temperature);
  return { ids, scores: scores.map((score) => score / by) };
}

// 가장 높은 점수에서 표준편차의 n배 안에 드는 것만 남깁니다.
function keepTopNSigma(candidates, n) {
  const { scores } = candidates;
  const mean = sum(scores) / scores.length;
  const sigma = Math.sqrt(sum(scores.map((score) => (score - mean) ** 2)) / scores.length);
  return keepUntilBelow(Math.fround(scores[0] - n * sigma), candidates, scores);
}

// 확률이 높은 100개만 놓고, 앞에서부터 더한 엔트로피가 전체의 ratio배를 넘기 전까지 남깁니다.
function keepTopH(candidates, ratio) {
  const shares = softmax32(candidates.scores.subarray(0, 100));
  const terms = shares.map(entropyTerm);
  const most = Math.fround(Math.fround(ratio) * Math.fround(sum(terms)));
  const isKept = (reached, place) => reached <= most && shares[place] > 0;
  return keep(Math.max(1, cumulative(terms).filter(isKept).length), candidates);
}

// k번째 점수보다 낮은 것을 자릅니다. k번째와 같은 것은 남습니다.
function keepTopK(candidates, k) {
  const { scores } = candidates;
  return keepUntilBelow(scores[Math.min(k, scores.length) - 1], candidates, scores);
}

// 확률이 낮은 것부터 더해, 1-p를 넘기 전까지 자릅니다.
function keepTopP(candidates, p) {
  const fromTail = cumulative(softmax32(candidates.scores).reverse());
  const cut = fromTail.findIndex((each) => each > Math.fround(1 - p));
  return keep(cut < 0 ? 1 : fromTail.length - cut, candidates);
}

// 가장 높은 확률의 ratio배보다 낮은 것을 자릅니다.
function keepMinP(candidates, ratio) {
  const shares = softmax32(candidates.scores);
  return keepUntilBelow(Math.fround(Math.fround(ratio) * shares[0]), candidates, shares);
}

// 정보량(-log p)이 평균(엔트로피)에 가까운 것부터, 더한 확률이 mass가 될 때까지 남깁니다.
function keepTypicalP(candidates, mass) {
  const exact = softmax(candidates.scores);
  const shares = new Float32Array(exact);
  const logTotal = candidates.scores[0] - Math.log(exact[0]);
  const information = candidates.scores.map((score) => logTotal - score);
  const mean = Math.fround(sum(information.map((each, place) => shares[place] * each)));
  const closeness = information.map((each) => -Math.abs(each - mean));
  const nearest = ranked(closeness);
  const reached = cumulative(pick(shares, nearest.ids));
  const last = reached.findIndex((each) => each >= Math.fround(mass));
  const least = last < 0 ? -Infinity : nearest.scores[last];
  return keepIf(candidates, (place) => closeness[place] >= least);
}

const keep = (n, { ids, scores }) => ({ ids: ids.subarray(0, n), scores: scores.subarray(0, n) });

function keepUntilBelow(least, candidates, values) {
  const end = values.findIndex((value) => value < least);
  return end < 0 ? candidates : keep(end, candidates);
}

function keepIf({ ids, scores }, isKept) {
  const kept = { ids: ids.slice(), scores: scores.slice() };
  let left = 0;
  for (let place = 0; place < ids.length; place++) {
    if (!isKept(place)) continue;
    kept.ids[left] = ids[place];
    kept.scores[left++] = scores[place];
  }
  return keep(left, kept);
}

function drop(candidates, dropped) {
  const banned = new Set(dropped);
  return keepIf(candidates, (place) => !banned.has(candidates.ids[place]));
}

/** places의 순서대로 고른 값 */
function pick(values, places) {
  const picked = values.slice(0, places.length);
  for (let i = 0; i < places.length; i++) picked[i] = values[places[i]];
  return picked;
}

/**
 * 점수가 높은 것부터 세웁니다. 점수가 같으면 번호순이고, -Infinity는 뺍니다.
 * 비교 함수로 정렬하면 5만 개에 25ms쯤 걸립니다. 그래서 점수와 번호를 수 하나에 담아 정렬합니다.
 * float32의 비트를 정수로 읽어도 크기순이고(음수는 거꾸로), 번호에는 20비트면 됩니다.
 */
function ranked(scores) {
  const bits = new Int32Array(new Float32Array(scores).buffer);
  const keys = new Float64Array(bits.length);
  for (let id = 0; id < keys.length; id++) {
    const size = bits[id] < 0 ? bits[id] ^ 0x7fffffff : bits[id];
    keys[id] = -size * 2 ** 20 + id;
  }
  const ids = new Int32Array(keys.sort()); // 아래 32비트
  for (let i = 0; i < ids.length; i++) ids[i] &= 0xfffff;
  const sorted = pick(scores, ids);
  const left = sorted.indexOf(-Infinity);
  return keep(left < 0 ? ids.length : left, { ids, scores: sorted });
}

/** 한 단계에서 토큰 하나의 확률 */
function shareOf(id, stage) {
  const place = stage.ids.indexOf(id);
  return place < 0 ? 0 : sharesOf(stage)[place];
}

const sharesOf = (stage) => (stage.shares ??= softmax(stage.scores));
const softmax32 = (scores) => new Float32Array(softmax(scores));

/** scores의 첫 번째가 가장 높습니다. */
function softmax(scores) {
  const shares = new Float64Array(scores);
  for (let i = 0; i < shares.length; i++) shares[i] = Math.exp(scores[i] - scores[0]);
  const total = sum(shares);
  for (let i = 0; i < shares.length; i++) shares[i] /= total;
  return shares;
}

function cumulative(values) {
  let total = 0;
  return values.map((value) => (total += value));
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

const entropyTerm = (share) => (share > 0 ? -share * Math.log(share) : 0);
const entropy = (shares) => sum(shares.map(entropyTerm));
