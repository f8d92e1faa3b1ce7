"""bench_gen.py as its user runs it."""

import json

from helpers import run_script, user_error, write_corpus


def test_a_process_of_its_own_for_each_measuring(tiny_folder, tmp_path):
    """The script as its user runs it, on one rung: what crosses over to the other processes can be pickled."""
    write_corpus(tmp_path)
    done = run_script(
        "bench_gen.py", "--pretrained_model_name", tiny_folder, "--downstream_corpus_root_dir", tmp_path,
        "--downstream_corpus_name", "slice", "--limit", 40, "--epochs", 1, "--rounds", 1, "--only", "standard")
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ratios_to"] == "standard"
    assert told["headline"] is None
    assert "book" not in told
    assert told["standard"]["peak_bytes"] > 100e6
    assert told["standard"]["val_bits_per_char"] > 0


def test_lora_beside_the_whole_model(tmp_path):
    write_corpus(tmp_path)
    done = run_script(
        "bench_gen.py", "--what", "lora", "--downstream_corpus_root_dir", tmp_path, "--downstream_corpus_name", "slice",
        "--samples", 2, "--only", "full", "lora")
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["lora"]["checkpoint_bytes"] * 5 < told["full"]["checkpoint_bytes"]
    assert told["lora"]["learning_rate"] == 10 * told["full"]["learning_rate"]
    assert all(0 <= told[way]["control"] <= 1 and told[way]["val_bits_per_char"] > 0 for way in ("full", "lora"))


def test_a_mistake_in_bench_is_one_line(tmp_path):
    assert "rounds: 1 이상이어야 하는데 0" in user_error(run_script("bench_gen.py", "--rounds", 0))
    assert "'books'" in user_error(run_script("bench_gen.py", "--only", "books"))
    assert "ratings_train.txt" in user_error(run_script("bench_gen.py", "--downstream_corpus_root_dir", tmp_path))
