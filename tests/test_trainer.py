import json
import platform
from hashlib import sha256

import pytest
import torch
from helpers import files_up_to, run_fit, tiny_config
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.errors import explain
from ratsnlp.nlpbook.generation import load_finetuned
from ratsnlp.nlpbook.training.checkpoint_io import WholeFileCheckpointIO
from ratsnlp.nlpbook.training.trainer import get_trainer


def test_training_leaves_checkpoint_config_tokenizer_record_and_logs(finetuned_folder):
    names = {path.name for path in finetuned_folder.iterdir()}
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "train_record.json", "huggingface",
            "tensorboard"} <= names
    assert not [name for name in names if "tmp" in name]
    checkpoints = [name for name in names if name.startswith("epoch=")]
    assert len(checkpoints) == 1
    assert checkpoints[0].startswith("epoch=0-val_loss=")
    assert checkpoints[0].endswith(".ckpt")
    assert "last.ckpt" in names
    assert (finetuned_folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert list((finetuned_folder / "tensorboard").rglob("events.*"))


def test_a_checkpoint_is_plain_weights(finetuned_folder):
    checkpoint = torch.load(next(finetuned_folder.glob("epoch=*.ckpt")), weights_only=True)
    assert all(name.startswith("model.") for name in checkpoint["state_dict"])
    assert "optimizer_states" not in checkpoint
    assert checkpoint["hyper_parameters"]["max_seq_length"] == 32


def test_the_record_says_how_to_get_the_same_again(finetuned_folder):
    record = json.loads((finetuned_folder / "train_record.json").read_text(encoding="utf-8"))
    assert record["state"] == "finished"
    assert record["seed"] == record["arguments"]["seed"] == 7
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["python"] == platform.python_version()
    assert {"loss", "val_loss", "val_bits_per_char", "seconds", "epoch"} <= record["epochs"][0].keys()
    corpus = finetuned_folder.parent / "slice" / "ratings_train.txt"
    assert record["data_sha256"]["ratings_train.txt"] == sha256(corpus.read_bytes()).hexdigest()
    assert f"val_loss={record['epochs'][0]['val_loss']:.2f}" in record["best_checkpoint"]
    assert record["git_commit"] is None or len(record["git_commit"].removesuffix("-dirty")) == 40


def test_the_exported_folder_is_read_by_programs_that_know_nothing_of_us(finetuned_folder, tokenizer):
    folder = finetuned_folder / "huggingface"
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    text = "긍정 더빙이 ㅋㅋ 😂"
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == tokenizer(text)["input_ids"]
    exported = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    model, _ = load_finetuned(finetuned_folder)
    assert all(torch.equal(tensor, exported[name]) for name, tensor in model.state_dict().items())


def test_the_best_epoch_is_exported_not_the_last(make_args, tmp_path):
    """Forty reviews read thirty times are learnt by heart: the val_loss turns up again before the end."""
    args = make_args(epochs=30, learning_rate=1e-2)
    trainer, task = run_fit(args)
    record = json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))
    losses = [epoch["val_loss"] for epoch in record["epochs"]]
    best = losses.index(min(losses))
    assert trainer.checkpoint_callback.best_model_path.split("epoch=")[1].startswith(f"{best}-")
    assert best < 29, "this test needs a run whose last epoch is not its best"
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out/huggingface").state_dict()
    assert any(not torch.equal(tensor, exported[name]) for name, tensor in task.model.state_dict().items())


def test_each_epoch_has_an_order_of_its_own(make_args):
    trainer, _ = run_fit(make_args(epochs=3))
    assert trainer.train_dataloader.sampler.epoch == 2  # Lightning has told the sampler


def test_test_mode_runs_one_batch_and_saves_nothing(make_args, tmp_path):
    run_fit(make_args(test_mode=True))
    assert not list((tmp_path / "out").rglob("epoch=*.ckpt"))
    assert not (tmp_path / "out/train_record.json").exists()


def test_a_second_run_keeps_the_first_ones_checkpoint(make_args, tmp_path):
    run_fit(make_args(epochs=1))
    run_fit(make_args(epochs=1))
    names = [path.name.removesuffix(".ckpt") for path in sorted((tmp_path / "out").glob("epoch=*.ckpt"))]
    assert names[0][-3:] == "-v1"
    assert len(list((tmp_path / "out").glob("epoch=*.ckpt"))) == 2


def test_a_second_run_that_ends_worse_says_what_the_other_scripts_take(make_args, tmp_path, caplog):
    run_fit(make_args(epochs=1))
    (first,) = (tmp_path / "out").glob("epoch=*.ckpt")
    assert "예전 체크포인트" not in caplog.text
    run_fit(make_args(epochs=1, learning_rate=1e-6))
    assert f"다른 스크립트는 그것을 씁니다: {first.name}. 이번 것을 쓰려면 그 파일을 지우거나" in caplog.text


def test_another_models_folder_is_not_overwritten(make_args, tmp_path, tokenizer):
    args = make_args(epochs=1)
    run_fit(args)
    before = (tmp_path / "out/config.json").read_bytes()
    config = tiny_config("gpt2", tokenizer)
    config.n_layer = 1
    with pytest.raises(UserError, match="다른 모델의 체크포인트가 있습니다. --downstream_model_dir"):
        run_fit(args, model=AutoModelForCausalLM.from_config(config))
    assert (tmp_path / "out/config.json").read_bytes() == before


def test_return_trainer_only_false_gives_the_callback_too(make_args):
    callback, trainer = get_trainer(make_args(), return_trainer_only=False)
    assert callback is trainer.checkpoint_callback


def test_out_of_gpu_memory_says_which_flags_help():
    message = explain(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"))
    assert "--batch_size" in message
    assert "--max_seq_length" in message
    assert "\n" not in message
    assert explain(RuntimeError("a bug")) is None


def test_a_full_disk_is_known_from_rust_libraries_too(tmp_path, tokenizer):
    for write in (lambda: save_file({"a": torch.ones(1000)}, tmp_path / "a"),
                  lambda: tokenizer.save_pretrained(tmp_path)):
        with files_up_to(1000), pytest.raises(Exception, match="os error") as caught:
            write()
        assert "디스크 공간이 부족해" in explain(caught.value)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    """The checkpoint that is there stays as it is when the next one does not fit on the disk."""
    target = tmp_path / "epoch=0-val_loss=1.00.ckpt"
    WholeFileCheckpointIO().save_checkpoint({"state_dict": {"a": torch.ones(3)}}, target)
    before = target.read_bytes()
    with files_up_to(100_000), pytest.raises(UserError, match="디스크 공간이 부족해"):
        WholeFileCheckpointIO().save_checkpoint({"state_dict": {"a": torch.ones(10**6)}}, target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
