"""A run that may be killed at any moment, and that goes on as if it never had been."""

import json
import logging
import os
import random
import shutil
import signal
import sys
import threading
from hashlib import sha256
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory

import numpy as np
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping
from torch.utils.data import DataLoader, Sampler

from .errors import UserError
from .generation.models import load_tokenizer
from .generation.tokenizer import save_tokenizer

logger = logging.getLogger("ratsnlp")

LAST = "last.ckpt"
RECORD = "train_record.json"
UNFINISHED = ".unfinished-"  # folders that are being written begin with it; they take their names when they are whole

# What may differ between a run and its continuation, because the numbers do not depend on it. The data are compared as tokens.
FREE = {"downstream_model_dir", "downstream_corpus_root_dir", "downstream_corpus_name", "downstream_task_name", "overwrite_cache",
        "force_download", "test_mode", "cpu_workers", "tpu_cores", "device", "resume", "save_steps", "save_total_limit", "save_top_k",
        "patience", "logging_steps", "logging_dir", "wandb"}


class EpochOrder(Sampler):
    """The indices of ``sampler`` in an order that depends on seed and epoch alone; the first epoch begins after ``done`` of them."""

    def __init__(self, sampler: Sampler, seed: int, epoch: int = 0, done: int = 0):
        self.sampler, self.seed, self.epoch, self.done = sampler, seed, epoch, done

    def __len__(self):
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def __iter__(self):
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(self.epoch)
        else:  # RandomSampler
            self.sampler.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return islice(self.sampler, self.done, None)


def order_by_epoch(loader, seed: int, epoch: int = 0, batches_done: int = 0) -> None:
    """Let ``loader`` draw nothing from the global random state, and begin ``epoch`` after the batches that are done."""
    if not isinstance(loader, DataLoader):
        return
    loader.generator = torch.Generator().manual_seed(seed)
    if loader.batch_sampler is not None:
        loader.batch_sampler.sampler = EpochOrder(loader.batch_sampler.sampler, seed, epoch, batches_done * loader.batch_size)


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt``, all that a run needs to go on: weights, optimizer, schedule, place in the data, random states.

    It does so every ``save_steps`` steps, after each epoch, and on Ctrl-C or SIGTERM at the end of the step under way; the script then
    ends with 130 or 143. Lightning's own checkpoints know neither the random states nor the order of the data. With
    ``save_total_limit`` the weights also go to folders ``checkpoint-STEP`` of which the newest are kept.
    """

    def __init__(self, args):
        self.args, self.folder = args, Path(args.downstream_model_dir)
        self.batches_done, self.random, self.signal, self.handlers = 0, None, None, {}

    def state_dict(self):
        return {"batches_done": self.batches_done, "random": random_state()}

    def load_state_dict(self, state):
        self.random = state["random"]

    def on_train_start(self, trainer, module):
        self.step = trainer.global_step
        if self.random is not None:
            set_random_state(self.random)
        if any(isinstance(callback, EarlyStopping) and callback.stopped_epoch for callback in trainer.callbacks):
            trainer.should_stop = True  # it had, before the run was killed
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.handlers[number] = signal.signal(number, lambda received, _: self._on_signal(trainer, received))

    def _on_signal(self, trainer, number):
        if self.signal is not None or not trainer.training:  # a second time, or while validating
            raise SystemExit(128 + number)
        self.signal = number

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:  # gradients are being accumulated
            return
        self.step = trainer.global_step
        due = self.args.save_steps and self.step % self.args.save_steps == 0
        if due and self.args.save_total_limit:
            self._save_folder(trainer, module)
        if (due or self.signal is not None) and batch_idx + 1 < trainer.num_training_batches:  # else soon, with the epoch's validation
            self._save(trainer, module, batch_idx + 1)

    def on_train_epoch_end(self, trainer, module):
        self._save(trainer, module, 0)

    def _save(self, trainer, module, batches_done):
        if trainer.fast_dev_run:
            return
        check_weights(module)
        self.batches_done = batches_done
        trainer.save_checkpoint(self.folder / LAST)
        if self.signal is not None:
            raise SystemExit(128 + self.signal)

    def _save_folder(self, trainer, module):
        if trainer.fast_dev_run:
            return
        check_weights(module)
        target = self.folder / f"checkpoint-{self.step}"
        with TemporaryDirectory(dir=self.folder, prefix=UNFINISHED) as temporary:
            whole = Path(temporary) / target.name
            module.model.save_pretrained(whole)
            save_tokenizer(trainer.train_dataloader.dataset.tokenizer, whole)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(whole, target)
        folders = sorted(self.folder.glob("checkpoint-*"), key=lambda folder: int(folder.name.partition("-")[2]))
        if self.args.save_total_limit > 0:
            for folder in folders[: -self.args.save_total_limit]:
                shutil.rmtree(folder)

    def teardown(self, trainer, module, stage):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


def check_weights(module) -> None:
    """Raises UserError where a weight is not a number any more: such weights are never written over good ones."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters()):
        raise UserError("가중치에 NaN이나 무한대가 생겨 학습을 멈췄습니다. 앞서 저장한 체크포인트는 그대로 있습니다. "
                        "learning_rate를 절반 이하로 줄이거나 warmup_ratio를 늘려 다시 학습하세요.")


def random_state() -> dict:
    """The states of the generators of Python, NumPy and PyTorch (CPU and every GPU), of types that ``weights_only`` reads."""
    name, keys, *rest = np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"python": random.getstate(), "numpy": [name, keys.tolist(), *rest], "torch": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict) -> None:
    random.setstate(state["python"])
    np.random.set_state((state["numpy"][0], np.asarray(state["numpy"][1], dtype=np.uint32), *state["numpy"][2:]))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def tokens_sha256(dataset) -> str:
    """SHA-256 of the tokens that a dataset holds and of how they are cut up: it differs with text, tokenizer, columns, split or length."""
    digest = sha256()
    for array in (dataset.ids, dataset.lengths, getattr(dataset, "document", np.zeros(0)), getattr(dataset, "start", np.zeros(0))):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def begin(args, dataset) -> tuple[str, dict | None]:
    """Where a run begins: ``("new", None)``, ``("finished", None)``, or ``("resumed", the checkpoint)``; says which.

    Without ``args.resume`` an unfinished run's ``last.ckpt`` is set aside as ``last.ckpt.old``.

    Raises:
        UserError: ``last.ckpt`` cannot be read, or belongs to a run with other arguments or data (naming the first difference).
    """
    last, record = Path(args.downstream_model_dir) / LAST, read_record(args.downstream_model_dir)
    checkpoint = _load(last) if last.is_file() else None
    there = checkpoint["callbacks"]["RunRecord"]["record"] if checkpoint else {}
    finished = record.get("state") == "finished" and (not there or there["started"] == record["started"])
    if not args.resume:
        if there and not finished:
            os.replace(last, last.with_suffix(".ckpt.old"))
            print(f"멈춘 학습의 {LAST}를 {LAST}.old로 옮기고 처음부터 학습합니다. 이어서 하려면 이름을 되돌리고 --resume을 붙이세요.",
                  file=sys.stderr)
        last.unlink(missing_ok=True)
        (last.parent / RECORD).unlink(missing_ok=True)
        return "new", None
    if not there and not finished:
        print(f"{last.parent}에 이어서 할 {LAST}가 없어 처음부터 학습합니다.", file=sys.stderr)
        return "new", None
    _check_same_run(args, dataset, record if finished else there)
    if finished:
        print(f"이미 끝난 학습입니다. 가장 좋은 체크포인트: {last.parent / record['best_checkpoint']}", file=sys.stderr)
        return "finished", None
    return "resumed", checkpoint


def resumed_tokenizer(args):
    """The tokenizer of the run that ``args.resume`` goes on with, or None where none is.

    For scripts that learn a tokenizer: the trainers of ``tokenizers`` 0.23 are not deterministic (its issue 1794), and one learnt again
    from the same text differs in a few tokens.
    """
    folder = Path(args.downstream_model_dir)
    there = (folder / LAST).is_file() or read_record(folder).get("state") == "finished"
    return load_tokenizer(str(folder)) if args.resume and there else None


def read_record(folder: str | Path) -> dict:
    """What ``train_record.json`` says; nothing where there is none."""
    try:
        return json.loads((Path(folder) / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _load(last: Path) -> dict:
    try:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True, mmap=True)
        checkpoint["callbacks"]["RunRecord"]["record"]["started"]
    except (UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError) as error:
        raise UserError(f"{last}: 이어서 할 수 있는 체크포인트가 아니거나 깨졌습니다. 지우고 다시 실행하면 처음부터 학습합니다.") from error
    return checkpoint


def _check_same_run(args, dataset, record: dict) -> None:
    for name, then in record["arguments"].items():
        now = getattr(args, name, then)
        if name not in FREE and now != then:
            raise UserError(f"{name}: 이 폴더의 학습은 {then!r}(으)로 했는데 지금은 {now!r}입니다. 같은 값으로 하거나, 다른 폴더에서 "
                            "새로 시작하세요.")
    if record["tokens_sha256"] != tokens_sha256(dataset):
        raise UserError(f"{dataset.source}: 이 폴더의 학습이 배우던 글과 다릅니다(글, 토크나이저, 나누는 방법 가운데 무엇이 바뀌었습니다). "
                        "되돌리거나, 다른 폴더에서 새로 시작하세요.")
