"""From features to batches, and the corpus files from wherever they are."""

import os
import random
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Sampler

from .errors import UserError
from .files import whole_file
from .text_files import read_rows

MEGABATCH = 50  # batches sorted together: like lengths meet, and an epoch's order stays random


def data_collator(features: list) -> dict[str, torch.Tensor]:
    """Stack features into a batch: each field becomes a tensor (batch, max_seq_length),
    or (batch,) for plain numbers."""
    rows = [feature if isinstance(feature, dict) else vars(feature) for feature in features]
    return {name: _tensor([row[name] for row in rows]) for name, value in rows[0].items() if value is not None}


def _tensor(values: list) -> torch.Tensor:
    """``torch.tensor`` of ``values``, but for integers by NumPy, which reads lists of lists in a fifth of the time."""
    array = np.asarray(values)
    return torch.from_numpy(array) if array.dtype == np.int64 else torch.tensor(values)


class LengthGroupedSampler(Sampler):
    """Shuffles anew each epoch and puts texts of like length into the same batch, so that little is padding.

    The order depends on ``args.seed`` and the epoch alone. Source: the bucketing of Khomenko et al. (2016),
    "Accelerating recurrent neural network training using sequence bucketing and multi-GPU data parallelization".
    """

    def __init__(self, dataset, args):
        self.lengths = np.asarray(dataset.lengths)
        self.batch_size, self.seed, self.epoch = args.batch_size, args.seed or 0, 0

    def __len__(self):
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __iter__(self):
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        size = self.batch_size * MEGABATCH
        for start in range(0, len(order), size):
            part = order[start : start + size]
            order[start : start + size] = part[np.argsort(self.lengths[part], kind="stable")]
        whole = len(order) - len(order) % self.batch_size
        batches = order[:whole].reshape(-1, self.batch_size)
        return iter(np.concatenate([generator.permutation(batches).ravel(), order[whole:]]).tolist())


def fetch_corpus(args) -> None:
    """Make sure that the corpus files are there, as ``Korpora.fetch`` would; files in place are used without a network.
    One process of a computer downloads at a time: others that want the same files wait for it (``args.ddp_timeout``
    seconds).

    Raises:
        UserError: files are missing and cannot be downloaded (naming the files and the folder to put them in), or
            another process has been at it for too long.
    """
    folder = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
    missing = _missing(folder, args)
    if not missing:
        return
    advice = f"{', '.join(missing)} 파일을 {folder} 폴더에 넣으세요."
    if args.downstream_corpus_name != "nsmc":
        raise UserError(
            f"말뭉치 {args.downstream_corpus_name!r}: 폴더에 없고, 내려받을 수 있는 말뭉치는 nsmc뿐입니다. {advice}")
    from filelock import FileLock, Timeout

    seconds = getattr(args, "ddp_timeout", 600)
    name = sha256(f"{Path.home()} {folder.resolve()}".encode()).hexdigest()[:16]  # each user's own
    try:
        with FileLock(Path(tempfile.gettempdir()) / f"nsmc-{name}.lock", timeout=seconds):
            _download(folder, _missing(folder, args), advice)  # fewer by now where another process has had its turn
    except Timeout as error:
        told = f"ddp_timeout: 다른 프로세스가 {seconds}초 안에 nsmc를 내려받지 못했습니다. {advice}"
        raise UserError(told) from error


def _missing(folder: Path, args) -> list[str]:
    """The files to download. Of several processes on a machine the first alone downloads what is there already."""
    force = args.force_download and (getattr(args, "world_size", 1) == 1 or os.environ.get("LOCAL_RANK", "0") == "0")
    return [name for name in ("ratings_train.txt", "ratings_test.txt") if force or not (folder / name).is_file()]


def _download(folder: Path, names: list[str], advice: str) -> None:
    """Bring the files ``names`` of NSMC into ``folder``. Raises UserError, which ends with ``advice``, where that
    fails."""
    if not names:
        return
    from Korpora import Korpora

    # Korpora takes any file that is there for whole, a broken download too
    with tempfile.TemporaryDirectory() as temporary:
        try:
            Korpora.fetch(corpus_name="nsmc", root_dir=temporary, force_download=True)
        except OSError as error:
            raise UserError(f"nsmc를 내려받지 못했습니다({error}). 인터넷에 연결하거나 {advice}") from error
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            with whole_file(folder / name) as unfinished:  # a file under its name is taken for whole from then on
                shutil.copyfile(Path(temporary) / "nsmc" / name, unfinished)


def read_documents(path: str | Path, seed: int | None = None, at_least: int = 0) -> list[str]:
    """The texts of a file or folder (:func:`~.text_files.read_rows`) that are not empty,
    shuffled if there is a ``seed``.

    Raises:
        UserError: as ``read_rows`` does, or there are fewer than ``at_least``.
    """
    documents = [text for (text,) in read_rows(path) if text.strip()]
    if len(documents) < at_least:
        raise UserError(f"{path}: 텍스트가 {at_least}개 이상이어야 하는데 {len(documents)}개입니다.")
    if seed is not None:
        random.Random(seed).shuffle(documents)
    return documents
