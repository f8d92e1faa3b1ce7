"""An outcome for other programs: the results.json of Exercism's test runners, version 3.

https://exercism.org/docs/building/tooling/test-runners/interface
"""

from __future__ import annotations

import re
from pathlib import Path

from .checking import Kind, Outcome
from .gaps import todos_of
from .runner import without_paths

STATUS = {Kind.RIGHT: "pass", Kind.WRONG: "fail", Kind.NOT_BEGUN: "fail", Kind.BROKEN: "error"}


def results(step: int, outcome: Outcome, file: Path) -> dict:
    """What has come of ``file``: a test for each TODO up to the first that is not right. Those after it were not
    judged, and are left out. Where nothing ran there is no test, and a message."""
    message = without_paths(outcome.message, file)
    if outcome.kind == Kind.NOT_BEGUN:
        message = f"아직 빈칸입니다. {message}"
    if outcome.kind == Kind.BROKEN and (not outcome.todo or not _compiles(file)):
        return {"version": 3, "status": "error", "message": message, "tests": []}
    source = file.read_text(encoding="utf-8-sig", errors="replace")
    todos = list(enumerate(todos_of(step), start=1))
    judged = todos if outcome.kind == Kind.RIGHT else todos[: outcome.todo]
    tests = [{"name": f"TODO {number} {todo.title}", "status": "pass", "message": None,
              "test_code": _task(source, number) or todo.title, "task_id": number} for number, todo in judged]
    if outcome.kind != Kind.RIGHT:
        tests[-1].update(status=STATUS[outcome.kind], message=message)
    return {"version": 3, "status": "pass" if outcome.kind == Kind.RIGHT else "fail", "message": None, "tests": tests}


def _compiles(file: Path) -> bool:
    try:
        compile(file.read_bytes(), file.name, "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _task(source: str, todo: int) -> str:
    """What the file says that the TODO is: its comment, and the comments that go on with it."""
    found = re.search(rf"^ *# (TODO {todo}: .*)\n((?: *# (?!TODO).*\n)*)", source, re.MULTILINE)
    return " ".join([found[1], *re.findall(r"# (.*)", found[2])]) if found else ""
