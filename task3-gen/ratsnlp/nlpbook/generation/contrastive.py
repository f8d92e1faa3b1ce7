"""Contrastive search, which transformers keeps on its hub: a way to decode for ``model.generate``."""

from collections.abc import Callable
from functools import partial

import torch


def contrastive_search(penalty_alpha: float, top_k: int) -> Callable:
    """What ``model.generate`` takes as ``custom_generate``: of the ``top_k`` likeliest tokens the one that
    is likely and whose hidden state is least like one before it.

    ``penalty_alpha`` weighs the likeness (cosine) against the probability; 0 is greedy search. One prompt at a time.
    Source: Su et al. (2022), "A contrastive framework for neural text generation", equation 5.
    """
    return partial(_search, penalty_alpha=penalty_alpha, candidates=top_k)


@torch.no_grad()
def _search(model, input_ids, logits_processor, stopping_criteria, generation_config, penalty_alpha, candidates, **_):
    logits = model(input_ids).logits[:, -1]
    while True:
        scores = logits_processor(input_ids, logits.float())
        likely, tokens = scores.softmax(-1)[0].topk(candidates)
        ways = torch.cat([input_ids.expand(candidates, -1), tokens[:, None]], dim=1)  # (candidates, T + 1)
        outputs = model(ways, output_hidden_states=True)
        states = torch.nn.functional.normalize(outputs.hidden_states[-1].float(), dim=-1)
        likeness = (states[:, :-1] @ states[:, -1:].mT).amax(dim=(1, 2))
        worth = (1 - penalty_alpha) * likely - penalty_alpha * likeness
        best = worth.masked_fill(likely == 0, -torch.inf).argmax()  # what a processor forbids stays forbidden
        input_ids, logits = ways[best : best + 1], outputs.logits[best : best + 1, -1]
        if stopping_criteria(input_ids, None).all():
            return input_ids
