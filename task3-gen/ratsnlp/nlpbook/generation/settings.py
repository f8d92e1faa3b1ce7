"""The sixteen settings that the tutorial compares, and those beyond it."""

import math
from dataclasses import dataclass, replace
from functools import partial

from ..pretrained import max_positions
from .options import DecodingOptions


@dataclass(frozen=True)
class Setting:
    """Decoding options, a Korean line on what to look for in the text that they give, and the number of the setting
    that it is compared with.

    ``always_like`` is the number of an earlier setting that gives the same text whatever the model and the prompt.
    """

    look_for: str
    options: DecodingOptions
    compared_with: int | None = None
    always_like: int | None = None

    @property
    def arguments(self) -> dict:
        """Keyword arguments of ``model.generate``."""
        return self.options.generate_arguments()

    def fit(self, model, tokenizer=None) -> dict:
        """:attr:`arguments`, no longer than ``model`` has positions for; ``polarity`` needs the tokenizer."""
        most = max_positions(model.config) or math.inf
        shorter = {name: min(value, most) for name, value in self.options.named().items()
                   if name in ("min_length", "max_length")}
        make = None
        if self.options.polarity and tokenizer is not None:
            from .judge import PolarityJudge
            from .processors import PolarityLogitsProcessor

            make = partial(PolarityLogitsProcessor, tokenizer=tokenizer, margins=PolarityJudge.bundled().log_odds)
        return replace(self.options, **shorter).generate_arguments(make)

    def __str__(self):
        return str(self.options)


def _greedy(**named) -> DecodingOptions:
    return DecodingOptions(do_sample=False, min_length=10, max_length=50, **named)


def _sample(**named) -> DecodingOptions:
    return DecodingOptions(do_sample=True, min_length=10, max_length=50, **named)


# The book's.
SETTINGS = [
    Setting("그리디 서치: 매번 확률이 가장 높은 토큰 하나만 고릅니다. 몇 번을 실행해도 같은 텍스트입니다.", _greedy()),
    Setting(
        "빔 서치: 후보 셋을 나란히 이어 가며, 토큰당 로그확률의 평균이 가장 높은 것을 고릅니다. 합을 길이로 나누기 "
        "때문에 전체 확률이 가장 높은 텍스트와 다를 수 있습니다. [1]과 어디서 갈라지나요?",
        _greedy(num_beams=3), 1),
    Setting(
        "빔이 하나인 빔 서치는 그리디 서치입니다.",
        _greedy(num_beams=1), 1, always_like=1),
    Setting(
        "연속한 세 토큰은 한 번 나온 그대로 다시 나오지 못합니다. [1]의 반복이 사라졌나요?",
        _greedy(no_repeat_ngram_size=3), 1),
    Setting(
        "반복 페널티 1.0은 페널티가 없는 것입니다.",
        _greedy(repetition_penalty=1.0), 1, always_like=1),
    Setting(
        "이미 나온 토큰의 점수를 조금 깎습니다. 프롬프트에 나온 토큰도 깎습니다. 어디부터 [5]와 달라지나요?",
        _greedy(repetition_penalty=1.1), 5),
    Setting(
        "조금 더 깎습니다. 반복이 줄어드는 대신 무엇이 바뀌나요?",
        _greedy(repetition_penalty=1.2), 6),
    Setting(
        "많이 깎습니다. 조사나 문장 부호처럼 꼭 필요한 반복까지 피하지는 않나요?",
        _greedy(repetition_penalty=1.5), 7),
    Setting(
        "top-k 샘플링: 확률이 높은 50개 가운데 확률에 따라 뽑습니다. 시드를 바꾸면 텍스트도 바뀝니다.",
        _sample(top_k=50), 1),
    Setting(
        "한 개 가운데 뽑으면 그리디 서치입니다.",
        _sample(top_k=1), 9, always_like=1),
    Setting(
        "온도가 0에 가까우면 확률이 한 토큰에 쏠립니다. [1]과 거의 언제나 같습니다.",
        _sample(top_k=50, temperature=0.01), 9),
    Setting(
        "온도 1.0은 모델의 확률 그대로입니다.",
        _sample(top_k=50, temperature=1.0), 9, always_like=9),
    Setting(
        "온도가 아주 높으면 50개의 확률이 모두 같아집니다. 텍스트가 얼마나 무너지나요?",
        _sample(top_k=50, temperature=1e8), 9),
    Setting(
        "top-p 샘플링: 확률이 높은 토큰부터 더해 0.92가 될 때까지의 토큰에서 뽑습니다. 책의 설정 그대로라 top_k를 "
        "적지 않았는데, 그러면 transformers는 50개로 먼저 자릅니다. [18]이 top_k=0으로 끈 것입니다.",
        _sample(top_p=0.92), 9),
    Setting(
        "0.01을 채우는 데는 토큰 하나면 됩니다.",
        _sample(top_p=0.01), 14, always_like=1),
    Setting("모두 함께: 반복은 막고, 가망 없는 토큰은 버리고, 남은 것에서 조금 차분하게 뽑습니다.", _sample(
        repetition_penalty=1.5, no_repeat_ngram_size=3, temperature=0.9, top_k=50, top_p=0.92), 9),
]

# Beyond the book, from number 17.
BEYOND = [
    Setting(
        "아무것도 자르지 않고 모델의 확률대로 뽑습니다. 가끔 뽑히는 꼬리의 토큰이 텍스트를 엉뚱한 데로 데려갑니다. "
        "길이와 말투는 사람의 리뷰에 가까워집니다.",
        _sample(top_k=0), 9),
    Setting(
        "top-p만 씁니다(Holtzman 외, 2020. 보통 0.9에서 0.95). [14]에 숨어 있던 top_k=50이 없으니, 확률이 고르게 퍼진 "
        "스텝에서는 수백 개가 남습니다.",
        _sample(top_k=0, top_p=0.92), 14),
    Setting(
        "min-p: 가장 높은 확률의 10%가 안 되는 토큰을 뺍니다(Nguyen 외, 2025. 보통 0.05에서 0.1). 수십억 매개변수의 "
        "모델에 권하는 값입니다. 확률이 고르게 퍼진 작은 모델에서는 너무 많이 잘리지 않나요? 남은 후보와 길이를 "
        "[18]과 비교해 보세요.",
        _sample(top_k=0, min_p=0.1), 17),
    Setting(
        "typical-p: 정보량이 그 스텝의 평균(엔트로피)에 가까운 토큰부터 남깁니다(Meister 외, 2023. 보통 0.95). 가장 "
        "확률 높은 토큰이 빠지기도 합니다.",
        _sample(top_k=0, typical_p=0.95), 17),
    Setting(
        "top-H: 남긴 토큰들의 엔트로피가 전체의 40%를 넘지 않을 때까지 남깁니다(Potraghloo 외, 2025. 보통 0.4). "
        "transformers는 확률이 높은 100개만 놓고 계산합니다.",
        _sample(top_k=0, top_h=0.4), 17),
    Setting(
        "top-nσ: 확률로 바꾸기 전의 점수에서, 가장 높은 것과 표준편차 하나 안에 드는 토큰만 남깁니다(Tang 외, 2024. "
        "보통 1). 온도를 바꾸어도 남는 토큰은 같습니다.",
        _sample(top_k=0, top_n_sigma=1.0), 17),
    Setting(
        "온도를 높이고 top-p로 자릅니다. transformers는 온도로 나눈 다음에 자르므로, 온도가 높을수록 남는 후보도 "
        "많아집니다.",
        _sample(top_k=0, temperature=1.5, top_p=0.92), 18),
    Setting(
        "숫자는 [23]과 같고 순서만 바꾸었습니다. llama.cpp는 자르고 나서 온도로 나누므로 남는 후보가 [18]만큼입니다. "
        "프로그램이 다르면 같은 숫자도 다른 설정입니다.",
        _sample(top_k=0, temperature=1.5, top_p=0.92, temperature_last=True), 23),
    Setting(
        "온도를 높이고 min-p로 자릅니다. 온도가 높아도 텍스트가 덜 무너집니다. 그러나 보통의 온도에서도 top-p보다 "
        "낫다는 주장(Nguyen 외, 2025)은 다시 실험하자 확인되지 않았습니다(Schaeffer 외, 2025).",
        _sample(top_k=0, temperature=1.5, min_p=0.1), 23),
    Setting(
        "대조 탐색: 확률이 높은 다섯 가운데, 앞에 나온 것과 은닉 상태가 닮지 않은 토큰을 고릅니다(Su 외, 2022. 보통 "
        "0.6과 5). 뽑지 않는데도 반복이 줄어드나요?",
        _greedy(penalty_alpha=0.6, top_k=5), 1),
    Setting(
        "긍정 쪽으로 유도합니다: 후보를 하나씩 붙여 읽은 분류기의 로그확률을 점수에 더합니다(FUDGE: Yang & Klein, "
        "2021의 방식을 단순하게). 모델은 그대로인데 내용이 바뀌나요?",
        _sample(top_k=50, polarity=5.0), 9),
    Setting(
        "같은 방법으로 부정 쪽으로 유도합니다.",
        _sample(top_k=50, polarity=-5.0), 27),
    Setting(
        "빔 서치에서 길이로 나누지 않습니다. 전체 확률이 높은 것을 고르므로 짧은 텍스트가 이깁니다.",
        _greedy(num_beams=3, length_penalty=0.0), 2),
    Setting(
        "길이를 새로 쓴 토큰만으로 셉니다. min_length와 max_length는 프롬프트까지 세므로, 프롬프트가 길면 쓸 자리가 "
        "줄어듭니다.",
        DecodingOptions(do_sample=True, top_k=50, min_new_tokens=10, max_new_tokens=50), 9),
]

ALL_SETTINGS = SETTINGS + BEYOND
