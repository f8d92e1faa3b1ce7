"""Lines that are too wide to read on a wall or beside another file; ``make lint`` runs this.

A Hangul syllable takes two columns. 100 columns in what is shown to a class (scripts, templates, code in documents),
120 elsewhere. A shell command in a document stays on its one line: it is there to be copied, on Windows too.
"""

import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHOWN, ELSEWHERE = 100, 120
MADE = {Path("docs/try/settings.js")}  # by a tool, for no reader
CODE = {".py", ".html", ".css", ".js", ".toml", ".txt", ".yaml", ""}  # without a suffix: Makefile, .ci/run


def width(line: str) -> int:
    """The columns that ``line`` takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def lines(path: Path) -> Iterator[tuple[int, str, int]]:
    """Number, text and limit of each line of a file that has a limit."""
    shown = path.parts[0] == "templates" or path.parts[0] == "task3-gen" and len(path.parts) == 2
    fence = None
    for number, line in enumerate((REPOSITORY / path).read_text(encoding="utf-8").splitlines(), start=1):
        if path.suffix != ".md":
            yield number, line, SHOWN if shown else ELSEWHERE
        elif line.startswith("```"):
            fence = None if fence else line
        elif fence and fence not in ("```sh", "```bat"):
            yield number, line, SHOWN


def too_wide() -> list[str]:
    """``file:line: columns > limit``, of what git tracks."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    found = []
    for path in map(Path, filter(None, told.split("\0"))):
        data = path.parts[:2] == ("task3-gen", "data") and path.suffix != ".md"
        if path.suffix not in CODE | {".md"} or data or path in MADE or not (REPOSITORY / path).is_file():
            continue
        found += [f"{path}:{number}: {width(line)} > {limit}"
                  for number, line, limit in lines(path) if width(line) > limit]
    return found


if __name__ == "__main__":
    found = too_wide()
    print("\n".join(found))
    sys.exit(1 if found else 0)
