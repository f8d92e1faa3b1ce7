"""From the book's way to this library's, one thing at a time."""

import contextlib
from unittest.mock import patch

from ratsnlp import nlpbook
from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTrainArguments, NsmcCorpus
from ratsnlp.nlpbook.training.progress import ProgressBar

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, RandomSampler, Subset

from .arguments import RUNGS, BenchArguments
from .clock import Watch


def padded_token_losses(model, batch, plain_head):
    """Computes every position of a batch, padding too, and leaves what does not count out of the loss afterwards."""
    lengths = batch["attention_mask"].sum(dim=1, keepdim=True)
    input_ids = batch["input_ids"]
    position = torch.arange(1, input_ids.shape[1], device=input_ids.device)
    counts = position <= lengths
    logits = model(input_ids[:, :-1], use_cache=False).logits
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(), input_ids[:, 1:].flatten(), reduction="none").view(counts.shape)
    return losses[counts], (position >= batch["control_tokens"][:, None])[counts]


def plain_cross_entropy(states, weight, targets, device=None):
    return F.cross_entropy((states @ weight.T).float(), targets, reduction="none")


@contextlib.contextmanager
def without(rung: str):
    """The library without what the rungs above ``rung`` bring; yields whether reviews are grouped."""
    on, adamw = list(RUNGS).index(rung), torch.optim.AdamW
    library = "ratsnlp.nlpbook."
    pieces = {
        "trim": [(library + "generation.recipes.token_losses", padded_token_losses)],
        "bf16": [(library + "training.precision.best_precision", lambda *_: "32-true")],
        "fused": [(library + "generation.recipes.torch.optim.AdamW",
                   lambda groups, fused, **named: adamw(groups, **named))],
        "small": [(library + "generation.loss.linear_cross_entropy", plain_cross_entropy),
                  (library + "generation.recipes.StandardRecipe.callbacks", lambda self: [])],
    }
    with contextlib.ExitStack() as stack:
        for name, patches in pieces.items():
            if rung != "book" and list(RUNGS).index(name) > on:
                for target, replacement in patches:
                    stack.enter_context(patch(target, replacement))
        yield on >= list(RUNGS).index("group")


def train_arguments(bench: BenchArguments, root: str, name: str, **changes) -> GenerationTrainArguments:
    batch_size = bench.batch_size * (2 if name in ("standard", "trainer", "blocks") else 1)
    return GenerationTrainArguments(**{
        "pretrained_model_name": bench.pretrained_model_name, "max_seq_length": bench.max_seq_length,
        "batch_size": batch_size, "learning_rate": bench.learning_rate, "epochs": bench.epochs, "seed": bench.seed,
        "recipe": "book" if name == "book" else "standard",
        "downstream_corpus_root_dir": root, "downstream_corpus_name": "corpus",
        "downstream_model_dir": f"{root}/{name}", "save_steps": 0,
        **changes})


def fit(task, args, train, grouped: bool, tokenizer, watch: Watch) -> str:
    """As ``train_gen-N.py`` does; returns the precision."""
    few = Subset(GenerationDataset(args, tokenizer, NsmcCorpus(), "test"), range(1))  # the checkpoint wants a val_loss
    sampler = nlpbook.LengthGroupedSampler(train, args) if grouped else RandomSampler(train)
    trainer = nlpbook.get_trainer(args)
    trainer.callbacks = [watch, *(callback for callback in trainer.callbacks if not isinstance(callback, ProgressBar))]
    task.configure_callbacks = task.recipe.callbacks  # no samples
    trainer.fit(task,
                train_dataloaders=DataLoader(train, batch_size=args.batch_size, sampler=sampler,
                                             collate_fn=nlpbook.data_collator),
                val_dataloaders=DataLoader(few, batch_size=1, collate_fn=nlpbook.data_collator))
    return trainer.precision
