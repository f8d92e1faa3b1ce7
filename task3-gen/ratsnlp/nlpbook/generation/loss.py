"""The cross-entropy of a wide vocabulary, without its logits ever being there all at once; and for which models that is their own loss."""

import torch
import torch.nn.functional as F

# Rows of logits at a time. On a CPU they stay in its cache; larger tensors are also given back to the system and asked for again in each
# step, which takes as long as computing them.
ROWS = {"cpu": 128}
ROWS_ELSEWHERE = 1024


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, weight, targets, learns):
        losses = torch.empty(len(states), device=states.device)
        gradients = torch.empty(len(states) if learns else 0, len(weight), dtype=states.dtype, device=states.device)
        size = ROWS.get(states.device.type, ROWS_ELSEWHERE)
        for rows in (slice(start, start + size) for start in range(0, len(states), size)):
            goals = targets[rows, None]
            logits = states[rows] @ weight.T
            probabilities = logits.float().softmax(dim=1)
            # By the highest: the probability of an improbable target may be 0 in float32.
            log_normalizer = logits.amax(dim=1, keepdim=True) - probabilities.amax(dim=1, keepdim=True).log()
            losses[rows] = (log_normalizer - logits.gather(1, goals)).squeeze(1)
            if learns:
                gradients[rows] = probabilities.scatter_add_(1, goals, torch.full_like(goals, -1, dtype=torch.float32))
        ctx.save_for_backward(states, weight, gradients)
        return losses

    @staticmethod
    def backward(ctx, of_losses):
        states, weight, gradients = ctx.saved_tensors
        scale = of_losses[:, None].to(states.dtype)
        return (gradients @ weight) * scale, gradients.T @ (states * scale), None, None


def linear_cross_entropy(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """``cross_entropy(states @ weight.T, targets, reduction="none")`` in float32: (T,), of states (T, D), weight (V, D), targets (T,).

    The gradient of a row of logits, softmax minus one-hot, is known as soon as the row is: it is kept, in the dtype of the matrix
    products, in the logits' place, so that there is one pass over the vocabulary instead of four. The products run in autocast's
    dtype where it is on. Source: Wijmans et al. (2024), "Cut your losses in large-vocabulary language models".
    """
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype
    with torch.autocast(device, enabled=False):
        return _LinearCrossEntropy.apply(states.to(dtype), weight.to(dtype), targets, torch.is_grad_enabled())


@torch.no_grad()
def has_plain_head(model) -> bool:
    """Whether the logits of ``model`` are its last hidden states times its output embedding and nothing else: no bias, scale or soft cap.

    Shown on a few made-up hidden states, so large that a soft cap tells: they take the place of those that ``model`` computes.
    """
    head, body = model.get_output_embeddings(), model.base_model
    if type(head) is not torch.nn.Linear or head.bias is not None or body is model:
        return False
    states = torch.randn(1, 4, head.in_features, generator=torch.Generator().manual_seed(0)).to(head.weight)
    states *= 100 / F.linear(states, head.weight).abs().max().clamp(min=1e-6)

    def replace(module, inputs, outputs):
        outputs.last_hidden_state = states
        return outputs

    hooks = [module.register_forward_hook(replace) for module in {body, model.get_decoder()}]  # OPT's model calls its decoder
    try:
        with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):  # dropout, where the model is in training
            logits = model(torch.zeros(1, 4, dtype=torch.long, device=model.device), use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return torch.allclose(logits, F.linear(states, head.weight), rtol=1e-3, atol=1e-2)
