"""Files and folders that are whole or not there."""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .errors import UserError

UNFINISHED = ".unfinished-"  # folders that are being written begin with it


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yields a path beside ``file`` to write to, which takes its name when all is written;
    after an error nothing is left of it."""
    unfinished = file.with_name(f".{file.name}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, own: re.Pattern) -> Iterator[Path]:
    """Yields an empty folder beside ``folder`` to write to, which takes its place when all is written.

    Where ``folder`` also holds files whose names do not match ``own`` (a README, ``.git``), they stay: the new files
    are moved in one by one, and only files that match ``own`` are replaced or removed.
    """
    with TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as temporary:
        unfinished = Path(temporary) / folder.name
        unfinished.mkdir()
        yield unfinished
        if not folder.exists() or all(own.fullmatch(path.name) for path in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(unfinished, folder)
            return
        written = {path.name for path in unfinished.iterdir()}
        for name in written:
            os.replace(unfinished / name, folder / name)
        remove_files(folder, own, written)


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to write files to, which then all take their names in ``folder``; others there stay."""
    with TemporaryDirectory(dir=folder, prefix=UNFINISHED) as temporary:
        yield Path(temporary)
        for file in Path(temporary).iterdir():
            os.replace(file, folder / file.name)


def remove_files(folder: Path, own: re.Pattern, but: Collection[str] = ()) -> None:
    """Remove the files of ``folder`` whose names match ``own``, except those in ``but``, and the folder itself if it is
    then empty."""
    for path in folder.iterdir():
        if own.fullmatch(path.name) and path.name not in but and path.is_file():
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def remove_unfinished(folder: Path, own: re.Pattern) -> None:
    """Remove what a killed process left half written in ``folder`` under one of our names, and nothing else."""
    for path in folder.iterdir():
        # tempfile's eight letters
        if re.fullmatch(re.escape(UNFINISHED) + "[a-z0-9_]{8}", path.name) and path.is_dir():
            shutil.rmtree(path)
        elif (path.name.startswith(".") and path.name.endswith(".tmp")
              and own.fullmatch(path.name[1:-4]) and path.is_file()):
            path.unlink()


def check_writable(folder: Path, name: str) -> None:
    """Raises UserError, naming the field ``name``, where nothing can be written to ``folder``;
    it leaves nothing behind."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    what = "폴더에 쓸 수 없습니다" if there == folder else "폴더를 만들 수 없습니다"
    try:
        with TemporaryDirectory(dir=there, prefix=UNFINISHED):
            pass
    except OSError as error:
        raise UserError(f"{name}: {folder} {what}({error.strerror}).") from error


def write_json(file: Path, content) -> None:
    """Write ``content`` as indented JSON, Hangul as Hangul, whole or not at all."""
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
