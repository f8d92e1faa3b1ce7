"""What a check is made of: the TODOs of a step, what a learner's file did, and the outcomes.

A check judges results: it looks at what the file has computed, never at how its text reads. It raises :class:`Wrong`
with a sentence for the learner, and returns where nothing is wrong.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.files import write_json

from .explanations import explanation
from .gaps import BLANK, Place, is_blank, place_of


class Wrong(Exception):
    """A result that is not right; the message is one Korean sentence that names the misconception."""


class Missing(Exception):
    """A check asks for a name that the file has not come to define."""


class Todo(NamedTuple):
    """One blank of a step: what it is about, what judges it, and hints, from a nudge to all but the answer."""

    title: str
    check: Callable[[Run], None]
    hints: Sequence[str]


class Kind(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    BROKEN = "broken"
    NOT_BEGUN = "not begun"


@dataclass
class Outcome:
    """How a step ended: ``todo`` is the first that is not right (0: none of them, or the file as a whole)."""

    kind: Kind
    message: str = ""
    todo: int = 0
    line: int | None = None

    def write(self, folder: Path) -> None:
        """To ``outcome.json`` in ``folder``, whole or not at all."""
        write_json(folder / "outcome.json", asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Outcome:
        """What :meth:`write` has left. Raises FileNotFoundError where it has not come to that."""
        told = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
        return cls(**{**told, "kind": Kind(told["kind"])})


@dataclass
class Call:
    """One call of ``model.generate``: its keyword arguments, the token ids that it gave, and whether the model was in
    training mode."""

    arguments: dict[str, Any]
    ids: list[list[int]]
    training: bool


@dataclass
class Run:
    """What a learner's file did when it was run with ``flags``: the names it defined, its calls of ``generate``, and
    the error that ended it, with its place. ``notes`` is what a step's own ``beside`` saw."""

    source: str
    flags: list[str]
    folder: Path
    namespace: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    place: Place | None = None

    def __getitem__(self, name: str):
        """What the file has under ``name``.

        Raises:
            Missing: nothing.
        """
        if name not in self.namespace:
            raise Missing(name)
        return self.namespace[name]

    def flag(self, name: str) -> str:
        """The value of a flag that the file was run with."""
        return self.flags[self.flags.index(f"--{name}") + 1]

    def stopped_in(self, todo: int) -> bool:
        """Whether an error ended the file below this TODO."""
        return self.place is not None and self.place.todo == todo

    def call_of(self, ids) -> dict[str, Any]:
        """The arguments of the call of ``generate`` that gave the token ids ``ids`` (T,); {} where none did."""
        wanted = as_list(ids)
        return next((call.arguments for call in self.calls if wanted in call.ids), {})

    def says(self, text: str) -> bool:
        """Whether ``text`` stands in the file as it is: a result that was typed in."""
        return any(isinstance(node, ast.Constant) and isinstance(node.value, str) and text.strip() in node.value
                   for node in ast.walk(ast.parse(self.source)))

    def blank(self) -> Place | None:
        """The first blank that is left in the file, though nothing has come to it."""
        lines = [node.lineno for node in ast.walk(ast.parse(self.source))
                 if isinstance(node, ast.Name) and node.id == BLANK]
        return place_of(self.source, min(lines)) if lines else None


def as_list(ids) -> list[int]:
    """Token ids (T,) or (1, T), of whatever kind, as a list."""
    ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    return ids[0] if ids and isinstance(ids[0], list) else ids


def judge(todos: Sequence[Todo], run: Run) -> Outcome:
    """The first failure of a run, TODO by TODO; right where there is none."""
    if isinstance(run.error, SyntaxError):
        return broken(run, run.place.todo)
    for number, todo in enumerate(todos, start=1):
        try:
            if run.stopped_in(number) and is_blank(run.error):
                return Outcome(Kind.NOT_BEGUN, todo.hints[0], number, run.place.line)
            todo.check(run)
        except Wrong as wrong:
            return Outcome(Kind.WRONG, str(wrong), number)
        except Missing as missing:
            if run.error is None:
                return Outcome(Kind.BROKEN, f"{missing} 변수가 없습니다. 파일에 있던 이름을 그대로 두세요.", number)
            return broken(run, run.place.todo or number)
    if run.error is not None:
        return broken(run, run.place.todo)
    left = run.blank()
    return Outcome(Kind.RIGHT) if left is None else Outcome(
        Kind.NOT_BEGUN, todos[left.todo - 1].hints[0], left.todo, left.line)


def broken(run: Run, todo: int) -> Outcome:
    """What is told of a run that an error has ended."""
    kind = type(run.error).__name__
    text = (run.error.msg if isinstance(run.error, SyntaxError) else str(run.error)).strip()
    message = text if isinstance(run.error, UserError) else f"{kind}: {text}" if text else kind
    message = f"{message} {explanation(message)}".strip()
    return Outcome(Kind.BROKEN, message, todo, run.place.line if run.place else None)
