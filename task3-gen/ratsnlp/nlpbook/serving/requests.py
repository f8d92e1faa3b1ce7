"""What a request may hold: the knobs of :class:`DecodingOptions`, bounded by the model, and what only a server has."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..argument_groups import MAX_SEED
from ..arguments import broken_bound
from ..errors import UserError
from ..generation.options import SAMPLING, WINS, DecodingOptions
from .jobs import Request

if TYPE_CHECKING:
    from .token_engine import TokenEngine

# The knobs of the book's ``inference_fn``, in its order: after the prompt, it takes these.
KNOBS = ("min_length", "max_length", "top_p", "top_k", "repetition_penalty", "no_repeat_ngram_size", "temperature")
OWN_NAMES = {"max_new_tokens": "max_tokens", "min_new_tokens": "min_tokens"}  # of ours, as OpenAI's API has them
OFF = {"top_k": 0, "top_p": 1.0, "temperature": 1.0, "min_length": 1}  # where they do nothing
MAX_STEPS = 100
MAX_TOKENS = 1000  # whose texts are told at once
NUMERIC = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"  # of strings that are taken for numbers

_KINDS = {int: "정수여야", float: "수여야", bool: "true나 false여야"}


@dataclass(frozen=True)
class RequestField:
    """One name that a request may hold: its Korean name and help, its type, its default and its bounds."""

    name: str
    type: type
    default: Any
    korean: str
    help: str
    metadata: dict = field(default_factory=dict)  # minimum, maximum, above
    any_model: dict = field(default_factory=dict)  # the bounds whatever the model, where its own are narrower

    def described(self) -> dict[str, Any]:
        """What a page shows of it, as JSON."""
        bounds = {name: self.metadata[name] for name in ("minimum", "maximum", "above") if name in self.metadata}
        kind = {int: "integer", float: "number", bool: "boolean", tuple: "tokens"}[self.type]
        usual = self.metadata.get("usual")
        slider = {"slider": [usual[0], min(usual[1], self.metadata["maximum"])]} if usual else {}
        return {"name": self.name, "korean": self.korean, "help": self.help, "type": kind, "default": self.default,
                **bounds, **slider}

    def read(self, value: Any):
        """The value of a number or a numeric string, within the bounds that hold for any model.

        Raises:
            UserError: naming the field, the bound and the value.
        """
        if self.type is tuple:
            return self._token_ids(value)
        number = _boolean(value) if self.type is bool else _number(value)
        if number is None or self.type is int and not number.is_integer():
            raise UserError(f"{self.name}: {_KINDS[self.type]} 하는데 {_shown(value)}입니다.")
        return self._bounded(self.any_model or self.metadata, self.type(number))

    def fit(self, value):
        """``value`` within the bounds of the model. Raises UserError as :meth:`read` does."""
        return value if self.type is tuple else self._bounded(self.metadata, value)

    def _bounded(self, metadata, number):
        if bound := broken_bound(SimpleNamespace(metadata=metadata), number):
            raise UserError(f"{self.name}: {bound} 하는데 {number:g}입니다.")
        return number

    def _token_ids(self, value) -> tuple[int, ...]:
        most = self.metadata["maximum"]
        if not are_token_ids(value, most):
            raise UserError(f"{self.name}: 0 이상 {most} 이하인 토큰 번호의 목록이어야 하는데 {_shown(value)}입니다.")
        return tuple(map(int, value))


def request_fields(positions: int | None = None, vocabulary: int | None = None,
                   names: Iterable[str] | None = None) -> dict[str, RequestField]:
    """The fields of these ``names``, or all that a server knows, no higher than a model of so many ``positions`` and
    tokens (``vocabulary``) allows. A knob of the book's has its default there; the others are left to what decoding
    does without them (None)."""
    last = positions and positions - 1
    most = {"top_k": vocabulary, "min_length": positions, "max_length": positions, "min_new_tokens": last,
            "max_new_tokens": last}
    found = {}
    for spec in fields(DecodingOptions):
        table = dict(spec.metadata)
        narrower = {"maximum": min(table["maximum"], most[spec.name])} if most.get(spec.name) else {}
        found[spec.name] = RequestField(
            spec.name, DecodingOptions.type_of(spec.name), table["unnamed"] if spec.name in KNOBS else None,
            table["korean"], table["help"], table | narrower, table)
    if names is not None:
        return {name: found[name] for name in names}
    return found | {each.name: each for each in (
        RequestField("seed", int, None, "시드",
                     "같은 요청과 같은 시드는 같은 텍스트가 됩니다. 없으면 새로 뽑아 답에 적습니다",
                     {"minimum": 0, "maximum": MAX_SEED, "range": True}),
        RequestField("steps", int, 0, "후보", "토큰마다 확률이 높은 후보 몇 개를 함께 받을지. 0은 받지 않음",
                     {"minimum": 0, "maximum": MAX_STEPS, "range": True}),
        RequestField("prefix", tuple, (), "정해진 시작", "프롬프트 다음에 반드시 올 토큰 번호의 목록",
                     {"minimum": 0, "maximum": (vocabulary or 1) - 1}))}


def offered(known: dict[str, RequestField], engine: TokenEngine) -> dict[str, RequestField]:
    """``known`` for an ``engine``: a knob that it has not does nothing by default, and steps tell of no more candidates
    than it does."""
    if engine.knobs is not None:
        known = known | {name: replace(each, default=OFF[name]) for name, each in known.items()
                         if name in OFF and name not in engine.knobs}
    if engine.most_steps is not None:
        steps = known["steps"]
        known = known | {"steps": replace(steps, metadata=steps.metadata | {"maximum": engine.most_steps})}
    return known


def are_token_ids(value: Any, most: int) -> bool:
    """Whether ``value`` is a list of integers up to ``most``; in JSON, 5.0 is one."""
    return isinstance(value, list) and all(
        type(each) in (int, float) and 0 <= each <= most and each == int(each) for each in value)


def check_body(body: Any, example: str = '{"prompt": "안녕하세요"}') -> dict:
    """Raises UserError: it is no object of names and values."""
    if not isinstance(body, dict):
        raise UserError(f"요청은 {example}처럼 이름과 값의 짝이어야 합니다.")
    return body


def check_prompt(prompt: Any) -> str:
    """Raises UserError: there is none, or it is no text."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError("prompt: 한 글자 이상의 텍스트여야 합니다.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError("prompt: 올바른 유니코드 텍스트가 아닙니다.") from None
    return prompt


def read_values(body: dict, known: dict[str, RequestField]) -> dict[str, Any]:
    """What ``body`` names of ``known``; ``""`` is as if it were not there.

    Raises:
        UserError: an unknown name, or a value out of its bounds.
    """
    unknown = sorted(map(str, body.keys() - {"prompt", *known}))
    if unknown:
        raise UserError(f"{_shown(unknown[0])[1:-1]}: 없는 이름입니다. 쓸 수 있는 이름: prompt, {', '.join(known)}")
    return read_known(body, known)


def read_known(body: dict, known: dict[str, RequestField]) -> dict[str, Any]:
    """What ``body`` names of ``known``, and nothing of the others. Raises UserError as :meth:`RequestField.read`."""
    values = {name: known[name].read(value) for name, value in body.items() if name in known and value != ""}
    return {name: known[name].fit(value) for name, value in values.items()}


def book_arguments(body: Any, known: dict[str, RequestField]) -> dict[str, Any]:
    """The eight arguments of the book's ``inference_fn`` out of a request's JSON; absent ones have their default.

    Raises:
        UserError: naming the field, the bound and the value.
    """
    prompt = check_prompt(check_body(body).get("prompt"))
    values = _with_defaults(read_values(body, known), book_defaults(known))
    DecodingOptions(**values)  # which checks what goes together
    return {"prompt": prompt, **{name: values[name] for name in KNOBS}}


def read_request(body: Any, known: dict[str, RequestField]) -> Request:
    """The request of a server that knows all fields.

    Raises:
        UserError: naming the field, the bound and the value.
    """
    prompt = check_prompt(check_body(body).get("prompt"))
    given = read_values(body, known)
    seed, steps, prefix = given.pop("seed", None), given.pop("steps", 0), given.pop("prefix", ())
    options = complete_options(given, book_defaults(known))
    return Request(prompt, options, fresh_seed() if seed is None else seed, prefix, steps)


def read_scores_request(body: Any, known: dict[str, RequestField]) -> tuple[str, tuple[int, ...]]:
    """Prompt and prefix of a request for the scores of the token behind them. Raises UserError as :func:`read_request`.
    """
    prompt = check_prompt(check_body(body).get("prompt"))
    return prompt, read_values(body, {"prefix": known["prefix"]}).get("prefix", ())


def read_token_ids(body: Any, most: int) -> list[int]:
    """Raises UserError: ``ids`` is no list of at most ``MAX_TOKENS`` token ids up to ``most``, or something is beside
    it."""
    ids = check_body(body).get("ids")
    if set(body) != {"ids"} or not are_token_ids(ids, most) or len(ids) > MAX_TOKENS:
        raise UserError(
            f'ids: {{"ids": [5, 7]}}처럼 0 이상 {most} 이하인 토큰 번호를 {MAX_TOKENS}개까지 보내야 합니다.')
    return list(map(int, ids))


def book_defaults(known: dict[str, RequestField]) -> dict[str, Any]:
    return {name: known[name].default for name in KNOBS}


def fresh_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def complete_options(given: dict[str, Any], defaults: dict[str, Any]) -> DecodingOptions:
    """The ``given`` knobs, and the ``defaults`` of the others. Where nothing is drawn, the defaults of knobs that act
    on draws are left out; where a length counts only new tokens, those of the lengths that count the prompt.

    Raises:
        UserError: two that contradict each other.
    """
    passed_over = {whole for new, whole in WINS.items() if new in given}
    given = {name: value for name, value in given.items() if name not in passed_over}
    options = DecodingOptions(**given)
    draws = options.draws
    if options.do_sample is None and options.temperature != 0:
        draws = draws or not ((options.num_beams or 1) > 1 or options.penalty_alpha)
        given["do_sample"] = draws
    return DecodingOptions(**_with_defaults(given, {
        name: value for name, value in defaults.items() if name not in passed_over and (
            draws or name not in SAMPLING)}))


def _with_defaults(given: dict, defaults: dict) -> dict:
    """``given`` with ``defaults``; that of ``min_length`` is no reason to refuse a shorter maximum."""
    values = defaults | given
    if "min_length" not in given and "min_length" in values and "max_length" in values:
        values["min_length"] = min(values["min_length"], values["max_length"])
    return values


def _number(value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) and not (
            isinstance(value, str) and re.fullmatch(NUMERIC, value)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _boolean(value) -> bool | None:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _shown(value) -> str:
    return repr(str(value)[:40])
