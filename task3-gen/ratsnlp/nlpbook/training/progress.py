"""The progress bar of training."""

import sys
import time

from pytorch_lightning.callbacks import TQDMProgressBar
from tqdm import tqdm


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
        metrics = {
            name: f"{value:.2f}" for name, value in super().get_metrics(trainer, module).items() if name != "v_num"}
        if trainer.training and self._samples:
            seconds = time.monotonic() - self._started
            steps = trainer.global_step - self._first_step
            left = seconds / steps * (trainer.estimated_stepping_batches - trainer.global_step) if steps else 0
            metrics = {
                "samples/s": f"{self._samples / seconds:.0f}", "남은 시간": tqdm.format_interval(left), **metrics}
        return metrics
