"""``--recipe book`` against the genuine ratsnlp 1.0.53: its recorded figures, and the package where it can be run."""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from genuine import record
from helpers import MINI
from transformers import AutoModelForCausalLM

from ratsnlp.nlpbook.generation import NsmcCorpus, load_checkpoint, load_finetuned

GENUINE = Path(record.__file__).parent
TOLERANCE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def genuine_python() -> str:
    python = os.environ.get("GENUINE_RATSNLP_PYTHON")
    if not python:
        pytest.skip("ratsnlp 1.0.53이 있는 파이썬을 GENUINE_RATSNLP_PYTHON으로 알려 주면 테스트합니다"
                    "(tests/genuine/record.py 참고).")
    return python


def assert_same_run(root: Path, corpus: str, figures: dict):
    """Our ``book`` gives the genuine features, losses and learning rates; over 100 steps, for rounding errors grow from
    step to step."""
    features, watch, best = record.train(record.arguments(root, corpus, recipe="book"), record.build_model())
    assert features[0][:2] == figures["first_features"]
    assert [record.fingerprint(split) for split in features] == figures["features_sha256"]
    assert len(watch.losses) == len(figures["losses"]) >= 100
    torch.testing.assert_close(watch.losses[:100], figures["losses"][:100], **TOLERANCE)
    epochs = 100 * record.EPOCHS // len(watch.losses)
    torch.testing.assert_close(watch.val_losses[:epochs], figures["val_losses"][:epochs], **TOLERANCE)
    assert watch.rates == figures["learning_rates"]
    assert Path(best).is_file()


def test_book_gives_the_recorded_figures_of_the_genuine_package(figures, tmp_path):
    record.write_corpus(tmp_path)
    assert_same_run(tmp_path, "mix", figures)


def test_the_genuine_package_still_gives_the_recorded_figures(figures, genuine_python, tmp_path):
    subprocess.run([genuine_python, GENUINE / "record.py", tmp_path], check=True, capture_output=True, timeout=300)
    anew = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    for name in ("losses", "val_losses", "logits"):
        torch.testing.assert_close(anew.pop(name), figures[name], **TOLERANCE)
    assert anew == {name: figures[name] for name in anew}


def test_book_equals_the_genuine_package_on_the_real_nsmc(genuine_python, nsmc, tmp_path):
    """On its most difficult rows: quoted ones, the longest, the empty ones."""
    folder = tmp_path / "hard"
    folder.mkdir()
    for mode, size in (("train", 300), ("test", 100)):
        header, *rows = (nsmc / f"ratings_{mode}.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        quoted = [row for row in rows if '"' in row]
        empty = [row for row in rows if "\t\t" in row]
        longest = sorted(rows, key=len)[-20:]
        lines = [header, *empty, *longest, *quoted[: size // 2], *rows][: size + 1]
        (folder / f"ratings_{mode}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    subprocess.run([genuine_python, GENUINE / "record.py", tmp_path / "out", folder], check=True, capture_output=True,
                   timeout=300)
    assert_same_run(tmp_path, "hard", json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8")))


def read_as_csv(folder: Path, mode: str) -> list[str]:
    with open(folder / f"ratings_{mode}.txt", encoding="utf-8") as file:
        _, *rows = csv.reader(file, delimiter="\t", quotechar='"')
    return [f"{'긍정' if label == '1' else '부정'} {document}" for _, document, label in rows]


def assert_read_as_csv(folder: Path):
    for mode in ("train", "test"):
        examples = NsmcCorpus().get_examples(folder, mode)
        assert [example.book_text or example.text for example in examples] == read_as_csv(folder, mode)
        assert any(example.book_text for example in examples)  # else nothing was shown


def test_book_reads_quotes_as_the_genuine_package_did(tmp_path):
    assert_read_as_csv(MINI)
    assert_read_as_csv(record.write_corpus(tmp_path))


def test_book_reads_all_of_the_real_nsmc_as_the_genuine_package_did(nsmc):
    assert_read_as_csv(nsmc)


def test_a_quote_that_stays_open_swallows_no_rows(figures, tmp_path):
    rows = ["id\tdocument\tlabel", '1\t"열린 따옴표\t1', "2\t둘째\t0", '3\t"닫힌 셋째\t1', "4\t넷째\t0"]
    (tmp_path / "ratings_train.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    examples = NsmcCorpus().get_examples(tmp_path, "train")
    assert [example.book_text or example.text for example in examples] == [
        '긍정 "열린 따옴표', "부정 둘째", '긍정 "닫힌 셋째', "부정 넷째"]
    assert len(figures["differences"]["an_open_quote"]["examples"]) == 2


def test_a_genuine_checkpoint_gives_the_logits_that_it_gave_there(figures, genuine_folder):
    model, tokenizer = load_finetuned(genuine_folder / "checkpoints", str(genuine_folder / "model"))
    prompt = tokenizer(record.PROMPT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(prompt).logits[0, -1]
        greedy = model.generate(prompt, do_sample=False, min_length=10, max_length=50)[0].tolist()
    torch.testing.assert_close(logits, torch.tensor(figures["logits"]), **TOLERANCE)
    assert greedy == figures["greedy"]


def test_only_the_buffers_that_are_gone_are_passed_over():
    """The file holds four names more than today's GPT-2: two buffers a layer; ``lm_head.weight`` is one of both."""
    state = torch.load(GENUINE / record.CHECKPOINT, weights_only=True)["state_dict"]
    model = AutoModelForCausalLM.from_config(record.build_config())
    loaded = load_checkpoint(GENUINE / record.CHECKPOINT, model)
    passed_over = {f"model.transformer.h.{layer}.attn.{name}" for layer in (0, 1) for name in ("bias", "masked_bias")}
    assert state.keys() - loaded.keys() == passed_over
    assert "model.transformer.h.0.attn.c_attn.bias" in loaded
