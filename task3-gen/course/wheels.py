"""The wheels with which a computer without a network installs the requirements: another system's, another Python's.

pip can fetch another system's wheels, but tells which packages a package needs by the system on which it runs itself.
So the packages are followed here, wheel by wheel, with the markers of the computer that they are for.
"""

from __future__ import annotations

import email
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZipFile

from ratsnlp.nlpbook.errors import UserError

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

SYSTEMS = {  # the beginning of a platform tag: what the markers of PEP 508 call it
    "win": {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"},
    "macosx": {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin"},
    "manylinux": {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"},
}
MACHINES = {"win_amd64": "AMD64", "win_arm64": "ARM64"}  # elsewhere the end of the tag
OLDEST_GLIBC = 5  # whose wheels a newer one runs: manylinux_2_5


class Target(NamedTuple):
    """A computer: its Python ("3.12") and its platform, as pip calls it ("win_amd64")."""

    python: str
    platform: str

    def __str__(self):
        return f"Python {self.python}, {self.platform}"

    @property
    def markers(self) -> dict[str, str]:
        """What the markers of a requirement see there (PEP 508)."""
        system = next(names for begin, names in SYSTEMS.items() if self.platform.startswith(begin))
        machine = MACHINES.get(self.platform) or re.search("(x86_64|aarch64|arm64)?$", self.platform)[0]
        return {**system, "python_version": self.python, "python_full_version": f"{self.python}.0",
                "platform_machine": machine, "platform_python_implementation": "CPython",
                "implementation_name": "cpython", "implementation_version": f"{self.python}.0",
                "platform_release": "", "platform_version": "", "extra": ""}

    @property
    def flags(self) -> list[str]:
        """With these pip fetches what runs there."""
        platforms = [self.platform]
        if found := re.fullmatch(r"manylinux_2_(\d+)_(\w+)", self.platform):
            platforms = [f"manylinux_2_{glibc}_{found[2]}" for glibc in range(int(found[1]), OLDEST_GLIBC - 1, -1)]
            platforms += [f"{name}_{found[2]}" for name in ("manylinux2014", "linux")]
        return ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}",
                *(f"--platform={platform}" for platform in platforms)]


def fetch_wheels(requirements: Iterable[str], target: Target, folder: Path,
                 pip_flags: Sequence[str] = ()) -> list[Path]:
    """Fetch to ``folder`` the wheels of ``requirements`` and of all that they need on ``target``.

    A package that is installed here is taken in the same version, so that the class has what the instructor has tried.

    Raises:
        UserError: a package has no wheel for ``target``, or two of them ask for different versions of a third.
    """
    wheels: dict[NormalizedName, Path] = {}
    asked, more = {}, [*map(Requirement, requirements)]
    while more:
        asked |= {str(each): each for each in more}
        if missing := [each for each in more if canonicalize_name(each.name) not in wheels]:
            wheels |= {parse_wheel_filename(wheel.name)[0]: wheel
                       for wheel in _download(missing, target, folder, pip_flags)}
        more = [needed for each in more for needed in _needed_by(wheels[canonicalize_name(each.name)], each, target)
                if str(needed) not in asked]
    for each in asked.values():
        version = parse_wheel_filename(wheels[canonicalize_name(each.name)].name)[1]
        if not each.specifier.contains(version, prereleases=True):
            raise UserError(f"{target}: {each}이 필요한데 {each.name} {version}을 받았습니다. 이 환경에 "
                            "python -m pip install -r requirements.txt를 다시 실행하고 해 보세요.")
    return sorted(wheels.values())


def _needed_by(wheel: Path, requirement: Requirement, target: Target) -> Iterator[Requirement]:
    with ZipFile(wheel) as opened:
        told = next(name for name in opened.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        lines = email.message_from_bytes(opened.read(told)).get_all("Requires-Dist", [])
    for needed in map(Requirement, lines):
        if needed.marker is None or any(needed.marker.evaluate({**target.markers, "extra": extra})
                                        for extra in requirement.extras or [""]):
            yield needed


def _download(requirements: Sequence[Requirement], target: Target, folder: Path,
              pip_flags: Sequence[str]) -> list[Path]:
    pins = [pin for each in requirements for pin in (f"{each.name}{each.specifier}", *_as_installed(each))]
    with TemporaryDirectory(dir=folder) as temporary:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
             *target.flags, *pip_flags, "--dest", temporary, *pins],
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            told = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            raise UserError(f"{target}: 설치 파일(wheel)을 받지 못했습니다. pip: "
                            f"{' '.join(told[-1:]) or done.stderr[-300:].strip()}")
        return [wheel.replace(folder / wheel.name) for wheel in Path(temporary).glob("*.whl")]


def _as_installed(requirement: Requirement) -> list[str]:
    """The version of a package that is installed here, where it will do."""
    try:
        version = metadata.version(requirement.name).partition("+")[0]  # without the build, as in 2.13.0+cpu
    except metadata.PackageNotFoundError:
        return []
    return [f"{requirement.name}=={version}"] if requirement.specifier.contains(version, prereleases=True) else []
