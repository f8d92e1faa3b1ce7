"""Fixtures. This file alone knows where outside data may lie: NSMC_ROOT and HUB_ROOT, else a folder ``shared`` beside
the repository."""

import atexit
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

# Before anything imports the hub's library: no test sees the user's own models. The fixture hub puts some there.
HUB_HOME = Path(tempfile.mkdtemp(prefix="hf-"))
atexit.register(shutil.rmtree, HUB_HOME, ignore_errors=True)
os.environ.update(HF_HOME=str(HUB_HOME), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import pytest  # noqa: E402
import torch  # noqa: E402

pytest.register_assert_rewrite("helpers")
from chat_models import LLAMA, QWEN, save_chat_model  # noqa: E402
from helpers import (  # noqa: E402
    HUB_NAMES,
    KOBART,
    MINI,
    REPOSITORY,
    kobart_tokenizer,
    run_fit,
    run_sum,
    save_kobart,
    tiny_config,
    write_corpus,
)

SHARED = REPOSITORY.parent / "shared"

# A shell's background job ignores it, and so would the servers started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--all-answers", action="store_true", help="실습의 답 목록을 전부 채점합니다(몇 분 걸립니다)")


def snapshot_of(name: str) -> Path:
    """The folder under HUB_HOME in which the hub's library looks for the model of this ``name``; not there yet."""
    cache = HUB_HOME / "hub" / f"models--{name.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    return cache / "snapshots" / ("0" * 40)


@pytest.fixture(scope="session")
def nsmc() -> Path:
    """The folder of the real NSMC."""
    folder = Path(os.environ.get("NSMC_ROOT", SHARED / "data")) / "nsmc"
    if not (folder / "ratings_train.txt").is_file():
        pytest.skip(f"NSMC 전체가 {folder}에 없습니다. NSMC_ROOT로 알려 주면 테스트합니다.")
    return folder


@pytest.fixture(scope="session")
def hub() -> Path:
    """An HF_HOME in which the three hub models resolve: the real tokenizers, the real architectures made narrow,
    random weights."""
    source = Path(os.environ.get("HUB_ROOT", SHARED / "hub"))
    if not source.is_dir():
        pytest.skip(f"허브 모델의 설정과 토크나이저가 {source}에 없습니다. HUB_ROOT로 알려 주면 테스트합니다.")
    from transformers import AutoConfig, AutoModelForCausalLM

    narrow = {
        "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_inner": 64},
        "gpt_neox": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}}
    for name in HUB_NAMES.values():
        folder = name.replace("/", "--")
        snapshot = snapshot_of(name)
        shutil.copytree(source / folder, snapshot)
        if not (snapshot / "tokenizer.json").exists():  # Trinity's own is not at hand; KoGPT2's has as many tokens
            shutil.copy(source / "skt--kogpt2-base-v2" / "tokenizer.json", snapshot)
        fields = json.loads((snapshot / "config.json").read_text(encoding="utf-8"))
        (snapshot / "config.json").write_text(json.dumps(fields | narrow[fields["model_type"]]))
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(snapshot), dtype=torch.float16)
        published = (snapshot / "config.json").read_text(encoding="utf-8")
        model.save_pretrained(snapshot)
        (snapshot / "config.json").write_text(published)
    return HUB_HOME


@pytest.fixture(scope="session")
def documents() -> list[str]:
    from ratsnlp.nlpbook.generation import NsmcCorpus

    return [example.text[3:] for example in NsmcCorpus().get_examples(MINI, "train")]


@pytest.fixture(scope="session")
def tokenizer(documents):
    from ratsnlp.nlpbook.generation import train_tokenizer

    return train_tokenizer(documents, 1200, words=("긍정", "부정"))


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


@pytest.fixture
def make_args(tmp_path, tiny_folder):
    """``GenerationTrainArguments`` for a small corpus and the tiny model, with changes."""
    from ratsnlp.nlpbook.generation import GenerationTrainArguments

    def make(**changes):
        if not (tmp_path / "slice").exists():
            write_corpus(tmp_path)
        return GenerationTrainArguments(**{
            "pretrained_model_name": str(tiny_folder), "downstream_corpus_root_dir": str(tmp_path),
            "downstream_corpus_name": "slice", "downstream_model_dir": str(tmp_path / "out"), "max_seq_length": 32,
            "batch_size": 8, "epochs": 2, "learning_rate": 1e-3, "seed": 7, **changes})

    return make


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


@pytest.fixture(scope="module")
def mini_service():
    """A service of kogpt-mini, as it is before fine-tuning."""
    from ratsnlp.nlpbook.generation import GenerationService, load_pretrained

    service = GenerationService(*load_pretrained("kogpt-mini"))
    yield service
    service.close()


@pytest.fixture
def command(tmp_path, tiny_folder) -> list[str]:
    """``train_gen-0.py``'s flags for a small corpus and the tiny model; where to and how long is the test's to add."""
    write_corpus(tmp_path)
    return ["--pretrained_model_name", str(tiny_folder), "--downstream_corpus_root_dir", str(tmp_path),
            "--downstream_corpus_name", "slice", "--max_seq_length", "32"]


@pytest.fixture(scope="session")
def figures() -> dict:
    """What the genuine ratsnlp 1.0.53 gave, as tests/genuine/record.py wrote it down."""
    return json.loads((REPOSITORY / "tests" / "genuine" / "figures.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def genuine_folder(figures, tmp_path_factory) -> Path:
    """The genuine checkpoint under the name that it had, and, as its package left none beside it, config and tokenizer
    elsewhere."""
    from genuine import record

    from ratsnlp.nlpbook.generation import save_tokenizer

    folder = tmp_path_factory.mktemp("genuine")
    (folder / "checkpoints").mkdir()
    checkpoint = (record.HERE / record.CHECKPOINT).read_bytes()
    (folder / "checkpoints" / figures["best_checkpoint"]).write_bytes(checkpoint)
    record.build_config().save_pretrained(folder / "model")
    save_tokenizer(record.build_tokenizer(), folder / "model")
    return folder


@pytest.fixture(scope="session")
def dialogue_root(tmp_path_factory) -> Path:
    """The folder of a small corpus ``talk`` of made dialogues: 24 to learn from, 6 to validate on."""
    from ratsnlp.nlpbook.summarization import made_dialogues, write_dialogues

    root = tmp_path_factory.mktemp("dialogues")
    write_dialogues(root / "talk/train.csv", made_dialogues(24, 7))
    write_dialogues(root / "talk/dev.csv", made_dialogues(6, 8, held_out=True))
    return root


@pytest.fixture(scope="session")
def kobart(tmp_path_factory) -> Path:
    """A narrow random model in the shape of digit82/kobart-summarization, in a folder and under its name on the hub."""
    from ratsnlp.nlpbook.summarization import made_dialogues

    lines = [line for made in made_dialogues(400, 7) for line in (*made.dialogue.splitlines(), made.summary)]
    tokenizer = kobart_tokenizer(lines)
    folder = snapshot_of(KOBART)
    save_kobart(folder, tokenizer, init_std=0.3)  # so that what it writes differs from dialogue to dialogue
    tokenizer.save_pretrained(folder)
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("kobart"), dirs_exist_ok=True))


@pytest.fixture(scope="session")
def chat_models() -> dict[str, Path]:
    """Narrow random models in the shape of Llama 3.2 and Qwen3, under their names on the hub: the folder of each."""
    from ratsnlp.nlpbook.summarization import made_dialogues

    lines = [line for made in made_dialogues(400, 7) for line in (*made.dialogue.splitlines(), made.summary)]
    folders = {name: snapshot_of(name) for name in (LLAMA, QWEN)}
    for name, folder in folders.items():
        save_chat_model(folder, name, lines)
    return folders


def sum_args_of(kobart: Path, dialogue_root: Path, out: Path, **changes):
    from ratsnlp.nlpbook.summarization import SummarizationTrainArguments

    return SummarizationTrainArguments(**{
        "pretrained_model_name": str(kobart), "downstream_corpus_root_dir": str(dialogue_root),
        "downstream_corpus_name": "talk", "downstream_model_dir": str(out), "encoder_max_len": 256,
        "decoder_max_len": 48, "batch_size": 4, "epochs": 2, "learning_rate": 5e-3, "seed": 7, **changes})


@pytest.fixture
def sum_args(kobart, dialogue_root, tmp_path):
    """``SummarizationTrainArguments`` for the small corpus and the narrow model, with changes."""
    return lambda **changes: sum_args_of(kobart, dialogue_root, tmp_path / "out", **changes)


@pytest.fixture(scope="session")
def summary_run(kobart, dialogue_root, tmp_path_factory):
    """What a short training of the narrow model leaves behind: the folder, the model as it was then, its args."""
    folder = tmp_path_factory.mktemp("summary-run") / "out"
    args = sum_args_of(kobart, dialogue_root, folder, epochs=3, save_top_k=3, learning_rate=1e-3)
    return folder, run_sum(args)[1].model.eval(), args
