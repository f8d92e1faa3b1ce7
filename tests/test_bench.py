import importlib
import json
import math
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import REPOSITORY, write_corpus
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from bench import gpu, speed
from bench.arguments import BenchArguments
from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTask, NsmcCorpus, load_model, load_tokenizer
from ratsnlp.nlpbook.training.layers import BYTE_EAGER, ByteDropout
from ratsnlp.nlpbook.training.precision import best_precision

REVIEWS, WIDTH, BATCH = 40, 60, 4


@pytest.fixture
def bench(tmp_path, tiny_folder):
    """What a quick run is told; ``tmp_path`` holds its copy of the corpus."""
    write_corpus(tmp_path)
    told = speed.BenchArguments(
        pretrained_model_name=str(tiny_folder), downstream_corpus_root_dir=str(tmp_path),
        downstream_corpus_name="slice", limit=REVIEWS, max_seq_length=WIDTH, epochs=1, batch_size=BATCH, rounds=1,
        learning_rate=5e-3)
    speed.copy_corpus(told, tmp_path)
    return told


@pytest.fixture
def in_process(monkeypatch):
    """Measure in this process: a new one for each measuring takes seconds."""
    monkeypatch.setattr(speed, "alone", lambda function, *arguments: function(*arguments))
    monkeypatch.delenv("GENUINE_RATSNLP_PYTHON", raising=False)


def test_table_and_json_tell_the_same_of_every_rung_and_rival(bench, in_process, capsys):
    pytest.importorskip("accelerate")
    speed.main(bench)
    printed = capsys.readouterr().out
    *lines, last = printed.splitlines()
    told = json.loads(last)
    names = [*speed.RUNGS, "trainer", "blocks"]
    assert [name for name in speed.NAMES if name in told] == names
    for name in names:
        (row,) = [line for line in lines if line.startswith(f"{name} {speed.NAMES[name]} ")]
        rate, tokens, fraction, bits, memory, ratio = row.split()[-6:]
        figures = told[name]
        assert math.isclose(figures["samples_per_second"] * figures["seconds"], REVIEWS)
        assert (rate, tokens) == (f"{figures['samples_per_second']:.1f}", f"{figures['tokens_per_second']:.1f}")
        assert fraction == f"{figures['flops_per_second'] / told['peak_flops'][told['precision'][name]]:.1%}"
        assert (bits, memory) == (f"{figures['val_bits_per_char']:.3f}", f"{figures['peak_bytes'] / 1e9:.2f}")
        assert ratio == f"{figures['tokens_per_second'] / told['book']['tokens_per_second']:.2f}"
    expected = told["standard"]["tokens_per_second"] / told["book"]["tokens_per_second"]
    assert told["ratios"]["tokens_per_second"] == expected
    headline = told["headline"]
    assert headline["bits_per_char"] == told["book"]["val_bits_per_char"]
    assert headline["book_seconds"] == told["book"]["seconds"]
    reached = [point["seconds"] for point in headline["way"] if point["bits"] <= headline["bits_per_char"]]
    assert headline["standard_seconds"] == (reached[0] if reached else None)
    assert ("배 빠릅니다" in printed) == (reached > [0])
    assert ("학습 전의 모델이 이미" in printed) == (reached[:1] == [0])
    assert not headline["speedup"] or f": {headline['speedup']:.1f}배 빠릅니다" in printed


@pytest.fixture
def rung(bench, tmp_path):
    """Train by a rung; what it computed."""

    def train(name):
        tokenizer = load_tokenizer(bench.pretrained_model_name)
        args = speed.train_arguments(bench, str(tmp_path), name)
        torch.manual_seed(0)
        dataset = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
        seen = SimpleNamespace(
            positions=0, token_types=False, logits=False, layers=False, real=int(dataset.lengths.sum()))

        def watch_body(module, inputs, named):
            if module.training:
                seen.positions += (inputs[0] if inputs else named["input_ids"]).numel()
                seen.layers |= ByteDropout in {type(part) for part in task.modules()}
                seen.attention = task.model.config._attn_implementation
                seen.token_types |= named.get("token_type_ids") is not None

        def watch_head(module, inputs, outputs):
            seen.logits |= module.training

        with speed.without(name) as grouped:
            task = GenerationTask(load_model(args.pretrained_model_name, tokenizer), args)
            task.model.base_model.register_forward_pre_hook(watch_body, with_kwargs=True)
            task.model.lm_head.register_forward_hook(watch_head)
            seen.precision = speed.fit(task, args, dataset, grouped, tokenizer, speed.Watch())
            seen.steps = task.trainer.global_step
            seen.fused = bool(task.trainer.optimizers[0].defaults["fused"])
        seen.bits = speed.make_judge(str(tmp_path), tokenizer)(task.model)
        return seen

    return train


def test_the_rungs_change_what_they_are_named_for(rung):
    seen = {name: rung(name) for name in speed.RUNGS}
    names = list(seen)
    assert seen["book"].positions == REVIEWS * WIDTH
    assert seen["book"].token_types
    assert not any(seen[name].token_types for name in names[1:])
    assert seen["real"].positions == REVIEWS * (WIDTH - 1)
    assert seen["real"].real < seen["group"].positions
    assert seen["group"].positions < seen["trim"].positions < seen["real"].positions
    assert {seen[name].positions for name in names[names.index("group"):-1]} == {seen["group"].positions}
    assert {seen[name].steps for name in names[:-1]} == {REVIEWS // BATCH}
    assert seen["standard"].steps == math.ceil(REVIEWS / (2 * BATCH))
    assert [name for name in names if seen[name].logits] == ["book", "real"]
    for kept, brought, off, on in (
            ("precision", "bf16", "32-true", best_precision()), ("fused", "fused", False, True),
            ("layers", "small", False, True), ("attention", "small", "sdpa", BYTE_EAGER)):
        assert [getattr(seen[name], kept) for name in names] == [
            on if names.index(name) >= names.index(brought) else off for name in names]
    # The tiny model has no dropout. Where the batches are the same, so is what was learnt: exactly, but for rounding.
    assert seen["trim"].bits == pytest.approx(seen["real"].bits, rel=1e-5)
    for name in ("bf16", "fused", "small"):
        assert seen[name].bits == pytest.approx(seen["group"].bits, rel=1e-3)
    assert abs(seen["real"].bits / seen["book"].bits - 1) > 1e-3


@pytest.mark.parametrize("name", ["trainer", "blocks"])
def test_the_rivals_learn_each_token_once_and_no_padding(name, bench, tmp_path, monkeypatch):
    pytest.importorskip("accelerate")
    given = SimpleNamespace()

    class Trainer:
        def __init__(self, model, arguments, collator, rows, callbacks):
            given.arguments, given.batch, given.rows = arguments, collator(rows), [row["input_ids"] for row in rows]
            self.callbacks = callbacks

        def train(self):
            for callback in self.callbacks:
                callback.on_train_begin()
                callback.on_train_end()

    # transformers puts another module in its own place when this is first imported.
    importlib.import_module("transformers.trainer")
    monkeypatch.setattr(sys.modules["transformers"], "Trainer", Trainer)
    tokenizer = load_tokenizer(bench.pretrained_model_name)
    args = speed.train_arguments(bench, str(tmp_path), name)
    dataset = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
    watch = speed.Watch()
    model = load_model(bench.pretrained_model_name, tokenizer)
    precision = speed.hugging_face(args, name, dataset, tokenizer, model, watch)
    assert precision == best_precision()
    assert given.arguments.bf16 == (precision == "bf16-mixed")
    assert watch.seconds > 0
    texts = [[*text.tolist(), tokenizer.eos_token_id][:WIDTH]
             for text in np.split(dataset.ids, dataset.features.offsets[1:-1])]
    learnt = [token for row in given.rows for token in row]
    tokens = {"trainer": len(learnt) / REVIEWS, "blocks": WIDTH}[name]
    a_step = given.arguments.per_device_train_batch_size * tokens
    assert a_step == pytest.approx(2 * BATCH * len(learnt) / REVIEWS, abs=WIDTH / 2)
    if name == "trainer":
        assert given.rows == texts
    else:
        flat = [token for text in texts for token in text]
        assert learnt == flat[: len(learnt)]
        assert len(flat) - len(learnt) < WIDTH
        assert {len(row) for row in given.rows} == {WIDTH}
    assert int((given.batch["labels"] != -100).sum()) == len(learnt)


def test_the_floating_point_operations_are_those_of_the_matrix_products():
    config = AutoConfig.from_pretrained(REPOSITORY / "task3-gen" / "kogpt-mini")
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    ids = torch.zeros(2, WIDTH, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(ids, use_cache=False).logits.sum().backward()
    assert counter.get_total_flops() == pytest.approx(ids.numel() * speed.flops_per_token(model, WIDTH), rel=0.01)


def test_the_headline_is_the_first_point_at_or_below_the_target():
    way = [{"seconds": second, "reviews": 0, "bits": bits} for second, bits in ((1, 5.0), (2, 4.0), (3, 4.2), (4, 3.9))]
    told = speed.head([{"seconds": 30.0}], [way], 4.0)
    assert (told["standard_seconds"], told["speedup"]) == (2, 15.0)
    told = speed.head([{"seconds": 30.0}], [way], 1.0)
    assert told["standard_seconds"] is None
    assert told["speedup"] is None
    told = speed.head([{"seconds": 30.0}], [[{"seconds": 0.0, "reviews": 0, "bits": 3.0}, *way]], 4.0)
    assert told["standard_seconds"] == 0
    assert told["speedup"] is None


def test_judging_on_the_way_changes_nothing(bench, tmp_path):
    """Neither the clock's seconds nor the weights: an unreachable target leaves the run as it is without one."""
    unjudged = speed.measure(bench, "standard", str(tmp_path))
    judged = speed.measure(bench, "standard", str(tmp_path), target=0.0)
    assert len(judged["way"]) == 1 + math.ceil(REVIEWS / (2 * BATCH))
    assert unjudged["way"] == []
    assert judged["val_bits_per_char"] == unjudged["val_bits_per_char"]
    # On the way the model has fast layers, at the end its own: the same but for rounding.
    assert judged["way"][-1]["bits"] == pytest.approx(judged["val_bits_per_char"], rel=1e-7)
    reached = speed.measure(bench, "standard", str(tmp_path), target=judged["way"][2]["bits"])
    assert len(reached["way"]) == 3


def test_without_accelerate_the_trainers_are_left_out_with_a_word(bench, in_process, monkeypatch, capsys):
    monkeypatch.setattr(speed, "find_spec", lambda name: None)
    assert speed.chosen(bench) == list(speed.RUNGS)
    assert "pip install accelerate==1.15.0" in capsys.readouterr().out


@pytest.mark.skipif("GENUINE_RATSNLP_PYTHON" not in os.environ, reason="GENUINE_RATSNLP_PYTHON이 없습니다.")
def test_the_genuine_package_is_measured_and_judged_like_the_others(bench, tmp_path):
    tokenizer = load_tokenizer(bench.pretrained_model_name)
    before = speed.make_judge(str(tmp_path), tokenizer)(load_model(bench.pretrained_model_name, tokenizer))
    measured = speed.measure(bench, "ratsnlp", str(tmp_path))
    assert measured["seconds"] > 0
    assert 0 < measured["val_bits_per_char"] < before


def test_training_on_a_gpu_is_measured_by_the_scripts(hub, tmp_path, capsys):
    write_corpus(tmp_path)
    gpu.main(BenchArguments(
        what="gpu", only=("kogpt2-lora",), batches=("3",), limit=36, downstream_corpus_root_dir=str(tmp_path),
        downstream_corpus_name="slice"))
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert (row["way"], row["batch_size"], row["busy"]) == ("kogpt2-lora", 3, [None, None])
    assert all(figure > 0 for figure in [*row["rates"], row["told_bytes"], row["peak_bytes"]])
    tokens, seconds, long_tokens, long_seconds = row["rates"]
    assert tokens * seconds < 3 * 96 * 0.9 <= long_tokens * long_seconds <= 3 * 96
