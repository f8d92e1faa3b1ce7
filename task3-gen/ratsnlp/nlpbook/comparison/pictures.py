"""Pictures of decoding as SVG, drawn from the figures of a report."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .svg import axis, box, centred, edge, fit, percent, picture, signed, text, text_width

KNOBS = {"temperature": "온도", "top_k": "top-k", "top_p": "top-p", "none": "모델",
         "no_repeat_ngram_size": "n-gram 반복 금지", "repetition_penalty": "반복 페널티"}
ALIKE = 0.25  # distinct-2 of settings that give the same text again and again is below it


def draw(report: dict, number: int) -> dict[str, str]:
    """The pictures of the report's model ``number``, counted from 0, by their names."""
    figures = report["pictures"][number]
    trees = {f"beams_{tree['num_beams']}": beam_tree(tree) for tree in figures["beam_trees"]}
    every = [point for model in range(len(report["models"])) for point in _points(report, model)]
    return {"next_token": next_token(figures["next_token"]), "greedy": greedy_path(figures["greedy_path"]), **trees,
            "settings": scatter(_points(report, number), every)}


def draw_all(report: dict) -> dict[str, str]:
    """The pictures of all models, by names for files: those of a second model end with ``-2``."""
    return {name + (f"-{number + 1}" if number else ""): svg
            for number in range(len(report["models"])) for name, svg in draw(report, number).items()}


def next_token(figures: dict) -> str:
    """The likeliest tokens as bars, and how each knob reshapes them: a panel for each knob, all in one scale."""
    likeliest = ", ".join(f"{token['text']} {percent(token['p'])}" for token in figures["tokens"][:3])
    cuts = ", ".join(f"{panel_name(panel)} {panel['left']:,}개" for panel in figures["reshaped"][1:])
    return panels(figures, "다음 토큰의 확률, 그리고 온도와 top-k와 top-p를 거친 확률",
                  f"확률이 가장 높은 토큰: {likeliest}. 남은 토큰: {cuts}.")


def panels(figures: dict, title: str, told: str, room: int = 20) -> str:
    """Probabilities of the same tokens side by side, in one scale; what a panel cuts is dashed, what it has ``taken``
    is named. ``room`` is what a panel keeps for the text beside its longest bar."""
    tokens, shown = figures["tokens"], figures["reshaped"]
    left, top, row, gap = 104, 58, 21, 30
    wide = max(102, min(200, (760 - left) // len(shown) - gap))
    scale = (wide - room) / max(max(panel["p"]) for panel in shown)  # pixels for a probability of 1
    bottom, width = top + row * len(tokens), left + (wide + gap) * len(shown)
    parts = [f'<rect class="band" x="0" y="{top + row * number}" width="{width}" height="{row}"/>'
             for number in range(0, len(tokens), 2)]
    parts += [text(left - 12, top + row * number + 15, fit(token["text"], left - 16), "end")
              for number, token in enumerate(tokens)]
    parts.append(text(left - 12, bottom + 21, f"나머지 {figures['vocabulary'] - len(tokens):,}개", "small muted end"))
    for number, panel in enumerate(shown):
        x = left + (wide + gap) * number
        uncut = panel["left"] == figures["vocabulary"]
        parts += [text(x, 20, panel_name(panel) + (" (그대로)" if number == 0 else ""), "strong"),
                  text(x, 40, f"{panel['left']:,}개 남음", "small muted" if uncut else "small"),
                  f'<path class="grid" d="M{x} {top - 8}V{bottom}"/>']
        for place, (token, p) in enumerate(zip(tokens, panel["p"], strict=True)):
            there = p > 0 or uncut  # of a low temperature, 0 is what float32 has no more digits for
            y, long = top + row * place, scale * (p if there else token["p"])
            said, taken = percent(p) if there else "×", " 고름" if place == panel.get("taken") else ""
            parts += [f'<rect class="{"bar" if there else "cut"}" x="{x}" y="{y + 4}" width="{long:.1f}" height="13"/>',
                      text(x + long + 5, y + 15, said + taken,
                           "small strong" if taken else "small" if there else "small muted")]
        parts.append(text(x + 5, bottom + 21, percent(panel["others"]), "small muted"))
    return picture(width, bottom + 34, title, told, parts)


def greedy_path(figures: dict) -> str:
    """The likeliest tokens of each step in a column, of which the first is taken."""
    left, top, wide, tall, gap, row = 96, 32, 116, 50, 36, 62
    steps = figures["steps"]
    middle, bottom = top + tall // 2, top + row * max(len(step["candidates"]) for step in steps)
    edges, parts = [], [
        box(2, top, left - 2, tall, "taken"), text(0, bottom + 16, "로그확률의 합", "small muted"),
        text(left / 2, middle + 5, fit(figures["prompt"], left - 16, end=True), "strong middle")]
    for number, step in enumerate(steps, start=1):
        x = left + gap + (wide + gap) * (number - 1)
        parts += [text(x + wide / 2, 20, f"{number}번째 토큰", "small muted middle"),
                  text(x + wide / 2, bottom + 16, signed(step["log_prob"]), "small muted middle")]
        for place, candidate in enumerate(step["candidates"]):
            y = top + row * place
            edges.insert(0, edge(x - gap, middle, x, y + tall // 2, place == 0))
            parts += [box(x, y, wide, tall, "gone" if place else "taken"),
                      text(x + wide / 2, y + 21, fit(candidate["text"], wide - 16), centred(place == 0)),
                      text(x + wide / 2, y + 40, percent(candidate["p"]), "small muted middle")]
    taken = ", ".join(f"{step['candidates'][0]['text']} {percent(step['candidates'][0]['p'])}" for step in steps)
    return picture(left + (wide + gap) * len(steps) + 4, bottom + 28, "그리디 서치가 고른 토큰과 고르지 않은 토큰",
                   f"{figures['prompt']} 다음에 고른 토큰: {taken}.", edges + parts)


def beam_tree(figures: dict) -> str:
    """The tree that a beam search kept; what won runs straight along the top."""
    left, top, wide, tall, gap, row, told = 86, 10, 104, 44, 66, 58, 130
    nodes = figures["nodes"]
    children = {node["id"]: [] for node in nodes}
    for node in sorted(nodes[1:], key=lambda node: (not node["winner"], -node["log_prob"])):
        children[node["parent"]].append(node)
    places = dict(_layout(nodes[0], children, 0, iter(range(len(nodes)))))
    root = top + tall // 2
    edges, parts = [], [box(2, top, left - 2, tall, "taken"),
                        text(left / 2, root + 5, fit(nodes[0]["text"], left - 16, end=True), "strong middle")]
    for node in nodes[1:]:
        column, line = places[node["id"]]
        x, y = left + gap + (wide + gap) * (column - 1), top + row * line
        lost = not children[node["id"]] and not node["rank"]
        edges.append((node["winner"], edge(x - gap, root + row * places[node["parent"]][1], x, y + tall // 2,
                                            node["winner"])))
        parts += [box(x, y, wide, tall, "taken" if node["winner"] else "gone" if lost else "kept"),
                  text(x + wide / 2, y + 19, fit(node["text"], wide - 14), centred(node["winner"])),
                  text(x + wide / 2, y + 36, signed(node["log_prob"]), "small muted middle"),
                  text(x - 6, y + tall // 2 - 6, percent(node["p"]), "small end")]
        if lost:
            parts.append(text(x + wide + 8, y + 27, "× 밀려남", "small muted"))
        elif node["rank"]:
            parts.append(text(x + wide + 8, y + 27, f"{node['rank']}위 (평균 {signed(node['score'])})",
                               "small strong" if node["winner"] else "small"))
    columns, lines = (max(place[axis] for place in places.values()) for axis in (0, 1))
    return picture(left + (wide + gap) * columns + told, top + row * lines + tall + 10,
                   f"빔 {figures['num_beams']}개가 남긴 텍스트의 트리",
                   f"1위: {figures['text']}, 토큰당 로그확률 "
                   f"{signed(next(node['score'] for node in nodes if node['rank'] == 1))}.",
                   [edge for _, edge in sorted(edges)] + parts)


def _layout(node: dict, children: dict[int, list[dict]], column: int, lines: Iterator[int],
            line: int | None = None) -> Iterator[tuple[int, tuple[int, int]]]:
    """``(id, (column, line))`` of a node and of all below it: the first child stands in the line of its parent."""
    line = next(lines) if line is None else line
    yield node["id"], (column, line)
    for number, child in enumerate(children[node["id"]]):
        yield from _layout(child, children, column + 1, lines, None if number else line)


class Point(NamedTuple):
    """A setting, or the texts that people wrote; ``alike``: it gives the same text always, or almost."""

    label: str
    figures: dict
    alike: bool = False
    human: bool = False


def _points(report: dict, number: int) -> list[Point]:
    points = [Point("사람", report["human"][number], human=True)]
    for setting in report["settings"]:
        outcome = setting["outcomes"][number]
        alike = len(set(outcome["texts"])) == 1 or (outcome["figures"]["distinct_2"] or 0) < ALIKE
        points.append(Point(setting["label"].strip("[]"), outcome["figures"], alike and report["samples"] > 1))
    return [point for point in points if None not in (point.figures["distinct_2"], point.figures["log_prob"])]


def scatter(points: Sequence[Point], every: Sequence[Point]) -> str:
    """Settings by distinct-2 and log-probability per token, as large as their texts are long; people are a diamond.

    Those that give the same text have no diversity to compare: they stand in a band beside it. ``every`` has the points
    of all models: their pictures have the same axes.
    """
    width, height, left, top, bottom = 1040, 620, 66, 62, 556
    band = 190 if any(point.alike for point in every) else 0
    diversities = [point.figures["distinct_2"] for point in every if not point.alike]
    x_ticks, across = axis(diversities, left + band, width - 10)
    y_ticks, up = axis([point.figures["log_prob"] for point in every], bottom, top)
    places: dict[tuple, list[str]] = {}
    for label, figures, alike, human in points:
        place = (human, None if alike else round(figures["distinct_2"], 3), round(figures["log_prob"], 3),
                 figures["mean_syllables"])
        places.setdefault(place, []).append(label)
    parts = [
        f'<rect class="band" x="{left}" y="{top}" width="{band}" height="{bottom - top}"/>',
        text(left + band / 2, top - 10, "항상 (거의) 같은 텍스트" if band else "", "small strong middle"),
        text((left + band + width) / 2, height - 12, "distinct-2 (오른쪽으로 갈수록 다양한 텍스트)", "strong middle"),
        f'<g transform="translate(14 {(top + bottom) / 2}) rotate(-90)">'
        + text(0, 0, "토큰당 로그확률 (위로 갈수록 모델에게 뻔한 텍스트)", "strong middle") + "</g>"]
    for tick in x_ticks:
        parts += [f'<path class="grid" d="M{across(tick):.1f} {top}V{bottom}"/>',
                  text(across(tick), bottom + 19, f"{tick:g}", "small muted middle")]
    for tick in y_ticks:
        parts += [f'<path class="grid" d="M{left} {up(tick):.1f}H{width - 10}"/>',
                  text(left - 8, up(tick) + 4, signed(tick, 1), "small muted end")]
    marks = []
    for (human, x, y, long), labels in sorted(places.items(), key=lambda place: -place[0][2]):
        r = _radius(long)
        beside = (left + 28 + 40 * number for number in range(4))  # in the band, where no other mark is
        x = across(x) if x is not None else next(
            (free for free in beside
             if all(math.hypot(free - mark[1], up(y) - mark[2]) > r + mark[3] for mark in marks)), left + 28)
        marks.append((human, x, up(y), r, _joined(labels)))
    marks.sort(key=lambda mark: (mark[0], -mark[3]))  # small ones over large ones, people over all
    for human, x, y, r, _ in marks:
        parts.append(f'<path class="mark human" d="M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f}l{-r:.1f} {r:.1f}l{-r:.1f} '
                     f'{-r:.1f}z"/>' if human else f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"/>')
    parts += _labels(marks, left, width)
    for number, long in enumerate((10, 30, 60)):
        x = width - 272 + 96 * number
        parts += [f'<circle class="mark" cx="{x}" cy="24" r="{_radius(long):.1f}"/>',
                  text(x + _radius(long) + 4, 28, f"{long}음절", "small muted")]
    told = "; ".join(f"{_joined(labels)} {'같은 텍스트' if x is None else f'{x:.2f}'}, {signed(y)}"
                     for (_, x, y, _), labels in places.items())
    return picture(width, height, "설정의 다양성(distinct-2)과 토큰당 로그확률", told, parts)


def _joined(labels: Sequence[str]) -> str:
    """``1·3–5·10`` for 1, 3, 4, 5 and 10."""
    runs: list[list[str]] = []
    for label in labels:
        if runs and label.isdecimal() and runs[-1][-1].isdecimal() and int(label) == int(runs[-1][-1]) + 1:
            runs[-1].append(label)
        else:
            runs.append([label])
    return "·".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else "·".join(run) for run in runs)


def _radius(syllables: float) -> float:
    return 2.3 * math.sqrt(max(syllables, 4))


def _labels(marks: Sequence[tuple[bool, float, float, float, str]], start: float, end: float) -> list[str]:
    """The labels in their marks, or beside them, between ``start`` and ``end``, where nothing else is; with a line to
    the mark where that is far."""
    taken: list[tuple[float, float, float, float]] = []  # of each label: its middle, half of its width and height
    parts = []

    def is_free(way: tuple[float, float], half: float, others: Sequence[tuple[float, float, float, float]]) -> bool:
        return start <= way[0] - half and way[0] + half <= end and all(
            abs(way[0] - x) > half + wide + 2 or abs(way[1] - y) > 7 + tall for x, y, wide, tall in others)

    for human, x, y, r, label in reversed(marks):
        half = text_width(label) * 12 / 14 / 2
        inside = [] if human or half > r - 1 else [(x, y)]
        beside = [(x + math.cos(angle) * (r + away + half), y + math.sin(angle) * (r + away + 4))
                  for away in (5, 18, 34, 52) for angle in (0, math.pi, -0.7, 0.7, 2.4, -2.4, -1.57, 1.57)]
        others = [(other[1], other[2], other[3], other[3]) for other in marks if other[1:3] != (x, y)]
        ways = ([way for way in inside if is_free(way, half, taken)]
                + [way for way in beside if is_free(way, half, [*taken, *others])]
                + [way for way in beside if is_free(way, half, taken)] + beside)
        to_x, to_y = ways[0]
        taken.append((to_x, to_y, half, 7))
        if (far := math.hypot(to_x - x, to_y - y)) > r + half + 10:
            part = 1 - (half + 3) / far  # the line ends before the label
            way = f"{(to_x - x) * part:.1f} {(to_y - y) * part:.1f}"
            parts.append(f'<path class="edge kept" d="M{x:.1f} {y:.1f}l{way}"/>')
        parts.append(text(to_x, to_y + 4, label, "small strong middle" + " human" * human))
    return parts


def panel_name(panel: dict) -> str:
    value = panel["value"]
    told = "" if value is None else f"{value:,.0f}" if value >= 10_000 else f"{value:g}"
    return f"{KNOBS[panel['knob']]} {told}".rstrip()
