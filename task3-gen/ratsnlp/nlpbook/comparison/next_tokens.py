"""The distribution of the next token as a class looks at it: bars in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..display import pad, width

if TYPE_CHECKING:
    import torch

BAR = 20  # characters of the longest, of two columns each in some terminals


def next_token_bars(tokenizer, probabilities: torch.Tensor, top: int = 10) -> str:
    """The ``top`` likeliest tokens, one a line in quotes with its probability and a bar, and what all others have.

    ``probabilities`` (V,) sum to 1; a token that has none is left off. What is printed fits a terminal in cp949.
    """
    from .pictures_data import token_text

    likeliest = probabilities.topk(min(top, len(probabilities)))
    rows = [(f"'{token_text(tokenizer, token)}'".replace("␣", " "), p) for p, token in zip(
        likeliest.values.tolist(), likeliest.indices.tolist(), strict=True) if p > 0]
    others = int((probabilities > 0).sum()) - len(rows)
    rest = f"나머지 {others:,}개"
    names = max(width(name) for name in (rest, *(name for name, _ in rows)))
    lines = [f"  {pad(name, names)} {p:6.1%} {'■' * max(1, round(BAR * p / rows[0][1]))}" for name, p in rows]
    if others > 0:
        lines.append(f"  {pad(rest, names)} {1 - sum(p for _, p in rows):6.1%}")
    return "\n".join(lines)
