"""What a learner reads of an outcome."""

from ratsnlp.nlpbook.display import COLUMNS, wrap

from .checking import Kind, Outcome
from .gaps import STEPS, file_of, solution_of, todos_of
from .progress import Progress

TOLD = {Kind.WRONG: ("×", "결과가 다릅니다."), Kind.BROKEN: ("×", "실행하다가 멈췄습니다."),
        Kind.NOT_BEGUN: ("·", "아직 빈칸입니다.")}
INDENT = "      "


def report(step: int, outcome: Outcome) -> str:
    """The TODOs up to the first that is not right, what is wrong there, and what to type next."""
    todos = todos_of(step)
    right = todos if outcome.kind == Kind.RIGHT else todos[: max(0, outcome.todo - 1)]
    lines = [f"  ○ TODO {number} {todo.title}" for number, todo in enumerate(right, start=1)]
    if outcome.kind == Kind.RIGHT:
        then = f"다음은 task3-gen/{STEPS[step + 1]}.py입니다." if step < len(STEPS) else (
            f"이제 python task3-gen/{STEPS[step]}.py로 페이지를 열어 보세요.")
        return "\n".join([*lines, f"  {step}단계를 통과했습니다. {then}"])
    where = [f"TODO {outcome.todo} {todos[outcome.todo - 1].title}"] if outcome.todo else []
    where += [f"{outcome.line}행"] if outcome.line else []
    mark, what = TOLD[outcome.kind]
    lines.append(f"  {mark} {', '.join(where) or '파일'}: {what}")
    lines.append(wrap(outcome.message, COLUMNS, INDENT))
    if outcome.line and outcome.kind == Kind.BROKEN:
        lines.append(f"{INDENT}{outcome.line}행: {_line(step, outcome.line)}")
    again = f"python task3-gen/check.py {step}"
    then = "채운" if outcome.kind == Kind.NOT_BEGUN else "고친"
    lines.append(f"  {then} 다음 다시: {again}   힌트: {again} --hint")
    return "\n".join(lines)


def _line(step: int, number: int) -> str:
    lines = file_of(step).read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[number - 1].strip() if number <= len(lines) else ""


def hint_of(step: int, progress: Progress) -> str:
    """The next hint for the TODO at which the step stands."""
    todo = progress.steps[step].todo
    if not todo and progress.steps[step].kind == Kind.RIGHT:
        return f"{step}단계는 이미 통과했습니다."
    if not todo:
        return f"파일이 실행되지 않습니다. 먼저 python task3-gen/check.py {step}이 알려 주는 행을 고치세요."
    title, _, hints = todos_of(step)[todo - 1]
    number = progress.next_hint(step, len(hints))
    told = wrap(f"TODO {todo} {title}, 힌트 {number + 1}/{len(hints)}: {hints[number]}", COLUMNS, "  ")
    if number + 1 == len(hints):
        there = solution_of(step).exists()
        told += "\n  마지막 힌트입니다. 그래도 막히면 " + (
            f"task3-gen/solutions/{solution_of(step).name}를 보세요." if there else "짝이나 강사와 이야기해 보세요.")
    return told


def celebration(progress: Progress) -> str:
    """For the learner who has passed all steps."""
    tries = sum(each.tries for each in progress.steps.values())
    hints = sum(sum(each.hints.values()) for each in progress.steps.values())
    return "\n".join([
        "", "  ★ 다섯 단계를 모두 마쳤습니다. 축하합니다! ★",
        f"  채점 {tries}번, 힌트 {hints}개. 언어 모델로 문장을 쓰고, 가르치고, 웹 서비스로 열었습니다.",
        "  다음은 task3-gen/README_stepwise_learning.md의 '최종 프로젝트'입니다."])
