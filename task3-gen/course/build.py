"""Makes the exercises (task3-gen/step1_….py …) and their solutions (task3-gen/solutions/) from course/steps.

    python task3-gen/course/build.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course.gaps import SCRIPTS, STEPS, exercise, file_of, solution, solution_of  # noqa: E402

# A solution lies a folder deeper than the packages that it imports.
FIND = "import sys\nfrom pathlib import Path\n\nsys.path.insert(0, str(Path(__file__).resolve().parents[1]))\n\n"


def files() -> dict[Path, str]:
    """Every file that is made, and what it says."""
    made = {}
    for number, name in STEPS.items():
        source = (SCRIPTS / "course" / "steps" / f"{name}.py").read_text(encoding="utf-8")
        made[file_of(number)] = exercise(source)
        solved = solution(source).replace(f"task3-gen/{name}.py", f"task3-gen/solutions/{solution_of(number).name}")
        head, quotes, rest = solved.partition('"""\n\n')
        made[solution_of(number)] = head + quotes + FIND + rest
    return made


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
