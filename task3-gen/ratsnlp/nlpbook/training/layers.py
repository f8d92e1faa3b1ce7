"""What computes the same as GPT-2's layers do, in less time."""

import ctypes
import sys

import torch
import torch.nn.functional as F


def byte_dropout(states: torch.Tensor, p: float) -> torch.Tensor:
    """Dropout that draws one byte for an element: a CPU draws its random numbers one after another,
    here an eighth as many of them.

    ``p`` is rounded to a multiple of 1/256.
    """
    threshold = round(p * 256)
    if not 0 < threshold < 256 or states.device.type != "cpu":
        return F.dropout(states, p)
    words = torch.empty(-(-states.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    keep = torch.empty(states.shape, dtype=states.dtype)
    # 1 or 0, in the dtype of the states
    torch.ge(words.view(torch.uint8)[: states.numel()].view(states.shape), threshold, out=keep)
    return states * keep.mul_(256 / (256 - threshold))


class ByteDropout(torch.nn.Dropout):
    """:func:`byte_dropout` as a layer."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return byte_dropout(states, self.p) if self.training else states


def byte_eager_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    """The eager attention of transformers with :func:`byte_dropout`, scores scaled and masked in the product itself.

    Shapes: query (batch, heads, width, head width), key and value too, but of fewer heads where several queries share
    one (Llama), attention_mask (batch or 1, 1, width, width).
    """
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1)
    shape = (*query.shape[:3], key.shape[2])
    # By bfloat16's lowest, to which autocast may take it: float32's would become -inf there,
    # and a row that sees nothing NaN.
    bias = attention_mask.clamp(min=torch.finfo(torch.bfloat16).min).to(query.dtype).expand(shape).flatten(0, 1)
    scores = torch.baddbmm(bias, query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), alpha=scaling).view(shape)
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    if module.training:
        weights = byte_dropout(weights, dropout)
    return (weights @ value).transpose(1, 2), weights


BYTE_EAGER = "byte_eager"  # its name for model.set_attn_implementation


def use_byte_eager(model) -> None:
    """Let ``model`` attend by :func:`byte_eager_attention` where that is known to be its own attention:
    others add caps or sinks."""
    from transformers import AttentionInterface, AttentionMaskInterface

    if model.config.model_type in ("gpt2", "gpt_neox", "opt", "phi", "llama", "qwen2", "qwen3"):
        AttentionInterface.register(BYTE_EAGER, byte_eager_attention)
        AttentionMaskInterface.register(BYTE_EAGER, AttentionMaskInterface()["eager"])
        model.set_attn_implementation(BYTE_EAGER)


def blocks_of(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of ``model`` that follow one another, each of attention and feed-forward: what transformers may
    compute again in a backward pass."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def use_fast_layers(model: torch.nn.Module) -> list[tuple[torch.nn.Module, str, torch.nn.Module]]:
    """Give ``model`` :class:`ByteDropout`, and PyTorch's GELU in one pass where GPT-2's ``gelu_new``
    is written out in seven.

    Returns what was there: parents, names, layers.
    """
    from transformers.activations import NewGELUActivation

    replaced = []
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                faster = torch.nn.GELU(approximate="tanh")
            elif type(child) is torch.nn.Dropout:
                faster = ByteDropout(child.p).train(child.training)
            else:
                continue
            replaced.append((module, name, child))
            setattr(module, name, faster)
    return replaced


def keep_freed_memory() -> None:
    """Let this process keep what it frees: glibc else gives tensors back to Linux and gets them
    again, zeroed, in each step.

    Source: ``man 3 mallopt``: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD at its maximum. Nothing happens elsewhere.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(-1, 2**30)
        mallopt(-3, 2**25)
