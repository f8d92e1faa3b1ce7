"""Fixtures. This file alone knows where outside data may lie: NSMC_ROOT and HUB_ROOT, else a folder ``shared`` beside the repository."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "task3-gen"
MINI = SCRIPTS / "data" / "mini"
SHARED = REPOSITORY.parent / "shared"
HUB_NAMES = {1: "skt/kogpt2-base-v2", 2: "skt/ko-gpt-trinity-1.2B-v0.5", 3: "EleutherAI/polyglot-ko-1.3b"}

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would the servers started here


@pytest.fixture(scope="session")
def nsmc() -> Path:
    """The folder of the real NSMC."""
    folder = Path(os.environ.get("NSMC_ROOT", SHARED / "data")) / "nsmc"
    if not (folder / "ratings_train.txt").is_file():
        pytest.skip(f"진짜 NSMC가 {folder}에 없습니다. NSMC_ROOT로 알려 주면 시험합니다.")
    return folder


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Path:
    """An HF_HOME in which the three hub models resolve: the real tokenizers, the real architectures made narrow, random weights."""
    source = Path(os.environ.get("HUB_ROOT", SHARED / "hub"))
    if not source.is_dir():
        pytest.skip(f"허브 모델의 설정과 토크나이저가 {source}에 없습니다. HUB_ROOT로 알려 주면 시험합니다.")
    from transformers import AutoConfig, AutoModelForCausalLM

    home = tmp_path_factory.mktemp("hf")
    narrow = {"gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_inner": 64},
              "gpt_neox": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}}
    for name in HUB_NAMES.values():
        folder = name.replace("/", "--")
        cache = home / "hub" / f"models--{folder}"
        snapshot = cache / "snapshots" / ("0" * 40)
        shutil.copytree(source / folder, snapshot)
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text("0" * 40)
        if not (snapshot / "tokenizer.json").exists():  # Trinity's own is not at hand; KoGPT2's has as many tokens
            shutil.copy(source / "skt--kogpt2-base-v2" / "tokenizer.json", snapshot)
        fields = json.loads((snapshot / "config.json").read_text(encoding="utf-8"))
        (snapshot / "config.json").write_text(json.dumps(fields | narrow[fields["model_type"]]))
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(snapshot), dtype=torch.float16)
        published = (snapshot / "config.json").read_text(encoding="utf-8")
        model.save_pretrained(snapshot)
        (snapshot / "config.json").write_text(published)
    return home


@pytest.fixture(scope="session")
def documents() -> list[str]:
    from ratsnlp.nlpbook.generation import NsmcCorpus

    return [example.text[3:] for example in NsmcCorpus().get_examples(MINI, "train")]


@pytest.fixture(scope="session")
def tokenizer(documents):
    from ratsnlp.nlpbook.generation import train_tokenizer

    return train_tokenizer(documents, 1200, words=("긍정", "부정"))


def tiny_config(kind: str, tokenizer):
    from transformers import GPT2Config, GPTNeoXConfig

    tokens = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3}
    if kind == "gpt2":
        return GPT2Config(n_positions=64, n_embd=32, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, **tokens)
    return GPTNeoXConfig(max_position_embeddings=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                         **tokens)


@pytest.fixture(params=["gpt2", "gpt_neox"])
def tiny_model(request, tokenizer):
    """A small random model of either architecture."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(tiny_config(request.param, tokenizer), dtype=torch.float32)


@pytest.fixture(scope="session")
def tiny_folder(tokenizer, tmp_path_factory) -> Path:
    """A small random GPT-2 and its tokenizer in a folder, as ``--pretrained_model_name`` takes it."""
    from transformers import AutoModelForCausalLM

    from ratsnlp.nlpbook.generation import save_tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(tiny_config("gpt2", tokenizer)).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def write_corpus(root: Path, train: int = 48, test: int = 12, name: str = "slice", source: Path = MINI) -> Path:
    """The first rows of a corpus under ``root/name``."""
    folder = root / name
    folder.mkdir(parents=True)
    for mode, rows in (("train", train), ("test", test)):
        lines = (source / f"ratings_{mode}.txt").read_text(encoding="utf-8").split("\n")
        (folder / f"ratings_{mode}.txt").write_text("\n".join(lines[: rows + 1]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def make_args(tmp_path, tiny_folder):
    """``GenerationTrainArguments`` for a small corpus and the tiny model, with changes."""
    from ratsnlp.nlpbook.generation import GenerationTrainArguments

    def make(**changes):
        if not (tmp_path / "slice").exists():
            write_corpus(tmp_path)
        return GenerationTrainArguments(**{
            "pretrained_model_name": str(tiny_folder), "downstream_corpus_root_dir": str(tmp_path), "downstream_corpus_name": "slice",
            "downstream_model_dir": str(tmp_path / "out"), "max_seq_length": 32, "batch_size": 8, "epochs": 2, "learning_rate": 1e-3,
            "seed": 7, **changes})

    return make


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
        train_dataloaders=DataLoader(train, batch_size=args.batch_size, sampler=nlpbook.LengthGroupedSampler(train, args),
                                     collate_fn=nlpbook.data_collator),
        val_dataloaders=DataLoader(test, batch_size=args.batch_size, sampler=nlpbook.LengthGroupedSampler(test, args),
                                   collate_fn=nlpbook.data_collator))
    return trainer, task


@pytest.fixture(scope="session")
def finetuned_folder(tiny_folder, tmp_path_factory) -> Path:
    """What a short training of the tiny model leaves behind."""
    from ratsnlp.nlpbook.generation import GenerationTrainArguments

    root = tmp_path_factory.mktemp("finetuned")
    write_corpus(root)
    run_fit(GenerationTrainArguments(
        pretrained_model_name=str(tiny_folder), downstream_corpus_root_dir=str(root), downstream_corpus_name="slice",
        downstream_model_dir=str(root / "out"), max_seq_length=32, batch_size=8, epochs=1, learning_rate=1e-3, seed=7))
    return root / "out"


def run_script(script: str, *flags, cwd=None, env=None) -> subprocess.CompletedProcess:
    """Run a script of ``task3-gen`` as its user would."""
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, flags)], cwd=cwd, env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})},
        capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)


def user_error(completed: subprocess.CompletedProcess) -> str:
    """The one line that a user's mistake ends with; asserts that it is all there is to it."""
    lines = [line for line in completed.stderr.splitlines() if line.startswith("오류: ")]
    assert completed.returncode == 2, completed.stderr[-3000:]
    assert "Traceback" not in completed.stderr
    assert len(lines) == 1, completed.stderr[-3000:]
    return lines[0]


def post(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Served:
    """A ``serve_gen`` script running on a port of its own."""

    def __init__(self, script, *flags, env=None, cwd=None):
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS / script, *map(str, flags), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})}, cwd=cwd)

    def __enter__(self):
        line = self.process.stdout.readline()
        found = re.search(r"웹 페이지: http://127\.0\.0\.1:(\d+)", line)
        assert found, line + self.process.communicate(timeout=60)[1]
        self.port = int(found[1])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        _, stderr = self.process.communicate(timeout=60)
        assert "Traceback" not in stderr, stderr
