"""Files and folders that are whole or not there."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside ``folder`` to write to, which takes its place when all is written."""
    with TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as temporary:
        unfinished = Path(temporary) / folder.name
        unfinished.mkdir()
        yield unfinished
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to write files to, which then all take their names in ``folder``; others there stay."""
    with TemporaryDirectory(dir=folder, prefix=UNFINISHED) as temporary:
        yield Path(temporary)
        for file in Path(temporary).iterdir():
            os.replace(file, folder / file.name)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process left half written in ``folder``."""
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
    for path in folder.glob("*.tmp"):
        path.unlink()


def write_json(file: Path, content) -> None:
    """Write ``content`` as indented JSON, Hangul as Hangul, whole or not at all."""
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
