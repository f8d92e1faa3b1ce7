r"""인터넷이 안 되는 교실에서 쓸 zip 파일을 만듭니다. 풀이를 뺀 모든 것이 들어 있습니다.

    python task3-gen/course/course_zip.py --python 3.11 3.12 3.13 3.14 --platform win_amd64
    python task3-gen/course/course_zip.py --platform win_amd64 macosx_14_0_arm64

패키지의 설치 파일(wheel), 모델, 말뭉치, 실습 파일과 채점 프로그램, 주피터 노트북, 더블 클릭으로 여는
페이지가 들어갑니다. 학생은 압축을 풀고 START_HERE.txt를 따라 합니다. 실습 파일은 채우기 전의 것입니다.
만드는 컴퓨터에는 인터넷이 필요합니다.
"""

import re
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course.build import files  # noqa: E402
from course.gaps import SCRIPTS, STEPS, file_of  # noqa: E402
from course.rehearsal import PYTHONS, REQUIREMENTS_OF_TESTS  # noqa: E402
from course.wheels import SYSTEMS, Target, fetch_wheels  # noqa: E402
from ratsnlp import nlpbook  # noqa: E402
from ratsnlp.nlpbook.arguments import Arguments, argument  # noqa: E402
from ratsnlp.nlpbook.display import table  # noqa: E402
from ratsnlp.nlpbook.errors import UserError  # noqa: E402
from ratsnlp.nlpbook.files import check_writable, whole_file  # noqa: E402
from ratsnlp.nlpbook.paths import OUTPUT, REPOSITORY  # noqa: E402

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TOP = "task3-gen"  # the folder that the zip unpacks to
PARTS = ("README.md", "LICENSE", "docs", "templates", "task3-gen")
# Solutions are the instructor's, and so is what makes them; what is hidden or compiled is nobody's.
LEFT_OUT = re.compile(r"task3-gen/(solutions|course/steps)/|(^|/)(\.|__pycache__/)")
START = """\
이 폴더로 문장 생성 수업의 실습을 합니다. 인터넷은 필요 없습니다. 이 파일이 있는 폴더에서 한 줄씩 실행하세요.
필요한 것: Python {pythons}. 설치되어 있지 않으면 강사에게 물어보세요.
{systems}
■ 설치하지 않고

kogpt-mini.html을 더블 클릭하면 브라우저에서 모델이 실행됩니다.

안내서: task3-gen/README_stepwise_learning.md
"""
WINDOWS = """
■ Windows (명령 프롬프트)

py -{python} -m venv .venv
.venv\\Scripts\\activate
python -m pip install --no-index --find-links wheels -r requirements.txt
python task3-gen\\check.py 0
python task3-gen\\step1_basic_generation.py
"""
OTHERS = """
■ {system}

python{python} -m venv .venv
source .venv/bin/activate
python -m pip install --no-index --find-links wheels -r requirements.txt
python task3-gen/check.py 0
python task3-gen/step1_basic_generation.py
"""


def own_platform() -> str:
    """The platform of this computer, as pip calls it."""
    system, *_, machine = re.split("[-.]", sysconfig.get_platform(), maxsplit=1)
    return {"linux": f"manylinux_2_28_{machine}", "macosx": "macosx_14_0_arm64"}.get(system, f"win_{machine}")


@dataclass
class CourseZipArguments(Arguments):
    """The flags of ``course_zip.py``.

    Raises:
        UserError: a Python or a platform that the course does not know.
    """

    heading: ClassVar[str] = "수업용 zip"

    python: tuple[str, ...] = argument(
        (f"{sys.version_info.major}.{sys.version_info.minor}",), "학생 컴퓨터의 Python 버전들")
    platform: tuple[str, ...] = argument(
        (own_platform(),), "학생 컴퓨터의 종류들: win_amd64, macosx_14_0_arm64, manylinux_2_28_x86_64")
    output: str = argument(str(OUTPUT / "course.zip"), "만들 .zip 파일. 있으면 바꿉니다", path=True)
    extra_index_url: str | None = argument(
        None, f"설치 파일을 더 찾을 곳. Linux용은 {CPU_INDEX}로 하면 CPU용 PyTorch를 받아 수 GB가 줄어듭니다")

    def __post_init__(self):
        super().__post_init__()
        known = [f"3.{minor}" for minor in range(PYTHONS[0][1], PYTHONS[1][1] + 1)]
        for version in self.python:
            if version not in known:
                raise UserError(f"python: {known[0]}에서 {known[-1]}까지인데 {version!r}입니다.")
        for platform in self.platform:
            if not platform.startswith(tuple(f"{system}_" for system in SYSTEMS)):
                raise UserError(f"platform: win_amd64, macosx_14_0_arm64, manylinux_2_28_x86_64처럼 적어야 하는데 "
                                f"{platform!r}입니다.")
        if not self.output.endswith(".zip") or Path(self.output).is_dir():
            raise UserError(f"output: .zip 파일이어야 하는데 {self.output!r}입니다.")
        check_writable(Path(self.output).parent, "output")
        if not SCRIPTS.joinpath("course", "steps").is_dir():
            raise UserError("course/steps 폴더가 없습니다. 강사용 저장소에서 실행하세요.")


def requirements() -> str:
    """What runs the course: requirements.txt above its part for tests."""
    return (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").partition(REQUIREMENTS_OF_TESTS)[0]


def texts(args: CourseZipArguments) -> dict[str, str]:
    """The files of the zip that are made, by their names in it."""
    systems = {"win": WINDOWS, "macosx": OTHERS.replace("{system}", "macOS"),
               "manylinux": OTHERS.replace("{system}", "Linux")}
    there = [told for system, told in systems.items() if any(name.startswith(system) for name in args.platform)]
    pythons = args.python[0] if len(args.python) == 1 else (
        f"{', '.join(args.python)} 가운데 하나. 아래의 {args.python[-1]} 자리에 그 버전을 적으세요")
    start = START.format(pythons=pythons, systems="".join(there).format(python=args.python[-1]))
    made = {f"task3-gen/{file_of(step).name}": files()[file_of(step)] for step in STEPS}
    return {**made, "requirements.txt": requirements(),
            "START_HERE.txt": "\ufeff" + start.replace("\n", "\r\n")}  # Notepad's way


def parts() -> dict[str, Path]:
    """The files of the zip that are copied, by their names in it."""
    try:
        listed = subprocess.run(["git", "-C", REPOSITORY, "ls-files", "-z", *PARTS], capture_output=True, check=True,
                                encoding="utf-8").stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # a copy that git does not know
        listed = [path.relative_to(REPOSITORY).as_posix()
                  for part in PARTS for path in sorted([REPOSITORY / part, *(REPOSITORY / part).rglob("*")])]
    return {name: REPOSITORY / name for name in listed
            if (REPOSITORY / name).is_file() and not LEFT_OUT.search(name)}


def kind_of(name: str) -> str:
    """Under what a file of the zip is counted, when its size is told."""
    for begin, kind in (("wheels/torch-", "PyTorch"), ("wheels/", "다른 패키지"), ("task3-gen/kogpt-mini/", "모델"),
                        ("task3-gen/kobart-mini/", "모델"), ("kogpt-mini.html", "더블 클릭으로 여는 페이지")):
        if name.startswith(begin):
            return kind
    return "실습, 말뭉치, 문서"


def pack(file: Path, args: CourseZipArguments, page: Path, wheels: Iterable[Path]) -> Counter:
    """Write the zip; returns how many bytes of it each kind of file takes."""
    made, sizes = texts(args), Counter()
    copied = {**parts(), **{f"wheels/{wheel.name}": wheel for wheel in wheels}, "kogpt-mini.html": page}
    with ZipFile(file, "w", ZIP_DEFLATED) as packed:
        for name, path in copied.items():
            if name not in made:  # a wheel is compressed already
                packed.write(path, f"{TOP}/{name}", ZIP_STORED if name.startswith("wheels/") else None)
        for name, text in made.items():
            packed.writestr(f"{TOP}/{name}", text)
        for each in packed.infolist():
            sizes[kind_of(each.filename.removeprefix(f"{TOP}/"))] += each.compress_size
    return sizes


if __name__ == "__main__":
    args = nlpbook.load_arguments(CourseZipArguments)
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    index = [f"--extra-index-url={args.extra_index_url}"] if args.extra_index_url else []
    with TemporaryDirectory(dir=output.parent) as temporary, whole_file(output) as unfinished:
        page = Path(temporary, "kogpt-mini.html")
        subprocess.run([sys.executable, REPOSITORY / "docs" / "try" / "build.py", page], check=True)
        lines = re.findall(r"^[\w-]+==\S+", requirements(), re.MULTILINE)
        wheels = set()
        for target in [Target(python, platform) for platform in args.platform for python in args.python]:
            print(f"{target}: 설치 파일(wheel)을 받습니다.", flush=True)
            fetched = fetch_wheels(lines, target, Path(temporary), index)
            wheels.update(fetched)
            size = sum(wheel.stat().st_size for wheel in fetched) / 1e6
            print(f"  {len(fetched)}개, {size:,.0f}MB" + (
                f". GPU용 PyTorch입니다. CPU용은 --extra_index_url {CPU_INDEX}"
                if any(wheel.name.startswith("nvidia") for wheel in fetched) else ""), flush=True)
        sizes = pack(unfinished, args, page, sorted(wheels))
    sizes["모두"] = output.stat().st_size
    print(table([[kind, f"{size / 1e6:,.1f}MB"] for kind, size in sizes.items()]))
    print(f"만들었습니다: {output}")
