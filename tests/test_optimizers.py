import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

from ratsnlp.nlpbook.training.optimizers import Muon, MuonAdamW, orthogonalize, parameter_groups, warm_up_and_decay

GPT2 = GPT2LMHeadModel(GPT2Config(
    vocab_size=50, n_positions=16, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))
NEOX = GPTNeoXForCausalLM(GPTNeoXConfig(
    vocab_size=50, max_position_embeddings=16, hidden_size=8, intermediate_size=32, num_hidden_layers=2,
    num_attention_heads=2, tie_word_embeddings=False))


@pytest.mark.parametrize(("model", "embedded"), [
    (GPT2, {"transformer.wte.weight", "transformer.wpe.weight"}),
    (NEOX, {"gpt_neox.embed_in.weight", "lm_head.weight"}),
], ids=["GPT-2", "GPT-NeoX"])
def test_every_parameter_is_in_one_group(model, embedded):
    names = {parameter: name for name, parameter in model.named_parameters()}
    hidden, embeddings, vectors = [{names[parameter] for parameter in group["params"]}
                                   for group in parameter_groups(model, 0.1)]
    assert embeddings == embedded
    assert len(hidden) == 8
    assert all(".weight" in name for name in hidden)
    assert hidden | embeddings | vectors == set(names.values())
    assert len(hidden) + len(embeddings) + len(vectors) == len(names)
    assert [group["weight_decay"] for group in parameter_groups(model, 0.1)] == [0.1, 0.1, 0.0]


def test_muon_moves_matrices_in_every_direction_alike_and_the_rest_as_adamw_does():
    torch.manual_seed(0)
    before = {name: parameter.detach().clone() for name, parameter in GPT2.named_parameters()}
    optimizer = MuonAdamW(parameter_groups(GPT2, 0.0), lr=0.01, eps=1e-8, fused=False)
    for group in optimizer.param_groups:
        group["lr"] = 0.02  # what a schedule does
    # Nearly all of it in one direction.
    gradient = torch.outer(torch.arange(1.0, 9), torch.ones(32)) + 0.1 * torch.randn(8, 32)
    GPT2(torch.zeros(1, 4, dtype=torch.long), labels=torch.zeros(1, 4, dtype=torch.long)).loss.backward()
    GPT2.transformer.h[0].mlp.c_fc.weight.grad.copy_(gradient)
    optimizer.step()
    moved = GPT2.transformer.h[0].mlp.c_fc.weight.detach() - before["transformer.h.0.mlp.c_fc.weight"]
    sizes = torch.linalg.svdvals(moved)
    assert torch.linalg.svdvals(gradient)[0] > 100 * torch.linalg.svdvals(gradient)[-1]
    assert sizes[0] < 2.5 * sizes[-1]
    # 0.2: the usual size of an update of AdamW.
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.2 * 0.02, rel=0.3)
    step = (GPT2.transformer.ln_f.bias.detach() - before["transformer.ln_f.bias"]).abs()
    assert torch.allclose(step, torch.tensor(0.02), rtol=1e-3)  # AdamW's first step is the rate itself


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (16, 16)])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_our_muon_is_pytorchs(shape, precision, monkeypatch):
    monkeypatch.setattr("ratsnlp.nlpbook.training.optimizers.best_precision", lambda device: precision)
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(tensor) for tensor in torch.randn(shape).expand(2, *shape).clone())
    of_ours = Muon([{"params": [ours]}], lr=0.1)
    of_theirs = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
    of_ours.param_groups[0]["weight_decay"] = 0.3
    assert torch.linalg.svdvals(orthogonalize(ours.detach()[None]).float()).min() > 0.6
    for _ in range(5):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        of_ours.step()
        of_theirs.step()
    # to the last bit where both compute in bfloat16
    assert torch.allclose(ours, theirs, atol=0 if precision == "bf16-mixed" else 0.02, rtol=0)


def test_its_state_can_be_saved_and_goes_on_alike():
    def model():
        torch.manual_seed(0)
        return torch.nn.Linear(8, 4)

    def groups(module):
        return [{"params": [module.weight], "weight_decay": 0.1, "hidden": True},
                {"params": [module.bias], "weight_decay": 0.0, "hidden": False}]

    def step(module, optimizer, seed):
        torch.manual_seed(seed)
        module(torch.randn(3, 8)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    whole, broken = model(), model()
    of_whole, of_broken = (MuonAdamW(groups(module), lr=0.1, eps=1e-8, fused=False) for module in (whole, broken))
    for module, optimizer in ((whole, of_whole), (broken, of_broken)):
        step(module, optimizer, 1)
    other = MuonAdamW(groups(broken), lr=0.5, eps=1e-8, fused=False)
    other.load_state_dict(of_broken.state_dict())
    for module, optimizer in ((whole, of_whole), (broken, other)):
        optimizer.param_groups[0]["lr"] = 0.03  # the schedule still reaches the groups
        step(module, optimizer, 2)
    assert torch.equal(whole.weight, broken.weight)
    assert torch.equal(whole.bias, broken.bias)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize(("warmup", "total"), [(3, 20), (0, 7), (5, 5), (10, 4)])
def test_the_learning_rate_moves_as_transformers_moves_it(kind, warmup, total):
    from transformers import get_scheduler

    def rates(make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        schedule = make(optimizer)
        found = []
        for _ in range(total):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    expected = rates(lambda optimizer: get_scheduler(kind, optimizer, warmup, total))
    assert rates(lambda optimizer: warm_up_and_decay(optimizer, kind, warmup, total)) == pytest.approx(expected)
