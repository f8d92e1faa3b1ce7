"""Where a model computes: ``auto``, ``cpu``, ``cuda``, ``cuda:1``."""

import re

from .errors import UserError


def check_device(device: str) -> None:
    """Raises UserError unless ``device`` is ``auto``, ``cpu``, or a CUDA GPU that is there (``cuda``, ``cuda:1``)."""
    if device in ("auto", "cpu"):
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise UserError(f"device: auto, cpu, cuda, cuda:번호 가운데 하나여야 하는데 {device!r}입니다.")
    import torch

    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise UserError(
            f"device: CUDA GPU가 {torch.cuda.device_count()}개라 {device} 장치는 없습니다. "
            "--device auto나 cpu를 쓰세요.")


def resolve_device(device: str = "auto") -> str:
    """``auto`` becomes ``cuda`` where there is a GPU, else ``cpu``; other names stay."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
