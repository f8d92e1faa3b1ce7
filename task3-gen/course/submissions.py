"""What students have handed in: a folder or a zip for each, or one zip of all. It is read, never unpacked or changed.

Nothing is written under a name that a zip gives: files are bytes here, and the names are for people to read.
"""

from __future__ import annotations

import io
import os
import re
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.text_files import compose

LARGEST = 1_000_000  # bytes of a step or of what it has written
LARGEST_ZIP = 300_000_000  # bytes of a zip in a zip: the whole repository, with its model, is a tenth of it
ENTRIES = 100_000  # in a zip
DEPTH = 3  # zips in one another
FOLDERS = 8  # folders in one another
PASSED_OVER = {"solutions", "output", "tests", "venv", "node_modules", "site-packages"}
OTHER_ARCHIVES = (".7z", ".rar", ".egg", ".alz", ".tar", ".gz", ".tgz")
WANTED = re.compile(r"(?<![a-z0-9])step[ _-]?([1-5])(?![0-9]).*\.(py|txt)$", re.IGNORECASE)
COPY = re.compile(r"\((\d+)\)\.\w+$")  # "step1 (1).py": what a browser calls a second download
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, OverflowError, zlib.error,
              zipfile.BadZipFile)


class Found(NamedTuple):
    """A file or folder below the class's: ``parts`` are the names on the way to it, a zip's without its suffix.

    A folder has neither ``data`` nor ``trouble``, which is one Korean sentence.
    """

    parts: tuple[str, ...]
    modified: float = 0.0
    data: bytes | None = None
    trouble: str = ""


@dataclass
class Submission:
    """What one student has handed in. ``number`` is the first in the name, ``files`` and ``outputs`` are by step;
    ``notes`` are Korean sentences about what could not be read or counted."""

    name: str
    number: int | None = None
    files: dict[int, bytes] = field(default_factory=dict)
    outputs: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_class(path: Path) -> tuple[list[Submission], list[str]]:
    """The students of a folder or of a zip, by their numbers and names; and the files that are no student's.

    Raises:
        UserError: there is no such folder, the zip cannot be read, or no student is in it.
    """
    if not path.exists():
        raise UserError(f"class: {str(path)!r} 폴더나 zip 파일이 없습니다.")
    if path.is_dir():
        found = list(_in_folder(path, ()))
    elif path.suffix.lower() == ".zip":
        found = list(_in_zip(path, ()))
    else:
        raise UserError(f"class: {str(path)!r}: 학생들의 폴더나 zip 파일이어야 합니다.")
    for each in found:
        if not each.parts:
            raise UserError(f"class: {str(path)!r}: {each.trouble}")
    found = _unwrapped(found)
    loose = [each.parts[0] for each in found if len(each.parts) == 1 and each.data is not None]
    theirs = sorted((each for each in found if len(each.parts) > 1 or each.data is None), key=_first)
    students = [_submission(name, list(of)) for name, of in groupby(theirs, key=_first)]
    if not students:
        raise UserError(f"class: {str(path)!r}: 학생이 없습니다. 폴더/07 김하늘/step1_basic_generation.py처럼 학생마다 "
                        "폴더나 zip이 있어야 합니다.")
    return sorted(students, key=lambda each: (each.number is None, each.number or 0, each.name)), loose


def _first(found: Found) -> str:
    return found.parts[0]


def _submission(name: str, found: list[Found]) -> Submission:
    number = re.search("[0-9]+", name)
    student = Submission(name, int(number[0][-18:]) if number else None)
    student.notes += [f"{'/'.join(each.parts[1:])}: {each.trouble}".removeprefix(": ")
                      for each in found if each.trouble]
    files: dict[tuple[str, int], list[Found]] = {}
    for each in found:
        if each.data is not None:
            step, kind = WANTED.search(each.parts[-1]).groups()
            files.setdefault((kind.lower(), int(step)), []).append(each)
    for (kind, step), several in sorted(files.items()):
        newest = max(several, key=_age)
        if len({each.data for each in several}) > 1:
            student.notes.append(f"{step}단계의 .{kind} 파일이 {len(several)}개라서 가장 새것을 보았습니다: "
                                 f"{'/'.join(newest.parts[1:])}")
        if kind == "py":
            student.files[step] = newest.data
        else:
            student.outputs[step] = decoded(newest.data)
    if not student.files and not student.notes:
        student.notes.append("실습 파일(step1_….py)이 없습니다.")
    return student


def _age(found: Found) -> tuple:
    """Of two files the newer is the greater; a zip tells two seconds apart, and a copy has a number."""
    number = COPY.search(found.parts[-1])
    return int(found.modified) // 2, int(number[1][:9]) if number else 0, found.parts


def _unwrapped(found: list[Found]) -> list[Found]:
    """Without the one folder or zip in which all students lie."""
    while True:
        files = [each.parts for each in found if each.data is not None]
        seconds = {parts[1] for parts in files if len(parts) > 2}
        if len({parts[0] for parts in files}) != 1 or len(seconds) < 2 or "task3-gen" in seconds:
            return found
        found = [each._replace(parts=each.parts[1:]) for each in found
                 if each.parts[0] == files[0][0] and len(each.parts) > 1]


# Folders and zips


def _in_folder(folder: Path, parts: tuple[str, ...]) -> Iterator[Found]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Found(parts, trouble=f"폴더를 읽을 수 없습니다({error.strerror}).")
        return
    for entry in entries:
        inner = (*parts, readable_name(entry.name))
        if entry.is_symlink() or is_passed_over(inner):
            continue
        if entry.is_dir():
            yield Found(inner)
            if len(inner) < FOLDERS:
                yield from _in_folder(Path(entry.path), inner)
            continue
        try:
            if is_zip(inner):
                yield Found(_without_suffix(inner))
                yield from _in_zip(entry.path, _without_suffix(inner))
            elif WANTED.search(inner[-1]):
                with open(entry.path, "rb") as file:
                    yield _file(inner, entry.stat().st_mtime, file)
            elif _is_other_archive(inner):
                yield _other_archive(inner)
        except OSError as error:
            yield Found(inner, trouble=f"읽을 수 없습니다({error.strerror}).")


def _in_zip(file: str | Path | BinaryIO, parts: tuple[str, ...], depth: int = 1) -> Iterator[Found]:
    """What a zip holds, each read up to a bound."""
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if len(infos) > ENTRIES:
                yield Found(parts, trouble=f"zip에 파일이 {len(infos):,}개 들어 있어 읽지 않았습니다.")
                return
            for info in infos:
                yield from _member(archive, info, parts, depth)
    except UNREADABLE:
        yield Found(parts, trouble="zip 파일이 깨져 있어 읽을 수 없습니다. 다시 받으세요.")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, parts: tuple[str, ...], depth: int) -> Iterator[Found]:
    name = name_of(info)
    names = [readable_name(part) for part in name.split("/") if part not in ("", ".")]
    inner = (*parts, *names)
    if not names or any(is_passed_over(inner[:end]) for end in range(len(parts) + 1, len(inner) + 1)):
        return
    if ".." in names or name.startswith("/") or re.match("[A-Za-z]:", name):
        yield Found((*parts, names[-1]), trouble=f"zip 밖을 가리키는 이름({name[:60]!r})이라 읽지 않았습니다.")
    elif name.endswith("/"):
        yield Found(inner)
    elif is_zip(inner) or WANTED.search(names[-1]):
        if info.flag_bits & 1:
            yield Found(inner, trouble="zip에 암호가 걸려 있습니다. 암호 없이 다시 받으세요.")
            return
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield Found(inner, trouble="압축 방식이 달라 읽을 수 없습니다. 보통의 zip(Deflate)으로 다시 받으세요.")
            return
        try:
            with archive.open(info) as file:
                if not is_zip(inner):
                    yield _file(inner, _modified(info), file)
                    return
                data = file.read(LARGEST_ZIP + 1)
        except UNREADABLE:
            yield Found(inner, trouble="zip 안에서 깨져 있어 읽을 수 없습니다. 다시 받으세요.")
            return
        if depth >= DEPTH or len(data) > LARGEST_ZIP:
            yield Found(inner, trouble="zip 안의 zip이 너무 깊거나 커서 읽지 않았습니다.")
            return
        yield Found(_without_suffix(inner))
        yield from _in_zip(io.BytesIO(data), _without_suffix(inner), depth + 1)
    elif _is_other_archive(inner):
        yield _other_archive(inner)


def _file(parts: tuple[str, ...], modified: float, file: BinaryIO) -> Found:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        return Found(parts, trouble=f"{LARGEST // 1000:,}KB보다 큰 파일이라 읽지 않았습니다.")
    return Found(parts, modified, data)


def _modified(info: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (OverflowError, ValueError):
        return 0.0


def is_zip(parts: tuple[str, ...]) -> bool:
    return parts[-1].lower().endswith(".zip")


def _without_suffix(parts: tuple[str, ...]) -> tuple[str, ...]:
    return *parts[:-1], parts[-1][:-4].strip() or parts[-1]


def _is_other_archive(parts: tuple[str, ...]) -> bool:
    return parts[-1].lower().endswith(OTHER_ARCHIVES)


def _other_archive(parts: tuple[str, ...]) -> Found:
    return Found(parts, trouble="zip이 아닌 압축 파일은 읽지 못합니다. zip으로 다시 받으세요.")


def is_passed_over(parts: tuple[str, ...]) -> bool:
    """Whether it is no submission: hidden, a system's, the course's own, or an environment's."""
    name = parts[-1]
    return (name.startswith((".", "__", "~")) or name.lower() in PASSED_OVER
            or parts[-2:] in (("course", "steps"), ("course", "checks")))


# Names and texts


def name_of(info: zipfile.ZipInfo) -> str:
    """The name of an entry, its parts after slashes. Without the flag that says UTF-8 it is UTF-8 (macOS) or cp949
    (Windows in Korean); ``zipfile`` has read it as cp437."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def readable_name(name: str) -> str:
    """A name to show: its Hangul composed, and nothing in it that a terminal or a page obeys."""
    return "".join(letter if letter.isprintable() else "�" for letter in compose(name)).strip()


def decoded(data: bytes) -> str:
    """A text as Python, PowerShell, or an old program of Windows writes it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return compose(data.decode("utf-16", "replace"))
    try:
        return compose(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return compose(data.decode("cp949", "replace"))
