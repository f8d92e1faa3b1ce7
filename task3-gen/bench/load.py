"""Clients that load a server on this machine, and what they saw of it."""

import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse

HOST = "127.0.0.1"  # nothing else is ever addressed
PATIENCE = 120  # seconds that a client waits for the next byte
PAUSE = 0.05  # seconds after a failed request, which would be sent again at once by every client
MOST = 4000  # requests of one point


@dataclass
class Answer:
    """One request; times are seconds of ``time.perf_counter``."""

    sent: float
    ended: float = 0.0
    texts: list[float] = field(default_factory=list)  # when each part of the text had come
    error: str | None = None


def events(response: HTTPResponse) -> Iterator[tuple[str, str]]:
    """Name and data of each server-sent event; every event's data is one line, as both APIs write it."""
    name, rest = "", b""
    while part := response.read1(65536):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            key, _, value = line.decode().strip().partition(":")
            if key == "event":
                name = value.strip()
            elif key == "data":
                yield name, value.strip()
            elif not line.strip():
                name = ""


def read(response: HTTPResponse, answer: Answer) -> int | None:
    """Note in ``answer`` when its texts came; returns its number of new tokens, None where the API does not tell it.

    Raises:
        ValueError: the server says that it failed, or the answer is not whole.
    """
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}: {response.read(200).decode(errors='replace')}")
    if response.headers.get_content_type() != "text/event-stream":
        told = json.loads(response.read())
        if not told["result"].strip():
            raise ValueError("result가 비어 있습니다")
        answer.texts.append(time.perf_counter())
        return told.get("tokens")
    tokens, done = None, False
    for name, data in events(response):
        if data == "[DONE]":  # of the API of OpenAI, which vLLM has
            done = True
            continue
        told = json.loads(data)
        if name == "error" or "error" in told:
            raise ValueError(data)
        if name == "done":
            tokens, done = told["tokens"], True
        elif told.get("usage"):
            tokens = told["usage"]["completion_tokens"]
        elif told["choices"][0]["text"] if "choices" in told else told["text"]:
            answer.texts.append(time.perf_counter())
    if not (done and answer.texts):
        raise ValueError("끝나기 전에 끊겼습니다")
    return tokens


def ask(connection: HTTPConnection, path: str, body: bytes, tokens: int) -> Answer:
    """Send one request and read the whole of its answer, an error unless it has that many new tokens."""
    answer = Answer(time.perf_counter())
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        written = read(connection.getresponse(), answer)
        if written not in (tokens, None):
            answer.error = f"새 토큰이 {tokens}개여야 하는데 {written}개입니다"
    except (OSError, HTTPException, ValueError, KeyError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    answer.ended = time.perf_counter()
    return answer


def ask_while(going: Callable[[int], bool], port: int, path: str, bodies: list[bytes], clients: int,
              tokens: int) -> list[Answer]:
    """What ``clients`` see that each send their next request when the last has been answered, as long as it is
    ``going`` on for the number of that. They take ``bodies`` in turn."""
    numbers, answers = itertools.count(), []

    def client():
        connection = HTTPConnection(HOST, port, timeout=PATIENCE)
        while going(number := next(numbers)):
            answer = ask(connection, path, bodies[number % len(bodies)], tokens)
            answers.append(answer)
            if answer.error:
                connection.close()
                time.sleep(PAUSE)
        connection.close()

    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(client) for _ in range(clients)]:
            each.result()
    return answers


def load(
        port: int, path: str, bodies: list[bytes], clients: int, seconds: float, tokens: int, most: int = MOST) -> dict:
    """What :func:`ask_while` tells of ``clients`` that send nothing after ``seconds`` or ``most`` requests. What is
    under way then is waited for: no slow answer is left out of the latencies.
    """
    started, cpu = time.perf_counter(), time.process_time()
    answers = ask_while(lambda number: time.perf_counter() - started < seconds and number < most,
                        port, path, bodies, clients, tokens)
    return {**summary(answers, started, seconds, tokens), "client_cpu_seconds": time.process_time() - cpu}


def summary(answers: list[Answer], started: float, seconds: float, tokens: int) -> dict:
    """Rates within the first ``seconds``, latencies in seconds, and what failed.

    An answer's tokens count when they come, so that what is under way at the end counts for what it has come to; the
    rates are those until the last of them came.
    """
    good = [answer for answer in answers if not answer.error]
    errors = [answer.error for answer in answers if answer.error]
    whole = [answer.ended - answer.sent for answer in good]
    first = [answer.texts[0] - answer.sent for answer in good]
    moments = [moment for answer in good for moment in answer.texts]
    end = max([moment for moment in moments if moment <= started + seconds] or moments, default=math.inf)
    requests = sum(statistics.mean(moment <= end for moment in answer.texts) for answer in good) / (end - started)
    return {
        "tokens_per_second": tokens * requests, "requests_per_second": requests,
        **{f"{name}_p{part}": percentile(values, part) for name, values in (("first", first), ("whole", whole))
           for part in (50, 95)},
        "requests": len(answers), "errors": len(errors), "error": errors[0] if errors else None}


def percentile(values: list[float], part: int) -> float:
    """The least value that ``part`` % of them do not exceed; not a number where there are none."""
    return sorted(values)[math.ceil(len(values) * part / 100) - 1] if values else math.nan
