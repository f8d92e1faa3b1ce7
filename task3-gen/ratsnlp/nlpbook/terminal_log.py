"""A copy in a file of what a terminal shows: both streams, and of a progress bar only what finally stands."""

import os
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path

from .display import width

_PIECES = re.compile(r"\n|\r|\x1b\[(?P<count>\d*)(?P<move>[A-Za-z])|[^\n\r\x1b]+|\x1b")


class Screen:
    """The lines of a terminal that are not settled yet, as what is written moves its cursor: ``\\r``, and the steps up
    of a bar below another bar (tqdm's).

    A line that was never written over is settled when it ends, and all above with it; a bar's line waits for the next
    such line, or for :meth:`settle`.
    """

    def __init__(self):
        self.rows, self.written_over = [[]], [False]  # a row's cells: a wide character is one, and an empty one
        self.row = self.column = 0

    def write(self, text: str) -> list[str]:
        """The lines that ``text`` settles."""
        settled = []
        for piece in _PIECES.finditer(text):
            if piece["move"]:
                if piece["move"] == "A":
                    self.row = max(self.row - int(piece["count"] or 1), 0)
            elif piece[0] == "\r":
                self.column, self.written_over[self.row] = 0, True
            elif piece[0] == "\n":
                plain = not self.written_over[self.row] and self.rows[self.row] != []
                self.row, self.column = self.row + 1, 0
                if self.row == len(self.rows):
                    self.rows.append([])
                    self.written_over.append(False)
                if plain:
                    settled += self.settle_above()
            else:
                self._put(piece[0])
        return settled

    def _put(self, text: str) -> None:
        cells = [cell for character in text for cell in ([character, ""] if width(character) == 2 else [character])]
        row = self.rows[self.row]
        row.extend(" " * (self.column - len(row)))
        row[self.column : self.column + len(cells)] = cells
        self.column += len(cells)
        if row[self.column : self.column + 1] == [""]:  # half of a wide character is left
            row[self.column] = " "

    def settle_above(self) -> list[str]:
        """The lines above the cursor, which leave the screen; one that a bar has cleared is none."""
        lines = ["".join(row).rstrip() for row in self.rows[: self.row]]
        lines = [line for line, bar in zip(lines, self.written_over, strict=False) if line or not bar]
        self.rows, self.written_over, self.row = self.rows[self.row :], self.written_over[self.row :], 0
        return lines

    def settle(self) -> list[str]:
        """All that is left, when nothing more is written."""
        self.row, self.column = len(self.rows), 0
        lines = self.settle_above()
        self.rows, self.written_over = [[]], [False]
        return lines[:-1] if lines and not lines[-1] else lines


class TerminalLog:
    """While it is open, the lines of standard output and standard error go to ``file`` too, behind what is there.

    The streams stay the same objects, whoever holds them: only their ``write`` is another. A line that cannot be
    written to the file (a full disk) is left out of it.
    """

    def __init__(self, file: Path):
        self.file = open(file, "a", encoding="utf-8", errors="replace", buffering=1)  # noqa: SIM115  close() does
        self.lock, self.process = threading.RLock(), os.getpid()
        self.screens, self.restore = [], []
        for stream in dict.fromkeys((sys.stdout, sys.stderr)):
            if stream is not None:
                self._copy(stream)

    def _copy(self, stream) -> None:
        original, own, screen = stream.write, vars(stream).get("write"), Screen()

        def write(text):
            written = original(text)
            self._take(screen, text)
            return written

        def restore():
            if vars(stream).get("write") is not write:  # somebody else's by now, who calls ours: it does nothing more
                return
            del stream.write
            if own is not None:
                stream.write = own

        stream.write = write
        self.screens.append(screen)
        self.restore.append(restore)

    def _take(self, screen: Screen, text: str) -> None:
        if os.getpid() != self.process:  # a worker's, which has a copy of the screens
            return
        with self.lock:
            settled = screen.write(text)
            if settled:  # after the bars of the other stream that have ended
                others = (line for other in self.screens if other is not screen for line in other.settle_above())
                self._write([*others, *settled])

    def _write(self, lines: list[str]) -> None:
        if not self.file.closed:
            with suppress(OSError):
                self.file.writelines(f"{line}\n" for line in lines)

    def close(self) -> None:
        """Give the streams back."""
        for restore in self.restore:
            restore()
        with self.lock:
            self._write([line for screen in self.screens for line in screen.settle()])
            with suppress(OSError):
                self.file.close()
