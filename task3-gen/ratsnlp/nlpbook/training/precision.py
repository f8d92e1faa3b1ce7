"""The precision in which a machine trains fastest without losing quality."""

import logging

import torch

logger = logging.getLogger("ratsnlp")

LIGHTNINGS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}  # its names for what --precision takes


def best_precision(device: str = "auto") -> str:
    """Lightning's name of the precision that this machine computes fastest without losing quality. Never float16, whose
    range is so small that gradients have to be scaled."""
    if torch.cuda.is_available() and device != "cpu":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if fast else "32-true"


def precision_of(args) -> str:
    """Lightning's name of the precision that ``args`` ask for; ``fp16`` is the book's word for 16."""
    if args.fixed_precision:
        return args.fixed_precision
    return LIGHTNINGS.get("16" if args.fp16 else args.precision) or best_precision(args.device)


def half_dtype(precision: str) -> torch.dtype | None:
    """The dtype to which autocast takes matrices in this precision; None where it does not."""
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)


def tell_precision(args, precision: str, on_gpu: bool) -> None:
    """Say where another precision than this one, which ``args`` ask for, would be quicker on this machine."""
    best = best_precision("auto" if on_gpu else "cpu")
    if args.fixed_precision:
        return
    if on_gpu and args.precision == "auto" and precision == "32-true":
        logger.warning(
            "이 GPU는 bf16을 지원하지 않아 float32로 학습합니다. --precision 16(float16)이 더 빠를 수 있습니다.")
    elif precision == "bf16-mixed" and best != "bf16-mixed":
        logger.warning(
            "이 %s에는 bf16 명령이 없어 float32보다 느릴 수 있습니다. --precision auto는 float32로 학습합니다.",
            "GPU" if on_gpu else "CPU")
