"""docs/flags.md: what docs/flags.py would write today, and what each ``--help`` prints."""

import importlib.util
import re
from collections import Counter

import pytest
from helpers import REPOSITORY, SCRIPTS, run_script

TEXT = (REPOSITORY / "docs" / "flags.md").read_text(encoding="utf-8")


FAMILIES = re.findall(r"^## (.*)", TEXT, re.MULTILINE)


def slug_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, tuple[str, list[str]]]:
    """By the name that GitHub gives a heading: the text under it, and the names of the headings below it."""
    found, seen, above = {}, Counter(), ""
    for heading, text in re.findall(r"^##+ (.*)\n((?:(?!##).*\n?)*)", TEXT, re.MULTILINE):
        slug = slug_of(heading)
        seen[slug] += 1
        slug += f"-{seen[slug] - 1}" if seen[slug] > 1 else ""
        if heading.endswith(".py"):
            above = slug
        else:
            found[above][1].append(slug)
        found[slug] = text, []
    return found


def rows_of(family: str) -> dict[str, tuple[str, str]]:
    """Default and help of each flag that the page has for ``family``, in its own tables and in those it links to."""
    found = sections()
    text, below = found[slug_of(family)]
    rows = {}
    for name in [*below, *re.findall(r"\]\(#([^)]+)\)", text)]:
        table = re.findall(r"^\| `--(\w+)` \| .* \| (.*) \| (.*) \|$", found[name][0], re.MULTILINE)
        assert table, name
        for flag, default, said in table:
            assert flag not in rows
            rows[flag] = default.strip(" `"), said.replace("\\|", "|")
    differs = re.findall(r"^\| `--(\w+)` \| ([^|]*)(?: \| [^|]*){0,3} \|$", text, re.MULTILINE)  # of N: that of 0
    return rows | {flag: (default.strip(" `"), rows[flag][1]) for flag, default in differs}


def test_the_page_is_what_the_tool_would_write_today():
    spec = importlib.util.spec_from_file_location("flags", REPOSITORY / "docs" / "flags.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.page() == TEXT, "docs/flags.md가 스크립트와 다릅니다: python docs/flags.py로 다시 만드세요."


def test_every_script_is_in_the_page():
    named = [name for family in FAMILIES for name in family.split(", ")]
    scripts = {path.name for path in SCRIPTS.glob("*.py")}
    assert {path.name for name in named for path in SCRIPTS.glob(name.replace("N", "[0-9]"))} == scripts
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("script", [
    "train_gen-0.py", "train.py", "pretrain_gen-0.py", "infer_gen-0.py", "generate.py", "serve_gen-0.py", "eval_gen.py",
    "train_sum-0.py", "infer_sum-0.py", "train_sum-2.py", "infer_sum-2.py", "compare_gen.py", "bench_gen.py",
    "step1_basic_generation.py", "step4_model_training.py", "check.py"])
def test_the_page_has_the_flags_that_help_prints_with_their_defaults_and_no_other(script):
    done = run_script(script, "--help")
    assert done.returncode == 0, done.stderr
    names = {script, script.replace("-0", "-N")}
    rows = rows_of(next(family for family in FAMILIES if names & {*family.split(", ")}))
    printed = re.split(r"^  --(\w+)(?: 값| \[값[ .]*\])", done.stdout[: done.stdout.index("\n도움말:")],
                       flags=re.MULTILINE)
    helps = dict(zip(printed[1::2], printed[2::2], strict=True))
    assert helps.keys() == rows.keys()
    assert len(helps) == len(printed) // 2
    folder = f"{REPOSITORY}{'/' if '/' in str(REPOSITORY) else chr(92)}"
    for flag, (default, said) in rows.items():
        text = " ".join(helps[flag].split("\n\n")[0].split()).replace(folder, "").replace("\\", "/")
        assert text == said.replace("\\", "/") + (f" (기본값: {default})" if default else ""), flag


def test_help_keeps_to_a_hundred_columns_and_says_nothing_in_english():
    from ratsnlp.nlpbook.display import COLUMNS, width

    text = run_script("serve_gen-3.py", "--help").stdout
    assert max(width(line) for line in text.splitlines()) <= COLUMNS
    assert not re.search("usage|options|arguments|show this help", text)
    assert text.startswith("사용법: serve_gen-3.py [--이름 값 …]")
