"""What is watched while a model learns: whether the loss is sane, its curve, and what the model writes by now."""

import logging
import math
import sys
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from .errors import UserError
from .generation.decoding import readable
from .generation.models import max_positions
from .utils import whole_file

logger = logging.getLogger("ratsnlp")

WINDOW = 50  # steps over which the loss is averaged to tell a spike from the noise of small batches
SPIKE = 2.0  # nats above the lowest such average: seven times as perplexed as it was
CURVE = "loss.png"


class LossWatch(Callback):
    """Stops a run whose loss is NaN or has soared, and draws the curve of the losses (``loss.png``) after each epoch.

    A loss has soared when its average over ``WINDOW`` steps is ``SPIKE`` nats above the lowest that it has been, or one nat above
    that of guessing. It looks every ``logging_steps`` steps: to read a loss is to wait for the GPU.
    """

    def __init__(self, args):
        self.args, self.folder = args, Path(args.downstream_model_dir)
        self.pending, self.steps, self.average, self.lowest = [], 0, 0.0, None
        self.curve = {"loss": [], "val_loss": []}  # (step, nats)

    def state_dict(self):
        names = ("steps", "average", "lowest", "curve")
        return {"pending": [float(loss) for loss in self.pending], **{name: getattr(self, name) for name in names}}

    def load_state_dict(self, state):
        self.__dict__.update(state)

    def on_train_start(self, trainer, module):
        self.step = trainer.global_step
        if self.lowest is None:
            self.lowest = math.log(module.model.get_input_embeddings().num_embeddings) + 1 - SPIKE

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
        if not trainer.fast_dev_run:
            draw(self.curve, self.folder / CURVE)

    def _look(self):
        if not self.pending:
            return
        losses = [float(loss) for loss in self.pending]
        self.pending = []
        self.curve["loss"].append((self.step, sum(losses) / len(losses)))
        for loss in losses:
            self.steps += 1
            self.average += (loss - self.average) / min(self.steps, WINDOW)
            if not math.isfinite(loss) or self.average > self.lowest + SPIKE:
                raise UserError(
                    f"loss가 {loss:.2f}(으)로 튀어 {self.step}걸음에서 학습을 멈췄습니다. 앞서 저장한 체크포인트는 그대로 있습니다. "
                    f"learning_rate({self.args.learning_rate})를 절반 이하로 줄이거나 warmup_ratio를 늘려 다시 학습하세요.")
            if self.steps >= 20:
                self.lowest = min(self.lowest, self.average)


def draw(curve: dict[str, list[tuple[int, float]]], file: Path) -> None:
    """Draw losses over steps as a PNG, whole or not at all; where matplotlib is not installed the log says so instead."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        logger.info("matplotlib이 없어 %s는 그리지 않습니다.", file.name)
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for (name, points), style in zip(curve.items(), ("-", "o-"), strict=True):
        if points:
            axes.plot(*zip(*points, strict=True), style, label=name, linewidth=1)
    axes.set(xlabel="step", ylabel="nats per token")
    axes.grid(alpha=0.3)
    axes.legend()
    with whole_file(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)


class SampleTexts(Callback):
    """Lets the model write on from fixed prompts after each epoch, in the log and in TensorBoard: one sees it learn.

    Always with the same seed, and without touching the random state that training draws from.
    """

    LENGTH = 40  # tokens

    def on_train_epoch_end(self, trainer, module):
        dataset = trainer.train_dataloader.dataset
        if trainer.fast_dev_run:
            return
        texts = [sample(module.model, dataset.tokenizer, prompt, self.LENGTH) for prompt in dataset.prompts[:4]]
        print(file=sys.stderr)  # not behind the progress bar
        for text in texts:
            logger.info("에폭 %d의 모델이 쓴 글: %s", trainer.current_epoch + 1, text)
        for each in trainer.loggers:
            if isinstance(each, TensorBoardLogger):
                each.experiment.add_text("samples", "\n\n".join(texts), trainer.global_step)


@torch.no_grad()
def sample(model, tokenizer, prompt: str, length: int, seed: int = 7) -> str:
    """``prompt`` and up to ``length`` tokens that ``model`` writes after it; a text of its own after eos where ``prompt`` is empty."""
    ids = tokenizer.encode(prompt) or [tokenizer.eos_token_id]
    length = min(length, (max_positions(model.config) or math.inf) - len(ids))
    training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        model.eval()
        written = model.generate(
            torch.tensor([ids], device=model.device), attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=model.device),
            do_sample=True, top_p=0.92, max_new_tokens=length)
        model.train(training)
    return readable(tokenizer, written[0])
