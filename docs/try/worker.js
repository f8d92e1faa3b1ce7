// 워커: 페이지가 멈추지 않게, 모델을 다른 스레드에서 실행합니다.
// 받는 것: {id, load | write | logits | text | stop: 내용}
// 보내는 것: {id, progress | part: 중간에, done | error: 끝에}

import { ACTS_ON_DRAWS, complete, takeStep } from "../../templates/serve_gen/decoding.js";
import { complaint, defaultsOf } from "../../templates/serve_gen/fields.js";
import { Gpt2 } from "./gpt2.js";
import { readSafetensors } from "./safetensors.js";
import { Pieces, Tokenizer, compose } from "./tokenizer.js";

const SMALLEST_TEMPERATURE = 0.01;
const CHUNK = 16; // 프롬프트를 이만큼씩 읽고, 그사이에 온 메시지를 봅니다.
const USUAL_SIZE = 13.7e6; // 웹 서버가 크기를 알려 주지 않을 때, 가중치의 바이트

const ACTS = { load: readModel, write, logits: logitsAfter, text: (id) => tokenizer.text(id) };
const stopped = new Set();
let model, tokenizer, eos, fields;
let spare; // 마지막으로 쓴 캐시. 앞부분이 같은 텍스트가 이어 씁니다.

self.onmessage = async ({ data: { id, stop, ...asked } }) => {
  if (stop !== undefined) return stopped.add(stop);
  const [[name, content]] = Object.entries(asked);
  try {
    const tell = (message) => self.postMessage({ id, ...message });
    const isStopped = () => stopped.has(id);
    tell({ done: await ACTS[name](content, { tell, isStopped }) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  } finally {
    stopped.delete(id);
  }
};

/** 모델을 읽습니다. weights는 주소나 ArrayBuffer, json과 config는 주소나 객체 */
async function readModel({ weights, json, config, settings }, { tell }) {
  const read = async (from) => (typeof from === "string" ? (await get(from)).json() : from);
  const [buffer, vocabulary, shape] = await Promise.all([
    typeof weights === "string" ? download(weights, tell) : weights, read(json), read(config)]);
  model = new Gpt2(readSafetensors(buffer), shape);
  tokenizer = new Tokenizer(vocabulary);
  eos = [shape.eos_token_id].flat();
  fields = new Map(settings.fields.map((field) => [field.name, field]));
}

async function download(url, tell) {
  const response = await get(url);
  const total = Number(response.headers.get("Content-Length")) || USUAL_SIZE;
  const reader = response.body.getReader();
  const chunks = [];
  let loaded = 0;
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      chunks.push(read.value);
      loaded += read.value.length;
      tell({ progress: Math.min(1, loaded / total) }); // 압축되어 오면 total보다 클 수 있습니다.
    }
  } catch {
    throw new Error("가중치를 받다가 연결이 끊겼습니다. 페이지를 새로 고치세요.");
  }
  return new Blob(chunks).arrayBuffer();
}

async function get(url) {
  const name = url.split("/").at(-1);
  const response = await fetch(url).catch(() => {
    throw new Error(`${name}: 받지 못했습니다. 인터넷 연결을 확인하고 페이지를 새로 고치세요.`);
  });
  if (!response.ok) throw new Error(`${name}: 받지 못했습니다(HTTP ${response.status}).`);
  return response;
}

/** 이어 씁니다. 쓰는 대로 {text, tokens, steps}를 보내고, 끝나면 서버처럼 답합니다. */
async function write(request, { tell, isStopped }) {
  const began = performance.now();
  const { prompt, knobs, seed, shown, prefix, ids, most } = read(request);
  const promptLength = ids.length;
  const pieces = new Pieces(tokenizer, ids);
  const steps = []; // 아직 보내지 않은 것
  const put = (piece) => piece && tell({ part: partOf(piece, shown && steps) });
  const cache = take(ids);
  let reason = "length";
  while (ids.length < most) {
    const logits = await readOn(ids, cache, isStopped);
    if (!logits) return undefined; // 멈추었습니다.
    const place = ids.length - promptLength;
    const number = numberAt(seed, place);
    const token = prefix[place];
    const step = takeStep({ logits, ids, promptLength, eos, knobs, number, shown, token });
    if (shown) steps.push(toldOf(step));
    if (eos.includes(step.token)) {
      reason = "stop";
      break;
    }
    ids.push(step.token);
    put(pieces.add(step.token));
  }
  put(pieces.end());
  if (steps.length) tell({ part: { text: "", tokens: [], steps } }); // eos의 스텝
  spare = cache;
  return {
    result: compose(prompt) + tokenizer.continuation(ids, promptLength),
    finish_reason: reason,
    tokens: ids.length - promptLength + Number(reason === "stop"), // eos도 셉니다.
    seconds: (performance.now() - began) / 1000,
    seed,
  };
}

/** prefix 다음 토큰의 로짓 모두와 거기까지의 토큰 번호 */
async function logitsAfter({ prompt, prefix }, { isStopped }) {
  checkPrefix(prefix);
  const ids = [...promptIds(prompt, { max_new_tokens: prefix.length + 1 }), ...prefix];
  const cache = take(ids);
  const logits = await readOn(ids, cache, isStopped);
  spare = cache;
  return { ids, logits };
}

/** cache가 아직 읽지 않은 ids를 읽습니다. 다음 토큰의 로짓. 멈추었으면 undefined */
async function readOn(ids, cache, isStopped) {
  while (cache.ids.length < ids.length) {
    const start = cache.ids.length;
    cache.logits = model.forward(ids.slice(start, start + CHUNK), cache);
    await pause();
    if (isStopped()) return undefined;
  }
  return cache.logits;
}

/** ids를 읽을 캐시: 마지막에 쓴 것에서 앞부분이 같은 데까지 남깁니다. */
function take(ids) {
  const cache = spare ?? model.newCache();
  spare = undefined; // 한꺼번에 쓰는 다른 텍스트와 섞이지 않게
  const other = cache.ids.findIndex((id, place) => id !== ids[place]);
  // 로짓은 마지막 토큰을 읽어야 나옵니다.
  if (other >= 0) cache.ids.length = Math.min(other, ids.length - 1);
  return cache;
}

/** 메시지를 볼 틈. setTimeout은 4ms를 기다립니다. */
const { port1, port2 } = new MessageChannel();
const waiting = [];
port1.onmessage = () => waiting.shift()();
const pause = () => new Promise((go) => {
  waiting.push(go);
  port2.postMessage(null);
});

/**
 * 0 이상 1 미만의 난수: 시드와 몇 번째 토큰인지로 정해집니다(murmur3의 마지막 단계).
 * 같은 시드는 여기서 늘 같은 텍스트가 됩니다. 난수가 다른 서버와는 같지 않습니다.
 */
function numberAt(seed, place) {
  const mix = (bits) => {
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return bits ^ (bits >>> 16);
  };
  return (mix(mix(seed + 1) + Math.imul(place, 0x9e3779b9)) >>> 0) / 2 ** 32;
}

/** 온전해진 글자와 그 토큰들. steps가 있으면 그 토큰들의 것을 옮깁니다. */
function partOf({ text, ids }, steps) {
  const nameOf = (id) => (ids.length === 1 ? text : tokenizer.text(id));
  const tokens = ids.map((id) => ({ id, text: nameOf(id) }));
  return { text, tokens, ...(steps && { steps: steps.splice(0, ids.length) }) };
}

/** 텍스트를 더하고, 보낼 수 없는 것(함수)과 큰 것을 뺍니다. */
function toldOf({ finalists, reached, drawn, ...step }) {
  const candidates = step.candidates.map((each) => ({ ...each, text: tokenizer.text(each.id) }));
  return { ...step, candidates, text: tokenizer.text(step.token) };
}

// 요청을 읽습니다. 오류는 서버와 같은 문장입니다.

function read({ prompt, ...request }) {
  const isGiven = ([, value]) => value !== "" && value !== undefined;
  const values = Object.fromEntries(Object.entries(request).filter(isGiven));
  for (const [name, value] of Object.entries(values)) checkValue(name, value);
  const { seed = freshSeed(), steps: shown = 0, prefix = [], ...named } = values;
  const knobs = complete(named, defaultsOf(fields.values()));
  checkKnobs(knobs);
  const ids = promptIds(prompt, knobs);
  const most = knobs.max_length ?? ids.length + knobs.max_new_tokens;
  const left = most - ids.length;
  if (prefix.length >= left) {
    throw new Error(`prefix: 쓸 수 있는 새 토큰 수(${left}개)보다 적어야 하는데 ` +
      `${prefix.length}개입니다.`);
  }
  return { prompt, knobs, seed, shown, prefix, ids, most };
}

const freshSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

function checkValue(name, value) {
  if (!fields.has(name)) {
    const known = ["prompt", ...fields.keys()].join(", ");
    throw new Error(`${name}: 없는 이름입니다. 쓸 수 있는 이름: ${known}`);
  }
  if (name === "prefix") return checkPrefix(value);
  const told = complaint(fields.get(name), value);
  if (told) throw new Error(told);
  return undefined;
}

function checkPrefix(prefix) {
  const { maximum } = fields.get("prefix");
  const isToken = (id) => Number.isInteger(id) && id >= 0 && id <= maximum;
  if (Array.isArray(prefix) && prefix.every(isToken)) return;
  const given = Array.isArray(prefix) ? `[${prefix.join(", ")}]` : String(prefix);
  throw new Error(`prefix: 0 이상 ${maximum} 이하인 토큰 번호의 목록이어야 하는데 ` +
    `'${given.slice(0, 40)}'입니다.`);
}

/** 함께 쓸 수 없는 값 */
function checkKnobs(knobs) {
  const { temperature } = knobs;
  if (temperature > 0 && temperature < SMALLEST_TEMPERATURE) {
    throw new Error(`temperature: 0(그리디 서치)이거나 ${SMALLEST_TEMPERATURE} 이상이어야 하는데 ` +
      `${temperature}입니다.`);
  }
  for (const [low, high] of [["min_length", "max_length"], ["min_new_tokens", "max_new_tokens"]]) {
    if (knobs[low] > knobs[high]) {
      throw new Error(`${low}: ${high}(${knobs[high]}) 이하여야 하는데 ${knobs[low]}입니다.`);
    }
  }
  const acting = ACTS_ON_DRAWS.find((name) => name in knobs);
  if (knobs.do_sample === false && acting) {
    throw new Error(`${acting}: 뽑을 때만 쓰입니다. do_sample=false와 함께 쓸 수 없습니다.`);
  }
}

/** 프롬프트의 토큰 번호. 비었거나, 이어 쓸 자리가 없으면 Error */
function promptIds(prompt, { max_length: most, max_new_tokens: added }) {
  if (typeof prompt !== "string" || !compose(prompt)) {
    throw new Error("prompt: 한 글자 이상의 텍스트여야 합니다.");
  }
  if (/[\ud800-\udfff]/u.test(prompt)) {
    throw new Error("prompt: 올바른 유니코드 텍스트가 아닙니다.");
  }
  const ids = tokenizer.encode(compose(prompt));
  const told = `프롬프트가 ${ids.length}토큰이라`;
  const { n_positions: positions } = model.config;
  if (added !== undefined && ids.length + added > positions) {
    throw new Error(`${told} 이 모델의 최대 길이(${positions}토큰)에 새 토큰 ${added}개를 쓸 ` +
      "자리가 없습니다. 프롬프트나 max_new_tokens를 줄이세요.");
  }
  if (added === undefined && ids.length >= most) {
    throw new Error(`${told} max_length(${most})에 이어 쓸 자리가 없습니다. 프롬프트를 줄이세요.`);
  }
  return ids;
}
