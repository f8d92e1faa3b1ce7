"""The scripts of dialogues as their user runs them, on a model of KoBART's shape under its name on the hub."""

import csv
import io
import json
import math
import re
import shutil
import signal

import pytest
from helpers import (
    KOBART,
    SCRIPTS,
    assert_same_run,
    check_help,
    killable,
    killed,
    later_than,
    run_script,
    user_error,
)

from ratsnlp.nlpbook.run_folder import RunFolder
from ratsnlp.nlpbook.summarization import made_dialogues, write_dialogues

TURNS = r"#Person1#: 내일 몇 시에 볼까?\n#Person2#: 오후 3시에 보자."
SHORT = ("--num_beams", "2", "--min_new_tokens", "2", "--max_new_tokens", "12")


@pytest.fixture
def corpus(dialogue_root) -> list:
    return ["--downstream_corpus_root_dir", dialogue_root, "--downstream_corpus_name", "talk"]


@pytest.fixture
def table(tmp_path):
    """A test set, without summaries."""
    write_dialogues(tmp_path / "all.csv", made_dialogues(60, 11))
    with open(tmp_path / "all.csv", encoding="utf-8-sig", newline="") as file:
        rows = [(f"test_{100 - number}", row["dialogue"]) for number, row in enumerate(csv.DictReader(file))]
    with open(tmp_path / "test.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("fname", "dialogue"), *rows])
    return tmp_path / "test.csv"


def summarize(model, table, file) -> list[dict]:
    """The rows that infer_sum-1.py writes to ``file``; ``model`` are the flags that name one."""
    done = run_script("infer_sum-1.py", *model, "--input", table, "--output", file, *SHORT)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr[-3000:]
    data = file.read_bytes()
    assert data.startswith("\ufefffname,summary".encode())
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


@killable
def test_kobart_is_trained_killed_resumed_and_used(kobart, corpus, table, tmp_path):
    """train_sum-1.py unchanged but for the corpus, the epochs, the folder, and batches that make several steps."""
    command = ["train_sum-1.py", *corpus, "--epochs", "2", "--batch_size", "6", "--save_steps", "1"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run_script(*command, "--downstream_model_dir", whole)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"특수 토큰 16개 가운데 16개를 추가했습니다: 토큰 ([\d,]+) → [\d,]+개\n임베딩: \1 → ", done.stdout)
    for told in ("설정: {", "*** Example ***", "에폭 1의 요약 6개:", "모델의 요약: ", "가장 좋은 체크포인트",
                 "가장 긴 발화"):
        assert told in done.stderr, told
    assert KOBART in done.stderr

    ends = [killed(number, later_than(broken / "last.ckpt", steps), *command, "--resume", "--downstream_model_dir",
                   broken) for number, steps in ((signal.SIGKILL, 0), (signal.SIGTERM, 3))]
    assert [end.returncode for end in ends] == [-signal.SIGKILL, 128 + signal.SIGTERM]
    assert not any("Traceback" in end.stderr for end in ends)
    done = run_script(*command, "--resume", "--downstream_model_dir", broken)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_run(broken, whole)
    rows = summarize(["--downstream_model_dir", broken], table, tmp_path / "a.csv")
    assert [row["fname"] for row in rows] == [f"test_{100 - number}" for number in range(len(rows))]
    assert all(row["summary"] for row in rows)


def test_a_lora_of_kobart_is_trained_and_used_merged(kobart, corpus, table, tmp_path):
    done = run_script("train_sum-1.py", *corpus, "--epochs", "1", "--batch_size", "6", "--max_eval_samples", "2",
                      "--lora_r", "4", "--downstream_model_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "LoRA의 학습률: 0.0001" in done.stderr
    (best,) = (tmp_path / "out").glob("epoch=*.ckpt")
    assert best.stat().st_size < (tmp_path / "out/huggingface/model.safetensors").stat().st_size / 2
    models = ["--downstream_model_dir", tmp_path / "out"], ["--pretrained_model_name", tmp_path / "out/huggingface"]
    rows = [summarize(model, table, tmp_path / f"{number}.csv") for number, model in enumerate(models)]
    assert rows[0] == rows[1]


@killable
def test_broken_off_a_submission_goes_on_to_the_same_end(summary_run, table, tmp_path):
    flags = ["infer_sum-1.py", "--downstream_model_dir", summary_run[0], "--input", table, "--batch_size", "4",
             "--num_beams", "3", "--min_new_tokens", "2", "--max_new_tokens", "24"]
    assert run_script(*flags, "--output", tmp_path / "whole.csv").returncode == 0
    file, part = tmp_path / "broken.csv", tmp_path / "broken.csv.part"
    for number, lines, more in ((signal.SIGKILL, 3, []), (signal.SIGINT, 6, ["--resume"])):
        end = killed(number, lambda lines=lines: part.exists() and part.read_bytes().count(b"\n") >= lines,
                     *flags, "--output", file, *more)
        assert end.returncode == (-number if number == signal.SIGKILL else 130)
        assert "Traceback" not in end.stderr
    assert "60개 가운데 " in end.stderr
    assert "같은 명령에 --resume을 붙이면 이어서 합니다" in end.stderr
    assert "중단된" in user_error(run_script(*flags, "--output", file))
    other = run_script(*flags, "--output", file, "--resume", "--length_penalty", "2.0")
    assert "length_penalty: " in user_error(other)
    done = run_script(*flags, "--output", file, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert file.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not part.exists()
    again = run_script(*flags, "--output", file, "--resume")
    assert (again.returncode, again.stdout) == (0, "")
    assert "이미 끝났습니다" in again.stderr


def test_a_small_model_learns_from_scratch_and_summarizes(tmp_path):
    """train_sum-0.py, on few dialogues and for an epoch; then each way to ask infer_sum-0.py."""
    write_dialogues(tmp_path / "few/train.csv", made_dialogues(96, 7))
    write_dialogues(tmp_path / "few/dev.csv", made_dialogues(6, 8, held_out=True))
    out = tmp_path / "out"
    done = run_script("train_sum-0.py", "--from_scratch", "--downstream_corpus_root_dir", tmp_path,
                      "--downstream_corpus_name", "few", "--epochs", "1", "--max_eval_samples", "2",
                      "--downstream_model_dir", out)
    assert done.returncode == 0, done.stderr[-3000:]
    record = RunFolder(out).read_record()
    assert record["state"] == "finished"
    tokens = json.loads((out / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    assert record["epochs"][0]["val_loss"] < math.log(tokens)  # that of guessing
    ask = ["infer_sum-0.py", "--downstream_model_dir", out, "--max_new_tokens", "12"]
    one = run_script(*ask, "--dialogue", TURNS)
    assert one.returncode == 0, one.stderr[-3000:]
    assert len(one.stdout.strip().splitlines()) <= 1
    many = run_script(*ask, "--input", tmp_path / "few/dev.csv")
    assert many.returncode == 0, many.stderr[-3000:]
    lines = many.stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines[:6]] == [f"dev_{number}" for number in range(6)]
    for told in ("음절", "어절", "ROUGE-L", "모델", "첫 발화", "가장 긴 발화"):
        assert told in many.stdout


@pytest.mark.parametrize(("script", "flags", "message"), [
    ("train_sum-1.py", ["--monitor", "max bleu"], "monitor: 'min val_loss'이거나 max와 다음 가운데"),
    ("train_sum-0.py", ["--monitor", "rouge_sum"], "monitor: 'min val_loss'이거나 max와"),
    ("train_sum-1.py", ["--downstream_corpus_name", "none"], "train.csv 파일이 없습니다"),
    ("train_sum-1.py", ["--downstream_corpus_name", "no-dev"], "dev.csv 파일이 없습니다"),
    ("train_sum-1.py", ["--downstream_corpus_name", "bad"], "train.csv 3번째 줄: 발화가 없는 대화입니다"),
    ("train_sum-1.py", ["--encoder_max_len", "20"], "encoder_max_len: "),
    ("train_sum-1.py", ["--decoder_max_len", "5"], "decoder_max_len: "),
    ("train_sum-1.py", ["--pretrained_model_name", "kogpt-mini"], "인코더와 디코더가 있는 모델"),
    ("train_sum-1.py", ["--epoch", "1"], "혹시 --epochs인가요"),
    ("infer_sum-1.py", ["--input", "없음.csv"], "없음.csv: 읽을 수 없습니다"),
    ("infer_sum-1.py", ["--input", "cp949.csv"], "cp949.csv 2번째 줄: UTF-8이 아닙니다"),
    ("infer_sum-1.py", ["--input", "long.csv"], "encoder_max_len: long.csv 2번째 줄 등 대화 1개가 512토큰보다 깁니다"),
    ("infer_sum-1.py", ["--dialogue", "안녕하세요."], "dialogue: 발화가 없는 대화입니다"),
    ("infer_sum-1.py", ["--dialogue", TURNS, "--input", "long.csv"], "dialogue: input과 함께"),
    ("infer_sum-1.py", ["--dialogue", TURNS, "--output", "a.xlsx"], "output: .csv, .jsonl 가운데"),
    ("infer_sum-1.py", ["--dialogue", TURNS, "--output", "long.csv"], "long.csv 파일이 이미 있습니다"),
    ("infer_sum-1.py", ["--dialogue", TURNS, "--resume"], "resume: 이어서 쓸 파일이 없습니다"),
    ("infer_sum-1.py", ["--dialogue", TURNS, "--max_new_tokens", "0"], "max_new_tokens: 1 이상"),
    ("infer_sum-1.py", ["--dialogue", TURNS, "--downstream_model_dir", "no-dev"], "no-dev"),
    ("infer_sum-1.py", ["--dialogue", TURNS], "base 폴더의 모델을 읽을 수 없습니다"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_a_mistake_is_one_line_before_a_model_is_loaded(kobart, dialogue_root, tmp_path, script, flags, message):
    """The model has no weights: who asks for them, as the last one does, is told so."""
    base = shutil.copytree(kobart, tmp_path / "base", ignore=shutil.ignore_patterns("*.bin"))
    for name in ("no-dev", "bad"):
        shutil.copytree(dialogue_root / "talk", tmp_path / name)
    (tmp_path / "no-dev/dev.csv").unlink()
    (tmp_path / "bad/train.csv").write_text(
        "fname,dialogue,summary\n가,#Person1#: 네.,요약\n나,네.,요약\n", encoding="utf-8")
    (tmp_path / "cp949.csv").write_bytes("fname,dialogue\n가,#Person1#: 네.\n".encode("cp949"))
    (tmp_path / "long.csv").write_text(f"fname,dialogue\n가,#Person1#: {'네 ' * 600}\n", encoding="utf-8")
    where = tmp_path if {"--downstream_corpus_name"} & set(flags) else dialogue_root
    corpus = ["--downstream_corpus_root_dir", where, "--downstream_model_dir", tmp_path / "out"]
    if script.startswith("train"):
        flags = [*corpus, *([] if where == tmp_path else ["--downstream_corpus_name", "talk"]), *flags]
    line = user_error(run_script(script, "--pretrained_model_name", base, *flags, cwd=tmp_path))
    assert message in line
    assert not (tmp_path / "out").exists() or not RunFolder(tmp_path / "out").results()


def test_what_is_too_long_is_cut_on_request(kobart, tmp_path):
    (tmp_path / "long.csv").write_text(f"fname,dialogue\n가,#Person1#: {'네 ' * 600}\n", encoding="utf-8")
    done = run_script("infer_sum-1.py", "--input", tmp_path / "long.csv", "--truncate", *SHORT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "대화 1개가 512토큰보다 깁니다" in done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("script", ["train_sum-0.py", "train_sum-1.py", "infer_sum-0.py", "infer_sum-1.py"])
def test_help_is_korean(script):
    check_help(script, "--encoder_max_len", "--device",
               "--special_tokens" if script.startswith("train") else "--early_stopping")


@pytest.mark.parametrize("kind", ["train", "infer"])
def test_the_scripts_of_a_kind_differ_only_in_settings(kind):
    def steps(number):
        text = (SCRIPTS / f"{kind}_sum-{number}.py").read_text(encoding="utf-8")
        assert 25 <= len(text.splitlines()) <= 70
        return [line for line in text.split('"""', 2)[2].splitlines() if not re.match(r"        \w+=", line)]

    assert steps(0) == steps(1)


def test_where_results_go_by_default():
    for number, name, short in ((0, "kobart-mini", "kobart-mini"), (1, KOBART, "kobart")):
        source = (SCRIPTS / f"train_sum-{number}.py").read_text(encoding="utf-8")
        assert f'pretrained_model_name="{name}"' in source
        assert f'nlpbook.OUTPUT / "dialogue-sum/train_sum-by-{short}"' in source
        assert f'pretrained_model_name="{name}"' in (SCRIPTS / f"infer_sum-{number}.py").read_text(encoding="utf-8")
