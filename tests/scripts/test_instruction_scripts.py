"""train_sum-2, train_sum-3, infer_sum-2, infer_sum-3, and train.py and generate.py of questions and answers, as their
user runs them, on models in the shapes of Llama 3.2 and Qwen3 under their names on the hub, and on kogpt-mini."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from chat_models import LLAMA, QWEN
from helpers import (
    HUB_NAMES,
    SCRIPTS,
    assert_same_run,
    check_help,
    killable,
    killed,
    last_checkpoint,
    later_than,
    run_script,
    user_error,
)

from ratsnlp.nlpbook.generation import Predictor
from ratsnlp.nlpbook.pretrained import load_tokenizer
from ratsnlp.nlpbook.run_folder import RunFolder
from ratsnlp.nlpbook.summarization import made_dialogues, write_dialogues

needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes가 없습니다: pip install -r requirements-qlora.txt")
NAMES = {2: LLAMA, 3: QWEN}
TALK = r"#Person1#: 내일 몇 시에 볼까?\n#Person2#: 오후 3시에 보자."
SHORT = ("--max_new_tokens", "12")
ANSWERED = [("수도는 어디예요?", "서울입니다."), ("강은 뭐예요?", "한강입니다."), ("산은 뭐예요?", "북한산입니다.")]


@pytest.fixture(scope="module", autouse=True)
def models(chat_models):
    return chat_models


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """The flags that name a corpus of 12 dialogues to learn from and 4 to validate on; its folder."""
    root = tmp_path_factory.mktemp("few")
    write_dialogues(root / "few/train.csv", made_dialogues(12, 7))
    write_dialogues(root / "few/dev.csv", made_dialogues(4, 8, held_out=True))
    return ["--downstream_corpus_root_dir", root, "--downstream_corpus_name", "few"], root / "few"


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A test set, without summaries."""
    file = tmp_path_factory.mktemp("table") / "test.csv"
    with open(file, "w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([("fname", "dialogue"), *(
            (f"test_{90 - number}", talk.dialogue) for number, talk in enumerate(made_dialogues(24, 11)))])
    return file


def trained(number: int, few, out, *flags):
    """What train_sum-N.py says, unchanged but for the corpus, the folder, the size of batches, and ``flags``."""
    done = run_script(f"train_sum-{number}.py", *few[0], "--downstream_model_dir", out, "--batch_size", "4",
                      "--gradient_accumulation_steps", "1", *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def summarize(number: int, model, table, file, *flags) -> list[dict]:
    """The rows that infer_sum-N.py writes to ``file``; ``model`` are the flags that name one."""
    done = run_script(f"infer_sum-{number}.py", *model, "--input", table, "--output", file, *SHORT, *flags)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr[-3000:]
    data = file.read_bytes()
    assert data.startswith("\ufefffname,summary".encode())
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def summarized_twice(number: int, folder, table, tmp_path, *flags) -> list[dict]:
    """The rows that the model in ``folder`` writes, which those of its export are too."""
    models = ["--downstream_model_dir", folder], ["--pretrained_model_name", folder / "huggingface"]
    rows = [summarize(number, model, table, tmp_path / f"{place}.csv", *flags) for place, model in enumerate(models)]
    assert rows[0] == rows[1]
    assert [row["fname"] for row in rows[0]] == [f"test_{90 - place}" for place in range(24)]
    assert len({row["summary"] for row in rows[0]}) > 12
    return rows[0]


@pytest.fixture(scope="session")
def lora_run(chat_models, few, tmp_path_factory):
    """A LoRA of Qwen's shape, without QLoRA, in our format, which has learnt something."""
    out = tmp_path_factory.mktemp("lora") / "out"
    done = trained(3, few, out, "--qlora", "false", "--lora_r", "4", "--learning_rate", "1e-2", "--epochs", "1",
                   "--format", "instruction", "--augment")
    return out, done


# QLoRA


@killable
@needs_bitsandbytes
def test_llama_is_trained_with_qlora_killed_resumed_and_used(few, table, tmp_path):
    flags = ["--epochs", "2", "--save_steps", "1"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = trained(2, few, whole, *flags)
    for told in (LLAMA, "'qlora': True", "'gradient_checkpointing': True", "*** Example ***",
                 "prompt: <|begin_of_text|>", "train: 대화 12개, 프롬프트와 요약이", "val: 대화 4개",
                 "에폭 1의 모델이 쓴 텍스트: ", "가장 좋은 체크포인트"):
        assert told in done.stderr, told
    weights = last_checkpoint(whole)["state_dict"]
    assert all("lora_" in name for name in weights)
    assert any(tensor.abs().max() > 0 for name, tensor in weights.items() if "lora_B" in name)
    assert {name.split(".")[-3] for name in weights} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    (best,) = whole.glob("epoch=*.ckpt")
    assert best.stat().st_size < (whole / "huggingface/model.safetensors").stat().st_size

    command = ["train_sum-2.py", *few[0], "--batch_size", "4", "--gradient_accumulation_steps", "1", *flags]
    end = killed(signal.SIGKILL, later_than(broken / "last.ckpt", 0), *command, "--downstream_model_dir", broken)
    assert end.returncode == -signal.SIGKILL
    assert "Traceback" not in end.stderr
    steps = last_checkpoint(broken)["global_step"]
    assert 0 < steps < 6
    trained(2, few, broken, *flags, "--resume")
    assert_same_run(broken, whole)
    assert RunFolder(broken).read_record()["state"] == "finished"
    summarized_twice(2, broken, table, tmp_path)


@needs_bitsandbytes
def test_qwen_is_trained_with_qlora_and_used(few, table, tmp_path):
    out = tmp_path / "out"
    done = trained(3, few, out, "--epochs", "1")
    assert QWEN in done.stderr
    assert "<think>\n\n</think>\n\n" in done.stderr
    assert load_tokenizer(str(out / "huggingface")).chat_template == load_tokenizer(QWEN).chat_template
    summarized_twice(3, out, table, tmp_path)


# Without


def test_a_lora_in_our_format_is_trained_and_used_as_it_was_asked(lora_run, few, table, tmp_path):
    """What the folder tells: whoever uses it names no format."""
    out, done = lora_run
    assert "augment: 지시 5가지로 대화 12개를 60개로 늘립니다." in done.stderr
    assert "### Instruction:\n다음 대화를 요약하세요.\n\n### Input:\n#Person1#: " in done.stderr
    (best,) = out.glob("epoch=*.ckpt")
    assert best.stat().st_size < (out / "huggingface/model.safetensors").stat().st_size / 2
    for folder in (out, out / "huggingface"):
        assert "### Response:" in load_tokenizer(str(folder)).chat_template
    rows = summarized_twice(3, out, table, tmp_path)
    named = summarize(3, ["--downstream_model_dir", out], table, tmp_path / "named.csv", "--format", "instruction")
    assert named == rows
    untrained = summarize(3, [], table, tmp_path / "zero.csv", "--format", "instruction")
    assert untrained != rows


def test_the_whole_model_is_trained_to_try_things_out(few, table, tmp_path):
    """--lora_r 0 alone; --debug keeps it elsewhere, and takes an epoch of small batches."""
    done = trained(2, few, tmp_path / "out", "--lora_r", "0", "--debug", "--truncate", "--encoder_max_len", "150")
    out = tmp_path / "out-debug"
    assert not (tmp_path / "out").exists()
    assert re.search(r"encoder_max_len, decoder_max_len: .*train.csv 2번째 줄 등 \d+개가 깁니다. 자르면 프롬프트에서 "
                     r"\d+토큰", done.stderr)
    checkpoint = last_checkpoint(out)
    assert checkpoint["global_step"] == 6
    assert "adapter" not in checkpoint
    assert checkpoint["state_dict"]["model.model.embed_tokens.weight"].dtype == torch.float32
    expected = {"qlora": False, "lora_r": 0, "lora_alpha": None, "epochs": 1, "batch_size": 2}
    assert expected.items() <= RunFolder(out).read_record()["arguments"].items()
    summarized_twice(2, out, table, tmp_path)


@pytest.mark.parametrize("number", NAMES)
def test_a_model_summarizes_before_it_has_learnt_to(number, few, tmp_path):
    ask = [f"infer_sum-{number}.py", *SHORT]
    one = run_script(*ask, "--dialogue", TALK)
    assert one.returncode == 0, one.stderr[-3000:]
    assert len(one.stdout.splitlines()) == 1
    assert one.stdout == run_script(*ask, "--dialogue", TALK, "--format", "chat").stdout
    many = run_script(*ask, "--input", few[1] / "dev.csv")
    assert many.returncode == 0, many.stderr[-3000:]
    assert [line.partition("\t")[0] for line in many.stdout.splitlines()[:4]] == [f"dev_{place}" for place in range(4)]
    for told in ("음절", "어절", "ROUGE-L", "모델", "첫 발화", "가장 긴 발화"):
        assert told in many.stdout


@killable
def test_broken_off_a_submission_goes_on_to_the_same_end(lora_run, table, tmp_path):
    flags = ["infer_sum-3.py", "--downstream_model_dir", lora_run[0], "--input", table, "--batch_size", "2",
             "--max_new_tokens", "24"]
    assert run_script(*flags, "--output", tmp_path / "whole.csv").returncode == 0
    file, part = tmp_path / "submission.csv", tmp_path / "submission.csv.part"
    end = killed(signal.SIGKILL, lambda: part.exists() and part.read_bytes().count(b"\n") >= 3,
                 *flags, "--output", file)
    assert end.returncode == -signal.SIGKILL
    assert not file.exists()
    assert "중단된" in user_error(run_script(*flags, "--output", file))
    other = run_script(*flags, "--output", file, "--resume", "--format", "chat")
    assert other.returncode == 2, other.stderr[-3000:]
    done = run_script(*flags, "--output", file, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert file.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not part.exists()
    assert "이미 끝났습니다" in run_script(*flags, "--output", file, "--resume").stderr


def test_all_settings_are_told():
    done = run_script("train_sum-2.py", "--lora_r", "0", "--epochs", "1", "--print_config")
    assert (done.returncode, done.stderr) == (0, "")
    told = {line.split(":")[0].strip(): line.partition(":")[2].split() for line in done.stdout.splitlines()}
    for name, value, source in (
            ("epochs", "1", "플래그"), ("format", "chat", "기본값"), ("batch_size", "8", "스크립트"),
            ("lora_r", "0", "플래그"), ("lora_alpha", "null", "따라"), ("qlora", "false", "따라")):
        assert (told[name][0], told[name][-1]) == (value, source), name
    plain = run_script("train_sum-3.py", "--print_config").stdout
    assert re.search(r"\n  qlora: +true +# 스크립트\n", plain)
    assert re.search(r"\n  lora_alpha: +32\S* +# 스크립트\n", plain)


# Mistakes


@pytest.mark.parametrize(("script", "flags", "message"), [
    ("train_sum-2.py", ["--downstream_corpus_name", "none"], "train.csv 파일이 없습니다"),
    ("train_sum-2.py", ["--pretrained_model_name", "kobart-mini"], "인코더가 있는 모델(bart)은 지시를 따르도록"),
    ("train_sum-2.py", ["--pretrained_model_name", "kogpt-mini", "--encoder_max_len", "100", "--decoder_max_len", "50"],
     "format: 이 모델에는 대화 템플릿이 없습니다. --format instruction으로"),
    ("train_sum-3.py", ["--encoder_max_len", "120", "--truncate", "false"], "encoder_max_len, decoder_max_len: "),
    ("train_sum-3.py", ["--encoder_max_len", "20", "--truncate"], "질문에서 자를 수 없는 부분만"),
    ("train_sum-3.py", ["--encoder_max_len", "4000"], "encoder_max_len: 이 모델의 최대 길이는 2048토큰이라"),
    ("train_sum-2.py", ["--format", "alpaca"], "format: chat, instruction, auto 가운데"),
    ("train_sum-2.py", ["--augmet"], "혹시 --augment인가요"),
    ("infer_sum-2.py", ["--dialogue", "안녕하세요."], "dialogue: 발화가 없는 대화입니다"),
    ("infer_sum-2.py", ["--dialogue", TALK, "--pretrained_model_name", "kogpt-mini", "--format", "chat"],
     "format: 이 모델에는 대화 템플릿이 없습니다"),
    ("infer_sum-3.py", ["--dialogue", TALK, "--pretrained_model_name", "kobart-mini"],
     "infer_sum-0.py나 infer_sum-1.py로"),
    ("infer_sum-3.py", ["--input", "long.csv", "--encoder_max_len", "200"],
     "encoder_max_len: long.csv 3번째 줄 등 1개가 깁니다. 자르면 프롬프트에서 "),
    ("infer_sum-3.py", ["--input", "long.csv", "--encoder_max_len", "30", "--truncate"],
     "encoder_max_len: 지시와 대화의 끝 글자만"),
    ("infer_sum-3.py", ["--input", "odd.csv"], "odd.csv 2번째 줄 2번째 메시지: '<|im_start|>' 토큰은"),
], ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None)
def test_a_mistake_is_one_line(few, tmp_path, script, flags, message):
    (tmp_path / "long.csv").write_text(
        f"fname,dialogue\n가,#Person1#: 네.\n나,#Person1#: {'정말 ' * 200}\n", encoding="utf-8")
    (tmp_path / "odd.csv").write_text("fname,dialogue\n가,#Person1#: <|im_start|>\n", encoding="utf-8")
    out = tmp_path / "out"
    common = [*few[0], "--downstream_model_dir", out] if script.startswith("train") else []
    line = user_error(run_script(script, *common, *flags, cwd=tmp_path))
    assert message in line
    assert not out.exists() or not RunFolder(out).results()


def test_too_long_a_dialogue_is_cut_on_request(tmp_path):
    (tmp_path / "long.csv").write_text(
        f"fname,dialogue\n가,#Person1#: {'정말 ' * 200}\n", encoding="utf-8")
    done = run_script(
        "infer_sum-3.py", "--input", tmp_path / "long.csv", "--encoder_max_len", "200", "--truncate", *SHORT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "long.csv 2번째 줄 등 1개가 깁니다. 자르면 프롬프트에서 " in done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("script", [f"{kind}_sum-{number}.py" for kind in ("train", "infer") for number in NAMES])
def test_help_is_korean(script):
    check_help(script, "--format", "--system", "--augment" if script.startswith("train") else "--resume")


@pytest.mark.parametrize("kind", ["train", "infer"])
def test_the_scripts_of_a_kind_differ_only_in_settings(kind):
    def steps(number):
        text = (SCRIPTS / f"{kind}_sum-{number}.py").read_text(encoding="utf-8")
        assert 25 <= len(text.splitlines()) <= 70
        return [line for line in text.split('"""', 2)[2].splitlines()
                if not re.match(r"        (pretrained_model_name|downstream_model_dir)=", line)]

    assert steps(2) == steps(3)
    for number, short in ((2, "llama"), (3, "qwen3")):
        source = (SCRIPTS / f"{kind}_sum-{number}.py").read_text(encoding="utf-8")
        assert f'pretrained_model_name="{NAMES[number]}"' in source
        assert f"dialogue-sum/train_sum-by-{short}" in source
        assert f"{kind}_sum-{5 - number}.py" not in source.replace("train_sum-2.py와", "")


# Questions and answers


@pytest.fixture(scope="session")
def questions(tmp_path_factory):
    """A table of questions and answers, a JSON Lines file of conversations."""
    folder = tmp_path_factory.mktemp("questions")
    rows = [(f"{number}번 {question}", answer) for number in range(12) for question, answer in ANSWERED]
    with open(folder / "questions.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), *rows])
    talks = [[{"role": role, "content": content} for question, answer in rows[number : number + 3]
              for role, content in (("user", question), ("assistant", answer))] for number in range(0, len(rows), 3)]
    (folder / "talks.jsonl").write_text(
        "\n".join(json.dumps({"messages": talk}, ensure_ascii=False) for talk in talks), encoding="utf-8")
    return folder


COLUMNS = ("--prompt_column", "question", "--response_column", "answer")


def taught(file, out, model: str, *flags):
    done = run_script(
        "train.py", "--dataset_path", file, "--model_type", model, "--output_dir", out, "--do_train",
        "--num_train_epochs", "1", "--per_device_train_batch_size", "8", "--learning_rate", "1e-3", *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_a_base_model_learns_to_answer(questions, tmp_path):
    out = tmp_path / "out"
    done = taught(questions / "questions.csv", out, "kogpt-mini", *COLUMNS)
    assert re.search(r"대화 36개, 토큰 [\d,]+개, 그중 답변 [\d,]+개: 대화 34개로 학습하고 2개로 평가합니다.",
                     done.stdout)
    assert "prompt: ### Instruction:\n" in done.stderr
    assert RunFolder(out).read_record()["state"] == "finished"
    asked = ["generate.py", "--chat", "--prompt", ANSWERED[0][0], "--system", "짧게", "--do_sample", "false"]
    answers = [run_script(*asked, "--model_name_or_path", folder) for folder in (out, out / "huggingface")]
    predictor = Predictor.from_pretrained(str(out), "cpu")
    expected = predictor.predict_chat([{"role": "system", "content": "짧게"},
                                       {"role": "user", "content": ANSWERED[0][0]}], do_sample=False)
    assert [answer.stdout for answer in answers] == [f"{expected}\n"] * 2, answers[0].stderr[-3000:]
    assert any(answer in expected for _, answer in ANSWERED)


def test_a_conversation_keeps_what_was_said(chat_models):
    """Questions come through a pipe, with the line ends of Windows and an empty line between."""
    asked = [question for question, _ in ANSWERED[:2]]
    said = subprocess.run(
        [sys.executable, SCRIPTS / "generate.py", "--model_name_or_path", LLAMA, "--chat", "--system", "짧게",
         "--length", "12", "--temperature", "0.9", "--seed", "5"],
        input=f"{asked[0]}\r\n\r\n{asked[1]}\r\n", capture_output=True, encoding="utf-8", timeout=300, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    assert said.returncode == 0, said.stderr[-3000:]
    predictor = Predictor.from_pretrained(str(chat_models[LLAMA]), "cpu")
    options = {"max_new_tokens": 12, "temperature": 0.9, "seed": 5}
    messages, answers = [{"role": "system", "content": "짧게"}], []
    for question in asked:
        messages.append({"role": "user", "content": question})
        answers.append(predictor.predict_chat(messages, **options))
        messages.append({"role": "assistant", "content": answers[-1]})
    assert said.stdout == "".join(f"{answer}\n" for answer in answers)
    assert all(answers)
    assert answers[1] != predictor.predict_chat([messages[0], messages[-2]], **options)
    assert said.stderr == ""


@pytest.mark.parametrize(("model", "file", "flags"), [
    (HUB_NAMES[1], "questions.csv", COLUMNS), (HUB_NAMES[3], "talks.jsonl", ()),
    (LLAMA, "talks.jsonl", ()), (QWEN, "questions.csv", (*COLUMNS, "--lora_r", "4", "--format", "instruction"))],
    ids=["kogpt2", "polyglot", "llama", "qwen"])
def test_models_of_the_hub_learn_to_answer(hub, questions, tmp_path, model, file, flags):
    done = taught(questions / file, tmp_path / "out", model, *flags, "--debug")
    told = re.search(r"대화 (\d+)개, 토큰 ([\d,]+)개, 그중 답변 ([\d,]+)개", done.stdout)
    assert told[1] == ("12" if file == "talks.jsonl" else "36")
    assert 0 < int(told[3].replace(",", "")) < int(told[2].replace(",", "")) / 2
    out = tmp_path / "out-debug"
    asked = ["generate.py", "--chat", "--prompt", ANSWERED[0][0], "--do_sample", "false", "--length", "8"]
    answers = [run_script(*asked, "--model_name_or_path", folder) for folder in (out, out / "huggingface")]
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr[-3000:]
    assert answers[0].stdout == answers[1].stdout
    assert len(answers[0].stdout.splitlines()) >= 1


@pytest.mark.parametrize(("script", "flags", "message"), [
    ("generate.py", ["--chat", "--prompt", "안녕"], r"messages: 이 모델에는 대화 템플릿\(chat_template\)이 없습니다"),
    ("generate.py", ["--prompt", "안녕", "--system", "짧게"], "system: 대화할 때 씁니다. --chat도 적으세요."),
    ("generate.py", ["--chat", "--output", "a.txt"], r"chat: output\(a.txt\)와 함께 쓸 수 없습니다"),
    ("generate.py", ["--chat", "--input", "a.txt"], r"chat: input\(a.txt\)와 함께 쓸 수 없습니다"),
    ("generate.py", ["--chat", "--do_sample", "--num_return_sequences", "2"], r"chat: num_return_sequences\(2\)와"),
    ("generate.py", ["--chat", "--engine", "ctranslate2"], "chat: ctranslate2로는 쓸 수 없습니다"),
    ("train.py", ["--format", "instruction"], "format: 질문과 답변을 학습할 때 씁니다. --prompt_column과"),
    ("train.py", ["--truncate"], "truncate: 질문과 답변을 학습할 때 씁니다"),
    ("train.py", ["--prompt_column", "question"], r"response_column: prompt_column\(question\)과 함께 적어야 합니다."),
    ("train.py", ["--response_column", "answer"], r"prompt_column: response_column\(answer\)과 함께 적어야 합니다."),
    ("train.py", ["--system_column", "s"], "system_column: prompt_column, response_column과 함께"),
    ("train.py", [*COLUMNS, "--label_column", "s"], "label_column: prompt_column과 함께 쓸 수 없습니다"),
    ("train.py", [*COLUMNS, "--format", "chat"], "format: 이 모델에는 대화 템플릿이 없습니다"),
    ("train.py", [*COLUMNS[:3], "answers"], "response_column: questions.csv 2번째 줄에 'answers' 열이 없습니다"),
    ("train.py", [*COLUMNS, "--block_size", "30"], r"block_size: questions.csv \d+번째 줄 등 \d+개가 깁니다"),
    ("train.py", [*COLUMNS, "--block_size", "5", "--truncate"], r"block_size: questions.csv \d+번째 줄의 질문에서"),
], ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None)
def test_a_mistake_about_questions_is_one_line(questions, tmp_path, script, flags, message):
    shutil.copy(questions / "questions.csv", tmp_path)
    common = ["--dataset_path", "questions.csv", "--output_dir", "out", "--do_train"] if script == "train.py" else []
    assert re.search(message, user_error(run_script(script, *common, *flags, cwd=tmp_path)))
    assert not (tmp_path / "out").exists() or not RunFolder(tmp_path / "out").results()
