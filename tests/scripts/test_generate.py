"""generate.py as its user runs it: pipes, files, interruptions, mistakes."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from helpers import SCRIPTS, run_script, user_error

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import Predictor, read_prompts

PROMPTS = ["긍정", "부정 이 영화는", "정말 재미있는", "긍정 배우들의 연기가", "이"]


@pytest.fixture
def model(tiny_folder) -> list[str]:
    return ["--model_name_or_path", str(tiny_folder), "--device", "cpu"]


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "프롬프트.txt"
    file.write_text("\n".join(PROMPTS) + "\n\n", encoding="utf-8")
    return file


def test_the_command_of_hugging_faces_users():
    done = run_script(
        "generate.py", "--model_name_or_path", "kogpt-mini", "--prompt", "이 영화는", "--length", 30, "--top_k", 50,
        "--top_p", 0.95, "--temperature", 0.7, "--repetition_penalty", 1.2, "--num_return_sequences", 5)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert len(set(lines)) == 5
    assert all(line.startswith("이 영화는") for line in lines)


@pytest.mark.parametrize("drawing", [[], ["--top_k", "40", "--num_return_sequences", "2"]])
def test_each_kind_of_output_holds_the_same_texts(model, tiny_folder, prompts, tmp_path, drawing):
    command = ["generate.py", *model, "--input", prompts, "--length", 6, "--batch_size", 3, *drawing]
    shown = run_script(*command)
    assert shown.returncode == 0, shown.stderr[-3000:]
    for name in ("a.txt", "a.JSONL", "a.csv"):
        done = run_script(*command, "--output", tmp_path / "결과" / name)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr[-3000:]
    folder = tmp_path / "결과"
    assert sorted(path.name for path in folder.iterdir()) == ["a.JSONL", "a.csv", "a.txt"]
    assert (folder / "a.txt").read_bytes().decode() == shown.stdout
    rows = [json.loads(line) for line in (folder / "a.JSONL").read_text(encoding="utf-8").splitlines()]
    several = ["index"] if drawing else []
    assert {tuple(row) for row in rows} == {("id", *several, "prompt", "generated", "ended")}
    assert [row["id"] for row in rows] == sorted([1, 2, 3, 4, 5] * (2 if drawing else 1))
    assert [row["prompt"] + row["generated"] for row in rows] == shown.stdout.splitlines()
    assert (folder / "a.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")
    with open(folder / "a.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert table == [{name: str(value).lower() if name == "ended" else str(value) for name, value in row.items()}
                     for row in rows]
    if not drawing:
        predictor = Predictor.from_pretrained(str(tiny_folder), "cpu")
        assert [row["generated"] for row in rows] == [
            predictor.predict_single(prompt, max_new_tokens=6) for prompt in PROMPTS]


def test_a_line_break_in_a_text_is_a_space_in_txt_alone(tmp_path, tiny_folder):
    from ratsnlp.nlpbook.generation import GenerationGenerateArguments, TextOutput
    from ratsnlp.nlpbook.generation.samples import Sample

    for name in ("a.txt", "a.jsonl", "a.csv"):
        args = GenerationGenerateArguments(prompt="=긍정", output=str(tmp_path / name))
        with TextOutput(args, ["=긍정"], SimpleNamespace(fingerprint=dict)) as output:
            output.add([(0, 0, Sample(' 가\n나, "다"', False, ""))])
            output.finish()
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == '=긍정 가 나, "다"\n'
    assert json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["generated"] == ' 가\n나, "다"'
    assert (tmp_path / "a.csv").read_bytes().decode("utf-8-sig") == (
        'id,prompt,generated,ended\r\n1,=긍정," 가\n나, ""다""",false\r\n')


def test_streamed_is_what_is_written_otherwise(model):
    command = ["generate.py", *model, "--prompt", "긍정 이 ", "--length", 12, "--do_sample", "--seed", 3]
    streamed, whole = run_script(*command, "--stream"), run_script(*command)
    assert streamed.returncode == 0, streamed.stderr[-3000:]
    assert streamed.stdout == whole.stdout
    assert streamed.stdout.startswith("긍정 이")
    bare = run_script(*command, "--with_prompt", "false")
    assert f"긍정 이 {bare.stdout}" == whole.stdout or f"긍정 이{bare.stdout}" == whole.stdout


def test_prompts_through_a_pipe(model):
    done = subprocess.run(
        [sys.executable, SCRIPTS / "generate.py", *model, "--length", "4"], input="\ufeff긍정\r\n이 영화는\r\n\r\n",
        capture_output=True, encoding="utf-8", timeout=120, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line[:2] for line in done.stdout.splitlines()] == ["긍정", "이 "]


@pytest.mark.parametrize(("data", "encoding", "expected"), [
    ("긍정\n부정\n".encode(), "utf-8", ["긍정", "부정"]), ("긍정".encode("cp949"), "cp949", ["긍정"]),
    (b"\xff\xfe", "utf-8", "input: 표준 입력이 UTF-8이 아닙니다"), (b"\n \n", "utf-8", "input: 표준 입력에 프롬프트가"),
])
def test_standard_input_as_consoles_give_it(monkeypatch, data, encoding, expected):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    monkeypatch.setattr("locale.getencoding", lambda: encoding)
    args = SimpleNamespace(prompt=None, input="-", text_column="text")
    if isinstance(expected, list):
        assert read_prompts(args) == expected
    else:
        with pytest.raises(UserError, match=expected):
            read_prompts(args)


def test_a_terminal_is_asked_for_no_prompt(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(UserError, match="prompt: 이어 쓸 것이 없습니다"):
        read_prompts(SimpleNamespace(prompt=None, input=None, text_column="text"))


BROKEN = [
    (["--prompt", "긍정", "--input", "a.txt"], "prompt: input과 함께"),
    (["--prompt", " "], "prompt: 빈 프롬프트는"),
    ([], "input: 표준 입력에 프롬프트가 없습니다"),
    (["--input", "없음.txt"], "없음.txt: 읽을 수 없습니다"),
    (["--input", "a.xlsx"], "어떤 파일인지 이름으로"),
    (["--input", "a.csv"], "text_column: a.csv 1번째 줄에 'text' 열이 없습니다. 있는 것: id, 글"),
    (["--input", "a.csv", "--text_column", "글", "--length", "3"], "prompts 2번째: 빈 프롬프트는"),
    (["--prompt", "긍정", "--text_column", "글"], "text_column: --input에"),
    (["--prompt", "긍정", "--length", "5", "--max_new_tokens", "5"], "length: max_new_tokens(5)와 함께"),
    (["--prompt", "긍정", "--length", "5", "--max_length", "9"], "length: max_length(9)와 함께"),
    (["--prompt", "긍정", "--length", "5", "--min_new_tokens", "9"], "min_new_tokens: length(5) 이하여야 하는데 9"),
    (["--prompt", "긍정", "--length", "0"], "length: 1 이상"),
    (["--prompt", "긍정", "--length", "64"], "63 이하여야 하는데 64"),
    (["--prompt", "긍정", "--num_return_sequences", "2"], "num_return_sequences: 뽑지 않으면"),
    (["--prompt", "긍정", "--num_return_sequences", "3", "--num_beams", "2"], "num_beams(2) 이하여야 하는데 3"),
    (["--prompt", "긍정", "--stream", "--num_beams", "2"], "stream: num_beams(2)와 함께"),
    (["--prompt", "긍정", "--stream", "--top_k", "9", "--num_return_sequences", "2"], "stream: num_return_sequences"),
    (["--prompt", "긍정", "--stream", "--output", "b.txt"], "stream: output(b.txt)와 함께"),
    (["--prompt", "긍정", "--stream", "--whole_sentences"], "stream: whole_sentences(True)와"),
    (["--prompt", "긍정", "--stream", "--penalty_alpha", "0.6"], "stream: penalty_alpha(0.6)와"),
    (["--prompt", "긍정", "--resume"], "resume: 이어서 쓸 파일이 없습니다"),
    (["--prompt", "긍정", "--output", "b.xlsx"], "output: .txt, .jsonl, .csv 가운데 하나로"),
    (["--prompt", "긍정", "--output", "a.csv"], "output: a.csv 파일이 이미 있습니다"),
    (["--prompt", "긍정", "--output", "a.csv/b.txt"], "output: a.csv 폴더"),
    (["--prompt", "긍정", "--output", "c.txt"], "output: 중단된 c.txt.part 파일이 있습니다"),
    (["--prompt", "긍정", "--output", "c.txt", "--resume"], "c.txt.part 파일은 이 프로그램이 쓴 것이 아닙니다"),
    (["--prompt", "긍정", "--engine", "vllm"], "engine: transformers, ctranslate2 가운데"),
    (["--prompt", "긍정", "--engine", "ctranslate2", "--repetition_penalty", "1.2"],
     "repetition_penalty: CTranslate2는"),
    (["--prompt", "긍정", "--engine", "ctranslate2", "--stream"], "stream: ctranslate2로는"),
    (["--prompt", "긍정", "--engine", "ctranslate2", "--top_k", "9", "--output", "c.txt", "--resume"],
     "resume: ctranslate2로 뽑은"),
    (["--prompt", "긍정", "--topk", "5"], "--topk: 없는 옵션입니다. 혹시 --top_k인가요?"),
]


@pytest.mark.parametrize(("flags", "message"), BROKEN, ids=[" ".join(flags) for flags, _ in BROKEN])
def test_a_mistake_is_one_line_and_writes_nothing(model, tmp_path, flags, message):
    files = {"a.csv": "id,글\n1,긍정\n2,\n", "a.xlsx": "", "c.txt.part": "내 파일\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = ["--output", "d.jsonl"] if "--input" in flags else []
    line = user_error(run_script("generate.py", *model, *flags, *before, cwd=tmp_path))
    assert message in line
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == files


def test_a_model_that_is_not_there_is_told_in_this_scripts_words(tmp_path):
    line = user_error(run_script("generate.py", "--model_name_or_path", tmp_path / "없음", "--prompt", "긍정"))
    assert "--model_name_or_path kogpt-mini를 쓰세요" in line


def test_help_is_korean():
    done = run_script("generate.py", "--help")
    assert done.returncode == 0
    told = " ".join(done.stdout.split())  # a line is wrapped wherever it ends
    for words in ("배우는 것", "--num_return_sequences 값", "--typical_p 값", "텍스트 안의 줄바꿈은 공백으로"):
        assert words in told


# Broken off


def interrupted(command: list[str], number, part, lines: int) -> str:
    """Run until ``part`` has so many lines, send the signal; what was said."""
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "generate.py", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    deadline = time.monotonic() + 120
    while not part.exists() or part.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert stdout == ""
    assert "Traceback" not in stderr
    return stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows에는 이 신호가 없습니다.")
def test_killed_and_resumed_it_ends_as_if_it_had_not_been(tmp_path):
    prompts = tmp_path / "프롬프트.jsonl"
    with open(prompts, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"글": f"{word} {number}번째"}) + "\n" for number in range(60)
                        for word in ("긍정", "부정 이 영화는"))
    command = ["--input", str(prompts), "--text_column", "글", "--length", "24", "--top_k", "40", "--seed", "5",
               "--batch_size", "8", "--device", "cpu", "--output"]
    whole, file = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    done = run_script("generate.py", *command, whole)
    assert done.returncode == 0, done.stderr[-3000:]
    part = tmp_path / "broken.jsonl.part"
    interrupted([*command, str(file)], signal.SIGKILL, part, 3)
    said = interrupted([*command, str(file), "--resume"], signal.SIGINT, part, 7)
    assert f"를 {part}에 남겼습니다. 같은 명령에 --resume을 붙이면 이어서 합니다." in said
    assert "120개 가운데 " in said
    with open(part, "a", encoding="utf-8") as opened:  # a line that was broken off
        opened.write('[[3, 0, " 재')
    kept = part.read_bytes()
    line = user_error(run_script("generate.py", *command, file, "--resume", "--seed", 6))
    assert f"seed: {part}의 텍스트를 쓸 때와 5였는데 지금은 6입니다. 그때처럼 하거나, 그 파일을" in line
    assert part.read_bytes() == kept
    done = run_script("generate.py", *command, file, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert file.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {prompts.name, whole.name, file.name}
    again = run_script("generate.py", *command, file, "--resume")
    assert (again.returncode, again.stdout) == (0, "")
    assert "이미 끝났습니다" in again.stderr
    assert file.read_bytes() == whole.read_bytes()


def test_a_part_of_other_prompts_or_another_model_is_refused(model, finetuned_folder, prompts, tmp_path):
    from ratsnlp.nlpbook.generation import GenerationGenerateArguments, TextOutput

    flags = {"input": str(prompts), "output": str(tmp_path / "a.txt"), "length": 3, "batch_size": 2}
    predictor = Predictor.from_pretrained(model[1], "cpu")
    args = GenerationGenerateArguments(**flags)
    with pytest.raises(RuntimeError), TextOutput(args, PROMPTS, predictor) as output:
        output.add(next(predictor.batches(PROMPTS, 2, seed=args.seed, show_progress=False, **args.generation)))
        raise RuntimeError
    args = GenerationGenerateArguments(**flags, resume=True)
    with pytest.raises(UserError, match="prompts: .*프롬프트가 다릅니다"), TextOutput(args, PROMPTS[:4], predictor):
        pass
    other = Predictor.from_pretrained(str(finetuned_folder), "cpu")
    with pytest.raises(UserError, match="weights: .*모델이 다릅니다"), TextOutput(args, PROMPTS, other):
        pass
    with TextOutput(args, PROMPTS, predictor) as output:
        assert output.batches == 1
        with pytest.raises(UserError, match="다른 프로그램이"), TextOutput(args, PROMPTS, predictor):
            pass
