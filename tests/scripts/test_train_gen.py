"""train_gen-0.py as its user runs it, where not all goes well: a rate too high, a full disk, Ctrl-C, no network."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers import SCRIPTS, files_up_to, run_script, user_error

from ratsnlp.nlpbook.generation import load_finetuned


@pytest.fixture
def to_out(command, tmp_path) -> list[str]:
    """The command line of a run whose results go to ``tmp_path/out``."""
    return [*command, "--downstream_model_dir", str(tmp_path / "out")]


def test_a_run_with_an_absurd_learning_rate_ends_with_advice_and_keeps_good_weights(to_out, tmp_path):
    line = user_error(run_script("train_gen-0.py", *to_out, "--batch_size", "4", "--save_steps", "1",
                                 "--learning_rate", "1", "--epochs", "20"))
    assert "learning_rate(1.0)를 절반 이하로" in line
    assert "스텝에서 학습을 멈췄습니다" in line
    assert json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))["state"] == "failed"
    weights = torch.load(tmp_path / "out/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(to_out, tmp_path):
    once = [*to_out, "--batch_size", "8", "--epochs", "1"]
    assert run_script("train_gen-0.py", *once).returncode == 0
    checkpoint = next((tmp_path / "out").glob("epoch=*.ckpt"))
    before = checkpoint.read_bytes()
    with files_up_to(100_000):  # the script inherits it
        line = user_error(run_script("train_gen-0.py", *once, "--learning_rate", "0.01"))
    assert "디스크 공간이 부족해" in line
    assert checkpoint.read_bytes() == before
    assert len(list((tmp_path / "out").glob("epoch=*.ckpt"))) == 1
    assert not [path for path in (tmp_path / "out").iterdir() if "tmp" in path.name]
    load_finetuned(tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows에서는 다른 프로세스에 Ctrl-C를 보낼 수 없습니다.")
def test_ctrl_c_ends_tidily_and_keeps_the_last_checkpoint(to_out, tmp_path):
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "train_gen-0.py", *to_out, "--batch_size", "8", "--epochs", "100000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("epoch=*.ckpt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "중단했습니다. 마지막 체크포인트: " in stderr
    assert "--resume" in stderr
    assert json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))["state"] == "interrupted"
    load_finetuned(tmp_path / "out")


def test_wandb_on_request_without_a_network(to_out, tmp_path):
    pytest.importorskip("wandb")
    done = run_script("train_gen-0.py", *to_out, "--epochs", "1", "--wandb", "my-project",
                      env={"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "out/wandb").glob("offline-run-*/*.wandb"))
