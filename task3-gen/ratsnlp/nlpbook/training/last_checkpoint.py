"""``last.ckpt``: all that a run needs to go on."""

import signal
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping

from ..errors import UserError
from ..run_folder import RunFolder
from .checkpoint_io import check_weights
from .distributed import any_of_all
from .interrupt import Interrupt
from .random_state import random_state, set_random_state
from .record import RunRecord


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt``: weights, optimizer, schedule, place in the data, random states,
    and what the other callbacks keep.

    It does so every ``save_steps`` steps, after each epoch, and on a signal (:class:`~.interrupt.Interrupt`) at the end
    of the step under way; the script then ends as the signal has it. Lightning's own checkpoints know neither the
    random states nor the order of the data.
    """

    def __init__(self, args):
        self.args, self.folder = args, RunFolder(args.downstream_model_dir)
        self.interrupt = Interrupt()
        self.batches_done, self.random = 0, None

    def state_dict(self):
        return {"batches_done": self.batches_done, "random": random_state()}

    def load_state_dict(self, state):
        self.random = state["random"]

    @classmethod
    def place(cls, checkpoint: dict) -> tuple[int, int]:
        """The epoch that ``checkpoint`` goes on with, and how many of its batches are done."""
        batches_done = checkpoint["callbacks"][cls.__qualname__]["batches_done"]
        return checkpoint["epoch"] + (batches_done == 0), batches_done  # 0: it was written at the end of its epoch

    def on_train_start(self, trainer, module):
        self.step = trainer.global_step
        if self.random is not None:
            set_random_state(self.random)
        if any(isinstance(callback, EarlyStopping) and callback.stopped_epoch for callback in trainer.callbacks):
            trainer.should_stop = True  # it had, before the run was killed
        self.interrupt.watch(lambda: trainer.training)  # a validation is not waited for

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:  # gradients are being accumulated
            return
        self.step = trainer.global_step
        if any_of_all(self.interrupt.signal is not None, module.device) and self.interrupt.signal is None:
            self.interrupt.signal = signal.SIGTERM  # another process has it, and all save together
        due = self.args.save_steps and self.step % self.args.save_steps == 0
        # else soon, after the epoch's validation
        if (due or self.interrupt.signal) and batch_idx + 1 < trainer.num_training_batches:
            self._save(trainer, module, batch_idx + 1)

    def on_train_epoch_end(self, trainer, module):
        self._save(trainer, module, 0)

    def _save(self, trainer, module, batches_done):
        if trainer.fast_dev_run:
            return
        check_weights(module)
        self.batches_done = batches_done
        trainer.save_checkpoint(self.folder.last)
        self.interrupt.leave()

    def teardown(self, trainer, module, stage):
        self.interrupt.release()


@dataclass(frozen=True)
class Progress:
    """What ``last.ckpt`` tells of a run: its record, the epoch that it goes on with,
    how many of its batches are done."""

    record: dict
    epoch: int
    batches_done: int


def read_progress(file: Path) -> Progress:
    """What a :class:`LastCheckpoint` wrote at ``file``, which is let go again: Windows replaces no file that is mapped.

    Raises:
        UserError: the file is broken, or was written by something else.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return Progress(RunRecord.kept_in(checkpoint), *LastCheckpoint.place(checkpoint))
    except (UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: 이어서 할 수 있는 체크포인트가 아니거나 깨졌습니다. "
            "지우고 다시 실행하면 처음부터 학습합니다.") from error
