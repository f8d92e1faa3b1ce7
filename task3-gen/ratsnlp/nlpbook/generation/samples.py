"""What the model writes by now: samples after each epoch."""

import logging
import math
import sys

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from ..pretrained import max_positions
from .decoding import readable

logger = logging.getLogger("ratsnlp")


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
