"""A class: what is handed in, as it comes, judged by one command; the page, the table, and prompts of one's own."""

import csv
import io
import os
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import psutil
import pytest
from helpers import SCRIPTS, run_script, user_error
from test_course import SOURCES, answered

from course.arguments import CheckArguments, with_steps_named
from course.checking import Kind, Outcome
from course.classroom import Judged, Student, note_copies, own_words
from course.exercism import results
from course.gaps import STEPS, exercise, solution_of
from course.spreadsheet import cell
from course.students import PROMPTS, prompt_of, with_student
from course.submissions import Submission, decoded, read_class
from ratsnlp.nlpbook.errors import UserError

STEP1 = f"{STEPS[1]}.py"
RIGHT = answered(1, {})
WRONG = answered(1, {2: 'eos_token = "<s>"'})
COPIED = answered(1, {4: "# 확률이 젤 노픈 토큰\nanswer = model.generate(input_ids, min_length=10, max_length=50)\n"
                         "greedy_ids[prompt] = answer"})
TYPED = answered(
    1, {4: f'greedy_ids[prompt] = tokenizer("{prompt_of(2)} 재밌네요", return_tensors="pt").input_ids'})
ENDLESS = """import subprocess, sys
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({told!r}, "w").write(str(other.pid))
# TODO 1: 이름
while True:
    pass
"""
GREEDY_FOR_MEMORY = "# TODO 1: 이름\nhoard = []\nwhile True:\n    hoard.append(bytearray(b'x' * 50_000_000))\n"


def zipped(files: dict[str, str | bytes], encoding: str | None = None) -> bytes:
    """A zip of ``files``; with ``encoding`` the names are in it and no flag says so, as Windows (cp949) and macOS
    (utf-8) make them."""
    raw = {name: name.encode(encoding or "utf-8") for name in files}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(files.items()):
            archive.writestr(f"{number:0{len(raw[name])}}" if encoding else name, content)
    data = out.getvalue()
    for number, name in enumerate(files if encoding else ()):
        data = data.replace(f"{number:0{len(raw[name])}}".encode(), raw[name])
    return data


def lay(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def names(folder: Path) -> list[str]:
    return [student.name for student in read_class(folder)[0]]


# What is handed in


@pytest.mark.parametrize("encoding", [None, "utf-8", "cp949"])
def test_names_in_zips_of_windows_and_macos(tmp_path, encoding):
    name = "김하늘 과제"
    form = "NFC" if encoding == "cp949" else "NFD"  # which macOS writes
    given = {f"{number} {unicodedata.normalize(form, name)}/{STEP1}": RIGHT for number in (7, 8)}
    (tmp_path / "반.zip").write_bytes(zipped(given, encoding))
    students, _ = read_class(tmp_path / "반.zip")
    assert [(student.name, student.number) for student in students] == [(f"7 {name}", 7), (f"8 {name}", 8)]
    assert students[0].files == {1: RIGHT.encode()}
    assert names(tmp_path) == names(tmp_path / "반.zip")  # the folder that holds the zip of all


def test_a_whole_repository_is_searched_for_what_the_learner_wrote(tmp_path):
    made = {f"repo-main/task3-gen/{STEP1}": "mine", "repo-main/task3-gen/solutions/step1_solution.py": "no",
            f"repo-main/task3-gen/course/steps/{STEP1}": "no", "repo-main/.venv/step1.py": "no",
            f"__MACOSX/repo-main/task3-gen/._{STEP1}": "no", f"repo-main/output/course/mine/{STEP1}": "no",
            "repo-main/task3-gen/course/checks/step1.py": "no", "repo-main/tests/course_answers/step1.py": "no"}
    lay(tmp_path, {"07 김하늘.zip": zipped(made), **{f"08 이바다/{name}": text for name, text in made.items()},
                   "09 박솔/낸 것.zip": zipped({"안.zip": zipped(made)})})
    students, _ = read_class(tmp_path)
    assert [student.files for student in students] == [{1: b"mine"}] * 3
    assert not any(student.notes for student in students)


def test_the_newest_of_several_downloads_counts_and_it_is_said(tmp_path):
    lay(tmp_path, {f"7/{STEP1}": "old", f"7/{STEPS[1]} (2).py": "newest", f"7/{STEPS[1]} (1).py": "new"})
    for file in (tmp_path / "7").iterdir():
        os.utime(file, (1e9, 1e9))
    student, = read_class(tmp_path)[0]
    assert student.files == {1: b"newest"}
    assert student.notes == [f"1단계의 .py 파일이 3개라서 가장 새것을 보았습니다: {STEPS[1]} (2).py"]
    os.utime(tmp_path / "7" / STEP1, (2e9, 2e9))
    assert read_class(tmp_path)[0][0].files == {1: b"old"}


def test_what_cannot_be_read_is_a_line_and_not_the_end(tmp_path):
    tmp_path = tmp_path / "밖" / "반"
    encrypted = bytearray(zipped({STEP1: RIGHT}))
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    outside = {f"../../{STEP1}": "no", f"/etc/{STEP1}": "no", f"C:\\x\\{STEP1}": "no", f"과제\\{STEP1}": "yes"}
    lay(tmp_path, {"1.zip": bytes(encrypted), "2.zip": b"PK\x03\x04 and no more",
                   "3.zip": zipped({STEP1: b"0" * 10**8}), "4.zip": zipped(outside), "5 하늘.egg": b"",
                   f"6/{STEP1}": "yes"})
    (tmp_path / "7").mkdir()
    there = sorted(tmp_path.parents[1].rglob("*"))
    students, loose = read_class(tmp_path)
    words = ["암호", "깨져 있어", "1,000KB보다 큰", "zip 밖을 가리키는", "zip으로 다시", "",
             "실습 파일(step1_….py)이 없습니다"]
    assert [word in " ".join(student.notes) for student, word in zip(students, words, strict=True)] == [True] * 7
    assert [student.files for student in students] == [{}, {}, {}, {1: b"yes"}, {}, {1: b"yes"}, {}]
    assert not loose
    assert sorted(tmp_path.parents[1].rglob("*")) == there


@pytest.mark.parametrize(("files", "words"), [
    ({}, "학생이 없습니다"), ({STEP1: RIGHT}, "학생이 없습니다"), (None, "폴더나 zip 파일이 없습니다")])
def test_what_is_no_class_is_told(tmp_path, files, words):
    with pytest.raises(UserError, match=words):
        read_class(tmp_path / "반" if files is None else lay(tmp_path, files))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_outputs_of_terminals(encoding):
    assert decoded("학생 7: 눈 오는 날".encode(encoding)) == "학생 7: 눈 오는 날"


def test_no_cell_is_a_formula():
    assert [cell(text) for text in ("=1+1", "+82", "-", "@x", "＝1", "김하늘")] == [
        "'=1+1", "'+82", "'-", "'@x", "'＝1", "김하늘"]


# Prompts of one's own


def test_each_number_has_a_prompt_and_a_seed_and_neighbours_differ():
    assert len(PROMPTS) == len(set(PROMPTS)) > 99
    assert not any(one in other for one in PROMPTS for other in PROMPTS if one != other)
    given = "".join(file.read_text(encoding="utf-8") for file in [
        *SCRIPTS.glob("step*.py"), *SCRIPTS.glob("solutions/*.py"), *SCRIPTS.glob("course/checks/*.py")])
    assert not any(prompt in given for prompt in PROMPTS)
    flags = ["--prompt", "이 영화는", "--seed", "11", "--samples", "1"]
    assert with_student(flags, 7) == ["--prompt", prompt_of(7), "--seed", "7", "--samples", "1"]
    assert with_student(flags, None) == flags


def test_a_step_takes_prompt_and_seed_from_the_number():
    done = run_script(f"{STEPS[1]}.py", "--student", 7)
    assert done.stdout.startswith(f"학생 7: 프롬프트 '{prompt_of(7)}', 시드 7\n")
    for flag in ("--prompt", "--seed"):
        assert "student: 7번의" in user_error(run_script(f"{STEPS[1]}.py", "--student", 7, flag, 7))


# Same files


def test_only_files_with_words_of_their_own_are_called_the_same():
    short = answered(
        1, {4: "greedy_ids[prompt] = model.generate(input_ids, do_sample=False, min_length=10, max_length=50)"})
    assert len(own_words(1, short)) < 3 <= len(own_words(1, COPIED))
    texts = {"가": RIGHT, "나": RIGHT, "다": short, "라": short, "마": COPIED, "바": COPIED.replace("\n", "  \r\n"),
             "사": solution_of(1).read_text(encoding="utf-8"), "아": exercise(SOURCES[1]), "자": exercise(SOURCES[1])}
    students = [Student(Submission(name, None, {1: text.encode()}), [1]) for name, text in texts.items()]
    note_copies(students)
    twins = {student.name: student.twins for student in students if student.twins}
    assert twins == {"마": {1: ["바"]}, "바": {1: ["마"]}}


# One command


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The class of this folder, judged; again after one of them has taken back what they had written."""
    folder = tmp_path_factory.mktemp("class")
    told = folder / "pid"
    given = lay(folder / "3반", {
        f"01 김하늘/{STEP1}": RIGHT, f"02 이바다/{STEP1}": WRONG, f"03 박솔/{STEP1}": "print('가'\n",
        f"04 최별/{STEP1}": ENDLESS.format(told=str(told)), f"05 정강/{STEP1}": "import os\nos._exit(3)\n",
        f"06 한들/{STEP1}": GREEDY_FOR_MEMORY, f"07 <b>구름/{STEP1}": COPIED,
        "08 나래.zip": zipped({f"repo/task3-gen/{STEP1}": COPIED}),
        f"09 다온/{STEP1}": exercise(SOURCES[1]), f"=10+1/{STEP1}": WRONG, f"11 누리/{STEP1}": TYPED,
        "01 김하늘/step1.txt": f"학생 1: 프롬프트 '{prompt_of(1)}'",
        "02 이바다/step1.txt": prompt_of(1).encode("utf-16"),
    })
    (given / "12 빈손").mkdir()
    before = {file: file.read_bytes() for file in given.rglob("*") if file.is_file()}
    report = folder / "결과"

    def check(*flags):
        return subprocess.run(
            [sys.executable, SCRIPTS / "check.py", "1", "--class", given, "--report_dir", report, "--seconds", "15",
             "--memory", "1.5", *flags], capture_output=True, encoding="cp949",
            env={**os.environ, "PYTHONIOENCODING": "cp949", "PYTHONUTF8": "0"}, timeout=300, check=False)

    first = check()
    assert {file: file.read_bytes() for file in given.rglob("*") if file.is_file()} == before
    rows = list(csv.reader(io.StringIO((report / "class.csv").read_text(encoding="utf-8-sig"), newline="")))
    page = (report / "index.html").read_text(encoding="utf-8")
    data = (report / "class.csv").read_bytes()
    (given / "02 이바다" / STEP1).write_text(exercise(SOURCES[1]), encoding="utf-8")
    second = check("--anonymous")
    return {"first": first, "rows": {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}, "page": page,
            "csv": data, "second": second, "anonymous": (report / "index.html").read_text(encoding="utf-8"),
            "pid": int(told.read_text())}


@pytest.mark.parametrize(("name", "state", "where", "words"), [
    ("01 김하늘", "통과", "", ""),
    ("02 이바다", "결과 다름", "1단계 TODO 2", "시작을 표시하는 토큰(bos)"),
    ("03 박솔", "멈춤", "1단계 파일", "SyntaxError: '(' was never closed"),
    ("04 최별", "멈춤", "1단계 TODO 1", "15초가 지나도 끝나지 않아 중단했습니다"),
    ("05 정강", "멈춤", "1단계 파일", "끝까지 가지 않고 끝났습니다(종료 코드 3)"),
    ("06 한들", "멈춤", "1단계 파일", "메모리를 1.5GB 넘게"),
    ("07 <b>구름", "통과", "", ""),
    ("08 나래", "통과", "", ""),
    ("09 다온", "그대로", "1단계 그대로", "README.md의 표에서"),
    ("'=10+1", "결과 다름", "1단계 TODO 2", "시작을 표시하는 토큰(bos)"),
    ("11 누리", "결과 다름", "1단계 TODO 4", "파일에 적어 넣은 텍스트"),
    ("12 빈손", "없음", "1단계 없음", "실습 파일(step1_….py)이 없습니다"),
])
def test_each_student_is_told_apart(checked, name, state, where, words):
    row = checked["rows"][name]
    assert (row["1단계"], row["막힌 TODO"]) == (state, where)
    assert words in row["안내"]
    assert row["통과한 단계"] == str(int(state == "통과"))


def test_the_terminal_has_a_line_a_student_and_a_summary(checked):
    done = checked["first"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("01 김하늘")).split() == ["01", "김하늘", "■", "모두", "통과"]
    assert "□  1단계 TODO 2: " in next(line for line in lines if line.startswith("02 이바다"))
    assert "통과(학생 12명 가운데): 1단계 3명" in lines
    assert "  2명  1단계 TODO 2 토크나이저의 끝 토큰" in lines
    assert not psutil.pid_exists(checked["pid"])


def test_copies_and_the_outputs_of_others_are_shown(checked):
    rows = checked["rows"]
    assert rows["07 <b>구름"]["같은 파일"] == "1단계 08 나래"
    assert sum(bool(row["같은 파일"]) for row in rows.values()) == 2
    assert rows["11 누리"]["알림"] == "1단계의 파일에 2번의 프롬프트가 있습니다."
    assert rows["01 김하늘"]["결과 파일"] == "1단계 자기 프롬프트"
    assert rows["02 이바다"]["결과 파일"] == "1단계 1번의 프롬프트"


def test_the_table_opens_in_excel(checked):
    assert checked["csv"].startswith(b"\xef\xbb\xbf")
    assert checked["csv"].count(b"\r\n") == checked["csv"].count(b"\n") == 13


def test_the_page_holds_all_and_takes_no_name_for_html(checked):
    page = checked["page"]
    assert "07 &lt;b&gt;구름" in page
    assert "<b>구름" not in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('<tr><th scope="row">') >= 12
    assert "1단계 TODO 2 토크나이저의 끝 토큰" in page
    assert "시작을 표시하는 토큰(bos)" in page


def test_the_second_time_what_has_not_changed_is_not_judged(checked):
    done = checked["second"]
    assert done.returncode == 0, done.stderr
    assert "파일 0개를" in done.stdout
    assert "지난번과 같은 파일 9개는 그 결과를 씁니다." in done.stdout
    assert "1단계 3명" in done.stdout
    assert "구름" not in checked["anonymous"]
    assert "7번" in checked["anonymous"]


def test_what_makes_another_outcome_is_judged_again(tmp_path):
    key = Judged(tmp_path / "judged.json", CheckArguments(seconds=10)).key
    others = [key(1, b"other", 7), key(2, b"text", 7), key(1, b"text", 8), key(1, b"text", None),
              Judged(tmp_path / "judged.json", CheckArguments(seconds=11)).key(1, b"text", 7)]
    assert key(1, b"text", 7) not in others
    assert len(set(others)) == 5


# Flags, and JSON


@pytest.mark.parametrize(("line", "words"), [
    ("1 --class x --json", "--class, --json"), ("--class x --hint", "--class, --hint"), ("--json", "하나만"),
    ("1 2 --json", "하나만"), ("1 --json --hint", "--json, --hint"), ("0 --class x", "--class, 0"),
    ("1 --jobs 2", "--class와 함께"), ("--start 2 --student 7", "--start, --student")])
def test_flags_that_contradict_each_other(line, words, monkeypatch):
    from ratsnlp import nlpbook

    monkeypatch.setattr(sys, "argv", ["check.py", *with_steps_named(line.split())])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(UserError, match=words):
        nlpbook.load_arguments(CheckArguments)


def test_numbers_behind_flags_are_no_steps():
    assert with_steps_named(["1", "2", "--class", "2024", "--jobs", "2", "--memory", "3"]) == [
        "--class", "2024", "--jobs", "2", "--memory", "3", "--steps", "1", "2"]


@pytest.mark.parametrize(("outcome", "text", "status", "tests"), [
    (Outcome(Kind.RIGHT), RIGHT, "pass", ["pass"] * 4),
    (Outcome(Kind.WRONG, "틀림", 3), RIGHT, "fail", ["pass", "pass", "fail"]),
    (Outcome(Kind.BROKEN, "TypeError", 2, 9), RIGHT, "fail", ["pass", "error"]),
    (Outcome(Kind.NOT_BEGUN, "힌트", 1), RIGHT, "fail", ["fail"]),
    (Outcome(Kind.BROKEN, "SyntaxError: x", 2, 9), "# TODO 2: 둘\nprint('\n", "error", []),
    (Outcome(Kind.BROKEN, "끝났습니다"), RIGHT, "error", []),
])
def test_an_outcome_as_exercisms_results(tmp_path, outcome, text, status, tests):
    (tmp_path / STEP1).write_text(text, encoding="utf-8")
    told = results(1, outcome, tmp_path / STEP1)
    assert (told["version"], told["status"]) == (3, status)
    assert [test["status"] for test in told["tests"]] == tests
    assert (told["message"] is not None) == (status == "error")
    for number, test in enumerate(told["tests"], start=1):
        assert test["task_id"] == number
        assert test["test_code"].startswith(f"TODO {number}: ")
        assert (test["message"] is None) == (test["status"] == "pass")
    if tests == ["fail"]:
        assert told["tests"][0]["message"] == "아직 빈칸입니다. 힌트"
