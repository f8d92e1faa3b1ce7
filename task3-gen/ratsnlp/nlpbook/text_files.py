"""Text files as people have them: plain lines, tables, JSON, folders;
any line end, a byte order mark, decomposed Hangul, gzip."""

import csv
import gzip
import io
import json
import re
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

from .errors import UserError

LINES, TABLES = (".txt",), (".jsonl", ".ndjson", ".json", ".csv", ".tsv")

_SURROGATE = re.compile("[\ud800-\udfff]")
_SYSTEM = re.compile(r"[.~]|__MACOSX$|Thumbs\.db$|desktop\.ini$", re.IGNORECASE)  # macOS, notebooks, Office, Windows


def suffix(path: Path) -> str:
    """What a file is by its name: ``.txt`` for ``리뷰.TXT`` and for ``리뷰.txt.gz``."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def read_lines(path: str | Path, normalize: bool = True) -> Iterator[tuple[str, str]]:
    """``(place, line)`` of a UTF-8 file: the place for an error message, the line without its end (LF, CR LF, or CR).

    Hangul is composed (:func:`compose`) unless ``normalize`` is false.

    Raises:
        UserError: the file cannot be read, or a line is not UTF-8.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=None)
            for number, line in enumerate(text, start=1):
                place = f"{path} {number}번째 줄"
                if _SURROGATE.search(line):
                    raise UserError(f"{place}: UTF-8이 아닙니다. {_how_to_save(path)}")
                line = line.removesuffix("\n")
                yield place, compose(line) if normalize else line
    except (OSError, EOFError, zlib.error) as error:  # the latter two of a gzip file that is cut off or broken
        raise UserError(f"{path}: 읽을 수 없습니다({getattr(error, 'strerror', None) or error}).") from error


def _how_to_save(path: Path) -> str:
    if suffix(path) == ".csv":
        return "엑셀이라면 'CSV UTF-8(쉼표로 분리)' 형식으로 저장하세요."
    return "파일을 UTF-8로 저장하세요."


def compose(text: str) -> str:
    """``text`` with Hangul composed (NFC): macOS and some editors write its parts one by one, which tokenizers do
    not know."""
    return unicodedata.normalize("NFC", text)


def check_text(place: str, text: str) -> None:
    """Raises UserError where ``text`` holds half a character (a lone surrogate): no file and no tokenizer takes it."""
    if _SURROGATE.search(text):
        shown = _SURROGATE.sub("�", text)[:40]
        raise UserError(f"{place}: 올바른 유니코드 텍스트가 아닙니다. 반쪽만 남은 글자(�)가 있습니다: {shown!r}")


def files_of(folder: Path, wanted: str) -> tuple[list[Path], int]:
    """The files of ``folder`` and its subfolders whose :func:`suffix` is ``wanted``, sorted,
    and how many others were passed over.

    Passed over is what is hidden or left by systems and editors (``.ipynb_checkpoints``, ``._리뷰.txt``,
    ``__MACOSX``), and what is of another kind.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = [
        path for path in found
        if suffix(path) == wanted and not any(_SYSTEM.match(part) for part in path.relative_to(folder).parts)]
    return chosen, len(found) - len(chosen)


def read_rows(path: str | Path, text_column: str = "text", label_column: str | None = None) -> Iterator[list[str]]:
    """The text, and with ``label_column`` the label, of each row of a UTF-8 file or folder, one after another.

    The kind is told by the suffix, in any case, with ``.gz`` after it or not: ``.txt`` has one text a line, ``.jsonl``
    and ``.ndjson`` an object a line, ``.json`` a list of objects, ``.csv`` and ``.tsv`` a header line (read by Python's
    :mod:`csv`; in ``.tsv`` a quote is a character), a folder one text in each ``.txt`` file. Hangul is composed (NFC).

    Raises:
        UserError: an unknown suffix, a file that is not UTF-8, a line without the columns that were asked for or with a
            label that is none (naming file, line number and what was expected).
    """
    path = Path(path)
    kind = "folder" if path.is_dir() else suffix(path)
    wanted = [compose(name) for name in (text_column, label_column) if name is not None]
    if kind == "folder" or kind in LINES:
        for option, given in (("label_column", label_column is not None), ("text_column", text_column != "text")):
            if given:
                raise UserError(f"{option}: {path}에는 열이 없습니다. {', '.join(TABLES)} 파일에 씁니다.")
    if kind == "folder":
        rows = _folder(path)
    elif kind in LINES:
        rows = ((place, [line]) for place, line in read_lines(path))
    elif kind in (".csv", ".tsv"):
        rows = _table(path, wanted)
    elif kind in TABLES:
        rows = ((place, _values(place, row, wanted)) for place, row in _objects(path, wanted[0]))
    else:
        raise UserError(
            f"{path}: 어떤 파일인지 이름으로 알 수 없습니다. "
            f"{', '.join(LINES + TABLES)}(뒤에 .gz도 됩니다) 가운데 하나로 끝나야 합니다.")
    for place, row in rows:
        check_text(place, "".join(row))
        yield row


def _folder(path: Path) -> Iterator[tuple[str, list[str]]]:
    files, passed_over = files_of(path, ".txt")
    if not files:
        raise UserError(f"{path}: 폴더에 .txt 파일이 없습니다.")
    if passed_over:
        print(f"{path}: .txt 파일 {len(files)}개를 읽고, 숨은 파일과 다른 파일 {passed_over}개는 읽지 않습니다.",
              file=sys.stderr)
    for file in files:
        yield str(file), ["\n".join(line for _, line in read_lines(file))]


def read_records(path: str | Path) -> Iterator[tuple[str, dict]]:
    """``(place, record)`` of each row of a table (``TABLES``, with ``.gz`` or not), for the caller to look into: the
    values by their columns, of a JSON file with whatever type they have, else texts.

    Raises:
        UserError: it is no table, cannot be read, or a row is no record (naming file and line).
    """
    path = Path(path)
    kind = suffix(path)
    if kind not in TABLES or path.is_dir():
        raise UserError(f"{path}: 열이 있는 파일({', '.join(TABLES)})이어야 합니다.")
    if kind in (".csv", ".tsv"):
        rows = table_rows(path)
        _, columns = next(rows, ("", []))
        columns = [compose(name) for name in columns]
        yield from ((place, dict(zip(columns, row, strict=True))) for place, row in rows)
        return
    for place, row in _objects(path, "이름"):
        yield place, {compose(name): value for name, value in _object(place, row, "이름").items()}


def holds_messages(path: str | Path, text_column: str = "text") -> bool:
    """Whether the first row of a JSON file has ``messages`` and no ``text_column``."""
    try:
        _, row = next(iter(read_records(path)))
    except (UserError, StopIteration):  # which is told where it is read
        return False
    return isinstance(row.get("messages"), list) and text_column not in row


def _objects(path: Path, example: str) -> Iterator[tuple[str, object]]:
    """What stands on the lines of a JSON Lines file, or in the list of a JSON file."""
    if suffix(path) == ".json":
        yield from _json_list(path, example)
        return
    for place, line in read_lines(path, normalize=False):
        if line.strip():
            try:
                yield place, json.loads(line)
            except ValueError as error:
                raise UserError(f"{place}: JSON이 아닙니다({error}).") from None


def _json_list(path: Path, example: str) -> Iterator[tuple[str, object]]:
    text = "\n".join(line for _, line in read_lines(path, normalize=False))
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: JSON이 아닙니다({error}). 한 줄에 하나씩이라면 이름을 .jsonl로 바꾸세요.") from None
    if not isinstance(rows, list):
        raise UserError(f'{path}: [{{"{example}": "…"}}, …]처럼 목록이어야 합니다.')
    yield from ((f"{path} {number}번째", row) for number, row in enumerate(rows, start=1))


def _object(place: str, row, example: str) -> dict:
    if not isinstance(row, dict):
        raise UserError(f'{place}: {{"{example}": "…"}}처럼 이름과 값의 짝이어야 합니다.')
    return row


def _values(place: str, row, wanted: list[str]) -> list[str]:
    """The text and, where it is asked for, the label of a JSON object."""
    row = {compose(name): value for name, value in _object(place, row, wanted[0]).items()}
    _check_columns(place, wanted, row)
    text, *labels = (row[name] for name in wanted)
    if not isinstance(text, str):
        raise UserError(f"{place}: {wanted[0]} 필드는 문자열이어야 하는데 {text!r}입니다.")
    return [compose(text), *(_label(place, wanted[1], label) for label in labels)]


def _label(place: str, name: str, value) -> str:
    """A label as a control word: a text that is not empty, or an integer."""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place}: {name} 값은 비어 있지 않은 문자열이나 정수여야 하는데 {value!r}입니다.")
    return compose(value.strip())


def table_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """``(place, cells)`` of each row of a ``.csv`` or ``.tsv`` file, the header first. The place is where the row
    begins; empty lines are passed over.

    Raises:
        UserError: it cannot be read, is not UTF-8 or no CSV, or a row has more or fewer cells than the header.
    """
    csv.field_size_limit(2**31 - 1)  # its 131,072 characters are fewer than a long document has
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if suffix(path) == ".tsv" else {"strict": True}
    rows = csv.reader((f"{line}\n" for _, line in read_lines(path)), **dialect)
    columns, begins = None, 1
    try:
        for row in rows:
            place, begins = f"{path} {begins}번째 줄", rows.line_num + 1
            if columns is None:
                row = [name.strip() for name in row]
                columns = len(row)
            elif row and len(row) != columns:
                raise UserError(f"{place}: 첫 줄처럼 열이 {columns}개여야 하는데 {len(row)}개입니다.")
            if row:
                yield place, row
    except csv.Error as error:
        raise UserError(
            f"{path} {rows.line_num}번째 줄: CSV로 읽을 수 없습니다({error}). 따옴표가 닫혔는지 확인하세요.") from error


def _table(path: Path, wanted: list[str]) -> Iterator[tuple[str, list[str]]]:
    columns = None
    for place, row in table_rows(path):
        if columns is None:
            _check_columns(place, wanted, row)
            columns = [row.index(name) for name in wanted]
            continue
        text, *labels = (row[column] for column in columns)
        yield place, [text, *(_label(place, wanted[1], label) for label in labels)]


def _check_columns(place: str, wanted: list[str], there) -> None:
    for option, name in zip(("text_column", "label_column"), wanted, strict=False):
        if name not in there:
            there = ", ".join(map(str, there))
            tabs = " 탭으로 나뉜 파일이라면 이름을 .tsv로 바꾸세요." if "\t" in there else ""
            raise UserError(f"{option}: {place}에 {name!r} 열이 없습니다. 있는 것: {there}.{tabs}")
