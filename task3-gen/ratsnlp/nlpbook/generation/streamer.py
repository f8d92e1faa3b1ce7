"""A text while it is written: whole characters, none of them ever taken back."""

import unicodedata
from collections.abc import Callable

from transformers.generation.streamers import BaseStreamer

from .prompts import continuation


class SyllableStreamer(BaseStreamer):
    """Hands ``write`` what follows ``prompt_ids`` as ``model.generate`` goes on, the last character kept back.

    A token may hold a third of a syllable, or a jamo that joins the character before it: together the parts are the
    very text that :func:`continuation` gives at the end. transformers' TextStreamer writes U+FFFD and half syllables.
    """

    def __init__(self, tokenizer, prompt_ids: list[int], write: Callable[[str], None]):
        self.tokenizer, self.write = tokenizer, write
        self.ids, self.prompt_length = list(prompt_ids), len(prompt_ids)
        self.began, self.told = False, 0

    def put(self, value) -> None:
        if self.began:
            self.ids += value.flatten().tolist()
            self._tell(finished=False)
        self.began = True  # with the prompt, which comes first

    def end(self) -> None:
        self._tell(finished=True)

    def _tell(self, finished: bool) -> None:
        text = continuation(self.tokenizer, self.ids, self.prompt_length)
        settled = len(text) if finished else _settled(text)
        if settled > self.told:
            self.write(text[self.told : settled])
            self.told = settled


def _settled(text: str) -> int:
    """How many characters of ``text`` no further one can join: all before the last that is no combining mark."""
    while text and unicodedata.combining(text[-1]):
        text = text[:-1]
    return max(len(text) - 1, 0)
