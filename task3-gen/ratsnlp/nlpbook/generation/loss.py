"""What a batch costs a model: the loss of each token, and the book's, which counts padding too."""

import torch
import torch.nn.functional as F

from ..training.adapters import unwrapped

# Rows of logits at a time. On a CPU they stay in its cache; larger tensors are also given back to the system and asked
# for again in each step, which takes as long as computing them.
ROWS = {"cpu": 128}
ROWS_ELSEWHERE = 1024
IGNORED = -100  # the label of a position that does not count


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, weight, targets, learns, size):
        losses = torch.empty(len(states), device=states.device)
        gradients = torch.empty(len(states) if learns else 0, len(weight), dtype=states.dtype, device=states.device)
        for rows in (slice(start, start + size) for start in range(0, len(states), size)):
            of_rows = targets[rows, None]
            logits = states[rows] @ weight.T
            probabilities = logits.float().softmax(dim=1)
            # By the highest: the probability of an improbable target may be 0 in float32.
            log_normalizer = logits.amax(dim=1, keepdim=True) - probabilities.amax(dim=1, keepdim=True).log()
            losses[rows] = (log_normalizer - logits.gather(1, of_rows)).squeeze(1)
            if learns:
                gradients[rows] = probabilities.scatter_add_(
                    1, of_rows, torch.full_like(of_rows, -1, dtype=torch.float32))
        ctx.save_for_backward(states, weight, gradients)
        return losses

    @staticmethod
    def backward(ctx, loss_gradients):
        states, weight, gradients = ctx.saved_tensors
        scale = loss_gradients[:, None].to(states.dtype)
        of_weight = gradients.T @ (states * scale) if ctx.needs_input_grad[1] else None  # frozen beside adapters
        return (gradients @ weight) * scale, of_weight, None, None, None


def linear_cross_entropy(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor,
                         device: str | None = None) -> torch.Tensor:
    """``cross_entropy(states @ weight.T, targets, reduction="none")`` in float32: (T,), of states (T, D),
    weight (V, D), targets (T,). As many rows at a time as suit the kind of ``device``, or that of the states.

    The gradient of a row of logits, softmax minus one-hot, is known as soon as the row is: it is kept, in the dtype of
    the matrix products, in the logits' place, so that there is one pass over the vocabulary instead of four. The
    products run in autocast's dtype where it is on. Source: Wijmans et al. (2024), "Cut your losses in large-vocabulary
    language models".
    """
    size = ROWS.get(device or states.device.type, ROWS_ELSEWHERE)
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype
    with torch.autocast(device, enabled=False):
        return _LinearCrossEntropy.apply(states.to(dtype), weight.to(dtype), targets, torch.is_grad_enabled(), size)


@torch.no_grad()
def has_plain_head(model) -> bool:
    """Whether the logits of ``model`` are its last hidden states times its output embedding and nothing else:
    no bias, scale or soft cap.

    Shown on a few made-up hidden states, so large that a soft cap tells: they take the place of those
    that ``model`` computes.
    """
    head, body = model.get_output_embeddings(), model.base_model
    matrix = unwrapped(head)  # while the weight of head has the rows that learn
    if type(matrix) is not torch.nn.Linear or matrix.bias is not None or body is model:
        return False
    states = torch.randn(1, 4, matrix.in_features, generator=torch.Generator().manual_seed(0)).to(head.weight)
    states *= 100 / F.linear(states, head.weight).abs().max().clamp(min=1e-6)

    def replace(module, inputs, outputs):
        outputs.last_hidden_state = states
        return outputs

    # OPT's model calls its decoder
    hooks = [module.register_forward_hook(replace) for module in {body, model.get_decoder()}]
    try:
        # dropout, where the model is in training
        with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
            ids = torch.zeros(1, 4, dtype=torch.long, device=model.device)
            more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
            logits = model(ids, use_cache=False, **more).logits
    finally:
        for hook in hooks:
            hook.remove()
    return torch.allclose(logits, F.linear(states, head.weight), rtol=1e-3, atol=1e-2)


def _counted(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The token ids of N texts, no wider than needed (N, W + 1), and which of those after the first count and
    belong to the text itself: each (N, W). Where there are labels, what is ``IGNORED`` there does not count."""
    lengths = batch["attention_mask"].sum(dim=1, keepdim=True)
    width = int(lengths.max())
    input_ids = batch["input_ids"][:, : width + -width % 4 + 1]
    position = torch.arange(1, input_ids.shape[1], device=input_ids.device)
    counts = position <= lengths
    if "labels" in batch:
        counts &= batch["labels"][:, 1 : input_ids.shape[1]] != IGNORED
    return input_ids, counts, counts & (position >= batch["control_tokens"][:, None])


def token_losses(model, batch: dict[str, torch.Tensor],
                 plain_head: bool | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of each of the batch's T tokens that count, in nats (T,),
    and whether each is the text's own (T,).

    Those that count are all real tokens but the first, and one eos after each text that was not truncated. A token is
    the text's own unless it belongs to the control word; eos is. With a ``plain_head`` (:func:`has_plain_head`) no
    logits are computed for positions that do not count; else they are the model's own. None: look which it is.
    """
    input_ids, counts, own = _counted(batch)
    targets = input_ids[:, 1:][counts]
    chosen = counts.flatten().nonzero().squeeze(1)  # index_select's gradient is quicker than a mask's
    plain_head = has_plain_head(model) if plain_head is None else plain_head
    return _losses_at(model, input_ids[:, :-1], chosen, targets, plain_head), own[counts]


def _losses_at(model, input_ids, chosen, targets, plain_head: bool, device: str | None = None) -> torch.Tensor:
    """The losses (T,) of ``targets`` (T,) at the ``chosen`` (T,) of the N × W positions of ``input_ids`` (N, W)."""
    # Padding is on the right, where causal attention does not look: no mask is needed.
    if not plain_head:
        logits = model(input_ids, use_cache=False).logits.flatten(0, 1).index_select(0, chosen)
        return F.cross_entropy(logits.float(), targets, reduction="none")
    hidden = model.base_model(input_ids, use_cache=False).last_hidden_state
    return head_losses(model, hidden, chosen, targets, device)


def head_losses(model, hidden: torch.Tensor, chosen: torch.Tensor, targets: torch.Tensor,
                device: str | None = None) -> torch.Tensor:
    """The losses (T,) of ``targets`` (T,) at the ``chosen`` (T,) of the N × W ``hidden`` states (N, W, D), by the plain
    head of ``model``."""
    states, total = hidden.flatten(0, 1).index_select(0, chosen), len(targets)
    # A CPU keeps a compiled kernel for each shape that it meets: widths go in fours and rows of logits in
    # 64s, so that they are few.
    states, targets = F.pad(states, (0, 0, 0, -total % 64)), F.pad(targets, (0, -total % 64))
    return linear_cross_entropy(states, model.get_output_embeddings().weight, targets, device)[:total]


def largest_loss(model, input_ids: torch.Tensor, plain_head: bool, recipe: str, device: str,
                 learnt: int | None = None) -> torch.Tensor:
    """The loss, a scalar, of the step of ``recipe`` that needs the most memory on a kind of ``device``: every token of
    ``input_ids`` (N, W) counts, or of each row no more than ``learnt``.

    Unlike the recipe's own, it asks for no value of a tensor: fake tensors can follow it.
    """
    if recipe == "book":
        ones, zeros = torch.ones_like(input_ids), torch.zeros_like(input_ids)
        return book_loss(model, {
            "input_ids": input_ids, "attention_mask": ones, "token_type_ids": zeros, "labels": input_ids})
    if recipe == "contrast":
        input_ids = input_ids.repeat_interleave(2, dim=0)  # after each of two control words
    targets = input_ids[:, 1:].flatten()[: learnt and learnt * len(input_ids)]
    chosen = torch.arange(len(targets), device=targets.device)
    return _losses_at(model, input_ids[:, :-1], chosen, targets, plain_head, device).sum()


def control_losses(model, batch: dict[str, torch.Tensor], words: torch.Tensor,
                   plain_head: bool | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The :func:`token_losses` of N texts (T,), and -ln p(word | text) of each text's own control word, in nats (N,).
    All words have the same prior.

    By Bayes' rule: the text's likelihood after its own word over the sum of those after each of K ``words``
    (K, tokens of a word), for which each text is computed K times. Source: Krause et al. (2020), "GeDi: Generative
    discriminator guided sequence generation", section 4, here with the sum over a text instead of the mean.

    Raises:
        ValueError: a text begins with none of the words.
    """
    ids, words = batch["input_ids"], words.to(batch["input_ids"].device)
    begins = (ids[:, None, : words.shape[1]] == words).all(dim=2)
    if not begins.any(dim=1).all():
        raise ValueError("each text has to begin with one of the control words")
    own_word = begins.int().argmax(dim=1)
    after_each = {name: tensor.repeat_interleave(len(words), dim=0) for name, tensor in batch.items()}
    after_each["input_ids"][:, : words.shape[1]] = words.repeat(len(ids), 1)
    losses, own = token_losses(model, after_each, plain_head)
    text = _counted(after_each)[1].nonzero()[:, 0]  # of N × K
    surprise = torch.zeros(len(ids) * len(words), device=losses.device).index_add(0, text, losses * own)
    chosen = text % len(words) == own_word.repeat_interleave(len(words))[text]
    return losses[chosen], F.cross_entropy(-surprise.view(len(ids), -1), own_word, reduction="none")


def book_loss(model, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """ratsnlp 1.0.53's: the mean over all ``batch_size × (max_seq_length - 1)`` positions,
    padding among them, in nats: a scalar."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    logits = model(**inputs, use_cache=False).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten())
