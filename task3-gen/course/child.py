"""Runs a learner's file and judges what came of it, in a process of its own, which :mod:`course.runner` starts.

    python course/child.py STEP FILE FOLDER [SECONDS [STUDENT]]

The outcome goes to ``outcome.json`` in FOLDER. After SECONDS the process writes to ``stuck.txt`` where the file is.
STUDENT is the number that makes the prompt and the seed.
"""

import faulthandler
import importlib
import os
import sys
import types
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import psutil

SCRIPTS = Path(__file__).resolve().parents[1]
if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))

from course.checking import Call, Kind, Outcome, Run, judge  # noqa: E402
from course.gaps import line_in, place_of  # noqa: E402
from course.students import with_student  # noqa: E402


@contextmanager
def recorded(run: Run):
    """While it lasts, ``run.calls`` collects the calls of ``model.generate``."""
    from transformers import GenerationMixin

    generate = GenerationMixin.generate

    def observed(model, *inputs, **arguments):
        given = generate(model, *inputs, **arguments)
        ids = getattr(given, "sequences", given)
        if hasattr(ids, "tolist"):
            run.calls.append(Call(arguments, ids.tolist(), model.training))
        return given

    GenerationMixin.generate = observed
    try:
        yield
    finally:
        GenerationMixin.generate = generate


def execute(run: Run, file: Path) -> None:
    """Run the file as ``python file flags`` would; the names that it defined and the error go into ``run``."""
    main = types.ModuleType("__main__")
    main.__file__ = str(file)
    run.namespace = main.__dict__
    sys.modules["__main__"], sys.argv = main, [str(file), *run.flags]
    sys.path[:1] = [str(file.parent), str(SCRIPTS)]
    try:
        exec(compile(run.source, str(file), "exec"), main.__dict__)
    except SystemExit as end:
        if end.code:
            run.error = end
    except Exception as error:  # a learner's file may raise anything, and each is told
        run.error = error
    if run.error is not None:
        line = line_in(file, run.error.__traceback__)
        if line is None:
            line = getattr(run.error, "lineno", None) or 0  # a syntax error's
        run.place = place_of(run.source, line)


def outcome_of(step: int, file: Path, folder: Path, seconds: float = 0, student: int | None = None,
               stuck=None) -> Outcome:
    """Run and judge ``file`` as the step of this number, with what is written going to ``folder``, and with the prompt
    and seed of ``student``, or the checks' own. After ``seconds`` (0: never) ``stuck`` (a file) is told where it is."""
    checks = importlib.import_module(f"course.checks.step{step}")
    try:
        source = file.read_text(encoding="utf-8-sig")  # Notepad marks its files
    except UnicodeDecodeError:
        return Outcome(Kind.BROKEN, "UTF-8 파일이 아닙니다. 편집기에서 UTF-8로 저장하세요.")
    run = Run(source, with_student(checks.flags(folder), student), folder)
    beside = getattr(checks, "beside", lambda run: nullcontext())
    with recorded(run), beside(run):
        if seconds:
            faulthandler.dump_traceback_later(seconds, file=stuck)
        execute(run, file)
    return judge(checks.TODOS, run)


def end_children() -> None:
    """End what the learner's file has started and left behind."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def main(step: str, file: str, folder: str, seconds: str = "0", student: str | None = None) -> None:
    here = Path(folder)
    with open(here / "stuck.txt", "w", encoding="utf-8") as stuck:
        try:
            outcome = outcome_of(
                int(step), Path(file), here, float(seconds), None if student is None else int(student), stuck)
        finally:
            faulthandler.cancel_dump_traceback_later()
            end_children()
    outcome.write(here)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # without waiting for threads that the file has left
