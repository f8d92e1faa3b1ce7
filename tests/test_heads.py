"""The loss is the model's own, whatever its head: a bias, a scale, a soft cap; with and without positions."""

import json

import pytest
import torch
import torch.nn.functional as F
from conftest import run_script, write_corpus
from transformers import AutoConfig, AutoModelForCausalLM

from ratsnlp.nlpbook import data_collator
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationExample,
    NsmcCorpus,
    bits_per_character,
    encode_prompt,
    load_pretrained,
    sample_texts,
    save_tokenizer,
)
from ratsnlp.nlpbook.generation.loss import has_plain_head, token_losses
from ratsnlp.nlpbook.training.layers import BYTE_EAGER, use_byte_eager

GPT2 = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
LLAMA = {"max_position_embeddings": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
         "pad_token_id": 1}
GROUPED = {**LLAMA, "num_key_value_heads": 2}  # two queries share a key
PLAIN = {
    "gpt2": GPT2, "gpt_neox": LLAMA, "llama": GROUPED, "qwen3": {**GROUPED, "head_dim": 8}, "gemma3_text": {**GROUPED, "head_dim": 8},
    "exaone4": GROUPED, "opt": {**LLAMA, "ffn_dim": 64, "word_embed_proj_dim": 32, "dropout": 0.0},
    "gpt_neo": {"max_position_embeddings": 64, "hidden_size": 32, "num_layers": 2, "num_heads": 4,
                "attention_types": [[["global", "local"], 1]]},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4}, "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64},
}
OTHER = {  # what they do to the logits: bias, bias, scale, scale, soft cap
    "gptj": {**GPT2, "rotary_dim": 4}, "phi": LLAMA, "granite": {**GROUPED, "logits_scaling": 4.0}, "cohere": GROUPED,
    "gemma2": {**GROUPED, "head_dim": 8},
}
FAMILIES = PLAIN | OTHER


def build(kind: str, tokenizer):
    """A small random model whose logits are as large as a trained model's, and whose biases are not zero."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1, **FAMILIES[kind])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


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
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
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
    assert torch.equal(torch.get_rng_state(), before) and not model.base_model._forward_hooks and model.training


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


@pytest.mark.parametrize("kind", ["cohere", "bloom"])
def test_the_scripts_train_and_measure_such_a_model(kind, tokenizer, tmp_path):
    """A head with a scale, and a model without a last position."""
    build(kind, tokenizer).save_pretrained(tmp_path / "model")
    save_tokenizer(tokenizer, tmp_path / "model")
    write_corpus(tmp_path)
    (tmp_path / "my.txt").write_text("재미있는 영화\n지루한 영화\n" * 20, encoding="utf-8")
    done = run_script("train.py", "--dataset_path", tmp_path / "my.txt", "--model_type", tmp_path / "model", "--output_dir",
                      tmp_path / "out", "--block_size", 32, "--num_train_epochs", 2, "--learning_rate", "1e-2", "--do_train")
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))["epochs"]
    assert second["val_loss"] < first["val_loss"]
    done = run_script("eval_gen.py", "--pretrained_model_name", tmp_path / "out/huggingface", "--downstream_corpus_root_dir", tmp_path,
                      "--downstream_corpus_name", "slice", "--samples", 2, "--report_dir", tmp_path / "report")
    assert done.returncode == 0, done.stderr[-3000:]
    model, _ = load_pretrained(str(tmp_path / "out/huggingface"))
    examples = NsmcCorpus().get_examples(tmp_path / "slice", "test")
    told = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    assert told["bits_per_char"] == pytest.approx(bits_per_character(model, tokenizer, examples)["bits_per_char"], rel=1e-5)
