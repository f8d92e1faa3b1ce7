"""Summaries that a causal language model writes when it is told to: one, a list, a table; each as it gets it alone."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

from .. import generation
from ..errors import UserError
from ..generation.chat import check_messages, encode, render, special_tokens, use_format
from ..generation.prompts import prompt_ids
from ..generation.samples import Sample
from ..pretrained import load_config, load_tokenizer, max_positions
from ..summarization.dialogues import given_dialogue
from .arguments import SYSTEM
from .dialogues import asked
from .features import cut_text, tell_cuts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..generation.options import DecodingOptions
    from ..summarization.dialogues import DialogueExample

NEW_TOKENS = 200  # where no length is named


class Predictor(generation.Predictor):
    """Lets a causal language model summarize dialogues (turns on lines of their own, ``#Person1#: …``), before it has
    been trained to or after: it is told to in the ``format`` of :func:`~ratsnlp.nlpbook.generation.chat.use_format`,
    behind the ``system`` message.

    It does what :class:`ratsnlp.nlpbook.generation.Predictor` does with prompts, and takes the same options. A prompt
    longer than ``encoder_max_len`` tokens is refused, or with ``truncate`` the beginning of its dialogue left off.
    """

    prompts_called, texts_called, rows_called = "dialogue", "summary", "fname"

    def __init__(self, model, tokenizer, device: str | None = None, engine=None, format: str = "auto",
                 system: str = SYSTEM, encoder_max_len: int = 1024, truncate: bool = False):
        if model.config.is_encoder_decoder:
            raise UserError(f"모델: 인코더가 있는 모델({model.config.model_type})은 infer_sum-0.py나 infer_sum-1.py로 "
                            "요약합니다.")
        tokenizer = copy.deepcopy(tokenizer)  # whose template may become another
        use_learnt_format(tokenizer, format)
        super().__init__(model, tokenizer, device, engine)
        self.system, self.truncate = system, truncate
        self.positions = max_positions(model.config) or math.inf
        self.encoder_max_len = min(encoder_max_len, self.positions)

    @classmethod
    def from_arguments(cls, args, examples: Sequence[DialogueExample]) -> Predictor:
        """Of the arguments of ``infer_sum-2.py``. The ``examples`` are checked before the model is loaded.

        Raises:
            UserError: some are too long, and ``args.truncate`` is false.
        """
        name = args.model_name_or_path
        tokenizer, positions = load_tokenizer(name), max_positions(load_config(name)) or math.inf
        use_learnt_format(tokenizer, args.format)
        most = min(args.encoder_max_len, positions - _room(args, positions))
        cuts = {}
        for example in examples:
            whole, ids = dialogue_prompt(tokenizer, example.dialogue, example.place, args.system, most)
            if len(ids) < len(whole):
                cuts[example.place] = (len(whole) - len(ids), 0)
        tell_cuts(cuts, ("encoder_max_len",), args.truncate)
        plain = generation.Predictor.from_pretrained(
            name, args.device, args.engine, args.compute_type, args.seed, args.devices)
        return cls(plain.model, plain.tokenizer, engine=plain.engine, format=args.format, system=args.system,
                   encoder_max_len=args.encoder_max_len, truncate=args.truncate)

    @property
    def _new_tokens(self) -> int:
        return _new_tokens(self.positions)

    def _encode(self, prompt, options: DecodingOptions, number: int | None = None) -> list[int]:
        place, dialogue = given_dialogue(prompt, number)
        room = _room(options, self.positions)
        whole, ids = dialogue_prompt(self.tokenizer, dialogue, place, self.system,
                                     min(self.encoder_max_len, self.positions - room))
        if len(ids) < len(whole) and not self.truncate:
            raise UserError(f"{place}: 프롬프트가 {len(whole):,}토큰이라 encoder_max_len({self.encoder_max_len})보다 "
                            "깁니다. 줄이거나, 앞을 잘라도 된다면 truncate=True로 하세요.")
        return prompt_ids(self.model.config, self.tokenizer, ids, options.max_length, room or None)

    def _sample(self, prompt, before: list[int], new: list[int], ended: bool, whole_sentences: bool) -> Sample:
        sample = super()._sample(before, before, new, ended, whole_sentences)
        text = " ".join(sample.text.split())
        return Sample(text, ended, text)


def use_learnt_format(tokenizer, name: str) -> None:
    """:func:`~ratsnlp.nlpbook.generation.chat.use_format`. Raises UserError where it needs tokens that ``tokenizer``
    lacks: no model has learnt them yet."""
    lacking = use_format(tokenizer, name)
    if lacking:
        raise UserError(f"format: 이 모델은 대화 템플릿의 {lacking[0]} 토큰을 배우지 않았습니다. train_sum-2.py로 "
                        "학습하거나, --format instruction으로 실행하세요.")


def dialogue_prompt(tokenizer, dialogue: str, place: str, system: str, most: int) -> tuple[list[int], list[int]]:
    """The token ids that ask for the summary of a ``dialogue``: all of them, and ``most`` of them.

    Raises:
        UserError: what is asked leaves no room for the dialogue.
    """
    *before, _ = asked(tokenizer, dialogue, ".", place, system).messages
    check_messages(before, special_tokens(tokenizer).values(), place)
    whole = encode(tokenizer, render(tokenizer, before))
    ids = whole if len(whole) <= most else cut_text(tokenizer, before, dialogue, most)
    if len(ids) > most:
        raise UserError(f"encoder_max_len: 지시와 대화의 끝 글자만 {len(ids):,}토큰이라 {len(ids):,} 이상이어야 하는데 "
                        f"{most:,}입니다.")
    return whole, ids


def _new_tokens(positions: float) -> int:
    """Where no length is named."""
    return min(NEW_TOKENS, positions // 2)


def _room(options: DecodingOptions, positions: float) -> int:
    """How many new tokens ``options`` ask for; none where their length counts the prompt's as well."""
    return 0 if Predictor._counts_prompt(options) else options.max_new_tokens or _new_tokens(positions)
