"""Texts that a model has written during training, where people see them."""

import logging

from pytorch_lightning.loggers import TensorBoardLogger

logger = logging.getLogger("ratsnlp")


def show_samples(trainer, told: str, texts: list[str]) -> None:
    """Log each of ``texts`` behind what is ``told`` of it, and put all of them into TensorBoard."""
    for text in texts:
        logger.info("%s: %s", told, text)
    for each in trainer.loggers:
        if isinstance(each, TensorBoardLogger):
            each.experiment.add_text("samples", "\n\n".join(texts), trainer.global_step)
