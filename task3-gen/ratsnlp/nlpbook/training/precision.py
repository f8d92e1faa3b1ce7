"""The precision in which a machine trains fastest without losing quality."""

import torch


def best_precision(fp16: bool = False, device: str = "auto") -> str:
    """Lightning's name of the precision that this machine computes fastest without losing quality;
    ``fp16`` wants float16 on a GPU."""
    if torch.cuda.is_available() and device != "cpu":
        return "16-mixed" if fp16 or not torch.cuda.is_bf16_supported(including_emulation=False) else "bf16-mixed"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"
