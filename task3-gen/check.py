r"""실습(step1 … step5)을 채점합니다. 맞았는지, 아니면 무엇을 살펴볼지 바로 알려 줍니다.

    python task3-gen/check.py 1           # 1단계
    python task3-gen/check.py             # 아직 통과하지 않은 단계들
    python task3-gen/check.py 1 --hint    # 막힌 곳의 힌트를 하나씩
    python task3-gen/check.py --start 3   # 1, 2단계를 완성해 두고 3단계부터
    python task3-gen/check.py 0           # 수업 전날: 설치가 잘되었는지
    python task3-gen/check.py --class DIR # 강사: 학생들의 폴더나 zip을 모두 채점해 표로
    python task3-gen/check.py 1 --json    # 다른 프로그램이 읽을 JSON

이 폴더에 있는 내 파일을 실행해, 쓰인 코드가 아니라 나온 결과를 봅니다. 어떤 방법이든 결과가 맞으면
통과입니다. 진행 상황은 output/course/progress.json에 남습니다. 모두 통과하면 종료 코드는 0입니다.
"""

import json
import signal
import sys

from course import CheckArguments, with_steps_named
from course.catch_up import start_at
from course.classroom import check_class
from course.exercism import results
from course.gaps import STEPS, file_of
from course.progress import Progress
from course.rehearsal import rehearse
from course.report import celebration, hint_of, report
from course.runner import check_file
from ratsnlp import nlpbook

if __name__ == "__main__":
    sys.argv[1:] = with_steps_named(sys.argv[1:])
    args = nlpbook.load_arguments(CheckArguments)
    if args.numbers == [0]:
        sys.exit(rehearse())
    for name in ("SIGTERM", "SIGHUP"):  # 창을 닫으면 채점 중이던 프로세스도 함께 끝냅니다.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(1))
    if args.class_dir is not None:
        sys.exit(check_class(args))
    progress = Progress.load()
    if args.start is not None:
        sys.exit(start_at(args.start, progress))
    if args.json:
        step, = args.numbers
        outcome = check_file(step, file_of(step), args.seconds, args.memory, args.student)
        progress.note(step, outcome)
        in_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"  # 아니면 ASCII로만
        told = results(step, outcome, file_of(step))
        print(json.dumps(told, ensure_ascii=not in_utf8, indent=2))
        sys.exit(0 if outcome.kind == "right" else 1)

    steps = args.numbers or [step for step in STEPS if not progress.is_passed(step)]
    passed = True
    for step in steps if args.numbers or not args.hint else steps[:1]:
        if args.hint and progress.is_fresh(step):  # 지난번 채점한 다음 고치지 않았습니다.
            print(hint_of(step, progress))
            passed &= progress.steps[step].kind == "right"
            continue
        print(f"{step}단계 {file_of(step).name}: 실행해 봅니다.", flush=True)
        outcome = check_file(step, file_of(step), args.seconds, args.memory, args.student)
        progress.note(step, outcome)
        passed &= outcome.kind == "right"
        print(hint_of(step, progress) if args.hint else report(step, outcome), flush=True)
        if not args.numbers and outcome.kind == "not begun" and outcome.todo == 1:
            break  # 그다음 단계들은 아직 펼치지 않았을 것입니다.
    print(progress.bar())
    if progress.is_finished:
        print(celebration(progress))
    sys.exit(0 if passed else 1)
