"""Texts as a file that is whole or not there, and beside it what is finished of them until then."""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..files import check_writable, whole_file
from ..training.interrupt import Interrupt

if TYPE_CHECKING:
    from .arguments import GenerationGenerateArguments
    from .predictor import Batch, Predictor

SUFFIXES = (".txt", ".jsonl", ".csv")

# What may differ between a run and the one that goes on with it: the texts do not depend on it, or it is compared by
# what it stands for (the prompts, the weights, the device).
MAY_DIFFER = {"model_name_or_path", "pretrained_model_name", "downstream_model_dir", "prompt", "dialogue", "input",
              "text_column", "device", "devices", "output", "with_prompt", "resume", "morphemes"}


def check_new(file: Path, name: str) -> None:
    """Raises UserError, naming the field ``name``, where ``file`` is there already or cannot be made."""
    if file.exists():
        raise UserError(f"{name}: {file} 파일이 이미 있습니다. 덮어쓰지 않으니 다른 이름을 쓰거나 그 파일을 옮기세요.")
    check_writable(file.parent, name)


def check_output(args, suffixes: tuple[str, ...]) -> None:
    """Raises UserError where ``args.output`` cannot be written, or there is nothing that ``args.resume`` could go on
    with."""
    if args.output is None:
        if args.resume:
            raise UserError("resume: 이어서 쓸 파일이 없습니다. --output도 적으세요.")
        return
    file = Path(args.output)
    if file.suffix.lower() not in suffixes:
        raise UserError(f"output: {', '.join(suffixes)} 가운데 하나로 끝나야 하는데 {file.name!r}입니다.")
    if args.is_finished:
        return
    check_new(file, "output")
    if part_of(file).exists() and not args.resume:
        raise UserError(f"output: 중단된 {part_of(file)} 파일이 있습니다. 이어서 쓰려면 --resume을 붙이고, "
                        "처음부터 쓰려면 그 파일을 지우세요.")


def part_of(file: Path) -> Path:
    """Where the finished batches are kept until ``file`` is whole."""
    return file.with_name(f"{file.name}.part")


class TextOutput:
    """The texts of ``generate.py``, for ``args.output`` or, where there is none, for standard output.

    Until all are there, ``output.part`` holds the batches that are finished: JSON lines, the first of them the
    settings, each other a batch, on the disk before the next one begins. A run that is broken off says how to go on;
    with ``args.resume`` the next one begins with batch number ``batches``.

    Raises:
        UserError: the part is of other settings (naming the first), of another program's, or in use; nothing can be
            written.
    """

    def __init__(self, args: GenerationGenerateArguments, prompts: list[str], predictor: Predictor):
        self.args, self.prompts = args, prompts
        self.batches, self.texts = 0, []  # a text: number of its prompt, its own number, the text, whether it ended
        self.file = Path(args.output) if args.output else None
        if self.file:
            self.part = part_of(self.file)
            digest = sha256(json.dumps(prompts).encode()).hexdigest()
            options = {spec.name: getattr(args, spec.name) for spec in fields(args) if spec.name not in MAY_DIFFER}
            self.settings = {"prompts": digest, **predictor.fingerprint(), **options}

    def __enter__(self) -> TextOutput:
        if self.file:
            from filelock import FileLock, Timeout

            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lock, self._interrupt = FileLock(f"{self.part}.lock"), Interrupt()
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise UserError(f"output: 다른 프로그램이 {self.part} 파일에 쓰고 있습니다.") from None
            try:
                self._read_part()
            except BaseException:
                self._unlock()
                raise
            self._interrupt.watch(may_wait=lambda: False)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self.file:
            self._interrupt.release()
            if kind and not self.batches:
                self.part.unlink(missing_ok=True)
            elif kind:
                whole = len(self.prompts) * self.args.num_return_sequences
                print(f"\n{whole:,}개 가운데 {len(self.texts):,}개를 {self.part}에 남겼습니다. 같은 명령에 --resume을 "
                      "붙이면 이어서 합니다.", file=sys.stderr)
            self._unlock()

    def add(self, batch: Batch) -> None:
        """Keep the texts of the next batch."""
        texts = [[number, place, sample.text, sample.ended] for number, place, sample in batch]
        if self.file:
            self._append(texts)
        self.texts += texts
        self.batches += 1

    def finish(self) -> None:
        """Write all texts, in the order of their prompts, and remove the part."""
        self.texts.sort()
        if self.file is None:
            self._print()
            return
        check_new(self.file, "output")
        write = {".txt": self._write_lines, ".jsonl": self._write_json, ".csv": self._write_table}
        try:
            with whole_file(self.file) as unfinished:
                write[self.file.suffix.lower()](unfinished)
        except OSError as error:
            raise self._unwritable(error) from error
        self.part.unlink()

    def _print(self) -> None:
        texts = [self._with_prompt(*text) for text in self.texts]
        print("\n".join(texts if len(texts) == 1 else map(_one_line, texts)))

    def _read_part(self) -> None:
        """Read the finished batches; drop what was written only in part after them."""
        data = self.part.read_bytes() if self.part.exists() else b""
        lines = data.split(b"\n")[:-1]
        if data and not data.startswith(b'{"settings"'):
            raise UserError(f"output: {self.part} 파일은 이 프로그램이 쓴 것이 아닙니다. 다른 이름을 쓰세요.")
        if not lines:
            self.part.write_bytes(b"")
            self._append({"settings": self.settings})
            return
        self._check_settings(json.loads(lines[0])["settings"])
        whole = len(lines[0]) + 1
        for line in lines[1:]:
            try:
                self.texts += json.loads(line)
            except ValueError:  # what a power cut leaves
                break
            self.batches += 1
            whole += len(line) + 1
        os.truncate(self.part, whole)

    def _check_settings(self, then: dict) -> None:
        for name, now in self.settings.items():
            if then.get(name) != now:
                what = {"prompts": "프롬프트가 다릅니다", "weights": "모델이 다릅니다"}.get(
                    name, f"{then.get(name)!r}였는데 지금은 {now!r}입니다")
                raise UserError(f"{name}: {self.part}의 텍스트를 쓸 때와 {what}. 그때처럼 하거나, 그 파일을 지우고 "
                                "처음부터 하세요.")

    def _append(self, content) -> None:
        try:
            with open(self.part, "ab") as opened:
                opened.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")
                opened.flush()
                os.fsync(opened.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"output: {self.file.parent} 폴더에 쓸 수 없습니다({error.strerror}).")

    def _unlock(self) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def _with_prompt(self, number: int, place: int, text: str, ended: bool) -> str:
        return (self.prompts[number].rstrip() + text if self.args.with_prompt else text).strip()

    def _write_lines(self, file: Path) -> None:
        with open(file, "w", encoding="utf-8", newline="\n") as opened:
            opened.writelines(_one_line(self._with_prompt(*text)) + "\n" for text in self.texts)

    def _write_json(self, file: Path) -> None:
        with open(file, "w", encoding="utf-8", newline="\n") as opened:
            opened.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self._rows())

    def _write_table(self, file: Path) -> None:
        with open(file, "w", encoding="utf-8-sig", newline="") as opened:
            table = csv.writer(opened)
            rows = self._rows()
            table.writerow(rows[0])
            table.writerows([*list(row.values())[:-1], "true" if row["ended"] else "false"] for row in rows)

    def _rows(self) -> list[dict]:
        several = self.args.num_return_sequences > 1
        return [{"id": number + 1, **({"index": place + 1} if several else {}), "prompt": self.prompts[number],
                 "generated": text, "ended": ended} for number, place, text, ended in self.texts]


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
