"""For those who fell behind: the steps before one, finished, with nothing of theirs lost."""

import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

from ratsnlp.nlpbook.errors import UserError

from .arguments import StepArguments, is_trained
from .gaps import STEPS, file_of, solution_of
from .progress import FOLDER, Progress


def start_at(step: int, progress: Progress) -> int:
    """Lay the finished steps before ``step``, and for step 5 the checkpoint that step 4 makes; returns the exit code.

    A file that has passed stays. One that has not goes to the folder ``mine`` first.

    Raises:
        UserError: there are no solutions in this copy of the repository.
    """
    missing = [solution_of(before) for before in range(1, step)
               if not progress.stays(before) and not solution_of(before).exists()]
    if missing:
        raise UserError(f"start: {missing[0]} 파일이 없습니다. 풀이는 강사에게 받으세요.")
    for before in range(1, step):
        file, solution = file_of(before), solution_of(before)
        if progress.stays(before):
            print(f"{before}단계: 이미 통과했으므로 그대로 둡니다.")
            continue
        if file.exists():
            kept = _unused(FOLDER / "mine" / file.name)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, kept)
            print(f"{before}단계: 완성된 파일을 놓았습니다. 쓰던 파일은 {kept}에 있습니다.")
        shutil.copyfile(solution, file)
        progress.note_laid(before)
    if step == 5 and not is_trained(StepArguments()):
        print("4단계의 체크포인트가 없어 지금 학습합니다. 1분쯤 걸립니다.", flush=True)
        code = subprocess.run([sys.executable, str(file_of(4))], check=False).returncode
        if code:
            return code
    print(progress.bar())
    print(f"이제 {step}단계입니다: task3-gen/{STEPS[step]}.py")
    return 0


def _unused(file: Path) -> Path:
    """``file``, or the first of ``file-2``, ``file-3`` … that is not there."""
    names = (file.with_stem(f"{file.stem}-{number}") for number in count(2))
    return file if not file.exists() else next(name for name in names if not name.exists())
