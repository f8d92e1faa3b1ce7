"""One's own text: files and folders, read piece by piece."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from .features import GenerationExample


def read_texts(path: str | Path, text_column: str = "text",
               label_column: str | None = None) -> Iterator[GenerationExample]:
    """The texts of a UTF-8 file or folder, one after another; white space around them is left off,
    empty ones are passed over.

    A ``.jsonl`` file has an object a line, ``.csv`` and ``.tsv`` a header line (in ``.tsv`` a quote is a character), a
    folder one text in each ``.txt`` file; any other file has one text a line. With ``label_column`` its value and a
    space come before the text.

    Raises:
        UserError: not UTF-8, or a line without the columns that were asked for (naming file,
            line number and what was expected).
    """
    path = Path(path)
    wanted = [name for name in (text_column, label_column) if name is not None]
    if path.is_dir():
        rows = _folder(path)
    elif path.suffix == ".jsonl":
        rows = _json_lines(path, wanted)
    elif path.suffix in (".csv", ".tsv"):
        rows = _table(path, wanted)
    else:
        rows = ((text,) for _, text in _lines(path))
    if label_column is not None and (path.is_dir() or path.suffix not in (".jsonl", ".csv", ".tsv")):
        raise UserError(f"label_column: {path}에는 열이 없습니다. .jsonl이나 .csv, .tsv 파일에 씁니다.")
    for text, *labels in rows:
        if text.strip():
            control = "".join(f"{label.strip()} " for label in labels)
            yield GenerationExample(control + text.strip(), control)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """``(place, line)`` of a file: the place for an error message, the line without its end."""
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                place = f"{path} {number}번째 줄"
                try:
                    yield place, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise UserError(f"{place}: UTF-8이 아닙니다. 파일을 UTF-8로 저장하세요.") from None
    except OSError as error:
        raise UserError(f"{path}: 읽을 수 없습니다({error.strerror}).") from error


def _folder(path: Path) -> Iterator[tuple[str]]:
    files = sorted(path.rglob("*.txt"))
    if not files:
        raise UserError(f"dataset_path: {path} 폴더에 .txt 파일이 없습니다.")
    for file in files:
        yield ("\n".join(line for _, line in _lines(file)),)


def _json_lines(path: Path, wanted: list[str]) -> Iterator[list[str]]:
    for place, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{place}: JSON이 아닙니다({error}).") from None
        if not isinstance(row, dict):
            raise UserError(f'{place}: {{"{wanted[0]}": "…"}}처럼 이름과 값의 짝이어야 합니다.')
        _check_columns(place, wanted, row)
        values = [row[name] for name in wanted]
        if not isinstance(values[0], str):
            raise UserError(f"{place}: {wanted[0]} 필드는 글이어야 하는데 {values[0]!r}입니다.")
        yield [str(value) for value in values]


def _table(path: Path, wanted: list[str]) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)  # its 131,072 characters are fewer than a long document has
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".tsv" else {"strict": True}
    rows = csv.reader((f"{line}\n" for _, line in _lines(path)), **dialect)
    header = None
    try:
        for row in rows:
            place = f"{path} {rows.line_num}번째 줄"
            if header is None:
                header = row
                _check_columns(place, wanted, header)
                columns = [header.index(name) for name in wanted]
            elif row:
                if len(row) != len(header):
                    raise UserError(f"{place}: 첫 줄처럼 {len(header)}칸이어야 하는데 {len(row)}칸입니다.")
                yield [row[column] for column in columns]
    except csv.Error as error:
        raise UserError(
            f"{path} {rows.line_num}번째 줄: CSV로 읽을 수 없습니다({error}). 따옴표가 닫혔는지 보세요.") from error


def _check_columns(place: str, wanted: list[str], there) -> None:
    for option, name in zip(("text_column", "label_column"), wanted, strict=False):
        if name not in there:
            raise UserError(f"{option}: {place}에 {name!r} 열이 없습니다. 있는 것: {', '.join(map(str, there))}")
