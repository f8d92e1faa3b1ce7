"""What several tests use and is no fixture: places, small models and corpora, runs, scripts as their user runs them."""

import atexit
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
import pytest
import torch
from torch.utils._pytree import tree_leaves

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "task3-gen"
MINI = SCRIPTS / "data" / "mini"
HUB_NAMES = {1: "skt/kogpt2-base-v2", 2: "skt/ko-gpt-trinity-1.2B-v0.5", 3: "EleutherAI/polyglot-ko-1.3b"}


def tiny_config(kind: str, tokenizer):
    from transformers import GPT2Config, GPTNeoXConfig

    tokens = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3}
    if kind == "gpt2":
        return GPT2Config(
            n_positions=64, n_embd=32, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, **tokens)
    return GPTNeoXConfig(max_position_embeddings=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                         intermediate_size=64, **tokens)


def write_corpus(root: Path, train: int = 48, test: int = 12, name: str = "slice", source: Path = MINI) -> Path:
    """The first rows of a corpus under ``root/name``."""
    folder = root / name
    folder.mkdir(parents=True)
    for mode, rows in (("train", train), ("test", test)):
        lines = (source / f"ratings_{mode}.txt").read_text(encoding="utf-8").split("\n")
        (folder / f"ratings_{mode}.txt").write_text("\n".join(lines[: rows + 1]) + "\n", encoding="utf-8")
    return folder


def run_fit(args, model=None):
    """Train as the scripts do; returns the trainer and the task."""
    from torch.utils.data import DataLoader

    from ratsnlp import nlpbook
    from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTask, NsmcCorpus, load_model, load_tokenizer

    nlpbook.set_seed(args, quiet=True)
    tokenizer = load_tokenizer(args.pretrained_model_name)
    train = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
    test = GenerationDataset(args, tokenizer, NsmcCorpus(), "test")
    task = GenerationTask(model or load_model(args.pretrained_model_name, tokenizer), args)
    trainer = nlpbook.get_trainer(args)
    trainer.fit(
        task,
        train_dataloaders=DataLoader(train, batch_size=args.batch_size, collate_fn=nlpbook.data_collator,
                                     sampler=nlpbook.LengthGroupedSampler(train, args)),
        val_dataloaders=DataLoader(test, batch_size=args.batch_size, collate_fn=nlpbook.data_collator,
                                   sampler=nlpbook.LengthGroupedSampler(test, args)))
    return trainer, task


def last_checkpoint(folder: Path) -> dict:
    return torch.load(folder / "last.ckpt", weights_only=True)


def assert_same_run(folder: Path, whole: Path):
    """The run in ``folder`` ended as the one in ``whole``: weights, optimizer, random state, losses and names."""
    there, expected = last_checkpoint(folder), last_checkpoint(whole)
    assert there["global_step"] == expected["global_step"]
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(there["state_dict"][name], tensor), name
    states = [[part["state"] for part in run["optimizer_states"][0].get("parts", run["optimizer_states"])]
              for run in (expected, there)]
    for whole_state, state in zip(*states, strict=True):
        assert whole_state.keys() == state.keys()
        assert whole_state
        for name, moments in whole_state.items():
            assert all(torch.equal(*map(torch.as_tensor, pair)) for pair in zip(
                tree_leaves(state[name]), tree_leaves(moments), strict=True))
    assert there["callbacks"]["LossWatch"]["curve"] == expected["callbacks"]["LossWatch"]["curve"]
    assert torch.equal(there["callbacks"]["LastCheckpoint"]["random"]["torch"],
                       expected["callbacks"]["LastCheckpoint"]["random"]["torch"])
    records = [json.loads((path / "train_record.json").read_text(encoding="utf-8")) for path in (folder, whole)]
    epochs = [[{**epoch, "seconds": 0} for epoch in record["epochs"]] for record in records]
    assert epochs[0] == epochs[1]
    assert records[0]["best_checkpoint"] == records[1]["best_checkpoint"]
    names = [sorted(path.name for path in where.glob("epoch=*")) for where in (folder, whole)]
    assert names[0] == names[1]


class Mischief:
    """What makes the folder ``target`` when it is unpickled: code in a checkpoint."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: what a full disk is to the program, and to the scripts that it starts."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@contextmanager
def http_server(handler) -> Iterator[http.server.HTTPServer]:
    """A web server on this machine, on a port of its own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class StaticFiles(http.server.SimpleHTTPRequestHandler):
    """The files of a ``directory``, with the types said (Windows' registry has others), and nothing in the log."""

    extensions_map = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
                      "": "application/octet-stream"}

    def log_message(self, *_):
        pass


@contextmanager
def listening(app) -> Iterator[int]:
    """The port on which waitress serves ``app``, in this process."""
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0, threads=64, channel_request_lookahead=1)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield server.effective_port
    finally:
        server.close()


def run_script(script: str, *flags, cwd=None, env=None, forked: bool = True) -> subprocess.CompletedProcess:
    """Run a script of ``task3-gen`` as its user would, in a process of its own.

    With no ``env`` that process is a fork of one which has imported Lightning already (:mod:`fork_server`): that takes
    eight seconds each time. Where forks or limits of the process matter (Windows, :func:`files_up_to`) it is not.
    """
    command = [str(SCRIPTS / script), *map(str, flags)]
    if forked and not env and hasattr(os, "fork") and not _limited():
        return fork_server().run(command, cwd or os.getcwd())
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})}, timeout=300, check=False)


def _limited() -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


killable = pytest.mark.skipif(sys.platform == "win32", reason="Windows에는 이 신호가 없습니다.")


def killed(number, when, script: str, *flags):
    """Run a script in a fork, which gets the signal as soon as ``when()`` is true; what became of it."""
    done, server = [], psutil.Process(fork_server().process.pid)
    before = {child.pid for child in server.children()}
    runner = threading.Thread(target=lambda: done.append(run_script(script, *flags)))
    runner.start()
    deadline = time.monotonic() + 120
    while not when():
        assert runner.is_alive(), done
        assert time.monotonic() < deadline
        time.sleep(0.005)
    (child,) = [child for child in server.children() if child.pid not in before]
    child.send_signal(number)
    runner.join(60)
    return done[0]


def later_than(file, steps: int):
    """Whether the checkpoint ``file`` has been written after so many steps."""
    def reached() -> bool:
        try:
            return last_checkpoint(file.parent)["global_step"] > steps
        except (OSError, RuntimeError, EOFError):
            return False
    return reached


def check_help(script: str, *words: str) -> None:
    """Its help is Korean throughout, and has these ``words`` too."""
    done = run_script(script, "--help")
    assert done.returncode == 0
    told = " ".join(done.stdout.split())
    assert not re.search(r"usage:|options:|show this help", told)
    for each in ("사용법: ", "배우는 것", *words):
        assert each in told


@contextmanager
def chromium(profile: Path, *flags: str):
    """A Selenium driver of Debian's Chromium that reaches nothing but this machine. Where there is none, a test is
    skipped, and fails on the machine that has to have one."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("Chromium과 ChromeDriver가 없습니다: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
                 "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def wait(browser, condition, seconds: float = 30):
    """What ``condition()`` gives once it is true; raises TimeoutException where it is not within so many seconds."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda _: condition())


def text_of(browser, selector: str) -> str:
    """The text of an element as it is, without what CSS does to it."""
    return browser.find_element("css selector", selector).get_property("textContent")


class ForkServer:
    """The process of :mod:`fork_server`, which runs one script after another, with ``environment`` besides."""

    def __init__(self, **environment: str):
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("fork_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment})

    def run(self, command: list[str], cwd) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {"command": command, "cwd": str(cwd), "out": str(out), "err": str(err)}
            print(json.dumps(request), file=self.process.stdin, flush=True)
            code = int(self.process.stdout.readline())
            return subprocess.CompletedProcess(
                command, code, *(file.read_text(encoding="utf-8", errors="replace") for file in (out, err)))


@cache
def fork_server() -> ForkServer:
    server = ForkServer()
    atexit.register(server.process.terminate)
    return server


def user_error(completed: subprocess.CompletedProcess, code: int = 2) -> str:
    """The one line that a user's mistake ends with; asserts that it is all there is to it."""
    lines = [line for line in completed.stderr.splitlines() if line.startswith("오류: ")]
    assert completed.returncode == code, completed.stderr[-3000:]
    assert "Traceback" not in completed.stderr
    assert len(lines) == 1, completed.stderr[-3000:]
    return lines[0]


def post(port, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Served:
    """A script that serves, running on a port of its own."""

    def __init__(self, script, *flags, env=None, cwd=None):
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS / script, *map(str, flags), "--port", "0"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})}, cwd=cwd)

    def __enter__(self):
        line = next((line for line in self.process.stdout if line.startswith("웹 페이지: ")), "")
        found = re.search(r"웹 페이지: http://127\.0\.0\.1:(\d+)", line)
        assert found, line + self.process.communicate(timeout=60)[1]
        self.port = int(found[1])
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        _, stderr = self.process.communicate(timeout=60)
        assert "Traceback" not in stderr, stderr
        assert sys.platform == "win32" or self.process.returncode == 0


KOBART = "digit82/kobart-summarization"


def kobart_tokenizer(lines: list[str], vocab_size: int = 1500):
    """A tokenizer of KoBART's kind: BPE over words that begin with ▁, neither bos nor eos around a text, no line break,
    no placeholders."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, show_progress=False))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        mask_token="<mask>")


def save_kobart(folder: Path, tokenizer, **changes):
    """Write config and weights as KoBART's kin on the hub have them (the weights a pickle, what generation needs in
    config.json, where bos is eos), narrow and random, with ``changes`` of the configuration; returns the model."""
    from transformers import BartConfig, BartForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    ids = {"bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1, "forced_eos_token_id": 1,
           "pad_token_id": 3}
    shape = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in {
        "layers": 2, "attention_heads": 2, "ffn_dim": 64}.items()}
    config = {"model_type": "bart", "architectures": ["BartForConditionalGeneration"], "is_encoder_decoder": True,
              "vocab_size": len(tokenizer), "d_model": 32, "max_position_embeddings": 1026, "dropout": 0.1,
              "activation_function": "gelu", **shape, **ids, **changes}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(0)
    model = BartForConditionalGeneration(BartConfig.from_pretrained(folder))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model.eval()


def run_sum(args, load=None):
    """Train as the scripts of dialogues do; returns the trainer and the task. ``load`` stands for load_model."""
    from torch.utils.data import DataLoader

    from ratsnlp import nlpbook
    from ratsnlp.nlpbook import summarization

    nlpbook.set_seed(args, quiet=True)
    tokenizer = summarization.load_tokenizer(args)
    datasets = [summarization.DialogueDataset(args, tokenizer, summarization.DialogueCorpus(), mode)
                for mode in ("train", "val")]
    model = (load or summarization.load_model)(args, tokenizer)
    summarization.add_adapter(model, tokenizer, args, new_tokens=args.special_tokens)
    task = summarization.SummarizationTask(model, args)
    trainer = nlpbook.get_trainer(args)
    trainer.fit(task, *(DataLoader(dataset, batch_size=args.batch_size, collate_fn=dataset.collate,
                                   sampler=nlpbook.LengthGroupedSampler(dataset, args)) for dataset in datasets))
    return trainer, task
