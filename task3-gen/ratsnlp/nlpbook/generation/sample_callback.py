"""Texts that the model writes after each epoch."""

from pytorch_lightning.callbacks import Callback

from ..training.samples import show_samples
from ..training.shards import ready_to_write
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
        with ready_to_write(module), trainer.precision_plugin.forward_context():
            samples = [
                sample_texts(module.model, dataset.tokenizer, prompt, 1, self.SEED, max_new_tokens=self.LENGTH)[0]
                for prompt in dataset.prompts[: self.PROMPTS]]
        texts = [sample.with_prompt for sample in samples]
        if hasattr(dataset, "questions"):  # whose prompts are long, and full of marks
            texts = [f"{_short(question)} → {_short(sample.text)}"
                     for question, sample in zip(dataset.questions, samples, strict=False)]
        show_samples(trainer, f"에폭 {trainer.current_epoch + 1}의 모델이 쓴 텍스트", texts)


def _short(text: str) -> str:
    return " ".join(text.split())[:100]
