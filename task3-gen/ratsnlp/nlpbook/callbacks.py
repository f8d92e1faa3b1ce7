"""What happens around training: the progress bar, whole checkpoints, the record of the run, the exported model."""

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory

import pytorch_lightning as pl
import torch
import transformers
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.plugins.io import TorchCheckpointIO
from tqdm import tqdm
from transformers import AutoConfig, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from .errors import UserError, is_no_space, no_space_message
from .generation.arguments import INSTALLED, best_checkpoint
from .generation.tokenizer import save_tokenizer
from .resume import LAST, RECORD, UNFINISHED, tokens_sha256
from .utils import whole_file

logger = logging.getLogger("ratsnlp")

EXPORT = "huggingface"  # the plain save_pretrained folder inside downstream_model_dir


class WholeFileCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all: into a temporary file beside it, which then takes its name."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(path) as unfinished, open(unfinished, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch.save turns a failed write into a RuntimeError
            if is_no_space(error) or is_no_space(error.__context__):
                raise UserError(no_space_message(path)) from error
            raise


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, with samples a second and the time that the whole run will still take."""

    BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}"  # short: what counts has to fit a terminal of 80 columns

    def __init__(self):
        super().__init__(refresh_rate=1 if sys.stdout.isatty() else 50)

    def on_train_start(self, trainer, module):
        super().on_train_start(trainer, module)
        self.on_train_epoch_start(trainer)  # which Lightning leaves out where a run is resumed within an epoch
        self._started, self._samples, self._first_step = time.monotonic(), 0, trainer.global_step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._samples += len(batch["input_ids"])
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)

    def on_exception(self, trainer, module, exception):
        print()  # what is told next begins on a line of its own, not behind the bar

    def get_metrics(self, trainer, module):
        metrics = {name: f"{value:.2f}" for name, value in super().get_metrics(trainer, module).items() if name != "v_num"}
        if trainer.training and self._samples:
            seconds = time.monotonic() - self._started
            steps = trainer.global_step - self._first_step
            left = seconds / steps * (trainer.estimated_stepping_batches - trainer.global_step) if steps else 0
            metrics = {"samples/s": f"{self._samples / seconds:.0f}", "남은 시간": tqdm.format_interval(left), **metrics}
        return metrics


class RunRecord(Callback):
    """What training leaves besides checkpoints: config and tokenizer, the record of the run, the plain exported folder.

    The record goes into ``last.ckpt`` too, and a run that is resumed continues it.
    """

    def __init__(self, args):
        self.args, self.folder = args, Path(args.downstream_model_dir)
        self.record, self.started = {}, None

    def state_dict(self):
        return {"record": self.record, "seconds": time.monotonic() - self.started}

    def load_state_dict(self, state):
        self.record, self.seconds = state["record"], state["seconds"]

    def on_train_start(self, trainer, module):
        if trainer.fast_dev_run:
            return
        dataset = trainer.train_dataloader.dataset
        check_same_model(self.folder, module.model, dataset.tokenizer)
        self._remove_unfinished()
        now = datetime.now(UTC).isoformat()
        versions = {"python": platform.python_version(), "torch": str(torch.__version__), "transformers": transformers.__version__,
                    "pytorch_lightning": pl.__version__}
        if self.record:
            if (versions, trainer.precision) != (self.record["versions"], self.record["precision"]):
                logger.warning("멈추기 전과 프로그램의 판이나 정밀도가 달라, 멈추지 않은 학습과 마지막 자리까지 같지는 않을 수 있습니다.")
            self.record.update(state="running", resumed=[*self.record.get("resumed", []), {"at": now, "step": trainer.global_step}])
            self.started = time.monotonic() - self.seconds
            logger.info("%s: %d걸음부터 이어서 합니다.", LAST, trainer.global_step)
        else:
            self.record = {
                "state": "running", "arguments": asdict(self.args), "seed": self.args.seed, "precision": trainer.precision,
                "versions": versions, "git_commit": git_commit(), "data_sha256": fingerprint(dataset.source),
                "tokens_sha256": tokens_sha256(dataset), "started": now, "epochs": [],
            }
            self.started = time.monotonic()
        with TemporaryDirectory(dir=self.folder, prefix=UNFINISHED) as temporary:  # so that earlier checkpoints keep whole ones
            module.model.config.save_pretrained(temporary)
            save_tokenizer(dataset.tokenizer, temporary)
            for file in Path(temporary).iterdir():
                os.replace(file, self.folder / file.name)
        self._write()

    def _remove_unfinished(self):
        """What a run that was killed left half written."""
        for folder in self.folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(folder)
        for file in self.folder.glob("*.tmp"):
            file.unlink()

    def on_train_epoch_end(self, trainer, module):  # Lightning has validated this epoch by now
        if self.record:
            losses = {name: round(float(value), 6) for name, value in trainer.callback_metrics.items()}
            self.record["epochs"].append({"epoch": trainer.current_epoch, "seconds": round(time.monotonic() - self.started, 1), **losses})
            self._write()

    def finish(self, trainer, module, tokenizer):
        """After training: not Lightning's ``on_train_end``, which is not called where a run is resumed at its very end."""
        best = trainer.checkpoint_callback.best_model_path
        if self.record and best:
            self._export(module.model, tokenizer, best)
            seconds = time.monotonic() - self.started if self.started else self.seconds
            self.record.update(state="finished", best_checkpoint=Path(best).name, seconds=round(seconds, 1))
            self._write()
            logger.info("가장 좋은 체크포인트: %s", best)
            lowest = best_checkpoint(self.folder).name
            if lowest != Path(best).name:
                logger.warning("이 폴더에는 val_loss가 더 낮은 예전 체크포인트 %s이(가) 있습니다. serve_gen은 그것을 씁니다.", lowest)

    def on_exception(self, trainer, module, exception):
        if self.record:
            interrupted = isinstance(exception, (KeyboardInterrupt, SystemExit))
            self.record["state"] = "interrupted" if interrupted else "failed"
            try:
                self._write()
            except OSError as error:  # the disk may be full, which is then the exception being told already
                logger.warning("기록을 저장하지 못했습니다: %s", error)
            if interrupted:
                last = self.folder / LAST
                kept = f"마지막 체크포인트: {last}. 이어서 하려면 같은 명령에 --resume을 붙이세요."
                print(f"중단했습니다. {kept if last.is_file() else '저장한 것은 없습니다.'}", file=sys.stderr)

    def _export(self, model, tokenizer, best):
        disable_progress_bar()
        state_dict = torch.load(best, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
        with TemporaryDirectory(dir=self.folder, prefix=UNFINISHED) as temporary:
            exported = Path(temporary) / EXPORT
            model.save_pretrained(exported, state_dict={name.removeprefix("model."): tensor for name, tensor in state_dict.items()})
            save_tokenizer(tokenizer, exported)
            shutil.rmtree(self.folder / EXPORT, ignore_errors=True)
            os.replace(exported, self.folder / EXPORT)

    def _write(self):
        with whole_file(self.folder / RECORD) as unfinished:
            unfinished.write_text(json.dumps(self.record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def fingerprint(source: Path) -> dict[str, str]:
    """SHA-256 of a data file, or of each ``.txt`` in a folder, by name: the first thing to compare when two runs differ."""
    hashes = {}
    for path in [source] if source.is_file() else sorted(source.rglob("*.txt")):
        with open(path, "rb") as file:
            hashes[path.name if path == source else str(path.relative_to(source))] = file_digest(file, "sha256").hexdigest()
    return hashes


def git_commit() -> str | None:
    """The commit of the repository that this code runs from, ``-dirty`` where files differ from it; None outside git."""
    if INSTALLED.is_dir():  # a repository around site-packages is another one
        return None
    try:
        described = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], cwd=Path(__file__).parent,
                                   capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def check_same_model(folder: Path, model, tokenizer) -> None:
    """Raises UserError where ``folder`` holds checkpoints of another model, which new config and tokenizer files would make unreadable."""
    if not (folder / "config.json").is_file() or not any(folder.glob("*.ckpt")):
        return
    there = AutoConfig.from_pretrained(folder)
    shape = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")
    same_shape = all(getattr(there, name) == getattr(model.config, name) for name in shape)
    if not same_shape or PreTrainedTokenizerFast.from_pretrained(folder).get_vocab() != tokenizer.get_vocab():
        raise UserError(f"{folder}에는 다른 모델의 체크포인트가 있습니다. --downstream_model_dir로 다른 폴더를 지정하세요.")
