import math

import pytest
import torch
import torch.nn.functional as F
from helpers import run_fit, tiny_config
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, GPT2LMHeadModel

from ratsnlp.nlpbook import UserError, data_collator
from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTask, NsmcCorpus
from ratsnlp.nlpbook.generation.loss import token_losses


@pytest.fixture
def dataset(make_args, tokenizer):
    return GenerationDataset(make_args(max_seq_length=24), tokenizer, NsmcCorpus(), "train")


def reference(model, dataset, index):
    """The losses of one text alone, from the model's plain logits: real tokens but the first, one eos unless it was
    truncated."""
    length, eos = int(dataset.lengths[index]), dataset.tokenizer.eos_token_id
    ids = dataset[index].input_ids[:length] + ([eos] if length < 24 else [])
    logits = model(torch.tensor([ids])).logits[0, :-1]
    return F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")


def test_the_loss_is_that_of_each_text_alone(tiny_model, dataset, make_args):
    """Neither padding nor neighbours nor token_type_ids change a loss; padding is in none."""
    model = tiny_model.eval()
    indices = [int(dataset.lengths.argmax()), int(dataset.lengths.argmin()), 5, 6]
    with torch.no_grad():
        losses, _ = token_losses(model, data_collator([dataset[index] for index in indices]))
        expected = torch.cat([reference(tiny_model, dataset, index) for index in indices])
    assert losses.shape == expected.shape
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)


def test_token_type_ids_and_padding_values_do_not_reach_the_model(tiny_model, dataset, make_args):
    model = tiny_model.eval()
    batch = data_collator([dataset[index] for index in range(4)])
    with torch.no_grad():
        losses, _ = token_losses(model, batch)
        after_eos = torch.arange(24) > batch["attention_mask"].sum(1, keepdim=True)
        batch["input_ids"][after_eos] = 9
        batch["token_type_ids"] += 5
        changed, _ = token_losses(model, batch)
    assert torch.equal(losses, changed)


def test_val_loss_and_bits_per_char_are_those_of_all_the_data(make_args, tokenizer):
    """Over batches of unlike size: nats over tokens; and nats of tokens after the control word over ln 2 times
    characters."""
    args = make_args(epochs=1, batch_size=5, test_mode=False, learning_rate=1e-8)
    trainer, task = run_fit(args)
    test = GenerationDataset(args, tokenizer, NsmcCorpus(), "test")
    task.model.eval()
    nats, own_nats, characters = [], [], 0
    with torch.no_grad():
        for index in range(len(test)):
            length = int(test.lengths[index])
            ids = test[index].input_ids[:length] + ([tokenizer.eos_token_id] if length < args.max_seq_length else [])
            logits = task.model(torch.tensor([ids])).logits[0, :-1]
            losses = F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
            nats.append(losses)
            own_nats.append(losses[test[index].control_tokens - 1 :])
            characters += test[index].characters
    metrics = trainer.callback_metrics
    # bf16 in one, float32 in the other.
    assert float(metrics["val_loss"]) == pytest.approx(float(torch.cat(nats).mean()), rel=5e-3)
    expected = float(torch.cat(own_nats).sum()) / (math.log(2) * characters)
    assert float(metrics["val_bits_per_char"]) == pytest.approx(expected, rel=5e-3)


def test_each_token_of_an_epoch_weighs_the_same(tokenizer, make_args, dataset):
    """The gradient of a long and of a short batch add up to the gradient of both at once, up to one constant."""
    torch.manual_seed(0)
    task = GenerationTask(AutoModelForCausalLM.from_config(tiny_config("gpt2", tokenizer)), make_args())
    task.recipe.tokens_per_step, task.log = 100.0, lambda *args, **kwargs: None
    order = dataset.lengths.argsort()

    def gradient(indices):
        task.zero_grad()
        task.training_step(data_collator([dataset[int(index)] for index in indices]), 0).backward()
        return task.model.transformer.wte.weight.grad.clone()

    added = gradient(order[:4]) + gradient(order[-4:])
    torch.testing.assert_close(added, gradient([*order[:4], *order[-4:]]), rtol=1e-4, atol=1e-7)


def test_training_learns_and_dropout_is_on(tiny_model, make_args):
    """Twelve epochs on 48 reviews: the loss falls by more than a nat; the model was handed over in eval mode."""
    modes = []
    hook = tiny_model.get_input_embeddings().register_forward_hook(lambda module, *_: modes.append(module.training))
    trainer, task = run_fit(make_args(epochs=12, learning_rate=5e-3), model=tiny_model.eval())
    hook.remove()
    assert modes.count(True) == 12 * 6
    assert float(trainer.callback_metrics["loss"]) < math.log(1200) - 1
    rates = task.lr_schedulers()
    assert set(rates.get_last_lr()) == {0.0}  # it has decayed to the end


def test_the_rate_warms_up_then_decays(make_args, monkeypatch):
    rates = []
    original = GenerationTask.training_step

    def training_step(self, batch, batch_idx):
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return original(self, batch, batch_idx)

    monkeypatch.setattr(GenerationTask, "training_step", training_step)
    run_fit(make_args(epochs=5, warmup_ratio=0.2, learning_rate=1e-3))  # 30 steps, 6 of warm-up
    assert rates[0] == 0
    assert rates[6] == pytest.approx(1e-3)
    assert max(rates) == rates[6]
    assert rates[:7] == sorted(rates[:7])
    assert rates[6:] == sorted(rates[6:], reverse=True)


def test_same_seed_same_weights(make_args, tmp_path):
    one = run_fit(make_args(downstream_model_dir=str(tmp_path / "a")))[1].model.state_dict()
    same = run_fit(make_args(downstream_model_dir=str(tmp_path / "b")))[1].model.state_dict()
    other = run_fit(make_args(downstream_model_dir=str(tmp_path / "c"), seed=8))[1].model.state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_length_beyond_the_models_positions_is_refused(tiny_model, make_args):
    with pytest.raises(UserError, match="max_seq_length: .*64 이하여야 하는데 65"):
        GenerationTask(tiny_model, make_args(max_seq_length=65))


def test_the_books_loader_works_too(make_args, tokenizer, dataset):
    """A plain DataLoader with data_collator, as in the book's cells: the task trims and masks."""
    torch.manual_seed(0)
    task = GenerationTask(AutoModelForCausalLM.from_config(tiny_config("gpt2", tokenizer)), make_args())
    batch = next(iter(DataLoader(dataset, batch_size=4, collate_fn=data_collator)))
    losses, own = token_losses(task.model, batch)
    counted = sum(min(int(length), 23) for length in dataset.lengths[:4])
    assert len(losses) == len(own) == counted


def test_another_architectures_file_is_refused_where_transformers_reads_it_without_failing(
        tokenizer, make_args, tmp_path):
    """The book's GPT2LMHeadModel.from_pretrained on Polyglot-Ko's file, a GPT-NeoX, gives random weights."""
    AutoModelForCausalLM.from_config(tiny_config("gpt_neox", tokenizer)).save_pretrained(tmp_path / "neox")
    with pytest.raises(UserError, match="GPTNeoXForCausalLM의 것인데 GPT2LMHeadModel"):
        GenerationTask(GPT2LMHeadModel.from_pretrained(tmp_path / "neox"), make_args())
    GenerationTask(AutoModelForCausalLM.from_pretrained(tmp_path / "neox"), make_args())


def test_a_half_precision_model_is_trained_in_float32(tiny_model, make_args, caplog):
    """Trinity's and Polyglot-Ko's files hold float16, which transformers 5 keeps and in which AdamW learns nothing."""
    with caplog.at_level("INFO", logger="ratsnlp"):
        task = GenerationTask(tiny_model.half(), make_args())
    assert {parameter.dtype for parameter in task.parameters()} == {torch.float32}
    assert "float16이라 float32로" in caplog.text


def test_val_bits_per_char_means_the_same_under_either_recipe(make_args):
    """It is measured without padding and token_type_ids, so that recipes can be compared; val_loss is the recipe's
    own."""
    figures = {}
    for recipe in ("standard", "book"):
        trainer, _ = run_fit(make_args(recipe=recipe, learning_rate=1e-8, epochs=1))
        figures[recipe] = {name: float(trainer.callback_metrics[name]) for name in ("val_loss", "val_bits_per_char")}
    # bf16 against fp32.
    assert figures["book"]["val_bits_per_char"] == pytest.approx(figures["standard"]["val_bits_per_char"], rel=1e-2)
    assert abs(figures["book"]["val_loss"] - figures["standard"]["val_loss"]) > 0.01
