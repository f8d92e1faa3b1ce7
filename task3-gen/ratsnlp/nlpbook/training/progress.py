"""The progress of training: a bar in a terminal or a notebook, elsewhere lines in the log."""

import logging
import sys
import time

from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from ..display import shows_bars

logger = logging.getLogger("ratsnlp")


class ProgressBar(TQDMProgressBar):
    """Lightning's bar in Korean, with samples a second and the time that the whole run will still take.

    Epochs count from 1. Each has a bar of its own, which is closed before the log tells of the epoch. Where standard
    output shows no bars, the log has a line at the end of each epoch, and one after each tenth of it, unless the last
    line is younger than ``LINE_SECONDS``.
    """

    BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}"  # short: what counts has to fit a terminal of 80 columns
    LINE_SECONDS = 10
    sanity_check_description, validation_description = "학습 전 점검", "검증"

    def __init__(self):
        super().__init__(refresh_rate=1 if sys.stdout.isatty() else 50)
        if not shows_bars(sys.stdout):
            self.disable()

    @property
    def train_description(self):
        return f"에폭 {self.trainer.current_epoch + 1}/{self.trainer.max_epochs}"

    def on_train_start(self, trainer, module):
        self.train_progress_bar = Tqdm(disable=True)
        self._started = self._last_line = time.monotonic()
        self._samples, self._first_step = 0, trainer.global_step

    def on_train_epoch_start(self, trainer, module):
        """No bar yet: Lightning does not come here where a run is resumed within an epoch."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if self.is_enabled and self.train_progress_bar.disable:  # there was none, or the last epoch's, which is closed
            self.train_progress_bar = self.init_train_tqdm()
            self.train_progress_bar.reset(self.total_train_batches)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._samples += len(batch["input_ids"]) * trainer.world_size
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
        done, total = batch_idx + 1, self.total_train_batches
        due = done * 10 // total > batch_idx * 10 // total and time.monotonic() - self._last_line >= self.LINE_SECONDS
        if self.is_disabled and due and done < total:
            self._log_line(done, total)

    def on_train_epoch_end(self, trainer, module):
        super().on_train_epoch_end(trainer, module)
        self.train_progress_bar.close()
        if self.is_disabled:
            self._log_line(self.total_train_batches, self.total_train_batches)

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        if self.has_dataloader_changed(dataloader_idx):
            self.val_progress_bar.reset(self.total_val_batches_current_dataloader)

    def on_exception(self, trainer, module, exception):
        for bar in (self._val_progress_bar, self._train_progress_bar):
            if bar is not None:
                bar.close()  # what is told next begins on a line of its own

    def get_metrics(self, trainer, module):
        metrics = {
            name: f"{value:.2f}" for name, value in super().get_metrics(trainer, module).items() if name != "v_num"}
        if trainer.training and self._samples:
            seconds = time.monotonic() - self._started
            steps = trainer.global_step - self._first_step
            left = seconds / steps * (trainer.estimated_stepping_batches - trainer.global_step) if steps else 0
            metrics = {
                "samples/s": f"{self._samples / seconds:.0f}", "남은 시간": Tqdm.format_interval(left), **metrics}
        return metrics

    def _log_line(self, done: int, total: int) -> None:
        self._last_line = time.monotonic()
        metrics = self.get_metrics(self.trainer, self.trainer.lightning_module)
        logger.info("%s: %d%%(%d/%d), %s", self.train_description, 100 * done // total, done, total,
                    ", ".join(f"{name}={value}" for name, value in metrics.items()))
