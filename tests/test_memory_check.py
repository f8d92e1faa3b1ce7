"""What is said of the memory before a training, and when it has run out."""

import logging
import subprocess
import sys

import pytest
import torch
from helpers import SCRIPTS, run_fit

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.devices import resolve_device, tell_unused_gpu
from ratsnlp.nlpbook.errors import is_out_of_memory
from ratsnlp.nlpbook.generation import GenerationTask

GB = 10**9


def memory_of(monkeypatch, free: int, everything: int):
    monkeypatch.setattr("ratsnlp.nlpbook.training.memory_check.free_memory", lambda _: (free, everything))


def test_a_training_that_fits_says_what_it_needs(make_args, caplog, monkeypatch):
    memory_of(monkeypatch, 2 * GB, 4 * GB)
    with caplog.at_level(logging.INFO, logger="ratsnlp"):
        run_fit(make_args(epochs=1))
    (line,) = (record for record in caplog.records if record.message.startswith("메모리: "))
    assert line.levelname == "INFO"
    assert "남은 것: 2.0GB" in line.message


def test_one_that_may_not_fit_is_warned_of_with_flags_that_help_and_goes_on(make_args, tmp_path, caplog, monkeypatch):
    memory_of(monkeypatch, 2_000_000, 4 * GB)
    run_fit(make_args(epochs=1, batch_size=16))
    (line,) = (record for record in caplog.records if record.message.startswith("메모리: "))
    assert line.levelname == "WARNING"
    assert "--batch_size" in line.message
    assert "--gradient_accumulation_steps" in line.message
    assert list((tmp_path / "out").glob("epoch=*.ckpt"))


def test_one_whose_weights_alone_are_too_many_is_refused(make_args, tmp_path, monkeypatch):
    memory_of(monkeypatch, 100_000, 200_000)
    with pytest.raises(UserError, match=r"^메모리: .*모두 0MB.*--lora_r") as told:
        run_fit(make_args(epochs=1))
    assert "\n" not in str(told.value)
    assert not list((tmp_path / "out").glob("*.ckpt"))


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                 "to allocate 400 bytes. Error code 12 (Cannot allocate memory)")])
def test_out_of_memory_is_told_with_the_figures(make_args, monkeypatch, error):
    def fail(self, batch, batch_idx):
        raise error

    monkeypatch.setattr(GenerationTask, "training_step", fail)
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("a bug"))
    with pytest.raises(UserError, match=r"메모리가 부족해 학습을 멈췄습니다. 메모리: \d+MB쯤 필요합니다"):
        run_fit(make_args(epochs=1))


@pytest.mark.skipif(sys.platform == "win32", reason="프로세스의 메모리를 제한할 수 없습니다.")
def test_a_script_that_runs_out_of_memory_ends_with_one_line(command, tmp_path):
    """For real: the process may have 400 MB beyond what it has when it begins to train."""
    limited = f"""
import resource, runpy, sys
from pathlib import Path
from pytorch_lightning import Trainer
fit = Trainer.fit
def limited(*arguments, **named):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 10**8, resource.RLIM_INFINITY))
    return fit(*arguments, **named)
Trainer.fit = limited
sys.argv = {[str(SCRIPTS / 'train_gen-0.py'), *command, '--downstream_model_dir', str(tmp_path / 'out')]!r}
sys.argv += ["--pretrained_model_name", "kogpt-mini", "--batch_size", "48", "--max_seq_length", "96"]
sys.path.insert(0, {str(SCRIPTS)!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("오류: "))
    assert "메모리가 부족해 학습을 멈췄습니다" in line


def test_a_gpu_that_is_left_unused_is_told_once(tmp_path, monkeypatch, caplog):
    tell_unused_gpu.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert resolve_device() == "cpu"
    assert not caplog.records
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    for cuda, cure in ((None, "CPU용입니다. README의 'GPU'"), ("13.0", "CUDA Version이 13.0 이상인지")):
        tell_unused_gpu.cache_clear()
        monkeypatch.setattr(torch.version, "cuda", cuda)
        resolve_device()
        resolve_device()
        assert cure in caplog.text
    assert len(caplog.records) == 2
    tell_unused_gpu.cache_clear()
