"""One's own text as examples to learn from."""

from collections.abc import Iterator
from pathlib import Path

from ..text_files import read_rows
from .features import GenerationExample


def read_texts(
        path: str | Path, text_column: str = "text", label_column: str | None = None) -> Iterator[GenerationExample]:
    """The texts of a file or folder (:func:`~ratsnlp.nlpbook.text_files.read_rows`), one after another.

    White space around them is left off, empty ones are passed over. With ``label_column`` its value and a space come
    before the text.

    Raises:
        UserError: as ``read_rows`` does.
    """
    for text, *labels in read_rows(path, text_column, label_column):
        if text.strip():
            control = "".join(f"{label} " for label in labels)
            yield GenerationExample(control + text.strip(), control)
