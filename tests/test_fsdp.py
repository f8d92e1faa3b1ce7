"""Training with a part of the model in each process: the losses, files and continuations of one that has it whole."""

import json

import psutil
import pytest
import torch
from distributed_runs import ON_CPU, Pair, curve_of
from families import FAMILIES, LLAMA, build
from helpers import killable, killed, last_checkpoint, later_than, run_script, write_corpus
from transformers import AutoConfig, AutoModelForCausalLM

from ratsnlp.nlpbook.generation import load_finetuned
from ratsnlp.nlpbook.generation.loss import largest_loss
from ratsnlp.nlpbook.training.layers import blocks_of
from ratsnlp.nlpbook.training.memory import estimate

IN_PARTS = ("--devices", "2", "--strategy", "fsdp")


def learn(folder, *flags):
    done = run_script("train_gen-0.py", *flags, "--downstream_model_dir", folder, forked="fsdp" not in flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.parametrize("kind", FAMILIES)
def test_each_layer_is_found(kind, tokenizer):
    model = build(kind, tokenizer)
    blocks = blocks_of(model)
    assert len(blocks) == 2
    inside = {id(parameter) for block in blocks for parameter in block.parameters()}
    assert inside.isdisjoint(id(module.weight) for module in (
        model.get_input_embeddings(), model.get_output_embeddings()))


def test_two_processes_learn_as_one(command, tmp_path):
    write_corpus(tmp_path, train=49, test=9, name="odd")  # the last batches are of one row
    flags = (*command, *ON_CPU, "--downstream_corpus_name", "odd", "--epochs", "2", "--save_total_limit", "1")
    one, two = tmp_path / "one", tmp_path / "two"
    learn(one, *flags)
    told = learn(two, *flags, *IN_PARTS).stderr
    assert "save_total_limit: fsdp에서는 checkpoint-스텝 폴더를 저장하지 않습니다." in told
    assert curve_of(two) == pytest.approx(curve_of(one), abs=1e-4)
    records = [json.loads((folder / "train_record.json").read_text(encoding="utf-8")) for folder in (one, two)]
    for of_one, of_two in zip(*(record["epochs"] for record in records), strict=True):
        assert of_two == pytest.approx(of_one | {"seconds": of_two["seconds"]}, abs=1e-4)
    runs = last_checkpoint(one), last_checkpoint(two)
    assert runs[0].keys() == runs[1].keys()
    assert list(runs[0]["state_dict"]) == list(runs[1]["state_dict"])
    for name, tensor in runs[0]["state_dict"].items():
        assert torch.allclose(runs[1]["state_dict"][name], tensor, atol=1e-3), name
    states = [run["optimizer_states"][0]["state"] for run in runs]
    for number, moments in states[0].items():
        for name, tensor in moments.items():
            assert torch.allclose(states[1][number][name], tensor, atol=1e-4)
    best = two / records[1]["best_checkpoint"]
    assert best.name == records[0]["best_checkpoint"]
    weights = torch.load(best, weights_only=True)["state_dict"]
    assert weights["model.lm_head.weight"].data_ptr() == weights["model.transformer.wte.weight"].data_ptr()
    model, _ = load_finetuned(two)
    exported = AutoModelForCausalLM.from_pretrained(two / "huggingface")
    assert exported.lm_head.weight is exported.transformer.wte.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(weights[f"model.{name}"], tensor)
        assert torch.equal(exported.state_dict()[name], tensor)


@killable
def test_a_run_goes_on_with_another_strategy_and_number_of_processes(command, tmp_path):
    flags = (*command, *ON_CPU, "--epochs", "6", "--save_steps", "3")
    whole, broken = tmp_path / "whole", tmp_path / "out"
    learn(whole, *flags)
    pair = Pair(flags, broken, "--epochs", "6", "--strategy", "fsdp")
    pair.first.terminate()
    assert pair.first.wait(60) == 143, pair.told()
    assert not psutil.wait_procs([pair.second], 10)[1]
    steps = last_checkpoint(broken)["global_step"]
    again = ("train_gen-0.py", *flags, "--downstream_model_dir", broken, "--resume")
    alone = killed(15, later_than(broken / "last.ckpt", steps), *again)
    assert f"last.ckpt: {steps}스텝부터 이어서 합니다." in alone.stderr
    assert alone.returncode == 143
    assert len(curve_of(broken)) < 36
    learn(broken, *flags, "--resume", *IN_PARTS)
    assert len(curve_of(broken)) == 36
    assert curve_of(broken) == pytest.approx(curve_of(whole), abs=0.02)
    optimizers = [last_checkpoint(folder)["optimizer_states"][0]["state"] for folder in (whole, broken)]
    assert all(optimizers[1][number]["step"] == moments["step"] for number, moments in optimizers[0].items())


def test_all_that_saves_memory_goes_with_it(command, tmp_path):
    flags = (*command, *ON_CPU, "--epochs", "1", "--precision", "bf16", "--lora_r", "4", "--gradient_checkpointing",
             "--gradient_accumulation_steps", "2", "--optimizer", "muon")
    one, two = tmp_path / "one", tmp_path / "two"
    learn(one, *flags)
    learn(two, *flags, *IN_PARTS)
    assert curve_of(two) == pytest.approx(curve_of(one), abs=0.02)
    runs = last_checkpoint(one), last_checkpoint(two)
    assert runs[0]["adapter"] == runs[1]["adapter"]
    for name, tensor in runs[0]["state_dict"].items():
        assert torch.allclose(runs[1]["state_dict"][name], tensor, atol=0.02), name
    assert {path.name for path in (two / "adapter").iterdir()} == {path.name for path in (one / "adapter").iterdir()}
    load_finetuned(two)  # the base with the adapter merged in


def test_its_memory_is_shared_out(make_args, tokenizer):
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer), **{**LLAMA, "num_hidden_layers": 40})
    whole, part = (estimate(config, args, lambda model, ids: largest_loss(model, ids, True, "standard", "cuda"),
                            "cuda", "32-true")
                   for args in (make_args(), make_args(devices=8, strategy="fsdp")))
    assert part.optimizer == whole.optimizer // 8
    assert whole.weights / 8 < part.weights < whole.weights / 3
    assert part.activations == whole.activations
