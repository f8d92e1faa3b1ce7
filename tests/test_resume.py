"""A run that is killed, whenever and however, ends as one that was not."""

import json
import os
import random

import pytest
import torch
from helpers import assert_same_run, last_checkpoint, run_fit
from torch.utils.data import DataLoader, RandomSampler

from ratsnlp import nlpbook
from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationTask,
    NsmcCorpus,
    add_adapter,
    load_model,
    load_tokenizer,
)
from ratsnlp.nlpbook.training.checkpoint_io import WholeFileCheckpointIO
from ratsnlp.nlpbook.training.last_checkpoint import LastCheckpoint
from ratsnlp.nlpbook.training.order import EpochOrder
from ratsnlp.nlpbook.training.random_state import set_random_state


class Killed(Exception):
    """What a kill is to a test: nothing that the run does on its way out may matter."""


def load_with_dropout(name, tokenizer):
    """The tiny model with dropout, which draws from the random state in every step."""
    model = load_model(name, tokenizer)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.2
    return model


def fit(args, load=load_with_dropout, sampler=None):
    nlpbook.set_seed(args, quiet=True)
    tokenizer = load_tokenizer(args.pretrained_model_name)
    train, test = (GenerationDataset(args, tokenizer, NsmcCorpus(), mode) for mode in ("train", "test"))
    model = load(args.pretrained_model_name, tokenizer)
    add_adapter(model, tokenizer, args, NsmcCorpus.control_words)
    task = GenerationTask(model, args)
    trainer = nlpbook.get_trainer(args)
    sampler = sampler(train) if sampler else nlpbook.LengthGroupedSampler(train, args)
    trainer.fit(
        task,
        train_dataloaders=DataLoader(train, batch_size=args.batch_size, sampler=sampler, num_workers=args.cpu_workers,
                                     collate_fn=nlpbook.data_collator),
        val_dataloaders=DataLoader(test, batch_size=8, collate_fn=nlpbook.data_collator))
    return trainer


@pytest.mark.parametrize("changes", [
    {"save_steps": 1}, {"save_steps": 4}, {"save_steps": 0}, {"save_steps": 3, "gradient_accumulation_steps": 2},
    {"save_steps": 4, "recipe": "book"}, {"save_steps": 4, "optimizer": "muon"},
    {"save_steps": 4, "cpu_workers": 1, "epochs": 2}, {"save_steps": 4, "lora_r": 4, "lora_dropout": 0.1},
    {"save_steps": 4, "qlora": True, "epochs": 2}, {"save_steps": 4, "gradient_checkpointing": True, "epochs": 2},
], ids=str)
def test_broken_off_anywhere_a_run_goes_on_to_the_same_end(make_args, tmp_path, monkeypatch, changes):
    """Broken off in the middle of steps, of validations, and right after files were written: the unbroken run's
    weights, bit for bit."""
    sampler = RandomSampler if changes.get("recipe") == "book" else None
    if "qlora" in changes:
        pytest.importorskip("bitsandbytes")
    changes = {"epochs": 3, "batch_size": 5, "resume": True, **changes}
    fit(make_args(**changes, downstream_model_dir=str(tmp_path / "whole")), sampler=sampler)

    hooks = {"training_step": 4, "validation_step": 2}
    if "cpu_workers" in changes:
        hooks = {"training_step": 14}
    for hook, every in hooks.items():
        args = make_args(**changes, downstream_model_dir=str(tmp_path / hook))
        breaks, after = 0, iter(range(every, 1000, every))
        while True:
            countdown = [next(after)]
            method = getattr(GenerationTask, hook)

            def stepping(self, *arguments, countdown=countdown, method=method):
                countdown[0] -= 1
                if countdown[0] == 0:
                    raise Killed
                return method(self, *arguments)

            with monkeypatch.context() as patch:
                patch.setattr(GenerationTask, hook, stepping)
                try:
                    fit(args, sampler=sampler)
                    break
                except Killed:
                    breaks += 1
        assert breaks
        assert_same_run(tmp_path / hook, tmp_path / "whole")


def test_gradient_checkpointing_changes_no_number_and_may_begin_when_a_run_goes_on(make_args, tmp_path, monkeypatch):
    """So that a run which was out of memory goes on with it. Dropout draws the same numbers the second time."""
    fit(make_args(downstream_model_dir=str(tmp_path / "whole"), resume=True))
    interrupted(make_args(save_steps=4, resume=True), monkeypatch)
    trainer = fit(make_args(resume=True, gradient_checkpointing=True))
    assert trainer.global_step == 12
    assert not any(getattr(module, "gradient_checkpointing", False) for module in trainer.lightning_module.modules())
    assert_same_run(tmp_path / "out", tmp_path / "whole")


def test_broken_off_right_after_or_before_a_checkpoint_is_written(make_args, tmp_path, monkeypatch):
    fit(make_args(resume=True, downstream_model_dir=str(tmp_path / "whole")))
    save = WholeFileCheckpointIO.save_checkpoint
    for before in (True, False):
        args = make_args(resume=True, save_steps=4, downstream_model_dir=str(tmp_path / f"{before}"))
        for writes in (1, 2, 3):
            left = [writes]

            def writing(self, checkpoint, path, storage_options=None, left=left, before=before):
                left[0] -= 1
                if left[0] == 0 and before:
                    raise Killed
                save(self, checkpoint, path)
                if left[0] == 0:
                    raise Killed

            with monkeypatch.context() as patch, pytest.raises(Killed):
                patch.setattr(WholeFileCheckpointIO, "save_checkpoint", writing)
                fit(args)
        fit(args)
        assert_same_run(tmp_path / f"{before}", tmp_path / "whole")


def interrupted(args, monkeypatch, hook="training_step", after=9):
    """A run that is broken off after some steps."""
    method, left = getattr(GenerationTask, hook), [after]

    def stepping(self, *arguments):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return method(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(GenerationTask, hook, stepping)
        fit(args)


def test_a_run_with_other_data_is_refused(make_args, tmp_path, monkeypatch):
    args = make_args(save_steps=2, resume=True)
    interrupted(args, monkeypatch)
    file = tmp_path / "slice/ratings_train.txt"
    before = file.read_bytes()
    file.write_bytes(before.replace(b"\t1\n", b"\t0\n", 1))
    with pytest.raises(UserError, match="학습하던 데이터와 다릅니다"):
        fit(args)
    file.write_bytes(before)
    for free in ({"save_steps": 5}, {"logging_steps": 3}, {"save_top_k": 2}):
        interrupted(make_args(resume=True, **free), monkeypatch, after=2)
    with pytest.raises(UserError, match="^epochs: 이 폴더의 학습은 2.*지금은 3"):
        fit(make_args(resume=True, epochs=3))


def test_without_resume_an_unfinished_run_is_set_aside_not_lost(make_args, tmp_path, monkeypatch, capsys):
    interrupted(make_args(save_steps=2), monkeypatch)
    held = (tmp_path / "out/last.ckpt").read_bytes()
    fit(make_args(epochs=1))
    assert (tmp_path / "out/last.ckpt.old").read_bytes() == held
    assert "last.ckpt.old로 옮기고" in capsys.readouterr().err
    os.replace(tmp_path / "out/last.ckpt.old", tmp_path / "out/last.ckpt")
    fit(make_args(resume=True))  # and it can still go on
    assert last_checkpoint(tmp_path / "out")["global_step"] == 12


def test_a_broken_last_checkpoint_is_told(make_args, tmp_path, monkeypatch):
    args = make_args(save_steps=2, resume=True)
    interrupted(args, monkeypatch)
    file = tmp_path / "out/last.ckpt"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UserError, match="깨졌습니다. 지우고"):
        fit(args)


def test_weights_are_in_last_alone_with_the_optimizer(make_args, tmp_path):
    run_fit(make_args(epochs=2, save_top_k=-1))
    assert "optimizer_states" in last_checkpoint(tmp_path / "out")
    best = list((tmp_path / "out").glob("epoch=*.ckpt"))
    assert len(best) == 2
    assert not any("optimizer_states" in torch.load(file, weights_only=True) for file in best)


def test_patience_stops_a_run_that_gets_worse_and_a_resumed_one_too(make_args, tmp_path, monkeypatch):
    changes = {"epochs": 40, "learning_rate": 1e-2, "patience": 2, "resume": True}
    fit(make_args(**changes, downstream_model_dir=str(tmp_path / "whole")))
    record = json.loads((tmp_path / "whole/train_record.json").read_text(encoding="utf-8"))
    losses = [epoch["val_loss"] for epoch in record["epochs"]]
    assert record["state"] == "finished"
    assert len(losses) == losses.index(min(losses)) + 3 < 40
    args = make_args(**changes)
    end = "ratsnlp.nlpbook.training.record.RunRecord.finish"
    # Between the decision to stop and its being written down.
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(end, lambda *_: (_ for _ in ()).throw(Killed))
        fit(args)
    fit(args)
    assert_same_run(tmp_path / "out", tmp_path / "whole")


def test_orders_of_epochs_differ_and_begin_where_they_were_left():
    data = list(range(50))
    orders = []
    for epoch in range(3):
        order = EpochOrder(RandomSampler(data), seed=7)
        order.set_epoch(epoch)
        orders.append(list(order))
        assert sorted(orders[-1]) == data
        later = EpochOrder(RandomSampler(data), seed=7, epoch=epoch, done=20)
        assert list(later) == orders[-1][20:]
        assert len(later) == 50
        later.set_epoch(epoch + 1)
        assert len(list(later)) == 50
    assert orders[0] != orders[1] != orders[2]


def test_random_states_come_back(make_args):
    import numpy as np

    callback = LastCheckpoint(make_args())
    state = callback.state_dict()["random"]
    drawn = [random.random(), np.random.rand(), torch.rand(1).item()]
    set_random_state(state)
    assert drawn == [random.random(), np.random.rand(), torch.rand(1).item()]
