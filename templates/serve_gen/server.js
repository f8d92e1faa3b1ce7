// 엔진: serve_gen 스크립트의 API. 페이지의 나머지는 이 클래스의 메서드만 알면 됩니다.

import { Engine } from "./engine.js";

const AWAY = "엔진에 연결되지 않습니다. 다시 연결되면 이어 씁니다.";

export async function connect() {
  return new ServerEngine(await (await ask("api/settings")).json());
}

class ServerEngine extends Engine {
  /** 다 써야 텍스트가 정해지는지. 그러면 쓰는 대로 볼 수도, X-ray를 볼 수도 없습니다. */
  whole(knobs) {
    return !this.settings.stream || knobs.num_beams > 1 || knobs.penalty_alpha > 0;
  }

  /**
   * 이어 씁니다. 쓰는 대로 onPart({text, tokens, steps}), 끝나면 {finish_reason, tokens, …}
   * 엔진이 없어 기다리는 동안에는 onWait(한 문장)
   */
  async write(request, { signal, onPart = () => {}, onWait = () => {} } = {}) {
    const timer = setInterval(() => isAway().then((away) => away && onWait(AWAY)), 2000);
    const begin = (part) => {
      clearInterval(timer);
      onPart(part);
    };
    try {
      return await this.#write(request, signal, begin);
    } finally {
      clearInterval(timer);
    }
  }

  async #write(request, signal, onPart) {
    const { steps, ...rest } = request;
    if (this.whole(request)) {
      const done = await (await ask("api", rest, signal)).json();
      const text = done.result.slice(request.prompt.normalize("NFC").trimEnd().length);
      onPart({ text, tokens: [] });
      return done;
    }
    const body = this.settings.steps ? request : rest;
    for await (const { name, data } of events(await ask("api/stream", body, signal))) {
      if (name === "error") throw new Error(data.error);
      if (name === "done") return data;
      onPart(data);
    }
    throw new Error("서버와의 연결이 끊겼습니다. 다시 이어 쓰세요.");
  }

  async askLogits(prompt, prefix) {
    const { ids, logits } = await (await ask("api/logits", { prompt, prefix })).json();
    const bytes = Uint8Array.from(atob(logits), (letter) => letter.charCodeAt());
    return { ids, logits: new Float32Array(bytes.buffer) };
  }

  /** 그 자리의 스텝을 서버가 계산합니다: 분류기처럼 서버에만 있는 것이 있을 때 */
  async step(prompt, prefix, knobs, seed) {
    const body = this.stepRequest(prompt, prefix, knobs, seed);
    return (await (await ask("api", body)).json()).steps.at(-1);
  }

  async askText(id) {
    const { tokens } = await (await ask("api/tokens", { ids: [id] })).json();
    return tokens[0].text;
  }
}

/** 다른 서버에 있는 엔진에 연결되지 않는지 */
async function isAway() {
  const response = await fetch("ready").catch(() => null);
  const told = await response?.json().catch(() => null);
  return told?.status === "away";
}

/** 서버의 답. 오류라면 사람이 읽을 한 문장을 던집니다. */
async function ask(path, body, signal) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" } };
  let response;
  try {
    response = await fetch(path, { ...(body && { ...post, body: JSON.stringify(body) }), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("서버에 연결되지 않습니다. serve_gen 스크립트가 켜져 있는지 확인하세요.");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Error(told.error ?? `서버의 답을 읽을 수 없습니다: HTTP ${response.status}`);
}

/** server-sent events: 빈 줄로 나뉘고, event: 이름과 data: JSON이 있습니다. */
async function* events(response) {
  let waiting = "";
  for await (const part of chunks(response.body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (waiting + part).split("\n\n");
    waiting = blocks.pop();
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data) yield { name, data: JSON.parse(data) };
    }
  }
}

/** Safari의 스트림은 for await로 읽을 수 없습니다. */
async function* chunks(stream) {
  const reader = stream.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
}
