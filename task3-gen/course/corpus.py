"""What step 4 learns from: NSMC's reviews, or one's own text in their place."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ratsnlp import nlpbook
from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.generation import GenerationExample, NsmcCorpus, read_texts

if TYPE_CHECKING:
    from .arguments import TrainingStepArguments

HELD_OUT = 0.05  # of one's own texts, to validate


class TextCorpus:
    """One's own texts as a :class:`~ratsnlp.nlpbook.generation.NsmcCorpus`: mode ``train`` has most of them, ``test``
    the others. ``control_words`` of one's own are learnt like any other token.

    Raises:
        UserError: as ``read_texts`` does, or there are fewer than two texts.
    """

    control_words: dict[str, str] = {}

    def __init__(self, args: TrainingStepArguments):
        self.examples = list(read_texts(args.dataset_path, args.text_column, args.label_column))
        if len(self.examples) < 2:
            raise UserError(f"{args.dataset_path}: 텍스트가 둘 이상이어야 학습용과 검증용으로 나눌 수 있는데 "
                            f"{len(self.examples)}개입니다.")
        random.Random(args.seed).shuffle(self.examples)

    def get_examples(self, data_root_path, mode: str) -> list[GenerationExample]:
        count = max(round(len(self.examples) * HELD_OUT), 1)
        return self.examples[count:] if mode == "train" else self.examples[:count]


def load_corpus(args: TrainingStepArguments) -> NsmcCorpus | TextCorpus:
    """The corpus that ``args`` name, its files there."""
    if args.dataset_path is not None:
        return TextCorpus(args)
    nlpbook.fetch_corpus(args)
    return NsmcCorpus()
