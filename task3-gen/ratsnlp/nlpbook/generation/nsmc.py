"""NSMC: read strictly, a control word before each review."""

import csv
from pathlib import Path

from ..errors import UserError
from ..text_files import compose
from .features import GenerationExample


class NsmcCorpus:
    """Reads ``ratings_{mode}.txt``: UTF-8, tab separated, header ``id document label``, label 0 (부정) or 1 (긍정).

    ``control_words`` has each word that a review may begin with, and words that are common in such reviews.
    """

    control_words = {
        "부정": "최악 쓰레기 지루함 재미없다 실망 졸작 비추 노잼",
        "긍정": "최고 재밌어요 재미있는 감동 명작 훌륭한 추천 강추",
    }

    def get_examples(self, data_root_path, mode) -> list[GenerationExample]:
        """One example a row, ``부정 <review>`` or ``긍정 <review>``.

        Raises:
            UserError: the file is missing or a line is malformed (naming file, line number and what was expected).
        """
        file = Path(data_root_path) / f"ratings_{mode}.txt"
        words = dict(zip(("0", "1"), self.control_words, strict=True))
        examples = []
        for document, label in _read_rows(file):
            control, book_review = f"{words[label]} ", unescape_as_book(document)
            review = compose(unescape(document))
            book_text = control + book_review if book_review != review else None
            examples.append(GenerationExample(control + review, control, book_text))
        return examples


def _read_rows(file: Path):
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise UserError(f"{file}: 말뭉치 파일을 읽을 수 없습니다({error.strerror}).") from error
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        place = f"{file} {number}번째 줄"
        try:
            columns = line.removesuffix(b"\r").decode("utf-8").split("\t")
        except UnicodeDecodeError:
            raise UserError(f"{place}: UTF-8이 아닙니다. 파일을 UTF-8로 저장하세요.") from None
        if number == 1:
            if columns != ["id", "document", "label"]:
                raise UserError(f"{place}: 첫 줄은 'id<탭>document<탭>label'이어야 하는데 {_shortened(columns)}입니다.")
            continue
        if len(columns) != 3:
            raise UserError(
                f"{place}: 'id<탭>리뷰<탭>라벨'로 열이 3개여야 하는데 {len(columns)}개입니다: {_shortened(columns)}")
        if columns[2] not in ("0", "1"):
            raise UserError(f"{place}: 라벨은 0(부정)이나 1(긍정)이어야 하는데 {columns[2]!r}입니다.")
        yield columns[1], columns[2]
    if len(lines) < 2:
        raise UserError(f"{file}: 리뷰가 한 줄도 없습니다.")


def _shortened(columns: list[str]) -> str:
    text = "<탭>".join(columns)
    return repr(text if len(text) <= 60 else text[:60] + "…")


def unescape(document: str) -> str:
    """The review as its author wrote it: NSMC stores one that holds a ``"`` CSV-escaped, twice.
    Elsewhere a quote is a character.

    >>> unescape('\"\"\"a \"\"\"\"b\"\"\"\"\"\"\"')
    'a "b"'
    """
    text = document
    for _ in range(2):
        inside = text[1:-1]
        if len(text) < 2 or text[0] != '"' or text[-1] != '"' or '"' in inside.replace('""', ""):
            return document
        text = inside.replace('""', '"')
    return text if '"' in text else document


def unescape_as_book(document: str) -> str:
    """The review as ratsnlp 1.0.53 read it, by :mod:`csv`: of NSMC's two levels of escaping one is left.

    A quote that is never closed, with which it swallowed the rows that follow, is a character here too.

    >>> unescape_as_book('\"\"\"a \"\"\"\"b\"\"\"\"\"\"\"')
    '"a \"\"b\"\"\"'
    """
    if not document.startswith('"') or "\r" in document:
        return document
    rows = csv.reader([document, ""], delimiter="\t")
    (text,) = next(rows)
    return text if rows.line_num == 1 else document
