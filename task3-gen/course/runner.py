"""Starts the process that runs and judges a learner's file; ends it, with all that it started, when its time or memory
is used up."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from ratsnlp.nlpbook.paths import REPOSITORY

import psutil

from .checking import Kind, Outcome
from .gaps import place_of

SECONDS = {1: 180, 2: 180, 3: 240, 4: 600, 5: 240}  # beyond which a file hangs; a right one takes a tenth of it
MEMORY = 4.0  # GB of a file and all that it starts; a right one takes a fifth of it
IMPORTS = 120  # seconds that the libraries may take besides, on a slow disk
ENVIRONMENT = {"PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}  # of the process that judges
BESIDE_OTHERS = {**ENVIRONMENT, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
LOOKS = 0.25  # seconds between two looks at the memory
CHILD = Path(__file__).with_name("child.py")


class Process(Protocol):
    """What a trial needs of :class:`subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


Start = Callable[[list[str], Path], Process]  # (arguments of child.main, a folder of the process's own)


def start_python(arguments: list[str], folder: Path, environment: dict[str, str] = ENVIRONMENT,
                 cwd: Path | None = None) -> subprocess.Popen:
    """A new interpreter that runs ``child.py``."""
    with open(folder / "errors.txt", "wb") as errors:
        return subprocess.Popen(
            [sys.executable, str(CHILD), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=errors, start_new_session=True, cwd=cwd, env={**os.environ, **environment})


def start_beside_others(arguments: list[str], folder: Path) -> subprocess.Popen:
    """The same with one thread, and with ``folder`` to work in."""
    return start_python(arguments, folder, BESIDE_OTHERS, folder)


class Trial:
    """A learner's file that is being run and judged in a process of its own.

    ``student`` makes the prompt and the seed that it is judged with.
    """

    def __init__(self, step: int, file: Path, seconds: float, memory: float = MEMORY, student: int | None = None,
                 start: Start = start_python):
        self.file, self.seconds, self.memory = file, seconds, memory
        self._temporary = TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        arguments = [str(step), str(file), str(self._folder), str(seconds)]
        self._begun = self._looked = time.monotonic()
        self._process = start(arguments + ([] if student is None else [str(student)]), self._folder)

    def poll(self) -> Outcome | None:
        """The outcome, once there is one: of the process that has ended, or of one that had to be ended."""
        told, now = self._folder / "stuck.txt", time.monotonic()
        if self._process.poll() is not None:
            return self.end(self._outcome)
        if told.exists() and told.stat().st_size:
            time.sleep(0.2)  # until it is all there
            return self.end(lambda: stuck(self.file, told.read_text(encoding="utf-8"), self.seconds))
        if now - self._begun > self.seconds + IMPORTS:
            return self.end(lambda: stuck(self.file, "", self.seconds))
        if now - self._looked > LOOKS:
            self._looked = now
            if memory_of(self._process.pid) > self.memory * 1e9:
                return self.end(lambda: Outcome(
                    Kind.BROKEN, f"메모리를 {self.memory:g}GB 넘게 써서 중단했습니다. 끝없이 커지는 리스트나 아주 큰 "
                                 "텐서가 있는지 살펴보세요."))
        return None

    def end(self, outcome: Callable[[], Outcome | None] = lambda: None) -> Outcome | None:
        """End the process and all that it has started, whatever they do; returns what ``outcome`` then tells."""
        end_tree(self._process.pid)
        self._process.wait()
        told = outcome()
        self._temporary.cleanup()
        return told

    def _outcome(self) -> Outcome:
        try:
            outcome = Outcome.read(self._folder)
            outcome.message = outcome.message.replace(str(self._folder), "(채점용 임시 폴더)")
            return outcome
        except (OSError, ValueError, TypeError, KeyError):
            errors = (self._folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip()
            return Outcome(Kind.BROKEN, f"파일이 끝까지 가지 않고 끝났습니다(종료 코드 {self._process.returncode}). "
                                        f"{''.join(errors.splitlines()[-1:])}".strip())


def check_file(step: int, file: Path, seconds: float | None = None, memory: float = MEMORY,
               student: int | None = None) -> Outcome:
    """The outcome of ``file`` as the step of this number, after at most ``seconds`` and some."""
    if not file.is_file():
        return Outcome(
            Kind.BROKEN, f"{file} 파일이 없습니다. git checkout으로 되살리거나 저장소에서 다시 받으세요.")
    trial = Trial(step, file, seconds or SECONDS[step], memory, student)
    try:
        while (outcome := trial.poll()) is None:
            time.sleep(0.1)
    except BaseException:  # Ctrl-C
        trial.end()
        raise
    return outcome


def without_paths(message: str, file: Path) -> str:
    """A message without the folders of this computer: of the file that was judged, and of the repository."""
    for folder in (file.parent, REPOSITORY):
        message = message.replace(f"{folder}{os.sep}", "")
    return message


def tree_of(pid: int) -> list[psutil.Process]:
    """A process and all that it has started."""
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    return []


def memory_of(pid: int) -> float:
    """The bytes that a process and all that it has started hold in memory."""
    total = 0
    for process in tree_of(pid):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def end_tree(pid: int) -> None:
    """End a process and all that it has started; on Windows as well."""
    processes = tree_of(pid)
    if hasattr(os, "killpg"):
        with suppress(OSError):  # those whose parent has ended are still of the session that it began
            os.killpg(pid, signal.SIGKILL)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def stuck(file: Path, traceback: str, seconds: float) -> Outcome:
    """What is told of a file whose time was up; ``traceback`` is faulthandler's, which names the line, in ASCII."""
    name = str(file).encode("ascii", "backslashreplace").decode()
    found = re.search(rf'File "{re.escape(name)}", line (\d+)', traceback)
    line = int(found[1]) if found else None
    place = place_of(file.read_text(encoding="utf-8", errors="replace"), line) if line else None
    return Outcome(Kind.BROKEN, f"{seconds:g}초가 지나도 끝나지 않아 중단했습니다. 끝나지 않는 반복(while, for)이 "
                                "있는지 살펴보세요. 컴퓨터가 느리면 --seconds로 더 기다립니다.",
                   place.todo if place else 0, line)
