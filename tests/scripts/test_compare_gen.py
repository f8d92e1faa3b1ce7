"""compare_gen.py as its user runs it, after train_gen-0.py."""

import re
import shutil

from helpers import run_script, user_error


def shares(table: str) -> dict[str, list[float]]:
    """The percentages of each row of the table, in their order."""
    return {name: [float(share) for share in re.findall(r"([\d.]+)%", row)]
            for name, row in re.findall(r"^\| (파인튜닝 \S|사람\S*) ?(?:테스트 리뷰 )?\|(.*)", table, re.MULTILINE)}


def test_fine_tuning_with_its_defaults_teaches_the_two_words(tmp_path):
    """The demo: a base that does not know what it is asked for, and a model that does what it is told."""
    trained = run_script("train_gen-0.py", "--downstream_model_dir", tmp_path / "결과")
    assert trained.returncode == 0, trained.stderr[-3000:]
    done = run_script("compare_gen.py", "--downstream_model_dir", tmp_path / "결과", "--samples", 100)
    assert done.returncode == 0, done.stderr[-3000:]
    told = shares(done.stdout)
    before, after = told["파인튜닝 전"], told["파인튜닝 후"]
    assert before[3] < 50 < before[4]  # its 95 % interval holds the half that chance gives
    assert after[2] >= 78  # of 200 texts; of 1,000 it is 89.0
    assert after[3] > before[4] + 10
    bits = [float(bits) for bits in re.findall(r"\| ([\d.]+) \|$", done.stdout, re.MULTILINE)]
    assert bits[1] < bits[0] - 0.15
    assert [len(re.findall(rf"^  [○×] {word}", done.stdout, re.MULTILINE)) for word in ("긍정", "부정")] == [10, 10]


def test_it_knows_what_was_fine_tuned_or_asks(finetuned_folder, tiny_folder, tmp_path):
    done = run_script("compare_gen.py", "--downstream_model_dir", finetuned_folder, "--samples", 3, "--limit", 20)
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(shares(done.stdout)) == {"파인튜닝 전", "파인튜닝 후", "사람의"}
    copy = shutil.copytree(finetuned_folder, tmp_path / "기록 없음")
    (copy / "train_record.json").unlink()
    assert "무엇을 파인튜닝했는지 알 수 없습니다. --pretrained_model_name kogpt-mini처럼" in user_error(
        run_script("compare_gen.py", "--downstream_model_dir", copy))
    (copy / "config.json").unlink()  # as ratsnlp 1.0.53 left its folders
    told = run_script("compare_gen.py", "--downstream_model_dir", copy, "--pretrained_model_name", tiny_folder,
                      "--samples", 3, "--limit", 20)
    assert set(shares(told.stdout)) == {"파인튜닝 전", "파인튜닝 후", "사람의"}
    assert "체크포인트(…val_loss=….ckpt)가 없습니다" in user_error(
        run_script("compare_gen.py", "--downstream_model_dir", tmp_path, "--pretrained_model_name", "kogpt-mini"))
