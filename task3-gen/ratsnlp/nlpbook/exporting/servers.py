"""Servers of other programs that are started, asked and ended."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import torch

from ..errors import UserError
from ..serving.upstream import Refused, Unavailable, Upstream

HOST = "127.0.0.1"
START = 300  # seconds that a server may take to answer; vLLM takes one minute
STOP = 30  # seconds that a server may take to end
ANSWER = 600  # seconds that it may take to write an answer


@dataclass
class Server:
    """A server: its command at a port, and what its environment has besides."""

    command: Callable[[int], list[str]]
    environment: dict[str, str] = field(default_factory=dict)


def vllm_server(python: str, folder, dtype: str = "float32", most: int = 8) -> Server:
    """vLLM, installed for another ``python``, with the model of ``folder``, for ``most`` requests at a time."""
    command = [python, "-m", "vllm.entrypoints.cli.main", "serve", str(folder), "--dtype", dtype, "--max-num-seqs",
               str(most), "--enforce-eager", "--disable-uvicorn-access-log", "--host", HOST, "--port"]
    return Server(lambda port: [*command, str(port)], {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1",
        # Of two cores, one: with both, beside its two other processes, it was slower for 1 and for 16 clients.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // 2)))})


def vllm_version(python: str) -> str:
    """Raises UserError where that Python has no vLLM."""
    code = "import importlib.metadata; print(importlib.metadata.version('vllm'))"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"vllm: vLLM이 설치된 파이썬이어야 하는데 {python}입니다.") from error


@contextmanager
def served(name: str, server, port: int | None = None) -> Iterator[tuple[int, int]]:
    """The port of a :class:`Server` that answers, a free one unless it is named, and the id of its process. It is ended
    afterwards, and what it has started.

    Raises:
        UserError: it ends, or does not answer in time; with the last lines that it wrote, as with any from within. All
            that it wrote is a note of the error.
    """
    port = port or free_port()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(server.command(port), stdout=told, stderr=subprocess.STDOUT, env={
            **os.environ, "PYTHONIOENCODING": "utf-8", **server.environment})
        try:
            until = time.monotonic() + START
            while not Upstream(f"http://{HOST}:{port}").is_alive():
                late = time.monotonic() > until
                if late or process.poll() is not None:
                    raise UserError(f"{name}: 서버가 {f'{START}초 안에 ' if late else ''}뜨지 않았습니다. "
                                    "위는 그 서버가 출력한 것입니다.")
                time.sleep(0.2)
            yield port, process.pid
        except UserError as error:
            told.seek(0)
            error.add_note(told.read().decode(errors="replace"))
            print(*error.__notes__[-1].splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            every = family(process.pid)
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP)
            kill(every)
            process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return free.getsockname()[1]


def kill(processes: list[psutil.Process]) -> None:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it has started; nothing where it has ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def ask(port: int, path: str, body: dict) -> dict:
    """The JSON with which a server answers that of ``body``.

    Raises:
        UserError: it answers with an error, or not at all.
    """
    try:
        return Upstream(f"http://{HOST}:{port}").post(path, body, ANSWER)
    except Refused as error:
        raise UserError(f"{path}: HTTP {error.status} {error}") from error
    except Unavailable as error:
        told = str(error) if error.is_fault else f"서버가 답하지 않습니다({error})."
        raise UserError(f"{path}: {told}") from error
