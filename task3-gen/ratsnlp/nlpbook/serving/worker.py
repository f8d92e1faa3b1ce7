"""The one thread that generates: a bounded queue before it, and what has to end in time."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from typing import Protocol

from .jobs import Busy, Closed, Failed, Job

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What writes: ``running`` are its jobs, and each call of ``advance`` continues or ends them."""

    running: list[Job]

    def take(self, waiting: deque[Job]) -> None:
        """Move from the left of ``waiting`` to ``running`` as many as there is room for; one at least where nothing
        runs."""

    def advance(self) -> None: ...

    def drop(self, job: Job) -> None: ...

    def reset(self) -> None: ...


class Worker:
    """Runs ``engine`` in a thread of its own; ``places`` jobs may wait for it, and ``ended`` is told of each that ends.

    A job that ends is taken from wherever it is within one step: one that is left, and one whose time is up.
    """

    def __init__(self, engine: Engine, places: int, ended=lambda job: None):
        self.engine, self.places, self._tell = engine, places, ended
        self.waiting: deque[Job] = deque()
        self._condition, self._closed, self._seconds = threading.Condition(), False, 1.0
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        return not self._closed and self._thread.is_alive()

    @property
    def full(self) -> bool:
        return len(self.waiting) >= self.places

    def submit(self, *jobs: Job) -> None:
        """Raises Busy where there are not as many places left, Closed after :meth:`close`."""
        with self._condition:
            if self._closed:
                raise Closed
            if len(self.waiting) + len(jobs) > self.places:
                raise Busy(max(1, math.ceil(self._seconds * len(self.waiting) / max(1, len(self.engine.running)))))
            self.waiting.extend(jobs)
            self._condition.notify()

    def leave(self, job: Job) -> None:
        """``job`` is of no more use: its place is free at once where it waits, else after the next step."""
        job.leave()
        with self._condition:
            if job in self.waiting:
                self.waiting.remove(job)
                self._end(job)

    def close(self) -> None:
        """No job is taken any more, and those that are under way end as Closed."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self.waiting or self.engine.running or self._closed):
                    self._condition.wait()
                if self._closed:
                    break
                for job in [job for job in self.waiting if job.over]:
                    self.waiting.remove(job)
                    self._end(job)
            self._work()
        for job in [*self.waiting, *self.engine.running]:
            job.end(error=Closed())
            self._tell(job)

    def _work(self) -> None:
        before = []
        try:
            for job in [job for job in self.engine.running if job.over]:
                self.engine.drop(job)
                self._end(job)
            with self._condition:
                self.engine.take(self.waiting)
            before = list(self.engine.running)
            self.engine.advance()
        except Exception as error:  # the thread has to live: its jobs fail, the next ones do not
            failure = Failed()
            logger.exception("[%s] %s", failure.id, type(error).__name__)
            for job in {*before, *self.engine.running}:
                job.end(error=failure)
            self.engine.reset()
        for job in before:
            if job.ended is not None:
                self._end(job)

    def _end(self, job: Job) -> None:
        if job.ended is None:
            job.end_over()
        if job.error is None and not job.left:
            self._seconds = 0.9 * self._seconds + 0.1 * (job.ended - (job.begun or job.came))
        self._tell(job)
