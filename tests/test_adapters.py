"""LoRA: the adapter alone is kept, its base is found again or refused, and what is merged computes the same."""

import json
import os
import shutil

import pytest
import torch
from helpers import HUB_NAMES, last_checkpoint, run_fit, run_script, user_error, write_corpus
from transformers import AutoModelForCausalLM

from ratsnlp.nlpbook import UserError, load_arguments, set_seed
from ratsnlp.nlpbook.generation import (
    GenerationPretrainArguments,
    GenerationTask,
    GenerationTrainArguments,
    add_adapter,
    load_finetuned,
    load_model,
    load_pretrained,
    load_tokenizer,
)
from ratsnlp.nlpbook.training.adapters import weights_of
from ratsnlp.nlpbook.training.footprint import HalfBase
from ratsnlp.nlpbook.training.precision import precision_of, tell_precision

LORA = {"lora_r": 4, "learning_rate": 1e-2, "epochs": 1}
IDS = torch.tensor([[5, 9, 300, 7, 11]])


def with_adapter(args, words=("긍정", "부정"), new_tokens=()):
    """The model of ``args`` with its adapter in it, as the scripts make it."""
    set_seed(args, quiet=True)
    tokenizer = load_tokenizer(args.pretrained_model_name)
    model = load_model(args.pretrained_model_name, tokenizer)
    add_adapter(model, tokenizer, args, words, new_tokens)
    return model


def trained(args):
    """The model that a run of ``args`` has trained."""
    return run_fit(args, model=with_adapter(args))[1].model.eval()


def best(folder):
    return torch.load(next(folder.glob("epoch=*.ckpt")), weights_only=True)


@pytest.fixture(scope="module")
def lora_folder(tiny_folder, tmp_path_factory):
    """What a short LoRA training of the tiny model leaves behind, and the model as it was then."""
    root = tmp_path_factory.mktemp("lora")
    write_corpus(root)
    shutil.copytree(tiny_folder, root / "base")
    args = GenerationTrainArguments(
        pretrained_model_name=str(root / "base"), downstream_corpus_root_dir=str(root), max_seq_length=32,
        downstream_corpus_name="slice", downstream_model_dir=str(root / "out"), batch_size=8, seed=7,
        precision="32", **LORA)
    return root / "out", trained(args)


@pytest.fixture
def moved(lora_folder, tmp_path):
    """A copy of that folder and of its base, which a test may spoil: ``(folder, base)``."""
    root = lora_folder[0].parent
    shutil.copytree(root / "out", tmp_path / "out")
    shutil.copytree(root / "base", tmp_path / "base")
    checkpoint = next((tmp_path / "out").glob("epoch=*.ckpt"))
    content = torch.load(checkpoint, weights_only=True)
    content["adapter"]["base"]["name"] = str(tmp_path / "base")
    torch.save(content, checkpoint)
    return tmp_path / "out", tmp_path / "base"


def test_only_the_adapter_is_kept(lora_folder):
    folder, model = lora_folder
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "trainable_tokens" in name for name in learning)
    for checkpoint in (best(folder), last_checkpoint(folder)):
        assert checkpoint["state_dict"].keys() == {f"model.{name.replace('.default', '')}" for name in learning}
    whole = sum(parameter.nbytes for parameter in model.parameters())
    assert next(folder.glob("epoch=*.ckpt")).stat().st_size < whole / 2
    assert (folder / "adapter/adapter_model.safetensors").stat().st_size < whole / 2


def test_what_is_loaded_and_exported_computes_what_was_trained(lora_folder):
    from peft import PeftModel

    folder, model = lora_folder
    with torch.no_grad():
        expected = model(IDS).logits
        base = AutoModelForCausalLM.from_pretrained(folder.parent / "base")
        assert not torch.allclose(base(IDS).logits, expected, atol=1e-2)
        loaded, tokenizer = load_finetuned(folder)
        assert type(loaded) is type(base)
        assert loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
        exported = AutoModelForCausalLM.from_pretrained(folder / "huggingface")
        of_folder, _ = load_pretrained(str(folder / "adapter"))
        with_peft = PeftModel.from_pretrained(base, folder / "adapter")
        for other in (loaded, exported, of_folder, with_peft):
            torch.testing.assert_close(other(IDS).logits, expected, rtol=1e-4, atol=1e-5)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.generation_config.eos_token_id == tokenizer.eos_token_id


def test_the_rows_of_control_words_learn_and_no_others(lora_folder):
    folder, model = lora_folder
    tokenizer = load_tokenizer(str(folder))
    words = [tokenizer.encode(word)[0] for word in ("긍정", "부정")]
    rows = load_finetuned(folder)[0].get_input_embeddings().weight
    base = AutoModelForCausalLM.from_pretrained(folder.parent / "base").get_input_embeddings().weight
    changed = (rows != base).any(dim=1).nonzero().flatten().tolist()
    assert changed == sorted(words)


def test_another_base_is_refused(moved):
    folder, base = moved
    load_finetuned(folder)
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight += 1e-3
    model.save_pretrained(base)
    with pytest.raises(UserError, match="가중치가 이 LoRA를 학습할 때와 다릅니다"):
        load_finetuned(folder)
    model.resize_token_embeddings(1300)
    model.save_pretrained(base)
    with pytest.raises(UserError, match="어휘가 1,200개인 기반 모델.*1,300개"):
        load_finetuned(folder)
    shutil.rmtree(base)
    with pytest.raises(UserError, match="LoRA만 든 체크포인트라 기반 모델이 있어야 합니다.*huggingface"):
        load_finetuned(folder)
    load_pretrained(str(folder / "huggingface"))  # which needs none


def test_another_tokenizer_is_refused(moved):
    folder, _ = moved
    tokenizer = load_tokenizer(str(folder))
    tokenizer.add_tokens(["#새#"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="1,200개인 토크나이저로 학습한 어댑터인데.*1,201개"):
        load_finetuned(folder)


def test_a_folder_that_is_not_ours_or_broken_is_told(lora_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(lora_folder[0] / "adapter", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "adapter_model.safetensors"
    save_file(load_file(file), file)  # without what we write down of the base
    with pytest.raises(UserError, match="어느 기반 모델의 LoRA인지.*merge_and_unload"):
        load_pretrained(str(tmp_path))
    os.truncate(file, 1000)
    with pytest.raises(UserError, match="폴더의 LoRA를 읽을 수 없습니다"):
        load_pretrained(str(tmp_path))


def test_a_run_is_not_resumed_on_another_base(make_args, tmp_path, tiny_folder):
    shutil.copytree(tiny_folder, tmp_path / "base")
    args = make_args(**LORA, pretrained_model_name=str(tmp_path / "base"), resume=True)
    trained(args)
    record = json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))
    (tmp_path / "out/train_record.json").write_text(json.dumps(record | {"state": "interrupted"}), encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    with torch.no_grad():
        model.transformer.h[0].attn.c_attn.weight += 1e-3
    model.save_pretrained(tmp_path / "base")
    with pytest.raises(UserError, match="LoRA를 학습하던 기반 모델.*다릅니다"):
        trained(args)


def test_new_tokens_are_learnt_and_kept_on_an_untied_model(tokenizer, tmp_path):
    """The base has no row for them; their rows come back from the adapter."""
    from families import build

    from ratsnlp.nlpbook.generation import save_tokenizer

    build("llama", tokenizer).save_pretrained(tmp_path / "base")
    save_tokenizer(tokenizer, tmp_path / "base")
    (tmp_path / "my.txt").write_text("#가# 재미있는 영화 #나#\n#나# 지루한 영화\n" * 20, encoding="utf-8")
    done = run_script(
        "train.py", "--dataset_path", tmp_path / "my.txt", "--model_type", tmp_path / "base", "--output_dir",
        tmp_path / "out", "--block_size", 32, "--num_train_epochs", 2, "--save_steps", 2, "--lora_r", 4,
        "--special_tokens", "#가#", "#나#", "--do_train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "학습 0개" not in done.stdout
    weights = best(tmp_path / "out")["state_dict"]
    model, _ = load_finetuned(tmp_path / "out")
    layers = {"model.embed_tokens": model.get_input_embeddings(), "lm_head": model.get_output_embeddings()}
    for name, layer in layers.items():
        rows = weights[f"model.{name}.token_adapter.trainable_tokens_delta"]
        assert torch.equal(layer.weight[-2:], rows)
    (step, *_) = sorted((tmp_path / "out").glob("checkpoint-*"))
    assert not (step / "model.safetensors").exists()
    for folder in (tmp_path / "out", step, tmp_path / "out/huggingface"):
        done = run_script("generate.py", "--model_name_or_path", folder, "--prompt", "#가# 재미", "--length", 8)
        assert done.returncode == 0, done.stderr[-3000:]


def test_new_tokens_on_a_head_with_a_bias_are_refused(make_args, tokenizer, tmp_path):
    from families import build

    from ratsnlp.nlpbook.generation import save_tokenizer

    build("gptj", tokenizer).save_pretrained(tmp_path / "base")
    save_tokenizer(tokenizer, tmp_path / "base")
    with pytest.raises(UserError, match="special_tokens: 출력층에 bias가 있는 모델"):
        with_adapter(make_args(**LORA, pretrained_model_name=str(tmp_path / "base")), new_tokens=["영화"])


def test_frozen_matrices_in_half_precision_change_no_number(make_args, tmp_path, monkeypatch):
    """In bf16-mixed autocast takes them to bfloat16 in each step anyway."""
    run = {"precision": "bf16", **LORA}
    halved = trained(make_args(**run))
    assert halved.transformer.h[0].mlp.c_fc.weight.dtype == torch.float32  # given back
    monkeypatch.setattr(HalfBase, "_convert", lambda *_: None)
    plain = trained(make_args(**run, downstream_model_dir=str(tmp_path / "plain")))
    for name, tensor in weights_of(plain).items():
        assert torch.equal(weights_of(halved)[name], tensor), name
    assert last_checkpoint(tmp_path / "out")["callbacks"]["LossWatch"]["curve"] == (
        last_checkpoint(tmp_path / "plain")["callbacks"]["LossWatch"]["curve"])


def test_a_qlora_is_merged_into_the_full_precision_base(make_args, tmp_path, tiny_folder):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    args = make_args(**{**LORA, "qlora": True, "precision": "bf16"})
    model = trained(args)
    assert all(tensor.dtype == torch.float32 for tensor in weights_of(model).values())
    layer = model.transformer.h[0].mlp.c_fc
    assert isinstance(layer.base_layer, bitsandbytes.nn.Linear4bit)
    assert layer.base_layer.weight.dtype == torch.uint8
    assert layer.base_layer.weight.quant_state.nested  # double quantization
    assert type(model.get_output_embeddings().original_module) is torch.nn.Linear
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out/huggingface").transformer.h[0].mlp.c_fc.weight
    base = AutoModelForCausalLM.from_pretrained(tiny_folder).transformer.h[0].mlp.c_fc.weight
    learnt = layer.get_delta_weight("default")  # of the last epoch, which is the best of one
    torch.testing.assert_close(exported, base + learnt.T)  # Conv1D's is the other way round


def test_qlora_without_bitsandbytes_is_one_line(make_args, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="-r requirements-qlora.txt"):
        with_adapter(make_args(**{**LORA, "qlora": True}))


def test_layers_that_are_not_there_are_told_with_those_that_are(make_args):
    with pytest.raises(UserError, match="lora_target_modules: .*q_proj.*c_attn, c_fc, c_proj"):
        with_adapter(make_args(**LORA, lora_target_modules=("q_proj",)))
    model = with_adapter(make_args(**LORA, lora_target_modules=("c_attn",)))
    assert {name.split(".")[-3] for name in weights_of(model) if "lora_A" in name} == {"c_attn"}


def test_settings_that_need_each_other_or_exclude_each_other(make_args, tmp_path):
    for changes, message in (
            ({"lora_alpha": 8.0}, "lora_alpha: LoRA를 쓸 때의 설정인데 lora_r가 0"),
            ({"lora_r": 4, "lora_target_modules": ()}, "lora_target_modules: 층의 이름이 없습니다"),
            ({"qlora": True, "optimizer": "muon"}, "optimizer: qlora는 AdamW"),
            ({"fp16": True, "precision": "32"}, "fp16: precision.32."),
            ({"recipe": "book", "precision": "32"}, "precision: --recipe book에는 없는"),
            ({"recipe": "book", "lr_scheduler_type": "cosine"}, "lr_scheduler_type: --recipe book에는 없는"),
            ({"precision": "64"}, "precision: auto, 32, bf16, 16 가운데")):
        with pytest.raises(UserError, match=message):
            make_args(**changes)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="precision: float16으로 학습하려면 CUDA GPU"):
            make_args(precision="16")
    (tmp_path / "a.txt").write_text("가", encoding="utf-8")
    with pytest.raises(UserError, match="lora_r: 사전 학습에서는"):
        GenerationPretrainArguments(corpus_path=str(tmp_path / "a.txt"), lora_r=4)
    assert make_args(qlora=True).lora_r == 16


def test_lora_learns_at_ten_times_the_scripts_rate_unless_one_is_named(monkeypatch, capsys, tmp_path):
    def rate(*flags):
        monkeypatch.setattr("sys.argv", ["train_gen-1.py", *flags])
        return load_arguments(GenerationTrainArguments, learning_rate=5e-5).learning_rate

    assert rate() == 5e-5
    assert capsys.readouterr().err == ""
    assert rate("--lora_r", "8") == pytest.approx(5e-4)
    assert "LoRA의 학습률: 0.0005" in capsys.readouterr().err
    assert rate("--lora_r", "8", "--learning_rate", "2e-4") == 2e-4
    assert rate("--lora_r", "0") == 5e-5
    (tmp_path / "a.json").write_text('{"qlora": true}', encoding="utf-8")
    assert rate(str(tmp_path / "a.json")) == pytest.approx(5e-4)


@pytest.mark.parametrize(("changes", "fast", "precision", "told"), [
    ({}, True, "bf16-mixed", ""), ({}, False, "32-true", "--precision 16"), ({"precision": "32"}, False, "32-true", ""),
    ({"precision": "bf16"}, False, "bf16-mixed", "bf16 명령이 없어"), ({"precision": "16"}, False, "16-mixed", ""),
    ({"fp16": True}, True, "16-mixed", ""), ({"recipe": "book"}, False, "32-true", "")])
def test_the_precision_on_a_gpu(make_args, monkeypatch, caplog, changes, fast, precision, told):
    """float16 only where it is asked for, and a word where another would be quicker."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: fast)
    args = make_args(**changes)
    assert precision_of(args) == precision
    tell_precision(args, precision, on_gpu=True)
    assert told in caplog.text
    assert bool(caplog.records) == bool(told)


@pytest.mark.parametrize("kind", ["--lora_r", "--qlora"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_hub_models_with_lora(hub, tmp_path, number, kind):
    if kind == "--qlora":
        pytest.importorskip("bitsandbytes")
    write_corpus(tmp_path)
    out = tmp_path / "out"
    done = run_script(
        f"train_gen-{number}.py", "--downstream_corpus_root_dir", tmp_path, "--downstream_corpus_name", "slice",
        "--downstream_model_dir", out, "--batch_size", 16, kind, *(["4"] if kind == "--lora_r" else []))
    assert done.returncode == 0, done.stderr[-3000:]
    told = best(out)["adapter"]
    assert told["base"]["name"] == HUB_NAMES[number]
    written = [run_script("generate.py", "--model_name_or_path", folder, "--prompt", "긍정", "--length", 8).stdout
               for folder in (out, out / "huggingface", out / "adapter")]
    assert written[0].startswith("긍정")
    assert written[0] == written[1] == written[2]


def test_a_lora_run_is_compared_and_evaluated_like_any_other(lora_folder, tmp_path):
    folder, _ = lora_folder
    shutil.copytree(folder, tmp_path / "out")
    flags = ["--downstream_model_dir", tmp_path / "out", "--downstream_corpus_root_dir", folder.parent,
             "--downstream_corpus_name", "slice", "--samples", 4]
    compared = run_script("compare_gen.py", *flags)
    assert "파인튜닝 후" in compared.stdout, compared.stderr[-3000:]
    evaluated = run_script("eval_gen.py", *flags)
    assert evaluated.returncode == 0, evaluated.stderr[-3000:]
    assert json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))["bits_per_char"] > 0


def test_a_wrong_flag_is_one_line(command, tmp_path):
    line = user_error(run_script("train_gen-0.py", *command, "--downstream_model_dir", tmp_path / "out", "--lora_r", 4,
                                 "--lora_target_modules", "q_proj"))
    assert "lora_target_modules" in line
    assert not list((tmp_path / "out").glob("*.ckpt"))


def test_the_task_takes_a_model_with_an_adapter_and_none_without(make_args):
    """Its head counts as plain although the rows of the words in it learn."""
    args = make_args(**LORA)
    assert GenerationTask(with_adapter(args), args).plain_head
    model = load_model(args.pretrained_model_name, load_tokenizer(args.pretrained_model_name))
    with pytest.raises(UserError, match="lora_r: 4인데 모델에 LoRA가 없습니다. 먼저 add_adapter"):
        GenerationTask(model, args)


def test_a_training_does_not_begin_from_a_folder_with_a_lora_alone(lora_folder):
    folder, _ = lora_folder
    with pytest.raises(UserError, match="LoRA만 든 폴더입니다.*huggingface"):
        load_model(str(folder / "adapter"), load_tokenizer(str(folder)))
