"""The curve of the losses of a run, as a picture."""

import logging
from pathlib import Path

from ..files import whole_file

logger = logging.getLogger("ratsnlp")


def draw_losses(curve: dict[str, list[tuple[int, float]]], file: Path) -> None:
    """Draw losses over steps as a PNG, whole or not at all; where matplotlib is not installed
    the log says so instead."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        logger.info("matplotlib이 없어 %s 그림은 그리지 않습니다.", file.name)
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for (name, points), style in zip(curve.items(), ("-", "o-"), strict=True):
        if points:
            axes.plot(*zip(*points, strict=True), style, label=name, linewidth=1)
    axes.set(xlabel="step", ylabel="nats per token")
    axes.grid(alpha=0.3)
    axes.legend()
    with whole_file(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)
