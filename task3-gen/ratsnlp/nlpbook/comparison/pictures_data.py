"""Figures for the pictures: a model's probabilities and a search's choices in the first steps after a prompt.

Each function takes the token ids (1, T) of a prompt and returns a dictionary that JSON can hold.
"""

import math
import re

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from ..generation.models import in_eval_mode
from ..generation.prompts import readable
from ..pretrained import max_positions

WARPERS = {"none": lambda value: lambda input_ids, scores: scores, "temperature": TemperatureLogitsWarper,
           "top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper}
# The first is the distribution as the model gives it.
RESHAPED = (("temperature", 1.0), ("temperature", 0.5), ("temperature", 1.5), ("top_k", 5), ("top_k", 50),
            ("top_p", 0.5), ("top_p", 0.92))


def token_text(tokenizer, token_id: int) -> str:
    """One token for people: the space that it begins with is ``␣``, bytes that are no character are ``<0xE3>``,
    special tokens are as the vocabulary spells them."""
    spelled = tokenizer.convert_ids_to_tokens(token_id)
    if spelled is None:  # a row of the embedding that no token has
        return f"<{token_id}>"
    if token_id in tokenizer.all_special_ids or re.fullmatch(r"<0x[0-9A-F]{2}>", spelled):
        return spelled
    # A text loses the space that it begins with, the second of two tokens does not.
    text = readable(tokenizer, [token_id, token_id])[len(readable(tokenizer, [token_id])) :]
    if not text:  # a part of a character
        bytes_of = {character: f"<0x{byte:02X}>" for byte, character in bytes_to_unicode().items()}
        text = "".join(bytes_of.get(character, character) for character in spelled)
    text = text.replace(" ", "␣").replace("\n", "⏎")
    return "".join(character if character.isprintable() else f"U+{ord(character):04X}" for character in text)


@torch.no_grad()
def next_token(model, tokenizer, input_ids: torch.Tensor, top: int = 20, settings=RESHAPED) -> dict:
    """The distribution of the token after the prompt, and what temperature, top-k and top-p make of it: each of
    ``settings`` is a knob and its value.

    ``tokens`` are the ``top`` likeliest; ``reshaped`` has for each knob their probabilities (0 where it cuts them),
    the probability of all other tokens, and how many of the whole vocabulary are ``left``. Entropy is in bits.
    """
    with in_eval_mode(model):
        logits = model(input_ids).logits[:, -1].float()
    probabilities = logits.softmax(-1)[0]
    shown = probabilities.topk(min(top, len(probabilities))).indices
    reshaped = []
    for knob, value in settings:
        reshaped.append(panel(knob, value, WARPERS[knob](value)(input_ids, logits)[0], shown))
    return {
        "vocabulary": len(probabilities), "entropy_bits": float(torch.special.entr(probabilities).sum()) / math.log(2),
        "tokens": [{"text": token_text(tokenizer, token), "p": float(probabilities[token])}
                   for token in shown.tolist()],
        "reshaped": reshaped}


def panel(knob: str, value: float | None, scores: torch.Tensor, shown: torch.Tensor) -> dict:
    """What is shown of a knob's logits (V,): the probabilities of the tokens ``shown`` (N,), and of all others."""
    p = scores.softmax(-1)
    return {"knob": knob, "value": value, "left": int(scores.isfinite().sum()), "p": p[shown].tolist(),
            "others": max(0.0, 1 - float(p[shown].sum()))}


@torch.no_grad()
def greedy_path(model, tokenizer, input_ids: torch.Tensor, steps: int = 6, width: int = 3) -> dict:
    """The ``width`` likeliest tokens of each step, of which greedy search takes the first; no further than eos.

    ``log_prob`` of a step is that of all tokens taken so far (nats).
    """
    taken, total, path = input_ids, 0.0, []
    with in_eval_mode(model):
        for _ in range(room(model, input_ids, steps)):
            likely, tokens = model(taken).logits[0, -1].float().log_softmax(-1).topk(width)
            total += float(likely[0])
            path.append({"log_prob": total, "candidates": [
                {"text": token_text(tokenizer, token), "p": p}
                for token, p in zip(tokens.tolist(), likely.exp().tolist(), strict=True)]})
            taken = torch.cat([taken, tokens[None, :1]], dim=1)
            if int(tokens[0]) in eos_ids(model):
                break
    return {"prompt": readable(tokenizer, input_ids[0]), "text": readable(tokenizer, taken[0]), "steps": path}


@torch.no_grad()
def beam_tree(model, tokenizer, input_ids: torch.Tensor, num_beams: int, steps: int = 5) -> dict:
    """The tree of what transformers' own beam search kept over ``steps`` tokens: the beams that it ran at each step,
    those that it gave up later among them, and the sequences that came out.

    A node has its probability after its parent (``p``), the log-probability of all tokens up to it (nats), whether it
    lies on the ``winner``, and, where a sequence ends that came out of the search, its ``rank`` and its ``score``: the
    log-probability over the number of new tokens. The first node is the prompt.
    """
    seen, prompt = _Beams(), tuple(input_ids[0].tolist())
    with in_eval_mode(model):
        found = model.generate(
            input_ids, attention_mask=torch.ones_like(input_ids), num_beams=num_beams, num_return_sequences=num_beams,
            do_sample=False, max_new_tokens=room(model, input_ids, steps),
            logits_processor=LogitsProcessorList([seen]), return_dict_in_generate=True, output_scores=True)
    ranked = {_until_eos(tuple(row), len(prompt), eos_ids(model)): rank
              for rank, row in enumerate(found.sequences.tolist(), start=1)}
    winner = next(iter(ranked))
    kept = {beam[:end] for beam in [*seen.scores, *ranked] for end in range(len(prompt), len(beam) + 1)}
    nodes = {}
    for beam in sorted(kept, key=lambda beam: (len(beam), beam)):
        parent, rank = nodes.get(beam[:-1]), ranked.get(beam)
        step = float(seen.scores[beam[:-1]][beam[-1]]) if parent else 0.0
        nodes[beam] = {
            "id": len(nodes), "parent": parent and parent["id"], "p": math.exp(step),
            "text": token_text(tokenizer, beam[-1]) if parent else readable(tokenizer, beam),
            "log_prob": parent["log_prob"] + step if parent else 0.0, "winner": beam == winner[: len(beam)],
            "rank": rank, "score": rank and float(found.sequences_scores[rank - 1])}
    return {"num_beams": num_beams, "text": readable(tokenizer, winner), "nodes": list(nodes.values())}


class _Beams(LogitsProcessor):
    """The log-probabilities (V,) that a beam search had for the next token of each beam, by the beam's token ids."""

    def __init__(self):
        self.scores: dict[tuple[int, ...], torch.Tensor] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.scores.update(zip(map(tuple, input_ids.tolist()), scores.clone(), strict=True))
        return scores


def eos_ids(model) -> list[int]:
    eos = model.generation_config.eos_token_id
    return eos if isinstance(eos, list) else [eos]


def _until_eos(tokens: tuple[int, ...], start: int, eos: list[int]) -> tuple[int, ...]:
    return tokens[: next((end for end in range(start + 1, len(tokens)) if tokens[end - 1] in eos), len(tokens))]


def room(model, input_ids: torch.Tensor, steps: int) -> int:
    """``steps``, or as many as the model has positions for after the prompt."""
    return min(steps, (max_positions(model.config) or math.inf) - input_ids.shape[1])
