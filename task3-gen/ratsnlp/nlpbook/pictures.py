"""Pictures of what a language model does, for a notebook: each function draws what a model really computes.

A notebook shows a :class:`Picture` as it is, and so does one that was only saved; ``save(file)`` writes an SVG, which
a browser opens. A prompt is a text, or its token ids (1, T).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import flags_by_heading
from .errors import UserError
from .files import whole_file
from .paths import BUNDLED, REPOSITORY

if TYPE_CHECKING:
    import torch

    from .arguments import Arguments
    from .generation.features import GenerationFeatures


class Picture:
    """An SVG that needs no style sheet. As a text it is what the picture says, for those who do not see it."""

    def __init__(self, svg: str):
        from .comparison.svg import inlined

        self.svg = inlined(svg)

    def __repr__(self) -> str:
        title, told = (html.unescape(re.search(rf"<{tag}>(.*?)</{tag}>", self.svg, re.DOTALL)[1])
                       for tag in ("title", "desc"))
        return f"[그림] {title}\n{told}"

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg

    def save(self, file: str | Path) -> Path:
        """Write it to ``file``, whole or not at all; folders that are missing are made."""
        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as unfinished:
            unfinished.write_text(self.svg, encoding="utf-8")
        return file


class Table:
    """Settings under headings: name, value, meaning, and whether the value was chosen. A notebook shows them as HTML,
    the chosen ones bold; as a text they are one a line."""

    def __init__(self, groups: dict[str, list[tuple[str, str, str, bool]]]):
        self.groups = groups

    def __repr__(self) -> str:
        lines = []
        for heading, rows in self.groups.items():
            lines += [heading, *(f"{'*' if chosen else ' '} {name} = {value}: {meaning}"
                                 for name, value, meaning, chosen in rows)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        left = ' style="text-align: left"'
        cell = f"<td{left}>"
        parts = ["<table>", f"<tr><th{left}>이름</th><th{left}>값</th><th{left}>뜻</th></tr>"]
        for heading, rows in self.groups.items():
            parts.append(f'<tr><th colspan="3"{left}>{html.escape(heading)}</th></tr>')
            for *cells, chosen in rows:
                name, value, meaning = (html.escape(cell) for cell in cells)
                value = f"<b>{value}</b>" if chosen else value
                parts.append(f"<tr>{cell}<code>{name}</code></td>{cell}{value}</td>{cell}{meaning}</td></tr>")
        return "\n".join([*parts, "</table>"])


def arguments(args: Arguments) -> Table:
    """All settings of ``args`` and what each means, in the words of ``--help``; those that have not their default are
    the chosen ones. A path within the project is shown from there on."""
    from dataclasses import fields

    defaults = {spec.name: spec.default for spec in fields(args)}
    values = {name: _short(getattr(args, name)) for name in defaults}
    return Table({
        heading: [(flag.spec.name, flag.default, flag.spec.metadata["help"],
                   getattr(args, flag.spec.name) != defaults[flag.spec.name]) for flag in flags]
        for heading, flags in flags_by_heading(type(args), values).items()})


def _short(value):
    """A path without the folder in which the project, or what it installed, lies."""
    for root in (REPOSITORY, BUNDLED, Path.cwd()):
        if isinstance(value, str) and Path(value).is_absolute() and Path(value).is_relative_to(root):
            return Path(value).relative_to(root).as_posix()
    return value


def next_token(model, tokenizer, prompt, top: int = 10) -> Picture:
    """The likeliest tokens after the prompt, as bars."""
    from .comparison.lesson_data import likeliest
    from .comparison.lesson_pictures import bars

    return Picture(bars(likeliest(model, tokenizer, _ids(model, tokenizer, prompt), top)))


def loop(model, tokenizer, prompt) -> Picture:
    """The four steps that every text is written by, with what they do to this prompt."""
    from .comparison.lesson_data import likeliest
    from .comparison.lesson_pictures import loop as draw

    return Picture(draw(likeliest(model, tokenizer, _ids(model, tokenizer, prompt), 3)))


def attention(networks: dict[str, torch.nn.Module], tokenizer, prompt) -> Picture:
    """What each token of the prompt attends to in each of ``networks``, which are named by their keys."""
    from .comparison.lesson_data import attention as figures
    from .comparison.lesson_pictures import attention as draw

    ids = _ids(next(iter(networks.values())), tokenizer, prompt)
    return Picture(draw(figures(networks, tokenizer, ids)))


def features(feature: GenerationFeatures, tokenizer) -> Picture:
    """A feature of a dataset as a table, and which of its tokens the recipe ``standard`` learns."""
    from .comparison.lesson_data import features as figures
    from .comparison.lesson_pictures import features as draw

    return Picture(draw(figures(feature, tokenizer)))


def losses(folder: str | Path) -> Picture:
    """The curve of the run that trained in ``folder``."""
    from .comparison.lesson_data import losses as figures
    from .comparison.lesson_pictures import losses as draw

    return Picture(draw(figures(folder)))


def greedy_path(model, tokenizer, prompt, steps: int = 4) -> Picture:
    """The likeliest tokens of each step, of which greedy search takes the first."""
    from .comparison.pictures import greedy_path as draw
    from .comparison.pictures_data import greedy_path as figures

    return Picture(draw(figures(model, tokenizer, _ids(model, tokenizer, prompt), steps)))


def beam_tree(model, tokenizer, prompt, num_beams: int, steps: int = 4) -> Picture:
    """The tree that a beam search of ``num_beams`` kept."""
    from .comparison.pictures import beam_tree as draw
    from .comparison.pictures_data import beam_tree as figures

    return Picture(draw(figures(model, tokenizer, _ids(model, tokenizer, prompt), num_beams, steps)))


def reshaped(model, tokenizer, prompt, top: int = 10, **settings: Sequence[float]) -> Picture:
    """What ``temperature``, ``top_k`` and ``top_p`` make of the likeliest tokens, a panel for each of their values
    (``temperature=[0.01, 1.5]``), behind that of the model itself.

    Raises:
        UserError: a value out of its bounds.
    """
    from .comparison.lesson_pictures import reshaped as draw
    from .comparison.pictures_data import WARPERS
    from .comparison.pictures_data import next_token as figures
    from .generation.options import DecodingOptions

    chosen = [(knob, value) for knob, values in settings.items() for value in values]
    for knob, value in chosen:
        DecodingOptions(**{knob: value})
        if knob not in WARPERS or not value:  # 0 is what turns top-k off, and the search that draws nothing
            raise UserError(
                f"reshaped: temperature, top_k, top_p를 0보다 큰 값으로 적어야 하는데 {knob}={value}입니다.")
    return Picture(draw(figures(model, tokenizer, _ids(model, tokenizer, prompt), top, [("none", None), *chosen])))


def processed(model, tokenizer, prompt, top: int = 8, **setting: float) -> Picture:
    """The probabilities before and after ``no_repeat_ngram_size`` or ``repetition_penalty`` (one of them), at the first
    step of a greedy search where it has another token taken.

    Raises:
        UserError: a value out of its bounds, or another setting.
    """
    from .comparison.lesson_data import PROCESSORS
    from .comparison.lesson_data import processed as figures
    from .comparison.lesson_pictures import processed as draw
    from .generation.options import DecodingOptions

    if len(setting) != 1 or not setting.keys() <= PROCESSORS.keys():
        raise UserError(f"processed: {' 또는 '.join(PROCESSORS)} 하나만 적으세요.")
    DecodingOptions(**setting)
    ((knob, value),) = setting.items()
    return Picture(draw(figures(model, tokenizer, _ids(model, tokenizer, prompt), knob, value, top)))


def shares(measured: dict[str, dict[str, dict]]) -> Picture:
    """How many texts are as they were asked for: of each name (before, after) and control word what
    :func:`~ratsnlp.nlpbook.generation.agreement` found, with its 95 % interval."""
    from .comparison.lesson_pictures import shares as draw

    return Picture(draw(measured))


def draw_next_token(model, tokenizer, input_ids: torch.Tensor, folder: str | Path) -> Path:
    """Save what temperature, top-k and top-p make of the distribution after ``input_ids`` (1, T); returns the path."""
    from .comparison.pictures import next_token as draw
    from .comparison.pictures_data import next_token as figures

    return Picture(draw(figures(model, tokenizer, input_ids))).save(Path(folder) / "next_token.svg")


def _ids(model, tokenizer, prompt) -> torch.Tensor:
    from .generation.prompts import encode_prompt

    return encode_prompt(model, tokenizer, prompt) if isinstance(prompt, str) else prompt
