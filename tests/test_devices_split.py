"""Several devices that share batches out: the texts and figures of one, and no process that is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest
import torch
from helpers import SCRIPTS, killable, run_script, write_corpus

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import (
    GenerationGenerateArguments,
    NsmcCorpus,
    Predictor,
    bits_per_character,
    sample_texts,
)
from ratsnlp.nlpbook.generation.replicas import _load_here, check_devices

PROMPTS = ["긍정", "부정 이 영화는", "정말 재미있는", "긍정 배우들의 연기가", "이", "부정", "또 보고 싶은"]
SHORT = {"batch_size": 2, "max_new_tokens": 12, "show_progress": False}


@pytest.fixture(scope="module")
def one(tiny_folder):
    return Predictor.from_pretrained(str(tiny_folder), "cpu")


@pytest.fixture(scope="module")
def two(tiny_folder):
    return Predictor.from_pretrained(str(tiny_folder), "cpu", devices=2)


def processes() -> list[psutil.Process]:
    """Those that compute here, without Python's own, which keeps count of what they share."""
    return list(filter(computes, psutil.Process().children()))


def computes(child: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # which has ended while we look
        return "spawn_main" in " ".join(child.cmdline())
    return False


@pytest.mark.parametrize("how", [
    {}, {"do_sample": True, "seed": 3}, {"num_beams": 2, "num_return_sequences": 2},
    {"top_k": 9, "seed": 3, "num_return_sequences": 3, "start": 2}])
def test_the_texts_are_those_of_one(one, two, how):
    whole = list(one.batches(PROMPTS, **SHORT, **how))
    assert len(whole) >= 4
    assert list(two.batches(PROMPTS, **SHORT, **how)) == whole
    assert two.fingerprint() == one.fingerprint()


def test_a_text_alone_and_a_table(one, two):
    pandas = pytest.importorskip("pandas")
    for seed in (0, 5):
        options = {"do_sample": True, "max_new_tokens": 12, "seed": seed}
        assert two.predict_single("긍정", **options) == one.predict_single("긍정", **options)
    table = pandas.DataFrame({"prompt": PROMPTS})
    assert two.predict_dataframe(table, **SHORT).equals(one.predict_dataframe(table, **SHORT))


def test_without_a_seed_the_batches_differ_and_follow_the_global_random_state(two):
    options = {**SHORT, "batch_size": 1, "do_sample": True}

    def drawn() -> list[str]:
        return two.predict_batch(["긍정"] * 6, **options)

    torch.manual_seed(0)
    first, second = drawn(), drawn()
    assert len(set(first)) > 3
    assert first != second
    torch.manual_seed(0)
    assert drawn() == first


def test_no_more_is_begun_than_can_be_held(two):
    begun = []

    def jobs():
        for number in range(40):
            begun.append(number)
            yield (number,)

    results = two.model.map(_number, jobs())
    for taken in range(40):
        assert next(results) == taken
        assert len(begun) <= taken + 2 * 2


def _number(model, tokenizer, number: int) -> int:
    return number


def test_an_evaluation_is_that_of_one(one, two, tmp_path):
    examples = NsmcCorpus().get_examples(write_corpus(tmp_path, test=40), "test")
    alone = bits_per_character(one.model, one.tokenizer, examples, 8)
    shared = bits_per_character(two.model, two.tokenizer, examples, 8)
    assert (shared["tokens"], shared["characters"]) == (alone["tokens"], alone["characters"])
    assert shared["bits_per_char"] == pytest.approx(alone["bits_per_char"], rel=1e-6)
    how = {"count": 7, "seed": 3, "max_new_tokens": 12, "batch_size": 4}
    alone = sample_texts(one.model, one.tokenizer, "긍정", **how)
    shared = sample_texts(two.model, two.tokenizer, "긍정", **how)
    assert shared[:4] == alone[:4]  # each batch after that has a seed of its own
    assert len(shared) == 7
    assert shared == sample_texts(two.model, two.tokenizer, "긍정", **how)
    assert len(set(shared)) > 4


def test_what_ends_them_and_that_they_begin_again(one, two):
    for _ in two.batches(PROMPTS, **SHORT):
        break
    _, alive = psutil.wait_procs(processes(), timeout=20)
    assert alive == []
    assert list(two.batches(PROMPTS, **SHORT)) == list(one.batches(PROMPTS, **SHORT))
    started = processes()
    assert len(started) == 2
    with pytest.raises(UserError, match="write: devices가 1이어야 하는데 2입니다."):
        two.predict_single("긍정", write=print)
    with pytest.raises(UserError, match="seed: 0 이상"):  # as it is told over there
        two.predict_batch(PROMPTS, **SHORT, seed=-1)
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []


def test_a_summary_keeps_its_models_own_settings(kobart):
    from ratsnlp.nlpbook.summarization import Predictor as Summaries

    talks = ["#Person1#: 영화 볼래?\n#Person2#: 좋아.", "#Person1#: 몇 시에?\n#Person2#: 세 시에 보자.",
             "#Person1#: 어디서 볼까?\n#Person2#: 도담극장."]
    options = {"batch_size": 1, "num_beams": 3, "max_new_tokens": 12, "show_progress": False}
    alone, shared = (Summaries.from_pretrained(str(kobart), "cpu", devices=devices) for devices in (1, 2))
    for early in (True, False):
        assert shared.predict_batch(talks, early_stopping=early, **options) == alone.predict_batch(
            talks, early_stopping=early, **options)


@pytest.mark.parametrize(("flags", "gpus", "message"), [
    ({"device": "cuda:1"}, 2, "devices: --device cuda:1는 장치 하나인데 2입니다. --device cuda로 적으세요."),
    ({"devices": 4}, 3, "devices: CUDA GPU가 3개라 3 이하여야 하는데 4입니다. CPU로 나누려면 --device cpu도 적으세요."),
    ({"stream": True}, 2, "stream: devices(2)와 함께 쓸 수 없습니다. 하나만 적으세요."),
    ({"chat": True, "prompt": None}, 2, "chat: devices(2)와 함께 쓸 수 없습니다. 하나만 적으세요."),
    ({"engine": "ctranslate2"}, 2,
     "devices: ctranslate2로는 1이어야 하는데 2입니다. --engine transformers로 실행하세요."),
    ({"devices": 0}, 2, "devices: 1 이상이어야 하는데 0입니다."),
    ({"devices": 2048}, 2, "devices: 1024 이하여야 하는데 2048입니다."),
])
def test_what_cannot_be_shared_out_is_told(monkeypatch, flags, gpus, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError) as error:
        GenerationGenerateArguments(**{"prompt": "긍정", "devices": 2, **flags})
    assert str(error.value) == message


def test_cpus_are_as_many_as_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_devices("cpu", 8)
    with pytest.raises(UserError, match="CUDA GPU가 1개라 1 이하여야 하는데 2입니다"):
        Predictor.from_pretrained("kogpt-mini", devices=2)
    with pytest.raises(UserError, match="devices: ctranslate2로는"):
        Predictor.from_pretrained("kogpt-mini", "cpu", "ctranslate2", devices=2)


def test_each_gpu_is_the_current_one_when_its_model_is_loaded(monkeypatch):
    """So that none is loaded on the first one, which all others would fill."""
    told = []
    monkeypatch.setattr(torch.cuda, "set_device", told.append)
    model = SimpleNamespace(to=lambda device: told.append(device) or "model")
    assert _load_here(lambda: told.append("load") or (model, "tokenizer"), "cuda", 3) == ("model", "tokenizer")
    assert told == [3, "load", "cuda"]


# The scripts


def test_eval_gen_reports_the_same_reviews(tiny_folder, tmp_path):
    write_corpus(tmp_path)
    command = ("--pretrained_model_name", tiny_folder, "--downstream_corpus_root_dir", tmp_path,
               "--downstream_corpus_name", "slice", "--samples", 12, "--device", "cpu", "--devices")
    reports = []
    for devices in (1, 2):
        done = run_script("eval_gen.py", *command, devices, "--report_dir", tmp_path / str(devices))
        assert done.returncode == 0, done.stderr[-3000:]
        reports.append(json.loads((tmp_path / str(devices) / "report.json").read_text(encoding="utf-8")))
    assert reports[1]["bits_per_char"] == pytest.approx(reports[0]["bits_per_char"], rel=1e-6)
    for name in ("control", "diversity", "samples"):  # one batch of each word
        assert reports[1][name] == reports[0][name]


LONG = ["--length", "60", "--min_new_tokens", "60", "--top_k", "40", "--seed", "5", "--batch_size", "4",
        "--device", "cpu"]


class Running:
    """generate.py --devices 2 at work, once there are so many lines in its part."""

    def __init__(self, command: list[str], part, lines: int):
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS / "generate.py", *command, "--devices", "2"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"})
        deadline = time.monotonic() + 240
        while not part.exists() or part.read_bytes().count(b"\n") < lines:
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.children = psutil.Process(self.process.pid).children()
        self.workers = list(filter(computes, self.children))
        assert len(self.workers) == 2

    def ended(self) -> tuple[int, list[str]]:
        """The exit code and the lines that were said; every process has ended within seconds."""
        _, stderr = self.process.communicate(timeout=30)
        _, alive = psutil.wait_procs(self.children, timeout=20)
        assert alive == []
        assert "Traceback" not in stderr
        return self.process.returncode, [line for line in stderr.splitlines() if line]


@killable
def test_one_that_is_killed_ends_all_and_so_do_signals_and_the_texts_go_on_with_one_device(tmp_path):
    file, output, part = tmp_path / "프롬프트.txt", tmp_path / "a.jsonl", tmp_path / "a.jsonl.part"
    file.write_text("\n".join(f"긍정 {number}번째" for number in range(100)), encoding="utf-8")
    command = ["--input", str(file), "--output", str(output), *LONG]
    kept = f"를 {part}에 남겼습니다. 같은 명령에 --resume을 붙이면 이어서 합니다."

    running = Running(command, part, 3)
    running.workers[0].kill()
    code, lines = running.ended()
    assert (code, len(lines)) == (2, 2), lines
    assert kept in lines[0]
    assert lines[1].startswith("오류: devices: 장치를 맡은 프로세스 하나가 끝나서")

    command.append("--resume")
    running = Running(command, part, part.read_bytes().count(b"\n") + 1)
    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal sends it: to all of them
    code, lines = running.ended()
    assert (code, len(lines)) == (130, 1), lines
    assert kept in lines[0]

    running = Running(command, part, part.read_bytes().count(b"\n") + 1)
    running.process.kill()
    assert running.ended()[0] == -signal.SIGKILL

    assert part.read_bytes().count(b"\n") >= 5
    done = run_script("generate.py", *command, "--devices", 1)
    assert done.returncode == 0, done.stderr[-3000:]
    whole = tmp_path / "whole.jsonl"
    done = run_script("generate.py", "--input", file, "--output", whole, *LONG)
    assert done.returncode == 0, done.stderr[-3000:]
    assert output.read_bytes() == whole.read_bytes()
