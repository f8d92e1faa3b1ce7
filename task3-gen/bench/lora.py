"""Full fine-tuning, LoRA and QLoRA of one model by its own script: what each takes, writes and has learnt."""

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from ratsnlp import nlpbook
from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.generation import (
    NsmcCorpus,
    PolarityJudge,
    agreement,
    combined_agreement,
    load_finetuned,
    reviews_by_word,
    sample_texts,
)

from .arguments import LORA_WAYS, BenchArguments
from .machine import alone, peak_bytes
from .speed import copy_corpus

SCRIPTS = ("kogpt-mini", "skt/kogpt2-base-v2", "skt/ko-gpt-trinity-1.2B-v0.5", "EleutherAI/polyglot-ko-1.3b")


def measure(bench: BenchArguments, way: str, root: str) -> dict:
    """Train in a way, by the script and its settings; the peak is that of its process."""
    folder, corpus = Path(root) / way, Path(root) / "corpus"
    script = Path(__file__).parents[1] / f"train_gen-{SCRIPTS.index(bench.pretrained_model_name)}.py"
    subprocess.run(
        [sys.executable, script, "--downstream_corpus_root_dir", root, "--downstream_corpus_name", "corpus",
         "--downstream_model_dir", folder, "--epochs", "1",
         *(f"--{name}={value}" for name, value in LORA_WAYS[way][1].items())], check=True, capture_output=True)
    peak = peak_bytes(of_child=True)
    record = json.loads((folder / "train_record.json").read_text(encoding="utf-8"))
    model, tokenizer = load_finetuned(folder)
    human = reviews_by_word(NsmcCorpus().get_examples(corpus, "test"), ("긍정", "부정"))
    judge = PolarityJudge.load()
    control = {
        word: agreement(judge, word, [sample.text for sample in sample_texts(
            model, tokenizer, word, bench.samples, seed, 0.92)], human[word])
        for seed, word in enumerate(human, start=bench.seed)}
    return {
        "seconds": record["seconds"], "peak_bytes": peak, "precision": record["precision"],
        "val_bits_per_char": record["epochs"][-1]["val_bits_per_char"],
        "learning_rate": record["arguments"]["learning_rate"],
        "control": combined_agreement(control)["accuracy"],
        "checkpoint_bytes": next(folder.glob("epoch=*.ckpt")).stat().st_size,
        "last_bytes": (folder / "last.ckpt").stat().st_size}


def main(bench: BenchArguments) -> None:
    if bench.pretrained_model_name not in SCRIPTS:
        raise nlpbook.UserError(f"pretrained_model_name: {', '.join(SCRIPTS)} 가운데 하나여야 하는데 "
                                f"{bench.pretrained_model_name!r}입니다.")
    found = {}
    with tempfile.TemporaryDirectory() as root:
        copy_corpus(bench, Path(root))
        for way in [name for name in LORA_WAYS if not bench.only or name in bench.only]:
            if way == "qlora" and find_spec("bitsandbytes") is None:
                print("QLoRA는 측정하지 않습니다. 측정하려면 python -m pip install -r requirements-qlora.txt")
                continue
            print(LORA_WAYS[way][0], flush=True)
            found[way] = alone(measure, bench, way, root)
    rows = [["", "시간(초)", "메모리(GB)", "글자당 비트", "뜻대로", "체크포인트(MB)", "last.ckpt(MB)"]]
    rows += [[
        LORA_WAYS[way][0], f"{row['seconds']:.0f}", f"{row['peak_bytes'] / 1e9:.2f}", f"{row['val_bits_per_char']:.3f}",
        f"{row['control']:.1%}", f"{row['checkpoint_bytes'] / 1e6:.1f}", f"{row['last_bytes'] / 1e6:.1f}"]
        for way, row in found.items()]
    print(f"\n{table(rows)}")
    print(json.dumps({"model": bench.pretrained_model_name, **found}, ensure_ascii=False))
