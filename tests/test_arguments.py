import json
import sys
from dataclasses import fields

import pytest

from ratsnlp import nlpbook
from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import GenerationDeployArguments, GenerationInferArguments, GenerationTrainArguments
from ratsnlp.nlpbook.run_folder import best_checkpoint


def command_line(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", ["script.py", *argv])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # load_arguments sets its own; put back afterwards


def test_fields_of_the_old_library_come_first_in_its_order():
    names = [field.name for field in fields(GenerationTrainArguments)]
    assert names[:18] == [
        "pretrained_model_name", "downstream_task_name", "downstream_corpus_name", "downstream_corpus_root_dir",
        "downstream_model_dir", "max_seq_length", "save_top_k", "monitor", "seed", "overwrite_cache", "force_download",
        "test_mode", "learning_rate", "epochs", "batch_size", "cpu_workers", "fp16", "tpu_cores"]
    args = GenerationTrainArguments()
    assert (args.pretrained_model_name, args.max_seq_length, args.learning_rate) == ("kogpt2", 32, 5e-5)
    assert (args.epochs, args.batch_size) == (3, 96)
    assert (args.monitor, args.seed, args.cpu_workers, args.fp16, args.recipe) == (
        "min val_loss", None, 0, False, "standard")


@pytest.mark.parametrize(("name", "value", "bound"), [
    ("epochs", 0, "1 이상"), ("batch_size", 0, "1 이상"), ("max_seq_length", 1, "2 이상"),
    ("learning_rate", 0, "0.0보다|0보다"), ("learning_rate", float("nan"), "유한한 수"),
    ("epochs", 1.5, "정수"), ("epochs", "3", "정수"), ("fp16", "yes", "true나 false"),
    ("seed", -1, "0 이상"), ("recipe", "fast", "standard"), ("monitor", "val_loss", "min이나 max"),
    ("monitor", "min foo", "가운데 하나"), ("save_top_k", 0, "-1"),
    ("warmup_ratio", 1.1, "1 이하"), ("cpu_workers", -1, "0 이상"), ("pretrained_model_name", None, "문자열"),
])
def test_a_value_out_of_bounds_is_named_with_its_bound(name, value, bound):
    with pytest.raises(UserError, match=bound) as caught:
        GenerationTrainArguments(**{name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["warmup_ratio", "weight_decay"])
def test_what_the_book_has_not_contradicts_its_recipe(name):
    assert GenerationTrainArguments(recipe="book").recipe == "book"
    with pytest.raises(UserError, match=f"^{name}: --recipe book에는 없는 설정인데 0.05입니다"):
        GenerationTrainArguments(recipe="book", **{name: 0.05})


def test_flags_win_over_the_script_and_the_script_over_the_class(monkeypatch):
    command_line(monkeypatch, "--epochs", "1", "--test_mode", "--overwrite_cache", "true", "--force_download=false")
    args = nlpbook.load_arguments(GenerationTrainArguments, epochs=5, batch_size=4)
    assert (args.epochs, args.batch_size, args.max_seq_length) == (1, 4, 32)
    assert (args.test_mode, args.overwrite_cache, args.force_download) == (True, True, False)


@pytest.mark.parametrize("how", ["argument", "only argument of the script"])
def test_a_json_file_fills_the_arguments(monkeypatch, tmp_path, how):
    file = tmp_path / "설정 1.json"
    file.write_text(json.dumps({"epochs": 2, "learning_rate": 1}), encoding="utf-8")
    command_line(monkeypatch, *([] if how == "argument" else [str(file)]))
    args = nlpbook.load_arguments(GenerationTrainArguments, str(file) if how == "argument" else None, batch_size=4)
    assert (args.epochs, args.learning_rate, args.batch_size) == (2, 1.0, 4)


@pytest.mark.parametrize(("argv", "message"), [
    (["--epoch", "1"], "--epoch: 없는 옵션입니다. 혹시 --epochs인가요?"),
    (["--epochs"], "epochs: 뒤에 값이 필요합니다"),
    (["--epochs", "x"], "epochs: 정수여야 하는데 'x'"), (["--epochs", "0"], "epochs: 1 이상이어야 하는데 0"),
    (["--test_mode", "maybe"], "test_mode: true나 false"), (["--seed", ""], "seed: 정수여야"),
    (["extra"], "extra: 없는 옵션"), (["--help=1"], "--help: 뒤에 값을 적지 않습니다"),
    (["none.json"], "none.json: 설정 파일을 읽을 수 없습니다"),
])
def test_a_wrong_command_line_is_one_korean_line(monkeypatch, argv, message):
    command_line(monkeypatch, *argv)
    with pytest.raises(UserError, match=message):
        nlpbook.load_arguments(GenerationTrainArguments)


@pytest.mark.parametrize(("text", "message"), [
    ('{"epoch": 1}', "epoch: 없는 이름"), ("[1]", "이름과 값의 짝"), ("{", "JSON이 아닙니다"),
])
def test_a_wrong_json_file_is_told(tmp_path, text, message):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        nlpbook.load_arguments(GenerationTrainArguments, str(file))


def test_an_empty_sentence_cannot_be_continued():
    with pytest.raises(UserError, match="input_sentence"):
        GenerationInferArguments(input_sentence="  ")


@pytest.mark.parametrize(("names", "best"), [
    (["epoch=0-val_loss=2.50.ckpt", "epoch=1-val_loss=2.29.ckpt", "last.ckpt", "notes.txt", "other.ckpt"],
     "epoch=1-val_loss=2.29.ckpt"),
    (["epoch=1-val_loss=2.29.ckpt", "epoch=1-val_loss=2.29-v1.ckpt"], "epoch=1-val_loss=2.29-v1.ckpt"),
    (["epoch=1-val_loss=2.29-v2.ckpt", "epoch=1-val_loss=2.29-v10.ckpt"], "epoch=1-val_loss=2.29-v10.ckpt"),
    (["epoch=0-val_loss=nan.ckpt", "epoch=0-val_loss=9.00.ckpt"], "epoch=0-val_loss=9.00.ckpt"),
    (["epoch=0-val_loss=-0.10.ckpt", "epoch=0-val_loss=0.05.ckpt"], "epoch=0-val_loss=-0.10.ckpt"),
    (["epoch=0-val_loss=1e-05.ckpt", "epoch=0-val_loss=0.05.ckpt"], "epoch=0-val_loss=1e-05.ckpt"),
    (["epoch=0-val_loss=2.00-step=100.ckpt", "epoch=0-val_loss=2.10-step=50.ckpt"],
     "epoch=0-val_loss=2.00-step=100.ckpt"),
    (["epoch=0-val_loss=10.00.ckpt", "epoch=0-val_loss=9.00.ckpt"], "epoch=0-val_loss=9.00.ckpt"),
])
def test_the_lowest_val_loss_is_served(tmp_path, names, best):
    folder = tmp_path / "tmp [1] 한글"  # the old library refused such folders
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    assert best_checkpoint(folder).name == best
    args = GenerationDeployArguments(downstream_model_dir=str(folder))
    assert args.downstream_model_checkpoint_fpath == str(folder / best)


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(UserError, match="체크포인트.*없습니다. 먼저 train_gen"):
        GenerationDeployArguments(downstream_model_dir=str(tmp_path))
    with pytest.raises(UserError, match="파일이 없습니다"):
        GenerationDeployArguments(downstream_model_checkpoint_fpath=str(tmp_path / "a.ckpt"))
    with pytest.raises(UserError, match="하나를 지정하세요"):
        GenerationDeployArguments(pretrained_model_name="x")
