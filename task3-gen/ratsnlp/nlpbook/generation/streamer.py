"""A text for its reader while ``model.generate`` goes on."""

from collections.abc import Callable, Iterator

from transformers.generation.streamers import BaseStreamer

from .pieces import Piece, Pieces


class SyllableStreamer(BaseStreamer):
    """Hands ``write`` what follows ``prompt_ids`` as ``model.generate`` goes on, in :class:`Pieces`."""

    def __init__(self, tokenizer, prompt_ids: list[int], write: Callable[[str], None]):
        self.pieces, self.write, self.began = Pieces(tokenizer, prompt_ids), write, False

    def put(self, value) -> None:
        for token in value.flatten().tolist() if self.began else []:
            self._tell(self.pieces.add(token))
        self.began = True  # with the prompt, which comes first

    def end(self) -> None:
        self._tell(self.pieces.end())

    def _tell(self, pieces: Iterator[Piece]) -> None:
        for text, _ in pieces:
            if text:
                self.write(text)
