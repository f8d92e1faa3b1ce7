// 엔진: 모델을 실행하는 쪽. 서버(server.js)와 브라우저(docs/try)가 함께 쓰는 부분입니다.
// 엔진마다 write(), whole(), step()과, 한 번씩 묻는 askLogits()와 askText()가 있습니다.

const CANDIDATES = 20;
const MOST = 30; // 기억해 둘 로짓

export class Engine {
  #logits = new Map();
  #texts = new Map();

  /** settings: GET /api/settings의 내용 */
  constructor(settings) {
    this.settings = settings;
  }

  /** prefix 다음 토큰의 로짓 모두: {ids: 프롬프트까지 포함한 토큰 번호, logits: Float32Array} */
  async logits(prompt, prefix) {
    const key = JSON.stringify([prompt, prefix]);
    if (!this.#logits.has(key)) {
      const found = await this.askLogits(prompt, prefix);
      if (this.#logits.size > MOST) this.#logits.clear();
      this.#logits.set(key, found);
    }
    return this.#logits.get(key);
  }

  /** 토큰 번호의 텍스트 */
  async text(id) {
    if (!this.#texts.has(id)) this.#texts.set(id, await this.askText(id));
    return this.#texts.get(id);
  }

  /** prefix 다음의 한 스텝만 계산하게 하는 요청 */
  stepRequest(prompt, prefix, knobs, seed) {
    const most = prefix.length + 1;
    const least = knobs.min_new_tokens && { min_new_tokens: Math.min(knobs.min_new_tokens, most) };
    const length = { ...least, max_new_tokens: most };
    return { prompt, ...knobs, ...length, prefix, seed, steps: CANDIDATES };
  }
}
