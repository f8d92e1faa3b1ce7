"""infer_gen-N.py as its user runs it."""

import json
import re

import pytest
from helpers import run_script, user_error


def labels(told: str) -> list[str]:
    return re.findall(r"^\[(.+?)\] ", told, re.MULTILINE)


def test_the_bundled_model_answers_from_a_fresh_clone():
    """With nothing given: no training, no network, readable Korean, and the order of the steps once."""
    done = run_script("infer_gen-0.py", env={"HF_HOME": "/nonexistent"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert labels(done.stdout) == [str(number) for number in range(1, 17)]
    texts = re.findall(r"^   │ 안녕하세요", done.stdout, re.MULTILINE)
    same = len(re.findall(r"^     = \[\d+\][과와] 같은 텍스트입니다\.", done.stdout, re.MULTILINE))
    assert len(texts) + same == 16 and same >= 5
    assert done.stdout.count("고르는 순서와 남은 후보") == 1
    assert "\ufffd" not in done.stdout


def test_a_class_compares_its_own_setting_by_seeds_models_and_a_report(tiny_folder, finetuned_folder, tmp_path):
    done = run_script(
        "infer_gen-0.py", "--pretrained_model_name", tiny_folder, "--input_sentence", "긍정", "--only", "9", "14",
        "--top_k", "5", "--temperature", "1.5", "--samples", "4", "--models", finetuned_folder,
        "--report", "새 보고서", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert labels(done.stdout)[:3] == ["9", "14", "내 설정"]
    assert "[내 설정] [9]에서 temperature=1.5, top_k=50 → 5" in done.stdout
    assert len(re.findall(r"^   \S.* │ 긍정", done.stdout, re.MULTILINE)) == 6  # three settings, two models
    assert len(re.findall(r"^사람의 리뷰 ", done.stdout, re.MULTILINE)) == 2
    assert done.stdout.rstrip().endswith("report.html")
    report = json.loads((tmp_path / "새 보고서" / "report.json").read_text(encoding="utf-8"))
    assert report["models"] == [str(tiny_folder), str(finetuned_folder)]
    assert [setting["label"] for setting in report["settings"]] == ["[9]", "[14]", "[내 설정]"]
    assert [len(outcome["texts"]) for outcome in report["settings"][0]["outcomes"]] == [4, 4]
    page = (tmp_path / "새 보고서" / "report.html").read_text(encoding="utf-8")
    assert "[내 설정]" in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)


@pytest.mark.parametrize(("flags", "message"), [
    (("--only", "31"), "only: 1부터 30까지의 번호여야 하는데 '31'"),
    (("--top_p", "1.2"), "top_p: 0보다 크고 1 이하여야 하는데 1.2"),
    (("--do_sample", "false", "--top_k", "5"), "top_k: 뽑을 때만"),
    (("--samples", "2", "--downstream_corpus_name", "없음"), "ratings_test.txt"),
    (("--samples", "2", "--models", "없는/모델"), "'없는/모델'"),
    (("--report", "/proc/보고서"), "report: /proc/보고서"),
    (("--png",), "png: "),
    (("--max_new_tokens", "300"), "max_new_tokens: 이 모델의 최대 길이는 "),
    (("--max_length", "300"), "max_length: 이 모델의 최대 길이는 "),
])
def test_a_mistake_is_one_line_before_the_first_text(flags, message, tiny_folder, tmp_path):
    done = run_script("infer_gen-0.py", "--pretrained_model_name", tiny_folder, *flags, cwd=tmp_path)
    assert message in user_error(done)
    assert "[1]" not in done.stdout
    assert list(tmp_path.iterdir()) == []
