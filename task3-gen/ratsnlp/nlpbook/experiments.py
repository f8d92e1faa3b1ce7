"""Runs under a name: each has a folder of its own, in which a log of what the terminal showed lies beside the results.

``output/experiments/20261126/20261126_233700_NAME``; of runs that begin in the same second the next ones are
``20261126_233700-2_NAME``, … ``output/experiments/latest.txt`` tells the last run's folder, seen from where it lies.
"""

import atexit
import os
import re
import shlex
import sys
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from .errors import UserError
from .files import check_writable
from .paths import OUTPUT
from .terminal_log import TerminalLog

MAX_NAME = 60  # characters: with the time before them they fit into the 255 bytes of a file name, in Hangul too
LOG = "train.log"
DEBUG_ROWS = {"train": 50, "test": 10}  # of --debug; test: what is validated

_log: TerminalLog | None = None


def check_run_name(name: str) -> None:
    """Raises UserError where ``name`` cannot be part of a folder's name, on Windows either."""
    wrong = re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name)
    if wrong:
        raise UserError(f"run_name: 폴더 이름에 쓸 수 없는 문자 {wrong[0]!r}가 들어 있습니다: {name!r}.")
    if not name or name != name.strip() or name.endswith("."):
        raise UserError(f"run_name: 비어 있거나, 공백으로 시작하거나, 공백이나 점으로 끝날 수 없는데 {name!r}입니다.")
    if len(name) > MAX_NAME:
        raise UserError(f"run_name: {MAX_NAME}자 이하여야 하는데 {len(name)}자입니다.")


def begin_run(name: str, resume: bool = False) -> Path:
    """The folder of a new run of this ``name``, or with ``resume`` of the newest one. From here on, to the end of the
    process or :func:`end_run`, what the terminal shows goes to ``train.log`` in it too.

    Raises:
        UserError: there is none to go on with, or no folder can be made.
    """
    root = OUTPUT / "experiments"
    check_writable(root, "run_name")
    end_run()
    folder = newest_run(name) if resume else _new(root, name)
    _write_latest(root, folder)
    global _log
    _log = TerminalLog(folder / LOG)
    atexit.register(end_run)
    script = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    print(f"실험: {folder} ({datetime.now():%Y-%m-%d %H:%M:%S}, {script})", file=sys.stderr)
    return folder


def end_run() -> None:
    """Close the log of the run that has begun, if one has, and give the streams back."""
    global _log
    if _log is not None:
        _log.close()
        _log = None
        atexit.unregister(end_run)


def _new(root: Path, name: str) -> Path:
    """A folder that nobody else has made: two runs may begin at once."""
    now = datetime.now()
    for number in chain([""], (f"-{number}" for number in count(2))):
        folder = root / f"{now:%Y%m%d}" / f"{now:%Y%m%d_%H%M%S}{number}_{name}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"run_name: {folder} 폴더를 만들 수 없습니다({error.strerror}).") from error
        return folder


def newest_run(name: str) -> Path:
    """The folder of the newest run of this ``name``. Raises UserError where there is none."""
    root, runs = OUTPUT / "experiments", []
    for folder in root.glob("*/*"):
        found = re.fullmatch(r"(\d{8}_\d{6})(?:-(\d+))?_(.+)", folder.name)
        if found and found[3] == name and folder.is_dir():
            runs.append((found[1], int(found[2] or 1), folder))
    if not runs:
        raise UserError(
            f"run_name: 이어서 할 {name!r} 실험이 {root} 폴더에 없습니다. 새로 시작하려면 --resume을 빼세요.")
    return max(runs)[2]


def _write_latest(root: Path, folder: Path) -> None:
    unfinished = folder / ".latest.tmp"  # nobody else's, as the folder is not
    unfinished.write_text(f"{folder.relative_to(root).as_posix()}\n", encoding="utf-8")
    try:
        os.replace(unfinished, root / "latest.txt")
    except PermissionError:  # Windows, while another process replaces or reads it
        unfinished.unlink()
