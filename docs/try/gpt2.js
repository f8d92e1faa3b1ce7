// GPT-2의 순전파: 토큰 번호를 읽고, 다음 토큰마다 점수(로짓)를 계산합니다.
//
//   토큰 번호 → 임베딩 + 위치 임베딩 → [어텐션 → MLP] × 층의 수 → 층 정규화 → 로짓
//
// 토큰 하나는 수 256개(n_embd)로 된 벡터입니다. 층마다 벡터에 조금씩 더해서 고쳐 갑니다(잔차 연결).
// 앞 토큰의 키와 값은 바뀌지 않으므로 캐시에 두고 다시 계산하지 않습니다.

export class Gpt2 {
  /** weights: readSafetensors()의 결과, config: config.json */
  constructor(weights, config) {
    if (config.model_type !== "gpt2" || config.activation_function !== "gelu_new") {
      throw new Error("config.json: gelu_new를 쓰는 GPT-2의 설정이 아닙니다.");
    }
    this.config = config;
    const { n_embd: width, vocab_size: vocabulary, n_positions: positions } = config;
    const inner = config.n_inner ?? 4 * width;
    const get = (name, ...shape) => tensor(weights, `transformer.${name}`, shape);
    const linearOf = (name, from, to) => ({
      weight: transpose(get(`${name}.weight`, from, to), from, to),
      bias: get(`${name}.bias`, to),
    });
    const normOf = (name) => ({
      weight: get(`${name}.weight`, width),
      bias: get(`${name}.bias`, width),
    });
    this.tokenEmbedding = get("wte.weight", vocabulary, width);
    this.positionEmbedding = get("wpe.weight", positions, width);
    this.layers = Array.from({ length: config.n_layer }, (_, layer) => ({
      norm1: normOf(`h.${layer}.ln_1`),
      queryKeyValue: linearOf(`h.${layer}.attn.c_attn`, width, 3 * width),
      project: linearOf(`h.${layer}.attn.c_proj`, width, width),
      norm2: normOf(`h.${layer}.ln_2`),
      expand: linearOf(`h.${layer}.mlp.c_fc`, width, inner),
      shrink: linearOf(`h.${layer}.mlp.c_proj`, inner, width),
    }));
    this.lastNorm = normOf("ln_f");
    // 출력층은 임베딩과 가중치가 같습니다(tied). 토큰의 벡터와 닮을수록 그 토큰의 로짓이 큽니다.
    this.head = { weight: this.tokenEmbedding, bias: new Float32Array(vocabulary) };
  }

  /** 빈 캐시. ids: 지금까지 읽은 토큰 번호. 끝을 지우면 그만큼 되돌아갑니다. */
  newCache() {
    const { n_positions: positions, n_embd: width } = this.config;
    const each = () => this.layers.map(() => new Float32Array(positions * width));
    return { ids: [], keys: each(), values: each() };
  }

  /** cache 다음에 ids를 읽고, 마지막 토큰 다음의 로짓(Float32Array)을 돌려줍니다. */
  forward(ids, cache) {
    let vector;
    for (const id of ids) vector = this.#read(id, cache);
    return linear(layerNorm(vector, this.lastNorm, this.config.layer_norm_epsilon), this.head);
  }

  /** 토큰 하나를 읽습니다. 층을 모두 지난 벡터를 돌려줍니다. */
  #read(id, cache) {
    const { n_positions: positions, n_head: heads, layer_norm_epsilon: epsilon } = this.config;
    const place = cache.ids.length;
    if (place >= positions) throw new Error(`이 모델의 최대 길이는 ${positions}토큰입니다.`);
    cache.ids.push(id);
    const vector = this.#embed(id, place);
    for (const [number, layer] of this.layers.entries()) {
      const kept = { keys: cache.keys[number], values: cache.values[number], place };
      add(vector, attention(layerNorm(vector, layer.norm1, epsilon), layer, kept, heads));
      add(vector, mlp(layerNorm(vector, layer.norm2, epsilon), layer));
    }
    return vector;
  }

  /** 무슨 토큰인지와 몇 번째인지: 두 임베딩의 합 */
  #embed(id, place) {
    const { n_embd: width } = this.config;
    const vector = this.tokenEmbedding.slice(id * width, (id + 1) * width);
    add(vector, this.positionEmbedding.subarray(place * width, (place + 1) * width));
    return vector;
  }
}

/** 어텐션: 앞의 토큰 가운데 지금 필요한 것을 찾아(쿼리와 키) 그 내용(값)을 가져옵니다. */
function attention(x, layer, { keys, values, place }, heads) {
  const width = x.length;
  const all = linear(x, layer.queryKeyValue);
  const query = all.subarray(0, width);
  keys.set(all.subarray(width, 2 * width), place * width);
  values.set(all.subarray(2 * width), place * width);
  const found = new Float32Array(width);
  for (let head = 0; head < heads; head++) {
    const from = (head * width) / heads; // 헤드마다 벡터의 한 부분을 맡습니다.
    const to = ((head + 1) * width) / heads;
    const shares = softmax(scoresOf(query, keys, place, from, to));
    gather(found, values, shares, from, to);
  }
  return linear(found, layer.project);
}

/** 쿼리와 앞 토큰마다의 키가 얼마나 맞는지: 내적을 √(헤드의 크기)로 나눈 것 */
function scoresOf(query, keys, place, from, to) {
  const scores = new Float32Array(place + 1);
  const scale = 1 / Math.sqrt(to - from);
  for (let each = 0; each <= place; each++) {
    const start = each * query.length;
    let total = 0;
    for (let i = from; i < to; i++) total += query[i] * keys[start + i];
    scores[each] = total * scale;
  }
  return scores;
}

/** 값을 비율(shares)대로 섞어 found에 더합니다. */
function gather(found, values, shares, from, to) {
  for (let each = 0; each < shares.length; each++) {
    const start = each * found.length;
    const share = shares[each];
    for (let i = from; i < to; i++) found[i] += share * values[start + i];
  }
}

/** MLP: 넓혔다가(256 → 1024) 다시 줄입니다. 토큰마다 따로 계산합니다. */
function mlp(x, { expand, shrink }) {
  return linear(gelu(linear(x, expand)), shrink);
}

/** 활성화 함수 gelu_new: 양수는 거의 그대로, 음수는 거의 0 */
function gelu(x) {
  for (let i = 0; i < x.length; i++) {
    const inside = Math.sqrt(2 / Math.PI) * (x[i] + 0.044715 * x[i] * x[i] * x[i]);
    x[i] *= 0.5 * (1 + Math.tanh(inside));
  }
  return x;
}

/** 층 정규화: 평균 0, 분산 1로 맞춘 다음 가중치를 곱하고 편향을 더합니다. */
function layerNorm(x, { weight, bias }, epsilon) {
  let total = 0;
  for (const each of x) total += each;
  const mean = total / x.length;
  let squares = 0;
  for (const each of x) squares += (each - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / x.length + epsilon);
  return x.map((each, i) => (each - mean) * scale * weight[i] + bias[i]);
}

/** 합이 1인 비율로: 점수가 1 크면 e배 */
function softmax(scores) {
  const most = scores.reduce((one, other) => Math.max(one, other));
  const shares = scores.map((score) => Math.exp(score - most));
  const total = shares.reduce((sum, each) => sum + each);
  return shares.map((each) => each / total);
}

/**
 * 출력마다 가중치 한 행과 x의 내적에 편향을 더합니다. 시간은 거의 모두 여기서 갑니다.
 * 여덟 행을 함께 계산하면 x를 한 번만 읽고, 앞의 덧셈이 끝나기를 기다리지도 않습니다.
 */
function linear(x, { weight, bias }) {
  const y = new Float32Array(bias); // 복사
  const n = x.length;
  for (let row = 0; row < y.length; row += 8) { // y의 끝을 넘는 것은 쓰이지 않습니다.
    let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let i = 0, at = row * n; i < n; i++, at++) {
      const value = x[i];
      a += value * weight[at];
      b += value * weight[at + n];
      c += value * weight[at + 2 * n];
      d += value * weight[at + 3 * n];
      e += value * weight[at + 4 * n];
      f += value * weight[at + 5 * n];
      g += value * weight[at + 6 * n];
      h += value * weight[at + 7 * n];
    }
    y[row] += a;
    y[row + 1] += b;
    y[row + 2] += c;
    y[row + 3] += d;
    y[row + 4] += e;
    y[row + 5] += f;
    y[row + 6] += g;
    y[row + 7] += h;
  }
  return y;
}

function add(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

/** 파일에는 (입력, 출력)의 순서로 있습니다. 출력 하나의 가중치가 한 줄로 있어야 차례로 읽습니다. */
function transpose(data, rows, columns) {
  const turned = new Float32Array(data.length);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[at++];
  }
  return turned;
}

function tensor(weights, name, shape) {
  const found = weights.get(name);
  if (String(found?.shape) !== String(shape)) {
    throw new Error(`가중치 파일에 모양이 [${shape}]인 ${name} 텐서가 없습니다.`);
  }
  return found.data;
}
