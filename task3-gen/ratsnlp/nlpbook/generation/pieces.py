"""A text while it is written: whole characters, none of them ever taken back."""

import unicodedata
from collections.abc import Iterator

from .prompts import continuation

Piece = tuple[str, list[int]]  # some whole characters, and the token ids that they are of


class Pieces:
    """What follows ``prompt_ids``, piece by piece: each as few tokens as make whole characters.

    A token may hold a third of a syllable, or a jamo that joins the character before it. So a piece is given out when
    the token after it has begun a character of its own; together they are the very text that :func:`continuation` gives
    at the end. transformers' TextStreamer writes U+FFFD and half syllables.
    """

    def __init__(self, tokenizer, prompt_ids: list[int]):
        self.tokenizer = tokenizer
        self._before, self._open, self._text = list(prompt_ids), [], ""
        self._whole = 0  # how many of the open tokens made the text what it is; the others are parts of a character

    def add(self, token: int) -> Iterator[Piece]:
        """The piece that is whole now that ``token`` follows, if one is."""
        text = continuation(self.tokenizer, [*self._before, *self._open, token], len(self._before))
        begun = text.removeprefix(self._text)
        if self._text and begun != text and begun and not unicodedata.combining(begun[0]):
            self._before = self._open[: self._whole]
            yield self._text, self._before
            self._open, self._text, text = self._open[self._whole :], "", begun
        self._open.append(token)
        if text != self._text:
            self._text, self._whole = text, len(self._open)

    def end(self) -> Iterator[Piece]:
        """What is left when no token follows."""
        if self._open:
            yield self._text, self._open
