import json
import platform
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from hashlib import sha256

import pytest
import torch
from conftest import SCRIPTS, run_fit, run_script, tiny_config, user_error, write_corpus
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.errors import explain
from ratsnlp.nlpbook.generation import load_finetuned
from ratsnlp.nlpbook.training.checkpoint_io import WholeFileCheckpointIO
from ratsnlp.nlpbook.training.trainer import get_trainer


def test_training_leaves_checkpoint_config_tokenizer_record_and_logs(finetuned_folder):
    names = {path.name for path in finetuned_folder.iterdir()}
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "train_record.json", "huggingface", "tensorboard"} <= names
    assert not [name for name in names if "tmp" in name]
    checkpoints = [name for name in names if name.startswith("epoch=")]
    assert len(checkpoints) == 1 and checkpoints[0].startswith("epoch=0-val_loss=") and checkpoints[0].endswith(".ckpt")
    assert "last.ckpt" in names and (finetuned_folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert list((finetuned_folder / "tensorboard").rglob("events.*"))


def test_a_checkpoint_is_plain_weights(finetuned_folder):
    checkpoint = torch.load(next(finetuned_folder.glob("epoch=*.ckpt")), weights_only=True)
    assert all(name.startswith("model.") for name in checkpoint["state_dict"])
    assert "optimizer_states" not in checkpoint
    assert checkpoint["hyper_parameters"]["max_seq_length"] == 32


def test_the_record_says_how_to_get_the_same_again(finetuned_folder):
    record = json.loads((finetuned_folder / "train_record.json").read_text(encoding="utf-8"))
    assert record["state"] == "finished" and record["seed"] == record["arguments"]["seed"] == 7
    assert record["versions"]["torch"] == torch.__version__ and record["versions"]["python"] == platform.python_version()
    assert {"loss", "val_loss", "val_bits_per_char", "seconds", "epoch"} <= record["epochs"][0].keys()
    corpus = finetuned_folder.parent / "slice" / "ratings_train.txt"
    assert record["data_sha256"]["ratings_train.txt"] == sha256(corpus.read_bytes()).hexdigest()
    assert f"val_loss={record['epochs'][0]['val_loss']:.2f}" in record["best_checkpoint"]
    assert record["git_commit"] is None or len(record["git_commit"].removesuffix("-dirty")) == 40


def test_the_exported_folder_is_read_by_programs_that_know_nothing_of_us(finetuned_folder, tokenizer):
    folder = finetuned_folder / "huggingface"
    assert json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["tokenizer_class"] == "PreTrainedTokenizerFast"
    text = "긍정 더빙이 ㅋㅋ 😂"
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == tokenizer(text)["input_ids"]
    exported = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    model, _ = load_finetuned(finetuned_folder)
    assert all(torch.equal(tensor, exported[name]) for name, tensor in model.state_dict().items())


def test_the_best_epoch_is_exported_not_the_last(make_args, tmp_path):
    """Forty reviews read thirty times are learnt by heart: the val_loss turns up again before the end."""
    args = make_args(epochs=30, learning_rate=1e-2)
    trainer, task = run_fit(args)
    losses = [epoch["val_loss"] for epoch in json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))["epochs"]]
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
    assert not list((tmp_path / "out").rglob("epoch=*.ckpt")) and not (tmp_path / "out/train_record.json").exists()


def test_a_second_run_keeps_the_first_ones_checkpoint(make_args, tmp_path):
    run_fit(make_args(epochs=1))
    run_fit(make_args(epochs=1))
    assert [path.name.removesuffix(".ckpt")[-3:] for path in sorted((tmp_path / "out").glob("epoch=*.ckpt"))][0] == "-v1"
    assert len(list((tmp_path / "out").glob("epoch=*.ckpt"))) == 2


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
    assert "--batch_size" in message and "--max_seq_length" in message and "\n" not in message
    assert explain(RuntimeError("a bug")) is None


@contextmanager
def files_up_to(size: int):
    """No file may grow beyond ``size`` bytes: what a full disk is to the program."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_known_from_rust_libraries_too(tmp_path, tokenizer):
    for write in (lambda: save_file({"a": torch.ones(1000)}, tmp_path / "a"), lambda: tokenizer.save_pretrained(tmp_path)):
        with files_up_to(1000), pytest.raises(Exception, match="os error") as caught:
            write()
        assert "디스크에 자리가 없어" in explain(caught.value)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    """The checkpoint that is there stays as it is when the next one does not fit on the disk."""
    target = tmp_path / "epoch=0-val_loss=1.00.ckpt"
    WholeFileCheckpointIO().save_checkpoint({"state_dict": {"a": torch.ones(3)}}, target)
    before = target.read_bytes()
    with files_up_to(100_000), pytest.raises(UserError, match="디스크에 자리가 없어"):
        WholeFileCheckpointIO().save_checkpoint({"state_dict": {"a": torch.ones(10**6)}}, target)
    assert target.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.fixture
def command(tmp_path, tiny_folder):
    write_corpus(tmp_path)
    return ["--pretrained_model_name", tiny_folder, "--downstream_corpus_root_dir", tmp_path, "--downstream_corpus_name", "slice",
            "--downstream_model_dir", tmp_path / "out", "--max_seq_length", "32", "--batch_size", "8"]


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(command, tmp_path):
    assert run_script("train_gen-0.py", *command, "--epochs", "1").returncode == 0
    checkpoint = next((tmp_path / "out").glob("epoch=*.ckpt"))
    before = checkpoint.read_bytes()
    with files_up_to(100_000):  # the script inherits it
        line = user_error(run_script("train_gen-0.py", *command, "--epochs", "1", "--learning_rate", "0.01"))
    assert "디스크에 자리가 없어" in line
    assert checkpoint.read_bytes() == before and len(list((tmp_path / "out").glob("epoch=*.ckpt"))) == 1
    assert not [path for path in (tmp_path / "out").iterdir() if "tmp" in path.name]
    load_finetuned(tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows에서는 다른 프로세스에 Ctrl-C를 보낼 수 없습니다.")
def test_ctrl_c_ends_tidily_and_keeps_the_last_checkpoint(command, tmp_path):
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "train_gen-0.py", *map(str, command), "--epochs", "100000"], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("epoch=*.ckpt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in stderr
    assert "중단했습니다. 마지막 체크포인트: " in stderr and "--resume" in stderr
    assert json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))["state"] == "interrupted"
    load_finetuned(tmp_path / "out")
