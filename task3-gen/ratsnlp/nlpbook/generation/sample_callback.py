"""Texts that the model writes after each epoch."""

from pytorch_lightning.callbacks import Callback

from ..training.samples import show_samples
from .samples import sample_texts


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
        show_samples(trainer, f"에폭 {trainer.current_epoch + 1}의 모델이 쓴 텍스트", texts)
