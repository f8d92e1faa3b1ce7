"""Lightning's strategy for a model of which each process has a part."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch.utils._pytree import tree_map_only

from .adapters import has_adapter
from .shards import gathered, part_like, parts_like


class ShardedStrategy(ModelParallelStrategy):
    """Lightning's, whose checkpoints are single files as any other's: the same keys, whole tensors, tied ones once.
    So a run may go on with it that began without it, or the other way round, and in another number of processes."""

    # What ModelParallelStrategy does about files is passed over for what Lightning's other strategies do.
    lightning_restore_optimizer = True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Of a model with an adapter, what learns alone."""
        module = self.lightning_module
        every = not has_adapter(module.model)
        return gathered({name: tensor for name, tensor in module.state_dict(keep_vars=True).items()
                         if every or tensor.requires_grad})

    def optimizer_state(self, optimizer) -> dict[str, Any]:
        return gathered(super(ModelParallelStrategy, self).optimizer_state(optimizer))

    def load_checkpoint(self, checkpoint_path, weights_only=None) -> dict[str, Any]:
        """The file is mapped, so that each process reads its parts of it alone; what is small is copied, and no tensor
        keeps the file from being replaced."""
        checkpoint = torch.load(
            Path(self.broadcast(checkpoint_path)), map_location="cpu", weights_only=weights_only, mmap=True)
        return {name: value if name in ("state_dict", "optimizer_states") else tree_map_only(
            torch.Tensor, torch.clone, value) for name, value in checkpoint.items()}

    def load_model_state_dict(self, checkpoint, strict=True) -> None:
        module = self.lightning_module
        module.load_state_dict(parts_like(module.state_dict(), checkpoint["state_dict"]), strict=strict)

    def load_optimizer_state_dict(self, checkpoint) -> None:
        states = [_parts_of_state(*pair) for pair in zip(self.optimizers, checkpoint["optimizer_states"], strict=True)]
        super(ModelParallelStrategy, self).load_optimizer_state_dict({"optimizer_states": states})


def _parts_of_state(optimizer: torch.optim.Optimizer, state: dict) -> dict:
    """The ``state`` of an optimizer with copies of this process's parts of the whole moments in it."""
    if "parts" in state:  # MuonAdamW's
        return {"parts": [_parts_of_state(*pair) for pair in zip(optimizer.parts, state["parts"], strict=True)]}
    numbers, parameters = ([each for group in groups for each in group["params"]]
                           for groups in (state["param_groups"], optimizer.param_groups))
    there = dict(zip(numbers, parameters, strict=True))
    moments = {number: {name: part_like(there[number], value).clone() for name, value in values.items()}
               for number, values in state["state"].items()}
    return {**state, "state": moments}
