"""train.py as its user runs it: one's own text, and models of other families."""

import json

import pytest
from families import build
from helpers import run_script, user_error, write_corpus

from ratsnlp.nlpbook.generation import NsmcCorpus, bits_per_character, load_pretrained, save_tokenizer


def test_train_on_ones_own_text_then_generate_from_a_checkpoint(tmp_path, tiny_folder, documents):
    (tmp_path / "내 글.txt").write_text("\n".join(documents[:200]), encoding="utf-8")
    out = tmp_path / "out"
    command = ["--dataset_path", tmp_path / "내 글.txt", "--model_type", tiny_folder, "--output_dir", out,
               "--block_size", "32", "--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2",
               "--num_train_epochs", "2", "--save_steps", "5", "--learning_rate", "1e-3", "--warmup_steps", "3",
               "--logging_steps", "2", "--logging_dir", tmp_path / "logs", "--special_tokens", "#가#", "#나#"]
    shown = run_script("train.py", *command)
    assert shown.returncode == 0
    assert "--do_train을 붙이세요" in shown.stdout
    assert "텍스트 200개" in shown.stdout
    assert not out.exists()
    done = run_script("train.py", *command, "--do_train")
    assert done.returncode == 0, done.stderr[-3000:]
    steps = [int(folder.name.partition("-")[2]) for folder in out.glob("checkpoint-*")]
    assert len(steps) == 2
    assert all(step % 5 == 0 for step in steps)
    record = json.loads((out / "train_record.json").read_text(encoding="utf-8"))
    assert record["epochs"][1]["val_loss"] < record["epochs"][0]["val_loss"] < 7.5
    assert record["arguments"]["warmup_steps"] == 3
    assert list((tmp_path / "logs").rglob("events.*"))
    assert "에폭 2의 모델이 쓴 텍스트:" in done.stderr
    for folder in (out / f"checkpoint-{max(steps)}", out / "huggingface"):
        written = run_script(
            "infer_gen-0.py", "--pretrained_model_name", folder, "--only", "1", "--input_sentence", "영화")
        assert written.returncode == 0, written.stderr[-3000:]
        assert "영화" in written.stdout, written.stderr[-3000:]
    assert "예전 학습" in user_error(run_script("train.py", *command, "--do_train"))
    again = run_script("train.py", *command, "--do_train", "--overwrite_output_dir", "--num_train_epochs", "1")
    assert again.returncode == 0
    assert len(list(out.glob("epoch=*.ckpt"))) == 1


@pytest.mark.parametrize("kind", ["cohere", "bloom"])
def test_the_scripts_train_and_measure_such_a_model(kind, tokenizer, tmp_path):
    """A head with a scale, and a model without a last position."""
    build(kind, tokenizer).save_pretrained(tmp_path / "model")
    save_tokenizer(tokenizer, tmp_path / "model")
    write_corpus(tmp_path)
    (tmp_path / "my.txt").write_text("재미있는 영화\n지루한 영화\n" * 20, encoding="utf-8")
    done = run_script(
        "train.py", "--dataset_path", tmp_path / "my.txt", "--model_type", tmp_path / "model",
        "--output_dir", tmp_path / "out", "--block_size", 32, "--num_train_epochs", 2, "--learning_rate", "1e-2",
        "--do_train")
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = json.loads((tmp_path / "out/train_record.json").read_text(encoding="utf-8"))["epochs"]
    assert second["val_loss"] < first["val_loss"]
    done = run_script(
        "eval_gen.py", "--pretrained_model_name", tmp_path / "out/huggingface", "--downstream_corpus_root_dir",
        tmp_path, "--downstream_corpus_name", "slice", "--samples", 2, "--report_dir", tmp_path / "report")
    assert done.returncode == 0, done.stderr[-3000:]
    model, _ = load_pretrained(str(tmp_path / "out/huggingface"))
    examples = NsmcCorpus().get_examples(tmp_path / "slice", "test")
    told = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    bits = bits_per_character(model, tokenizer, examples)["bits_per_char"]
    assert told["bits_per_char"] == pytest.approx(bits, rel=1e-5)


@pytest.mark.parametrize(("flags", "message"), [
    (["--dataset_path", "없는.txt"], "dataset_path: '없는.txt' 파일이나 폴더가 없습니다"), ([], "dataset_path: ''"),
    (["--dataset_path", __file__, "--validation_split", "0"], "validation_split: 0보다 커야"),
    (["--dataset_path", __file__, "--device", "cuda:9"], "device: CUDA GPU가"),
    (["--dataset_path", __file__, "--device", "tpu"], "device: auto, cpu, cuda"),
    (["--dataset_path", __file__, "--resume", "--overwrite_output_dir"], "함께 쓸 수 없습니다"),
])
def test_a_mistake_is_one_line(flags, message):
    assert message in user_error(run_script("train.py", *flags, "--do_train"))


@pytest.mark.parametrize("flags", [["--do_train"], []], ids=["training", "preview"])
def test_a_message_speaks_of_the_scripts_own_flags(flags, tmp_path):
    (tmp_path / "my.txt").write_text("하나\n둘\n", encoding="utf-8")
    (tmp_path / "file").touch()
    line = user_error(run_script("train.py", "--dataset_path", tmp_path / "my.txt", "--block_size", "9999", *flags))
    assert "block_size: 이 모델의 최대 길이는 256토큰이라 256 이하여야 하는데 9999입니다." in line
    line = user_error(run_script("train.py", "--dataset_path", tmp_path / "my.txt", "--output_dir", tmp_path / "file"))
    assert f"output_dir: {tmp_path / 'file'} 폴더에 쓸 수 없습니다" in line


@pytest.mark.parametrize("token", [" ", "", "\t"])
def test_blank_special_tokens_are_refused(token, tmp_path):
    (tmp_path / "my.txt").write_text("하나\n둘\n", encoding="utf-8")
    line = user_error(run_script("train.py", "--dataset_path", tmp_path / "my.txt", "--special_tokens", "#가#", token))
    assert "special_tokens: 공백만으로 된 토큰은 쓸 수 없는데" in line


def test_a_control_word_that_fills_the_window_is_refused_at_the_start(tmp_path, documents):
    title = " ".join(documents[:12])
    (tmp_path / "a.csv").write_text(f"title,text\n짧다,하나\n{title.replace(',', ' ')},둘\n", encoding="utf-8")
    line = user_error(run_script(
        "train.py", "--dataset_path", tmp_path / "a.csv", "--label_column", "title", "--do_train"))
    assert "label_column: 제어 단어는 block_size(256)보다 두 토큰 이상 짧아야 하는데" in line


def test_a_loss_that_starts_high_is_no_spike(tmp_path):
    """Nothing that kogpt-mini knows: its first losses lie above that of guessing."""
    lines = ["🀄🃏🈁🈂🈚🈯" * 3, "𓀀𓀁𓀂𓀃𓀄" * 3, "🩰🪀🪁🪂🪐🪑" * 3, "𝔘𝔫𝔦𝔠𝔬𝔡𝔢" * 2] * 12
    (tmp_path / "my.txt").write_text("\n".join(lines), encoding="utf-8")
    done = run_script("train.py", "--dataset_path", tmp_path / "my.txt", "--output_dir", tmp_path / "out",
                      "--block_size", "64", "--per_device_train_batch_size", "8", "--num_train_epochs", "1",
                      "--do_train")
    assert done.returncode == 0, done.stderr[-3000:]
