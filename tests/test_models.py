import http.server
import io
import os
import pickle
import shutil
import zipfile

import pytest
import torch
from helpers import HUB_NAMES, Mischief, http_server, tiny_config
from transformers import AutoModelForCausalLM

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import (
    load_checkpoint,
    load_config,
    load_finetuned,
    load_model,
    load_pretrained,
    load_tokenizer,
)


@pytest.fixture
def model(tokenizer):
    return AutoModelForCausalLM.from_config(tiny_config("gpt2", tokenizer))


def save(path, model, **extra):
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in model.state_dict().items()}, **extra}, path)
    return path


def test_load_finetuned_gives_the_trained_weights_in_eval_mode(finetuned_folder, tiny_folder):
    model, tokenizer = load_finetuned(finetuned_folder)
    pretrained, _ = load_pretrained(str(tiny_folder))
    weights = torch.load(next(finetuned_folder.glob("epoch=*.ckpt")), weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, weights[f"model.{name}"]) for name, tensor in model.state_dict().items())
    assert not torch.equal(model.transformer.wte.weight, pretrained.transformer.wte.weight)
    assert not model.training
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 1


def test_only_the_leading_prefix_is_stripped(model, tmp_path):
    """A layer may itself be called ``model``: str.replace would have eaten its name."""
    wrapper = torch.nn.Module()
    wrapper.model = torch.nn.Linear(2, 2)
    state = load_checkpoint(save(tmp_path / "a.ckpt", wrapper), wrapper)
    assert set(state) == {"model.model.weight", "model.model.bias"}


def test_buffers_of_the_old_librarys_checkpoints_are_passed_over(model, tmp_path):
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for layer in range(2):
        state[f"model.transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64).tril().bool()
        state[f"model.transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    loaded = load_checkpoint(tmp_path / "a.ckpt", model)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in loaded.items()}, strict=True)
    del state["model.transformer.h.1.attn.c_attn.bias"]  # this one is a weight
    torch.save({"state_dict": state}, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="다른 모델"):
        load_checkpoint(tmp_path / "b.ckpt", model)


def test_another_models_checkpoint_is_refused(model, tokenizer, tmp_path):
    config = tiny_config("gpt2", tokenizer)
    config.n_embd = 16
    narrow = AutoModelForCausalLM.from_config(config)
    for other in (narrow, AutoModelForCausalLM.from_config(tiny_config("gpt_neox", tokenizer))):
        with pytest.raises(UserError, match="다른 모델의 체크포인트.*곳이 맞지 않음"):
            load_checkpoint(save(tmp_path / "a.ckpt", other), model)


@pytest.mark.parametrize("keep", [0, 1, 1000, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(model, tmp_path, keep):
    path = save(tmp_path / "a.ckpt", model)
    size = path.stat().st_size
    os.truncate(path, int(size * keep) if isinstance(keep, float) else keep)
    with pytest.raises(UserError, match="잘렸거나 깨졌습니다"):
        load_checkpoint(path, model)


@pytest.mark.parametrize("content", [b"hello", pickle.dumps({"a": 1}), b"PK\x03\x04 not a zip"])
def test_what_is_no_checkpoint_is_refused(model, tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(UserError, match="체크포인트가 아니거나"):
        load_checkpoint(tmp_path / "a.ckpt", model)
    torch.save([1, 2], tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="state_dict가 없습니다"):
        load_checkpoint(tmp_path / "b.ckpt", model)


def test_code_in_a_checkpoint_does_not_run(model, tmp_path):
    path = save(tmp_path / "a.ckpt", model, callbacks=Mischief(tmp_path / "ran"))
    with pytest.raises(UserError, match="코드도 든 체크포인트라 열지 않았습니다"):
        load_checkpoint(path, model)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)  # it would have run
    assert (tmp_path / "ran").exists()


def test_code_in_an_old_style_pickle_does_not_run(model, tmp_path):
    buffer = io.BytesIO()
    torch.save({"state_dict": Mischief(tmp_path / "ran")}, buffer, _use_new_zipfile_serialization=False)
    (tmp_path / "a.ckpt").write_bytes(buffer.getvalue())
    with pytest.raises(UserError):
        load_checkpoint(tmp_path / "a.ckpt", model)
    assert not (tmp_path / "ran").exists()
    assert not zipfile.is_zipfile(tmp_path / "a.ckpt")


@pytest.mark.parametrize("name", ["skt/kogpt2-base-v3", "/없는/폴더", "그냥 글"])
def test_an_unreachable_hub_is_one_line(name):
    for load in (load_tokenizer, load_pretrained, load_config):
        with pytest.raises(UserError, match="허브에 연결할 수 없습니다.*--pretrained_model_name kogpt-mini") as caught:
            load(name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_name_that_the_hub_does_not_know_is_told_as_such(monkeypatch):
    """A local server stands in for the hub: it answers, and has nothing."""
    with http_server(http.server.SimpleHTTPRequestHandler) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        with pytest.raises(UserError, match="그런 이름이 없거나 공개되어 있지 않습니다.404."):
            load_tokenizer("no/such")


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(UserError, match="폴더의 모델을 읽을 수 없습니다"):
        load_tokenizer(str(tmp_path))


def test_a_truncated_model_file_is_told(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path, dirs_exist_ok=True)
    os.truncate(tmp_path / "model.safetensors", 5000)
    with pytest.raises(UserError, match="폴더의 모델을 읽을 수 없습니다"):
        load_pretrained(str(tmp_path))


def test_a_wrong_eos_token_is_an_error_not_a_new_row(tiny_folder):
    with pytest.raises(UserError, match="<.endoftext.>.*어휘에 없습니다.*</s>"):
        load_tokenizer(str(tiny_folder), eos_token="<|endoftext|>")


def test_a_tokenizer_of_another_model_is_refused(tiny_folder, tokenizer, tmp_path):
    config = tiny_config("gpt2", tokenizer)
    config.vocab_size = 100
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="1,200개인데 모델의 임베딩은 100행"):
        load_model(str(tmp_path), load_tokenizer(str(tiny_folder)))


def test_half_precision_files_load_in_float32(tiny_folder, tmp_path):
    model, tokenizer = load_pretrained(str(tiny_folder))
    model.half().save_pretrained(tmp_path)
    assert load_model(str(tmp_path), tokenizer).dtype == torch.float32


@pytest.mark.parametrize(("number", "eos", "ids"), [
    (1, "</s>", {"안녕하세요": [25906, 8702, 7801, 8084]}), (2, "</s>", {"안녕하세요": [25906, 8702, 7801, 8084]}),
    (3, "<|endoftext|>", {"안녕하세요": [13417, 284, 1934]}),
])
def test_the_hub_models_come_with_their_own_eos(hub, monkeypatch, number, eos, ids):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub / "hub"))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(hub / "hub"))
    model, tokenizer = load_pretrained(HUB_NAMES[number], eos_token=eos)
    assert tokenizer.eos_token == eos
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.model_type == ("gpt_neox" if number == 3 else "gpt2")
    assert model.dtype == torch.float32
    for text, expected in ids.items():
        assert tokenizer(text)["input_ids"] == expected
    with pytest.raises(UserError, match="어휘에 없습니다"):
        load_tokenizer(HUB_NAMES[number], eos_token="<|endoftext|>" if number < 3 else "</s>")
