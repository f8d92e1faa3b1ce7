"""Parts of a picture as SVG: texts, boxes, edges, and the whole.

Their classes have their colours from ``pictures.css``: in a page by that file, by :func:`standalone` on their own.
"""

import html
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

STYLE = Path(__file__).with_name("pictures.css")
NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what XML and UTF-8 cannot hold


def escape(text: str) -> str:
    """``text`` as content of an element or an attribute, in XML and HTML."""
    return html.escape(NO_TEXT.sub("�", str(text)))


def _stylesheet() -> tuple[str, dict[str, str]]:
    """The rules of the classes with the light colours in them, and those colours by their names."""
    css = STYLE.read_text(encoding="utf-8")
    light = dict(reversed(re.findall(r"(--[a-z]+): (#[0-9a-f]{6});", css)))  # the first of each name
    return re.sub(r"var\((--[a-z]+)\)", lambda name: light[name[1]], css[css.index(".picture") :]), light


def standalone(svg: str) -> str:
    """A picture with a style of its own, on a ground, in the light colours."""
    rules, light = _stylesheet()
    ground = f'<rect width="100%" height="100%" fill="{light["--card"]}"/>'
    return svg.replace("</desc>", f"</desc><style>{rules}</style>{ground}", 1)


def inlined(svg: str) -> str:
    """A picture on a ground, in the light colours, whose elements have their style as attributes: in a page that has
    other styles, other pictures, or takes styles away (a notebook on GitHub) it looks the same."""
    css, light = _stylesheet()
    rules = [(selector.split(), dict(re.findall(r"([a-z-]+): ([^;]+);", body)))
             for selector, body in re.findall(r"^\.picture ([^{]+?) \{([^}]*)\}", css, re.MULTILINE)]

    def attributes(element: re.Match) -> str:
        names, has = {element[1], *(f".{name}" for name in element[2].split())}, {}
        for (selector,), style in rules:
            if set(re.findall(r"\.?[a-z]+", selector)) <= names:
                has |= style
        return f"<{element[1]}" + "".join(f' {name}="{escape(value)}"' for name, value in has.items())

    family = escape(next(style.pop("font-family") for _, style in rules if "font-family" in style))
    styled = re.sub(r'<([a-z]+) class="([^"]*)"', attributes, svg)
    styled = styled.replace(
        ' class="picture"', f' style="max-width: 100%; height: auto" font-family="{family}"', 1)
    return styled.replace("</desc>", f'</desc><rect width="100%" height="100%" fill="{light["--card"]}"/>', 1)


def percent(p: float) -> str:
    return "0%" if p < 1e-6 else "<0.1%" if p < 5e-4 else f"{p:.1%}" if p < 0.0995 else f"{p:.0%}"


def signed(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def text_width(text: str) -> float:
    """About how many pixels ``text`` takes at 14 pixels a letter."""
    return sum(14 if unicodedata.east_asian_width(character) in "WF" else 8 for character in text)


def fit(text: str, room: float, end: bool = False) -> str:
    """``text``, or its beginning (or ``end``) that fits into ``room`` pixels."""
    if text_width(text) <= room:
        return text
    while text and text_width(text) > room - 10:
        text = text[1:] if end else text[:-1]
    return f"…{text}" if end else f"{text}…"


def centred(strong: bool) -> str:
    return "strong middle" if strong else "middle"


def text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="box {kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'


def edge(x: float, y: float, to_x: float, to_y: float, taken: bool) -> str:
    """From the right of a box, with a bend, to the left of another."""
    bend = f"C{x + 20} {y} {x + 4} {to_y} {x + 24} {to_y}" if y != to_y else ""
    return f'<path class="edge {"taken" if taken else "kept"}" d="M{x} {y}{bend}H{to_x}"/>'


def picture(width: float, height: float, title: str, told: str, parts: Sequence[str]) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="img" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}"><title>{escape(title)}</title><desc>{escape(told)}</desc>'
            f'{"".join(parts)}</svg>')


def axis(values: Sequence[float], start: float, end: float) -> tuple[list[float], Callable[[float], float]]:
    """Round ticks for ``values``, and where a value stands between the pixels ``start`` and ``end``."""
    least, most = min(values, default=0), max(values, default=1)
    margin = max((most - least) * 0.08, 0.02)
    least, most = least - margin, most + margin
    step = 10 ** math.floor(math.log10((most - least) / 4))
    step *= next(times for times in (5, 2, 1) if times == 1 or (most - least) / (step * times) >= 4)
    ticks = [round(number * step, 6) for number in range(math.ceil(least / step), math.floor(most / step) + 1)]
    return ticks, lambda value: start + (value - least) / (most - least) * (end - start)
