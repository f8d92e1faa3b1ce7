"""The random state of a process, kept and given back."""

import random

import numpy as np
import torch


def random_state() -> dict:
    """The states of the generators of Python, NumPy and PyTorch (CPU and every GPU),
    of types that ``weights_only`` reads."""
    name, keys, *rest = np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(), "numpy": [name, keys.tolist(), *rest], "torch": torch.get_rng_state(),
        "cuda": cuda}


def set_random_state(state: dict) -> None:
    """Go on from where :func:`random_state` was asked; a GPU's state is passed over where there are now
    more or fewer of them."""
    random.setstate(state["python"])
    np.random.set_state((state["numpy"][0], np.asarray(state["numpy"][1], dtype=np.uint32), *state["numpy"][2:]))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
