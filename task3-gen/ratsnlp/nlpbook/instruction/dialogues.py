"""Dialogues to summarize, as conversations in which somebody asks for the summary."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ..argument_groups import debug_rows
from ..generation.chat import check_messages, special_tokens, with_input
from .conversations import Conversation, conversation
from .features import ConversationDataset, Limits

if TYPE_CHECKING:
    from ..summarization.dialogues import DialogueCorpus

logger = logging.getLogger("ratsnlp")

# How one asks for a summary: the first where nothing is to be learnt, or once for each dialogue; the others with it
# where the data are augmented.
WORDINGS = (
    "다음 대화를 요약하세요.",
    "아래 대화의 핵심을 한두 문장으로 정리하세요.",
    "사람들이 나눈 대화입니다. 무슨 이야기를 했는지 짧게 쓰세요.",
    "대화를 듣지 못한 사람도 알 수 있도록 내용을 간추리세요.",
    "이 대화에서 중요한 것만 골라 요약문으로 쓰세요.",
)


def asked(tokenizer, dialogue: str, summary: str, place: str, system: str, wording: str = WORDINGS[0]) -> Conversation:
    """The conversation in which the ``summary`` is asked for."""
    return conversation(with_input(tokenizer, wording, dialogue), summary, place, dialogue, system)


class InstructionDataset(ConversationDataset):
    """The dialogues of ``args.downstream_corpus_root_dir/args.downstream_corpus_name``, of ``mode`` ``train`` or
    ``val``, as conversations: of their first summaries, those to learn with ``args.augment`` in all ``WORDINGS``.

    Raises:
        UserError: as :func:`~ratsnlp.nlpbook.summarization.read_dialogues` and :class:`ConversationDataset` do.
    """

    def __init__(self, args, tokenizer, corpus: DialogueCorpus, mode: str = "train"):
        source = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
        examples = debug_rows(corpus.get_examples(source, mode), args, mode)
        if mode == "val" and args.max_eval_samples:
            examples = examples[: args.max_eval_samples]
        wordings = WORDINGS if args.augment and mode == "train" else WORDINGS[:1]
        if len(wordings) > 1:
            logger.info("augment: 지시 %d가지로 대화 %s개를 %s개로 늘립니다.", len(wordings), f"{len(examples):,}",
                        f"{len(examples) * len(wordings):,}")
        conversations = [asked(tokenizer, example.dialogue, example.references[0], example.place, args.system, wording)
                         for example in examples for wording in wordings]
        special = list(special_tokens(tokenizer).values())
        for each in conversations:
            check_messages(each.messages, special, each.place)
        super().__init__(tokenizer, conversations, Limits.of(args), args.truncate, source)
        logger.info("%s: 대화 %s개, 프롬프트와 요약이 %.0f토큰, 그중 요약이 %.0f토큰", mode, f"{len(self):,}",
                    self.lengths.mean(), self.label_lengths.mean())
        if mode == "train":
            self.log_example()
