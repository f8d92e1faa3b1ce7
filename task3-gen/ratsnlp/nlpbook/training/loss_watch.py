"""The losses of a run, step by step: whether they are sane, and the curve that they make."""

import math

from pytorch_lightning.callbacks import Callback

from ..errors import UserError
from ..run_folder import RunFolder
from .adapters import unwrapped
from .loss_curve import draw_losses

WINDOW = 50  # steps over which the loss is averaged to tell a spike from the noise of small batches
SPIKE = 2.0  # nats above the lowest such average: seven times as perplexed as it was


class LossGuard:
    """Raises where a loss is NaN or has soared: its average over ``WINDOW`` steps is ``SPIKE`` nats above the lowest
    that it has been, or one nat above that of guessing among ``classes``; where the run began higher than that,
    ``SPIKE`` nats above its start."""

    def __init__(self, classes: int, learning_rate: float):
        self.learning_rate = learning_rate
        self.count, self.average, self.lowest = 0, 0.0, math.log(classes) + 1 - SPIKE

    def state_dict(self) -> dict:
        return {"count": self.count, "average": self.average, "lowest": self.lowest}

    def load_state_dict(self, state: dict) -> None:
        self.count, self.average, self.lowest = state["count"], state["average"], state["lowest"]

    def see(self, loss: float, step: int) -> None:
        """Raises UserError, which says what to change, where ``loss`` (nats) of ``step`` is not sane."""
        self.count += 1
        if self.count == 1 and math.isfinite(loss):  # a model may know less than nothing of a text: that is no spike
            self.lowest = max(self.lowest, loss)
        self.average += (loss - self.average) / min(self.count, WINDOW)
        if not math.isfinite(loss) or self.average > self.lowest + SPIKE:
            raise UserError(
                f"{step}스텝에서 학습을 멈췄습니다: loss가 {loss:.2f}까지 치솟았습니다. "
                "앞서 저장한 체크포인트는 그대로 있습니다. "
                f"learning_rate({self.learning_rate})를 절반 이하로 줄이거나 warmup_ratio를 늘려 다시 학습하세요.")
        if self.count >= 20:
            self.lowest = min(self.lowest, self.average)


class LossWatch(Callback):
    """Hands the losses to a :class:`LossGuard`, and draws their curve (``loss.png``) after each epoch.

    It looks every ``logging_steps`` steps: to read a loss is to wait for the GPU.
    """

    def __init__(self, args):
        self.args, self.folder = args, RunFolder(args.downstream_model_dir)
        self.guard, self.guard_state = None, None
        self.pending = []
        self.curve = {"loss": [], "val_loss": []}  # (step, nats)

    def state_dict(self):
        return {
            "pending": [float(loss) for loss in self.pending], "guard": self.guard.state_dict(), "curve": self.curve}

    def load_state_dict(self, state):
        self.pending, self.guard_state, self.curve = state["pending"], state["guard"], state["curve"]

    def on_train_start(self, trainer, module):
        self.step = trainer.global_step
        self.guard = LossGuard(unwrapped(module.model.get_input_embeddings()).num_embeddings, self.args.learning_rate)
        if self.guard_state:
            self.guard.load_state_dict(self.guard_state)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.pending.append(trainer.callback_metrics["loss"])
        self.step = trainer.global_step
        if (batch_idx + 1) % self.args.logging_steps == 0:
            self._look()

    def on_validation_start(self, trainer, module):
        self._look()

    def on_train_epoch_end(self, trainer, module):
        if "val_loss" in trainer.callback_metrics:
            self.curve["val_loss"].append((self.step, float(trainer.callback_metrics["val_loss"])))
        if not trainer.fast_dev_run and trainer.is_global_zero:
            draw_losses(self.curve, self.folder.curve)

    def _look(self):
        losses = [float(loss) for loss in self.pending]
        self.pending = []
        if losses:
            self.curve["loss"].append((self.step, sum(losses) / len(losses)))
        for loss in losses:
            self.guard.see(loss, self.step)
