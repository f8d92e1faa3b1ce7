"""What glibc's heap takes of the memory: tensors of changing sizes leave gaps in it that it does not give back."""

from bisect import bisect_left, insort

# Pieces of less than this stay with the process (:func:`~.layers.keep_freed_memory`; glibc does likewise by itself).
KEPT = 2**25
# What glibc asks for more, to align to the 64 bytes of PyTorch: a gap left by a piece is too small for its like.
ALIGNMENT = 64 + 32
# One in so many of the slivers that aligning leaves is taken by something small that stays: two gaps never meet there.
PINNED = 4  # with which the measured peaks of kogpt-mini and kogpt2 fit best


class Heap:
    """Places pieces as glibc's ``posix_memalign`` does, one after another: the smallest gap that is large enough, also
    to align a piece in it, is used first; gaps that meet become one; what has once been reached stays with the process.

    Source: malloc/malloc.c of glibc 2.36, ``_int_memalign`` and ``_int_malloc``.
    """

    def __init__(self):
        self.end = self.reached = self.taken = 0
        self.gaps, self.sizes, self.ends = [], {}, {}  # (size, start), sorted; size by start; start by end

    def take(self, size: int) -> int:
        """Where a piece of ``size`` bytes begins."""
        self.taken += 1
        lost = 0 if self.taken % PINNED else 16
        index = bisect_left(self.gaps, (size + ALIGNMENT, 0))
        if index < len(self.gaps):
            found, start = self.gaps[index]
            self._fill(start)
            self._open(start + lost + size, found - lost - size)
        else:
            start, self.end = self.end, self.end + lost + size
            self.reached = max(self.reached, self.end)
        return start + lost

    def give_back(self, start: int, size: int) -> None:
        if start + size in self.sizes:
            size += self._fill(start + size)
        if start in self.ends:
            start = self.ends[start]
            size += self._fill(start)
        if start + size == self.end:
            self.end = start
        else:
            self._open(start, size)

    def _open(self, start: int, size: int) -> None:
        insort(self.gaps, (size, start))
        self.sizes[start], self.ends[start + size] = size, start

    def _fill(self, start: int) -> int:
        size = self.sizes.pop(start)
        del self.ends[start + size], self.gaps[bisect_left(self.gaps, (size, start))]
        return size
