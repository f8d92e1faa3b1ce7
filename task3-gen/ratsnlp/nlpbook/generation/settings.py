"""The sixteen settings that the tutorial compares."""

import math
from dataclasses import dataclass

from ..pretrained import max_positions
from .options import DecodingOptions


@dataclass(frozen=True)
class Setting:
    """Decoding options, and a Korean line on what to look for in the text that they give."""

    look_for: str
    options: DecodingOptions

    @property
    def arguments(self) -> dict:
        """Keyword arguments of ``model.generate``."""
        return self.options.generate_arguments()

    def fit(self, model) -> dict:
        """:attr:`arguments`, no longer than ``model`` has positions for."""
        most = max_positions(model.config) or math.inf
        return {name: min(value, most) if name in ("min_length", "max_length") else value
                for name, value in self.arguments.items()}

    def __str__(self):
        return str(self.options)


def _greedy(**named) -> DecodingOptions:
    return DecodingOptions(do_sample=False, min_length=10, max_length=50, **named)


def _sample(**named) -> DecodingOptions:
    return DecodingOptions(do_sample=True, min_length=10, max_length=50, **named)


SETTINGS = [
    Setting("그리디 서치: 매번 확률이 가장 높은 토큰 하나만 고릅니다. 몇 번을 실행해도 같은 글입니다.", _greedy()),
    Setting(
        "빔 서치: 후보 셋을 끝까지 비교해 전체 확률이 가장 높은 글을 고릅니다. [1]과 어디서 갈라지나요?",
        _greedy(num_beams=3)),
    Setting("빔이 하나인 빔 서치는 그리디 서치입니다. [1]과 글자 하나까지 같습니다.", _greedy(num_beams=1)),
    Setting(
        "세 토큰이 한 번 나온 그대로는 다시 나오지 못합니다. [1]의 반복이 사라졌나요?",
        _greedy(no_repeat_ngram_size=3)),
    Setting("반복 페널티 1.0은 페널티가 없는 것입니다. [1]과 같습니다.", _greedy(repetition_penalty=1.0)),
    Setting("이미 나온 토큰의 점수를 조금 깎습니다. 어디부터 [5]와 달라지나요?", _greedy(repetition_penalty=1.1)),
    Setting("조금 더 깎습니다. 반복이 줄어드는 대신 무엇이 바뀌나요?", _greedy(repetition_penalty=1.2)),
    Setting("많이 깎습니다. 조사나 문장 부호처럼 꼭 필요한 반복까지 피하지는 않나요?", _greedy(repetition_penalty=1.5)),
    Setting("top-k 샘플링: 확률이 높은 50개 가운데 확률만큼 뽑습니다. 시드를 바꾸면 글도 바뀝니다.", _sample(top_k=50)),
    Setting("하나 가운데 뽑으면 그리디 서치입니다. [1]과 같습니다.", _sample(top_k=1)),
    Setting("온도가 0에 가까우면 확률이 한 토큰에 쏠립니다. [1]과 거의 같습니다.", _sample(top_k=50, temperature=0.01)),
    Setting("온도 1.0은 모델의 확률 그대로입니다. [9]와 같습니다.", _sample(top_k=50, temperature=1.0)),
    Setting(
        "온도가 아주 높으면 50개가 모두 같은 확률이 됩니다. 글이 얼마나 무너지나요?",
        _sample(top_k=50, temperature=1e8)),
    Setting("top-p 샘플링: 확률을 큰 것부터 더해 0.92가 될 때까지의 토큰에서 뽑습니다.", _sample(top_p=0.92)),
    Setting("0.01을 채우는 데는 토큰 하나면 됩니다. [1]과 같습니다.", _sample(top_p=0.01)),
    Setting("모두 함께: 반복은 막고, 가망 없는 토큰은 버리고, 남은 것에서 조금 차분하게 뽑습니다.", _sample(
        repetition_penalty=1.5, no_repeat_ngram_size=3, temperature=0.9, top_k=50, top_p=0.92)),
]
