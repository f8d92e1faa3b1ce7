// 엔진: 이 브라우저가 실행하는 kogpt-mini. 메서드는 서버를 부르는 server.js의 것과 같습니다.

import { Engine } from "../../templates/serve_gen/engine.js";
import { SETTINGS } from "./settings.js";

const MODEL = "../../task3-gen/kogpt-mini/";

/** onProgress(0부터 1까지)는 가중치를 받는 동안 불립니다. */
export async function connect({ onProgress = () => {} } = {}) {
  const engine = new BrowserEngine(SETTINGS, startWorker());
  await engine.load(onProgress);
  return engine;
}

class BrowserEngine extends Engine {
  #worker;
  #asked = new Map(); // 번호 → 답을 기다리는 것
  #last = 0;

  constructor(settings, worker) {
    super(settings);
    this.#worker = worker;
    worker.onmessage = ({ data: { id, ...answer } }) => this.#asked.get(id)?.(answer);
    worker.onerror = () => {
      const error = "모델을 실행할 워커가 시작되지 않습니다. 브라우저를 업데이트하고 다시 여세요.";
      for (const answered of [...this.#asked.values()]) answered({ error });
    };
  }

  load(onProgress) {
    const load = { ...files(), settings: this.settings };
    return this.#ask({ load }, { onProgress });
  }

  /** 다 써야 텍스트가 정해지는 옵션(빔 서치 등)은 이 엔진에 없습니다. */
  whole() {
    return false;
  }

  /** 이어 씁니다. 쓰는 대로 onPart({text, tokens, steps}), 끝나면 {finish_reason, tokens, …} */
  write(request, { signal, onPart } = {}) {
    return this.#ask({ write: request }, { signal, onPart });
  }

  askLogits(prompt, prefix) {
    return this.#ask({ logits: { prompt, prefix } });
  }

  /** 그 자리의 스텝을 워커가 계산합니다. */
  async step(prompt, prefix, knobs, seed) {
    const request = this.stepRequest(prompt, prefix, knobs, seed);
    const steps = [];
    await this.write(request, { onPart: (part) => steps.push(...part.steps) });
    return steps.at(-1);
  }

  askText(id) {
    return this.#ask({ text: id });
  }

  /** 워커에 묻습니다. 멈추면(signal) 답을 기다리지 않고 끝냅니다. */
  #ask(message, { signal, onPart = () => {}, onProgress = () => {} } = {}) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const stop = () => {
        this.#worker.postMessage({ stop: id });
        end(reject, signal.reason);
      };
      const end = (settle, value) => {
        this.#asked.delete(id);
        signal?.removeEventListener("abort", stop);
        settle(value);
      };
      signal?.addEventListener("abort", stop);
      this.#asked.set(id, ({ part, progress, error, done }) => {
        if (part) onPart(part);
        else if (progress !== undefined) onProgress(progress);
        else if (error !== undefined) end(reject, new Error(error));
        else end(resolve, done);
      });
      this.#worker.postMessage({ id, ...message });
    });
  }
}

// 파일 하나로 된 페이지(make try)에는 워커와 모델이 페이지 안에 있습니다.

const inside = (name) => document.getElementById(name)?.textContent;

function startWorker() {
  const text = inside("worker");
  if (!text) return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
}

function files() {
  const weights = inside("weights");
  if (!weights) {
    const url = (name) => new URL(MODEL + name, import.meta.url).href;
    const [json, config] = [url("tokenizer.json"), url("config.json")];
    return { weights: url("model.safetensors"), json, config };
  }
  const letters = atob(weights);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  const [json, config] = ["tokenizer", "config"].map((name) => JSON.parse(inside(name)));
  return { weights: bytes.buffer, json, config };
}
