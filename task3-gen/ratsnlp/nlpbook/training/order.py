"""The order of the data, which depends on seed and epoch alone, so that a run that is resumed
knows what it has seen."""

from itertools import islice

import torch
from torch.utils.data import DataLoader, Sampler


class EpochOrder(Sampler):
    """The indices of ``sampler`` in an order that depends on seed and epoch alone;
    the first epoch begins after ``done`` of them."""

    def __init__(self, sampler: Sampler, seed: int, epoch: int = 0, done: int = 0):
        self.sampler, self.seed, self.epoch, self.done = sampler, seed, epoch, done

    def __len__(self):
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def __iter__(self):
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(self.epoch)
        else:  # RandomSampler
            self.sampler.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return islice(self.sampler, self.done, None)


def order_by_epoch(loader, seed: int, epoch: int = 0, batches_done: int = 0) -> None:
    """Let ``loader`` draw nothing from the global random state, and begin ``epoch`` after the batches that are done."""
    if not isinstance(loader, DataLoader):
        return
    loader.generator = torch.Generator().manual_seed(seed)
    if loader.batch_sampler is not None:
        loader.batch_sampler.sampler = EpochOrder(
            loader.batch_sampler.sampler, seed, epoch, batches_done * loader.batch_size)
