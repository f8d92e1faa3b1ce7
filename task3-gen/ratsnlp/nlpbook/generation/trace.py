"""What happens inside a call of ``model.generate``: how many candidates each of its logits processors leaves."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

# What our options call the work of each logits processor.
KNOBS = {
    "RepetitionPenaltyLogitsProcessor": "repetition_penalty", "NoRepeatNGramLogitsProcessor": "no_repeat_ngram_size",
    "MinLengthLogitsProcessor": "min_length", "MinNewTokensLengthLogitsProcessor": "min_new_tokens",
    "PolarityLogitsProcessor": "polarity", "TopNSigmaLogitsWarper": "top_n_sigma",
    "TemperatureLogitsWarper": "temperature", "TopHLogitsWarper": "top_h", "TopKLogitsWarper": "top_k",
    "TopPLogitsWarper": "top_p", "MinPLogitsWarper": "min_p", "TypicalLogitsWarper": "typical_p",
}


def knob_of(processor: Callable) -> str:
    """The knob that ``processor`` implements; the name of its class where it is none of ours."""
    name = type(processor).__name__
    return KNOBS.get(name, name)


@dataclass
class Trace:
    """The candidates left after each logits processor, at each step of each text that had not ended, and the seconds.

    ``counts`` maps ``"vocabulary"`` and then the knobs, in the order in which they acted, to one number a step.
    """

    counts: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        return len(self.counts.get("vocabulary", []))

    def medians(self) -> dict[str, float]:
        """The median over the steps of what each knob left."""
        return {name: statistics.median(counts) for name, counts in self.counts.items()}

    def note(self, name: str, scores: torch.Tensor, alive: torch.Tensor) -> None:
        self.counts.setdefault(name, []).extend(scores[alive].isfinite().sum(-1).tolist())


class TracedProcessors(list):
    """The logits processors of one call, each of them counted; rows that have ended are not."""

    def __init__(self, processors: Iterable[Callable], trace: Trace, eos_token_id: int | list[int] | None):
        super().__init__(processors)
        self.trace, self.prompt_length = trace, None
        self.eos = torch.tensor([] if eos_token_id is None else eos_token_id).flatten()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.prompt_length is None:
            self.prompt_length = input_ids.shape[1]
        alive = ~torch.isin(input_ids[:, self.prompt_length :], self.eos.to(input_ids)).any(-1)
        self.trace.note("vocabulary", scores, alive)
        for processor in self:
            scores = processor(input_ids, scores)
            self.trace.note(knob_of(processor), scores, alive)
        return scores


@contextmanager
def traced(model) -> Iterator[Trace]:
    """While it lasts, calls of ``model.generate`` are counted, and the last one is timed; then the model is as it was.

    >>> with traced(model) as trace:                                                          # doctest: +SKIP
    ...     model.generate(input_ids, do_sample=True, top_k=50)
    >>> trace.medians()                                                                       # doctest: +SKIP
    {'vocabulary': 8000, 'top_k': 50}
    """
    trace, make, began = Trace(), model._get_logits_processor, time.perf_counter()

    def counted(*arguments, generation_config, **more):
        nonlocal began
        began = time.perf_counter()  # without what its arguments took
        processors = make(*arguments, generation_config=generation_config, **more)
        return TracedProcessors(processors, trace, generation_config.eos_token_id)

    model._get_logits_processor = counted
    try:
        yield trace
    finally:
        trace.seconds = time.perf_counter() - began
        del model._get_logits_processor
