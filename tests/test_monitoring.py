import pytest
import torch
from helpers import run_fit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import GenerationTask, load_model, load_tokenizer, sample_texts
from ratsnlp.nlpbook.training.loss_curve import draw_losses
from ratsnlp.nlpbook.training.loss_watch import LossGuard
from ratsnlp.nlpbook.training.trainer import get_trainer


def watch(args, losses, vocab_size=1200):
    """Feed losses to a :class:`LossGuard`; returns how many it took before it stopped, or None."""
    guard = LossGuard(vocab_size, args.learning_rate)
    for count, loss in enumerate(losses, start=1):
        try:
            guard.see(loss, count)
        except UserError as error:
            assert str(args.learning_rate) in str(error)
            assert "절반" in str(error)
            return count
    return None


def test_a_loss_that_soars_or_is_no_number_stops_the_run_and_noise_does_not(make_args):
    args = make_args()
    torch.manual_seed(0)
    noisy = (5 + 1.5 * torch.randn(5000)).tolist()  # single short reviews differ as much as that
    assert watch(args, noisy) is None
    assert watch(args, [6 - step / 100 for step in range(400)] + [8.0] * 10) is None  # a few bad batches
    assert watch(args, [6 - step / 100 for step in range(400)] + [9.0] * 50) in range(401, 440)
    assert watch(args, [7.0, 6.9, float("nan")]) == 3
    assert watch(args, [7.0, 7.5, 30.0, 40.0]) <= 4  # from the very start: worse than guessing


def test_weights_that_are_no_numbers_are_never_written(make_args, tmp_path, monkeypatch):
    step = GenerationTask.training_step

    def poisoned(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        return loss * float("nan") if batch_idx == 4 else loss  # the loss that is logged is still a number

    monkeypatch.setattr(GenerationTask, "training_step", poisoned)
    with pytest.raises(UserError, match="가중치에 NaN"):
        run_fit(make_args(save_steps=5))
    assert not (tmp_path / "out/last.ckpt").exists()


def test_the_model_is_seen_learning(make_args, tmp_path, caplog):
    with caplog.at_level("INFO", logger="ratsnlp"):
        run_fit(make_args(epochs=3, logging_steps=2))
    told = [record.getMessage() for record in caplog.records if "모델이 쓴 텍스트" in record.getMessage()]
    assert len(told) == 6
    assert {line.split()[1] for line in told} == {"1의", "2의", "3의"}
    assert sum("텍스트: 긍정" in line for line in told) == sum("텍스트: 부정" in line for line in told) == 3
    events = EventAccumulator(str(next((tmp_path / "out/tensorboard").rglob("events.*")).parent)).Reload()
    assert len(events.Tensors("samples/text_summary")) == 3
    assert [event.step for event in events.Scalars("loss")] == [1, 3, 5, 7, 9, 11, 13, 15, 17]  # counted from 0
    state = torch.load(tmp_path / "out/last.ckpt", weights_only=True)["callbacks"]["LossWatch"]
    assert [step for step, _ in state["curve"]["val_loss"]] == [6, 12, 18]
    assert len(state["curve"]["loss"]) == 9
    assert (tmp_path / "out/loss.png").read_bytes().startswith(b"\x89PNG")


def test_samples_do_not_disturb_the_random_state(tiny_folder):
    tokenizer = load_tokenizer(str(tiny_folder))
    model = load_model(str(tiny_folder), tokenizer).train()
    before = torch.get_rng_state()
    written = [sample_texts(model, tokenizer, prompt, 1, seed=7, max_new_tokens=20)[0]
               for prompt in ("긍정", "긍정", "")]
    assert written[0] == written[1]
    assert written[0].with_prompt.startswith("긍정")
    assert written[2].text
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    # As much as the model has positions for.
    assert sample_texts(model, tokenizer, "긍정", 1, seed=7, max_new_tokens=1000)


def test_without_matplotlib_a_run_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with caplog.at_level("INFO", logger="ratsnlp"):
        draw_losses({"loss": [(1, 2.0)], "val_loss": []}, tmp_path / "loss.png")
    assert not list(tmp_path.iterdir())
    assert "matplotlib이 없어" in caplog.text


def test_settings_reach_trainer_and_optimizer(make_args, tmp_path):
    args = make_args(gradient_accumulation_steps=3, logging_steps=4, logging_dir=str(tmp_path / "logs"), device="cpu",
                     patience=5)
    trainer = get_trainer(args)
    assert trainer.accumulate_grad_batches == 3
    assert trainer.log_every_n_steps == 4
    assert trainer.logger.log_dir.startswith(str(tmp_path / "logs"))
    assert trainer.early_stopping_callback.patience == 5
    _, task = run_fit(make_args(adam_epsilon=1e-3, warmup_steps=3, epochs=1))
    assert task.optimizers().param_groups[0]["eps"] == 1e-3
    rates = [task.lr_schedulers().lr_lambdas[0](step) for step in range(5)]
    assert rates == [0, 1 / 3, 2 / 3, 1, 2 / 3]
