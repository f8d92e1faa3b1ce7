"""What makes a training take less memory: activations computed again, frozen matrices in half precision."""

import torch
from pytorch_lightning.callbacks import Callback

from ..errors import UserError
from .precision import half_dtype


class GradientCheckpointing(Callback):
    """Keeps the inputs of each layer alone, and computes what is within it once more in the backward pass.

    Source: Chen et al. (2016), "Training deep nets with sublinear memory cost".
    """

    def on_fit_start(self, trainer, module):
        try:
            module.model.gradient_checkpointing_enable()
        except ValueError as error:
            raise UserError(
                f"gradient_checkpointing: 이 모델({module.model.config.model_type})은 활성값을 다시 계산하지 못합니다. "
                "--gradient_checkpointing 없이 학습하세요.") from error

    def on_fit_end(self, trainer, module):
        module.model.gradient_checkpointing_disable()

    def on_exception(self, trainer, module, exception):
        module.model.gradient_checkpointing_disable()


class HalfBase(Callback):
    """Keeps the matrices that LoRA leaves frozen in the dtype to which autocast takes them in each step anyway: half
    the memory, the same numbers. They are float32 again at the end, as rounded as they were in training."""

    def setup(self, trainer, module, stage):  # before the model goes to the GPU
        self._convert(module.model, half_dtype(trainer.precision))

    def teardown(self, trainer, module, stage):
        self._convert(module.model, half_dtype(trainer.precision) and torch.float32)

    def _convert(self, model, dtype: torch.dtype | None) -> None:
        for module in model.modules() if dtype else ():
            frozen = getattr(module, "base_layer", None)
            if hasattr(module, "lora_A") and frozen.weight.is_floating_point():  # 4 bits are integers
                frozen.to(dtype)
