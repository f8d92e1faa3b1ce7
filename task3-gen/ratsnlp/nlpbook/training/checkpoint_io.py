"""Checkpoints that are whole or not there, and never hold weights that are no numbers."""

import os
from pathlib import Path

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ..errors import UserError, is_no_space, no_space_message
from ..files import whole_file
from .distributed import any_of_all
from .shards import is_sharded, part_of


class WholeFileCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all: into a temporary file beside it, which then takes its name."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(path) as unfinished, open(unfinished, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch.save turns a failed write into a RuntimeError
            if is_no_space(error) or is_no_space(error.__context__):
                raise UserError(no_space_message(path)) from error
            raise


def check_weights(module: torch.nn.Module) -> None:
    """Raises UserError where a weight is not a number any more: such weights are never written over good ones. Where
    processes have parts of them, all have to ask."""
    trained = (part_of(parameter) for parameter in module.parameters() if parameter.requires_grad)
    broken = not all(bool(torch.isfinite(weights).all()) for weights in trained)
    if any_of_all(broken, module.device) if is_sharded(module) else broken:
        raise UserError("가중치에 NaN이나 무한대가 생겨 학습을 멈췄습니다. 앞서 저장한 체크포인트는 그대로 있습니다. "
                        "learning_rate를 절반 이하로 줄이거나 warmup_ratio를 늘려 다시 학습하세요.")
