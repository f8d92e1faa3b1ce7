"""How far a learner has come: which steps have passed, with which file, after how many tries and hints."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.files import write_json
from ratsnlp.nlpbook.paths import OUTPUT

from .checking import Kind, Outcome
from .gaps import STEPS, file_of

FOLDER = OUTPUT / "course"


@dataclass
class StepProgress:
    """Of one step. ``digest`` is of the file as it was judged last, and ``todo`` where it stood then (0: it passed);
    ``laid``: that file is the solution, laid there for one who fell behind; ``hints`` has for each TODO how many hints
    have been shown."""

    tries: int = 0
    digest: str = ""
    kind: str = Kind.NOT_BEGUN
    todo: int = 1
    passed_at: str | None = None
    laid: bool = False
    hints: dict[str, int] = field(default_factory=dict)


class Progress:
    """Of all steps, kept in a file."""

    def __init__(self, file: Path, steps: dict[int, StepProgress]):
        self.file, self.steps = file, steps

    @classmethod
    def load(cls, file: Path = FOLDER / "progress.json") -> Progress:
        """What the file says; nothing yet where there is none. Raises UserError where it cannot be read."""
        try:
            told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            return cls(file, {step: StepProgress(**told.get(str(step), {})) for step in STEPS})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{file}: 진행 상황을 읽을 수 없습니다. 이 파일을 지우면 처음부터 다시 기록합니다.") from error

    def save(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file, {str(step): asdict(each) for step, each in self.steps.items()})

    def note(self, step: int, outcome: Outcome) -> None:
        """Keep what has come of a try."""
        each = self.steps[step]
        laid_is_there = self.is_fresh(step)
        each.tries += 1
        each.digest, each.kind, each.todo = digest(file_of(step)), outcome.kind, outcome.todo
        if outcome.kind == Kind.NOT_BEGUN:  # whose first hint is told with it
            each.hints[str(outcome.todo)] = max(1, each.hints.get(str(outcome.todo), 0))
        if outcome.kind == Kind.RIGHT:
            each.passed_at = each.passed_at or datetime.now().isoformat(timespec="seconds")
            each.laid &= laid_is_there
        self.save()

    def note_laid(self, step: int) -> None:
        """The solution lies where the learner's file was."""
        each = self.steps[step]
        each.digest, each.kind, each.todo, each.laid = digest(file_of(step)), Kind.RIGHT, 0, True
        self.save()

    def next_hint(self, step: int, hints: int) -> int:
        """The number of the next hint, from 0, of the TODO at which the step stands; at last, the last one again."""
        each = self.steps[step]
        shown = each.hints.get(str(each.todo), 0)
        each.hints[str(each.todo)] = min(shown + 1, hints)
        self.save()
        return min(shown, hints - 1)

    def is_fresh(self, step: int) -> bool:
        """Whether the file is as it was judged the last time."""
        return self.steps[step].digest == digest(file_of(step))

    def is_passed(self, step: int) -> bool:
        """Whether the step has passed once, whatever the learner has tried with it since."""
        return self.steps[step].passed_at is not None or self.steps[step].laid

    def stays(self, step: int) -> bool:
        """Whether nothing needs to be laid: the learner's own has passed, or the solution lies there as it was."""
        return self.steps[step].passed_at is not None or self.steps[step].laid and self.is_fresh(step)

    @property
    def is_finished(self) -> bool:
        return all(map(self.is_passed, STEPS))

    def bar(self) -> str:
        """How many of the steps have passed, as squares."""
        passed = [step for step in STEPS if self.is_passed(step)]
        laid = [step for step in passed if self.steps[step].laid]
        squares = "".join("▣" if step in laid else "■" if step in passed else "□" for step in STEPS)
        return f"진행: {squares} {len(passed)}/{len(STEPS)}단계" + (" (▣는 풀이)" if laid else "")


def digest(file: Path) -> str:
    """A fingerprint of a file; "" where there is none."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
