"""Texts that a model writes: the same seed gives the same texts."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from ..pretrained import max_positions
from ..text_files import compose
from .models import in_eval_mode, seeded
from .prompts import continuation, quiet_false_alarm, readable

Progress = Callable[[Iterable], Iterable]  # tqdm, or nothing


@dataclass(frozen=True)
class Sample:
    """A text without the ``prompt`` that it follows, whether the model ended it by itself,
    with eos, and both together."""

    text: str
    ended: bool
    with_prompt: str


@torch.no_grad()
def sample_texts(model, tokenizer, prompt: str | list[int], count: int, seed: int, top_p: float = 0.92,
                 max_new_tokens: int = 128, batch_size: int = 100, progress: Progress = iter) -> list[Sample]:
    """``count`` texts that ``model`` writes after ``prompt``, a text or token ids (after eos where it is empty),
    by sampling from the nucleus ``top_p`` alone (no top-k, no penalty).

    The same seed gives the same texts on the same kind of machine; model and random state stay as they are. Source:
    Holtzman et al. (2020), "The curious case of neural text degeneration".
    """
    quiet_false_alarm()
    ids = tokenizer.encode(compose(prompt).rstrip()) if isinstance(prompt, str) else prompt
    ids = torch.tensor([ids or [tokenizer.eos_token_id]], device=model.device)
    length = min(ids.shape[1] + max_new_tokens, max_positions(model.config) or math.inf)
    samples = []
    with in_eval_mode(model), seeded(model, seed):
        for start in progress(range(0, count, batch_size)):
            rows = ids.expand(min(batch_size, count - start), -1)
            written = model.generate(
                rows, attention_mask=torch.ones_like(rows), do_sample=True, top_p=top_p, top_k=0, max_length=length)
            for row in written:
                ended = bool((row[ids.shape[1] :] == tokenizer.eos_token_id).any())
                text = continuation(tokenizer, row, ids.shape[1]).strip()
                samples.append(Sample(text, ended, readable(tokenizer, row)))
    return samples
