"""The zip for a class without a network: which wheels another computer needs, and what the zip holds."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from course.build import files
from course.course_zip import CourseZipArguments, pack, parts
from course.gaps import file_of, solution_of
from course.wheels import Target, fetch_wheels
from ratsnlp.nlpbook.errors import UserError

WINDOWS, LINUX = Target("3.13", "win_amd64"), Target("3.11", "manylinux_2_28_x86_64")


def make_wheel(folder: Path, name: str, version: str = "1.0", needs: tuple[str, ...] = (), tag: str = "py3-none-any"):
    told = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        inside = f"{name}-{version}.dist-info"
        wheel.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{told}")
        wheel.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{inside}/RECORD", "")


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """Wheels of a made-up package and of what it needs here and there."""
    folder = tmp_path_factory.mktemp("index")
    make_wheel(folder, "zzlesson", needs=(
        'zzwindows; platform_system == "Windows"', 'zzlinux; sys_platform == "linux"', "zzboth[fast]>=1",
        'zzold; python_version < "3.12"', 'zzextra; extra == "all"'))
    for tag in ("cp313-cp313-win_amd64", "cp311-cp311-manylinux_2_17_x86_64"):
        make_wheel(folder, "zzboth", "1.5", ('zzfast; extra == "fast"',), tag)
    for name in ("zzwindows", "zzlinux", "zzold", "zzextra", "zzfast"):
        make_wheel(folder, name)
    make_wheel(folder, "zzboth", "0.5")
    make_wheel(folder, "zzquarrel", needs=("zzlesson==1.0", "zzboth<1"))
    return folder


def fetched(requirement: str, target: Target, index: Path, folder: Path) -> set[str]:
    wheels = fetch_wheels([requirement], target, folder, ["--no-index", "--find-links", str(index)])
    assert all(wheel.is_file() and wheel.parent == folder for wheel in wheels)
    assert sorted(folder.iterdir()) == wheels
    return {wheel.name for wheel in wheels}


def test_a_computer_gets_the_wheels_that_its_own_markers_ask_for(index, tmp_path):
    (tmp_path / "windows").mkdir()
    (tmp_path / "linux").mkdir()
    none = "1.0-py3-none-any.whl"
    assert fetched("zzlesson==1.0", WINDOWS, index, tmp_path / "windows") == {
        f"zzlesson-{none}", f"zzwindows-{none}", f"zzfast-{none}", "zzboth-1.5-cp313-cp313-win_amd64.whl"}
    assert fetched("zzlesson==1.0", LINUX, index, tmp_path / "linux") == {
        f"zzlesson-{none}", f"zzlinux-{none}", f"zzold-{none}", f"zzfast-{none}",
        "zzboth-1.5-cp311-cp311-manylinux_2_17_x86_64.whl"}


@pytest.mark.parametrize("requirement, python, told", [
    ("zzboth>=1", "3.12", r"Python 3.12, win_amd64: 설치 파일\(wheel\)을 받지 못했습니다.*zzboth"),  # none for it
    ("zzquarrel", "3.13", r"zzboth\[fast\]>=1이 필요한데 zzboth 0.5"),
])
def test_wheels_that_are_missing_or_contradict_each_other_are_one_line(index, tmp_path, requirement, python, told):
    with pytest.raises(UserError, match=told) as error:
        fetch_wheels([requirement], Target(python, "win_amd64"), tmp_path, ["--no-index", "--find-links", str(index)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field, value, told", [
    ("python", ("3.10",), "3.11에서 3.14까지인데 '3.10'"), ("platform", ("windows",), "win_amd64.*'windows'"),
    ("output", "course.tar", r"\.zip 파일이어야"),
])
def test_what_it_does_not_know_is_told_before_anything_is_fetched(field, value, told):
    with pytest.raises(UserError, match=f"{field}: .*{told}"):
        CourseZipArguments(**{field: value})


def test_the_class_gets_everything_but_the_solutions(tmp_path, monkeypatch):
    """A step passes in the unpacked zip, where there is neither solution nor source."""
    file, wheel, page = (tmp_path / name for name in ("course.zip", "torch-2.13.0-py3-none-any.whl", "page.html"))
    wheel.write_bytes(b"wheel" * 100)
    page.write_text("<!doctype html>")
    sizes = pack(file, CourseZipArguments(
        output=str(file), python=("3.11", "3.12"), platform=("win_amd64", "macosx_14_0_arm64")), page, [wheel])
    assert sizes["PyTorch"] == 500
    assert 10e6 < sizes["모델"] < 20e6
    with ZipFile(file) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path)
    assert len(names) == len(set(names))
    assert not [name for name in names if "solution" in name or "/steps/" in name or "/tests/" in name]
    top = tmp_path / "task3-gen"
    start = (top / "START_HERE.txt").read_text(encoding="utf-8-sig")
    assert "py -3.12 -m venv .venv" in start
    assert "■ macOS\n\npython3.12 -m venv .venv" in start
    assert "Linux" not in start
    for path in ("kogpt-mini.html", "wheels/torch-2.13.0-py3-none-any.whl", "task3-gen/data/mini/ratings_train.txt",
                 "task3-gen/course/checks/step5.py", "templates/serve_gen.html"):
        assert (top / path).is_file(), path
    assert "torch==" in (top / "requirements.txt").read_text(encoding="utf-8")
    assert "pytest==" not in (top / "requirements.txt").read_text(encoding="utf-8")

    step = top / "task3-gen" / file_of(1).name
    assert step.read_text(encoding="utf-8") == files()[file_of(1)]
    solved = solution_of(1).read_text(encoding="utf-8").replace("parents[1]", "parents[0]").replace("# 풀이", "# TODO")
    step.write_text(solved, encoding="utf-8")
    done = subprocess.run([sys.executable, top / "task3-gen" / "check.py", "1"], capture_output=True, text=True,
                          encoding="utf-8", env={**os.environ, "PYTHONPATH": "", "PYTHONUTF8": "1"}, check=False)
    assert "1단계를 통과했습니다" in done.stdout, done.stdout + done.stderr
    assert (top / "output" / "course" / "progress.json").is_file()


def test_an_instructors_own_files_stay_at_home(tmp_path, monkeypatch):
    """What git does not know is nobody's business."""
    from course import course_zip

    copy = tmp_path / "copy"
    for name in ("README.md", "task3-gen/step1_basic_generation.py", "task3-gen/solutions/step1_solution.py",
                 "task3-gen/.env", "task3-gen/course/steps/step1.py", "task3-gen/제출/김하늘.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("mine")
    monkeypatch.setattr(course_zip, "REPOSITORY", copy)
    assert set(parts()) == {"README.md", "task3-gen/step1_basic_generation.py", "task3-gen/제출/김하늘.py"}
    for command in ("init -q", "add README.md task3-gen/step1_basic_generation.py task3-gen/solutions"):
        subprocess.run(["git", "-C", copy, *command.split()], check=True)
    assert set(parts()) == {"README.md", "task3-gen/step1_basic_generation.py"}
