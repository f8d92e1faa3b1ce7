"""The record of a run, ``train_record.json``: settings, seed, versions, commit, data, seconds, losses."""

import logging
import platform
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytorch_lightning as pl
import torch
import transformers
from pytorch_lightning.callbacks import Callback

from ..run_folder import RunFolder
from .fingerprints import files_sha256, git_commit, tokens_sha256

logger = logging.getLogger("ratsnlp")


class RunRecord(Callback):
    """Keeps the record up to date. It goes into ``last.ckpt`` too, and a run that is resumed continues it."""

    def __init__(self, args):
        self.args, self.folder = args, RunFolder(args.downstream_model_dir)
        self.record, self.seconds, self.started = {}, 0.0, None

    def state_dict(self):
        return {"record": self.record, "seconds": self._elapsed()}

    def load_state_dict(self, state):
        self.record, self.seconds = state["record"], state["seconds"]

    @classmethod
    def kept_in(cls, checkpoint: dict) -> dict:
        """The record as it stands in a checkpoint."""
        return checkpoint["callbacks"][cls.__qualname__]["record"]

    def on_train_start(self, trainer, module):
        if trainer.fast_dev_run:
            return
        self.started = time.monotonic()
        now = datetime.now(UTC).isoformat()
        versions = {
            "python": platform.python_version(), "torch": str(torch.__version__),
            "transformers": transformers.__version__, "pytorch_lightning": pl.__version__}
        if self.record:
            if (versions, trainer.precision) != (self.record["versions"], self.record["precision"]):
                logger.warning(
                    "중단하기 전과 프로그램의 버전이나 정밀도가 달라, "
                    "중단하지 않은 학습과 결과가 마지막 자리까지 같지는 않을 수 있습니다.")
            self.record.update(
                state="running",
                resumed=[*self.record.get("resumed", []), {"at": now, "step": trainer.global_step}])
            logger.info("%s: %d스텝부터 이어서 합니다.", self.folder.last.name, trainer.global_step)
        else:
            dataset = trainer.train_dataloader.dataset
            self.record = {
                "state": "running", "arguments": asdict(self.args), "seed": self.args.seed,
                "precision": trainer.precision, "versions": versions, "git_commit": git_commit(),
                "data_sha256": files_sha256(dataset.source), "tokens_sha256": tokens_sha256(dataset), "started": now,
                "epochs": [],
            }
        self._write(trainer)

    def on_train_epoch_end(self, trainer, module):  # Lightning has validated this epoch by now
        if self.record:
            losses = {name: round(float(value), 6) for name, value in trainer.callback_metrics.items()}
            self.record["epochs"].append(
                {"epoch": trainer.current_epoch, "seconds": round(self._elapsed(), 1), **losses})
            self._write(trainer)

    def finish(self, best: Path):
        """After training: not Lightning's ``on_train_end``, which is not called where a run is
        resumed at its very end."""
        self.record.update(state="finished", best_checkpoint=best.name, seconds=round(self._elapsed(), 1))
        self.folder.write_record(self.record)
        logger.info("가장 좋은 체크포인트: %s", best)
        lowest = self.folder.best_checkpoint().name
        if lowest != best.name:
            logger.warning(
                "이 폴더에는 값이 더 좋은 예전 체크포인트가 있어, 다른 스크립트는 그것을 씁니다: %s. "
                "이번 것을 쓰려면 그 파일을 지우거나, 다른 --downstream_model_dir에 학습하세요.", lowest)

    def on_exception(self, trainer, module, exception):
        if not self.record:
            return
        interrupted = isinstance(exception, (KeyboardInterrupt, SystemExit))
        self.record["state"] = "interrupted" if interrupted else "failed"
        try:
            self._write(trainer)
        except OSError as error:  # the disk may be full, which is then the exception being told already
            logger.warning("기록을 저장하지 못했습니다: %s", error)
        if interrupted and trainer.is_global_zero:
            kept = f"마지막 체크포인트: {self.folder.last}. 이어서 하려면 같은 명령에 --resume을 붙이세요."
            print(f"중단했습니다. {kept if self.folder.last.is_file() else '저장한 것은 없습니다.'}", file=sys.stderr)

    def _write(self, trainer) -> None:
        if trainer.is_global_zero:
            self.folder.write_record(self.record)

    def _elapsed(self) -> float:
        """Seconds of training, of this process and of those that it goes on with."""
        return self.seconds + (time.monotonic() - self.started if self.started else 0.0)
