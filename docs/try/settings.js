// docs/try/build.py로 만듭니다. 직접 고치지 마세요.
export const SETTINGS = {
 "model": "kogpt-mini",
 "checkpoint": "",
 "val_loss": null,
 "engine": "브라우저",
 "stream": true,
 "steps": true,
 "seed": true,
 "eos": [
  1
 ],
 "fields": [
  {
   "name": "do_sample",
   "korean": "샘플링",
   "help": "true면 확률에 따라 뽑고, false면 확률이 가장 높은 것을 고릅니다",
   "type": "boolean",
   "default": null
  },
  {
   "name": "min_length",
   "korean": "최소 길이",
   "help": "가장 짧은 길이. 프롬프트를 포함한 토큰 수",
   "type": "integer",
   "default": 10,
   "minimum": 1,
   "maximum": 256
  },
  {
   "name": "max_length",
   "korean": "최대 길이",
   "help": "가장 긴 길이. 프롬프트를 포함한 토큰 수",
   "type": "integer",
   "default": 50,
   "minimum": 1,
   "maximum": 256
  },
  {
   "name": "min_new_tokens",
   "korean": "새 토큰 최소",
   "help": "새로 쓸 토큰의 최소 개수. min_length보다 우선합니다",
   "type": "integer",
   "default": null,
   "minimum": 0,
   "maximum": 255
  },
  {
   "name": "max_new_tokens",
   "korean": "새 토큰 최대",
   "help": "새로 쓸 토큰의 최대 개수. max_length보다 우선합니다",
   "type": "integer",
   "default": null,
   "minimum": 1,
   "maximum": 255
  },
  {
   "name": "repetition_penalty",
   "korean": "반복 페널티",
   "help": "이미 나온 토큰의 점수를 얼마나 깎을지. 1은 깎지 않음",
   "type": "number",
   "default": 1.0,
   "minimum": 1.0,
   "maximum": 10.0,
   "slider": [
    1.0,
    2.0
   ]
  },
  {
   "name": "no_repeat_ngram_size",
   "korean": "n-gram 반복 금지",
   "help": "연속한 토큰 몇 개가 다시 나오지 못하게 할지. 0은 막지 않음",
   "type": "integer",
   "default": 0,
   "minimum": 0,
   "maximum": 2048,
   "slider": [
    0,
    8
   ]
  },
  {
   "name": "top_n_sigma",
   "korean": "top-nσ",
   "help": "가장 높은 점수에서 표준편차의 몇 배 안에 드는 토큰만 남길지. 0은 자르지 않음. 보통 1",
   "type": "number",
   "default": null,
   "minimum": 0.0,
   "maximum": 100.0,
   "slider": [
    0.0,
    4.0
   ]
  },
  {
   "name": "temperature",
   "korean": "온도",
   "help": "점수를 이 값으로 나눕니다. 낮으면 뻔하게, 높으면 엉뚱하게. 0은 그리디 서치",
   "type": "number",
   "default": 1.0,
   "minimum": 0.0,
   "maximum": 100000000.0,
   "slider": [
    0.0,
    2.0
   ]
  },
  {
   "name": "top_h",
   "korean": "top-H",
   "help": "엔트로피를 이 비율까지만 남깁니다. 1은 자르지 않음. 보통 0.4",
   "type": "number",
   "default": null,
   "maximum": 1.0,
   "above": 0.0
  },
  {
   "name": "top_k",
   "korean": "top-k",
   "help": "확률이 높은 몇 개에서만 뽑을지. 0은 자르지 않음",
   "type": "integer",
   "default": 50,
   "minimum": 0,
   "maximum": 8000,
   "slider": [
    0,
    200
   ]
  },
  {
   "name": "top_p",
   "korean": "top-p",
   "help": "확률이 높은 토큰부터 더해 이 값이 될 때까지 남깁니다. 1은 자르지 않음",
   "type": "number",
   "default": 1.0,
   "maximum": 1.0,
   "above": 0.0
  },
  {
   "name": "min_p",
   "korean": "min-p",
   "help": "가장 높은 확률의 이 비율보다 낮은 토큰을 뺍니다. 보통 0.05에서 0.1",
   "type": "number",
   "default": null,
   "minimum": 0.0,
   "maximum": 1.0,
   "slider": [
    0.0,
    0.5
   ]
  },
  {
   "name": "typical_p",
   "korean": "typical-p",
   "help": "정보량이 평균에 가까운 토큰부터 확률을 더해 이 값이 될 때까지 남깁니다. 1은 자르지 않음. 보통 0.95",
   "type": "number",
   "default": null,
   "maximum": 1.0,
   "above": 0.0
  },
  {
   "name": "temperature_last",
   "korean": "온도 나중",
   "help": "true면 llama.cpp처럼 후보를 자른 다음에 온도로 나눕니다. transformers는 온도가 먼저입니다",
   "type": "boolean",
   "default": null
  },
  {
   "name": "seed",
   "korean": "시드",
   "help": "같은 요청과 같은 시드는 같은 텍스트가 됩니다. 없으면 새로 뽑아 답에 적습니다",
   "type": "integer",
   "default": null,
   "minimum": 0,
   "maximum": 4294967295
  },
  {
   "name": "steps",
   "korean": "후보",
   "help": "토큰마다 확률이 높은 후보 몇 개를 함께 받을지. 0은 받지 않음",
   "type": "integer",
   "default": 0,
   "minimum": 0,
   "maximum": 100
  },
  {
   "name": "prefix",
   "korean": "정해진 시작",
   "help": "프롬프트 다음에 반드시 올 토큰 번호의 목록",
   "type": "tokens",
   "default": [],
   "minimum": 0,
   "maximum": 7999
  }
 ],
 "presets": [
  {
   "number": 1,
   "knobs": {
    "do_sample": false
   },
   "look_for": "그리디 서치: 매번 확률이 가장 높은 토큰 하나만 고릅니다. 몇 번을 실행해도 같은 텍스트입니다.",
   "compared_with": null
  },
  {
   "number": 4,
   "knobs": {
    "do_sample": false,
    "no_repeat_ngram_size": 3
   },
   "look_for": "연속한 세 토큰은 한 번 나온 그대로 다시 나오지 못합니다. [1]의 반복이 사라졌나요?",
   "compared_with": 1
  },
  {
   "number": 5,
   "knobs": {
    "do_sample": false,
    "repetition_penalty": 1.0
   },
   "look_for": "반복 페널티 1.0은 페널티가 없는 것입니다.",
   "compared_with": 1
  },
  {
   "number": 6,
   "knobs": {
    "do_sample": false,
    "repetition_penalty": 1.1
   },
   "look_for": "이미 나온 토큰의 점수를 조금 깎습니다. 프롬프트에 나온 토큰도 깎습니다. 어디부터 [5]와 달라지나요?",
   "compared_with": 5
  },
  {
   "number": 7,
   "knobs": {
    "do_sample": false,
    "repetition_penalty": 1.2
   },
   "look_for": "조금 더 깎습니다. 반복이 줄어드는 대신 무엇이 바뀌나요?",
   "compared_with": 6
  },
  {
   "number": 8,
   "knobs": {
    "do_sample": false,
    "repetition_penalty": 1.5
   },
   "look_for": "많이 깎습니다. 조사나 문장 부호처럼 꼭 필요한 반복까지 피하지는 않나요?",
   "compared_with": 7
  },
  {
   "number": 9,
   "knobs": {
    "do_sample": true,
    "top_k": 50
   },
   "look_for": "top-k 샘플링: 확률이 높은 50개 가운데 확률에 따라 뽑습니다. 시드를 바꾸면 텍스트도 바뀝니다.",
   "compared_with": 1
  },
  {
   "number": 10,
   "knobs": {
    "do_sample": true,
    "top_k": 1
   },
   "look_for": "한 개 가운데 뽑으면 그리디 서치입니다.",
   "compared_with": 9
  },
  {
   "number": 11,
   "knobs": {
    "do_sample": true,
    "temperature": 0.01,
    "top_k": 50
   },
   "look_for": "온도가 0에 가까우면 확률이 한 토큰에 쏠립니다. [1]과 거의 언제나 같습니다.",
   "compared_with": 9
  },
  {
   "number": 12,
   "knobs": {
    "do_sample": true,
    "temperature": 1.0,
    "top_k": 50
   },
   "look_for": "온도 1.0은 모델의 확률 그대로입니다.",
   "compared_with": 9
  },
  {
   "number": 13,
   "knobs": {
    "do_sample": true,
    "temperature": 100000000.0,
    "top_k": 50
   },
   "look_for": "온도가 아주 높으면 50개의 확률이 모두 같아집니다. 텍스트가 얼마나 무너지나요?",
   "compared_with": 9
  },
  {
   "number": 14,
   "knobs": {
    "do_sample": true,
    "top_p": 0.92
   },
   "look_for": "top-p 샘플링: 확률이 높은 토큰부터 더해 0.92가 될 때까지의 토큰에서 뽑습니다. 책의 설정 그대로라 top_k를 적지 않았는데, 그러면 transformers는 50개로 먼저 자릅니다. [18]이 top_k=0으로 끈 것입니다.",
   "compared_with": 9
  },
  {
   "number": 15,
   "knobs": {
    "do_sample": true,
    "top_p": 0.01
   },
   "look_for": "0.01을 채우는 데는 토큰 하나면 됩니다.",
   "compared_with": 14
  },
  {
   "number": 16,
   "knobs": {
    "do_sample": true,
    "repetition_penalty": 1.5,
    "no_repeat_ngram_size": 3,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 0.92
   },
   "look_for": "모두 함께: 반복은 막고, 가망 없는 토큰은 버리고, 남은 것에서 조금 차분하게 뽑습니다.",
   "compared_with": 9
  },
  {
   "number": 17,
   "knobs": {
    "do_sample": true,
    "top_k": 0
   },
   "look_for": "아무것도 자르지 않고 모델의 확률대로 뽑습니다. 가끔 뽑히는 꼬리의 토큰이 텍스트를 엉뚱한 데로 데려갑니다. 길이와 말투는 사람의 리뷰에 가까워집니다.",
   "compared_with": 9
  },
  {
   "number": 18,
   "knobs": {
    "do_sample": true,
    "top_k": 0,
    "top_p": 0.92
   },
   "look_for": "top-p만 씁니다(Holtzman 외, 2020. 보통 0.9에서 0.95). [14]에 숨어 있던 top_k=50이 없으니, 확률이 고르게 퍼진 스텝에서는 수백 개가 남습니다.",
   "compared_with": 14
  },
  {
   "number": 19,
   "knobs": {
    "do_sample": true,
    "top_k": 0,
    "min_p": 0.1
   },
   "look_for": "min-p: 가장 높은 확률의 10%가 안 되는 토큰을 뺍니다(Nguyen 외, 2025. 보통 0.05에서 0.1). 수십억 매개변수의 모델에 권하는 값입니다. 확률이 고르게 퍼진 작은 모델에서는 너무 많이 잘리지 않나요? 남은 후보와 길이를 [18]과 비교해 보세요.",
   "compared_with": 17
  },
  {
   "number": 20,
   "knobs": {
    "do_sample": true,
    "top_k": 0,
    "typical_p": 0.95
   },
   "look_for": "typical-p: 정보량이 그 스텝의 평균(엔트로피)에 가까운 토큰부터 남깁니다(Meister 외, 2023. 보통 0.95). 가장 확률 높은 토큰이 빠지기도 합니다.",
   "compared_with": 17
  },
  {
   "number": 21,
   "knobs": {
    "do_sample": true,
    "top_h": 0.4,
    "top_k": 0
   },
   "look_for": "top-H: 남긴 토큰들의 엔트로피가 전체의 40%를 넘지 않을 때까지 남깁니다(Potraghloo 외, 2025. 보통 0.4). transformers는 확률이 높은 100개만 놓고 계산합니다.",
   "compared_with": 17
  },
  {
   "number": 22,
   "knobs": {
    "do_sample": true,
    "top_n_sigma": 1.0,
    "top_k": 0
   },
   "look_for": "top-nσ: 확률로 바꾸기 전의 점수에서, 가장 높은 것과 표준편차 하나 안에 드는 토큰만 남깁니다(Tang 외, 2024. 보통 1). 온도를 바꾸어도 남는 토큰은 같습니다.",
   "compared_with": 17
  },
  {
   "number": 23,
   "knobs": {
    "do_sample": true,
    "temperature": 1.5,
    "top_k": 0,
    "top_p": 0.92
   },
   "look_for": "온도를 높이고 top-p로 자릅니다. transformers는 온도로 나눈 다음에 자르므로, 온도가 높을수록 남는 후보도 많아집니다.",
   "compared_with": 18
  },
  {
   "number": 24,
   "knobs": {
    "do_sample": true,
    "temperature": 1.5,
    "top_k": 0,
    "top_p": 0.92,
    "temperature_last": true
   },
   "look_for": "숫자는 [23]과 같고 순서만 바꾸었습니다. llama.cpp는 자르고 나서 온도로 나누므로 남는 후보가 [18]만큼입니다. 프로그램이 다르면 같은 숫자도 다른 설정입니다.",
   "compared_with": 23
  },
  {
   "number": 25,
   "knobs": {
    "do_sample": true,
    "temperature": 1.5,
    "top_k": 0,
    "min_p": 0.1
   },
   "look_for": "온도를 높이고 min-p로 자릅니다. 온도가 높아도 텍스트가 덜 무너집니다. 그러나 보통의 온도에서도 top-p보다 낫다는 주장(Nguyen 외, 2025)은 다시 실험하자 확인되지 않았습니다(Schaeffer 외, 2025).",
   "compared_with": 23
  },
  {
   "number": 30,
   "knobs": {
    "do_sample": true,
    "min_new_tokens": 10,
    "max_new_tokens": 50,
    "top_k": 50
   },
   "look_for": "길이를 새로 쓴 토큰만으로 셉니다. min_length와 max_length는 프롬프트까지 세므로, 프롬프트가 길면 쓸 자리가 줄어듭니다.",
   "compared_with": 9
  }
 ]
};
