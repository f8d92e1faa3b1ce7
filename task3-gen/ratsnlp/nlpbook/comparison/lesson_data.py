"""Figures for the pictures of the notebook: what a model attends to, learns from, and prefers after a processor.

Token ids of a prompt are (1, T). Each function returns a dictionary that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

from ..errors import UserError
from ..generation.models import in_eval_mode
from ..generation.prompts import readable
from ..run_folder import RunFolder
from ..training.loss_watch import LossWatch
from .pictures_data import eos_ids, panel, room, token_text

if TYPE_CHECKING:
    from ..generation.features import GenerationFeatures

PROCESSORS = {
    "no_repeat_ngram_size": NoRepeatNGramLogitsProcessor, "repetition_penalty": RepetitionPenaltyLogitsProcessor}


@torch.no_grad()
def likeliest(model, tokenizer, input_ids: torch.Tensor, top: int) -> dict:
    """The prompt's tokens, and the ``top`` likeliest tokens after it."""
    with in_eval_mode(model):
        probabilities = model(input_ids).logits[0, -1].float().softmax(-1)
    values, tokens = probabilities.topk(min(top, len(probabilities)))
    return {
        "prompt": readable(tokenizer, input_ids[0]), "vocabulary": len(probabilities),
        "prompt_tokens": [{"id": token, "text": token_text(tokenizer, token)} for token in input_ids[0].tolist()],
        "tokens": [{"id": token, "text": token_text(tokenizer, token), "p": p}
                   for token, p in zip(tokens.tolist(), values.tolist(), strict=True)],
        "longer": readable(tokenizer, torch.cat([input_ids[0], tokens[:1]]))}


@torch.no_grad()
def attention(networks: dict[str, torch.nn.Module], tokenizer, input_ids: torch.Tensor) -> dict:
    """How much each of T tokens attends to each, in each network: (T, T), the mean over its layers and heads."""
    found = []
    for name, network in networks.items():
        with in_eval_mode(network), _eager(network):
            attentions = network(input_ids.to(network.device), output_attentions=True).attentions
        found.append({"name": name, "weights": torch.stack(attentions).float().mean(dim=(0, 2))[0].tolist()})
    return {"tokens": [token_text(tokenizer, token) for token in input_ids[0].tolist()], "networks": found}


@contextmanager
def _eager(network: torch.nn.Module) -> Iterator[None]:
    """While it lasts, the network computes its attention step by step: the quick ways do not tell the weights."""
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def features(feature: GenerationFeatures, tokenizer) -> dict:
    """The four lists of a feature, a row a position, and whether the recipe ``standard`` learns the position's token:
    every real one but the first, before which there is nothing, and one eos behind the text."""
    length = sum(feature.attention_mask)
    columns = {
        "input_ids": feature.input_ids, "attention_mask": feature.attention_mask,
        "token_type_ids": feature.token_type_ids, "labels": feature.labels}
    return {"tokens": [token_text(tokenizer, token) for token in feature.input_ids],
            "columns": {name: values for name, values in columns.items() if values is not None},
            "counts": [1 <= position <= length for position in range(len(feature.input_ids))]}


@torch.no_grad()
def processed(model, tokenizer, input_ids: torch.Tensor, knob: str, value: float, top: int = 8,
              steps: int = 50) -> dict:
    """The first step of a greedy search at which the processor of ``knob`` has another token taken, or the last of so
    many where it never has: the probabilities before and after it."""
    processor, written = PROCESSORS[knob](value), input_ids
    with in_eval_mode(model):
        for left in reversed(range(room(model, input_ids, steps))):
            logits = model(written).logits[:, -1].float()
            scores = processor(written, logits.clone())
            before, after = int(logits.argmax()), int(scores.argmax())
            if before != after or after in eos_ids(model) or not left:
                break
            written = torch.cat([written, scores.argmax(-1)[None]], dim=1)
    shown = logits[0].topk(min(top, logits.shape[-1])).indices.tolist()
    if after not in shown:
        shown[-1] = after
    p, indices = logits[0].softmax(-1), torch.tensor(shown, device=logits.device)
    panels = [panel("none", None, logits[0], indices), panel(knob, value, scores[0], indices)]
    return {
        "written": readable(tokenizer, written[0]), "vocabulary": logits.shape[-1],
        "tokens": [{"text": token_text(tokenizer, token), "p": float(p[token])} for token in shown],
        "reshaped": [each | {"taken": shown.index(token)} for each, token in zip(panels, (before, after), strict=True)]}


def losses(folder: str | Path) -> dict[str, list]:
    """The curve of the run in ``folder``: ``loss`` and ``val_loss`` as (step, nats).

    Raises:
        UserError: no run has been there.
    """
    last = RunFolder(folder).last
    if not last.is_file():
        raise UserError(f"{folder}: 여기에는 학습한 기록(last.ckpt)이 없습니다. 먼저 학습하세요.")
    callbacks = torch.load(last, map_location="cpu", weights_only=True, mmap=True)["callbacks"]
    return callbacks[LossWatch.__qualname__]["curve"]
