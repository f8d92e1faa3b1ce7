"""Pictures of the notebook as SVG, drawn from the figures of :mod:`.lesson_data`."""

from __future__ import annotations

from ..evaluation.metrics import wilson_interval
from .pictures import panel_name, panels
from .svg import axis, box, fit, percent, picture, text


def bars(figures: dict) -> str:
    """The likeliest tokens, a bar each."""
    tokens, left, top, row = figures["tokens"], 110, 10, 26
    scale, bottom = 400 / tokens[0]["p"], top + row * len(tokens)
    parts = [f'<rect class="band" x="0" y="{top + row * number}" width="600" height="{row}"/>'
             for number in range(0, len(tokens), 2)]
    for number, token in enumerate(tokens):
        y, long = top + row * number, scale * token["p"]
        parts += [text(left - 10, y + 18, fit(token["text"], left - 14), "end"),
                  f'<rect class="bar" x="{left}" y="{y + 5}" width="{long:.1f}" height="16"/>',
                  text(left + long + 6, y + 18, percent(token["p"]), "small")]
    others = figures["vocabulary"] - len(tokens)
    if others:
        rest = max(0.0, 1 - sum(token["p"] for token in tokens))
        parts.append(text(left - 10, bottom + 20, f"나머지 {others:,}개: 모두 더해 {percent(rest)}", "small muted"))
    likely = ", ".join(f"{token['text']} {percent(token['p'])}" for token in tokens)
    return picture(600, bottom + 34, f"'{figures['prompt']}' 다음 토큰의 확률", f"{likely}.", parts)


def loop(figures: dict) -> str:
    """The four steps that a text grows by, around and around, with the words of a real prompt."""
    tall, wide, right, lower = 108, 264, 336, 168
    ids = ", ".join(str(token["id"]) for token in figures["prompt_tokens"])
    spelled = " · ".join(token["text"] for token in figures["prompt_tokens"])
    shown = [f"{token['text']} {percent(token['p'])}" for token in figures["tokens"][:3]]
    taken = figures["tokens"][0]["text"]
    steps = [(0, 0, "1. 토큰으로 나누기", [figures["prompt"], spelled, f"번호: {ids}"]),
             (right, 0, "2. 다음 토큰의 확률 계산하기", shown),
             (right, lower, "3. 하나 고르기", [taken, "여기서는 확률이 가장 높은 것", "(그리디 서치)"]),
             (0, lower, "4. 붙이기", [figures["longer"], "더 길어진 텍스트로 1부터 다시"])]
    parts = []
    for x, y, title, lines in steps:
        parts += [box(x + 2, y + 2, wide - 4, tall - 4, "taken"), text(x + 16, y + 28, title, "strong")]
        parts += [text(x + 16, y + 52 + 20 * number, fit(line, wide - 30), "") for number, line in enumerate(lines)]
    down, middle = tall + 4, lower + tall / 2
    parts += [_arrow(wide + 4, tall / 2, right - 6, tall / 2), _arrow(right - 4, middle, wide + 6, middle),
              _arrow(right + wide / 2, down, right + wide / 2, lower - 4), _arrow(wide / 2, lower - 4, wide / 2, down)]
    return picture(600, lower + tall, "문장 생성의 네 단계",
                   f"1. 토큰으로 나누기: {spelled}. 2. 다음 토큰의 확률: {', '.join(shown)}. 3. 고른 토큰: {taken}. "
                   f"4. 붙인 텍스트: {figures['longer']}. 그리고 1부터 다시.", parts)


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """Straight, along one of the axes."""
    across, down = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
    point = f"l{-9 * across - 6 * down} {-9 * down - 6 * across}l{12 * down} {12 * across}z"
    return (f'<path class="edge taken" d="M{x} {y}L{to_x - 8 * across} {to_y - 8 * down}"/>'
            f'<path class="bar" d="M{to_x} {to_y}{point}"/>')


def attention(figures: dict) -> str:
    """What each token attends to, a grid for each network; what it cannot see is dashed."""
    tokens, networks, cell, left, top = figures["tokens"], figures["networks"], 48, 70, 62
    size = cell * len(tokens)
    parts, told = [], []
    for number, network in enumerate(networks):
        begin = number * (left + size + 26)
        parts += [text(begin + left + size / 2, 18, network["name"], "strong middle"),
                  text(begin + left + size / 2, 37, "열: 볼 수 있는 토큰", "small muted middle")]
        hidden = 0
        for row, (name, weights) in enumerate(zip(tokens, network["weights"], strict=True)):
            y = top + cell * row
            parts += [text(begin + left + cell * row + cell / 2, top - 7, fit(name, cell + 8), "small middle"),
                      text(begin + left - 8, y + cell / 2 + 5, fit(name, left - 10), "end")]
            for column, weight in enumerate(weights):
                x = begin + left + cell * column
                at = f'x="{x + 2}" y="{y + 2}" width="{cell - 4}" height="{cell - 4}"'
                hidden += weight == 0
                parts += ([f'<rect class="bar" fill-opacity="{0.1 + 0.5 * weight:.2f}" {at}/>',
                           text(x + cell / 2, y + cell / 2 + 5, percent(weight), "small middle")] if weight
                          else [f'<rect class="cut" {at}/>'])
        told.append(f"{network['name']}: {len(tokens)}×{len(tokens)}개 가운데 볼 수 없는 것 {hidden}개")
    width = (left + size + 26) * len(networks) - 20
    parts.append(text(0, top + size + 24, "행: 보고 있는 토큰. 숫자는 얼마나 보는지(모든 층과 헤드의 평균), "
                      "점선은 볼 수 없는 것", "small muted"))
    return picture(max(width, 560), top + size + 36, "각 토큰이 볼 수 있는 토큰", f"{'. '.join(told)}.", parts)


def features(figures: dict) -> str:
    """A feature as a table, a row a position; the tokens that are learnt are filled."""
    names = [*figures["columns"], "손실"]
    places = [204 + 116 * number for number in range(len(names))]
    row, top, width = 25, 38, places[-1] + 64
    parts = [text(8, 22, "위치", "small muted"), text(62, 22, "토큰", "small muted"),
             *(text(x, 22, name, "small strong middle") for x, name in zip(places, names, strict=True)),
             f'<path class="grid" d="M0 {top - 6}H{width}"/>']
    for position, (token, counts) in enumerate(zip(figures["tokens"], figures["counts"], strict=True)):
        y = top + row * position
        if counts:
            parts.append(f'<rect class="band" x="0" y="{y - 1}" width="{width}" height="{row - 2}"/>')
        kind = "" if counts else "muted"
        cells = [*(str(values[position]) for values in figures["columns"].values()), "✓" if counts else "–"]
        parts += [text(18, y + 16, str(position), "small muted middle"), text(62, y + 16, fit(token, 100), kind),
                  *(text(x, y + 16, cell, f"{kind} middle".strip()) for x, cell in zip(places, cells, strict=True))]
    learnt = [token for token, counts in zip(figures["tokens"], figures["counts"], strict=True) if counts]
    return picture(
        width, top + row * len(figures["tokens"]) + 4, "리뷰 하나의 피처",
        f"{len(figures['tokens'])}개 위치 가운데 손실에 드는 것은 {len(learnt)}개: {' '.join(learnt)}.", parts)


def reshaped(figures: dict) -> str:
    """The likeliest tokens, and what is made of their probabilities: a panel for each setting."""
    likeliest = figures["tokens"][0]["text"]
    told = [f"{panel_name(panel)}: {panel['left']:,}개 남음, {likeliest} {percent(panel['p'][0])}"
            for panel in figures["reshaped"]]
    return panels(figures, "다음 토큰의 확률, 그리고 설정마다 달라진 확률", f"{'; '.join(told)}.")


def processed(figures: dict) -> str:
    """The probabilities of one step before and after a processor, and which token each has taken."""
    before, after = figures["reshaped"]
    tokens = [figures["tokens"][each["taken"]]["text"] for each in (before, after)]
    name = panel_name(after)
    return panels(figures, f"{name} 전과 후의 확률",
                  f"'{figures['written']}' 다음: 모델대로면 {tokens[0]}, {name} 다음에는 {tokens[1]}.", room=70)


def losses(curve: dict[str, list]) -> str:
    """The curve of a run: the loss of each stretch of steps as a line, that of the validation data as points."""
    width, height, left, top, bottom = 600, 320, 56, 16, 268
    points = [*curve["loss"], *curve["val_loss"]]
    x_ticks, across = axis([0, *(step for step, _ in points)], left, width - 14)
    y_ticks, up = axis([loss for _, loss in points], bottom, top)
    parts = [text((left + width) / 2, height - 8, "스텝", "small middle"),
             f'<g transform="translate(14 {(top + bottom) / 2})rotate(-90)">'
             + text(0, 0, "토큰당 손실(내트)", "small middle") + "</g>"]
    for tick in x_ticks:
        if tick >= 0:
            parts += [f'<path class="grid" d="M{across(tick):.1f} {top}V{bottom}"/>',
                      text(across(tick), bottom + 18, f"{tick:g}", "small muted middle")]
    for tick in y_ticks:
        parts += [f'<path class="grid" d="M{left} {up(tick):.1f}H{width - 14}"/>',
                  text(left - 8, up(tick) + 4, f"{tick:g}", "small muted end")]
    way = "L".join(f"{across(step):.1f} {up(loss):.1f}" for step, loss in curve["loss"])
    parts.append(f'<path class="line" d="M{way}"/>' if way else "")
    for step, loss in curve["val_loss"]:
        parts += [f'<circle class="mark human" cx="{across(step):.1f}" cy="{up(loss):.1f}" r="6"/>',
                  text(across(step) - 10, up(loss) - 9, f"{loss:.2f}", "small strong human end")]
    parts += [f'<path class="line" d="M{width - 230} 28h24"/>', text(width - 200, 32, "학습 손실", "small"),
              f'<circle class="mark human" cx="{width - 118}" cy="28" r="6"/>',
              text(width - 106, 32, "검증 손실(val_loss)", "small")]
    told = [f"학습 손실 {curve['loss'][0][1]:.2f} → {curve['loss'][-1][1]:.2f}"] if curve["loss"] else []
    told += [f"{step}스텝의 검증 손실 {loss:.2f}" for step, loss in curve["val_loss"]]
    return picture(width, height, "손실 곡선", f"{', '.join(told)}.", parts)


def shares(measured: dict[str, dict[str, dict]]) -> str:
    """How many of the texts are as they were asked for: a bar for each of ``measured`` (before, after …) and word
    (:func:`~..evaluation.agreement.agreement`), and one for people's reviews, with the 95 % interval."""
    left, right, row, y = 150, 560, 30, 34
    words = list(next(iter(measured.values())))
    bottom = y + len(words) * (26 + row * (len(measured) + 1))
    parts, told = [], []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + (right - left) * share
        parts += [text(x, 18, f"{share:.0%}", "small muted middle"),
                  f'<path class="{"edge kept" if share == 0.5 else "grid"}" d="M{x} 24V{bottom}"/>']
    for word in words:
        parts.append(text(8, y + 16, f"'{word}'", "strong"))
        y += 26
        found = {name: (control[word]["accuracy"], control[word]["interval"]) for name, control in measured.items()}
        figures = next(iter(measured.values()))[word]
        found["사람의 리뷰"] = figures["human_accuracy"], wilson_interval(figures["human_right"], figures["human"])
        for name, (share, interval) in found.items():
            low, end, high = (left + (right - left) * each for each in (interval[0], share, interval[1]))
            middle, human = y + row / 2, " human" if name == "사람의 리뷰" else ""
            parts += [text(left - 10, middle + 5, fit(name, left - 20), f"end{human}"),
                      f'<rect class="mark{human}" x="{left}" y="{y + 5}" width="{end - left:.1f}" '
                      f'height="{row - 10}"/>',
                      f'<path class="line" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 5}v10'
                      f'M{high:.1f} {middle - 5}v10"/>',
                      text(high + 8, middle + 5, f"{share:.0%}", f"strong{human}")]
            told.append(f"{name}, {word}: {share:.1%}({interval[0]:.1%}–{interval[1]:.1%})")
            y += row
    return picture(620, bottom + 8, "제어 단어대로 분류된 비율과 95% 신뢰 구간", f"{'; '.join(told)}.", parts)
