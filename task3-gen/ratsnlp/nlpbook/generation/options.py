"""Decoding: every knob once, with its name, its Korean name, its default, its bounds and its help.

Whatever shows, checks or hands on a knob reads it here: the settings that the tutorial compares,
flags, the API, the page.
"""

import math
from collections.abc import Iterable
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, ClassVar

from ..arguments import Arguments, argument
from ..errors import UserError

MAX_LENGTH = 2048  # positions of the largest model here; encode_prompt keeps to the model's own
SMALLEST_TEMPERATURE = 0.01  # dividing by less overflows; by then it is greedy search anyway


def knob(korean: str, unnamed, help: str, **bounds):
    """A field of :class:`DecodingOptions`: None where nobody names it; a page or an API has ``unnamed`` then."""
    return argument(None, help, korean=korean, unnamed=unnamed, range="minimum" in bounds, **bounds)


@dataclass
class DecodingOptions(Arguments):
    """How the next token is chosen. What is not named (None) is as transformers has it:
    where it samples, with a top-k of 50.

    The knobs stand in the order in which they act. Raises UserError, naming the field, the bound and the value.
    """

    heading: ClassVar[str] = "디코딩"

    do_sample: bool | None = knob("샘플링", True, "true면 확률만큼 뽑고, false면 확률이 가장 높은 것을 고릅니다")
    min_length: int | None = knob("최소 길이", 10, "가장 짧은 길이(토큰)", minimum=1, maximum=MAX_LENGTH)
    max_length: int | None = knob("최대 길이", 50, "가장 긴 길이(토큰)", minimum=1, maximum=MAX_LENGTH)
    num_beams: int | None = knob("빔의 수", 1, "끝까지 비교할 후보의 수", minimum=1, maximum=64)
    repetition_penalty: float | None = knob("반복 페널티", 1.0, "1은 페널티 없음", minimum=1.0, maximum=10.0)
    no_repeat_ngram_size: int | None = knob("n-gram 반복 금지", 0, "0은 막지 않음", minimum=0, maximum=MAX_LENGTH)
    temperature: float | None = knob("온도", 1.0, "0은 언제나 같은 글", minimum=0.0, maximum=1e8)
    top_k: int | None = knob("top-k", 50, "확률이 높은 몇 개에서", minimum=1, maximum=1000)
    top_p: float | None = knob("top-p", 1.0, "더해서 이만큼이 될 때까지", minimum=0.01, maximum=1.0)

    def __post_init__(self):
        super().__post_init__()
        if self.temperature is not None and 0 < self.temperature < SMALLEST_TEMPERATURE:
            raise UserError(
                f"temperature: 0(그리디 서치)이거나 {SMALLEST_TEMPERATURE} 이상이어야 하는데 "
                f"{self.temperature:g}입니다.")
        if None not in (self.min_length, self.max_length) and self.min_length > self.max_length:
            raise UserError(f"min_length: max_length({self.max_length}) 이하여야 하는데 {self.min_length}입니다.")

    def named(self) -> dict[str, Any]:
        """The knobs that are named, and their values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def generate_arguments(self) -> dict[str, Any]:
        """What is named, as ``model.generate`` takes it: a temperature of 0 is greedy search there by another name."""
        named = self.named()
        return named | {"do_sample": False, "temperature": 1.0} if self.temperature == 0 else named

    def __str__(self):
        return ", ".join(f"{name}={value}" for name, value in self.named().items())

    @classmethod
    def specs(cls, names: Iterable[str]) -> list[Field]:
        """The fields of these names, in this order; their ``metadata`` tells all that is said of a knob."""
        known = {spec.name: spec for spec in fields(cls)}
        return [known[name] for name in names]

    @classmethod
    def from_request(cls, values: dict[str, Any], names: Iterable[str]) -> "DecodingOptions":
        """The options of a request: numbers or numeric strings; of ``names`` those that are not in
        ``values`` have their default.

        Raises:
            UserError: naming the field, the bound and the value.
        """
        specs = cls.specs(names)
        return cls(**{
            spec.name: _number(spec.name, values[spec.name], cls.type_of(spec.name))
            if spec.name in values else spec.metadata["unnamed"]
            for spec in specs})


def _number(name: str, value, kind: type):
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (kind is int and not number.is_integer()):
        raise UserError(f"{name}: {'정수' if kind is int else '수'}여야 하는데 {str(value)[:40]!r}입니다.")
    return kind(number)
