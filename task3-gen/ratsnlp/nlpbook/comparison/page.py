"""The report of a comparison: a page that loads nothing else, and its figures as JSON."""

import re
import unicodedata
from collections import Counter
from itertools import groupby
from pathlib import Path

from ..evaluation.metrics import ngrams
from ..files import whole_file, write_json
from .pictures import draw, draw_all
from .png import write_pngs
from .svg import STYLE, escape

SHOWN = 4  # different texts of a setting; further ones are folded
SHARES = ("distinct_2", "repeated_4grams", "ended")  # figures from 0 to 1, shown with a bar


def write_report(folder: Path, report: dict, png: bool = False) -> None:
    """Write ``report.json`` and ``report.html`` into ``folder``, each whole or not at all, and the pictures as PNG.

    Raises:
        UserError: ``png`` is asked for, and what draws it is not there (:func:`.png.check_png` tells before).
    """
    content = page(report)
    folder.mkdir(parents=True, exist_ok=True)
    if png:
        write_pngs(folder, draw_all(report))
    write_json(folder / "report.json", report)
    with whole_file(folder / "report.html") as unfinished:
        unfinished.write_text(content, encoding="utf-8")


def page(report: dict) -> str:
    """The report as one HTML page, style and pictures inside, without scripts."""
    style = "\n".join(file.read_text(encoding="utf-8") for file in (STYLE, Path(__file__).with_name("page.css")))
    sections = [("how", "읽는 법", HOW_TO_READ), *_pictures(report), ("figures", "수치", _tables(report)),
                ("texts", "설정별 텍스트", _cards(report))]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in sections)
    content = "\n".join(f'<section id="{name}">\n<h2>{title}</h2>\n{inside}\n</section>'
                        for name, title, inside in sections)
    return f"""<!doctype html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report["title"])}: 디코딩 비교</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
{_header(report)}
<nav aria-label="차례"><ul>{links}</ul></nav>
<main>
{content}
</main>
<footer>수치와 텍스트는 이 폴더의 report.json에도 있습니다.</footer>
</body>
</html>
"""


def _header(report: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    facts = {"모델": ", ".join(report["models"]), "설정": f"{len(report['settings'])}가지",
             "텍스트": f"뽑는 설정마다 {report['samples']}개", "시드": report["seed"], "버전": versions}
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items())
    command = " ".join(f"<span>{escape(word)}</span>" for word in report["command"].split(" "))
    return f"""<header>
<p class="kicker">디코딩 비교 · {escape(report["title"])}</p>
<h1>“{escape(report["prompt"])}”</h1>
<p class="lead">프롬프트는 그대로 두고, 토큰을 고르는 방법만 바꿉니다.</p>
<dl class="facts">{told}</dl>
<pre><code>{command}</code></pre>
</header>"""


HOW_TO_READ = """<p>모델이 내놓는 것은 다음 토큰의 확률뿐입니다. 텍스트는 그 확률에서 토큰을 하나씩 고르는 방법, 곧
디코딩이 만듭니다. 먼저 그림에서 확률이 어떻게 달라지는지 보고, 수치와 텍스트에서 결과를 확인하세요.</p>
<ul class="signs">
<li><b>␣</b> 토큰 앞의 빈칸</li>
<li><mark>표시한 곳</mark> 같은 텍스트에서 앞에 나온 네 음절이 다시 나온 곳</li>
<li><b>8,000 → top_k 50</b> 토큰 하나를 고를 때 남은 후보 수(중앙값)</li>
<li><b>■</b> eos로 끝남: 모델이 스스로 끝냄, <b>…</b> 길이로 끝남: 최대 길이에서 끊김</li>
</ul>"""

PICTURES = (  # id, title, the names of its pictures begin with, what to look at
    ("next", "다음 토큰의 확률", "next_token", """막대의 길이를 옆으로 비교하세요. <b>온도</b>는 토큰을 모두 남기고
확률의 차이만 키우거나 줄입니다. <b>top-k</b>와 <b>top-p</b>는 뒤쪽 토큰을 버리고(점선 막대와 ×), 남은 토큰이 그 확률을
나누어 가집니다."""),
    ("greedy", "그리디 서치", "greedy", """스텝마다 확률이 가장 높은 토큰을 고릅니다(굵은 선). 점선 상자는 고르지
않은 토큰입니다. 2위와의 차이가 아주 작아도 1위를 고르고, 되돌아가지 않습니다."""),
    ("beams", "빔 서치", "beams", """후보 몇 개를 나란히 이어 가다가 토큰당 로그확률의 평균이 가장 높은 것을
고릅니다(굵은 선). 선 위의 숫자는 그 토큰의 확률, 상자 안의 숫자는 거기까지의 로그확률의 합입니다. 그리디 서치와 어디서
갈라지나요? 빔이 늘면 1위가 바뀌나요?"""),
    ("map", "한눈에 보기", "settings", """원은 설정, 마름모는 사람이 쓴 리뷰이고, 크기는 평균 길이입니다. 왼쪽 위는
모델에게 뻔하고 서로 비슷한 텍스트, 오른쪽 아래는 다양하지만 모델에게 뜻밖인 텍스트입니다. 사람과 가까운 설정은 어느
것인가요?"""),
)


def _pictures(report: dict) -> list[tuple[str, str, str]]:
    """Id, title and content of the sections of pictures."""
    drawn = [draw(report, number) for number in range(len(report["models"]))]
    sections = []
    for id_, title, begins, look in PICTURES:
        figures = [
            _figure(report, number, title, name, svg)
            for number, pictures in enumerate(drawn) for name, svg in pictures.items() if name.startswith(begins)]
        sections.append((id_, title, "\n".join([f"<p>{look}</p>", *figures])))
    return sections


def _figure(report: dict, number: int, title: str, name: str, svg: str) -> str:
    told = [report["models"][number]] if len(report["models"]) > 1 else []
    if name.startswith("beams_"):
        told.append(f"빔 {name.removeprefix('beams_')}개")
    elif name == "next_token":
        bits = report["pictures"][number]["next_token"]["entropy_bits"]
        told.append(f"엔트로피 {bits:.1f}비트: 확률이 같은 토큰 {2**bits:,.0f}개에서 하나를 고르는 만큼 불확실합니다.")
    caption = f"<figcaption>{escape(' · '.join(told))}</figcaption>" if told else ""
    return f"<figure>{_wide(svg, ' '.join([title, *told]))}{caption}</figure>"


def _wide(content: str, name: str) -> str:
    """``content`` in a box of its own that scrolls, by the keyboard as well, where the screen is narrower."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{escape(name)}">{content}</div>'


def _tables(report: dict) -> str:
    parts = ["<p>사람의 리뷰와 비교해 읽으세요. <b>distinct-2</b>는 이어진 두 음절 가운데 서로 다른 것의 비율, "
             "<b>반복된 4-gram</b>은 같은 텍스트에서 다시 나온 네 음절의 비율, <b>토큰당 로그확률</b>은 모델에게 "
             "얼마나 뻔한 텍스트인지입니다.</p>"]
    for number, model in enumerate(report["models"]):
        parts += [f"<h3>{escape(model)}</h3>"] if len(report["models"]) > 1 else []
        parts.append(_wide(_table(report, number), f"수치 {model}"))
    outcomes = [outcome for setting in report["settings"] for outcome in setting["outcomes"]]
    if any(outcome["figures"]["texts"] > len(outcome["texts"]) for outcome in outcomes):
        parts.append('<p class="note">뽑지 않는 설정은 언제나 같은 텍스트가 나오므로, 같은 텍스트 '
                     f"{report['samples']}개로 계산합니다.</p>")
    return "\n".join(parts)


def _table(report: dict, number: int) -> str:
    heads = ("설정", "distinct-2", "반복된 4-gram", "평균 길이(음절)", "eos로 끝남", "토큰당 로그확률", "남은 후보")
    human = report["human"][number]
    rows = [_row(f"◆ 사람의 리뷰 {human['texts']}개", human, "–", ' class="human"')]
    for place, setting in enumerate(report["settings"]):
        outcome = setting["outcomes"][number]
        left = _count(outcome["candidates"][-1][1]) if outcome["candidates"] else "–"
        name = (f'<a href="#setting-{place}">{escape(setting["label"])}</a> '
                f'<small>{escape(setting["changes"] or setting["options"])}</small>')
        rows.append(_row(name, outcome["figures"], left))
    return (f'<table><thead><tr>{"".join(f"<th scope=col>{head}</th>" for head in heads)}</tr></thead>\n<tbody>\n'
            + "\n".join(rows) + "\n</tbody></table>")


def _row(name: str, figures: dict, left: str, kind: str = "") -> str:
    forms = {"distinct_2": "{:.2f}", "repeated_4grams": "{:.1%}", "mean_syllables": "{:.1f}", "ended": "{:.0%}",
             "log_prob": "{:.2f}"}
    cells = []
    for key, form in forms.items():
        value = figures[key]
        has_bar = value is not None and key in SHARES
        bar = f' class="bar" style="--share:{value:.3f}"' if has_bar else ""
        cells.append(f"<td{bar}>{'–' if value is None else form.format(value).replace('-', '−')}</td>")
    return f"<tr{kind}><th scope=row>{name}</th>{''.join(cells)}<td>{left}</td></tr>"


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:g}"


def _cards(report: dict) -> str:
    return "\n".join(
        f'<article id="setting-{place}">\n<div><h3><b>{escape(setting["label"])}</b> '
        f'{_linked(report, setting["changes"] or "기준 설정")}</h3>\n'
        f'<p>{_linked(report, setting["look_for"])}</p>\n<p class="options">{escape(setting["options"])}</p></div>\n'
        f'<div class="models">{"".join(_outcome(report, setting, number) for number in range(len(report["models"])))}'
        "</div>\n</article>" for place, setting in enumerate(report["settings"]))


def _linked(report: dict, text: str) -> str:
    """``text`` with links from ``[9]`` to that setting; a particle after it stays in its line."""
    places = {escape(setting["label"]): place for place, setting in enumerate(report["settings"])}

    def link(label: re.Match) -> str:
        shown = f'<a href="#setting-{places[label[1]]}">{label[1]}</a>' if label[1] in places else label[1]
        return f'<span class="whole">{shown}{label[2]}</span>'

    return re.sub(r"(\[[^]]+\])(\w*)", link, escape(text))


def _outcome(report: dict, setting: dict, number: int) -> str:
    """What one model wrote by a setting."""
    outcome, same = setting["outcomes"][number], setting["outcomes"][number]["same_as"]
    parts = [f"<h4>{escape(report['models'][number])}</h4>"] if len(report["models"]) > 1 else []
    flow = " → ".join(_count(count) if knob == "vocabulary" else f"{escape(knob)} {_count(count)}"
                      for knob, count in outcome["candidates"])
    seconds = "" if outcome["seconds"] is None else f" · {outcome['seconds']:.2f}초"
    parts.append(f'<p class="flow">후보 {flow or "–"}{seconds}</p>')
    others = [other["outcomes"][number]["texts"] for other in report["settings"] if other["label"] == same]
    if others and set(others[0]) == set(outcome["texts"]):
        parts.append(f"<p>{_linked(report, f'{same}의 텍스트와 같습니다.')}</p>")
    else:
        parts.append(_texts(outcome))
    return f"<div>{''.join(parts)}</div>"


def _texts(outcome: dict) -> str:
    """The different texts of a setting, each with how often it came."""
    came = Counter(zip(outcome["texts"], outcome["ended"], outcome["tokens"], strict=True))
    items = []
    for (text, ended, tokens), times in came.items():
        told = ["■ eos로 끝남" if ended else "… 길이로 끝남", f"{tokens}토큰"] + [f"{times}번"] * (times > 1)
        prompt, rest = text[: outcome["prompt_characters"]], text[outcome["prompt_characters"] :]
        items.append(f"<li><b>{escape(prompt)}</b>{mark_repeats(rest)}<small>{' · '.join(told)}</small></li>")
    shown, folded = (f'<ul class="texts">{"".join(part)}</ul>' for part in (items[:SHOWN], items[SHOWN:]))
    if len(items) <= SHOWN:
        return shown
    return f"{shown}<details><summary>나머지 {len(items) - SHOWN}개</summary>{folded}</details>"


def mark_repeats(text: str, n: int = 4) -> str:
    """``text`` as HTML, with ``<mark>`` around n-grams of syllables that stood in it before.

    They are those that :func:`~ratsnlp.nlpbook.evaluation.metrics.repeated` counts; white space in them stays.
    """
    text = unicodedata.normalize("NFC", text)
    places = [place for place, character in enumerate(text) if not character.isspace()]
    known, marked = set(), set()
    for start, gram in enumerate(ngrams(text, n)):
        if gram in known:
            marked.update(range(places[start], places[start + n - 1] + 1))
        known.add(gram)
    runs = groupby(enumerate(text), key=lambda each: each[0] in marked)
    pieces = [(is_marked, escape("".join(character for _, character in run))) for is_marked, run in runs]
    return "".join(f"<mark>{piece}</mark>" if is_marked else piece for is_marked, piece in pieces)
