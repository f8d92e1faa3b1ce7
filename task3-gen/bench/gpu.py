"""Training by the scripts on a GPU: tokens a second, how busy it is, and its memory beside what was told before."""

import json
import math
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from ratsnlp import nlpbook
from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.run_folder import RunFolder
from ratsnlp.nlpbook.training import trainer
from ratsnlp.nlpbook.training.memory import GB
from ratsnlp.nlpbook.training.memory_check import MemoryCheck

import torch
from pytorch_lightning import Callback

from .arguments import GPU_WAYS, BenchArguments
from .machine import alone, peak_bytes, synchronize

WARM, LONG_WARM = 8, 2  # steps that do not count, of all and of those of long reviews: there the allocator grows
LONG = 12  # batches of reviews that fill --max_seq_length: for these the memory is told
VALIDATED = 32
SMI = ["nvidia-smi", "--query-gpu=utilization.gpu,power.draw", "--format=csv,noheader,nounits", "-lms", "500"]


class Steps(Callback):
    """The seconds of each step, by the GPU's clock where there is one, and the tokens of each review in it."""

    def on_train_start(self, trainer, module):
        self.marks, self.lengths, self.smi = [self._mark()], [], None

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.marks.append(self._mark())
        self.lengths.append(batch["attention_mask"].sum(dim=1))
        if batch_idx + 1 == WARM and torch.cuda.is_available() and shutil.which(SMI[0]):
            self.smi = subprocess.Popen(SMI, stdout=subprocess.PIPE, text=True)

    def on_train_epoch_end(self, trainer, module):
        synchronize()
        if self.smi:
            self.smi.terminate()

    def result(self) -> dict:
        pairs = list(zip(self.marks, self.marks[1:], strict=False))
        lines = self.smi.communicate()[0].splitlines() if self.smi else []
        return {"seconds": [begin.elapsed_time(end) / 1000 if torch.cuda.is_available() else end - begin
                            for begin, end in pairs],
                "lengths": [lengths.tolist() for lengths in self.lengths],
                "busy": [[float(figure) for figure in line.split(",")] for line in lines]}

    @staticmethod
    def _mark():
        if not torch.cuda.is_available():
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def train(script: str, flags: list[str]) -> dict:
    """Run a script as it is, but for what it would write and the texts after the epoch; see :class:`Steps`."""
    steps, told = Steps(), {}

    def prepare(self, *arguments, callbacks, **named):
        of_lightning(self, *arguments, callbacks=[*callbacks, steps], num_sanity_val_steps=0, **named)

    def nothing(*_, **__):
        pass

    of_lightning = trainer.Trainer.__init__
    with (patch.object(trainer.Trainer, "__init__", prepare), patch.object(trainer.Trainer, "save_checkpoint", nothing),
          patch.object(trainer.Trainer, "_finish", nothing), patch.object(RunFolder, "check_room", nothing),
          patch("ratsnlp.nlpbook.generation.sample_callback.SampleTexts.on_train_epoch_end", nothing),
          patch.object(MemoryCheck, "tell", lambda self: told.update(told_bytes=self.needs.total)),
          patch.object(sys, "argv", [script, *map(str, flags)])):
        runpy.run_path(str(Path(__file__).parents[1] / script), run_name="__main__")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {**steps.result(), **told, "peak_bytes": peak_bytes(), "device": device}


def write_corpus(bench: BenchArguments, folder: Path, batch_size: int) -> None:
    """The corpus up to ``bench.limit``, behind it ``LONG`` batches of reviews of reviews, and a few to validate on."""
    source = Path(bench.downstream_corpus_root_dir).expanduser() / bench.downstream_corpus_name
    header, *rows = nlpbook.read_documents(source / "ratings_train.txt")
    texts = [row.split("\t")[1] for row in rows]
    rows = rows[: bench.limit or None]
    long = [f"{number}\t{' '.join(texts[(7 * number + place) % len(texts)] for place in range(14))}\t{number % 2}"
            for number in range(LONG * batch_size)]
    folder.mkdir(parents=True)
    for name, written in (("train", [*rows, *long]), ("test", rows[:VALIDATED])):
        (folder / f"ratings_{name}.txt").write_text("\n".join([header, *written]) + "\n", encoding="utf-8")


def measure(bench: BenchArguments, way: str, batch_size: int, root: str) -> dict:
    script, more = GPU_WAYS[way]
    flags = {"downstream_corpus_root_dir": root, "downstream_corpus_name": "corpus", "epochs": 1, "save_steps": 0,
             "downstream_model_dir": Path(root) / way, "batch_size": batch_size, "seed": bench.seed, **more}
    return train(script, [f"--{name}={value}" for name, value in flags.items()])


def rate(found: dict, long: bool) -> tuple[float, float]:
    """Tokens a second, and seconds a step, of batches of reviews as they come or of ``long`` ones; NaN where there is
    none."""
    longest, steps = max(map(max, found["lengths"])), []
    for number, (seconds, lengths) in enumerate(zip(found["seconds"], found["lengths"], strict=True)):
        fits = min(lengths) >= 0.9 * longest if long else max(lengths) < 0.9 * longest
        if number >= WARM and fits:
            steps.append((seconds, sum(lengths)))
    steps = steps[LONG_WARM:] if long else steps
    seconds, tokens = (sum(kind) for kind in zip(*steps, strict=True)) if steps else (math.nan, math.nan)
    return tokens / seconds, seconds / max(len(steps), 1)


def main(bench: BenchArguments) -> None:
    found = []
    rows = [["", "배치", "초당 토큰", "스텝(ms)", "초당 토큰(긴 리뷰)", "스텝(ms)", "GPU 사용률", "전력(W)",
             "메모리(GB)", "알려 준 메모리(GB)"]]
    for way in [name for name in GPU_WAYS if not bench.only or name in bench.only]:
        for batch_size in bench.batch_sizes:
            with tempfile.TemporaryDirectory() as root:
                write_corpus(bench, Path(root) / "corpus", batch_size)
                row = alone(measure, bench, way, batch_size, root)
            rates = [*rate(row, long=False), *rate(row, long=True)]
            busy = [sum(kind) / len(kind) for kind in zip(*row["busy"], strict=True)] or [math.nan, math.nan]
            rows.append([way, str(batch_size), f"{rates[0]:,.0f}", f"{1000 * rates[1]:.0f}", f"{rates[2]:,.0f}",
                         f"{1000 * rates[3]:.0f}", f"{busy[0]:.0f}%", f"{busy[1]:.0f}", f"{row['peak_bytes'] / GB:.2f}",
                         f"{row['told_bytes'] / GB:.2f}"])
            known = [[None if math.isnan(figure) else figure for figure in kind] for kind in (rates, busy)]
            found.append({"way": way, "batch_size": batch_size, "rates": known[0], "busy": known[1],
                          **{name: row[name] for name in ("peak_bytes", "told_bytes", "device")}})
            print(*rows[-1], flush=True)
    print(f"\n{table(rows)}")
    print(json.dumps({"rows": found}, ensure_ascii=False))
