"""check.py as a learner runs it, in a copy of the repository whose files they fill."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from helpers import REPOSITORY, SCRIPTS

from course.students import prompt_of

ENDLESS = """import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({told!r}, "w").write(str(other.pid))
# TODO 1: 이름
while True:
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What of the repository the course needs, in a folder with Hangul and a space in its name."""
    folder = tmp_path_factory.mktemp("course") / "내 수업"
    for name in ("task3-gen", "templates"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "bench"))
    shutil.copy(REPOSITORY / "requirements.txt", folder)
    return folder


@pytest.fixture
def script(clone):
    """Runs check.py of the clone, whose files are as they were given and whose progress is at its beginning."""
    shutil.rmtree(clone / "output", ignore_errors=True)
    for file in SCRIPTS.glob("step*.py"):
        shutil.copy(file, clone / "task3-gen")

    def run(*flags, encoding: str = "utf-8") -> subprocess.CompletedProcess:
        command = [sys.executable, clone / "task3-gen" / "check.py", *map(str, flags)]
        return subprocess.run(
            command, capture_output=True, encoding=encoding,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}, timeout=300, check=False)

    return run


def progress_of(clone: Path) -> dict:
    return json.loads((clone / "output" / "course" / "progress.json").read_text(encoding="utf-8"))


def fill(clone: Path) -> Path:
    """Lay the solution over step 1; returns the step."""
    return shutil.copy(clone / "task3-gen/solutions/step1_solution.py", clone / "task3-gen/step1_basic_generation.py")


def test_a_learners_way_through_a_step_in_a_cp949_terminal(clone, script):
    """Nothing filled, a hint, a wrong answer, a right one; each time the next thing to do is told."""
    begun = script(1, encoding="cp949")
    assert begun.returncode == 1
    assert "TODO 1 모델의 이름" in begun.stdout
    assert "아직 빈칸입니다" in begun.stdout
    assert "?" not in begun.stdout  # nothing that the terminal cannot show
    hints = [script(1, "--hint", encoding="cp949").stdout for _ in range(3)]
    assert ["힌트 2/3" in hints[0], "힌트 3/3" in hints[1], "힌트 3/3" in hints[2]] == [True] * 3
    assert "solutions/step1_solution.py" in hints[2]

    file = fill(clone)
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace('"</s>"', '"<s>"'), encoding="utf-8")
    wrong = script(1, encoding="cp949")
    assert wrong.returncode == 1
    assert "○ TODO 1 모델의 이름" in wrong.stdout
    assert "× TODO 2" in wrong.stdout
    assert "시작을 표시하는 토큰(bos)" in wrong.stdout
    assert "TODO 3" not in wrong.stdout  # the first failure alone

    file.write_text(right, encoding="utf-8")
    passed = script(1, encoding="cp949")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "1단계를 통과했습니다" in passed.stdout
    assert "■□□□□ 1/5단계" in passed.stdout
    assert progress_of(clone)["1"]["tries"] == 3
    assert script(1, "--hint").stdout.startswith("1단계는 이미 통과했습니다")
    file.write_text(right + "____", encoding="utf-8")  # to try something more does not take back what has passed
    assert "■□□□□ 1/5단계" in script(1).stdout


def test_an_endless_loop_is_ended_with_what_it_has_started(clone, script, tmp_path):
    told = tmp_path / "pid"
    file = clone / "task3-gen" / "step1_basic_generation.py"
    file.write_text(ENDLESS.format(told=str(told)), encoding="utf-8")
    begun = time.monotonic()
    done = script(1, "--seconds", 10)
    assert time.monotonic() - begun < 60
    assert done.returncode == 1
    assert "TODO 1 모델의 이름, 6행: 실행하다가 멈췄습니다" in done.stdout
    assert "10초가 지나도 끝나지 않아 중단했습니다" in done.stdout
    assert not psutil.pid_exists(int(told.read_text()))


def test_a_file_that_ends_its_process_is_told(clone, script):
    (clone / "task3-gen" / "step1_basic_generation.py").write_text("import os\nos._exit(3)\n", encoding="utf-8")
    done = script(1)
    assert done.returncode == 1
    assert "끝까지 가지 않고 끝났습니다(종료 코드 3)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_json_is_all_that_is_printed_and_is_utf8_in_any_terminal(clone, script):
    file = fill(clone)
    file.write_text(file.read_text(encoding="utf-8").replace('"</s>"', '"<s>"'), encoding="utf-8")
    done = script(1, "--json", encoding="cp949")
    told = json.loads(done.stdout.encode("cp949").decode("utf-8"))
    assert (done.returncode, told["version"], told["status"]) == (1, 3, "fail")
    assert [test["status"] for test in told["tests"]] == ["pass", "fail"]
    assert "시작을 표시하는 토큰(bos)" in told["tests"][1]["message"]
    assert progress_of(clone)["1"]["todo"] == 2
    file.write_text("print('가'\n", encoding="utf-8")
    broken = json.loads(script(1, "--json").stdout)
    assert (broken["status"], broken["tests"]) == ("error", [])
    assert "SyntaxError" in broken["message"]
    assert str(clone) not in broken["message"]


def test_a_students_number_gives_prompt_and_seed(clone, script):
    fill(clone)
    assert script(1, "--student", 7).returncode == 0
    file = clone / "task3-gen" / "step1_basic_generation.py"
    typed = f'tokenizer("{prompt_of(8)} 재밌네요", return_tensors="pt").input_ids'
    text = re.sub(r"model\.generate\(.*?max_length=50\)", typed, file.read_text(encoding="utf-8"), flags=re.DOTALL)
    file.write_text(text, encoding="utf-8")
    assert f"프롬프트를 '{prompt_of(7)}'로 바꾸어" in script(1, "--student", 7).stdout


def test_who_fell_behind_starts_with_what_is_finished_and_loses_nothing(clone, script):
    mine = clone / "task3-gen" / "step1_basic_generation.py"
    mine.write_text("# 내가 쓴 것\n", encoding="utf-8")
    done = script("--start", 3)
    assert done.returncode == 0, done.stderr
    assert mine.read_text(encoding="utf-8") == (SCRIPTS / "solutions" / "step1_solution.py").read_text(encoding="utf-8")
    kept = clone / "output" / "course" / "mine" / mine.name
    assert kept.read_text(encoding="utf-8") == "# 내가 쓴 것\n"
    mine.write_text("# 또 쓴 것\n", encoding="utf-8")
    assert "▣▣□□□ 2/5단계" in script("--start", 3).stdout
    assert kept.with_stem(f"{kept.stem}-2").read_text(encoding="utf-8") == "# 또 쓴 것\n"


def test_the_rehearsal_writes_a_first_sentence(script):
    done = script(0)
    assert "모델이 쓴 첫 문장: '내일 수업은" in done.stdout
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("flags", "words"), [
    (["6"], "steps: 단계는 0에서 5까지인데 '6'입니다."),
    (["0", "1"], "steps: 0은 혼자 적어야 하는데"),
    (["--start", "6"], "start: 5 이하여야 하는데 6입니다."),
    (["1", "--hnt"], "--hnt: 없는 옵션입니다. 혹시 --hint인가요?"),
])
def test_a_flag_that_is_wrong_is_told(script, flags, words):
    done = script(*flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unfinished_file_says_what_comes_next_in_one_line(clone, script):
    done = subprocess.run([sys.executable, clone / "task3-gen" / "step1_basic_generation.py"], capture_output=True,
                          encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"}, check=False)
    assert done.returncode == 1
    assert done.stdout.strip().startswith("다음은 TODO 1입니다(33행, 모델의 이름). 힌트: ")
    assert "\n" not in done.stdout.strip()
    assert done.stderr == ""
