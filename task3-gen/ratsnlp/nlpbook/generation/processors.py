"""Logits processors that transformers has not: top-nσ, guidance by a classifier, and temperature as the last step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from .options import HIDDEN_TOP_K
from .prompts import readable

if TYPE_CHECKING:
    from .options import DecodingOptions

GUIDED = 50  # candidates that a classifier reads at each step: the others are cut, as top-k would


class TopNSigmaLogitsWarper(LogitsProcessor):
    """Cuts what lies more than ``n`` standard deviations of the logits (B, V) below the highest.

    The temperature scales both alike, so that it does not change what is kept. Source: Tang et al. (2024), "Top-nσ: not
    all logits are you need", section 3. What was cut before does not count.
    """

    def __init__(self, n: float):
        self.n = n

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        kept = torch.where(scores.isfinite(), scores, torch.nan)
        mean = kept.nanmean(-1, keepdim=True)
        sigma = (kept - mean).square().nanmean(-1, keepdim=True).sqrt()
        return scores.masked_fill(scores < scores.amax(-1, keepdim=True) - self.n * sigma, -torch.inf)


class PolarityLogitsProcessor(LogitsProcessor):
    """Adds ``weight`` times the log-probability of being 긍정 (with a negative one, of being 부정) to the logits (B, V)
    of the likeliest candidates, each read after the text so far; cuts the others.

    In the spirit of FUDGE (Yang & Klein, 2021, "Controlled text generation with future discriminators"), whose
    classifier was trained on beginnings of texts; ``margins`` was trained on whole reviews.

    Args:
        margins: log odds of being 긍정 of N texts: (N,).
    """

    def __init__(self, weight: float, tokenizer, margins: Callable[[list[str]], np.ndarray]):
        self.weight, self.tokenizer, self.margins = weight, tokenizer, margins
        self.prompt_length = None
        margins([""])  # what only its first call has to wait for is no part of a text's time

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.prompt_length is None:  # what the prompt says is no merit of a candidate's
            self.prompt_length = input_ids.shape[1]
        top, candidates = scores.topk(min(GUIDED, scores.shape[-1]))
        written = input_ids[:, None, self.prompt_length :].expand(-1, candidates.shape[1], -1)
        texts = torch.cat([written, candidates[..., None]], dim=-1).flatten(0, 1)
        odds = self.margins([readable(self.tokenizer, text) for text in texts])
        sign = 1 if self.weight > 0 else -1
        asked = torch.nn.functional.logsigmoid(sign * torch.as_tensor(odds, dtype=scores.dtype, device=scores.device))
        guided = top + abs(self.weight) * asked.view_as(top)
        return torch.full_like(scores, -torch.inf).scatter(1, candidates, guided)


def cuts_before_temperature(options: DecodingOptions) -> list[LogitsProcessor]:
    """transformers' own warpers in its order, but the temperature as the last of them, where llama.cpp has it.

    A top-k that is not named is 50, as where transformers makes them.
    """
    keep = 1 if (options.num_beams or 1) == 1 else 2  # as transformers has it where beams are drawn
    top_k = HIDDEN_TOP_K if options.top_k is None else options.top_k
    makers = [
        (options.top_h, TopHLogitsWarper, {}),
        (top_k, TopKLogitsWarper, {"min_tokens_to_keep": keep}),
        (options.top_p, TopPLogitsWarper, {"min_tokens_to_keep": keep}),
        (options.min_p, MinPLogitsWarper, {"min_tokens_to_keep": keep}),
        (options.typical_p, TypicalLogitsWarper, {"min_tokens_to_keep": keep}),
        (options.temperature, TemperatureLogitsWarper, {}),
    ]
    off = {TopKLogitsWarper: 0, MinPLogitsWarper: None}  # for the others it is 1
    return [make(value, **more) for value, make, more in makers if value is not None and value != off.get(make, 1.0)]
