"""The blanks of a step: how an exercise and its solution are made from one source, and which blank comes next.

A source (``course/steps/step1_….py``) is a program that runs. Where the exercise has a blank, it says::

    # TODO 1: what to do
    #> name = ____
    name = "kogpt-mini"
    #.

The exercise has what stands behind ``#>``, the solution what follows up to ``#.``. A learner's file is nothing but
Python: ``____`` is a name that nobody has defined, so that a program ends at the first blank that it comes to.
"""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from ratsnlp.nlpbook.errors import UserError

SCRIPTS = Path(__file__).resolve().parents[1]
BLANK = "____"
STEPS = {
    1: "step1_basic_generation", 2: "step2_generation_strategies", 3: "step3_parameter_tuning",
    4: "step4_model_training", 5: "step5_web_service"}
_TODO = re.compile(r"\s*# TODO (\d+): ")
_GAP = re.compile(r"((?:^ *#>[^\n]*\n)+)(.*?)^( *)#\.\n", re.MULTILINE | re.DOTALL)


class Place(NamedTuple):
    """Where something happened in a learner's file: line, and the TODO under which it stands (0: above the first)."""

    line: int
    todo: int


def place_of(source: str, line: int) -> Place:
    """The TODO above ``line``, counted from 1."""
    found = [_TODO.match(text) for text in source.splitlines()[:line]]
    return Place(line, max((int(each[1]) for each in found if each), default=0))


def line_in(file: str | Path, traceback: TracebackType | None) -> int | None:
    """The last line of ``file`` that a traceback goes through."""
    line = None
    while traceback is not None:
        if Path(traceback.tb_frame.f_code.co_filename) == Path(file):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def is_blank(error: BaseException | None) -> bool:
    """Whether a program ended because it came to a blank."""
    return isinstance(error, NameError) and error.name == BLANK


def step_of(file: str | Path) -> int | None:
    """The number of the step that ``file`` is, by its name: ``step1_….py`` and ``step1_solution.py`` are 1."""
    found = re.match(r"step([1-5])_", Path(file).name)
    return int(found[1]) if found else None


def file_of(step: int) -> Path:
    """The learner's file of a step."""
    return SCRIPTS / f"{STEPS[step]}.py"


def solution_of(step: int) -> Path:
    return SCRIPTS / "solutions" / f"step{step}_solution.py"


def todos_of(step: int) -> list:
    """The TODOs of a step: title, check and hints of each."""
    return importlib.import_module(f"course.checks.step{step}").TODOS


def install_hook() -> None:
    """Make the running step end at a blank with one line and exit code 1. After any other error of the step one line
    more tells where to look."""
    before = sys.excepthook
    file = sys.modules["__main__"].__file__

    def excepthook(kind, error, traceback):
        step, line = step_of(file), line_in(file, traceback)
        if step is None or line is None or issubclass(kind, (KeyboardInterrupt, UserError, BrokenPipeError)):
            before(kind, error, traceback)
            return
        place = place_of(Path(file).read_text(encoding="utf-8-sig"), line)
        if is_blank(error):
            todo = todos_of(step)[place.todo - 1]
            so_far = f"여기까지 실행되었습니다(맞았는지는 check.py {step}). " if place.todo > 1 else ""
            here = f"다음은 TODO {place.todo}입니다({line}행, {todo.title})."
            print(f"\n{so_far}{here} 힌트: {todo.hints[0]}", flush=True)
            raise SystemExit(1)
        try:
            before(kind, error, traceback)
        finally:
            where = f"{line}행(TODO {place.todo} 부분)" if place.todo else f"{line}행"
            print(f"{where}에서 멈췄습니다. 무엇을 살펴볼지는 python task3-gen/check.py {step}", file=sys.stderr)

    sys.excepthook = excepthook


class Gap(NamedTuple):
    """A gap of a source: its TODO and its indentation, and the lines of the exercise and of the solution."""

    todo: int
    indent: str
    blank: str
    answer: str


def filled(source: str, fill: Callable[[Gap], str]) -> str:
    """A source with what ``fill`` gives in place of each gap, whole lines."""

    def lines(found: re.Match) -> str:
        todo = place_of(source, source.count("\n", 0, found.start())).todo
        return fill(Gap(todo, found[3], re.sub(r"^( *)#> ?", r"\1", found[1], flags=re.MULTILINE), found[2]))

    return _GAP.sub(lines, source)


def exercise(source: str) -> str:
    """What the learner gets."""
    return filled(source, lambda gap: gap.blank)


def solution(source: str) -> str:
    """What runs: the blanks filled, their TODOs told as what they were."""
    return re.sub(r"# TODO (\d+): ", r"# 풀이 \1: ", filled(source, lambda gap: gap.answer))
