"""The page of a class: who is where, which TODO stops most, whose files are the same. One file that loads nothing."""

from __future__ import annotations

import html
from datetime import datetime
from pathlib import Path

from ratsnlp.nlpbook.files import whole_file

from .checking import Kind
from .classroom import OWN_WORDS, Student, name_of, passed_counts, shortened, stops
from .gaps import todos_of
from .students import prompt_of

STYLE = Path(__file__).with_name("class_page.css")
MARKS = {"통과": ("○", "right"), "풀이와 같음": ("▣", "laid"), "결과 다름": ("×", "wrong"), "멈춤": ("!", "broken"),
         "빈칸": ("·", "blank"), "그대로": ("–", "none"), "없음": ("", "none"), "채점 안 함": ("?", "none")}
SHOWN = 64  # columns of a message before it is unfolded


def write_page(file: Path, students: list[Student], anonymous: bool) -> None:
    with whole_file(file) as unfinished:
        unfinished.write_text(page(students, anonymous), encoding="utf-8", errors="replace")


def page(students: list[Student], anonymous: bool) -> str:
    """The page as HTML. What students have written is text in it, and nothing else."""
    names = Names(students, anonymous)
    when = datetime.now().strftime("%Y-%m-%d %H:%M")
    hide = "" if anonymous else '<label for="hide">이름 가리기</label>'
    box = "" if anonymous else '<input type="checkbox" id="hide">'
    return f"""<!doctype html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>누가 어디에 있나</title>
<link rel="icon" href="data:,">
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
{box}
<header>
<h1>누가 어디에 있나</h1>
<p>{when} · 학생 {len(students)}명 · {", ".join(map(str, students[0].steps))}단계 {hide}</p>
</header>
<main>
<div class="figures">
{_passed(students)}
{_stops(students)}
</div>
{_table(students, names)}
{_same(students, names)}
{_notes(students)}
</main>
</body>
</html>
"""


def text(what) -> str:
    return html.escape(str(what))


class Names:
    """How a student is called: by name, which can be hidden, or by number alone."""

    def __init__(self, students: list[Student], anonymous: bool):
        self.anonymous = anonymous
        self.numbers = {student.name: f"{student.number}번" if student.number is not None else f"{place}번째 줄"
                        for place, student in enumerate(students, start=1)}

    def __getitem__(self, name: str) -> str:
        number = text(self.numbers[name])
        if self.anonymous:
            return f"<span>{number}</span>"
        return f'<span class="name">{text(name)}</span><span class="number">{number}</span>'


def _bars(rows: list[tuple[str, int]], most: int) -> str:
    cells = "".join(f'<tr><th scope="row">{text(name)}</th><td class="count">{count}명</td>'
                    f'<td class="bar"><i style="width:{100 * count / max(1, most):.1f}%"></i></td></tr>'
                    for name, count in rows)
    return f"<table>{cells}</table>"


def _passed(students: list[Student]) -> str:
    rows = [(f"{step}단계", count) for step, count in passed_counts(students).items()]
    return f"<section>\n<h2>통과한 학생</h2>\n{_bars(rows, len(students))}\n</section>"


def _stops(students: list[Student]) -> str:
    places = stops(students).most_common(10)
    if not places:
        return "<section>\n<h2>많이 막힌 곳</h2>\n<p>막힌 곳이 없습니다.</p>\n</section>"
    rows = [(name_of(place), count) for place, count in places]
    return f"<section>\n<h2>많이 막힌 곳</h2>\n{_bars(rows, len(students))}\n</section>"


def _table(students: list[Student], names: Names) -> str:
    steps = students[0].steps
    heads = "".join(f'<th scope="col">{step}<span>단계</span></th>' for step in steps)
    heads += '<th scope="col" class="said">어디에서, 무엇을</th>'
    rows = "\n".join(_row(student, names) for student in students)
    legend = " ".join(f'<span class="{kind}"><b>{mark or "&nbsp;"}</b> {state}</span>'
                      for state, (mark, kind) in MARKS.items() if state != "채점 안 함")
    return f"""<section>
<h2>학생별</h2>
<p class="legend">{legend}</p>
<table class="class">
<thead><tr><th scope="col">학생</th>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</section>"""


def _row(student: Student, names: Names) -> str:
    cells = "".join(_cell(student, step) for step in student.steps)
    said = _said(student, names.anonymous)
    return f'<tr><th scope="row">{names[student.name]}</th>{cells}<td class="said">{said}</td></tr>'


def _cell(student: Student, step: int) -> str:
    state = student.state(step)
    mark, kind = MARKS[state]
    outcome = student.outcomes.get(step)
    stopped = outcome is not None and outcome.kind != Kind.RIGHT and step not in student.untouched
    todo = f"<small>T{outcome.todo}</small>" if stopped and outcome.todo else ""
    told = f"{step}단계 {state}" + (f", TODO {outcome.todo}" if todo else "")
    return (f'<td class="{kind}"><b aria-hidden="true">{mark}</b>{todo}'
            f'<span class="word">{text(told)}</span></td>')


def _said(student: Student, anonymous: bool) -> str:
    """Where the student stands, with the message folded; and what else there is to say. The notes name files, which may
    have the student's name."""
    where, told = text(student.where()), student.told() if student.submission.files else ""
    step = student.stands
    outcome = student.outcomes.get(step)
    if outcome is not None and outcome.todo and step not in student.untouched:
        where += f" {text(todos_of(step)[outcome.todo - 1].title)}"
    if told:
        said = (f'<details><summary><b>{where}</b> <span class="first">{text(shortened(told, SHOWN))}</span></summary>'
                f"<p>{text(told)}</p></details>")
    else:
        said = f"<b>{where}</b>"
    steps: dict[str, list[int]] = {}
    for step, whose in sorted(student.outputs.items()):
        steps.setdefault(whose, []).append(step)
    outputs = [f"{', '.join(map(str, found))}단계의 결과 파일: {whose}" for whose, found in steps.items()]
    remarks = [remark for remark in student.remarks() if not anonymous or remark not in student.submission.notes]
    below = [f'<p class="remark">{text(remark)}</p>' for remark in [*remarks, *outputs]]
    return said + "".join(below)


def _same(students: list[Student], names: Names) -> str:
    groups = sorted({(step, tuple(sorted([student.name, *others])))
                     for student in students for step, others in student.twins.items()})
    if not groups:
        return ""
    rows = "\n".join(f"<li>{step}단계: {', '.join(names[name] for name in group)}</li>" for step, group in groups)
    return f"""<section>
<h2>글자 하나까지 같은 파일</h2>
<ul>
{rows}
</ul>
<p>빈칸이 짧아 답은 우연히 같을 수 있습니다. 그래서 파일 전체가 같고, 실습 파일에도 풀이에도 없는 단어(주석, 변수의
이름, 값)가 {OWN_WORDS}개 이상인 것만 적었습니다. 함께 푼 것일 수도 있으니, 설명해 달라고 해 보세요.</p>
</section>"""


def _notes(students: list[Student]) -> str:
    numbered = [student.number for student in students if student.number is not None]
    example = f' {numbered[0]}번은 "{text(prompt_of(numbered[0]))}"입니다.' if numbered else ""
    twice = sorted({number for number in numbered if numbered.count(number) > 1})
    doubled = f" 번호가 같은 학생이 있습니다: {', '.join(f'{number}번' for number in twice)}." if twice else ""
    return f"""<section>
<h2>읽는 법</h2>
<p>T2는 TODO 2에서 막혔다는 뜻입니다. 줄을 누르면 채점 프로그램이 한 말이 모두 나옵니다. '많이 막힌 곳'은 고치기
시작한 파일만 셉니다. 파일을 다시 모아 같은 명령을 실행하면 바뀐 파일만 채점해 이 페이지를 새로 만듭니다.</p>
<p>폴더나 zip의 이름에 처음 나오는 수가 학생의 번호이고, 번호마다 다른 프롬프트와 시드로 채점합니다
(<code>--student</code>).{example} 번호가 없는 학생은 모두 같은 프롬프트와 시드로 채점합니다. 결과 파일(step1.txt
등)은 거기 적힌 프롬프트가 누구의 것인지만 봅니다.{doubled}</p>
</section>"""
