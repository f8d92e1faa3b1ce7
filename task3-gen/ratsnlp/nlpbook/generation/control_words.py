"""The words that open a review, and where a model begins to learn what they ask for."""

import logging
from collections.abc import Iterable

import torch

logger = logging.getLogger("ratsnlp")


@torch.no_grad()
def initialize_control_words(model, tokenizer, alike: dict[str, str]) -> None:
    """Let the token of each word of ``alike`` begin as the mean of the tokens of a text that means the same.

    Pretraining teaches how people use a control word within a text, not that a text of that kind follows it. A word of
    several tokens shares them with others; it is left as it is, and the log says so. Source: Lester et al. (2021), "The
    power of scale for parameter-efficient prompt tuning", section 3.2 (class labels).
    """
    rows = model.get_input_embeddings().weight
    for word, text in alike.items():
        ids = tokenizer.encode(word, add_special_tokens=False)
        if len(ids) > 1:
            logger.info("제어 단어 %s: 이 토크나이저에서는 토큰 %d개라, 모델에 있는 그대로 시작합니다.", word, len(ids))
        else:
            rows[ids] = rows[tokenizer.encode(text, add_special_tokens=False)].mean(dim=0)


@torch.no_grad()
def blank_control_words(model, tokenizer, words: Iterable[str]) -> None:
    """Let the token of each of ``words`` mean nothing: its row becomes the mean of all the others'.

    Source: Hewitt (2021), "Initializing new word embeddings for pretrained language models".

    Raises:
        ValueError: a word is not one token.
    """
    rows = model.get_input_embeddings().weight
    ids = []
    for word in words:
        (token,) = tokenizer.encode(word, add_special_tokens=False)
        ids.append(token)
    others = torch.ones(len(rows), dtype=torch.bool)
    others[ids] = False
    rows[ids] = rows[others].mean(dim=0)
