"""Text in a terminal, where a Hangul syllable takes two columns."""

import unicodedata

COLUMNS = 100  # of a line that is shown to a class


def shows_bars(stream) -> bool:
    """Whether a progress bar belongs on ``stream``: a terminal or a notebook; a file would keep each of its states."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel")


def width(text: str) -> int:
    """The columns that ``text`` takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def pad(text: str, columns: int) -> str:
    """``text`` with spaces behind it to ``columns``; with a negative number, before it."""
    spaces = " " * (abs(columns) - width(text))
    return spaces + text if columns < 0 else text + spaces


def wrap(text: str, columns: int, indent: str = "") -> str:
    """``text`` on lines of at most ``columns``, each behind ``indent``, broken at spaces; longer words stay whole."""
    lines = [indent]
    for word in text.split():
        if lines[-1] != indent and width(f"{lines[-1]} {word}") > columns:
            lines.append(indent)
        lines[-1] += word if lines[-1] == indent else f" {word}"
    return "\n".join(lines)


def table(rows: list[list[str]]) -> str:
    """Rows of cells in columns as wide as they need, the first to the left, the others to the right."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(pad(cell, -size if number else size) for number, (cell, size) in
                  enumerate(zip(row, widths, strict=True))) for row in rows)
