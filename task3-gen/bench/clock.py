"""The time that a training takes, and the evaluation of what it has learnt."""

import time
from pathlib import Path

from ratsnlp.nlpbook.generation import NsmcCorpus, bits_per_character

import pytorch_lightning as pl

from .machine import synchronize

CHECKS = 20  # how often the headline's run is judged on its way


class Watch(pl.Callback):
    """Seconds that the training batches took, without validation and checkpoints.

    With a ``target``, ``judge`` is asked before training and ``CHECKS`` times on the way, off the clock, and training
    stops when it is reached.
    """

    def __init__(self, judge=None, target=None):
        self.judge, self.target, self.seconds, self.way = judge, target, 0.0, []

    def on_train_epoch_start(self, trainer, module):
        if self.target is not None:
            self.way.append({"seconds": 0.0, "reviews": 0, "bits": self.judge(module.model)})
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        check = self.target is not None and (batch_idx + 1) % max(trainer.num_training_batches // CHECKS, 1) == 0
        if check or batch_idx + 1 == trainer.num_training_batches:
            synchronize()
            self.seconds += time.perf_counter() - self.started
        if check:
            reviews = (batch_idx + 1) * len(batch["input_ids"])
            self.way.append({"seconds": self.seconds, "reviews": reviews, "bits": self.judge(module.model)})
            trainer.should_stop = self.way[-1]["bits"] <= self.target
            self.started = time.perf_counter()


def make_judge(root: str, tokenizer):
    """A function of a model: its bits per character on the held-out reviews.

    In float32, without dropout, nothing cut off.
    """
    test = NsmcCorpus().get_examples(Path(root) / "corpus", "test")

    return lambda model: bits_per_character(model, tokenizer, test)["bits_per_char"]
