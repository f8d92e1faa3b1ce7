"""A run that goes on in another place, without a file, or with other settings than before."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from test_resume import Killed, fit, interrupted

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import (
    GenerationTask,
    GenerationTextArguments,
    load_model_and_tokenizer,
    load_text_datasets,
)
from ratsnlp.nlpbook.run_folder import RunFolder

# Six steps an epoch. The best epoch is here the one with the highest val_loss: the first, whatever the model learns.
SETTINGS = {"epochs": 8, "monitor": "max val_loss", "resume": True, "save_steps": 4}


def record_of(folder) -> dict:
    return json.loads((folder / "train_record.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_a_moved_run_remembers_its_best_epoch(make_args, tmp_path, monkeypatch, how):
    fit(make_args(**SETTINGS, downstream_model_dir=str(tmp_path / "whole")))
    best = record_of(tmp_path / "whole")["best_checkpoint"]
    assert best.startswith("epoch=0-")
    interrupted(make_args(**SETTINGS), monkeypatch, after=6 * 2 + 5)
    how(str(tmp_path / "out"), str(tmp_path / "다른 곳"))
    fit(make_args(**SETTINGS, downstream_model_dir=str(tmp_path / "다른 곳")))
    assert record_of(tmp_path / "다른 곳")["best_checkpoint"] == best
    exported, whole = (
        RunFolder(folder).export / "model.safetensors" for folder in (tmp_path / "다른 곳", tmp_path / "whole"))
    assert exported.read_bytes() == whole.read_bytes()
    assert len(list((tmp_path / "다른 곳").glob("epoch=*.ckpt"))) == 1


def test_a_deleted_best_checkpoint_is_noticed_at_the_start(make_args, tmp_path, monkeypatch, caplog):
    args = make_args(**SETTINGS, save_top_k=2)
    interrupted(args, monkeypatch, after=6 * 4 + 5)
    best = RunFolder(tmp_path / "out").best_checkpoint()
    best.unlink()
    with caplog.at_level("WARNING", logger="ratsnlp"):
        trainer = fit(args)
    assert f"앞서 저장한 체크포인트가 없어 남은 것으로 이어서 합니다: {best}" in caplog.text
    assert trainer.global_step == 48
    record = record_of(tmp_path / "out")
    assert record["state"] == "finished"
    assert (tmp_path / "out" / record["best_checkpoint"]).is_file()
    assert (tmp_path / "out/huggingface/model.safetensors").is_file()


def test_all_checkpoints_deleted_a_run_goes_on_and_keeps_the_next_best(make_args, tmp_path, monkeypatch):
    args = make_args(**SETTINGS)
    interrupted(args, monkeypatch, after=6 * 3 + 5)
    for file in (tmp_path / "out").glob("epoch=*.ckpt"):
        file.unlink()
    fit(args)
    assert int(record_of(tmp_path / "out")["best_checkpoint"].split("=")[1].split("-")[0]) >= 3


@pytest.mark.parametrize(("before", "now", "epochs"), [(6, 1, 3), (0, 1, 3), (3, 5, 6), (6, 0, 8)])
def test_the_patience_of_now_is_in_force(make_args, tmp_path, monkeypatch, before, now, epochs):
    """Broken off in the third epoch, after one that was no better than the first."""
    args = make_args(**SETTINGS, patience=before)
    interrupted(args, monkeypatch, after=6 * 2 + 5)
    fit(replace(args, patience=now))
    assert len(record_of(tmp_path / "out")["epochs"]) == epochs


def test_other_settings_that_change_no_number_are_in_force(make_args, tmp_path, monkeypatch):
    args = make_args(**SETTINGS)
    interrupted(args, monkeypatch, after=8)
    trainer = fit(replace(args, save_top_k=3, logging_steps=2, save_total_limit=1, save_steps=5))
    assert trainer.log_every_n_steps == 2
    assert len(list((tmp_path / "out").glob("epoch=*.ckpt"))) == 3
    assert [path.name for path in RunFolder(tmp_path / "out").steps()] == ["checkpoint-45"]


def text_run(args, monkeypatch=None):
    """Train as train.py does; broken off in the eighth step with a ``monkeypatch``."""
    from torch.utils.data import DataLoader

    from ratsnlp import nlpbook

    model, tokenizer = load_model_and_tokenizer(args)
    train, validation = load_text_datasets(args, tokenizer)
    training = args.training()
    loaders = [
        DataLoader(dataset, batch_size=8, sampler=nlpbook.LengthGroupedSampler(dataset, training),
                   collate_fn=nlpbook.data_collator) for dataset in (train, validation)]
    task = GenerationTask(model, training)
    if monkeypatch:
        def stop(batch, batch_idx):
            if task.global_step == 8:
                raise Killed

        monkeypatch.setattr(task, "on_train_batch_start", stop)
        with pytest.raises(Killed):
            nlpbook.get_trainer(training).fit(task, *loaders)
    else:
        nlpbook.get_trainer(training).fit(task, *loaders)


def test_special_tokens_that_are_missing_on_resume_are_named(tmp_path, tiny_folder, documents, monkeypatch):
    (tmp_path / "a.txt").write_text("\n".join(documents[:60]), encoding="utf-8")
    args = GenerationTextArguments(
        dataset_path=str(tmp_path / "a.txt"), model_type=str(tiny_folder), output_dir=str(tmp_path / "out"),
        block_size=32, per_device_train_batch_size=8, num_train_epochs=3, special_tokens=("#가#", "#나#"),
        save_steps=3, do_train=True)
    text_run(args, monkeypatch)
    for tokens, named in (((), "#가#, #나#"), (("#가#",), "#나#"), (("#가#", "#나#", "#다#"), "#다#")):
        with pytest.raises(UserError, match=f"^special_tokens: 이 폴더의 학습과 특수 토큰이 다릅니다: {named}. "):
            text_run(replace(args, resume=True, special_tokens=tokens))
    text_run(replace(args, resume=True))
    assert record_of(tmp_path / "out")["state"] == "finished"


def test_no_checkpoint_stays_mapped(make_args, tmp_path, monkeypatch):
    """Windows neither replaces nor deletes a file that is mapped."""
    maps = "/proc/self/maps"
    try:
        open(maps).close()
    except OSError:
        pytest.skip(f"{maps}가 없습니다.")
    args = make_args(**SETTINGS)
    interrupted(args, monkeypatch, after=8)
    seen = []
    step = GenerationTask.training_step

    def stepping(self, *arguments):
        with open(maps) as file:
            seen.extend(line for line in file if ".ckpt" in line)
        return step(self, *arguments)

    monkeypatch.setattr(GenerationTask, "training_step", stepping)
    fit(args)
    assert seen == []
    with open(maps) as file:
        assert not [line for line in file if ".ckpt" in line]
    assert torch.load(tmp_path / "out/last.ckpt", weights_only=True)["global_step"] == 48
