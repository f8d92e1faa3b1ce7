"""Puts what a command gives into a page, between the marks that stand there for it."""

import re
from pathlib import Path


def put(page: Path, kind: str, name: str, text: str) -> None:
    """Write ``text`` between ``<!-- kind: name -->`` and ``<!-- /kind -->`` in a page, and show it."""
    print(text)
    marks = re.compile(rf"(<!-- {kind}: {name} -->\n).*?(<!-- /{kind} -->)", re.DOTALL)
    page.write_text(marks.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page.read_text(encoding="utf-8")),
                    encoding="utf-8")
