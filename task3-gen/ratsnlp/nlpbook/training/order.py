"""The order of the data, which depends on seed and epoch alone, so that a run that is resumed
knows what it has seen."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch.utils.data import DataLoader, Sampler

from .distributed import world


class EpochOrder(Sampler):
    """The indices of ``sampler`` in an order that depends on seed and epoch alone; the first epoch begins after
    ``done`` of them.

    Where several processes learn together, each has its share of each batch of ``batch_size``, every how-manieth row:
    the batches are the same whatever their number. Of a last batch with fewer rows than processes, some have one that
    another has too, since none may be without: it does not count (:func:`weight_of`).
    """

    def __init__(self, sampler: Sampler, seed: int, epoch: int = 0, done: int = 0, batch_size: int = 1):
        self.sampler, self.seed, self.epoch, self.done, self.batch_size = sampler, seed, epoch, done, batch_size

    def __len__(self):
        rank, processes = world()
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole * (self.batch_size // processes) + (max(len(range(rank, rest, processes)), 1) if rest else 0)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def __iter__(self):
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(self.epoch)
        else:  # RandomSampler
            self.sampler.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = islice(self.sampler, self.done, None)
        rank, processes = world()
        return rows if processes == 1 else self._share(rows, rank, processes)

    def _share(self, rows: Iterator[int], rank: int, processes: int) -> Iterator[int]:
        while batch := list(islice(rows, self.batch_size)):
            yield from batch[rank::processes] or batch[-1:]


def weight_of(task, batch_idx: int) -> int:
    """0 where all rows of the batch of a step of a Lightning ``task`` are another process's too, else 1."""
    rank, processes = world()
    if processes == 1:
        return 1
    loader = task.trainer.train_dataloader if task.trainer.training else task.trainer.val_dataloaders
    order = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    if not isinstance(order, EpochOrder):
        return 1
    whole, rest = divmod(len(order.sampler), order.batch_size)
    return int(batch_idx < whole or rank < rest)


def order_by_epoch(loader, seed: int, epoch: int = 0, batches_done: int = 0, processes: int = 1) -> None:
    """Let ``loader`` draw nothing from the global random state, begin ``epoch`` after the batches that are done, and
    share each batch out among so many ``processes``."""
    if not isinstance(loader, DataLoader):
        return
    loader.generator = torch.Generator().manual_seed(seed)
    if loader.batch_sampler is not None:
        loader.batch_sampler.sampler = EpochOrder(
            loader.batch_sampler.sampler, seed, epoch, batches_done * loader.batch_size, loader.batch_size)
        loader.batch_sampler.batch_size = loader.batch_size // processes
