"""The loss is the model's own, whatever its head: a bias, a scale, a soft cap; with and without positions."""

import pytest
import torch
import torch.nn.functional as F
from families import FAMILIES, PLAIN, build

from ratsnlp.nlpbook import data_collator
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationExample,
    NsmcCorpus,
    bits_per_character,
    encode_prompt,
    sample_texts,
)
from ratsnlp.nlpbook.generation.loss import has_plain_head, token_losses
from ratsnlp.nlpbook.training.layers import BYTE_EAGER, use_byte_eager


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_loss_and_its_gradients_are_the_models_own(kind, tokenizer, make_args):
    model, args = build(kind, tokenizer), make_args(max_seq_length=24)
    dataset = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
    rows = [int(dataset.lengths.argmax()), int(dataset.lengths.argmin()), 5]

    def own_losses(row):
        length = int(dataset.lengths[row])
        ids = torch.tensor([dataset[row].input_ids[:length] + ([tokenizer.eos_token_id] if length < 24 else [])])
        return F.cross_entropy(model(ids, use_cache=False).logits[0, :-1], ids[0, 1:], reduction="none")

    expected = torch.cat([own_losses(row) for row in rows])
    expected.sum().backward()
    gradients = {name: parameter.grad.clone()
                 for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    losses, _ = token_losses(model, data_collator([dataset[row] for row in rows]))
    losses.sum().backward()
    assert has_plain_head(model) == (kind in PLAIN)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(dict(model.named_parameters())[name].grad, gradient, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", FAMILIES)
def test_bits_and_samples_of_every_family(kind, tokenizer):
    model, text = build(kind, tokenizer), "정말 재미있어요"
    ids = torch.tensor([[*tokenizer.encode(f"긍정 {text}"), tokenizer.eos_token_id]])
    with torch.no_grad():
        nats = float(F.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="sum"))
    told = bits_per_character(model, tokenizer, [GenerationExample(f"긍정 {text}", "긍정 ")])
    assert told["nats_per_token"] * told["tokens"] == pytest.approx(nats, rel=1e-4)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = tokenizer.eos_token_id
    assert len(sample_texts(model, tokenizer, "긍정", 2, seed=0, max_new_tokens=4)) == 2
    assert encode_prompt(model, tokenizer, "긍정").shape == (1, 1)


def test_the_check_leaves_the_model_and_the_random_state_alone(tokenizer):
    model = build("gpt2", tokenizer).train()
    before = torch.get_rng_state()
    assert has_plain_head(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.base_model._forward_hooks
    assert model.training


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind not in ("mamba", "gptj")])  # Mamba does not attend
def test_fast_attention_is_used_only_where_it_is_the_models_own(kind, tokenizer):
    model = build(kind, tokenizer)
    ids = torch.randint(4, 1000, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(ids).logits
        use_byte_eager(model)
        torch.testing.assert_close(model(ids).logits, expected, rtol=1e-4, atol=1e-4)
    used = model.config._attn_implementation == BYTE_EAGER
    assert used == (kind in ("gpt2", "gpt_neox", "opt", "phi", "llama", "qwen3"))
