"""The same model on several devices, each in a process of its own, which share batches out among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial

import torch
from tqdm import tqdm

from ..devices import check_device, resolve_device
from ..errors import UserError


def check_devices(device: str, devices: int, engine: str = "transformers") -> None:
    """Raises UserError unless there are so many ``devices`` of the kind ``device`` (CTranslate2 takes one). CPUs there
    are as many as asked for, each with its share of the threads."""
    check_device(device)
    if devices < 1:
        raise UserError(f"devices: 1 이상이어야 하는데 {devices}입니다.")
    if devices == 1:
        return
    if engine != "transformers":
        raise UserError(f"devices: {engine}로는 1이어야 하는데 {devices}입니다. --engine transformers로 실행하세요.")
    if ":" in device:
        raise UserError(f"devices: --device {device}는 장치 하나인데 {devices}입니다. --device cuda로 적으세요.")
    there = torch.cuda.device_count()
    if device != "cpu" and there and devices > there:
        raise UserError(f"devices: CUDA GPU가 {there}개라 {there} 이하여야 하는데 {devices}입니다. "
                        "CPU로 나누려면 --device cpu도 적으세요.")


def load_replicas(load: Callable, device: str = "auto", devices: int = 1, engine: str = "transformers") -> tuple:
    """``(model, tokenizer)`` as ``load()`` gives them, on ``device``; with more than one, :class:`Replicas` in the
    model's place, of which each loads its own.

    Raises:
        UserError: as :func:`check_devices` and ``load`` do.
    """
    check_devices(device, devices, engine)
    if devices > 1:
        replicas = Replicas(load, device, devices)
        return replicas, replicas.tokenizer
    model, tokenizer = load()
    return model.to(resolve_device(device)), tokenizer


def each(model, tokenizer, work: Callable, jobs: Iterable[tuple]) -> Iterator:
    """``work(model, tokenizer, *job)`` for each of ``jobs``, in their order; by all of a model's :class:`Replicas` at a
    time."""
    if isinstance(model, Replicas):
        return model.map(work, jobs)
    return (work(model, tokenizer, *job) for job in jobs)


class Replicas:
    """Stands for a model that N processes have loaded, each with ``load()`` on a device of its own.

    ``config`` and ``generation_config`` are the model's, ``tokenizer`` the one that came with it. The processes end
    with this object, or when its own process does, however it does. They import the running script: what it does has to
    stand under ``if __name__ == "__main__":``.

    Raises:
        UserError: as ``load`` does; or one of the processes has ended.
    """

    def __init__(self, load: Callable, device: str, devices: int):
        self.load, self.kind, self.devices = load, resolve_device(device), devices
        self.config, self.generation_config, self.tokenizer = list(self._results(self._start()))[0]

    def map(self, work: Callable, jobs: Iterable[tuple]) -> Iterator:
        """``work(model, tokenizer, *job)`` for each of ``jobs``, in their order. No more than 2N are begun before the
        first of them is taken. Who leaves off before the last one, ends those that are under way."""
        if not self._stop.alive:
            self._start()
        return self._results(self._pool.submit(_run, work, job) for job in jobs)

    def _start(self) -> list[Future]:
        """Start the processes; what each tells of its model."""
        context = multiprocessing.get_context("spawn")
        numbers = context.SimpleQueue()
        for number in range(self.devices):
            numbers.put(number)
        watched, held = context.Pipe(duplex=False)
        threads = max(1, torch.get_num_threads() // self.devices)
        self._pool = ProcessPoolExecutor(
            self.devices, context, _enter, (self.load, self.kind, numbers, threads, os.getcwd(), watched))
        self._stop = weakref.finalize(self, _stop, self._pool, held)
        with _interrupts_ignored():  # they inherit that: Ctrl-C is for this process
            return [self._pool.submit(_run, _describe, ()) for _ in range(self.devices)]

    def _results(self, begun: Iterable[Future]) -> Iterator:
        waiting = deque()
        try:
            for future in begun:
                waiting.append(future)
                if len(waiting) == 2 * self.devices:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        except BrokenProcessPool:
            self._stop()
            raise UserError(
                "devices: 장치를 맡은 프로세스 하나가 끝나서(강제로 종료되었거나 메모리가 부족합니다) 모두 멈췄습니다. "
                "메모리를 확인하고 batch_size나 devices를 줄이세요.") from None
        finally:
            if waiting:
                self._stop()


def _stop(pool: ProcessPoolExecutor, held) -> None:
    held.close()  # which the processes watch
    pool.shutdown(wait=False, cancel_futures=True)


def _first(waiting: deque[Future]):
    """The result of the first, which leaves the queue once it is there."""
    result = waiting[0].result()
    waiting.popleft()
    return result


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


# In a process of its own

_own = {}  # what loads the model here, once


def _enter(load: Callable, kind: str, numbers, threads: int, folder: str, watched) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # not inherited in Windows
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own is one of the system's, which a process that is ended leaves behind
    os.chdir(folder)
    torch.set_num_threads(threads)
    _own["model"] = cache(partial(_load_here, load, kind, numbers.get()))


def _end_with(watched) -> None:
    """End this process, in the midst of a batch too, when the other end of the pipe is closed or its holder gone."""
    try:
        watched.recv()
    finally:
        os._exit(1)


def _load_here(load: Callable, kind: str, number: int) -> tuple:
    if kind == "cuda":
        torch.cuda.set_device(number)  # which "cuda" means from here on
    model, tokenizer = load()
    return model.to(kind), tokenizer


def _run(work: Callable, job: tuple):
    return work(*_own["model"](), *job)


def _describe(model, tokenizer) -> tuple:
    return model.config, model.generation_config, tokenizer
