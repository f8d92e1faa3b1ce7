"""GPT-2's hidden states in as few calls as they take: the wrappers are a third of a small model's step on a CPU."""

import torch
import torch.nn.functional as F
from transformers import GPT2LMHeadModel
from transformers.cache_utils import Cache
from transformers.pytorch_utils import Conv1D


def is_plain_gpt2(model) -> bool:
    """Whether ``model`` is the GPT-2 that is computed here: no adapters, no variant of its attention or its GELU."""
    config = model.config
    return type(model) is GPT2LMHeadModel and config.activation_function in ("gelu_new", "gelu_pytorch_tanh") and (
        config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx and not config.add_cross_attention
        and all(type(layer) is Conv1D for block in model.transformer.h
                for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)))


def hidden_states(model: GPT2LMHeadModel, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor,
                  cache: Cache) -> torch.Tensor:
    """The last hidden states (N, T, D) of token ids and positions (N, T); ``mask`` (N, 1, T, S) is added to the scores
    of the S keys. Source: Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.3.
    """
    transformer, count, width = model.transformer, ids.shape[1], model.config.n_embd

    def norm(states, layer):
        return F.layer_norm(states, (width,), layer.weight, layer.bias, layer.eps)

    def times(states, layer):
        return torch.addmm(layer.bias, states, layer.weight)

    states = (transformer.wte.weight[ids] + transformer.wpe.weight[positions]).view(-1, width)
    for block, memory in zip(transformer.h, cache.layers, strict=True):
        mixed = times(norm(states, block.ln_1), block.attn.c_attn)
        query, key, value = mixed.view(len(ids), count, 3, model.config.n_head, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, *memory.update(key, value), attn_mask=mask)
        states = states + times(seen.transpose(1, 2).reshape(-1, width), block.attn.c_proj)
        inner = F.gelu(times(norm(states, block.ln_2), block.mlp.c_fc), approximate="tanh")
        states = states + times(inner, block.mlp.c_proj)
    return norm(states, transformer.ln_f).view(*ids.shape, width)
