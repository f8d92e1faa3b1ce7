"""Every way measured in turn, side by side: the table, the headline, and the JSON."""

import json
import math
import os
import platform
import statistics
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from ratsnlp import nlpbook
from ratsnlp.nlpbook.display import pad
from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTask, NsmcCorpus, load_model, load_tokenizer

import torch
import transformers

from .arguments import HELD_OUT, NAMES, RUNGS, BenchArguments
from .clock import Watch, make_judge
from .ladder import fit, train_arguments, without
from .machine import alone, flops_per_token, peak_bytes, peak_flops
from .rivals import genuine, hugging_face


def measure(bench: BenchArguments, name: str, root: str, target: float | None = None) -> dict:
    """Train by the method ``name``; rates per second of training, bits per character after it, peak memory in bytes."""
    tokenizer = load_tokenizer(bench.pretrained_model_name)
    judge = make_judge(root, tokenizer)
    args = train_arguments(bench, root, name, **({"epochs": 1} if target is not None else {}))
    nlpbook.set_seed(args, quiet=True)
    train = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
    watch, precision = Watch(judge, target), "bf16-mixed"
    if name in RUNGS:
        with without(name) as grouped:
            task = GenerationTask(load_model(args.pretrained_model_name, tokenizer), args)
            precision = fit(task, args, train, grouped, tokenizer, watch)
        model = task.model
    elif name == "ratsnlp":
        model, watch.seconds = genuine(bench, train, load_model(args.pretrained_model_name, tokenizer), root)
        precision = "32-true"
    else:
        model = load_model(args.pretrained_model_name, tokenizer)
        precision = hugging_face(args, name, train, tokenizer, model, watch)
    peak = peak_bytes(of_child=name == "ratsnlp")
    tokens = int(train.lengths.sum()) * args.epochs
    flops = flops_per_token(model, float(train.lengths.mean())) * tokens / watch.seconds
    return {
        "samples_per_second": len(train) * args.epochs / watch.seconds, "tokens_per_second": tokens / watch.seconds,
        "flops_per_second": flops, "val_bits_per_char": judge(model), "peak_bytes": peak, "seconds": watch.seconds,
        "precision": precision, "way": watch.way,
    }


def copy_corpus(bench: BenchArguments, root: Path) -> None:
    folder = Path(bench.downstream_corpus_root_dir).expanduser() / bench.downstream_corpus_name
    (root / "corpus").mkdir()
    for name, most in (("ratings_train.txt", bench.limit),
                       ("ratings_test.txt", min(bench.limit or HELD_OUT, HELD_OUT))):
        lines = nlpbook.read_documents(folder / name)
        (root / "corpus" / name).write_text("\n".join(lines[: most + 1 if most else None]) + "\n", encoding="utf-8")


def chosen(bench: BenchArguments) -> list[str]:
    names = [name for name in NAMES if not bench.only or name in bench.only]
    if find_spec("accelerate") is None and {"trainer", "blocks"} & set(names):
        print("Trainer는 측정하지 않습니다. 측정하려면 python -m pip install accelerate==1.15.0")
        names = [name for name in names if name not in ("trainer", "blocks")]
    if not os.environ.get("GENUINE_RATSNLP_PYTHON"):
        names = [name for name in names if name != "ratsnlp"]
    return names


def main(bench: BenchArguments) -> None:
    names = chosen(bench)
    runs, headline = {name: [] for name in names}, None
    with tempfile.TemporaryDirectory() as root:
        copy_corpus(bench, Path(root))
        for number in range(bench.rounds):
            for name in names:
                print(f"{number + 1}/{bench.rounds} {NAMES[name]}", flush=True)
                runs[name].append(alone(measure, bench, name, root))
        used = {run["precision"] for each in runs.values() for run in each}
        # Only what was used: without bf16 instructions a CPU takes minutes for a product in bf16.
        peaks = {precision: alone(peak_flops, torch.float32 if precision == "32-true" else torch.bfloat16)
                 for precision in used}
        if {"book", "standard"} <= set(names):
            target = statistics.median(run["val_bits_per_char"] for run in runs["book"])
            headline = head(
                runs["book"],
                [alone(measure, bench, "standard", root, target)["way"] for _ in range(bench.rounds)], target)
    for name in names:
        for run in runs[name]:
            run["fraction_of_peak"] = run["flops_per_second"] / peaks[run["precision"]]
    keys = [key for key, value in runs[names[0]][0].items() if isinstance(value, (int, float))]
    figures = {name: {key: statistics.median(run[key] for run in runs[name]) for key in keys} for name in names}
    first, best = names[0], names[-1] if "standard" not in names else "standard"
    ratios = {name: {key: ratio(runs[first], runs[name], key) for key in keys} for name in names}

    print(f"\n{pad('', 42)}{'samples/s':>10}{'tokens/s':>10}{'peak':>7}{'bits/char':>11}{'GB':>7}{'×' + first:>8}")
    for name in names:
        row = figures[name]
        rates = f"{row['samples_per_second']:10.1f}{row['tokens_per_second']:10.1f}{row['fraction_of_peak']:7.1%}"
        rest = (f"{row['val_bits_per_char']:11.3f}{row.get('peak_bytes', math.nan) / 1e9:7.2f}"
                f"{ratios[name]['tokens_per_second']:8.2f}")
        print(f"{pad(f'{name} {NAMES[name]}', 42)}{rates}{rest}")
    reached = ", ".join(f"{precision} {peak / 1e9:.0f}" for precision, peak in sorted(peaks.items()))
    print(f"tokens/s는 패딩을 뺀 토큰, peak는 그 정밀도의 행렬 곱 최고 속도({reached} GFLOPS)와 비교한 값, "
          "비율은 번갈아 측정한 것들의 중앙값입니다.")
    if headline and headline["standard_seconds"] == 0:  # a short run of book can do harm
        print(f"학습 전의 모델이 이미 {headline['way'][0]['bits']:.3f}비트라, "
              f"book이 마지막에 도달한 {headline['bits_per_char']:.3f}비트에 "
              "어느 쪽이 먼저 도달하는지 비교할 수 없습니다. --epochs나 --limit을 늘리세요.")
    elif headline and headline["speedup"]:
        print(f"book이 {headline['book_seconds']:.1f}초 만에 도달한 글자당 {headline['bits_per_char']:.3f}비트에 "
              f"standard는 {headline['standard_seconds']:.1f}초 만에 도달했습니다: "
              f"{headline['speedup']:.1f}배 빠릅니다.")
    print(json.dumps({
        **figures, "ratios": ratios[best], "ratios_to": first, "all_ratios": ratios,
        "standard_to": {name: ratio(runs[name], runs[best], "tokens_per_second") for name in names},
        "headline": headline, "peak_flops": peaks, "arguments": asdict(bench),
        "precision": {name: runs[name][0]["precision"] for name in names},
        "device": (torch.cuda.get_device_name() if torch.cuda.is_available()
                   else f"{platform.machine()} × {torch.get_num_threads()}"),
        "cpu_bf16": torch.cpu._is_avx512_bf16_supported(), "torch": torch.__version__,
        "transformers": transformers.__version__}))


def ratio(of: list[dict], to: list[dict], key: str) -> float:
    """The median over the rounds of what ``to`` has of ``key``, by what ``of`` has in the same round."""
    return statistics.median(new[key] / old[key] for old, new in zip(of, to, strict=True))


def head(book: list[dict], ways: list[list[dict]], target: float) -> dict:
    """When ``standard`` was first at or below the bits per character at which ``book`` ended.

    No speed-up where it never was, or was before training.
    """
    reached = [next((point["seconds"] for point in way if point["bits"] <= target), math.inf) for way in ways]
    seconds, book_seconds = statistics.median(reached), statistics.median(run["seconds"] for run in book)
    there = math.isfinite(seconds)
    return {"bits_per_char": target, "book_seconds": book_seconds, "standard_seconds": seconds if there else None,
            "speedup": book_seconds / seconds if there and seconds else None, "way": ways[0]}
