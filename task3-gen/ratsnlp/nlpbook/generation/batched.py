"""Many settings and seeds in one batch: each row is decoded as if it were alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch

from .choosing import prepared
from .models import seeded
from .trace import Trace, TracedProcessors, traced

ROWS = 256  # of a batch


@dataclass
class Run:
    """Arguments of ``model.generate``, the seeds to start from, and the results.

    ``texts`` has for each seed the token ids of the prompt and of what follows, up to eos if there is one.
    """

    arguments: dict
    seeds: Sequence[int]
    texts: list[torch.Tensor] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)

    @property
    def goes_alone(self) -> bool:
        """Whether it cannot share a batch: beams compete with each other, and another way to decode is on its own."""
        return self.arguments.get("num_beams", 1) > 1 or "custom_generate" in self.arguments


def generate_batched(model, input_ids: torch.Tensor, runs: Sequence[Run]) -> None:
    """Continue the prompt ``input_ids`` (1, T) by every run, and fill in its texts and its trace.

    A text is the one that ``model.generate`` gives alone after ``manual_seed(seed)``: each row has the logits
    processors of its own call and a random generator of its own. The global random state stays as it is.
    """
    together = []
    for run in runs:
        run.texts, run.trace = [], Trace()
        if run.goes_alone:
            _alone(model, input_ids, run)
        else:
            together += [(run, seed) for seed in run.seeds]
    for start in range(0, len(together), ROWS):
        _together(model, input_ids, together[start : start + ROWS])


def _alone(model, input_ids: torch.Tensor, run: Run) -> None:
    for seed in run.seeds:
        with seeded(model, seed), traced(model) as trace:
            (text,) = model.generate(input_ids, attention_mask=torch.ones_like(input_ids), **run.arguments)
        run.texts.append(_ended(text, input_ids.shape[1], model.generation_config.eos_token_id))
        for name, counts in trace.counts.items():
            run.trace.counts.setdefault(name, []).extend(counts)


def _together(model, input_ids: torch.Tensor, rows: list[tuple[Run, int]]) -> None:
    parts, position = [], 0
    for _, group in groupby(rows, key=lambda row: id(row[0])):
        (run, *_), seeds = zip(*group, strict=True)
        prompts = input_ids.expand(len(seeds), -1)
        processors, config = model.generate(
            prompts, attention_mask=torch.ones_like(prompts), custom_generate=prepared, **run.arguments)
        generators = [torch.Generator(model.device).manual_seed(seed) for seed in seeds] if config.do_sample else None
        counted = TracedProcessors(processors, run.trace, config.eos_token_id)
        parts.append(_Part(run, slice(position, position + len(seeds)), counted, generators, config.max_length))
        position += len(seeds)
    prompts, eos = input_ids.expand(len(rows), -1), model.generation_config.eos_token_id
    written = model.generate(
        prompts, attention_mask=torch.ones_like(prompts), custom_generate=_sample_by(_EachRowsOwn(parts, eos)),
        do_sample=False, max_length=max(part.max_length for part in parts))
    for part in parts:
        part.run.texts += [_ended(text, input_ids.shape[1], eos)[: part.max_length] for text in written[part.rows]]


def _sample_by(own: Callable) -> Callable:
    """A way to decode for ``model.generate``: its own loop with nothing but ``own`` as a logits processor."""

    def decode(model, input_ids, logits_processor, stopping_criteria, generation_config, **more):
        return model._sample(input_ids, own, stopping_criteria, generation_config, **more)

    return decode


@dataclass
class _Part:
    run: Run
    rows: slice
    processors: TracedProcessors
    generators: list[torch.Generator] | None
    max_length: int


class _EachRowsOwn:
    """Applies to each part its own processors; for a row that samples, draws a token and leaves only that one."""

    def __init__(self, parts: list[_Part], eos_token_id: int | list[int]):
        self.parts, self.eos = parts, eos_token_id

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = torch.full_like(scores, -torch.inf)
        for part in self.parts:
            if input_ids.shape[1] >= part.max_length:  # it would have stopped here
                chosen[part.rows, self.eos] = 0.0
                continue
            own = part.processors(input_ids[part.rows], scores[part.rows])
            if part.generators is None:
                tokens = own.argmax(-1, keepdim=True)
            else:
                tokens = torch.cat([
                    torch.multinomial(row.unsqueeze(0), 1, generator=generator)
                    for row, generator in zip(own.softmax(-1), part.generators, strict=True)])
            chosen[part.rows].scatter_(1, tokens, 0.0)
        return chosen


def _ended(text: torch.Tensor, prompt_length: int, eos_token_id: int | list[int]) -> torch.Tensor:
    """``text`` (T,) up to the first eos after the prompt."""
    ends = torch.isin(text[prompt_length:], torch.tensor(eos_token_id, device=text.device)).nonzero()
    return text[: prompt_length + int(ends[0]) + 1] if len(ends) else text
