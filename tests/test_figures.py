"""docs/figures.py: what it puts into the documents, and what it leaves alone."""

import importlib.util
import json

import pytest
from helpers import REPOSITORY

PAGE = """# 단계별 비교

<!-- figure: ladder -->
| | 비트 | 일치율 | distinct-2 | 반복 | 길이 | eos | 똑같음 | 길고 똑같음 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| 사전 학습만 | 9.999 | 1.0% (0.0–2.0) | 0.1 | 1% | 1 | 1% | 1% | 1% |
| 사전 학습하고 NSMC로 두 에폭 파인튜닝 | 8.888 | 2.0% (1.0–3.0) | 0.2 | 2% | 2 | 2% | 2% | 2% |
| *사람이 쓴 테스트 리뷰* | | 3.0% | 0.3 | 3% | 3 | | 3% | 3% |
<!-- /figure -->

뒤의 텍스트 9.999
"""


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """The tool, on a repository of one document and one rung with a report."""
    spec = importlib.util.spec_from_file_location("figures", REPOSITORY / "docs" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "쪽.md").write_text(PAGE, encoding="utf-8")
    texts = {"distinct_2": 0.4321, "repeated_4grams": 0.02, "mean_syllables": 17.25, "verbatim": 0.1,
             "verbatim_long": 0.003}
    report = {"bits_per_char": 3.4567, "ended": 0.999, "diversity": {"model": texts, "human": {**texts, "verbatim": 0}},
              "control": {"둘 다": {"accuracy": 0.5, "interval": [0.469, 0.531], "human_accuracy": 0.869}}}
    (tmp_path / "ladder" / "pretrained").mkdir(parents=True)
    (tmp_path / "ladder" / "pretrained" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "LADDER", tmp_path / "ladder")
    monkeypatch.setattr(module, "PAGES", ("docs/쪽.md",))
    return module


def test_rungs_with_a_report_are_made_anew_and_the_others_kept(figures, tmp_path):
    figures.main(["ladder"])
    text = (tmp_path / "docs" / "쪽.md").read_text(encoding="utf-8")
    assert "| 사전 학습만 | 3.457 | 50.0% (46.9–53.1) | 0.432 | 2.0% | 17.2 | 99.9% | 10.0% | 0.3% |\n" in text
    assert "| 사전 학습하고 NSMC로 두 에폭 파인튜닝 | 8.888 | 2.0% (1.0–3.0) |" in text
    assert "| *사람이 쓴 테스트 리뷰* |  | 86.9% | 0.432 | 2.0% | 17.2 |  | 0.0% | 0.3% |\n<!-- /figure -->" in text
    assert text.startswith("# 단계별 비교\n\n<!-- figure: ladder -->\n| | 비트")
    assert text.endswith("\n\n뒤의 텍스트 9.999\n")
    figures.main(["ladder"])
    assert (tmp_path / "docs" / "쪽.md").read_text(encoding="utf-8") == text


def test_examples_say_what_they_give_today(figures, tmp_path):
    file = tmp_path / "docs" / "쪽.md"
    before = "글\n\n```python\n>>> for n in range(2):\n...     print(n + 5)\n0\n>>> 'abc'\n'a...'\n\n```\n뒤"
    file.write_text(before, encoding="utf-8")
    figures.write_examples()
    assert file.read_text(encoding="utf-8") == before.replace("\n0\n", "\n5\n6\n")


def test_a_name_that_is_none_is_told(figures):
    with pytest.raises(SystemExit, match="없는 이름: rung. 쓸 수 있는 이름: demo, first, pictures, compare"):
        figures.main(["rung"])


def test_every_figure_stands_in_a_document_and_every_mark_has_one(figures):
    pages = ("README.md", "docs/differences.md", "docs/decoding.md", "task3-gen/kogpt-mini/README.md")
    found = [mark[2] for page in pages
             for mark in figures.MARKED.finditer((REPOSITORY / page).read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(figures.FIGURES)
