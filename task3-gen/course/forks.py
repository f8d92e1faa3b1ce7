"""Processes that have the libraries already: forks of this one. To import them takes most of a judging's time.

For Linux alone. Windows has no fork, and Apple's libraries do not bear one.
"""

import os
import signal
import sys
from pathlib import Path

from .runner import BESIDE_OTHERS

CAN_FORK = sys.platform == "linux"


def warm_up() -> None:
    """Import what the steps and their checks use. No thread is started: a fork has none but the one that forks."""
    os.environ.update(BESIDE_OTHERS)
    import importlib

    from ratsnlp.nlpbook import generation

    import flask  # noqa: F401
    import pytorch_lightning  # noqa: F401  and with it torch
    import torch
    import waitress  # noqa: F401
    from transformers import BertModel, GenerationMixin, GPT2LMHeadModel, PreTrainedTokenizerFast  # noqa: F401  lazy

    torch.set_num_threads(1)
    for name in generation.__all__:
        getattr(generation, name)
    for name in ("child", "corpus", "sampling", *(f"checks.step{step}" for step in range(1, 6))):
        importlib.import_module(f"course.{name}")


class Fork:
    """A fork that runs ``child.main`` with ``arguments``, in a session of its own, with ``folder`` as its working
    directory; to its parent it is as a :class:`subprocess.Popen`."""

    def __init__(self, arguments: list[str], folder: Path):
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _become_child(arguments, folder)
            finally:
                os._exit(1)

    def poll(self) -> int | None:
        return self._status(os.WNOHANG)

    def wait(self) -> int:
        return self._status(0)

    def _status(self, options: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # psutil has waited for it when it was ended
                pid, status = self.pid, signal.SIGKILL
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _become_child(arguments: list[str], folder: Path) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, target in ((0, os.devnull), (1, os.devnull), (2, folder / "errors.txt")):
        file = os.open(target, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(file, stream)
        os.close(file)
    os.chdir(folder)
    from . import child

    try:
        child.main(*arguments)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)  # without waiting for the threads that the file has left
