"""A class: all that its students have handed in is judged, several files at a time, and told in a line each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from ratsnlp.nlpbook.display import COLUMNS, pad, width
from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.files import check_writable, write_json
from ratsnlp.nlpbook.paths import OUTPUT

import psutil

from . import forks
from .checking import Kind, Outcome
from .gaps import SCRIPTS, STEPS, exercise, solution, solution_of, todos_of
from .runner import Start, Trial, start_beside_others, without_paths
from .students import prompt_of, whose
from .submissions import Submission, read_class

if TYPE_CHECKING:
    from .arguments import CheckArguments

FOLDER = OUTPUT / "course" / "class"
SECONDS = {1: 60, 2: 60, 3: 90, 4: 120, 5: 90}  # for a step, so that an endless one does not hold the others for long
JOB_MEMORY = 1.5e9  # bytes that a right step needs, with room
CHECKER = ("arguments", "checking", "child", "corpus", "explanations", "gaps", "judging", "sampling", "students")
OWN_WORDS = 3  # of a file, in neither exercise nor solution, before its being the same as another's is told


@dataclass
class Student:
    """A submission and what has come of it. ``outcomes`` are by step, of those that were handed in and judged;
    ``untouched`` are exercises as they were given, ``laid`` files that are the solution; ``twins`` are the names of
    students with the same file, by step; ``copied`` are numbers of others whose prompts are in a file, by step;
    ``outputs`` says of what a step has written whose it is."""

    submission: Submission
    steps: list[int]
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    untouched: set[int] = field(default_factory=set)
    laid: set[int] = field(default_factory=set)
    twins: dict[int, list[str]] = field(default_factory=dict)
    copied: dict[int, list[int]] = field(default_factory=dict)
    outputs: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.submission.name

    @property
    def number(self) -> int | None:
        return self.submission.number

    @property
    def passed(self) -> list[int]:
        return [step for step in self.steps if self.is_passed(step)]

    def is_passed(self, step: int) -> bool:
        return step in self.outcomes and self.outcomes[step].kind == Kind.RIGHT

    @property
    def stands(self) -> int | None:
        """The first step that was tried and is not right, else the first that has not passed; None after all."""
        open_steps = [step for step in self.steps if not self.is_passed(step)]
        tried = [step for step in open_steps if step in self.outcomes and step not in self.untouched]
        return next(iter(tried + open_steps), None)

    def state(self, step: int) -> str:
        """In a word or two."""
        outcome = self.outcomes.get(step)
        if outcome is None:
            return "채점 안 함" if step in self.submission.files else "없음"
        if outcome.kind == Kind.RIGHT:
            return "풀이와 같음" if step in self.laid else "통과"
        if step in self.untouched:
            return "그대로"
        return {Kind.WRONG: "결과 다름", Kind.BROKEN: "멈춤", Kind.NOT_BEGUN: "빈칸"}[outcome.kind]

    def where(self) -> str:
        """The step and TODO at which the student stands."""
        step = self.stands
        if step is None:
            return "모두 통과"
        outcome = self.outcomes.get(step)
        if outcome is None or step in self.untouched:
            return f"{step}단계 {self.state(step)}"
        return f"{step}단계 " + (f"TODO {outcome.todo}" if outcome.todo else "파일")

    def told(self) -> str:
        """What the checker says where the student stands, or why nothing was judged."""
        step = self.stands
        outcome = self.outcomes.get(step)
        if outcome is not None and outcome.kind != Kind.RIGHT:
            line = f"({outcome.line}행) " if outcome.line and outcome.kind == Kind.BROKEN else ""
            return line + " ".join(outcome.message.split())
        return " ".join(self.submission.notes) if not self.submission.files else ""

    def remarks(self) -> list[str]:
        """What is known besides: sentences."""
        copied = [f"{step}단계의 파일에 {_numbers(numbers)}의 프롬프트가 있습니다."
                  for step, numbers in sorted(self.copied.items())]
        return [*self.submission.notes, *copied]

    def squares(self) -> str:
        return "".join("▣" if step in self.laid and self.is_passed(step) else "■" if self.is_passed(step) else "□"
                       for step in self.steps)

    def line(self, columns: int) -> str:
        """For a terminal; the name is as wide as ``columns``."""
        line = f"{pad(self.name, columns)}  {self.squares()}  {self.where()}"
        told = self.told()
        return shortened(f"{line}: {told}" if told else line, COLUMNS)


def _numbers(numbers: list[int]) -> str:
    return ", ".join(f"{number}번" for number in numbers)


def shortened(text: str, columns: int) -> str:
    """``text``, with … for what does not fit in so many columns."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 2:
        text = text[:-1]
    return f"{text.rstrip()}…"


# Judging


def check_class(args: CheckArguments) -> int:
    """Judge a class, write its page and its table, and say where; returns the exit code.

    Raises:
        UserError: there is no such class, or the results cannot be written.
    """
    from .class_page import write_page
    from .class_table import write_table

    given, folder = Path(args.class_dir), Path(args.report_dir or FOLDER)
    if given.is_dir() and folder.resolve().is_relative_to(given.resolve()):
        raise UserError(f"report_dir: {folder}는 학생들의 폴더 안에 있습니다. 다른 폴더를 지정하세요.")
    check_writable(folder, "report_dir")
    submissions, loose = read_class(given)
    folder.mkdir(parents=True, exist_ok=True)
    steps = args.numbers or list(STEPS)
    students = [Student(each, steps) for each in submissions]
    if loose:
        print(f"학생의 폴더 밖에 있어 채점하지 않은 파일: {', '.join(sorted(loose))}")
    code, judged = 0, Judged(folder / "judged.json", args)
    try:
        _judge(students, args, judged)
    except KeyboardInterrupt:
        print("\n중단했습니다. 여기까지 채점한 것을 저장합니다.")
        code = 130
    finally:
        judged.save()
        note_copies(students)
        print("\n" + summary(students) + "\n")
        for name, write in {"index.html": partial(write_page, anonymous=args.anonymous),
                            "class.csv": write_table}.items():
            try:
                write(folder / name, students)
                print(folder / name)
            except OSError as error:  # Excel holds what it has open
                print(f"{folder / name}: 저장하지 못했습니다({error.strerror}). 다른 프로그램에서 열려 있다면 닫고 "
                      "다시 실행하세요. 채점한 결과는 남아 있습니다.")
                code = code or 1
    return code


class Task(NamedTuple):
    student: Student
    step: int
    key: str


def _judge(students: list[Student], args: CheckArguments, judged: Judged) -> None:
    """Give each student their outcomes, and print each student's line once they are there."""
    columns = min(24, max(width(student.name) for student in students))
    tasks, known = [], 0
    for student in students:
        for step, data in student.submission.files.items():
            if step not in student.steps:
                continue
            key, kind = judged.key(step, data, student.number), given_as(step, data)
            if kind == "exercise":
                student.untouched.add(step)
                student.outcomes[step] = Outcome(Kind.NOT_BEGUN, todos_of(step)[0].hints[0], 1)
                continue
            if kind == "solution":
                student.laid.add(step)
            if key in judged:
                student.outcomes[step] = judged[key]
                known += 1
            else:
                tasks.append(Task(student, step, key))
    jobs = args.jobs or usual_jobs()
    again = f" 지난번과 같은 파일 {known}개는 그 결과를 씁니다." if known else ""
    print(f"학생 {len(students)}명, 파일 {len(tasks)}개를 {jobs}개씩 채점합니다.{again}", flush=True)
    left = Counter(id(task.student) for task in tasks)
    for student in students:
        if not left[id(student)]:
            print(student.line(columns), flush=True)
    if not tasks:
        return
    start: Start = start_beside_others
    if forks.CAN_FORK:
        forks.warm_up()
        start = forks.Fork
    with closing(outcomes_of(tasks, args, jobs, start)) as outcomes:
        for task, outcome in outcomes:
            task.student.outcomes[task.step] = judged[task.key] = outcome
            left[id(task.student)] -= 1
            if not left[id(task.student)]:
                print(task.student.line(columns), flush=True)


def outcomes_of(tasks: list[Task], args: CheckArguments, jobs: int, start: Start) -> Iterator[tuple[Task, Outcome]]:
    """The outcomes as they come, of ``jobs`` trials at a time; whatever ends this ends the trials."""
    waiting, running = deque(tasks), {}
    with TemporaryDirectory(prefix="class-", ignore_cleanup_errors=True) as folder:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    task = waiting.popleft()
                    file = Path(folder, str(len(waiting)), f"{STEPS[task.step]}.py")
                    file.parent.mkdir()
                    file.write_bytes(task.student.submission.files[task.step])
                    running[task.key, id(task.student)] = task, Trial(
                        task.step, file, args.seconds or SECONDS[task.step], args.memory, task.student.number, start)
                for place, (task, trial) in list(running.items()):
                    outcome = trial.poll()
                    if outcome is not None:
                        del running[place]
                        outcome.message = without_paths(outcome.message, trial.file)
                        yield task, outcome
                time.sleep(0.05)
        finally:
            for _, trial in running.values():
                trial.end()


def usual_jobs() -> int:
    """As many as there are cores for, and memory."""
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available / JOB_MEMORY)))


class Judged(dict):
    """Outcomes by the file, the student's number, the bounds, and the checker: what has not changed is not judged
    again."""

    def __init__(self, file: Path, args: CheckArguments):
        super().__init__()
        self.file, self.args, self.checker = file, args, _checker_digest()
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # there is none, or another version's
            for key, told in json.loads(file.read_text(encoding="utf-8")).items():
                self[key] = Outcome(**{**told, "kind": Kind(told["kind"])})

    def key(self, step: int, data: bytes, number: int | None) -> str:
        bounds = [self.args.seconds or SECONDS[step], self.args.memory]
        key = json.dumps([self.checker, hashlib.sha256(data).hexdigest(), step, number, bounds])
        return hashlib.sha256(key.encode()).hexdigest()

    def save(self) -> None:
        write_json(self.file, {key: asdict(outcome) for key, outcome in self.items()})


def _checker_digest() -> str:
    """Of all that an outcome depends on but the file."""
    digest = hashlib.sha256(sys.version.encode())
    course = SCRIPTS / "course"
    own = [course / f"{name}.py" for name in CHECKER]
    for file in sorted([*own, *(course / "checks").glob("*.py"), *(SCRIPTS / "ratsnlp").rglob("*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


# Same files


def plain(text: str) -> str:
    """Without what editors and systems make of line ends and the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def source_of(data: bytes) -> str:
    return plain(data.decode("utf-8-sig", "replace"))


@cache
def given_texts(step: int) -> dict[str, str]:
    """The exercise and the solution of a step; neither where this copy of the repository has no sources."""
    texts = {}
    with suppress(OSError):
        source = (SCRIPTS / "course" / "steps" / f"{STEPS[step]}.py").read_text(encoding="utf-8")
        texts = {"exercise": plain(exercise(source)), "filled": plain(solution(source))}
        texts["solution"] = plain(solution_of(step).read_text(encoding="utf-8"))
    return texts


def given_as(step: int, data: bytes) -> str | None:
    """``exercise`` or ``solution`` where a file is what was given, else None."""
    text = source_of(data)
    return next((name for name, given in given_texts(step).items() if text == given), None)


def own_words(step: int, text: str) -> set[str]:
    """The words of a file that are in neither the exercise nor the solution."""
    word = re.compile(r"[\w.]+")
    return set(word.findall(text)).difference(*map(word.findall, given_texts(step).values()))


def note_copies(students: list[Student]) -> None:
    """Note whose files are the same as another's, and whose prompts are in a file or an output of another."""
    by_number = {student.number for student in students if student.number is not None}
    same: dict[tuple[int, str], list[Student]] = {}
    for student in students:
        for step, data in student.submission.files.items():
            text = source_of(data)
            if step in student.steps and given_as(step, data) is None:
                if len(own_words(step, text)) >= OWN_WORDS:
                    same.setdefault((step, text), []).append(student)
                others = [number for number in whose(text, by_number) if not _same_prompt(number, student.number)]
                if others:
                    student.copied[step] = others
        for step, text in student.submission.outputs.items():
            student.outputs[step] = _whose_output(text, student.number, by_number)
    for (step, _), group in same.items():
        if len(group) > 1:
            for student in group:
                student.twins[step] = [other.name for other in group if other is not student]


def _same_prompt(one: int, other: int | None) -> bool:
    return other is not None and prompt_of(one) == prompt_of(other)


def _whose_output(text: str, number: int | None, by_number: set[int]) -> str:
    others = [other for other in whose(text, by_number) if not _same_prompt(other, number)]
    if others:
        return f"{_numbers(others)}의 프롬프트"
    return "자기 프롬프트" if number is not None and prompt_of(number) in text else "번호의 프롬프트 없음"


# Figures


def passed_counts(students: list[Student]) -> dict[int, int]:
    """How many have passed each step."""
    return {step: sum(student.is_passed(step) for student in students) for step in students[0].steps}


def stops(students: list[Student]) -> Counter[tuple[int, int]]:
    """At which (step, TODO) how many files end that were tried; TODO 0 is a file as a whole."""
    return Counter((step, outcome.todo) for student in students for step, outcome in student.outcomes.items()
                   if outcome.kind != Kind.RIGHT and step not in student.untouched)


def name_of(place: tuple[int, int]) -> str:
    step, todo = place
    return f"{step}단계 TODO {todo} {todos_of(step)[todo - 1].title}" if todo else f"{step}단계 파일 전체"


def summary(students: list[Student]) -> str:
    """For a terminal: how many have passed each step, and the TODOs that stop most."""
    passed = ", ".join(f"{step}단계 {count}명" for step, count in passed_counts(students).items())
    lines = [f"통과(학생 {len(students)}명 가운데): {passed}"]
    often = stops(students).most_common(5)
    if often:
        lines += ["많이 막힌 곳", *(f"  {count}명  {name_of(place)}" for place, count in often)]
    groups = {(step, *sorted([student.name, *names])) for student in students for step, names in student.twins.items()}
    lines += [f"글자 하나까지 같은 파일: {step}단계 {', '.join(names)}" for step, *names in sorted(groups)]
    return "\n".join(lines)
