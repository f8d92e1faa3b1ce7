"""How well a model predicts real texts."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..data_utils import data_collator
from ..generation.features import GenerationExample, GenerationFeatures, TokenStore
from ..generation.loss import has_plain_head, token_losses
from ..generation.models import in_eval_mode
from ..generation.replicas import each
from ..generation.samples import Progress
from ..pretrained import check_eos_token, max_positions

WINDOW = 1024  # tokens of a text seen at a time by a model without a last position


def bits_per_character(model, tokenizer, examples: Sequence[GenerationExample], batch_size: int = 64,
                       progress: Progress = iter) -> dict[str, float]:
    """The loss of ``model`` on ``examples``: ``bits_per_char`` and ``nats_per_token``,
    and the numbers of ``tokens`` and ``characters``.

    The loss counts the tokens after the control word and one eos, and is divided by the characters that those tokens
    cover: so models with different tokenizers compare. No text is truncated: one that is longer than the model's
    positions continues in the next window. The model gets no ``token_type_ids``, however it was trained. It may be
    :class:`~ratsnlp.nlpbook.generation.replicas.Replicas`: the batches are the same, and so is the loss, but for the
    order in which each device adds up. Source: Gao et al. (2020), "The Pile", section 3.1.
    """
    check_eos_token(tokenizer)
    store = TokenStore(examples, tokenizer, max_positions(model.config) or WINDOW, truncate=False)
    store.narrow()
    order = np.argsort(store.lengths, kind="stable")
    nats = tokens = characters = 0
    (plain_head,) = each(model, tokenizer, _plain_head, [()])
    batches = np.array_split(order, math.ceil(len(order) / batch_size))
    jobs = (([store[row] for row in rows], plain_head) for rows in batches)
    for _, sums in zip(progress(batches), each(model, tokenizer, _sums, jobs), strict=True):
        nats, tokens, characters = nats + sums[0], tokens + sums[1], characters + sums[2]
    return {
        "bits_per_char": nats / math.log(2) / characters, "nats_per_token": nats / tokens, "tokens": tokens,
        "characters": characters}


def _plain_head(model, tokenizer) -> bool:
    with in_eval_mode(model):
        return has_plain_head(model)


@torch.no_grad()
def _sums(model, tokenizer, features: list[GenerationFeatures], plain_head: bool) -> tuple[float, int, int]:
    """Over a batch: nats, tokens and characters."""
    batch = data_collator(features)
    with in_eval_mode(model):
        losses, own = token_losses(
            model, {name: tensor.to(model.device) for name, tensor in batch.items()}, plain_head)
    return float(losses[own].double().sum()), int(own.sum()), int(batch["characters"].sum())
