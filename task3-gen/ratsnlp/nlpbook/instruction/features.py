"""Conversations as the model sees them: token ids, of which those of the answers are learnt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Dataset

from ..errors import UserError
from ..generation.chat import Message, encode, end_of_answer, render, without_oldest
from ..generation.features import GenerationFeatures
from ..generation.loss import IGNORED
from ..pretrained import check_eos_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from .conversations import Conversation

logger = logging.getLogger("ratsnlp")


@dataclass(frozen=True)
class Limits:
    """The most tokens of a prompt, of an answer with its end, and of both; and the fields that say so."""

    prompt: int
    answer: int
    both: int
    names: tuple[str, str]

    @classmethod
    def of(cls, args) -> Limits:
        """Of the arguments of ``train.py``, or of ``train_sum-N.py``."""
        if hasattr(args, "block_size"):
            return cls(args.block_size - 1, args.block_size, args.block_size, ("block_size", "block_size"))
        return cls(args.encoder_max_len, args.decoder_max_len, args.encoder_max_len + args.decoder_max_len,
                   ("encoder_max_len", "decoder_max_len"))


@dataclass(frozen=True)
class Turn:
    """A prompt, up to where its answer begins, and the answer with its end, as token ids; how many tokens were cut off
    of either."""

    prompt: list[int]
    answer: list[int]
    lost: tuple[int, int] = (0, 0)


def encode_turn(tokenizer: PreTrainedTokenizerFast, messages: Iterable[Message], end: int) -> Turn:
    """The last of ``messages`` as the answer to those before it, up to the token ``end``.

    It begins where the prompt's rendering ends. So a template does not have to mark answers (``{% generation %}``):
    most published ones do not, and the mask that transformers then gives is zero, without a word.
    """
    *before, answer = messages
    prompt = encode(tokenizer, render(tokenizer, before))
    whole = encode(tokenizer, render(tokenizer, [*before, answer], answering=False))
    found = whole[len(prompt) :]
    if whole[: len(prompt)] != prompt or end not in found:  # a template that tells of past answers in another way
        found = [*encode(tokenizer, answer["content"]), end]
    return Turn(prompt, found[: found.index(end) + 1])


def cut_text(tokenizer: PreTrainedTokenizerFast, messages: Iterable[Message], text: str, most: int) -> list[int]:
    """The prompt of ``messages``, cut down to ``most`` tokens at the beginning of the ``text`` that its last message
    ends with: the instruction before it stays, and the end of the text. What is left of it is whole characters, of
    which one at least stays."""
    asked, rendered = (render(tokenizer, messages, answering) for answering in (False, True))
    encoding = tokenizer.backend_tokenizer.encode(rendered, add_special_tokens=False)
    begins = asked.rfind(text) if rendered.startswith(asked) else -1
    inside = [place for place, (first, last) in enumerate(encoding.offsets)
              if first >= begins and begins < last <= begins + len(text)]
    if begins < 0 or not inside:  # the template has changed it
        return encoding.ids
    whole = [place for place in inside  # not the rest of a character's bytes
             if place == inside[0] or encoding.offsets[place][0] >= encoding.offsets[place - 1][1]]
    least = inside[0] + len(encoding.ids) - most
    kept = next((place for place in whole if place >= least), whole[-1])
    return [*encoding.ids[: inside[0]], *encoding.ids[kept:]]


def fit(tokenizer: PreTrainedTokenizerFast, conversation: Conversation, end: int, limits: Limits) -> Turn:
    """The last turn of ``conversation`` within the ``limits``: the oldest questions go first, then the beginning of its
    text, then the end of the answer, which then has none.

    Raises:
        UserError: nothing of the text would be left (naming its place).
    """
    messages = list(conversation.messages)
    turn = whole = encode_turn(tokenizer, messages, end)
    while len(turn.prompt) > min(limits.prompt, limits.both - min(len(turn.answer), limits.answer)):
        shorter = without_oldest(messages)
        if shorter is None:
            break
        messages = shorter
        turn = encode_turn(tokenizer, messages, end)
    answer = turn.answer[: limits.answer]
    prompt = turn.prompt
    if len(prompt) > min(limits.prompt, limits.both - len(answer)):
        prompt = cut_text(tokenizer, messages[:-1], conversation.text, min(limits.prompt, limits.both - len(answer)))
    if len(prompt) > limits.prompt:
        raise UserError(
            f"{limits.names[0]}: {conversation.place}의 질문에서 자를 수 없는 부분만 {len(prompt):,}토큰이라 "
            f"{limits.prompt:,}토큰에 들어가지 않습니다. {limits.names[0]} 값을 늘리거나 그 줄을 줄이세요.")
    answer = answer[: limits.both - len(prompt)]
    return Turn(prompt, answer, (len(whole.prompt) - len(prompt), len(whole.answer) - len(answer)))


def tell_cuts(cuts: dict[str, tuple[int, int]], names: tuple[str, ...], truncate: bool) -> None:
    """Log how many tokens of how many prompts and answers are cut off, by their places.

    Raises:
        UserError: there are some, and ``truncate`` is false (naming the fields ``names`` that bound them).
    """
    if not cuts:
        return
    of_prompts, of_answers = (sum(kind) for kind in zip(*cuts.values(), strict=True))
    lost = [f"{what}에서 {count:,}토큰" for what, count in (("프롬프트", of_prompts), ("답변", of_answers)) if count]
    told = (f"{', '.join(dict.fromkeys(names))}: {next(iter(cuts))} 등 {len(cuts):,}개가 깁니다. 자르면 "
            f"{', '.join(lost)}을 잃습니다.")
    if not truncate:
        raise UserError(f"{told} 값을 늘리거나, 잘라도 된다면 --truncate를 붙이세요.")
    logger.warning("%s", told)


def turns_of(conversation: Conversation) -> Iterator[Conversation]:
    """What was said up to each answer of ``conversation``."""
    messages = conversation.messages
    for place, message in enumerate(messages):
        if message["role"] == "assistant" and place + 1 < len(messages):
            yield replace(conversation, messages=messages[: place + 1], text=messages[place - 1]["content"])
    yield conversation


class ConversationDataset(Dataset):
    """``conversations`` as token ids: ``self[i]`` is a :class:`GenerationFeatures` whose labels are ``IGNORED`` outside
    of the answers, padded with eos to the longest. A conversation is one row as long as each answer's prompt begins
    as the row does, and fits; else the answer has a row of its own.

    Raises:
        UserError: as :func:`fit` does, or something is too long and ``truncate`` is false; the template does not tell
            where an answer ends.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, conversations: Iterable[Conversation], limits: Limits,
                 truncate: bool, source: str | Path):
        check_eos_token(tokenizer)
        self.tokenizer, self.source = tokenizer, Path(source)
        self.rows, self.answers, self.characters = [], [], []  # ids; (begin, end) of its answers; their characters
        self.documents, self.questions = [], []  # the number of each row's conversation, and what was asked first
        end = end_of_answer(tokenizer)
        cuts = {}
        for number, conversation in enumerate(conversations):
            row = []
            for part in turns_of(conversation):
                turn = fit(tokenizer, part, end, limits)
                if any(turn.lost):
                    # Prompts share what they begin with; each answer is another.
                    of_prompt, of_answers = cuts.get(conversation.place, (0, 0))
                    cuts[conversation.place] = max(of_prompt, turn.lost[0]), of_answers + turn.lost[1]
                if not row or turn.prompt[: len(row)] != row:
                    self.answers.append([])
                    self.rows.append(None)
                    self.characters.append(0)
                    self.documents.append(number)
                    self.questions.append(part.text)
                row = [*turn.prompt, *turn.answer]
                self.rows[-1] = np.asarray(row, dtype=np.int32)
                self.answers[-1].append((len(turn.prompt), len(row)))
                self.characters[-1] += len(tokenizer.decode(turn.answer, skip_special_tokens=True).strip())
        tell_cuts(cuts, limits.names, truncate)
        self.width = int(self.lengths.max()) + 1

    def log_example(self) -> None:
        """Log the first row, and which of its tokens are learnt."""
        ids, (begin, end) = self.rows[0], self.answers[0][0]
        logger.info("*** Example ***")
        logger.info("prompt: %s", self.tokenizer.decode(ids[:begin]))
        logger.info("answer: %s", self.tokenizer.decode(ids[begin:end]))
        logger.info("labels: %s", " ".join(self.tokenizer.convert_ids_to_tokens(ids[begin:end].tolist())))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index: int) -> GenerationFeatures:
        ids = self.rows[index].tolist()
        labels = [IGNORED] * self.width
        for begin, end in self.answers[index]:
            labels[begin:end] = ids[begin:end]
        padding = self.width - len(ids)
        return GenerationFeatures(
            input_ids=ids + [self.tokenizer.eos_token_id] * padding, attention_mask=[1] * len(ids) + [0] * padding,
            labels=labels, characters=self.characters[index])

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row: (N,)."""
        return np.asarray([len(row) for row in self.rows])

    @property
    def label_lengths(self) -> np.ndarray:
        """Tokens of each row that are learnt: (N,)."""
        return np.asarray([sum(end - begin for begin, end in spans) for spans in self.answers])

    @property
    def start(self) -> np.ndarray:
        """Where each answer begins in its row, one after another."""
        return np.asarray([begin for spans in self.answers for begin, _ in spans])

    @property
    def ids(self) -> np.ndarray:
        """All token ids, one row after another."""
        return np.concatenate(self.rows)

    @property
    def prompts(self) -> list[list[int]]:
        """Some of its prompts, as token ids."""
        return [row[: spans[0][0]].tolist() for row, spans in zip(self.rows[:4], self.answers, strict=False)]

    def part(self, chosen: Iterable[int]) -> ConversationDataset:
        """The rows of these numbers."""
        part = object.__new__(ConversationDataset)
        chosen = list(chosen)
        part.__dict__.update(self.__dict__, **{name: [getattr(self, name)[row] for row in chosen]
                                               for name in ("rows", "answers", "characters", "documents", "questions")})
        return part
