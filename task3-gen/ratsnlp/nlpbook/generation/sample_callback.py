"""Texts that the model writes after each epoch."""

import logging

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from .samples import sample_texts

logger = logging.getLogger("ratsnlp")


class SampleTexts(Callback):
    """Lets the model continue the data's prompts after each epoch, in the log and in TensorBoard, so that one sees it
    learn.

    Always with the same seed, and without touching the random state that training draws from.
    """

    PROMPTS, LENGTH, SEED = 4, 40, 7  # LENGTH in tokens

    def on_train_epoch_end(self, trainer, module):
        if trainer.fast_dev_run:
            return
        dataset = trainer.train_dataloader.dataset
        with trainer.precision_plugin.forward_context():
            texts = [
                sample_texts(
                    module.model, dataset.tokenizer, prompt, 1, self.SEED, max_new_tokens=self.LENGTH)[0].with_prompt
                for prompt in dataset.prompts[: self.PROMPTS]]
        for text in texts:
            logger.info("에폭 %d의 모델이 쓴 텍스트: %s", trainer.current_epoch + 1, text)
        for each in trainer.loggers:
            if isinstance(each, TensorBoardLogger):
                each.experiment.add_text("samples", "\n\n".join(texts), trainer.global_step)
