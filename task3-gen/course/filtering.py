"""Labelled texts, a list of words, and what the two are compared by (``topic_filter.py``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.text_files import compose, read_lines

from .topics import FILTER_DATA, share

COLUMNS = ("text", "label", "source", "split", "words")


class LabelledText(NamedTuple):
    """A text, whether it is rude, who wrote it (``human``, ``model``), and the rude expressions that it holds."""

    text: str
    rude: bool
    source: str
    words: tuple[str, ...]


def read_labelled(split: str, file: Path = FILTER_DATA / "texts.tsv") -> list[LabelledText]:
    """The texts of ``split`` (``train``, ``test``).

    Raises:
        UserError: a line that is none (naming file, line number and what was expected).
    """
    found, lines = [], iter(read_lines(file))
    next(lines, None)  # the names of the columns
    for place, line in lines:
        cells = line.split("\t")
        if len(cells) != len(COLUMNS) or cells[1] not in ("0", "1"):
            raise UserError(f"{place}: 탭으로 나뉜 {', '.join(COLUMNS)}여야 하고 label은 0이나 1이어야 합니다.")
        text, label, source, there, words = cells
        if there == split:
            found.append(LabelledText(text, label == "1", source, tuple(filter(None, words.split(", ")))))
    return found


class WordFilter:
    """Finds the words of a list, one a line (``#`` begins a comment): also with marks, digits or lone jamo within
    (시1발), and, where no letter stands before, with spaces within (시 발). What else people think of, it misses."""

    def __init__(self, words: Iterable[str]):
        solid = (r"[^\sa-z가-힣]*?".join(map(re.escape, word)) for word in words)
        spaced = (r"(?<!\w)" + r"\s+".join(map(re.escape, word)) for word in words if len(word) > 1)
        self.pattern = re.compile("|".join([*solid, *spaced]), re.IGNORECASE)

    @classmethod
    def load(cls, file: Path = FILTER_DATA / "words.txt") -> WordFilter:
        return cls([line.strip() for _, line in read_lines(file) if line.strip() and not line.startswith("#")])

    def finds(self, texts: Iterable[str]) -> list[bool]:
        return [self.pattern.search(compose(text)) is not None for text in texts]

    def masked(self, text: LabelledText) -> str:
        """The text with the expressions of the list, and those that were marked by hand, behind their first letter
        hidden."""
        shown = self.pattern.sub(lambda found: _hidden(found[0]), text.text)
        for word in sorted(text.words, key=len, reverse=True):
            shown = shown.replace(word, _hidden(word))
        return shown


def _hidden(word: str) -> str:
    return word[0] + "○" * (len(word) - 1) if len(word) > 1 else "○"


DISGUISES: dict[str, Callable[[str], str]] = {
    "그대로": str, "사이에 점": ".".join, "띄어 쓰기": " ".join, "자모로 풀기": lambda word: "".join(map(_jamo, word))}


def disguised(text: LabelledText, how: str) -> str:
    """The text with its rude expressions as one writes them to get past a filter."""
    shown = text.text
    for word in sorted(text.words, key=len, reverse=True):
        shown = shown.replace(word, DISGUISES[how](word))
    return shown


def _jamo(letter: str) -> str:
    """The letters of a Hangul syllable one by one, as the keys that write it: 끼 as ㄲㅣ."""
    number = ord(letter) - 0xAC00
    if not 0 <= number < 11172:
        return letter
    ends = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]
    return "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"[number // 588] + chr(0x314F + number // 28 % 21) + ends[number % 28]


def counts(says: Sequence[bool], texts: Sequence[LabelledText]) -> tuple[str, str]:
    """Precision and recall of what a filter says of ``texts``, with their intervals."""
    right = sum(said and text.rude for said, text in zip(says, texts, strict=True))
    return share(right, sum(says)), share(right, sum(text.rude for text in texts))
