"""Scripts that learn in two processes on the CPU."""

import os
import signal
import subprocess
import sys
import time

import psutil
from helpers import SCRIPTS, last_checkpoint

ON_CPU = ("--device", "cpu", "--precision", "32", "--recipe", "standard", "--batch_size", "8", "--seed", "7",
          "--logging_steps", "1")


def curve_of(folder) -> list[float]:
    return [loss for _, loss in last_checkpoint(folder)["callbacks"]["LossWatch"]["curve"]["loss"]]


class Pair:
    """train_gen-0.py in two processes that Lightning has begun, once they have saved something."""

    def __init__(self, command, folder, *flags):
        self.folder, self.log = folder, folder.with_suffix(".log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.first = subprocess.Popen(
                [sys.executable, SCRIPTS / "train_gen-0.py", *command, *ON_CPU, "--epochs", "400", "--save_steps", "3",
                 "--devices", "2", "--downstream_model_dir", folder, *flags], stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"})
        deadline = time.monotonic() + 120
        while not (folder / "last.ckpt").exists():
            assert self.first.poll() is None, self.told()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (self.second,) = [child for child in psutil.Process(self.first.pid).children()
                          if "--devices" in child.cmdline()]

    def told(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def ends(self, seconds: float) -> str:
        """The one line of the error; both have ended by then."""
        code = self.first.wait(seconds)
        gone, alive = psutil.wait_procs([self.second], 5)
        assert not alive
        assert code in (2, -signal.SIGKILL)
        assert "Traceback" not in self.told()
        (line,) = [line for line in self.told().splitlines() if line.startswith("오류: ")]
        return line
