// 토크나이저: 텍스트를 토큰 번호로, 토큰 번호를 텍스트로. tokenizer.json을 그대로 읽습니다.
//
// 1. </s> 같은 특수 토큰이 적혀 있으면 그 토큰 하나로 봅니다.
// 2. 나머지는 공백을 ▁로 바꾸고 앞에도 ▁를 붙여, ▁로 시작하는 단어로 자릅니다.
// 3. 단어를 토큰으로 나누는 방법 가운데 점수(로그확률)의 합이 가장 높은 것을 찾습니다(unigram).
// 4. 어휘에 없는 글자는 UTF-8의 바이트마다 토큰 하나로 적습니다(byte fallback).

const SPACE = "▁";
const UNKNOWN_PENALTY = 10; // 모르는 글자의 점수는 가장 낮은 점수보다 이만큼 낮습니다.

export class Tokenizer {
  #ids; // 토큰 → 번호
  #special; // 특수 토큰의 번호
  #typed; // 특수 토큰을 찾는 정규식
  #longest; // 가장 긴 토큰의 길이
  #texts = new Map();

  /** json: tokenizer.json을 읽은 것 */
  constructor({ model, added_tokens: added }) {
    this.unknown = model.unk_id;
    this.tokens = model.vocab.map(([token]) => token);
    this.scores = model.vocab.map(([, score]) => score);
    this.unknownScore = this.scores.reduce((a, b) => Math.min(a, b)) - UNKNOWN_PENALTY;
    this.#ids = new Map(this.tokens.map((token, id) => [token, id]));
    this.#longest = this.tokens.reduce((most, token) => Math.max(most, token.length), 0);
    this.#special = new Set(added.map(({ id }) => id));
    const names = added.map(({ content }) => content).sort((a, b) => b.length - a.length);
    const escaped = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    this.#typed = new RegExp(`(${escaped.join("|")})`);
  }

  /** 텍스트의 토큰 번호 */
  encode(text) {
    return text.split(this.#typed).flatMap((part, at) =>
      at % 2 ? [this.#ids.get(part)] : words(part).flatMap((word) => this.#segment(word)));
  }

  /**
   * 토큰 번호의 텍스트. 특수 토큰과, 글자가 되지 못한 바이트는 뺍니다.
   * <unk>는 남깁니다: 토크나이저가 모르는 것이 그 자리에 있었다는 표시입니다.
   */
  decode(ids) {
    const shown = ids.filter((id) => !this.#special.has(id) || id === this.unknown);
    const text = joined(shown.map((id) => this.tokens[id])).replace(/^ /, "");
    return asTyped(text.normalize("NFC"));
  }

  /** ids의 promptLength번째부터의 텍스트. 프롬프트에 이으면 전체가 되게, 앞의 공백도 둡니다. */
  continuation(ids, promptLength) {
    const prompt = this.decode(ids.slice(0, promptLength));
    const whole = this.decode(ids);
    if (whole.startsWith(prompt)) return whole.slice(prompt.length);
    return this.decode(ids.slice(promptLength)); // 첫 자모가 프롬프트의 마지막 글자에 붙을 때
  }

  /** 토큰 하나를 사람에게 보일 텍스트. 특수 토큰과 글자의 일부는 어휘에 있는 이름으로 */
  text(id) {
    if (!this.#texts.has(id)) {
      const anchor = this.encode("가"); // 앞에 무엇이 있어야 토큰의 공백이 남습니다.
      this.#texts.set(id, this.continuation([...anchor, id], anchor.length) || this.tokens[id]);
    }
    return this.#texts.get(id);
  }

  /**
   * 비터비 알고리즘: 앞에서부터, 글자마다 거기까지 나누는 가장 좋은 방법 하나만 기억합니다.
   * 점수가 같으면 먼저 찾은 것(긴 토큰)을 둡니다.
   */
  #segment(word) {
    const best = [{ score: 0 }]; // best[끝]: 거기까지의 점수, 마지막 토큰의 시작과 번호
    const reach = (end, start, id, score) => {
      const total = best[start].score + score;
      if (!best[end] || total > best[end].score) best[end] = { score: total, start, id };
    };
    for (let start = 0; start < word.length;) {
      const next = start + String.fromCodePoint(word.codePointAt(start)).length;
      for (let end = next; end <= Math.min(word.length, start + this.#longest); end++) {
        const id = this.#ids.get(word.slice(start, end));
        if (id !== undefined) reach(end, start, id, this.scores[id]);
      }
      const isKnown = this.#ids.has(word.slice(start, next));
      if (!isKnown) reach(next, start, this.unknown, this.unknownScore);
      start = next;
    }
    const found = [];
    for (let end = word.length; end > 0; end = best[end].start) {
      const { start, id } = best[end];
      found.unshift(id === this.unknown ? this.#bytes(word.slice(start, end)) : id);
    }
    return found.flat();
  }

  /** 모르는 글자: 바이트마다 토큰 하나 */
  #bytes(letter) {
    const name = (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    return Array.from(new TextEncoder().encode(letter), (byte) => this.#ids.get(name(byte)));
  }
}

/** 쓰는 동안의 텍스트: 글자가 온전해질 때마다 조각 하나. 한번 보인 글자는 바뀌지 않습니다. */
export class Pieces {
  #before; // 조각 앞의 토큰
  #open = []; // 아직 내보내지 않은 토큰과 그 텍스트
  #text = "";
  #whole = 0; // #open 가운데 #text를 이루는 것의 수. 나머지는 글자의 일부입니다.

  constructor(tokenizer, promptIds) {
    this.tokenizer = tokenizer;
    this.#before = promptIds.slice();
  }

  /** 토큰 하나를 더합니다. 그래서 온전해진 조각: {text, ids}. 없으면 undefined */
  add(id) {
    const ids = [...this.#before, ...this.#open, id];
    let text = this.tokenizer.continuation(ids, this.#before.length);
    let piece;
    const begun = text.startsWith(this.#text) ? text.slice(this.#text.length) : "";
    if (this.#text && begun && !/^\p{M}/u.test(begun)) { // 다음 글자가 시작되었습니다.
      this.#before = this.#open.splice(0, this.#whole);
      piece = { text: this.#text, ids: this.#before };
      this.#text = "";
      text = begun;
    }
    this.#open.push(id);
    if (text !== this.#text) {
      this.#text = text;
      this.#whole = this.#open.length;
    }
    return piece;
  }

  /** 다 썼을 때 남은 조각 */
  end() {
    return this.#open.length ? { text: this.#text, ids: this.#open } : undefined;
  }
}

/** 자모로 풀어 쓴 한글(NFD)을 모으고, 끝의 공백을 뺍니다. 서버의 파이썬과 같은 공백을 봅니다. */
export function compose(text) {
  return text.normalize("NFC").replace(/(?:(?!\ufeff)[\s\x1c-\x1f\x85])+$/, "");
}

/** ▁로 시작하는 단어들로. <도 따로 자릅니다. */
function words(text) {
  if (!text) return [];
  const marked = (SPACE + text).replaceAll(" ", SPACE);
  return marked.match(/▁+[^▁]*/g).flatMap((word) => word.split(/(<)/)).filter(Boolean);
}

/** 토큰의 텍스트를 잇습니다. 연속한 바이트는 모아서 글자로 읽고, 깨진 글자(U+FFFD)는 뺍니다. */
function joined(tokens) {
  let text = "";
  let bytes = [];
  for (const token of [...tokens, ""]) { // "": 끝에 남은 바이트까지
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
    if (byte) {
      bytes.push(parseInt(byte[1], 16));
      continue;
    }
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    text += decoder.decode(new Uint8Array(bytes)).replaceAll("\ufffd", "");
    bytes = [];
    text += token.replaceAll(SPACE, " ");
  }
  return text;
}

// NFKC를 하는 토크나이저는 ㅋ(U+314B)를 초성 ᄏ(U+110F)로 바꿉니다. 사람이 적는 자모로 되돌립니다.
const JAMO = new Map(Array.from({ length: 0x318f - 0x3131 }, (_, at) => 0x3131 + at)
  .filter((code) => code !== 0x3164) // 채움 문자
  .map((code) => String.fromCharCode(code))
  .map((jamo) => [jamo.normalize("NFKC"), jamo]));

/** 혼자 남은 자모는 사람이 적는 대로 */
const asTyped = (text) => text.replace(/[\u1100-\u11ff]/g, (jamo) => JAMO.get(jamo) ?? jamo);
