"""How the next token of each of many texts is chosen: every text by its own knobs and from its own seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from .settings import Setting
from .trace import knob_of

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from .options import DecodingOptions

LENGTHS = ("min_length", "min_new_tokens")
PENALTIES = ("repetition_penalty", "no_repeat_ngram_size", *LENGTHS, "polarity")
CUTS = ("top_n_sigma", "top_h", "top_k", "top_p", "min_p", "typical_p")
ROW_WISE = ("temperature", *CUTS)  # they look at nothing but the scores: rows with the same ones share a call


class Choice:
    """How one text is continued: its logits processors in the order in which they act, and whether it draws.

    Where it draws, token ``i`` depends on number ``i`` of ``random.Random(seed)``, on any device. ``forced`` are the
    token ids that the text has to begin with, however unlikely. They use up their numbers, so that a text that is
    forced to begin as it would anyway also continues as it would. ``steps`` is the number of candidates that each step
    reports, and ``logits`` whether it reports the logits of all tokens.
    """

    def __init__(self, processors: Sequence[Callable], config: GenerationConfig, prompt_length: int, seed: int,
                 forced: Sequence[int] = (), steps: int = 0, logits: bool = False):
        """``processors`` and ``config`` are what :func:`prepare` gave."""
        names = [knob_of(processor) for processor in processors]
        by_ids = max((place for place, name in enumerate(names, start=1) if name not in ROW_WISE), default=0)
        self.first, self.warpers = list(zip(names, processors, strict=True))[:by_ids], processors[by_ids:]
        self.eos = next((each.eos_token_id for name, each in self.first if name in LENGTHS), None)
        begin = [each for each in self.warpers if knob_of(each) != "temperature"][:1]  # it keeps their order
        self.keeps = begin[0].top_k if begin and knob_of(begin[0]) == "top_k" else None
        self.of_kept = [each for each in self.warpers if knob_of(each) != "top_k"]
        self.draws, self._random, self._numbers = config.do_sample, random.Random(seed), []
        self.prompt_length, self.forced, self.steps, self.logits = prompt_length, forced, steps, logits
        self.min_length = max(config.min_length or 0, prompt_length + (config.min_new_tokens or 0))
        self.kind = repr((self.draws, [(knob_of(each), sorted(vars(each).items())) for each in self.warpers]))

    def number(self, ids: list[int]) -> float:
        """Where in [0, 1) the draw of the token behind ``ids`` falls; the same when it is asked for again."""
        place = len(ids) - self.prompt_length
        while len(self._numbers) <= place:
            self._numbers.append(self._random.random())
        return self._numbers[place]

    def acting(self, ids: list[int]) -> list[tuple[str, Callable]]:
        """Those that look at the token ids, without the ones for a length that is reached."""
        return [(name, each) for name, each in self.first if name not in LENGTHS or len(ids) < self.min_length]


def prepare(model, tokenizer, ids: Sequence[int], options: DecodingOptions) -> tuple[list, GenerationConfig]:
    """The logits processors that ``model.generate`` makes of ``options`` after the token ids of a prompt, and its
    settings, among them ``max_length`` (which counts the prompt) and ``do_sample``. Except for ``polarity``, they can
    be reused for another prompt of the same length."""
    row = torch.tensor([ids], device=model.device)
    return model.generate(row, attention_mask=torch.ones_like(row), custom_generate=prepared,
                          **Setting("", options).fit(model, tokenizer))


def prepared(model, input_ids, logits_processor, stopping_criteria, generation_config, **_):
    """A ``custom_generate`` for ``model.generate``: returns what was prepared for the call, and does not make it."""
    return logits_processor, generation_config


@dataclass
class Step:
    """What happened where one token was chosen.

    Attributes:
        token: the one that was taken; ``forced`` where nothing was drawn for it.
        number: where in [0, 1) the draw fell, and ``interval``, of the drawn token: candidates stand side by side
            there, the likeliest first, each as wide as its probability. None where nothing is drawn, and where
            another token is forced than the draw would have given.
        left: how many candidates each knob left, in the order in which they acted.
        order: of the probabilities below.
        entropy: of the model's distribution, and ``final_entropy`` of what is drawn from, in bits.
        candidates: the likeliest by the model, and the token: the raw ``logit``, the probability by the ``model``,
            after the ``penalties``, after ``temperature`` and after the ``cuts``, each as it stood when the last of
            these had acted, and which knob it was ``cut_by``.
        logits: the model's (V,), where they were asked for.
    """

    token: int
    number: float | None
    interval: tuple[float, float] | None
    forced: bool
    left: dict[str, int]
    order: list[str]
    entropy: float
    final_entropy: float
    candidates: list[dict] = field(default_factory=list)
    logits: torch.Tensor | None = field(default=None, repr=False)


@torch.inference_mode()
def choose(rows: Sequence[tuple[list[int], Choice]], logits: torch.Tensor) -> list[tuple[int, Step | None]]:
    """Choose the next token of each of N rows (its token ids so far, and how to choose) by ``logits`` (N, V), which are
    overwritten. Returns the step too, where it was asked for.

    Rows only share calls: a row's token depends on its own scores alone.
    """
    found: dict[int, tuple[int, Step | None]] = {}
    together: dict[str, list[int]] = {}
    short = [place for place, (ids, choice) in enumerate(rows)
             if choice.eos is not None and len(ids) < choice.min_length and not choice.steps]
    if short:  # in one go, and first: no knob before theirs gives a token back
        logits[torch.tensor(short, device=logits.device)[:, None], rows[short[0]][1].eos] = -torch.inf
    for place, (ids, choice) in enumerate(rows):
        watch = _Watch(logits[place].clone()) if choice.steps else None
        for name, processor in choice.acting(ids):
            if name in LENGTHS and not watch:
                continue
            logits[place] = processor(torch.tensor([ids], device=logits.device), logits[place : place + 1])[0]
            if watch:
                watch.note(name, logits[place].clone())
        if watch:
            found[place] = _watched(ids, choice, logits[place : place + 1], watch)
        else:
            together.setdefault(choice.kind, []).append(place)
    for places in together.values():
        choice, scores = rows[places[0]][1], logits if len(places) == len(rows) else logits[places]
        columns, warpers = None, choice.warpers
        if choice.keeps:  # all that follows looks at so many of the likeliest alone
            scores, columns = scores.topk(min(choice.keeps, scores.shape[1]))
            warpers = choice.of_kept
        for processor in warpers:
            scores = processor(None, scores)
        numbers = [own.number(ids) for ids, own in (rows[place] for place in places)]
        for place, token in zip(places, _Drawn(scores, choice.draws, numbers, columns).tokens, strict=True):
            found[place] = _forced(*rows[place], token), None
    return [found[place] for place in range(len(rows))]


def _forced(ids: list[int], choice: Choice, token: int) -> int:
    written = len(ids) - choice.prompt_length
    return choice.forced[written] if written < len(choice.forced) else token


class _Drawn:
    """One token for each of N rows by ``scores`` (N, C): the one where its number in [0, 1) falls, or the likeliest.
    ``columns`` (N, C) are the ids of the scored tokens, where not all tokens are scored."""

    def __init__(self, scores: torch.Tensor, draws: bool, numbers: Sequence[float],
                 columns: torch.Tensor | None = None):
        left = int(scores.isfinite().sum(-1).max())
        if not left:
            raise ValueError("no candidate is left, or the logits are not finite")
        if draws:
            values, order = scores.topk(left)  # the likeliest first
            self.probabilities = values.double().softmax(-1)
            self.reached = self.probabilities.cumsum(-1)
            at = torch.tensor(numbers, dtype=torch.float64, device=scores.device)[:, None] * self.reached[:, -1:]
            self.places = torch.searchsorted(self.reached, at, right=True).clamp(max=left - 1)
            chosen = order.gather(1, self.places)
        else:
            chosen = scores.argmax(-1, keepdim=True)
        self.tokens = (chosen if columns is None else columns.gather(1, chosen))[:, 0].tolist()

    def interval(self) -> tuple[float, float]:
        """Of the first row's token."""
        place = int(self.places[0])
        end = float(self.reached[0, place])
        return end - float(self.probabilities[0, place]), end


class _Watch:
    """The scores (V,) of one row as the model gave them, and as each knob left them."""

    def __init__(self, logits: torch.Tensor):
        self.stages = [("vocabulary", logits)]

    def note(self, name: str, scores: torch.Tensor) -> None:
        self.stages.append((name, scores))

    def distributions(self) -> dict[str, torch.Tensor]:
        """The model's scores, and the scores after the last knob of each kind, in the order in which they acted. A kind
        that did not act has the scores of the one before it."""
        found = {"model": (0, self.stages[0][1])}
        for kind, names in (("penalties", PENALTIES), ("temperature", ("temperature",)), ("cuts", CUTS)):
            acted = [(place, scores) for place, (name, scores) in enumerate(self.stages) if name in names]
            found[kind] = acted[-1] if acted else list(found.values())[-1]
        return {kind: scores for kind, (_, scores) in sorted(found.items(), key=lambda pair: pair[1][0])}


def _watched(ids: list[int], choice: Choice, scores: torch.Tensor, watch: _Watch) -> tuple[int, Step]:
    for processor in choice.warpers:
        scores = processor(None, scores)
        watch.note(knob_of(processor), scores[0])
    number = choice.number(ids)
    drawn = _Drawn(scores, choice.draws, [number])
    token = _forced(ids, choice, drawn.tokens[0])
    raw = watch.stages[0][1]
    shown = raw.topk(min(choice.steps, len(raw))).indices.tolist()
    shown += [] if token in shown else [token]
    at = torch.tensor(shown, device=raw.device)
    columns = {"logit": raw[at].tolist()}
    distributions = watch.distributions()
    for stage, stage_scores in distributions.items():
        columns[stage] = stage_scores.double().softmax(-1)[at].tolist()
    finite = torch.stack([each.isfinite()[at] for _, each in watch.stages])  # (stages, shown)
    cut_by = [None if alive.all() else watch.stages[int((~alive).nonzero()[0])][0] for alive in finite.T]
    is_forced = len(ids) - choice.prompt_length < len(choice.forced)
    return token, Step(
        token, number if choice.draws else None,
        drawn.interval() if choice.draws and token == drawn.tokens[0] else None, is_forced,
        {name: int(each.isfinite().sum()) for name, each in watch.stages}, list(distributions),
        _entropy(raw), _entropy(scores[0]),
        [{"id": number, "cut_by": cut, **dict(zip(columns, values, strict=True))}
         for number, cut, *values in zip(shown, cut_by, *columns.values(), strict=True)],
        raw if choice.logits else None)


def _entropy(scores: torch.Tensor) -> float:
    """Of the distribution that ``scores`` (V,) stand for, in bits."""
    return float(torch.special.entr(scores.double().softmax(-1)).sum() / math.log(2))
