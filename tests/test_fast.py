"""What is computed faster is the same: the loss with its gradients, dropout, GELU, attention."""

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny_config
from transformers import AutoModelForCausalLM

from ratsnlp.nlpbook.generation.loss import linear_cross_entropy
from ratsnlp.nlpbook.training.layers import ByteDropout, use_byte_eager, use_fast_layers


@pytest.mark.parametrize("rows", [1, 128, 300])
def test_the_loss_and_its_gradients_are_cross_entropys(rows):
    torch.manual_seed(0)
    states, weight = torch.randn(rows, 16, requires_grad=True), torch.randn(500, 16, requires_grad=True)
    targets, upstream = torch.randint(0, 500, (rows,)), torch.rand(rows)
    expected = F.cross_entropy(states @ weight.T, targets, reduction="none")
    gradients = torch.autograd.grad(expected @ upstream, (states, weight))
    losses = linear_cross_entropy(states, weight, targets)
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(torch.autograd.grad(losses @ upstream, (states, weight)), gradients)


def test_the_loss_of_an_improbable_token_is_finite():
    states = torch.eye(3, requires_grad=True)
    weight = torch.tensor([[0.0, 0, 0], [300.0, 0, 0], [-300.0, 0, 0]], requires_grad=True)
    losses = linear_cross_entropy(states, weight, torch.tensor([2, 1, 0]))
    torch.testing.assert_close(losses, torch.tensor([600.0, 1.0986123, 1.0986123]))
    losses.sum().backward()
    assert states.grad.isfinite().all()
    assert weight.grad.isfinite().all()


def test_autocast_gives_bf16_products_and_float32_losses():
    torch.manual_seed(0)
    states, weight = torch.randn(64, 32, requires_grad=True), torch.randn(100, 32, requires_grad=True)
    targets = torch.randint(0, 100, (64,))
    with torch.autocast("cpu", torch.bfloat16):
        losses = linear_cross_entropy(states, weight, targets)
        expected = F.cross_entropy(F.linear(states, weight).float(), targets, reduction="none")
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, expected)
    theirs, ours = (torch.autograd.grad(some.sum(), (states, weight)) for some in (expected, losses))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - other).norm() < 0.01 * other.norm()


def test_without_gradients_none_are_kept():
    states, weight = torch.randn(8, 4), torch.randn(9, 4, requires_grad=True)
    with torch.no_grad():
        assert not linear_cross_entropy(states, weight, torch.zeros(8, dtype=torch.long)).requires_grad


def test_byte_dropout_drops_a_share_of_p_and_keeps_the_mean():
    torch.manual_seed(0)
    dropout, states = ByteDropout(0.1), torch.ones(1001, 999)
    dropped = dropout(states)
    assert float((dropped == 0).float().mean()) == pytest.approx(26 / 256, abs=0.001)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.001)
    assert not torch.equal(dropout(states), dropped)
    torch.manual_seed(0)
    assert torch.equal(dropout(states), dropped)
    assert dropout.eval()(states) is states
    assert torch.equal(ByteDropout(0.0)(states), states)


def test_a_model_with_fast_layers_and_fast_attention_computes_the_same(tokenizer):
    """Dropout is there, and stays off in a model that is in eval mode."""
    torch.manual_seed(0)
    config = tiny_config("gpt2", tokenizer)
    config.resid_pdrop = config.embd_pdrop = 0.5
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(0, len(tokenizer), (2, 20))
    with torch.no_grad():
        expected = model(ids).logits
        use_fast_layers(model)
        assert {type(block.mlp.act) for block in model.transformer.h} == {torch.nn.GELU}
        assert {type(block.mlp.dropout) for block in model.transformer.h} == {ByteDropout}
        use_byte_eager(model)
        torch.testing.assert_close(model(ids).logits, expected, rtol=1e-5, atol=1e-5)


def test_the_fast_attention_is_the_models_own(tiny_model):
    """With gradients, with padding on the left, and with a cache."""
    model, ids = tiny_model.eval(), torch.randint(4, 1000, (2, 12))
    padded = torch.ones_like(ids).index_fill(1, torch.tensor([0, 1]), 0)

    def results():
        model.zero_grad()
        logits = model(ids).logits
        logits.square().mean().backward()
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        written = model.generate(ids, attention_mask=padded, do_sample=False, max_new_tokens=8)
        return [logits, model(ids, attention_mask=padded).logits[:, 2:], *gradients], written

    expected, expected_text = results()
    use_byte_eager(model)
    computed, text = results()
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(text, expected_text)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):  # float32's lowest number is beyond bfloat16's
        logits = model(ids, attention_mask=padded).logits[:, 2:]
        torch.testing.assert_close(logits, computed[1], rtol=0.1, atol=0.05, check_dtype=False)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox"])
def test_the_fast_attention_drops_weights_in_training_alone(kind, tokenizer):
    config = tiny_config(kind, tokenizer)
    config.attn_pdrop = config.attention_dropout = 0.5
    model = AutoModelForCausalLM.from_config(config)
    use_byte_eager(model)
    ids = torch.randint(0, len(tokenizer), (2, 20))

    def logits(seed):
        torch.manual_seed(seed)
        return model(ids).logits

    with torch.no_grad():
        model.train()
        assert torch.equal(logits(0), logits(0))
        assert not torch.equal(logits(0), logits(1))
        model.eval()
        assert torch.equal(logits(0), logits(1))
