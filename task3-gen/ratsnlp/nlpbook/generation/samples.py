"""Texts that a model writes: the same seed gives the same texts."""

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from ..pretrained import max_positions
from ..text_files import compose
from .models import in_eval_mode, seeded
from .prompts import continuation, quiet_false_alarm, readable
from .replicas import Replicas

Progress = Callable[[Iterable], Iterable]  # tqdm, or nothing


@dataclass(frozen=True)
class Sample:
    """A text without the ``prompt`` that it follows, whether the model ended it by itself,
    with eos, and both together."""

    text: str
    ended: bool
    with_prompt: str


def batch_seed(seed: int, number: int) -> int:
    """The seed of batch ``number`` of those that begin at ``seed``; the first one's is that itself."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]) if number else seed


def sample_texts(model, tokenizer, prompt: str | list[int], count: int, seed: int, top_p: float = 0.92,
                 max_new_tokens: int = 128, batch_size: int = 100, progress: Progress = iter) -> list[Sample]:
    """``count`` texts that ``model`` writes after ``prompt``, a text or token ids (after eos where it is empty),
    by sampling from the nucleus ``top_p`` alone (no top-k, no penalty).

    The same seed gives the same texts on the same kind of machine; model and random state stay as they are. Of
    :class:`~.replicas.Replicas`, however many, each batch has a seed of its own (:func:`batch_seed`): past the first
    batch the texts are others than those of one process, which draws batch after batch. Source: Holtzman et al. (2020),
    "The curious case of neural text degeneration".
    """
    ids = tokenizer.encode(compose(prompt).rstrip()) if isinstance(prompt, str) else prompt
    ids = ids or [tokenizer.eos_token_id]
    starts = range(0, count, batch_size)
    jobs = [(ids, min(batch_size, count - start), top_p, max_new_tokens) for start in starts]
    if isinstance(model, Replicas):
        jobs = [(*job, batch_seed(seed, number)) for number, job in enumerate(jobs)]
        batches = zip(progress(starts), model.map(_sample_batch, jobs), strict=True)
        return [sample for _, batch in batches for sample in batch]
    with seeded(model, seed):
        return [sample for job in progress(jobs) for sample in _sample_batch(model, tokenizer, *job)]


@torch.no_grad()
def _sample_batch(model, tokenizer, ids: list[int], count: int, top_p: float, max_new_tokens: int,
                  seed: int | None = None) -> list[Sample]:
    quiet_false_alarm()
    rows = torch.tensor([ids] * count, device=model.device)
    length = min(len(ids) + max_new_tokens, max_positions(model.config) or math.inf)
    with in_eval_mode(model), nullcontext() if seed is None else seeded(model, seed):
        written = model.generate(
            rows, attention_mask=torch.ones_like(rows), do_sample=True, top_p=top_p, top_k=0, max_length=length)
    return [Sample(continuation(tokenizer, row, len(ids)).strip(),
                   bool((row[len(ids) :] == tokenizer.eos_token_id).any()), readable(tokenizer, row))
            for row in written]
