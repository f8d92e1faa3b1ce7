// 예상해 보는 카드: 옵션 하나에 한 장. 맞았는지는 이 모델로 이어 써 보고 정합니다.
// question 뒤에는 MEASURES[measure].asks가 붙습니다. before와 after로 이어 써서 비교합니다.
// usual은 보통의 결과(1 늘고, 0 거의 같고, -1 줄어듦), why는 그 이유입니다.

const greedy = { do_sample: false };
const long = { min_new_tokens: 40, max_new_tokens: 40 }; // 반복이 보일 만큼
const whole = { top_k: 0 }; // 숨은 top_k=50을 끕니다
const hot = { top_k: 0, temperature: 1.5, top_p: 0.92 };

const card = (knob, question, before, after, measure, usual, why) =>
  ({ knob, question, before, after, measure, usual, why });

export const CARDS = [
  card("do_sample", "샘플링을 끄면", {}, greedy, "same", 1,
    "그리디 서치는 늘 확률이 가장 높은 것을 고르므로, 시드가 달라도 같습니다."),
  card("num_beams", "그리디 서치를 빔이 다섯인 빔 서치로 바꾸면",
    greedy, { num_beams: 5 }, "same", 0,
    "텍스트는 달라질 수 있어도, 둘 다 뽑지 않으므로 시드와는 상관없습니다."),
  card("length_penalty", "빔 서치의 길이 페널티를 0에서 2로 올리면",
    { num_beams: 5, min_length: 1, length_penalty: 0 },
    { num_beams: 5, min_length: 1, length_penalty: 2 }, "length", 1,
    "로그확률의 합은 길수록 낮아집니다. 길이의 제곱으로 나누면 긴 텍스트가 이깁니다."),
  card("penalty_alpha", "그리디 서치를 대조 탐색으로 바꾸면",
    { ...greedy, ...long }, { penalty_alpha: 0.6, top_k: 5, ...long }, "repeat", -1,
    "앞에 나온 것과 닮은 토큰을 피하므로, 뽑지 않고도 반복이 줄어듭니다."),
  card("min_length", "최소 길이를 1에서 40으로 올리면",
    { min_length: 1 }, { min_length: 40 }, "length", 1,
    "그 길이가 되기 전에는 끝 토큰이 나오지 못합니다. 프롬프트도 길이에 들어갑니다."),
  card("max_length", "최대 길이를 50에서 10으로 내리면",
    { max_length: 50 }, { max_length: 10 }, "length", -1,
    "그 길이가 되면 문장이 끝나지 않았어도 멈춥니다."),
  card("min_new_tokens", "새 토큰의 최소 개수를 0에서 40으로 올리면",
    { min_new_tokens: 0, max_new_tokens: 60 }, { min_new_tokens: 40, max_new_tokens: 60 },
    "length", 1, "끝내고 싶어도 끝 토큰을 막으므로, 할 말이 없어도 이어 씁니다."),
  card("max_new_tokens", "새 토큰의 최대 개수를 50에서 8로 내리면",
    { max_new_tokens: 50 }, { max_new_tokens: 8 }, "length", -1,
    "모델은 몇 개 남았는지 모르므로, 문장을 줄이는 것이 아니라 도중에 멈춥니다."),
  card("repetition_penalty", "그리디 서치에서 반복 페널티를 1.5로 올리면",
    { ...greedy, ...long }, { ...greedy, ...long, repetition_penalty: 1.5 }, "repeat", -1,
    "이미 나온 토큰의 점수를 깎습니다. 조사처럼 꼭 필요한 반복도 함께 깎입니다."),
  card("no_repeat_ngram_size", "그리디 서치에서 연속한 두 토큰의 반복을 막으면",
    { ...greedy, ...long }, { ...greedy, ...long, no_repeat_ngram_size: 2 }, "repeat", -1,
    "한 번 나온 두 토큰이 그대로 다시 나오지 못하므로, 같은 구절을 맴돌지 않습니다."),
  card("polarity", "긍정 쪽으로 5만큼 유도하면", {}, { polarity: 5 }, "left", 0,
    "점수를 더할 뿐 자르지 않으므로 top_k가 50개를 남깁니다. 바뀌는 것은 내용입니다."),
  card("top_n_sigma", "온도가 1.5일 때 top-p를 top-nσ로 바꾸면",
    hot, { top_k: 0, temperature: 1.5, top_n_sigma: 1 }, "model", 1,
    "top-nσ는 온도를 올려도 후보가 늘지 않아, 확률이 낮은 꼬리까지 뽑지 않습니다."),
  card("temperature", "온도를 1에서 2로 올리면", {}, { temperature: 2 }, "model", -1,
    "후보들의 확률 차이가 줄어, 모델이 낮게 본 토큰도 자주 뽑힙니다."),
  card("top_h", "자르지 않다가 top-H를 0.4로 내리면",
    whole, { ...whole, top_h: 0.4 }, "model", 1,
    "남긴 것의 엔트로피를 전체의 40%까지로 묶으므로, 확률이 높은 몇 개만 남습니다."),
  card("top_k", "top-k를 50에서 5로 내리면", { top_k: 50 }, { top_k: 5 }, "model", 1,
    "확률이 높은 다섯 개만 남으니, 뽑히는 것도 확률이 높은 토큰입니다."),
  card("top_p", "자르지 않다가 top-p를 0.92로 내리면",
    whole, { ...whole, top_p: 0.92 }, "left", -1,
    "확률이 8%뿐인 꼬리에 토큰 수천 개가 있습니다. 남는 수는 스텝에 따라 다릅니다."),
  card("min_p", "자르지 않다가 min-p를 0.1로 올리면",
    whole, { ...whole, min_p: 0.1 }, "model", 1,
    "가장 높은 확률의 10%가 안 되는 토큰을 빼므로, 꼬리의 토큰이 뽑히지 않습니다."),
  card("typical_p", "자르지 않다가 typical-p를 0.95로 내리면",
    whole, { ...whole, typical_p: 0.95 }, "left", -1,
    "너무 드문 토큰을 뺍니다. 너무 뻔한 토큰이 빠지는 스텝도 있습니다."),
  card("temperature_last", "온도 1.5와 top-p 0.92에서 온도로 나누기를 나중에 하면",
    hot, { ...hot, temperature_last: true }, "left", -1,
    "확률이 고르게 퍼지기 전에 top-p로 자르므로, 적은 수로도 0.92가 됩니다."),
];
