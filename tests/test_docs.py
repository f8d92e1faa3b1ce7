import re
from pathlib import Path

import pytest
from helpers import REPOSITORY


def test_the_readme_names_scripts_that_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"task3-gen/[\w-]+\.py", text))
    assert len(scripts) >= 12
    assert all((REPOSITORY / script).is_file() for script in scripts)
    for command in ("make demo", "make test", "pip install -r requirements.txt", "python -m pytest"):
        assert command in text
    for folder in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (REPOSITORY / folder).exists(), folder


def test_the_readme_opens_in_korean_and_names_licences_and_driver():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert re.search("[가-힣]", text.splitlines()[2])
    for word in ("CC BY-NC-SA 4.0", "Apache-2.0", "CC0", "MIT", "580", "In English"):
        assert word in text, word


@pytest.mark.parametrize("file", sorted(REPOSITORY.glob("requirements*.txt")), ids=lambda file: file.name)
def test_every_requirement_is_pinned_with_a_reason(file):
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+ +# .*[가-힣].*", line) for line in lines), lines


PAGES = [path for kind in ("*.py", "*.md", "*.html") for path in REPOSITORY.rglob(kind)
         if not {".venv", "output"} & set(path.parts)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_file_names_a_path_of_this_machine(path):
    text = path.read_text(encoding="utf-8")
    assert str(REPOSITORY) not in text
    assert f"{Path.home()}/" not in text
