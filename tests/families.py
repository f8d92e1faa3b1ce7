"""Small random models of many families: what each does to the logits, and how it attends, differs."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

GPT2 = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
LLAMA = {"max_position_embeddings": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64, "pad_token_id": 1}
GROUPED = {**LLAMA, "num_key_value_heads": 2}  # two queries share a key
PLAIN = {
    "gpt2": GPT2, "gpt_neox": LLAMA, "llama": GROUPED, "qwen3": {**GROUPED, "head_dim": 8},
    "gemma3_text": {**GROUPED, "head_dim": 8}, "exaone4": GROUPED,
    "mistral": {**LLAMA, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 16, "sliding_window": None},
    "opt": {**LLAMA, "ffn_dim": 64, "word_embed_proj_dim": 32, "dropout": 0.0},
    "gpt_neo": {"max_position_embeddings": 64, "hidden_size": 32, "num_layers": 2, "num_heads": 4,
                "attention_types": [[["global", "local"], 1]]},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64},
}
OTHER = {  # what they do to the logits: bias, bias, scale, scale, soft cap
    "gptj": {**GPT2, "rotary_dim": 4}, "phi": LLAMA, "granite": {**GROUPED, "logits_scaling": 4.0}, "cohere": GROUPED,
    "gemma2": {**GROUPED, "head_dim": 8},
}
FAMILIES = PLAIN | OTHER


def build(kind: str, tokenizer, **changes):
    """A small random model whose logits are as large as a trained model's, and whose biases are not zero; ``changes``
    are the configuration's."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1, **FAMILIES[kind], **changes)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()
