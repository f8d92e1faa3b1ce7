"""What a machine can do, and what a training took of it."""

import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch


def alone(function, *arguments):
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def flops_per_token(model, length: float) -> float:
    """Floating-point operations of a training step for one real token: 6 N + 12 L H Q T.

    N is the number of parameters that multiply something: without positions, and without the embedding where the output
    has one of its own. T is the mean ``length`` of a review. Source: Chowdhery et al. (2022), "PaLM", appendix B.
    """
    looked_up = sum(parameter.numel() for name, parameter in model.named_parameters() if name.endswith("wpe.weight"))
    if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        looked_up += model.get_input_embeddings().weight.numel()
    config = model.config
    return 6 * (model.num_parameters() - looked_up) + 12 * config.num_hidden_layers * config.hidden_size * length


def peak_flops(dtype: torch.dtype) -> float:
    """What this machine reaches in a matrix product of 2048 × 2048 (on a GPU 8192 × 8192), the best of ten."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 8192 if device == "cuda" else 2048
    one, best = torch.randn(size, size, device=device).to(dtype), math.inf
    for _ in range(10):
        started = time.perf_counter()
        one @ one
        synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def peak_bytes(of_child: bool = False) -> int | None:
    """The most memory that this process, or one that it ran, has held.

    The GPU's where it trains, else the RSS; None on Windows.
    """
    if torch.cuda.is_available() and not of_child:
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN if of_child else resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
