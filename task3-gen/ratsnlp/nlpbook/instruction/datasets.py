"""Questions and answers of the user's own, as two data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..errors import UserError
from ..experiments import DEBUG_ROWS
from .conversations import Conversation, read_conversations
from .features import ConversationDataset, Limits

BETWEEN = 8  # tokens that a template may need more between two questions than at the beginning of one


def load_conversation_datasets(args, tokenizer) -> tuple[ConversationDataset, ConversationDataset]:
    """The conversations of ``args.dataset_path`` to learn, and those that are held out (``args.validation_split``).
    Prints how many tokens they take. With ``args.turns`` what is to be learnt is joined too (:func:`joined`).

    Raises:
        UserError: as :func:`~.conversations.read_conversations` and :class:`ConversationDataset` do, or there are
            fewer than two.
    """
    conversations = list(read_conversations(args.dataset_path, tokenizer, args.prompt_column, args.response_column,
                                            args.system_column, args.input_column))
    if args.debug:
        conversations = conversations[: sum(DEBUG_ROWS.values())]
    if len(conversations) < 2:
        raise UserError(f"{args.dataset_path}: 둘 이상이어야 학습용과 평가용으로 나눌 수 있는데 "
                        f"{len(conversations)}개입니다.")
    share = DEBUG_ROWS["test"] / sum(DEBUG_ROWS.values()) if args.debug else args.validation_split
    order = np.random.default_rng(args.seed).permutation(len(conversations))
    held_out = set(order[: max(round(len(conversations) * share), 1)].tolist())

    def dataset(chosen: Sequence[Conversation]) -> ConversationDataset:
        return ConversationDataset(tokenizer, chosen, Limits.of(args), args.truncate, args.dataset_path)

    whole = dataset(conversations)  # so that what is too long is told once, of all
    print(f"대화 {len(conversations):,}개, 토큰 {len(whole.ids):,}개, 그중 답변 {whole.label_lengths.sum():,}개: "
          f"대화 {len(conversations) - len(held_out):,}개로 학습하고 {len(held_out):,}개로 평가합니다.")
    train, validation = (whole.part(row for row, number in enumerate(whole.documents) if (number in held_out) is kind)
                         for kind in (False, True))
    if args.turns > 1:
        learnt = np.setdiff1d(np.arange(len(conversations)), list(held_out))
        lengths = np.bincount(whole.documents, whole.lengths)[learnt]
        learnt = [conversations[number] for number in learnt]
        train = dataset([*learnt, *joined(learnt, lengths, args.turns, args.block_size, args.seed)])
        print(f"turns: 질문과 답변을 {args.turns}개까지 이은 대화를 더해 {len(train):,}개로 학습합니다.")
    train.log_example()
    return train, validation


def joined(conversations: Sequence[Conversation], lengths: Sequence[int], turns: int, most: int,
           seed: int) -> Iterator[Conversation]:
    """Each of ``conversations`` once more, behind up to ``turns`` - 1 others that are drawn at random, as far as there
    is room in ``most`` tokens: so that a model learns to answer the last question. ``lengths`` are their tokens."""
    random = np.random.default_rng([seed, turns])
    for last, length in zip(conversations, lengths, strict=True):
        before = []
        for number in random.choice(len(conversations), random.integers(1, turns), replace=False).tolist():
            other = conversations[number]
            if other is last or other.messages[-1] == last.messages[-1]:  # a question that it has just answered
                continue
            if length + lengths[number] + BETWEEN <= most:
                length += lengths[number] + BETWEEN
                before += [message for message in other.messages if message["role"] != "system"]
        if before:
            system = [message for message in last.messages if message["role"] == "system"]
            yield replace(last, messages=(*system, *before, *last.messages[len(system) :]))
