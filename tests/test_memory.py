"""What a training is told to need: against sums by hand, against a training that is measured, and the advice."""

import json
import subprocess
import sys
from functools import partial

import pytest
import torch
from helpers import SCRIPTS, tiny_config

from ratsnlp.nlpbook.generation.loss import largest_loss
from ratsnlp.nlpbook.training import memory
from ratsnlp.nlpbook.training.free_memory import free_memory
from ratsnlp.nlpbook.training.memory import BITS_PER_WEIGHT, advice, estimate, ways_to_fit

# Two steps of a training of kogpt-mini, by hand: the growth of the resident memory at its peak.
MEASURE = """
import json, sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {scripts!r})
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from ratsnlp.nlpbook.generation import load_pretrained
from ratsnlp.nlpbook.generation.loss import largest_loss
from ratsnlp.nlpbook.training.layers import keep_freed_memory, use_byte_eager, use_fast_layers
from ratsnlp.nlpbook.training.optimizers import parameter_groups

def resident(field):
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024

def train(model, batch, width, steps):
    model.float().train().requires_grad_(True)
    use_fast_layers(model), use_byte_eager(model)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), fused=True)
    for _ in range(steps):
        loss = largest_loss(model, torch.randint(0, 100, (batch, width)), True, "standard", "cpu")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        del loss

keep_freed_memory()
train(GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=100)), 1, 8, 1)  # loads what libraries load
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
train(load_pretrained("kogpt-mini")[0], 16, 96, 2)
print(json.dumps(resident("VmHWM") - before))
"""


@pytest.fixture
def tell(make_args, tokenizer):
    """Estimates of a tiny model's training."""
    def tell(kind="gpt2", device="cuda", precision="32-true", **changes):
        args = make_args(**changes)
        loss = partial(largest_loss, plain_head=True, recipe=args.recipe, device=device)
        return estimate(tiny_config(kind, tokenizer), args, loss, device, precision)

    return tell


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox"])
def test_weights_gradients_and_optimizer_are_those_of_the_model(kind, tell, tokenizer):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(tiny_config(kind, tokenizer), dtype=torch.float32)
    parameters = sum(parameter.nbytes for parameter in model.parameters())
    buffers = sum(buffer.nbytes for buffer in model.buffers())
    accumulated = tell(kind, gradient_accumulation_steps=2)  # so that they are all there at the peak
    assert accumulated.weights == parameters + buffers
    assert accumulated.gradients == parameters
    assert accumulated.optimizer == 2 * parameters + 4 * len(list(model.parameters()))  # each with its step
    assert accumulated.certain == sum([accumulated.weights, accumulated.gradients, accumulated.optimizer])
    assert accumulated.total == accumulated.certain + accumulated.activations + accumulated.logits


def test_each_way_to_save_memory_saves_some(tell):
    full, checkpointing = tell(), tell(gradient_checkpointing=True)
    lora, qlora = tell(lora_r=4), tell(lora_r=4, qlora=True)
    half = tell(lora_r=4, precision="bf16-mixed")
    assert checkpointing.activations < full.activations
    assert lora.certain < full.certain
    assert qlora.weights < half.weights < lora.weights
    assert tell(batch_size=4).total < full.total < tell(recipe="contrast").total
    assert tell(recipe="book").total > full.total


def test_4_bits_are_those_of_bitsandbytes():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    weight = torch.randn(512, 512)
    _, state = bitsandbytes.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    held = weight.numel() / 2 + state.absmax.nbytes + state.state2.absmax.nbytes
    assert weight.numel() * BITS_PER_WEIGHT / 8 == held


@pytest.mark.skipif(sys.platform != "linux", reason="/proc에서 읽습니다")
def test_the_estimate_is_near_a_measured_peak(make_args):
    from ratsnlp.nlpbook.pretrained import load_config

    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(scripts=str(SCRIPTS))], capture_output=True, text=True, check=True)
    args = make_args(pretrained_model_name="kogpt-mini", batch_size=16, max_seq_length=96)
    loss = partial(largest_loss, plain_head=True, recipe="standard", device="cpu")
    told = estimate(load_config("kogpt-mini"), args, loss, "cpu", "32-true").total
    assert told == pytest.approx(json.loads(done.stdout.splitlines()[-1]), rel=0.25)


def test_nothing_is_allocated_and_nothing_drawn(make_args):
    from transformers import GPTNeoXConfig

    psutil = pytest.importorskip("psutil")
    config = GPTNeoXConfig(vocab_size=30080, hidden_size=2048, num_hidden_layers=24, num_attention_heads=16,
                           intermediate_size=8192)
    loss = partial(largest_loss, plain_head=True, recipe="standard", device="cuda")
    before, state = psutil.Process().memory_info().rss, torch.get_rng_state()
    told = estimate(config, make_args(batch_size=16, max_seq_length=96), loss, "cuda", "bf16-mixed")
    assert told.total > 20e9
    assert psutil.Process().memory_info().rss - before < 300e6
    assert torch.equal(torch.get_rng_state(), state)


def test_the_advice_fits_and_keeps_the_step(make_args, tokenizer, tell):
    config, args = tiny_config("gpt2", tokenizer), make_args(gradient_accumulation_steps=3)
    loss = partial(largest_loss, plain_head=True, recipe="standard", device="cuda")
    asked = (config, args, loss, "cuda", "32-true")
    free = tell(batch_size=3, gradient_accumulation_steps=8).total
    first = next(ways_to_fit(*asked, free))
    assert first.needs.total <= free < tell(batch_size=4, gradient_accumulation_steps=6).total
    assert first.changes == {"batch_size": 2, "gradient_accumulation_steps": 12}
    assert str(first).startswith("--batch_size 2 --gradient_accumulation_steps 12: ")
    assert first.needs == tell(**first.changes)
    assert str(first) in advice(*asked, free)
    nothing = advice(*asked, 1000)
    assert "부족합니다" in nothing
    assert "--qlora" in nothing


def test_the_line_that_tells_it():
    told = memory.MemoryEstimate(5_300_000_000, 5_300_000_000, 0, 1_650_000_000, 250_000_000)
    assert told.describe(7_800_000_000) == (
        "메모리: 12.5GB쯤 필요합니다(가중치 5.3GB, 그래디언트 5.3GB, 옵티마이저 0MB, 활성값 1.6GB, 로짓 250MB). "
        "남은 것: 7.8GB")


def test_free_memory_is_bounded_by_the_control_group(monkeypatch):
    free, total = free_memory("cpu")
    assert 0 < free <= total
    monkeypatch.setattr("ratsnlp.nlpbook.training.free_memory._cgroups", lambda: [(1_000_000, 400_000)])
    assert free_memory("cpu") == (600_000, 1_000_000)
