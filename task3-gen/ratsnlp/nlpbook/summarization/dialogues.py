"""Dialogues and their summaries: a table with a row for each, as Korean courses and competitions hand them out."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import whole_file
from ..text_files import check_text, compose, suffix, table_rows
from .dialogue_generator import Dialogue, made_dialogues

FILES = {"train": "train.csv", "val": "dev.csv"}
MADE = "made"  # the name of the corpus that is made here: its files, with how many dialogues of which kind
_MADE_FILES = {
    "train.csv": {"count": 35_000, "seed": 7},
    "dev.csv": {"count": 300, "seed": 8, "held_out": True},
    "unseen_names.csv": {"count": 300, "seed": 9, "unseen_names": True}}

_TURN = re.compile(r"#[^#\s]+#\s*:\s*\S")
_SUMMARY = re.compile(r"summary\d*")  # of a dialogue with several references: summary1, summary2, …


@dataclass(frozen=True)
class DialogueExample:
    """A row: its ``fname``, the turns, each on a line of its own, the summaries that people wrote of it (none where the
    file has no such column), and the ``place`` where it stands."""

    fname: str
    dialogue: str
    references: tuple[str, ...]
    place: str


def read_dialogues(path: str | Path, summaries: bool = False) -> list[DialogueExample]:
    """The rows of a ``.csv`` or ``.tsv`` file with the columns ``fname``, ``dialogue`` and, with ``summaries`` at
    least, ``summary`` (several: ``summary1``, ``summary2`` …); other columns are passed over. Turns are parted by line
    breaks or, where a cell cannot hold them (``.tsv``), by ``\\n``.

    Raises:
        UserError: it cannot be read, a column is missing, a dialogue has no turns (``#Person1#: …``), a summary is
            empty, an fname stands there twice, or there is no row (naming file and line).
    """
    path = Path(path).expanduser()
    if suffix(path) not in (".csv", ".tsv"):
        raise UserError(f"{path}: 대화 파일은 .csv나 .tsv여야 합니다(열: fname,dialogue,summary).")
    rows = table_rows(path)
    place, header = next(rows, (str(path), []))
    references = [name for name in header if _SUMMARY.fullmatch(name)]
    for name in ("fname", "dialogue", *(["summary"] if summaries and not references else [])):
        if name not in header:
            raise UserError(f"{place}: {name} 열이 없습니다. 있는 열: {', '.join(header) or '없음'}")
    examples, seen = [], {}
    for place, cells in rows:
        row = dict(zip(header, cells, strict=True))
        check_text(place, "".join(cells))
        name, dialogue = row["fname"].strip(), clean_dialogue(row["dialogue"].replace("\\n", "\n"), place)
        if name in seen:
            raise UserError(f"{place}: fname이 {name!r}인 대화가 {seen[name]}에도 있습니다.")
        seen[name] = place.removeprefix(f"{path} ")
        texts = tuple(" ".join(row[column].split()) for column in references)
        empty = [column for column, text in zip(references, texts, strict=True) if not text]
        if empty:
            raise UserError(f"{place}: {empty[0]}(요약)가 비어 있습니다.")
        examples.append(DialogueExample(name, dialogue, texts, place))
    if not examples:
        raise UserError(f"{path}: 대화가 없습니다. 열 이름 다음 줄부터 한 행에 하나씩 적으세요.")
    return examples


def clean_dialogue(text: str, place: str) -> str:
    """``text`` with its turns on lines of their own, without white space around them. Raises UserError where it does
    not begin with a turn."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    dialogue = "\n".join(filter(None, lines))
    if not _TURN.match(dialogue):
        raise UserError(f"{place}: 발화가 없는 대화입니다. 한 줄에 하나씩 '#Person1#: 안녕하세요.'처럼 적어야 하는데 "
                        f"{dialogue[:30]!r}입니다.")
    return dialogue


def given_dialogue(prompt, number: int | None = None) -> tuple[str, str]:
    """The place of a dialogue that a program was given, alone or as this ``number`` of several, and the dialogue as
    :func:`clean_dialogue` has it. Raises UserError where it is no text, or as that does."""
    place = "dialogue" if number is None else f"dialogues {number}번째"
    if not isinstance(prompt, str):
        raise UserError(f"{place}: 문자열이어야 하는데 {prompt!r}입니다.")
    check_text(place, prompt)
    return place, clean_dialogue(compose(prompt), place)


def fetch_dialogues(args) -> None:
    """Make sure that the files to learn from and to validate on are there; those of the corpus ``made`` are made.

    Raises:
        UserError: a file is missing.
    """
    folder = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
    if args.downstream_corpus_name == MADE:
        for name, kind in _MADE_FILES.items():
            if not (folder / name).is_file():
                print(f"대화 {kind['count']:,}개를 만들어 {folder / name}에 저장합니다.")
                write_dialogues(folder / name, made_dialogues(**kind))
    for name in FILES.values():
        if not (folder / name).is_file():
            raise UserError(f"downstream_corpus_name: {folder}에 {name} 파일이 없습니다"
                            "(열: fname,dialogue,summary). --downstream_corpus_root_dir도 확인하세요.")


def write_dialogues(file: Path, dialogues: Iterable[Dialogue]) -> None:
    """Write a table that :func:`read_dialogues` reads, and Excel."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as unfinished, open(unfinished, "w", encoding="utf-8-sig", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(["fname", *Dialogue._fields])
        table.writerows([f"{file.stem}_{number}", *row] for number, row in enumerate(dialogues))


class DialogueCorpus:
    """The tables of a folder: ``train.csv`` to learn, ``dev.csv`` to validate on."""

    def get_examples(self, folder: str | Path, mode: str) -> list[DialogueExample]:
        if mode not in FILES:
            raise UserError(f"mode: {', '.join(FILES)} 가운데 하나여야 하는데 {mode!r}입니다.")
        return read_dialogues(Path(folder) / FILES[mode], summaries=True)
