"""The results of a class as a CSV file that Excel opens."""

from __future__ import annotations

import csv
from pathlib import Path

from ratsnlp.nlpbook.files import whole_file

from .classroom import Student
from .spreadsheet import cell


def write_table(file: Path, students: list[Student]) -> None:
    """A line a student. Excel knows UTF-8 by its mark, and takes no cell for a formula."""
    steps = students[0].steps
    heading = ["학생", "통과한 단계", *(f"{step}단계" for step in steps), "막힌 TODO", "안내", "같은 파일", "결과 파일",
               "알림"]
    with whole_file(file) as unfinished, open(unfinished, "w", encoding="utf-8-sig", newline="") as out:
        rows = csv.writer(out, lineterminator="\r\n")
        rows.writerow(heading)
        rows.writerows([cell(text) for text in row_of(student)] for student in students)


def row_of(student: Student) -> list[str]:
    twins = "; ".join(f"{step}단계 {', '.join(names)}" for step, names in sorted(student.twins.items()))
    outputs = "; ".join(f"{step}단계 {whose}" for step, whose in sorted(student.outputs.items()))
    where = "" if student.stands is None else student.where()
    remarks = [remark for remark in student.remarks() if remark not in student.told()]
    return [student.name, str(len(student.passed)), *map(student.state, student.steps), where, student.told(), twins,
            outputs, " ".join(remarks)]
