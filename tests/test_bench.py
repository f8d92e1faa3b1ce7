import json
import re

from conftest import run_script, user_error, write_corpus


def test_bench_ends_with_the_same_figures_as_a_table_and_as_json(tmp_path, tiny_folder):
    write_corpus(tmp_path)
    done = run_script("bench_gen.py", "--pretrained_model_name", tiny_folder, "--downstream_corpus_root_dir", tmp_path,
                      "--downstream_corpus_name", "slice", "--limit", 40, "--epochs", 1, "--batch_size", 8, "--rounds", 1)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    for recipe in ("book", "standard"):
        measured = figures[recipe]
        assert abs(measured["samples_per_second"] * measured["seconds"] - 40) < 1e-6
        row = re.search(rf"^{recipe} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", done.stdout, re.MULTILINE)
        assert float(row[3]) == round(measured["val_bits_per_char"], 3) and measured["peak_bytes"] > 100e6
    assert figures["ratios"]["tokens_per_second"] == figures["standard"]["tokens_per_second"] / figures["book"]["tokens_per_second"]
    assert figures["precision"]["book"] == "32-true"


def test_a_mistake_in_bench_is_one_line(tmp_path):
    assert "rounds: 1 이상이어야 하는데 0" in user_error(run_script("bench_gen.py", "--rounds", 0))
    assert "ratings_train.txt" in user_error(run_script("bench_gen.py", "--downstream_corpus_root_dir", tmp_path))
