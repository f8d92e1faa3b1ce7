"""Decoding: every knob once, with its name, its Korean name, its default, its bounds and its help.

Whatever shows, checks or hands on a knob reads it here: the settings that the tutorial compares,
flags, the API, the page.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, fields
from functools import cache
from typing import Any, ClassVar

from ..arguments import Arguments, argument
from ..errors import UserError
from ..pretrained import HIDDEN_TOP_K

MAX_BEAMS = 64  # that are computed side by side
MAX_VOCABULARY = 1_000_000  # more than any model has; a server keeps to the model's own
MAX_LENGTH = 2048  # positions of the largest model here; encode_prompt keeps to the model's own
SMALLEST_TEMPERATURE = 0.01  # dividing by less overflows; by then it is greedy search anyway


# What cuts and reshapes the distribution that is drawn from, in transformers' order: without drawing it has no effect.
SAMPLING = ("temperature", "top_h", "top_k", "top_p", "min_p", "typical_p")

# Lengths that count the new tokens alone, and those over which they win, which count the prompt as well.
WINS = {"min_new_tokens": "min_length", "max_new_tokens": "max_length"}


def knob(korean: str, unnamed, help: str, usual: tuple | None = None, **bounds):
    """A field of :class:`DecodingOptions`: None unless it is given; a page or an API then shows ``unnamed``. ``usual``
    is the range of a slider, where that is narrower than the bounds."""
    return argument(None, help, korean=korean, unnamed=unnamed, usual=usual, range="maximum" in bounds, **bounds)


@dataclass
class DecodingOptions(Arguments):
    """How the next token is chosen. What is not given (None) is transformers' default: where it samples, a top-k of 50.

    After those that say how to search and how long, the knobs stand in the order in which they act.
    ``top_n_sigma``, ``polarity``, ``penalty_alpha`` and ``temperature_last`` are ours; the rest are transformers'.

    Raises:
        UserError: naming the field, the bound and the value; or two that contradict each other.
    """

    heading: ClassVar[str] = "디코딩"

    do_sample: bool | None = knob("샘플링", True, "true면 확률에 따라 뽑고, false면 확률이 가장 높은 것을 고릅니다")
    num_beams: int | None = knob(
        "빔의 수", 1, "빔 서치: 나란히 이어 갈 후보의 수", (1, 10), minimum=1, maximum=MAX_BEAMS)
    length_penalty: float | None = knob(
        "길이 페널티", 1.0, "빔 서치에서 로그확률의 합을 길이의 몇 제곱으로 나눌지. 0은 나누지 않음", (-2.0, 2.0),
        minimum=-10.0, maximum=10.0)
    penalty_alpha: float | None = knob(
        "대조 페널티", 0.0,
        "대조 탐색(contrastive search): 앞에 나온 것과 닮은 토큰을 얼마나 피할지. 보통 0.6에 top_k 5",
        minimum=0.0, maximum=1.0)
    min_length: int | None = knob(
        "최소 길이", 10, "가장 짧은 길이. 프롬프트를 포함한 토큰 수", minimum=1, maximum=MAX_LENGTH)
    max_length: int | None = knob(
        "최대 길이", 50, "가장 긴 길이. 프롬프트를 포함한 토큰 수", minimum=1, maximum=MAX_LENGTH)
    min_new_tokens: int | None = knob(
        "새 토큰 최소", 0,
        "새로 쓸 토큰의 최소 개수. min_length보다 우선합니다",
        minimum=0, maximum=MAX_LENGTH)
    max_new_tokens: int | None = knob(
        "새 토큰 최대", 50,
        "새로 쓸 토큰의 최대 개수. max_length보다 우선합니다",
        minimum=1, maximum=MAX_LENGTH)
    repetition_penalty: float | None = knob(
        "반복 페널티", 1.0, "이미 나온 토큰의 점수를 얼마나 깎을지. 1은 깎지 않음", (1.0, 2.0),
        minimum=1.0, maximum=10.0)
    no_repeat_ngram_size: int | None = knob(
        "n-gram 반복 금지", 0, "연속한 토큰 몇 개가 다시 나오지 못하게 할지. 0은 막지 않음", (0, 8),
        minimum=0, maximum=MAX_LENGTH)
    polarity: float | None = knob(
        "극성 유도", 0.0,
        "분류기의 로그확률을 몇 배로 더할지: 양수는 긍정, 음수는 부정 쪽으로", (-10.0, 10.0),
        minimum=-20.0, maximum=20.0)
    top_n_sigma: float | None = knob(
        "top-nσ", 0.0,
        "가장 높은 점수에서 표준편차의 몇 배 안에 드는 토큰만 남길지. 0은 자르지 않음. 보통 1", (0.0, 4.0),
        minimum=0.0, maximum=100.0)
    temperature: float | None = knob(
        "온도", 1.0,
        "점수를 이 값으로 나눕니다. 낮으면 뻔하게, 높으면 엉뚱하게. 0은 그리디 서치", (0.0, 2.0),
        minimum=0.0, maximum=1e8)
    top_h: float | None = knob(
        "top-H", 1.0, "엔트로피를 이 비율까지만 남깁니다. 1은 자르지 않음. 보통 0.4", above=0.0, maximum=1.0)
    top_k: int | None = knob(
        "top-k", HIDDEN_TOP_K, "확률이 높은 몇 개에서만 뽑을지. 0은 자르지 않음", (0, 200),
        minimum=0, maximum=MAX_VOCABULARY)
    top_p: float | None = knob(
        "top-p", 1.0,
        "확률이 높은 토큰부터 더해 이 값이 될 때까지 남깁니다. 1은 자르지 않음",
        above=0.0, maximum=1.0)
    min_p: float | None = knob(
        "min-p", 0.0,
        "가장 높은 확률의 이 비율보다 낮은 토큰을 뺍니다. 보통 0.05에서 0.1", (0.0, 0.5),
        minimum=0.0, maximum=1.0)
    typical_p: float | None = knob(
        "typical-p", 1.0,
        "정보량이 평균에 가까운 토큰부터 확률을 더해 이 값이 될 때까지 남깁니다. 1은 자르지 않음. 보통 0.95",
        above=0.0, maximum=1.0)
    temperature_last: bool | None = knob(
        "온도 나중", False, "true면 llama.cpp처럼 후보를 자른 다음에 온도로 나눕니다. transformers는 온도가 먼저입니다")

    def __post_init__(self):
        super().__post_init__()
        if self.temperature is not None and 0 < self.temperature < SMALLEST_TEMPERATURE:
            raise UserError(
                f"temperature: 0(그리디 서치)이거나 {SMALLEST_TEMPERATURE} 이상이어야 하는데 "
                f"{self.temperature:g}입니다.")
        for low, high in (("min_length", "max_length"), ("min_new_tokens", "max_new_tokens")):
            least, most = getattr(self, low), getattr(self, high)
            if None not in (least, most) and least > most:
                raise UserError(f"{low}: {high}({most}) 이하여야 하는데 {least}입니다.")
        self._check_contradictions()
        for new, whole in WINS.items():
            counted, passed_over = getattr(self, new), getattr(self, whole)
            if None not in (counted, passed_over):
                _warn_once(f"{new}: {whole}와 함께 주어 {new}를 따르고, {whole}({passed_over}, 프롬프트를 포함한 "
                           "길이)는 쓰지 않습니다.")

    def _check_contradictions(self) -> None:
        acting = self.acts_on_draws()
        if self.penalty_alpha and (self.do_sample or acting):
            other = acting[0] if acting else "do_sample=true"
            raise UserError(f"penalty_alpha: 대조 탐색은 뽑지 않습니다. {other} 옵션과 함께 쓸 수 없습니다.")
        if self.penalty_alpha and (self.num_beams or 1) > 1:
            raise UserError(f"penalty_alpha: 대조 탐색은 빔 서치(num_beams={self.num_beams})와 함께 쓸 수 없습니다.")
        if self.penalty_alpha and self.top_k is not None and not 1 <= self.top_k <= MAX_BEAMS:
            raise UserError(
                f"top_k: 대조 탐색(penalty_alpha)에서는 1 이상 {MAX_BEAMS} 이하여야 하는데 {self.top_k}입니다.")
        if self.length_penalty is not None and (self.num_beams or 1) == 1:
            raise UserError("length_penalty: 빔 서치에서만 쓰입니다. num_beams를 2 이상으로 하세요.")
        if self.do_sample is False and acting:
            raise UserError(f"{acting[0]}: 뽑을 때만 쓰입니다. do_sample=false와 함께 쓸 수 없습니다.")

    def named(self) -> dict[str, Any]:
        """The knobs that are named, and their values."""
        return {spec.name: value for spec in fields(DecodingOptions)
                if (value := getattr(self, spec.name)) is not None}

    def acts_on_draws(self) -> list[str]:
        """The given knobs that have an effect only where the next token is drawn."""
        return [name for name in ("temperature_last", "top_n_sigma", *SAMPLING)
                if getattr(self, name) is not None and not (self.penalty_alpha and name == "top_k")]

    @property
    def draws(self) -> bool:
        """Whether another seed may give another text. Without ``do_sample``, a given knob that acts only on draws
        implies that it draws."""
        if self.do_sample is not None or self.temperature == 0:
            return bool(self.do_sample) and self.temperature != 0
        return bool(self.acts_on_draws()) and not self.penalty_alpha

    def generate_arguments(self, polarity_processor: Callable | None = None) -> dict[str, Any]:
        """What is named, as ``model.generate`` takes it.

        A temperature of 0 becomes greedy search. Lengths that count the new tokens alone win over those that count the
        prompt as well. ``polarity_processor(weight)`` makes the logits processor of ``polarity``.

        Raises:
            UserError: ``polarity`` is named, and there is nothing that makes its processor.
        """
        named = self.named()
        named = {name: value for name, value in named.items() if name not in {WINS.get(other) for other in named}}
        if self.top_h == 1.0:  # with which transformers would still cut to the 100 that it looks at
            del named["top_h"]
        weight, sigma, alpha, last = (
            named.pop(name, None) for name in ("polarity", "top_n_sigma", "penalty_alpha", "temperature_last"))
        if self.temperature == 0:  # nothing is divided by it, first or last
            named, last = {name: value for name, value in named.items() if name not in SAMPLING}, None
        if self.draws or self.temperature == 0 or self.penalty_alpha:
            named["do_sample"] = self.draws
        processors = []
        if weight:
            if polarity_processor is None:
                raise UserError("polarity: 텍스트를 읽을 토크나이저가 필요합니다. fit(model, tokenizer)처럼 주세요.")
            processors.append(polarity_processor(weight))
        if sigma or last:
            from .processors import TopNSigmaLogitsWarper, cuts_before_temperature

            processors += [TopNSigmaLogitsWarper(sigma)] if sigma else []
            if last:  # they are among the processors now, and not to be made once more
                processors += cuts_before_temperature(self)
                named = {name: value for name, value in named.items() if name not in SAMPLING} | {"top_k": 0}
        if alpha:
            from .contrastive import contrastive_search

            named["custom_generate"] = contrastive_search(alpha, named.pop("top_k", 5))
        if processors:
            named["logits_processor"] = processors
        return named

    def __str__(self):
        return ", ".join(f"{name}={value}" for name, value in self.named().items())

    @classmethod
    def specs(cls, names: Iterable[str]) -> list[Field]:
        """The fields of these names, in this order; their ``metadata`` tells all that is said of a knob."""
        known = {spec.name: spec for spec in fields(cls)}
        return [known[name] for name in names]


@cache
def _warn_once(message: str) -> None:
    """Log a warning once, though the same options are made many times between a flag and the model."""
    logging.getLogger(__name__).warning(message)
