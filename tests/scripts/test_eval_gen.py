"""eval_gen.py as its user runs it."""

import json

from helpers import run_script, user_error, write_corpus


def test_the_script_reports_what_it_measured(tiny_folder, tmp_path):
    write_corpus(tmp_path)
    options = ("--pretrained_model_name", tiny_folder, "--downstream_corpus_root_dir", tmp_path,
               "--downstream_corpus_name", "slice", "--samples", 12, "--limit", 10)
    done = run_script("eval_gen.py", *options, "--report_dir", tmp_path / "보고서")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "%|" not in done.stdout + done.stderr  # a bar, in a file
    report = json.loads((tmp_path / "보고서/report.json").read_text(encoding="utf-8"))
    text = (tmp_path / "보고서/report.md").read_text(encoding="utf-8")
    table = done.stdout[done.stdout.index("| |") : done.stdout.rindex("|") + 1]
    assert table in text
    assert f"| 글자당 비트 | {report['bits_per_char']:.3f} |" in table
    assert "eval_gen.py --pretrained_model_name" in report["command"]
    assert report["command"] in text
    assert report["reviews"] == 10
    assert f"| 제어 단어 일치율(위의 둘을 합쳐서) | {report['control']['둘 다']['accuracy']:.1%} (" in table
    assert "| '긍정'으로 시작한 텍스트가 긍정으로 분류된 비율 |" in table
    assert report["control"]["둘 다"]["written"] == 24
    assert len(report["samples"]) == 20
    assert report["diversity"].keys() == {"model", "human"}
    assert report["diversity"]["human"]["mean_syllables"] > 1
    again = run_script("eval_gen.py", *options, "--report_dir", tmp_path / "또")
    same = json.loads((tmp_path / "또/report.json").read_text(encoding="utf-8"))
    assert again.returncode == 0
    assert [same[key] for key in ("bits_per_char", "control", "diversity", "samples")] == [
        report[key] for key in ("bits_per_char", "control", "diversity", "samples")]


def test_a_mistake_is_one_line():
    assert "samples: 1 이상이어야" in user_error(run_script("eval_gen.py", "--samples", 0))


def test_what_cannot_be_compared_or_written_is_told_before_the_work(tiny_folder, tmp_path):
    write_corpus(tmp_path)
    options = ("--pretrained_model_name", tiny_folder, "--downstream_corpus_root_dir", tmp_path,
               "--downstream_corpus_name", "slice", "--samples", "100000")  # which would take hours
    line = user_error(run_script("eval_gen.py", *options, "--limit", "1", "--report_dir", tmp_path))
    assert "하나도 없어 비교할 수 없습니다. --limit을 늘리세요." in line
    (tmp_path / "file").touch()
    line = user_error(run_script("eval_gen.py", *options, "--report_dir", tmp_path / "file/in"))
    assert f"report_dir: {tmp_path / 'file/in'} 폴더를 만들 수 없습니다" in line
