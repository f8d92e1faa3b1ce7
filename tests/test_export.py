"""What other engines read: the folder, the greedy text in it, and what is said of an engine that writes another."""

import json
import shutil
import stat
import sys
from pathlib import Path

import pytest
import torch
from chat_models import LLAMA, QWEN
from families import build
from helpers import run_fit
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.exporting import comparison, engines, folder
from ratsnlp.nlpbook.exporting.arguments import ExportArguments, with_model_named
from ratsnlp.nlpbook.exporting.comparison import compared, compared_likelihoods
from ratsnlp.nlpbook.exporting.folder import export
from ratsnlp.nlpbook.exporting.greedy import read_greedy, text_of
from ratsnlp.nlpbook.generation import add_adapter, load_finetuned, load_model, load_tokenizer, save_tokenizer
from ratsnlp.nlpbook.generation.options import HIDDEN_TOP_K
from ratsnlp.nlpbook.training.model_files import save_model


def exported(source, out: Path, **more) -> Path:
    return export(ExportArguments(model_name_or_path=str(source), output=str(out), **more))


@pytest.fixture(scope="module")
def plain(finetuned_folder, tmp_path_factory) -> Path:
    """The export of a fine-tuned GPT-2."""
    return exported(finetuned_folder, tmp_path_factory.mktemp("export") / "plain")


def json_of(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_training_leaves_what_an_export_writes(finetuned_folder, plain):
    there = finetuned_folder / "huggingface"
    assert {path.name for path in plain.iterdir()} - {path.name for path in there.iterdir()} == {"greedy.json"}
    for file in there.iterdir():
        assert (plain / file.name).read_bytes() == file.read_bytes(), file.name


def test_what_transformers_takes_for_granted_is_named(plain):
    config, generation = json_of(plain / "config.json"), json_of(plain / "generation_config.json")
    assert config["n_ctx"] == config["n_positions"]
    for flag in ("add_cross_attention", "reorder_and_upcast_attn", "scale_attn_by_inverse_layer_idx"):
        assert config[flag] is False
    assert generation["top_k"] == HIDDEN_TOP_K
    assert generation["eos_token_id"] == 1
    assert json_of(plain / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not (plain / "chat_template.jinja").exists()
    assert "lm_head.weight" not in load_file(plain / "model.safetensors")  # it is wte
    modes = {stat.S_IMODE(file.stat().st_mode) for file in plain.iterdir()}
    assert len(modes) == 1, "an engine under another account reads the configuration and not the weights"


@pytest.mark.parametrize("named", [
    {"top_k": 20, "do_sample": True}, {"top_p": 0.9, "eos_token_id": [1, 3]},  # which transformers will not save
])
def test_settings_that_a_model_names_stay_and_the_callers_model_is_as_it_was(tokenizer, tmp_path, named):
    model = build("gpt2", tokenizer)
    model.generation_config.update(**named)
    config, generation = model.config.to_dict(), model.generation_config.to_dict()
    save_model(tmp_path / "out", model, tokenizer)
    assert json_of(tmp_path / "out/generation_config.json").items() >= named.items()
    assert model.generation_config.to_dict() == generation
    assert model.config.to_dict().keys() == config.keys()
    assert not hasattr(model.config, "n_ctx")


def test_the_greedy_text_is_what_the_highest_logits_say(plain):
    greedy = read_greedy(plain)
    tokenizer, model = AutoTokenizer.from_pretrained(plain), AutoModelForCausalLM.from_pretrained(plain)
    assert greedy["dtype"] == "float32"
    for text in greedy["texts"]:
        ids = tokenizer(text["prompt"])["input_ids"]
        assert text["prompt_ids"] == ids
        for token, rivals in zip(text["ids"], text["rivals"], strict=True):
            with torch.no_grad():
                top = model(torch.tensor([ids])).logits[0, -1].topk(1 + len(rivals))
            assert top.indices.tolist() == [token, *(rival for rival, _ in rivals)]
            gaps = (top.values[0] - top.values[1:]).tolist()
            assert [gap for _, gap in rivals] == pytest.approx(gaps, rel=1e-2, abs=1e-5)
            ids.append(token)
        assert text["ids"][-1] in greedy["ends"] or len(text["ids"]) == greedy["new_tokens"]
        assert (text["prompt"] + text["text"]).split() == tokenizer.decode(ids, skip_special_tokens=True).split()
        whole = torch.tensor([tokenizer(text["prompt"] + text["continuation"])["input_ids"]])
        labels = whole.clone()
        labels[0, : len(text["prompt_ids"])] = -100
        with torch.no_grad():
            loss = model(whole, labels=labels).loss * (labels != -100).sum()
        assert text["loglikelihood"] == pytest.approx(-loss.item(), abs=1e-3)


def test_a_lora_is_merged_in_float32_and_then_rounded(make_args, tmp_path):
    args = make_args(lora_r=4, epochs=1)
    tokenizer = load_tokenizer(args.pretrained_model_name)
    model = load_model(args.pretrained_model_name, tokenizer)
    add_adapter(model, tokenizer, args)
    run_fit(args, model)
    out = exported(tmp_path / "out", tmp_path / "bf16", dtype="bfloat16")
    merged, _ = load_finetuned(tmp_path / "out")
    there = AutoModelForCausalLM.from_pretrained(out)
    assert there.dtype == torch.bfloat16
    assert json_of(out / "config.json")["dtype"] == read_greedy(out)["dtype"] == "bfloat16"
    for name, tensor in merged.state_dict().items():
        assert torch.equal(there.state_dict()[name], tensor.to(torch.bfloat16)), name
    assert not list(out.glob("adapter*"))


@pytest.mark.parametrize("name", [LLAMA, QWEN])
def test_a_chat_model_is_asked_through_its_template(chat_models, name, tmp_path):
    out = exported(chat_models[name], tmp_path / "chat")
    greedy, tokenizer = read_greedy(out), AutoTokenizer.from_pretrained(out)
    assert (out / "chat_template.jinja").is_file()
    assert greedy["ends"] == json_of(out / "generation_config.json")["eos_token_id"]
    assert len(greedy["ends"]) == 2
    assert not hasattr(json_of(out / "config.json"), "n_ctx")
    for text in greedy["texts"]:
        assert text["prompt_ids"] == tokenizer.apply_chat_template(
            text["messages"], add_generation_prompt=True, return_dict=False, **greedy["chat_template_kwargs"])


def test_the_end_of_an_answer_is_named_where_the_model_names_that_of_a_text(chat_models, tmp_path):
    shutil.copytree(chat_models[QWEN], tmp_path / "model")
    for name in ("tokenizer_config.json", "generation_config.json"):
        told = json_of(tmp_path / "model" / name)
        told["eos_token"] = "<|endoftext|>"
        told["eos_token_id"] = told["eos_token_id"][1] if "eos_token_id" in told else None
        (tmp_path / "model" / name).write_text(json.dumps(told), encoding="utf-8")
    out = exported(tmp_path / "model", tmp_path / "out")
    tokens = AutoTokenizer.from_pretrained(out).convert_ids_to_tokens(
        json_of(out / "generation_config.json")["eos_token_id"])
    assert tokens == ["<|endoftext|>", "<|im_end|>"]


def test_another_family_is_exported_without_what_is_gpt2s(tokenizer, tmp_path):
    build("gpt_neox", tokenizer).save_pretrained(tmp_path / "model")
    save_tokenizer(tokenizer, tmp_path / "model")
    out = exported(tmp_path / "model", tmp_path / "out", dtype="float16")
    assert "n_ctx" not in json_of(out / "config.json")
    assert json_of(out / "generation_config.json")["top_k"] == HIDDEN_TOP_K
    assert load_file(out / "model.safetensors")["embed_out.weight"].dtype == torch.float16


def test_nothing_is_left_half_written(finetuned_folder, tmp_path, monkeypatch):
    def fails(unfinished):
        assert (unfinished / "model.safetensors").is_file()
        raise UserError("x")

    monkeypatch.setattr(folder, "greedy_texts", fails)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/README.md").write_text("mine")
    with pytest.raises(UserError, match="x"):
        exported(finetuned_folder, tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "README.md"]


def test_a_run_is_exported_into_its_folder_and_again(finetuned_folder, tmp_path):
    run = shutil.copytree(finetuned_folder, tmp_path / "run")
    args = ExportArguments(model_name_or_path=str(run), dtype="bfloat16")
    assert export(args) == run / "huggingface"
    first = (run / "huggingface/model.safetensors").read_bytes()
    args.dtype = None
    export(args)
    assert read_greedy(run / "huggingface")["dtype"] == "float32"
    assert len((run / "huggingface/model.safetensors").read_bytes()) > len(first)
    args.model_name_or_path = str(run / "huggingface")  # exported already: nothing to do
    before = (run / "huggingface/greedy.json").stat().st_mtime_ns
    assert export(args) == run / "huggingface"
    assert (run / "huggingface/greedy.json").stat().st_mtime_ns == before


def test_a_logit_that_float16_cannot_hold_is_told(tokenizer, tmp_path):
    model = build("gpt2", tokenizer)
    model.transformer.ln_f.weight.data.fill_(6e4)
    model.save_pretrained(tmp_path / "model")
    save_tokenizer(tokenizer, tmp_path / "model")
    with pytest.raises(UserError, match="dtype: float16로 계산하면 값이 넘칩니다"):
        exported(tmp_path / "model", tmp_path / "out", dtype="float16")
    assert exported(tmp_path / "model", tmp_path / "out", dtype="bfloat16").is_dir()


def test_what_is_another_model_or_no_causal_one_is_refused(tiny_folder, finetuned_folder, kobart, tmp_path):
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    with pytest.raises(UserError, match="output: .*other 폴더에 다른 모델이 있습니다"):
        exported(finetuned_folder, other)
    with pytest.raises(UserError, match="output: .*폴더에 다른 모델이 있습니다"):
        exported(other, other)
    with pytest.raises(UserError, match=r"인코더가 있는 모델\(bart\)"):
        exported(kobart, tmp_path / "out")


@pytest.mark.parametrize(("typed", "read"), [
    (["run", "--check"], ["--model_name_or_path", "run", "--check"]),
    (["--check", "run"], ["--check", "--model_name_or_path", "run"]),
    (["--check", "true", "--only", "vllm"], ["--check", "true", "--only", "vllm"]),
    (["a.yaml", "--check"], ["a.yaml", "--check"]), ([], []),
])
def test_the_folder_needs_no_flag(typed, read):
    assert with_model_named(typed) == read


@pytest.fixture
def greedy(tokenizer):
    """A text of four tokens and eos; for the third, two others were as likely as far as float32 can tell."""
    prompt, ids = tokenizer.encode("긍정"), tokenizer.encode("정말 재미있는 영화")[:4]
    return {"dtype": "float32", "ends": [1], "texts": [{
        "prompt": "긍정", "prompt_ids": prompt, "ids": [*ids, 1], "text": text_of(tokenizer, prompt, ids),
        "rivals": [[[7, 1.0], [8, 2.0]]] * 2 + [[[9, 0.0], [10, 1e-6], [11, 0.5]]] + [[[7, 1.0], [8, 2.0]]] * 2,
        "loglikelihood": -20.0}]}


def verdict(greedy, tokenizer, answer) -> str:
    outcome = compared("x", greedy, [answer], tokenizer)
    assert (outcome.verdict == comparison.SAME) == (outcome.texts == ())
    return outcome.verdict


def test_the_end_and_the_space_before_a_text_are_no_difference(greedy, tokenizer):
    text, = greedy["texts"]
    assert text["text"].startswith(" ")
    for answer in (text["ids"], text["ids"][:-1], text["text"], text["text"].lstrip()):
        assert verdict(greedy, tokenizer, answer) == "같음"


def test_another_token_is_a_difference_unless_both_were_as_likely(greedy, tokenizer):
    ids = greedy["texts"][0]["ids"]
    for place in range(5):  # at the last one the text goes on
        assert verdict(greedy, tokenizer, [*ids[:place], 300, 301]) == "다름"
    for rival, expected in ((9, "동점"), (10, "동점"), (11, "다름"), (12, "다름")):
        assert verdict(greedy, tokenizer, [*ids[:2], rival, 300, 301]) == expected
    assert verdict(greedy, tokenizer, ids[:2]) == "동점"  # of which token it would have been it does not tell
    assert verdict(greedy, tokenizer, ids[:3]) == "다름"
    outcome = compared("x", greedy, [[*ids[:3], 300]], tokenizer)
    assert outcome.reason == (
        "'긍정'의 4번째 새 토큰부터. 거기서 두 토큰의 로짓 차이는 2 이상(float32의 동점은 1.9e-06 이하)")
    assert outcome.texts[0] == greedy["texts"][0]["text"].strip() != outcome.texts[1]


def test_a_text_alone_is_compared_too(greedy, tokenizer):
    text, = greedy["texts"]
    for count, expected in ((1, "다름"), (2, "동점"), (3, "다름")):
        cut = text_of(tokenizer, text["prompt_ids"], text["ids"][:count])
        assert verdict(greedy, tokenizer, cut + "뷁") == expected
    assert verdict(greedy, tokenizer, text["text"] + " 다") == "다름"


def test_a_difference_hides_behind_no_tie(greedy, tokenizer):
    ids = greedy["texts"][0]["ids"]
    greedy["texts"] *= 3
    outcome = compared("x", greedy, [[*ids[:2], 9], [300], ids], tokenizer)
    assert outcome.verdict == "다름"
    assert "1번째 새 토큰부터" in outcome.reason


def test_log_likelihoods_are_the_same_up_to_their_dtype(greedy):
    assert compared_likelihoods("x", greedy, [-20.0005]).verdict == "같음"
    assert compared_likelihoods("x", greedy, [-20.01]).verdict == "다름"
    assert compared_likelihoods("x", greedy, [float("nan")]).verdict == "다름"
    greedy["dtype"] = "bfloat16"
    assert compared_likelihoods("x", greedy, [-20.1]).verdict == "같음"


def outcomes(plain: Path, *names: str, **more) -> list:
    return list(engines.check(plain, ExportArguments(model_name_or_path=str(plain), only=names, **more)))


def test_an_engine_that_is_not_there_is_said_how_to_get(plain, monkeypatch):
    for name in ("VLLM_PYTHON", "LM_EVAL_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    told = outcomes(plain, "transformers-serve", "ctranslate2", "lm-eval", "vllm")
    assert {outcome.verdict for outcome in told} == {"없음"}
    serve, ctranslate2, lm_eval, vllm = (outcome.reason for outcome in told)
    assert "requirements-serve.txt" in serve
    assert "requirements-ctranslate2.txt" in ctranslate2
    assert "--lm_eval" in lm_eval
    assert "--vllm" in vllm


@pytest.mark.skipif(sys.platform == "win32", reason="#!는 POSIX 시스템의 것입니다.")
def test_an_engine_that_cannot_read_the_folder_is_told_with_its_reason(plain, tmp_path, capfd):
    python = tmp_path / "python"
    log = tmp_path / "log"
    log.write_text("".join(f"(Core pid=1) ERROR 11-27 [core.py:1] {line}\n" for line in (
        "Traceback (most recent call last):", "    assert heads", "           ^^^^^", "AssertionError")))
    python.write_text(f"#!/bin/sh\n[ \"$1\" = -c ] && echo 1 && exit\ncat {log} >&2\n"
                      "echo 'RuntimeError: see above' >&2\nexit 1\n")
    python.chmod(0o755)
    told = outcomes(plain, "vllm", "lm-eval", vllm=str(python), lm_eval=str(python))
    assert {outcome.verdict for outcome in told} == {"읽지 못함"}
    assert {outcome.reason for outcome in told} == {"AssertionError: assert heads"}
    assert "RuntimeError: see above" in capfd.readouterr().err
    told, = outcomes(plain, "vllm", vllm=sys.executable)
    assert "vLLM이 설치된 파이썬이어야" in told.reason
