"""How a run tells of its progress: a bar in a terminal and in a notebook, lines in the log elsewhere."""

import io
import logging
import os
import re
import subprocess
import sys

import pytest
from helpers import SCRIPTS, run_fit
from transformers import AutoModelForCausalLM

from ratsnlp.nlpbook.generation import GenerationTask, Predictor, load_pretrained
from ratsnlp.nlpbook.training.model_files import save_model
from ratsnlp.nlpbook.training.progress import ProgressBar

ENGLISH = ("Epoch", "Training", "Validation", "Sanity", "DataLoader", "Loading weights", "Writing model")


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="ratsnlp")
    logging.getLogger("ratsnlp").propagate = True
    return caplog


def test_a_scripts_output_in_a_file_is_lines_in_korean(command, tmp_path):
    with open(tmp_path / "log", "wb") as file:
        done = subprocess.run(
            [sys.executable, SCRIPTS / "train_gen-0.py", *command, "--downstream_model_dir", tmp_path / "out",
             "--batch_size", "8", "--epochs", "2"], stdout=file, stderr=subprocess.STDOUT, check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    told = (tmp_path / "log").read_bytes().replace(os.linesep.encode(), b"\n").decode("utf-8")
    assert done.returncode == 0, told
    assert not re.search(r"[\r\x1b█]|%\|", told)
    assert not [word for word in ENGLISH if word in told]
    assert told.count("*** Example ***") == told.count("features: ") == 1
    assert re.findall(r"에폭 (\d/\d): 100%\((\d+)/", told) == [("1/2", "6"), ("2/2", "6")]
    (best,) = (tmp_path / "out").glob("epoch=*.ckpt")
    epoch = int(re.match(r"epoch=(\d)", best.name)[1]) + 1
    assert f"에폭 {epoch}의 체크포인트: {best.name}\n" in told


def test_a_terminal_shows_a_bar_in_korean_for_each_epoch(make_args, monkeypatch, capsys, log):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run_fit(make_args(epochs=2))
    told = capsys.readouterr().out
    assert not [word for word in ENGLISH if word in told]
    assert {"학습 전 점검", "검증", "에폭 1/2", "에폭 2/2"} == set(re.findall(r"\r([가-힣][^:]+):", told))
    assert told.endswith("\n")
    closed = {line[:6]: line for line in re.findall(r"\r(에폭 [^\r\n]+)\n", told)}
    assert list(closed) == ["에폭 1/2", "에폭 2/2"]
    assert all(re.search(r": 100%\|█+\| 6/6, samples/s=.* val_loss=", line) for line in closed.values())
    assert "100%" not in log.text


class OutStream(io.StringIO):
    """What standard output and standard error are in a notebook."""

    __module__ = "ipykernel.iostream"


def test_a_notebook_shows_the_bar(make_args, monkeypatch):
    monkeypatch.setattr(sys, "stdout", OutStream())
    run_fit(make_args(epochs=1))
    assert "에폭 1/1: 100%|" in sys.stdout.getvalue()


def test_the_log_has_a_line_each_tenth_of_an_epoch_at_most(make_args, log, monkeypatch):
    monkeypatch.setattr(ProgressBar, "LINE_SECONDS", 0)
    run_fit(make_args(epochs=1, batch_size=3))
    assert re.findall(r"에폭 1/1: (\d+%\(\d+/16\)), samples/s=", log.text) == [
        "12%(2/16)", "25%(4/16)", "31%(5/16)", "43%(7/16)", "50%(8/16)", "62%(10/16)", "75%(12/16)", "81%(13/16)",
        "93%(15/16)", "100%(16/16)"]


def test_what_is_told_after_a_failure_begins_a_line(make_args, monkeypatch, capsys):
    def fail(self, batch, batch_idx):
        raise RuntimeError("full")

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(GenerationTask, "training_step", fail)
    with pytest.raises(RuntimeError, match="full"):
        run_fit(make_args())
    told = capsys.readouterr().out
    assert told.endswith("\n")
    assert "에폭 1/2:   0%|" in told


def test_transformers_bars_are_away_for_our_own_calls_alone(tiny_folder, tmp_path, capsys):
    model, tokenizer = load_pretrained(str(tiny_folder))
    save_model(tmp_path / "new/model", model, tokenizer)
    assert capsys.readouterr().err == ""
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "new/model")
    again.save_pretrained(tmp_path / "other")
    told = capsys.readouterr().err
    assert "Loading weights" in told
    assert "Writing model" in told


def test_predict_batch_shows_no_bar_in_a_file(tiny_folder, capsys, monkeypatch):
    predictor = Predictor(*load_pretrained(str(tiny_folder)))
    predictor.predict_batch(["영화", "음악"], max_new_tokens=2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", OutStream())
    predictor.predict_batch(["영화", "음악"], max_new_tokens=2)
    assert "생성: 100%" in sys.stderr.getvalue()
