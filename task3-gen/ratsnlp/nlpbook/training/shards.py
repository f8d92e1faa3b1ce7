"""A model of which each process has its part of every weight, gradient and moment, and a layer whole only while it
computes it (FSDP2); its parts (PyTorch's DTensor) and what they are parts of.

Source: Rajbhandari et al. (2020), "ZeRO: Memory optimizations toward training trillion parameter models", section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._pytree import tree_map_only

from .layers import blocks_of


def shard(task) -> None:
    """Leave of each parameter of a Lightning ``task`` this process's part, where its strategy has given it a mesh of
    devices: the layers of its model come together one by one, the rest, tied weights among it, at once."""
    if task.device_mesh is None or is_sharded(task):
        return
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for module in (*blocks_of(task.model), task):
        fully_shard(module, mesh=task.device_mesh["data_parallel"])
    for name in ("training_step", "validation_step"):  # which use the output embedding without the model's forward
        register_fsdp_forward_method(task, name)


def is_sharded(module: torch.nn.Module) -> bool:
    """Whether processes have parts of the parameters of ``module``."""
    return any(_is_part(parameter) for parameter in module.parameters())


def _is_part(tensor: torch.Tensor | None) -> bool:
    return hasattr(tensor, "full_tensor")  # DTensor, whose import takes longer than that of torch


@contextmanager
def ready_to_write(task) -> Iterator[None]:
    """While it lasts, the model of a Lightning ``task`` may be called outside of a step: where it is sharded, by all
    processes with the same inputs."""
    if not is_sharded(task):
        yield
        return
    task.unshard()
    try:
        yield
    finally:
        task.reshard()


def part_of(tensor: torch.Tensor) -> torch.Tensor:
    """What this process has of ``tensor``."""
    return tensor.to_local() if _is_part(tensor) else tensor


def whole_of(tensor: torch.Tensor) -> torch.Tensor:
    """All of ``tensor``, for which all processes have to ask."""
    return tensor.full_tensor() if _is_part(tensor) else tensor


@torch.no_grad()
def gathered(tree):
    """``tree`` (dicts, lists) with the parts of each tensor together, on the CPU, in the first process; the others,
    which have to ask too, get None in their place."""
    seen = {}

    def gather(tensor: torch.Tensor) -> torch.Tensor | None:
        if not _is_part(tensor):
            return tensor.detach()
        if id(tensor) not in seen:  # tied ones stay so
            whole = tensor.full_tensor()
            seen[id(tensor)] = whole.cpu() if torch.distributed.get_rank() == 0 else None
        return seen[id(tensor)]

    return tree_map_only(torch.Tensor, gather, tree)


def part_like(there: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of the whole ``tensor``; all of it, where ``there`` is no part of one as large."""
    if not _is_part(there) or there.shape != tensor.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, there.device_mesh, there.placements, src_data_rank=None)


def parts_like(there: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """:func:`part_like` for each of ``tensors`` and the one of the same name."""
    return {name: part_like(there.get(name), tensor) for name, tensor in tensors.items()}
