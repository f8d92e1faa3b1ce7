"""Trains with layers that compute the same in less time."""

from pytorch_lightning.callbacks import Callback

from .layers import BYTE_EAGER, keep_freed_memory, use_byte_eager, use_fast_layers


class FastLayers(Callback):
    """Trains with fast layers, and gives the model its own back at the end.

    On a CPU also with :func:`byte_eager_attention` up to a ``width`` of 256 tokens:
    up to there PyTorch's fused attention takes it longer than its parts one by one.
    """

    def __init__(self, width: int):
        self.width, self.replaced, self.attention = width, [], None

    def on_fit_start(self, trainer, module):
        model = module.model
        self.replaced, self.attention = use_fast_layers(model), model.config._attn_implementation
        if module.device.type == "cpu":
            keep_freed_memory()
            if self.width <= 256 and not model.config.is_encoder_decoder:
                use_byte_eager(model)

    def on_fit_end(self, trainer, module):
        self._give_back(module.model)

    def on_exception(self, trainer, module, exception):
        self._give_back(module.model)

    def _give_back(self, model):
        for parent, name, layer in self.replaced:
            setattr(parent, name, layer.train(parent.training))
        if model.config._attn_implementation == BYTE_EAGER:
            model.set_attn_implementation(self.attention)
        self.replaced = []
