"""The course: the files that are made from one source, and what the checker says to right and wrong answers."""

import importlib
import re
import textwrap
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

import pytest
from helpers import SCRIPTS, ForkServer

from course.build import files
from course.checking import Kind, Outcome
from course.gaps import STEPS, Gap, exercise, filled, todos_of
from course.runner import CHILD

ANSWERS = {step: importlib.import_module(f"course_answers.step{step}") for step in STEPS}
SOURCES = {step: SCRIPTS.joinpath("course", "steps", f"{name}.py").read_text(encoding="utf-8")
           for step, name in STEPS.items()}


def answered(step: int, answers: dict[int, str]) -> str:
    """The step as a learner may have filled it: ``answers`` in place of the blanks of these TODOs, and the solution's
    elsewhere."""

    def fill(gap: Gap) -> str:
        return textwrap.indent(answers[gap.todo] + "\n", gap.indent) if gap.todo in answers else gap.answer

    return filled(SOURCES[step], fill)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """What the checker says to files of a step that read as these texts: two at a time, each in a fork, which has the
    libraries already and one thread."""
    servers = SimpleQueue()
    for _ in range(2):
        servers.put(ForkServer(OMP_NUM_THREADS="1"))

    def judge(step: int, text: str | bytes, student: int | None = None) -> Outcome:
        folder = tmp_path_factory.mktemp(f"step{step}")
        file = folder / f"{STEPS[step]}.py"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        server = servers.get()
        try:
            number = [] if student is None else ["0", str(student)]
            done = server.run([str(CHILD), str(step), str(file), str(folder), *number], folder)
        finally:
            servers.put(server)
        assert done.returncode == 0, done.stderr[-3000:]
        return Outcome.read(folder)

    with ThreadPoolExecutor(2) as pool:
        yield lambda step, *texts, student=None: list(pool.map(partial(judge, step, student=student), texts))
    while not servers.empty():
        servers.get().process.terminate()


def test_exercises_and_solutions_are_what_their_source_makes():
    for file, text in files().items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: task3-gen/course/build.py로 다시 만드세요."


@pytest.mark.parametrize("step", STEPS)
def test_each_todo_has_a_blank_a_title_and_hints(step):
    numbers = [int(number) for number in re.findall(r"# TODO (\d+): ", exercise(SOURCES[step]))]
    assert numbers == list(range(1, len(todos_of(step)) + 1))
    for number, todo in enumerate(todos_of(step), start=1):
        assert len(todo.hints) >= 3
        block = exercise(SOURCES[step]).split(f"# TODO {number}: ")[1].split("# TODO ")[0]
        assert "____" in block


@pytest.mark.parametrize("step", STEPS)
def test_a_solution_passes_and_an_unfinished_file_is_not_begun(step, judged):
    text = SCRIPTS.joinpath("solutions", f"step{step}_solution.py").read_text(encoding="utf-8")
    solved, unfinished = judged(step, text, exercise(SOURCES[step]))
    assert solved == Outcome(Kind.RIGHT)
    assert (unfinished.kind, unfinished.todo) == (Kind.NOT_BEGUN, 1)
    assert unfinished.message == todos_of(step)[0].hints[0]


@pytest.fixture
def typical(request):
    """The first answers to each TODO of a list, so many; with ``--all-answers`` all of them, which takes minutes."""
    def take(answers: list[tuple], count: int) -> list[tuple]:
        if request.config.getoption("--all-answers"):
            return answers
        return [answer for place, answer in enumerate(answers)
                if sum(before[0] == answer[0] for before in answers[:place]) < count]

    return take


@pytest.mark.parametrize("step", STEPS)
def test_other_right_answers_pass(step, judged, typical):
    answers = typical(ANSWERS[step].RIGHT, 1)
    outcomes = judged(step, *(answered(step, {todo: answer}) for todo, answer in answers))
    failed = [(*case, outcome) for case, outcome in zip(answers, outcomes, strict=True)
              if outcome != Outcome(Kind.RIGHT)]
    assert not failed, "\n\n".join(map(str, failed))


@pytest.mark.parametrize("step", STEPS)
def test_wrong_answers_are_told_what_is_wrong(step, judged, typical):
    answers = typical(ANSWERS[step].WRONG, 2)
    assert len(answers) >= 6
    outcomes = judged(step, *(answered(step, {todo: answer}) for todo, answer, _ in answers))
    failed = [(*case, outcome) for case, outcome in zip(answers, outcomes, strict=True)
              if outcome.kind not in (Kind.WRONG, Kind.BROKEN) or outcome.todo != case[0]
              or case[2] not in outcome.message]
    assert not failed, "\n\n".join(map(str, failed))


@pytest.mark.parametrize(("step", "student"), [(1, 2), (2, 31), (3, 3), (4, 77), (5, 100)])
def test_a_students_own_prompt_tells_right_from_wrong(step, student, judged, typical):
    """Of steps 1 to 3, whose checks look at what comes after it, two wrong answers as well."""
    answers = [answer for answer in ANSWERS[step].WRONG if answer[0] == len(todos_of(step)) - (step == 3)]
    answers = typical(answers, 2) if step < 4 else []
    right, *wrong = judged(
        step, answered(step, {}), *(answered(step, {todo: answer}) for todo, answer, _ in answers), student=student)
    assert right == Outcome(Kind.RIGHT)
    for (todo, _, words), outcome in zip(answers, wrong, strict=True):
        assert (outcome.kind, outcome.todo) == (Kind.WRONG, todo)
        assert words in outcome.message


def test_a_broken_file_is_told_with_message_and_line(judged):
    texts = {"name = 1 / 0": "ZeroDivisionError: division by zero", "raise SystemExit('그만')": "SystemExit: 그만",
             "print('가'": "SyntaxError: '(' was never closed ( 괄호를 닫지 않았습니다.",
             "x = nam": "NameError: name 'nam' is not defined nam: 없는 이름입니다. 철자가 맞는지, 위에서 만들었거나 "
                        "불러온 이름인지 보세요. 문자열이라면 따옴표로 감쌉니다."}
    outcomes = judged(1, *(f"# TODO 1: 이름\n{text}\n" for text in texts))
    assert outcomes == [Outcome(Kind.BROKEN, message, 1, 2) for message in texts.values()]


def test_files_of_windows(judged):
    """Notepad marks its UTF-8 and ends its lines in its own way; an old editor saves in cp949."""
    notepad, cp949 = judged(1, exercise(SOURCES[1]).replace("\n", "\r\n").encode("utf-8-sig"), "# 한글".encode("cp949"))
    assert notepad.kind == Kind.NOT_BEGUN
    assert "UTF-8" in cp949.message


def test_a_blank_that_nothing_comes_to_is_found(judged):
    outcome, = judged(1, answered(1, {2: 'eos_token = "</s>" if model_name else ____'}))
    assert (outcome.kind, outcome.todo) == (Kind.NOT_BEGUN, 2)
