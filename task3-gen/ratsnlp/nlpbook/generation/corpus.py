"""NSMC as the model sees it: read strictly, one control word before each review, token ids in one flat array."""

import csv
import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from ..errors import UserError
from ..pretrained import check_eos_token

logger = logging.getLogger("ratsnlp")

CHUNK = 10_000  # texts tokenized at a time: keeps the tokenizer's Python objects few


@dataclass
class GenerationExample:
    """A text, and what it begins with that is not its author's: the control word and a space.

    ``book_text`` is the text as ratsnlp 1.0.53 read it, where that differs; the recipe ``book`` learns from it.
    """

    text: str
    control: str = ""
    book_text: str | None = None


@dataclass
class GenerationFeatures:
    """What the book calls features: four lists of ``max_seq_length`` integers.

    The last two are for ``val_bits_per_char`` alone: tokens of the control word, and characters that the other tokens cover.
    """

    input_ids: list[int]
    attention_mask: list[int] | None = None
    token_type_ids: list[int] | None = None
    labels: list[int] | None = None
    control_tokens: int = field(default=0, repr=False)
    characters: int = field(default=0, repr=False)


class NsmcCorpus:
    """Reads ``ratings_{mode}.txt``: UTF-8, tab separated, header ``id document label``, label 0 (부정) or 1 (긍정)."""

    def get_examples(self, data_root_path, mode) -> list[GenerationExample]:
        """One example a row, ``부정 <review>`` or ``긍정 <review>``.

        Raises:
            UserError: the file is missing or a line is malformed (naming file, line number and what was expected).
        """
        file = Path(data_root_path) / f"ratings_{mode}.txt"
        words = {"0": "부정", "1": "긍정"}
        examples = []
        for document, label in _read_rows(file):
            control, review, book_review = f"{words[label]} ", unescape(document), unescape_as_book(document)
            book_text = control + book_review if book_review != review else None
            examples.append(GenerationExample(control + review, control, book_text))
        return examples


def _read_rows(file: Path):
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise UserError(f"말뭉치 파일 {file}을(를) 읽을 수 없습니다({error.strerror}).") from error
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        place = f"{file} {number}번째 줄"
        try:
            columns = line.removesuffix(b"\r").decode("utf-8").split("\t")
        except UnicodeDecodeError:
            raise UserError(f"{place}: UTF-8이 아닙니다. 파일을 UTF-8로 저장하세요.") from None
        if number == 1:
            if columns != ["id", "document", "label"]:
                raise UserError(f"{place}: 첫 줄은 'id<탭>document<탭>label'이어야 하는데 {_shortened(columns)}입니다.")
            continue
        if len(columns) != 3:
            raise UserError(f"{place}: 'id<탭>리뷰<탭>라벨'의 세 칸이어야 하는데 {len(columns)}칸입니다: {_shortened(columns)}")
        if columns[2] not in ("0", "1"):
            raise UserError(f"{place}: 라벨은 0(부정)이나 1(긍정)이어야 하는데 {columns[2]!r}입니다.")
        yield columns[1], columns[2]
    if len(lines) < 2:
        raise UserError(f"{file}: 리뷰가 한 줄도 없습니다.")


def _shortened(columns: list[str]) -> str:
    text = "<탭>".join(columns)
    return repr(text if len(text) <= 60 else text[:60] + "…")


def unescape(document: str) -> str:
    """The review as its author wrote it: NSMC stores one that holds a ``"`` CSV-escaped, twice. Elsewhere a quote is a character.

    >>> unescape('\"\"\"a \"\"\"\"b\"\"\"\"\"\"\"')
    'a "b"'
    """
    text = document
    for _ in range(2):
        inside = text[1:-1]
        if len(text) < 2 or text[0] != '"' or text[-1] != '"' or '"' in inside.replace('""', ""):
            return document
        text = inside.replace('""', '"')
    return text if '"' in text else document


def unescape_as_book(document: str) -> str:
    """The review as ratsnlp 1.0.53 read it, by :mod:`csv`: of NSMC's two levels of escaping one is left.

    A quote that is never closed, with which it swallowed the rows that follow, is a character here too.

    >>> unescape_as_book('\"\"\"a \"\"\"\"b\"\"\"\"\"\"\"')
    '"a \"\"b\"\"\"'
    """
    if not document.startswith('"') or "\r" in document:
        return document
    rows = csv.reader([document, ""], delimiter="\t")
    (text,) = next(rows)
    return text if rows.line_num == 1 else document


class FlatFeatures:
    """The features of many texts in one flat array of token ids; ``self[i]`` is made on the way out.

    Shapes, for N texts with T tokens in all: ``ids`` (T,), ``offsets`` (N + 1,), ``control_tokens`` and ``characters`` (N,).
    """

    def __init__(self, ids, offsets, control_tokens, characters, max_seq_length, eos_token_id):
        self.ids, self.offsets = ids, offsets
        self.control_tokens, self.characters = control_tokens, characters
        self.max_seq_length, self.eos_token_id = max_seq_length, eos_token_id

    def __len__(self):
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Real tokens of each text, without padding: (N,)."""
        return np.diff(self.offsets)

    def __getitem__(self, index) -> GenerationFeatures:
        index = range(len(self))[index]  # counts from the end below 0, raises IndexError beyond
        ids = self.ids[self.offsets[index] : self.offsets[index + 1]].tolist()
        padding = self.max_seq_length - len(ids)
        input_ids = ids + [self.eos_token_id] * padding
        return GenerationFeatures(
            input_ids=input_ids, attention_mask=[1] * len(ids) + [0] * padding, token_type_ids=[0] * self.max_seq_length,
            labels=input_ids, control_tokens=int(self.control_tokens[index]), characters=int(self.characters[index]))


def convert_examples_to_features(examples: list[GenerationExample], tokenizer, args) -> FlatFeatures:
    """Tokenize and truncate to ``args.max_seq_length``; padding is eos, which no truncated text has: it has no end to learn."""
    pieces, lengths, control_tokens, characters = [], [], [], []
    for start in range(0, len(examples), CHUNK):
        chunk = examples[start : start + CHUNK]
        texts = [example.text for example in chunk]
        encoded = tokenizer(texts, truncation=True, max_length=args.max_seq_length, return_offsets_mapping=True)
        for example, ids, spans in zip(chunk, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            pieces.append(np.asarray(ids, dtype=np.int32))
            lengths.append(len(ids))
            word = len(example.control.rstrip())
            control_tokens.append(sum(end <= word for _, end in spans))
            characters.append(max(spans[-1][1] - len(example.control), 0))
    return FlatFeatures(
        np.concatenate(pieces), np.concatenate([[0], np.cumsum(lengths)]), np.asarray(control_tokens), np.asarray(characters),
        args.max_seq_length, tokenizer.eos_token_id)


class GenerationDataset(Dataset):
    """``ratings_{mode}.txt`` of ``args.downstream_corpus_root_dir/args.downstream_corpus_name`` as features; ``self[i]`` is a
    :class:`GenerationFeatures`. The first examples are logged as the book shows them.

    Raises:
        UserError: a malformed corpus, or an ``eos_token`` that is not in the tokenizer's vocabulary.
    """

    def __init__(self, args, tokenizer, corpus, mode="train", convert_examples_to_features_fn=convert_examples_to_features):
        check_eos_token(tokenizer)
        if mode not in ("train", "val", "test"):
            raise UserError(f"mode: train, val, test 가운데 하나여야 하는데 {mode!r}입니다.")
        if args.overwrite_cache:
            logger.info("overwrite_cache: 여기에는 피처 캐시가 없어, 언제나 새로 토큰화합니다.")
        self.tokenizer = tokenizer
        self.source = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
        examples = corpus.get_examples(self.source, mode)
        if args.recipe == "book":
            examples = [replace(example, text=example.book_text or example.text) for example in examples]
        logger.info("%s: 리뷰 %s개를 토큰으로 나눕니다…", mode, f"{len(examples):,}")
        started = time.time()
        self.features = convert_examples_to_features_fn(examples, tokenizer, args)
        self.prompts = list(dict.fromkeys(example.control.rstrip() for example in examples))  # what its texts begin with
        logger.info("토큰으로 나누기까지 %.1f초", time.time() - started)
        for example, features in zip(examples[:5], self.features, strict=False):
            logger.info("*** Example ***")
            logger.info("sentence: %s", example.text)
            logger.info("tokens: %s", " ".join(tokenizer.convert_ids_to_tokens(features.input_ids)))
            logger.info("features: %s", features)

    def __len__(self):
        return len(self.features)

    def __getitem__(self, index) -> GenerationFeatures:
        return self.features[index]

    @property
    def lengths(self) -> np.ndarray:
        """Real tokens of each text, without padding: (N,)."""
        if isinstance(self.features, FlatFeatures):
            return self.features.lengths
        return np.asarray([sum(features.attention_mask) for features in self.features])

    @property
    def ids(self) -> np.ndarray:
        """All token ids, one text after another."""
        if isinstance(self.features, FlatFeatures):
            return self.features.ids
        return np.asarray([features.input_ids for features in self.features])
