"""pretrain_gen-0.py as its user runs it."""

from helpers import run_script

from ratsnlp.nlpbook.generation import load_pretrained, save_tokenizer


def test_the_script_makes_a_model_that_loads(documents, tmp_path):
    text = tmp_path / "글 모음.txt"
    text.write_text("\n".join(documents[:600]) + "\n", encoding="utf-8")
    options = (
        "--corpus_path", text, "--output_dir", tmp_path / "모델", "--downstream_model_dir", tmp_path / "작업",
        "--vocab_size", 900, "--n_layer", 1, "--n_head", 2, "--n_embd", 32, "--max_seq_length", 64,
        "--batch_size", 32)
    done = run_script("pretrain_gen-0.py", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "%|" not in done.stdout + done.stderr  # a bar, in a file
    model, tokenizer = load_pretrained(str(tmp_path / "모델"))
    assert len(tokenizer) == model.config.vocab_size == 900
    assert model.config.n_positions == 64
    assert model.config.resid_pdrop == 0
    assert tokenizer.eos_token == "</s>"
    save_tokenizer(tokenizer, tmp_path / "다시")
    written, again = ((folder / "tokenizer_config.json").read_text(encoding="utf-8")
                      for folder in (tmp_path / "모델", tmp_path / "다시"))
    assert written == again  # saved where it was learnt, or after it was read
    assert (tmp_path / "모델/model.safetensors").stat().st_size < 2.2 * model.num_parameters()  # half precision
    # A tokenizer learnt anew would make other tokens of the same text.
    again = run_script("pretrain_gen-0.py", *options, "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    assert "이미 끝난 학습" in again.stderr, again.stderr[-3000:]
