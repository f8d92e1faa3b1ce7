"""Summaries of dialogues: one, a list, a table; each the one that it gets alone."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from .. import generation
from ..errors import UserError
from ..generation.options import WINS, DecodingOptions
from ..generation.prompts import cut_to_sentence, prompt_ids, readable
from ..generation.samples import Sample
from ..pretrained import load_config, load_tokenizer, max_positions
from .dialogues import given_dialogue
from .features import check_hangul, dialogue_ids, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .dialogues import DialogueExample

# What summaries are usually written with, where neither the caller nor the model's generation_config.json says else.
DEFAULTS = {"max_new_tokens": 100, "min_new_tokens": 30, "num_beams": 5, "no_repeat_ngram_size": 3,
            "length_penalty": 1.0, "repetition_penalty": 1.5, "early_stopping": True}
_PLACEHOLDER = re.compile(r"#\w+#")
_UNFINISHED = re.compile(r"\s*#\w*$")


def summary_text(tokenizer, ids: list[int]) -> tuple[str, bool]:
    """The text that a decoder has written as ``ids``, and whether it has ended with eos. A placeholder that it has not
    finished (`` #Pe``) is left off."""
    ended = tokenizer.eos_token_id in ids
    text = " ".join(readable(tokenizer, ids[: ids.index(tokenizer.eos_token_id)] if ended else ids).split())
    whole = _PLACEHOLDER.sub(lambda found: "x" * len(found[0]), text)
    return text[: len(_UNFINISHED.sub("", whole))], ended


class Predictor(generation.Predictor):
    """Lets a model of encoder and decoder summarize dialogues (turns on lines of their own, ``#Person1#: …``).

    It does what :class:`ratsnlp.nlpbook.generation.Predictor` does with prompts, and takes the same options, besides
    ``early_stopping`` of a beam search. What is not given is as the model's ``generation_config.json`` has it, else as
    in ``DEFAULTS``. A ``dialogue`` longer than ``encoder_max_len`` tokens is refused, or with ``truncate`` cut.
    """

    always_named = tuple(DEFAULTS)
    prompts_called, texts_called, rows_called = "dialogue", "summary", "fname"

    def __init__(self, model, tokenizer, device: str | None = None, engine=None, encoder_max_len: int = 512,
                 truncate: bool = False):
        super().__init__(model, tokenizer, device, engine)
        if not self.from_encoder:
            raise UserError(
                f"모델: 인코더와 디코더가 있는 모델(BART, T5)이어야 하는데 {model.config.model_type}입니다.")
        check_hangul(tokenizer)
        self.encoder_max_len = min(encoder_max_len, max_positions(model.config) or encoder_max_len)
        self.truncate = truncate
        own = model.generation_config
        self.defaults = {name: value if getattr(own, name, None) is None else getattr(own, name)
                         for name, value in DEFAULTS.items()}
        for new, whole in WINS.items():  # the latter counts the token that the decoder begins with
            if getattr(own, new, None) is None and getattr(own, whole, None):
                self.defaults[new] = getattr(own, whole) - 1
        positions = max_positions(model.config) or math.inf
        self.defaults["max_new_tokens"] = min(self.defaults["max_new_tokens"], positions - 1)

    @classmethod
    def from_arguments(cls, args, examples: Sequence[DialogueExample]) -> Predictor:
        """Of the arguments of ``infer_sum-N.py``. The ``examples`` are checked before the model is loaded.

        Raises:
            UserError: as :func:`~.features.fit` does with ``args.encoder_max_len`` and ``args.truncate``.
        """
        tokenizer, config = load_tokenizer(args.model_name_or_path), load_config(args.model_name_or_path)
        limit = min(args.encoder_max_len, max_positions(config) or args.encoder_max_len)
        encoded = [dialogue_ids(tokenizer, example.dialogue) for example in examples]
        fit("encoder_max_len", encoded, examples, limit, args.truncate)
        predictor = cls.from_pretrained(
            args.model_name_or_path, args.device, args.engine, args.compute_type, args.seed, args.devices)
        predictor.encoder_max_len = limit
        predictor.truncate = args.truncate
        return predictor

    def _options(self, generation: dict, with_prompt: bool = False) -> DecodingOptions:
        given = {name: value for name, value in generation.items() if value is not None}
        named = {**self.defaults, **given}
        for new, whole in WINS.items():
            if whole in given and new not in given:
                del named[new]
        self.early_stopping = named.pop("early_stopping")
        if named["num_beams"] == 1 and "length_penalty" not in given:
            del named["length_penalty"]
        if "min_new_tokens" in named and "min_new_tokens" not in given:  # a least that nobody asked for gives way
            named["min_new_tokens"] = min(named["min_new_tokens"], named.get("max_new_tokens", math.inf))
        return super()._options(named, with_prompt)

    def _arguments(self, options: DecodingOptions) -> dict:
        more = {"early_stopping": self.early_stopping} if (options.num_beams or 1) > 1 else {}
        return {**super()._arguments(options), **more}

    def _encode(self, prompt, options: DecodingOptions, number: int | None = None) -> list[int]:
        place, dialogue = given_dialogue(prompt, number)
        ids = dialogue_ids(self.tokenizer, dialogue)
        if len(ids) > self.encoder_max_len and not self.truncate:
            raise UserError(f"{place}: {len(ids)}토큰이라 encoder_max_len({self.encoder_max_len})보다 깁니다. "
                            "줄이거나, 뒤를 잘라도 된다면 truncate=True로 하세요.")
        del ids[self.encoder_max_len - 1 : -1]
        new = None if self._counts_prompt(options) else options.max_new_tokens
        return prompt_ids(self.model.config, self.tokenizer, ids, options.max_length, new)  # which checks the lengths

    def _sample(self, prompt: str, before: list[int], new: list[int], ended: bool, whole_sentences: bool) -> Sample:
        text, _ = summary_text(self.tokenizer, new)
        text = cut_to_sentence(text) if whole_sentences and not ended else text
        return Sample(text, ended, text)
