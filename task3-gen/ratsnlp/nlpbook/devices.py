"""Where a model computes: ``auto``, ``cpu``, ``cuda``, ``cuda:1``."""

import functools
import logging
import re
import shutil

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

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    tell_unused_gpu()
    return "cpu"


@functools.cache
def tell_unused_gpu() -> None:
    """Say, once, that the CPU computes on a machine that has an NVIDIA GPU, and what to do."""
    import torch

    if shutil.which("nvidia-smi") is None:
        return
    if torch.version.cuda is None:
        cure = f"설치된 PyTorch({torch.__version__})가 CPU용입니다. README의 'GPU'를 보고 GPU용을 설치하세요."
    else:
        cure = f"nvidia-smi에 나오는 CUDA Version이 {torch.version.cuda} 이상인지 확인하세요."
    logging.getLogger(__name__).warning("NVIDIA GPU를 쓸 수 없어 CPU로 계산합니다: %s", cure)
