"""What steps 2 and 3 share: arguments for the length and number of texts, and figures of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ratsnlp.nlpbook.arguments import argument
from ratsnlp.nlpbook.display import table

from .arguments import StepArguments


@dataclass
class SamplingArguments(StepArguments):
    """How long the texts are, and how many are drawn where texts are counted."""

    min_length: int = argument(10, "텍스트의 최소 길이: 프롬프트를 포함한 토큰 수", minimum=0)
    max_length: int = argument(50, "텍스트의 최대 길이: 프롬프트를 포함한 토큰 수", minimum=2)
    samples: int = argument(20, "통계를 낼 때 뽑을 텍스트의 수", minimum=1)


class Figures(NamedTuple):
    """Figures of texts. Compare ``distinct_2`` between equally many texts only; ``perplexity`` tells how unexpected the
    model finds them (nan where they say nothing)."""

    distinct_2: float
    repeated: float
    syllables: float
    perplexity: float


def figures(model, tokenizer, texts: Sequence[str], prompt: str | None = None) -> Figures:
    """The figures of what ``texts`` say after ``prompt``, with which each begins; None: after the first word of each,
    as of texts that people wrote."""
    from ratsnlp.nlpbook.generation import GenerationExample, bits_per_character, diversity

    prompts = [text.split()[0] if prompt is None else prompt for text in texts]
    pairs = list(zip(texts, prompts, strict=True))
    said = [text.removeprefix(begun) for text, begun in pairs]
    counted, nats = diversity(said, []), math.nan
    if any(said):  # a draw may begin with eos, and one text is all there is when a step is judged
        nats = bits_per_character(model, tokenizer, [GenerationExample(*pair) for pair in pairs])["nats_per_token"]
    return Figures(counted["distinct_2"], counted["repeated_4grams"], counted["mean_syllables"], math.exp(nats))


def figures_table(rows: dict[str, Figures]) -> str:
    """The figures of several collections of texts, one a line under a heading."""
    return table([["", "distinct-2", "반복률", "길이(글자)", "퍼플렉서티"]] + [
        [name, f"{row.distinct_2:.2f}", f"{row.repeated:.1%}", f"{row.syllables:.1f}", f"{row.perplexity:,.0f}"]
        for name, row in rows.items()])
