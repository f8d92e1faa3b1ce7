"""What computes the same as GPT-2's layers do, in less time."""

import ctypes
import sys

import torch
from transformers.activations import NewGELUActivation


class ByteDropout(torch.nn.Dropout):
    """Dropout that draws one byte for an element: a CPU draws its random numbers one after another, here an eighth as many of them.

    ``p`` is rounded to a multiple of 1/256. Elsewhere than on a CPU, and outside of training, it is ``torch.nn.Dropout``.
    """

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        threshold = round(self.p * 256)
        if not self.training or not 0 < threshold < 256 or states.device.type != "cpu":
            return super().forward(states)
        words = torch.empty(-(-states.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        keep = words.view(torch.uint8)[: states.numel()].view(states.shape) >= threshold
        return states * (keep * (256 / (256 - threshold))).to(states.dtype)


def use_fast_layers(model: torch.nn.Module) -> torch.nn.Module:
    """``model`` with :class:`ByteDropout`, and with PyTorch's GELU in one pass where GPT-2's ``gelu_new`` is written out in seven."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))
            elif type(child) is torch.nn.Dropout:
                setattr(module, name, ByteDropout(child.p).train(child.training))
    return model


def keep_freed_memory() -> None:
    """Let this process keep what it frees: glibc else gives tensors back to Linux and gets them again, zeroed, in each step.

    Source: ``man 3 mallopt``: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD at its maximum. Nothing happens elsewhere.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(-1, 2**30)
        mallopt(-3, 2**25)
