"""One request on its way: what is asked, what has been written so far, and how it ends."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..generation.choosing import Choice, Step
    from ..generation.options import DecodingOptions


class ServiceError(Exception):
    """What keeps a server from answering, though the request is right: an HTTP ``status`` and a Korean sentence."""

    status = 503
    retry_after: int | None = None  # seconds


class Busy(ServiceError):
    """There is no place in the queue."""

    status = 429

    def __init__(self, retry_after: int):
        super().__init__(f"요청이 밀려 있습니다. {retry_after}초쯤 뒤에 다시 보내세요.")
        self.retry_after = retry_after


class NotFound(ServiceError):
    """What is asked for is not here."""

    status = 404


class Closed(ServiceError):
    def __init__(self):
        super().__init__("서버를 끝내는 중입니다. 새 요청은 받지 않습니다.")


class Left(ServiceError):
    """The client has gone: nobody reads this."""

    status = 499

    def __init__(self):
        super().__init__("요청한 쪽에서 연결을 끊었습니다.")


class TooLate(ServiceError):
    def __init__(self, seconds: float):
        super().__init__(f"{seconds:g}초 안에 끝나지 않아 중단했습니다. 길이를 줄이거나 잠시 뒤에 다시 보내세요.")
        self.retry_after = 10


class OutOfMemory(ServiceError):
    def __init__(self):
        super().__init__("GPU 메모리가 부족합니다. 길이나 빔의 수를 줄이거나 잠시 뒤에 다시 보내세요.")
        self.retry_after = 10


class Failed(ServiceError):
    """A bug: what happened stands in the log under an ``id``."""

    status = 500

    def __init__(self):
        self.id = secrets.token_hex(4)
        super().__init__(f"서버에서 오류가 났습니다. 서버의 로그에서 이 번호로 원인을 찾을 수 있습니다: {self.id}")


class EngineLost(ServiceError):
    """The connection to the engine of another server broke while a text was being written."""

    retry_after = 5

    def __init__(self):
        super().__init__("텍스트를 쓰는 동안 엔진과의 연결이 끊겼습니다. 다시 보내세요.")


class EngineRefused(ServiceError):
    """The engine of another server does not write this; ``status`` is 400 where the request is why."""

    def __init__(self, status: int, message: str):
        self.status = 400 if status in (400, 413, 422) else 503
        super().__init__(f"엔진이 거절했습니다(HTTP {status}): {message}")


@dataclass
class Request:
    """What is to be written: the same request with the same seed gives the same text.

    ``prefix`` are the token ids with which the text has to begin; ``steps`` is of how many candidates each step tells.
    """

    prompt: str
    options: DecodingOptions
    seed: int
    prefix: tuple[int, ...] = ()
    steps: int = 0
    prompt_ids: tuple[int, ...] = ()  # instead of the prompt's text
    logits: bool = False  # whether each step has all of the model's


@dataclass(eq=False)
class Job:
    """A request that is waiting or being written. ``ids`` are the prompt's token ids and what follows; without eos."""

    request: Request
    ids: list[int]
    max_length: int  # of the ids; 0 where it is not written token by token
    choice: Choice | None = None
    told: bool = False  # whether somebody reads its tokens as they come
    seconds: float = 300.0  # it may take
    steps: list[Step] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # of each token
    finish_reason: str | None = None
    error: Exception | None = None
    parts: list[str] | None = None  # of the text, from an engine that tells no token ids
    counted: int | None = None  # of its tokens, by such an engine

    def __post_init__(self):
        self.prompt_length, self.came, self.begun, self.ended = len(self.ids), time.monotonic(), None, None
        self.end_token: int | None = None  # eos, where it ended with one
        self.left = False  # whether nobody waits for it any more
        self._done, self._news = threading.Event(), queue.SimpleQueue()

    @property
    def new(self) -> int:
        """Tokens that were written, eos among them."""
        return len(self.times) if self.counted is None else self.counted

    @property
    def over(self) -> bool:
        """Whether nobody needs the rest: its client has gone or its time is up."""
        return self.left or time.monotonic() > self.came + self.seconds

    def put(self, token: int, step: Step | None, eos: list[int]) -> bool:
        """Take the next token; returns whether it was the last."""
        if self._done.is_set():  # by another thread: its time was up
            return True
        self.times.append(time.monotonic())
        if step:
            self.steps.append(step)
        if token in eos:
            self.end_token = token
            self.end("stop")
        else:
            self.ids.append(token)
            if self.told:
                self._news.put(token)
            if len(self.ids) == self.max_length:
                self.end("length")
        return self._done.is_set()

    def put_text(self, text: str) -> None:
        """Take the next of the :attr:`parts`."""
        if not self._done.is_set():
            self.times.append(time.monotonic())
            self.parts.append(text)
            if self.told:
                self._news.put(text)

    def end(self, finish_reason: str | None = None, error: Exception | None = None) -> None:
        if not self._done.is_set():
            self.finish_reason, self.error, self.ended = finish_reason, error, time.monotonic()
            self._done.set()
            self._news.put(None)

    def end_over(self) -> None:
        """End a job that is :attr:`over`."""
        self.end(error=None if self.left else TooLate(self.seconds))

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self.left = True

    def wait(self, seconds: float) -> bool:
        """Wait for its end; returns whether it came within ``seconds``."""
        return self._done.wait(seconds)

    def tokens(self, seconds: float) -> Iterator[int | str | None]:
        """The tokens, or the :attr:`parts`, as they come, None where there was none for ``seconds``.

        Raises:
            ServiceError: what it ended with.
        """
        while True:
            try:
                token = self._news.get(timeout=seconds)
            except queue.Empty:
                yield None
                continue
            if token is None:
                break
            yield token
        if self.error:
            raise self.error


def begun(job: Job) -> Job:
    """``job``, whose writing begins now."""
    job.begun = time.monotonic()
    return job


def runs_as_a_unit(options: DecodingOptions) -> str | None:
    """The name of the way to decode, where it does not write token by token; else None."""
    if (options.num_beams or 1) > 1:
        return f"빔 서치(num_beams={options.num_beams})"
    return f"대조 탐색(penalty_alpha={options.penalty_alpha:g})" if options.penalty_alpha else None
