"""What tells two runs apart: hashes of the data and of a model's weights, and the commit of the code."""

import subprocess
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path

import numpy as np

from ..paths import INSTALLED


def files_sha256(source: Path) -> dict[str, str]:
    """SHA-256 of a data file, or of each ``.txt`` and ``.csv`` in a folder, by name: the first thing to compare
    when two runs differ."""
    hashes = {}
    for path in [source] if source.is_file() else sorted([*source.rglob("*.txt"), *source.rglob("*.csv")]):
        with open(path, "rb") as file:
            hashes[path.name if path == source else str(path.relative_to(source))] = (
                file_digest(file, "sha256").hexdigest())
    return hashes


def tokens_sha256(dataset) -> str:
    """SHA-256 of the tokens that a dataset holds and of how they are cut up: it differs with text, tokenizer,
    columns, split or length."""
    digest = sha256()
    for array in (
            dataset.ids, dataset.lengths, getattr(dataset, "document", np.zeros(0)),
            getattr(dataset, "start", np.zeros(0))):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def weights_sha256(model) -> str:
    """SHA-256 of the parameters and buffers of ``model`` and of their names; what is tied counts once."""
    import torch

    digest = sha256()
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def git_commit() -> str | None:
    """The commit of the repository that this code runs from, ``-dirty`` where files differ from
    it; None outside git."""
    if INSTALLED.is_dir():  # a repository around site-packages is another one
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], cwd=Path(__file__).parent,
            capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
