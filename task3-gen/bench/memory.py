"""The memory that a training is told to need, beside what it takes: random weights, the longest texts, three steps."""

import gc
import json
import logging
import warnings
from functools import partial
from pathlib import Path

from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.generation import GenerationTask, GenerationTrainArguments, add_adapter, load_tokenizer
from ratsnlp.nlpbook.generation.loss import largest_loss
from ratsnlp.nlpbook.pretrained import load_config
from ratsnlp.nlpbook.training.footprint import GradientCheckpointing, HalfBase
from ratsnlp.nlpbook.training.memory import GB, estimate
from ratsnlp.nlpbook.training.precision import precision_of

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import AutoModelForCausalLM

from .arguments import MEMORY_WAYS, BenchArguments
from .machine import alone

BATCHES = (1, 4, 16)
STEPS = 3


class Longest(Dataset):
    """Reviews that are all as long as they may be, of random tokens."""

    def __init__(self, args, vocabulary: int):
        self.width, self.vocabulary = args.max_seq_length, vocabulary
        self.lengths = torch.full((STEPS * args.batch_size,), float(self.width))

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, row):
        ids = torch.randint(10, self.vocabulary, (self.width,))
        ones = torch.ones_like(ids)
        return {"input_ids": ids, "attention_mask": ones, "token_type_ids": ones - ones, "labels": ids,
                "control_tokens": torch.tensor(1), "characters": torch.tensor(self.width)}


class Task(GenerationTask):
    def configure_callbacks(self):
        return self.recipe.callbacks()  # without texts after the epoch


def fit(config, args) -> None:
    """Train a model of ``config`` as the scripts do, without writing anything."""
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.config.name_or_path = args.pretrained_model_name
    add_adapter(model, load_tokenizer(args.pretrained_model_name), args, ("긍정", "부정"))
    footprint = [GradientCheckpointing()] * args.gradient_checkpointing + [HalfBase()] * bool(args.lora_r)
    trainer = pl.Trainer(
        max_epochs=1, precision=precision_of(args), devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=footprint)
    trainer.fit(Task(model, args), DataLoader(Longest(args, config.vocab_size), batch_size=args.batch_size))


def resident(field: str) -> int:
    """VmRSS or VmHWM of this process, in bytes. Source: proc_pid_status(5)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure(bench: BenchArguments, way: str, batch: int) -> dict:
    """Bytes that a way needs by the estimate, and that it took beyond what the process had before there was a model."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    told = {"pretrained_model_name": bench.pretrained_model_name, **MEMORY_WAYS[way][1]}
    args = GenerationTrainArguments(max_seq_length=96, batch_size=batch, **told)
    config, on_gpu = load_config(args.pretrained_model_name), torch.cuda.is_available()
    loss = partial(largest_loss, plain_head=True, recipe="standard", device="cuda" if on_gpu else "cpu")
    needs = estimate(config, args, loss, "cuda" if on_gpu else "cpu", precision_of(args), (0, 1) if args.lora_r else ())
    small = load_config("kogpt-mini")  # what the libraries take once
    small.n_layer, small.n_embd, small.n_head = 1, 64, 1
    fit(small, GenerationTrainArguments(
        **{**told, "pretrained_model_name": "kogpt-mini"}, max_seq_length=8, batch_size=1))
    gc.collect()
    if on_gpu:
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        before = resident("VmRSS")
    fit(config, args)
    peak = torch.cuda.max_memory_allocated() if on_gpu else resident("VmHWM")
    return {"estimate": needs.total, "peak": peak - before}


def main(bench: BenchArguments) -> None:
    found = []
    for way in [name for name in MEMORY_WAYS if not bench.only or name in bench.only]:
        for batch in BATCHES:
            found.append({"way": way, "batch": batch, **alone(measure, bench, way, batch)})
            print(MEMORY_WAYS[way][0], batch, flush=True)
    rows = [["", "배치", "계산(GB)", "측정(GB)", "차이"]]
    rows += [[MEMORY_WAYS[row["way"]][0], str(row["batch"]), f"{row['estimate'] / GB:.2f}", f"{row['peak'] / GB:.2f}",
              f"{row['estimate'] / row['peak'] - 1:+.0%}"] for row in found]
    print(f"\n{table(rows)}")
    print(json.dumps({"model": bench.pretrained_model_name, "rows": found}))
