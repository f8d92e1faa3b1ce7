"""Starts the process that runs and judges a learner's file; ends it, with all that it started, when its time is up."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from .checking import Kind, Outcome
from .gaps import place_of

SECONDS = {1: 180, 2: 180, 3: 240, 4: 600, 5: 240}  # beyond which a file hangs; a right one takes a tenth of it
IMPORTS = 120  # seconds that the libraries may take besides, on a slow disk
CHILD = Path(__file__).with_name("child.py")


def check_file(step: int, file: Path, seconds: float | None = None) -> Outcome:
    """The outcome of ``file`` as the step of this number, after at most ``seconds`` and some."""
    seconds = seconds or SECONDS[step]
    if not file.is_file():
        return Outcome(
            Kind.BROKEN, f"{file} 파일이 없습니다. git checkout으로 되살리거나 저장소에서 다시 받으세요.")
    with TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True) as folder:
        with open(Path(folder, "errors.txt"), "wb") as errors:
            process = subprocess.Popen(
                [sys.executable, str(CHILD), str(step), str(file), folder, str(seconds)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env={**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"})
        try:
            traceback = wait(process, Path(folder, "stuck.txt"), seconds + IMPORTS)
        finally:
            end_tree(process.pid)
            process.wait()
        if traceback is not None:
            return stuck(file, traceback, seconds)
        try:
            return Outcome.read(Path(folder))
        except FileNotFoundError:
            last = Path(folder, "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            return Outcome(Kind.BROKEN, f"파일이 끝까지 가지 않고 끝났습니다(종료 코드 {process.returncode}). "
                                        f"{''.join(last)}".strip())


def wait(process: subprocess.Popen, told: Path, seconds: float) -> str | None:
    """Wait for the end of ``process``: None, or, where it does not end, what it has written to ``told`` about where it
    is, or "" after ``seconds``."""
    begun = time.monotonic()
    while process.poll() is None:
        if told.exists() and told.stat().st_size:
            time.sleep(0.2)  # until it is all there
            return told.read_text(encoding="utf-8")
        if time.monotonic() - begun > seconds:
            return ""
        time.sleep(0.1)
    return None


def end_tree(pid: int) -> None:
    """End a process and all that it has started; on Windows as well."""
    try:
        parent = psutil.Process(pid)
        processes = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def stuck(file: Path, traceback: str, seconds: float) -> Outcome:
    """What is told of a file whose time was up; ``traceback`` is faulthandler's, which names the line, in ASCII."""
    name = str(file).encode("ascii", "backslashreplace").decode()
    found = re.search(rf'File "{re.escape(name)}", line (\d+)', traceback)
    line = int(found[1]) if found else None
    place = place_of(file.read_text(encoding="utf-8"), line) if line else None
    return Outcome(Kind.BROKEN, f"{seconds:g}초가 지나도 끝나지 않아 중단했습니다. 끝나지 않는 반복(while, for)이 "
                                "있는지 살펴보세요. 컴퓨터가 느리면 --seconds로 더 기다립니다.",
                   place.todo if place else 0, line)
