"""Questions and answers of the user's own, as two data sets."""

from __future__ import annotations

import numpy as np

from ..errors import UserError
from ..experiments import DEBUG_ROWS
from .conversations import read_conversations
from .features import ConversationDataset, Limits


def load_conversation_datasets(args, tokenizer) -> tuple[ConversationDataset, ConversationDataset]:
    """The conversations of ``args.dataset_path`` to learn, and those that are held out (``args.validation_split``).
    Prints how many tokens they take.

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
    dataset = ConversationDataset(tokenizer, conversations, Limits.of(args), args.truncate, args.dataset_path)
    share = DEBUG_ROWS["test"] / sum(DEBUG_ROWS.values()) if args.debug else args.validation_split
    held_out = np.random.default_rng(args.seed).permutation(len(conversations))
    held_out = set(held_out[: max(round(len(conversations) * share), 1)].tolist())
    parts = [dataset.part(row for row, number in enumerate(dataset.documents) if (number in held_out) is kind)
             for kind in (False, True)]
    print(f"대화 {len(conversations):,}개, 토큰 {len(dataset.ids):,}개, 그중 답변 {dataset.label_lengths.sum():,}개: "
          f"{len(conversations) - len(held_out):,}개로 학습하고 {len(held_out):,}개로 평가합니다.")
    parts[0].log_example()
    return parts[0], parts[1]
