"""The shapes of the models that people bring to train.py (docs/large_models.md), made tiny: each is trained, killed,
resumed, evaluated, written with and served, whole and with a LoRA."""

import json
import logging
import runpy
import sys

import pytest
import torch
from families import FAMILIES, build
from helpers import SCRIPTS, assert_same_run, last_checkpoint, write_corpus
from peft import PeftModel
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from ratsnlp.nlpbook import UserError, generation
from ratsnlp.nlpbook.generation import (
    GenerationExample,
    GenerationTask,
    load_pretrained,
    load_tokenizer,
    save_tokenizer,
)
from ratsnlp.nlpbook.generation.features import TokenStore
from ratsnlp.nlpbook.run_folder import best_checkpoint

TIED = {"tie_word_embeddings": True}
SHAPES = {  # kind, what differs in its configuration, whether the tokenizer puts a bos before each text
    "HyperCLOVAX-SEED, Midm-2.0-Mini": ("llama", TIED, False),
    "Tri-0.5B": ("llama", {}, False),
    "kanana-1.5": ("mistral", TIED, True),  # as which its llama is read; three heads of 16 on 32
    "Qwen3-0.6B": ("qwen3", TIED, False),
    "gemma-3-270m": ("gemma3_text", {
        "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}, True),
    "EXAONE-4.0-1.2B": ("exaone4", {**TIED, "sliding_window": None, "layer_types": ["full_attention"] * 2}, False),
    "kakaobrain/kogpt": ("gptj", {}, False),
    "polyglot-ko": ("gpt_neox", {}, False),
    "kogpt2": ("gpt2", {}, False),
}
TEXT = {"prompt": "긍정", "min_length": 14, "max_length": 14, "no_repeat_ngram_size": 1}  # greedily, no token twice


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory, documents):
    """A folder with a text of one's own, my.txt, and a small corpus, slice."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "my.txt").write_text("\n".join(documents[:24]), encoding="utf-8")
    write_corpus(folder)
    return folder


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs a script in this process, whose log it leaves as it was; returns what it prints."""
    log = logging.getLogger("ratsnlp")
    for name in ("handlers", "propagate", "level"):
        value = getattr(log, name)
        monkeypatch.setattr(log, name, list(value) if name == "handlers" else value)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(name: str, *flags) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [str(SCRIPTS / name), *map(str, flags)])
            capsys.readouterr()
            runpy.run_path(sys.argv[0], run_name="__main__")
        return capsys.readouterr().out

    return run


def with_bos(tokenizer, **names) -> PreTrainedTokenizerFast:
    """The tokenizer with a bos before each text, as those of Llama 3 and Gemma put it, and special tokens renamed."""
    state = tokenizer.backend_tokenizer.to_str()
    for name, token in names.items():
        state = state.replace(json.dumps(getattr(tokenizer, name)), json.dumps(token))
    backend = Tokenizer.from_str(state)
    bos = names.get("bos_token", tokenizer.bos_token)
    backend.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token, **names})


def save_base(folder, shape, tokenizer):
    kind, changes, bos = SHAPES[shape]
    build(kind, tokenizer, **changes).save_pretrained(folder)
    save_tokenizer(with_bos(tokenizer) if bos else tokenizer, folder)
    return folder


def train_broken(script, monkeypatch, after: int, *command):
    """Run a training that is killed in its step after ``after`` ones, then the same again."""
    step, left = GenerationTask.training_step, iter(range(after))

    def stepping(self, *arguments):
        if next(left, None) is None:
            raise Killed
        return step(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(GenerationTask, "training_step", stepping)
        script(*command)
    script(*command)


def served(script, monkeypatch, folder, *flags) -> str:
    """What serve_gen-0.py's app answers to a request for TEXT."""
    apps = []
    with monkeypatch.context() as patch:
        patch.setattr(generation, "run_web_service", lambda app, args: apps.append(app))
        script("serve_gen-0.py", "--downstream_model_dir", folder, *flags)
    answer = apps[0].test_client().post("/api", json={**TEXT, "temperature": 0})
    if "generation_service" in apps[0].extensions:
        apps[0].extensions["generation_service"].close()
    assert answer.status_code == 200, answer.json
    return answer.json["result"]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_goes_all_the_way(shape, tokenizer, data, tmp_path, script, monkeypatch):
    base = save_base(tmp_path / "base", shape, tokenizer)
    engine = ["--engine", "book"] if shape == "gemma-3-270m" else []  # its cache slides
    options = [f"--{name}={value}" for name, value in TEXT.items()]
    for lora in (0, 4):
        run, whole = tmp_path / f"run-{lora}", tmp_path / f"whole-{lora}"
        command = ["train.py", "--dataset_path", data / "my.txt", "--model_type", base, "--block_size", 32,
                   "--do_train", "--per_device_train_batch_size", 16, "--learning_rate", "1e-2", "--save_steps", 1,
                   "--num_train_epochs", 2, "--device", "cpu", "--lora_r", lora]
        script(*command, "--output_dir", whole)
        train_broken(script, monkeypatch, 4, *command, "--output_dir", run, "--resume")  # in the second epoch
        assert_same_run(run, whole)

        script("eval_gen.py", "--downstream_model_dir", run, "--downstream_corpus_root_dir", data,
               "--downstream_corpus_name", "slice", "--samples", 1, "--limit", 4)
        assert json.loads((run / "report.json").read_text(encoding="utf-8"))["bits_per_char"] > 0
        texts = [script("generate.py", "--model_name_or_path", folder, "--do_sample", "false", *options).strip()
                 for folder in (run, run / "huggingface")]
        texts.append(served(script, monkeypatch, run, *engine).strip())
        assert texts[0].startswith("긍정")
        assert len(texts[0]) > len("긍정")
        assert len(set(texts)) == 1, texts

    weights = last_checkpoint(run)["state_dict"]
    assert weights
    assert all("lora_" in name for name in weights)
    assert best_checkpoint(run).stat().st_size < (base / "model.safetensors").stat().st_size / 2
    (merged, _), (model, _) = load_pretrained(str(run / "huggingface")), load_pretrained(str(base))
    ids = torch.tensor([tokenizer.encode("긍정 정말 재미있는 영화")])
    with torch.no_grad():
        before, expected = model(ids).logits, merged(ids).logits
        adapted = PeftModel.from_pretrained(model, str(run / "adapter")).eval()(ids).logits
    torch.testing.assert_close(adapted, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(before, expected, atol=1e-2)


def test_a_run_whose_model_has_an_eos_of_its_own_is_served(tokenizer, data, tmp_path, script, monkeypatch):
    """kanana's is <|end_of_text|>, Gemma's <eos>: what the run's folder declares."""
    build("llama", tokenizer).save_pretrained(tmp_path / "base")
    save_tokenizer(with_bos(tokenizer, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>"), tmp_path / "base")
    script("train.py", "--dataset_path", data / "my.txt", "--model_type", tmp_path / "base", "--block_size", 32,
           "--do_train", "--num_train_epochs", 1, "--output_dir", tmp_path / "run")
    written = script("infer_gen-0.py", "--pretrained_model_name", tmp_path / "run/huggingface", "--only", 1,
                     "--input_sentence", "긍정")
    assert "긍정" in written
    assert served(script, monkeypatch, tmp_path / "run").startswith("긍정")


def test_contrast_knows_control_words_after_a_bos(tokenizer, data, tmp_path, script):
    base = save_base(tmp_path / "base", "kanana-1.5", tokenizer)
    script("train_gen-0.py", "--pretrained_model_name", base, "--downstream_corpus_root_dir", data,
           "--downstream_corpus_name", "slice", "--max_seq_length", 32, "--epochs", 1, "--recipe", "contrast",
           "--downstream_model_dir", tmp_path / "run")


def test_a_text_begins_with_its_bos_alone(tokenizer):
    """Its first token is predicted from the bos; the bos itself is none that counts."""
    store = TokenStore([GenerationExample("정말 재미있는 영화")], with_bos(tokenizer), 32, truncate=False)
    assert store.ids.tolist() == with_bos(tokenizer).encode("정말 재미있는 영화")


def test_a_configuration_that_transformers_refuses_is_one_line(tokenizer, tmp_path):
    """kanana-1.5's: a llama of 24 heads of 128 on 1,792."""
    config = {**FAMILIES["mistral"], "model_type": "llama", "vocab_size": len(tokenizer)}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(UserError, match="hidden size"):
        load_pretrained(str(tmp_path))


def test_kogpts_eos_is_found_where_its_tokenizer_declares_none(tokenizer, tmp_path):
    with_bos(tokenizer, bos_token="[BOS]", eos_token="[EOS]").backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(str(tmp_path)).eos_token == "[EOS]"
