"""책의 방법(book)에서 여기의 방법(standard)까지, 한 가지씩 바꾸며 얼마나 빨라지는지 잽니다.

배우는 것: 같은 모델, 같은 데이터, 같은 에폭이라도 무엇을 어떻게 계산하느냐에 따라 속도와 결과가 달라집니다. 사다리의 칸마다 하나만
바꾸므로 무엇이 얼마를 벌어 주는지 보입니다. 허깅페이스의 Trainer로 하는 흔한 두 방법도 같은 자리에서 잽니다.

    python task3-gen/bench_gen.py                                              # make bench와 같습니다
    python task3-gen/bench_gen.py --downstream_corpus_root_dir ~/Korpora --downstream_corpus_name nsmc --limit 5000
    python task3-gen/bench_gen.py --only book standard --rounds 5              # 몇 가지만

방법들을 번갈아 여러 번 재므로 컴퓨터가 그사이 느려져도 비율은 믿을 만합니다. 잴 때마다 프로세스를 새로 만들어 메모리도 따로 잽니다.
글자마다의 비트는 학습을 마친 모델로 시험 리뷰를 자르지 않고, 패딩과 token_type_ids 없이, float32로 잰 값이라 모두에게 공평합니다. 끝으로,
book이 제 에폭을 마치고 이른 비트에 standard(한 에폭의 일정)가 학습을 몇 초 하면 이르는지 잽니다. 마지막 줄은 JSON입니다.

GENUINE_RATSNLP_PYTHON이 진짜 ratsnlp 1.0.53이 있는 파이썬을 가리키면(tests/genuine/record.py) 그것도 잽니다.
"""

import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import transformers
from torch.utils.data import DataLoader, RandomSampler, Subset

from ratsnlp import nlpbook
from ratsnlp.nlpbook.arguments import Arguments, argument
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationTask,
    GenerationTrainArguments,
    NsmcCorpus,
    bits_per_character,
    load_model,
    load_tokenizer,
)
from ratsnlp.nlpbook.paths import BUNDLED_DATA, REPOSITORY
from ratsnlp.nlpbook.training.precision import best_precision
from ratsnlp.nlpbook.training.progress import ProgressBar

# 사다리: 아래로 갈수록 하나씩 더 켭니다. 패킹(리뷰 여럿을 한 줄에 잇기)은 모으기보다 느려 칸이 아닙니다.
RUNGS = {
    "book": "책의 방법",
    "real": "진짜 토큰만 손실에 + 학습률 일정",
    "trim": "가장 긴 리뷰까지만, 로짓은 진짜 토큰만",
    "group": "길이가 비슷한 리뷰끼리",
    "bf16": "bf16으로 계산",
    "fused": "AdamW를 한 커널로",
    "small": "작은 연산 묶기",
    "standard": "한 걸음에 리뷰 두 배 = 여기의 방법",
}
RIVALS = {
    "trainer": "Trainer, 리뷰마다 패딩",
    "blocks": "Trainer, 이어 붙여 자르기",
    "ratsnlp": "진짜 ratsnlp 1.0.53",
}
NAMES = {**RUNGS, **RIVALS}
CHECKS = 20  # how often the headline's run is judged on its way
HELD_OUT = 1000  # reviews that judge


@dataclass
class BenchArguments(Arguments):
    pretrained_model_name: str = argument("kogpt-mini", "사전 학습 모델의 허브 이름이나 폴더")
    downstream_corpus_root_dir: str = argument(str(BUNDLED_DATA), "말뭉치 폴더들이 있는 폴더")
    downstream_corpus_name: str = argument("mini", "말뭉치 이름: 말뭉치 폴더의 이름")
    limit: int = argument(0, f"학습 리뷰를 앞에서 몇 개만 쓸지(0은 전부). 시험 리뷰는 {HELD_OUT:,}개까지만 씁니다", minimum=0)
    max_seq_length: int = argument(32, "리뷰 하나를 최대 몇 토큰까지 배울지: 책은 32", minimum=2)
    batch_size: int = argument(32, "한 걸음에 리뷰 몇 개를 볼지: 책은 32. standard와 Trainer는 그 두 배", minimum=1)
    learning_rate: float = argument(5e-4, "학습률", above=0, maximum=1)
    epochs: int = argument(3, "학습 데이터를 몇 번 볼지: 책은 3", minimum=1)
    rounds: int = argument(3, "번갈아 몇 번 잴지", minimum=1)
    only: tuple[str, ...] = argument((), f"이것들만 잽니다: {', '.join(NAMES)}")
    seed: int = argument(7, "난수 시드", minimum=0, maximum=2**32 - 1)

    def __post_init__(self):
        super().__post_init__()
        for name in self.only:
            if name not in NAMES:
                raise nlpbook.UserError(f"only: {', '.join(NAMES)} 가운데에서 골라야 하는데 {name!r}입니다.")


class PaddedTask(GenerationTask):
    """Computes every position of a batch, padding too, and leaves what does not count out of the loss afterwards."""

    def token_losses(self, batch):
        lengths = batch["attention_mask"].sum(dim=1, keepdim=True)
        input_ids = batch["input_ids"]
        position = torch.arange(1, input_ids.shape[1], device=input_ids.device)
        counts = position <= lengths
        logits = self.model(input_ids[:, :-1], use_cache=False).logits
        losses = F.cross_entropy(logits.flatten(0, 1).float(), input_ids[:, 1:].flatten(), reduction="none").view(counts.shape)
        return losses[counts], (position >= batch["control_tokens"][:, None])[counts]


def plain_cross_entropy(states, weight, targets):
    return F.cross_entropy((states @ weight.T).float(), targets, reduction="none")


@contextlib.contextmanager
def without(rung: str):
    """The library without what the rungs above ``rung`` bring; yields the class of the task and whether reviews are grouped."""
    on = list(RUNGS).index(rung)
    library, adamw = "ratsnlp.nlpbook.generation.task.", torch.optim.AdamW
    pieces = {
        "bf16": [("ratsnlp.nlpbook.training.trainer.best_precision", lambda *_: "32-true")],
        "fused": [(library + "torch.optim.AdamW", lambda groups, fused, **named: adamw(groups, **named))],
        "small": [(library + "linear_cross_entropy", plain_cross_entropy), (library + "use_fast_layers", lambda model: model),
                  (library + "keep_freed_memory", lambda: None), (library + "use_byte_eager", lambda model: None)],
    }
    with contextlib.ExitStack() as stack:
        for name, patches in pieces.items():
            if rung != "book" and list(RUNGS).index(name) > on:
                for target, replacement in patches:
                    stack.enter_context(patch(target, replacement))
        yield PaddedTask if rung == "real" else GenerationTask, on >= list(RUNGS).index("group")


class Watch(pl.Callback):
    """Seconds that the training batches took, without validation and checkpoints.

    With a ``target``, ``judge`` is asked before training and ``CHECKS`` times on the way, off the clock, and training stops when it is
    reached.
    """

    def __init__(self, judge=None, target=None):
        self.judge, self.target, self.seconds, self.way = judge, target, 0.0, []

    def on_train_epoch_start(self, trainer, module):
        if self.target is not None:
            self.way.append({"seconds": 0.0, "reviews": 0, "bits": self.judge(module.model)})
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        check = self.target is not None and (batch_idx + 1) % max(trainer.num_training_batches // CHECKS, 1) == 0
        if check or batch_idx + 1 == trainer.num_training_batches:
            synchronize()
            self.seconds += time.perf_counter() - self.started
        if check:
            reviews = (batch_idx + 1) * len(batch["input_ids"])
            self.way.append({"seconds": self.seconds, "reviews": reviews, "bits": self.judge(module.model)})
            trainer.should_stop = self.way[-1]["bits"] <= self.target
            self.started = time.perf_counter()


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def train_arguments(bench: BenchArguments, root: str, name: str, **changes) -> GenerationTrainArguments:
    batch_size = bench.batch_size * (2 if name in ("standard", "trainer", "blocks") else 1)
    return GenerationTrainArguments(**{
        "pretrained_model_name": bench.pretrained_model_name, "max_seq_length": bench.max_seq_length, "batch_size": batch_size,
        "learning_rate": bench.learning_rate, "epochs": bench.epochs, "seed": bench.seed,
        "recipe": "book" if name == "book" else "standard",
        "downstream_corpus_root_dir": root, "downstream_corpus_name": "corpus", "downstream_model_dir": f"{root}/{name}", "save_steps": 0,
        **changes})


def make_judge(root: str, tokenizer):
    """A function of a model: its bits per character on the held-out reviews, in float32, without dropout, nothing cut off."""
    test = NsmcCorpus().get_examples(Path(root) / "corpus", "test")

    def judge(model) -> float:
        training = model.training
        bits = bits_per_character(model, tokenizer, test)["bits_per_char"]
        model.train(training)
        return bits

    return judge


def measure(bench: BenchArguments, name: str, root: str, target: float | None = None) -> dict:
    """Train by the method ``name``; rates per second of training, bits per character after it, peak memory in bytes."""
    tokenizer = load_tokenizer(bench.pretrained_model_name)
    judge = make_judge(root, tokenizer)
    args = train_arguments(bench, root, name, **({"epochs": 1} if target is not None else {}))
    nlpbook.set_seed(args, quiet=True)
    train = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
    watch, precision = Watch(judge, target), "bf16-mixed"
    if name in RUNGS:
        with without(name) as (task_class, grouped):
            task = task_class(load_model(args.pretrained_model_name, tokenizer), args)
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
        "flops_per_second": flops, "val_bits_per_char": judge(model), "peak_bytes": peak, "seconds": watch.seconds, "precision": precision,
        "way": watch.way,
    }


def fit(task, args, train, grouped: bool, tokenizer, watch: Watch) -> str:
    """As ``train_gen-N.py`` does; returns the precision."""
    few = Subset(GenerationDataset(args, tokenizer, NsmcCorpus(), "test"), range(1))  # the checkpoint wants a val_loss
    sampler = nlpbook.LengthGroupedSampler(train, args) if grouped else RandomSampler(train)
    trainer = nlpbook.get_trainer(args)
    trainer.callbacks = [watch, *(callback for callback in trainer.callbacks if not isinstance(callback, ProgressBar))]
    task.configure_callbacks = lambda: []  # no samples
    trainer.fit(task, train_dataloaders=DataLoader(train, batch_size=args.batch_size, sampler=sampler, collate_fn=nlpbook.data_collator),
                val_dataloaders=DataLoader(few, batch_size=1, collate_fn=nlpbook.data_collator))
    return trainer.precision


def hugging_face(args: GenerationTrainArguments, name: str, train, tokenizer, model, watch: Watch) -> str:
    """Hugging Face's ``Trainer`` in the precision of ``standard``, with its default schedule; returns the precision.

    ``trainer`` pads each batch to its longest review, padding out of the loss; ``blocks`` joins all reviews and cuts them, as
    ``run_clm`` does, into rows of the length that ``book`` computes, of which none is padding. Either learns an eos after each review,
    and as many tokens a step as ``standard``.
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
            folder, per_device_train_batch_size=batch_size, num_train_epochs=args.epochs, learning_rate=args.learning_rate,
            seed=args.seed, bf16=precision == "bf16-mixed", fp16=precision == "16-mixed", use_cpu=not torch.cuda.is_available(),
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=torch.cuda.is_available())
        Trainer(model, arguments, DataCollatorForLanguageModeling(tokenizer, mlm=False), [{"input_ids": row} for row in rows],
                callbacks=[Clock()]).train()
    return precision


def genuine(bench: BenchArguments, train, model, root: str):
    """The genuine package's own trainer in its own interpreter, on the same features and weights: the model, seconds."""
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


def flops_per_token(model, length: float) -> float:
    """Floating-point operations of a training step for one real token: 6 N + 12 L H Q T.

    N is the number of parameters that multiply something: without positions, and without the embedding where the output has one of its
    own. T is the mean ``length`` of a review. Source: Chowdhery et al. (2022), "PaLM", appendix B.
    """
    looked_up = sum(parameter.numel() for name, parameter in model.named_parameters() if name.endswith("wpe.weight"))
    if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        looked_up += model.get_input_embeddings().weight.numel()
    config = model.config
    return 6 * (model.num_parameters() - looked_up) + 12 * config.num_hidden_layers * config.hidden_size * length


def peak_flops(dtype: torch.dtype) -> float:
    """What this machine reaches in a matrix product of 2048 × 2048 (on a GPU 8192 × 8192), the best of ten."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 8192 if device == "cuda" else 2048
    one, best = torch.randn(size, size, device=device).to(dtype), math.inf
    for _ in range(10):
        started = time.perf_counter()
        one @ one
        synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def peak_bytes(of_child: bool = False) -> int | None:
    """The most memory that this process, or one that it ran, has held: the GPU's where it trains, else the RSS; None on Windows."""
    if torch.cuda.is_available() and not of_child:
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN if of_child else resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def copy_corpus(bench: BenchArguments, root: Path) -> None:
    folder = Path(bench.downstream_corpus_root_dir).expanduser() / bench.downstream_corpus_name
    (root / "corpus").mkdir()
    for name, most in (("ratings_train.txt", bench.limit), ("ratings_test.txt", min(bench.limit or HELD_OUT, HELD_OUT))):
        lines = nlpbook.read_documents(folder / name)
        (root / "corpus" / name).write_text("\n".join(lines[: most + 1 if most else None]) + "\n", encoding="utf-8")


def alone(function, *arguments):
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def chosen(bench: BenchArguments) -> list[str]:
    names = [name for name in NAMES if not bench.only or name in bench.only]
    if find_spec("accelerate") is None and {"trainer", "blocks"} & set(names):
        print("Trainer는 재지 않습니다. 재려면 python -m pip install accelerate==1.15.0")
        names = [name for name in names if name not in ("trainer", "blocks")]
    if not os.environ.get("GENUINE_RATSNLP_PYTHON"):
        names = [name for name in names if name != "ratsnlp"]
    return names


def main(bench: BenchArguments) -> None:
    names = chosen(bench)
    runs, headline = {name: [] for name in names}, None
    with tempfile.TemporaryDirectory() as root:
        copy_corpus(bench, Path(root))
        peaks = {precision: alone(peak_flops, dtype) for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16))}
        for number in range(bench.rounds):
            for name in names:
                print(f"{number + 1}/{bench.rounds} {NAMES[name]}", flush=True)
                runs[name].append(alone(measure, bench, name, root))
        if {"book", "standard"} <= set(names):
            target = statistics.median(run["val_bits_per_char"] for run in runs["book"])
            headline = head(runs["book"], [alone(measure, bench, "standard", root, target)["way"] for _ in range(bench.rounds)], target)
    for name in names:
        for run in runs[name]:
            run["fraction_of_peak"] = run["flops_per_second"] / peaks.get(run["precision"], peaks["bf16-mixed"])
    keys = [key for key, value in runs[names[0]][0].items() if isinstance(value, (int, float))]
    figures = {name: {key: statistics.median(run[key] for run in runs[name]) for key in keys} for name in names}
    first, best = names[0], names[-1] if "standard" not in names else "standard"
    ratios = {name: {key: ratio(runs[first], runs[name], key) for key in keys} for name in names}

    print(f"\n{pad('', 42)}{'samples/s':>10}{'tokens/s':>10}{'peak':>7}{'bits/char':>11}{'GB':>7}{'×' + first:>8}")
    for name in names:
        row = figures[name]
        rates = f"{row['samples_per_second']:10.1f}{row['tokens_per_second']:10.1f}{row['fraction_of_peak']:7.1%}"
        rest = f"{row['val_bits_per_char']:11.3f}{row.get('peak_bytes', math.nan) / 1e9:7.2f}{ratios[name]['tokens_per_second']:8.2f}"
        print(f"{pad(f'{name} {NAMES[name]}', 42)}{rates}{rest}")
    print(f"tokens/s는 패딩을 뺀 진짜 토큰, peak는 그 정밀도의 행렬 곱 최고 속도(fp32 {peaks['32-true'] / 1e9:.0f}, bf16 "
          f"{peaks['bf16-mixed'] / 1e9:.0f} GFLOPS)에 견준 값, 비율은 번갈아 잰 것들의 가운뎃값입니다.")
    if headline and headline["standard_seconds"] == 0:  # a short run of book can do harm
        print(f"학습 전의 모델이 이미 {headline['way'][0]['bits']:.3f}비트라, book이 끝에 이른 {headline['bits_per_char']:.3f}비트에 "
              "누가 먼저 이르는지 잴 수 없습니다. --epochs나 --limit을 늘리세요.")
    elif headline and headline["speedup"]:
        print(f"book이 {headline['book_seconds']:.1f}초 만에 이른 글자마다 {headline['bits_per_char']:.3f}비트에 standard는 "
              f"{headline['standard_seconds']:.1f}초 만에 이르렀습니다: {headline['speedup']:.1f}배 빨리.")
    print(json.dumps({
        **figures, "ratios": ratios[best], "ratios_to": first, "all_ratios": ratios, "standard_to": {
            name: ratio(runs[name], runs[best], "tokens_per_second") for name in names}, "headline": headline, "peak_flops": peaks,
        "arguments": asdict(bench), "precision": {name: runs[name][0]["precision"] for name in names},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} × {torch.get_num_threads()}",
        "cpu_bf16": torch.cpu._is_avx512_bf16_supported(), "torch": torch.__version__, "transformers": transformers.__version__}))


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


def pad(text: str, width: int) -> str:
    """``text`` with spaces to ``width`` columns, of which a Hangul syllable takes two."""
    return text + " " * (width - sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text))


if __name__ == "__main__":
    main(nlpbook.load_arguments(BenchArguments))
