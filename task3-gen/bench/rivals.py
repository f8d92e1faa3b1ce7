"""The same training by others: Hugging Face's Trainer in two common ways, and the genuine ratsnlp."""

import os
import subprocess
import tempfile
import time
from dataclasses import asdict

from ratsnlp.nlpbook.generation import GenerationTrainArguments
from ratsnlp.nlpbook.paths import REPOSITORY
from ratsnlp.nlpbook.training.precision import best_precision

import torch

from .arguments import BenchArguments
from .clock import Watch
from .machine import synchronize


def hugging_face(args: GenerationTrainArguments, name: str, train, tokenizer, model, watch: Watch) -> str:
    """Hugging Face's ``Trainer`` in the precision of ``standard``, with its default schedule; returns the precision.

    ``trainer`` pads each batch to its longest review, padding out of the loss; ``blocks`` joins all reviews and cuts
    them, as ``run_clm`` does, into rows of the length that ``book`` computes, of which none is padding. Either learns
    an eos after each review, and as many tokens a step as ``standard``.
    """
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def on_train_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_train_end(self, *_, **__):
            synchronize()
            watch.seconds = time.perf_counter() - self.started

    width, eos, batch_size = args.max_seq_length, tokenizer.eos_token_id, args.batch_size
    rows = [(features.input_ids[: sum(features.attention_mask)] + [eos])[:width] for features in train]
    if name == "blocks":
        flat = [token for row in rows for token in row]
        batch_size = max(round(batch_size * len(flat) / len(rows) / width), 1)
        rows = [flat[start : start + width] for start in range(0, len(flat) - width + 1, width)]
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    precision = best_precision()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=batch_size, num_train_epochs=args.epochs,
            learning_rate=args.learning_rate, seed=args.seed,
            bf16=precision == "bf16-mixed", fp16=precision == "16-mixed", use_cpu=not torch.cuda.is_available(),
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available())
        Trainer(model, arguments, DataCollatorForLanguageModeling(tokenizer, mlm=False),
                [{"input_ids": row} for row in rows], callbacks=[Clock()]).train()
    return precision


def genuine(bench: BenchArguments, train, model, root: str):
    """The genuine package's own trainer in its own interpreter, on the same features and weights.

    Returns the model and the seconds.
    """
    handed, back = f"{root}/handed.pt", f"{root}/back.pt"
    features = [[features.input_ids, features.attention_mask] for features in train]
    fields = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "resid_pdrop", "embd_pdrop", "attn_pdrop")
    torch.save({"features": torch.tensor(features), "state_dict": model.state_dict(), "arguments": asdict(bench),
                "config": {name: getattr(model.config, name) for name in fields}}, handed)
    script = REPOSITORY / "tests" / "genuine" / "train.py"
    subprocess.run([os.environ["GENUINE_RATSNLP_PYTHON"], script, handed, back], check=True, capture_output=True)
    answer = torch.load(back, weights_only=True)
    model.load_state_dict(answer["state_dict"], strict=False)  # GPT-2 had buffers then
    return model, answer["seconds"]
