"""A run's folder (``downstream_model_dir``): what lies in it, under which name,
and how its checkpoints are told apart."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from .errors import UserError
from .files import check_writable, remove_files, remove_unfinished, write_json

CHECKPOINT = "{epoch}-{val_loss:.2f}"  # as Lightning fills it in: epoch=1-val_loss=2.29.ckpt
MODEL_PREFIX = "model."  # before the name of each weight in a checkpoint: where a task keeps its model

_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?=-|\.ckpt$)"
_VAL_LOSS = re.compile(rf"val_loss={_NUMBER}")
_FIGURE = re.compile(rf"epoch=(\d+)-val_loss=[^-]+-[a-zA-Z]\w*={_NUMBER}")
_VERSION = re.compile(r"-v(\d+)\.ckpt$")

# The names that are ours, whole: nothing else in the folder is ever replaced or removed.
_OWN = re.compile(r"epoch=\d+-val_loss=[^/\\]+\.ckpt|last\.ckpt|train_record\.json|loss\.png")
MODEL_FILES = re.compile(
    r"(generation_|tokenizer_)?config\.json|tokenizer\.json|(special_tokens_map|added_tokens)\.json"
    r"|chat_template\.jinja|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"
    r"|adapter_config\.json|adapter_model\.safetensors|greedy\.json")


class RunFolder:
    """The folder of one run and its parts.

    ``epoch=E-val_loss=V.ckpt`` (:func:`checkpoint_name`) are the best checkpoints, weights alone; ``last`` is what the
    run needs to go on, and ``last_aside`` is that of a run that was abandoned; ``step(N)`` is a model as it was after N
    steps. Beside the checkpoints lie the model's config and tokenizer, and the best weights in a folder that other
    programs read, ``export``; of a LoRA, ``adapter`` is what was learnt, and ``export`` has it merged in. ``record``
    tells of the run, ``curve`` draws its losses, ``logs`` are TensorBoard's.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.last = self.path / "last.ckpt"
        self.record = self.path / "train_record.json"
        self.config = self.path / "config.json"
        self.export = self.path / "huggingface"
        self.adapter = self.path / "adapter"
        self.curve = self.path / "loss.png"
        self.logs = self.path / "tensorboard"

    @property
    def last_aside(self) -> Path:
        """An unused name for ``last`` when it is set aside: ``last.ckpt.old``, ``last.ckpt.old2``, …"""
        names = (self.path / f"last.ckpt.old{number}" for number in chain([""], count(2)))
        return next(name for name in names if not name.exists())

    def make(self) -> None:
        """Raises UserError where the folder is not there and cannot be made, or nothing can be written to it."""
        check_writable(self.path, "downstream_model_dir")
        self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts, no other run may use the folder.
        The system lets go of it when the process ends, however it does.

        Raises:
            UserError: another run holds it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise UserError(
                f"downstream_model_dir: {self.path} 폴더에서 다른 학습이 돌고 있습니다. "
                "끝나기를 기다리거나 다른 폴더를 지정하세요.") from error
        try:
            yield
        finally:
            lock.release()

    def check_room(self, trained_bytes: int, checkpoints: int, export_bytes: int) -> None:
        """Raises UserError where the disk has no room for what a run writes: ``trained_bytes`` of weights in
        ``checkpoints`` best checkpoints, and with two moments each in ``last``, the next of which is written whole
        before the one before goes; and the whole model in the export."""
        needed = (2 * 3 + checkpoints) * trained_bytes + export_bytes
        free = shutil.disk_usage(self.path).free + sum(path.stat().st_size for path in self.checkpoints())
        if free < needed:
            raise UserError(f"downstream_model_dir: {self.path} 폴더의 디스크에 {needed / 1e9:.1f}GB가 있어야 하는데 "
                            f"{free / 1e9:.1f}GB 남았습니다. 공간을 비우거나 다른 디스크의 폴더를 지정하세요.")

    def remove_unfinished(self) -> None:
        """Remove what a killed run left half written, under one of our names."""
        remove_unfinished(self.path, _OWN)

    def checkpoints(self) -> list[Path]:
        """The checkpoints that are there: the best ones and ``last``."""
        return sorted(path for path in self.path.glob("*.ckpt") if _OWN.fullmatch(path.name))

    def best_checkpoint(self) -> Path:
        """The checkpoint with the highest figure in its name (:func:`checkpoint_name`), else with the lowest val_loss.

        Names without one (``last.ckpt``, ``nan``, foreign files) are passed over. Of equal figures
        the first epoch wins, as with Lightning; then the higher ``-vN``, which was written later, then the name that
        sorts last.

        Raises:
            UserError: the folder is missing or has no such file.
        """
        found = []
        for file in sorted(self.path.glob("*.ckpt"), reverse=True):  # of equals, min takes the first
            loss, figure = val_loss_of(file.name), _FIGURE.search(file.name)
            version = _VERSION.search(file.name)
            if loss is not None:
                value, epoch = (-float(figure[2]), int(figure[1])) if figure else (loss, 0)
                found.append((figure is None, value, epoch, -int(version[1]) if version else 0, file))
        if not found and self.config.is_file() and any(self.path.glob("*.safetensors")):
            raise UserError(f"{self.path}: 체크포인트 폴더가 아니라 모델 폴더입니다. --downstream_model_dir 대신 "
                            f"--pretrained_model_name {self.path}처럼 지정하세요.")
        if not found:
            raise UserError(f"{self.path}에 체크포인트(…val_loss=….ckpt)가 없습니다. 먼저 train_gen-N.py로 학습하세요.")
        return min(found, key=lambda entry: entry[:4])[4]

    def step(self, number: int) -> Path:
        return self.path / f"checkpoint-{number}"

    def steps(self) -> list[Path]:
        """The folders of :meth:`step` that are there, in the order of their numbers."""
        folders = [path for path in self.path.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
        return sorted(folders, key=lambda folder: int(folder.name.partition("-")[2]))

    def results(self) -> list[Path]:
        """What an earlier training has left that a new one would write over or be mixed up with."""
        return [*self.checkpoints(), *self.steps(),
                *(path for path in (self.export, self.adapter, self.record) if path.exists())]

    def remove_results(self) -> None:
        """Remove :meth:`results`; what is not of our names stays, within the folders of models too."""
        config = [self.config] if self._is_a_runs() and self.config.exists() else []
        for path in [*self.results(), *config]:
            remove_files(path, MODEL_FILES) if path.is_dir() else path.unlink()

    def _is_a_runs(self) -> bool:
        return self.record.exists() or bool(self.checkpoints()) or any(self.path.glob("last.ckpt.old*"))

    def read_record(self) -> dict:
        """What ``record`` says; nothing where there is none."""
        try:
            return json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def write_record(self, record: dict) -> None:
        write_json(self.record, record)

    def check_own(self) -> None:
        """Raises UserError where the folder holds a model that no run has put there: it would be written over."""
        if self.config.exists() and not self._is_a_runs():
            raise UserError(
                f"downstream_model_dir: {self.path} 폴더에 학습으로 생기지 않은 {self.config.name} 파일이 있습니다. "
                "다른 폴더를 지정하세요.")

    def begin_anew(self, aside: Path | None = None) -> None:
        """Take the last run's ``last`` and ``record`` out of the way; with ``aside`` the former is kept as that."""
        if aside is not None:
            os.replace(self.last, aside)
        self.last.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


def checkpoint_name(monitor: str) -> str:
    """The name of a checkpoint, as Lightning fills it in; where the highest value of a figure is the best, that too:
    ``epoch=1-val_loss=2.29-rouge_sum=1.2345.ckpt``."""
    mode, figure = monitor.split()
    return f"{CHECKPOINT}-{{{figure}:.4f}}" if mode == "max" and not figure.endswith("loss") else CHECKPOINT


def val_loss_of(name: str) -> float | None:
    """The val_loss that the name of a checkpoint tells, if it tells one."""
    found = _VAL_LOSS.search(name)
    return float(found[1]) if found else None


def best_checkpoint(folder: str | Path) -> Path:
    """See :meth:`RunFolder.best_checkpoint`."""
    return RunFolder(folder).best_checkpoint()
