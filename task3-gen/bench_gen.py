"""책의 방법(book)과 여기의 방법(standard)을 나란히 재어 견줍니다.

배우는 것: 같은 모델, 같은 데이터, 같은 에폭이라도 무엇을 계산하느냐에 따라 속도와 결과가 달라집니다. 책의 방법은 패딩도 계산하고
손실에도 넣습니다. 두 방법을 번갈아 여러 번 재므로 컴퓨터가 그사이 느려져도 비율은 믿을 만합니다.

    python task3-gen/bench_gen.py                                              # make bench와 같습니다
    python task3-gen/bench_gen.py --downstream_corpus_root_dir ~/Korpora --downstream_corpus_name nsmc --limit 10000

잴 때마다 프로세스를 새로 만들어 메모리도 따로 잽니다. 글자마다의 비트는 학습을 마친 모델로 시험 리뷰를 자르지 않고, 패딩과
token_type_ids 없이, float32로 잰 값이라 두 방법 사이에 공평합니다. 마지막 줄은 JSON입니다.
"""

import json
import math
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import pytorch_lightning as pl
import torch
import transformers
from torch.utils.data import DataLoader, RandomSampler, Subset

from ratsnlp import nlpbook
from ratsnlp.nlpbook.arguments import Arguments, argument
from ratsnlp.nlpbook.generation import GenerationDataset, GenerationTask, GenerationTrainArguments, NsmcCorpus, load_model, load_tokenizer
from ratsnlp.nlpbook.generation.arguments import BUNDLED_DATA

RECIPES = ("book", "standard")
LONGEST = 256  # tokens; of the 200,000 reviews of NSMC one is longer in kogpt-mini's tokens (352), and is cut off


@dataclass
class BenchArguments(Arguments):
    pretrained_model_name: str = argument("kogpt-mini", "사전 학습 모델의 허브 이름이나 폴더")
    downstream_corpus_root_dir: str = argument(str(BUNDLED_DATA), "말뭉치 폴더들이 있는 폴더")
    downstream_corpus_name: str = argument("mini", "말뭉치 이름: 말뭉치 폴더의 이름")
    limit: int = argument(0, "학습 리뷰와 시험 리뷰를 저마다 앞에서 몇 개만 쓸지(0은 전부)", minimum=0)
    max_seq_length: int = argument(32, "리뷰 하나를 최대 몇 토큰까지 배울지: 책은 32", minimum=2, maximum=LONGEST)
    batch_size: int = argument(32, "한 걸음에 리뷰 몇 개를 볼지: 책은 32", minimum=1)
    learning_rate: float = argument(5e-4, "학습률", above=0, maximum=1)
    epochs: int = argument(3, "학습 데이터를 몇 번 볼지: 책은 3", minimum=1)
    rounds: int = argument(3, "번갈아 몇 번 잴지", minimum=1)
    seed: int = argument(7, "난수 시드", minimum=0, maximum=2**32 - 1)


class TrainingTime(pl.Callback):
    """Seconds that the training batches of the run took, without validation and checkpoints."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer, module):
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx + 1 == trainer.num_training_batches:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds += time.perf_counter() - self.started


def measure(bench: BenchArguments, recipe: str, root: str) -> dict:
    """Train with ``recipe`` as ``train_gen-N.py`` does; rates per second of training, bits per character after it, peak memory in bytes."""
    args = GenerationTrainArguments(
        pretrained_model_name=bench.pretrained_model_name, max_seq_length=bench.max_seq_length, batch_size=bench.batch_size,
        learning_rate=bench.learning_rate, epochs=bench.epochs, seed=bench.seed, recipe=recipe,
        downstream_corpus_root_dir=root, downstream_corpus_name="corpus", downstream_model_dir=f"{root}/{recipe}")
    nlpbook.set_seed(args, quiet=True)
    tokenizer = load_tokenizer(args.pretrained_model_name)
    train = GenerationDataset(args, tokenizer, NsmcCorpus(), "train")
    sampler = nlpbook.LengthGroupedSampler(train, args) if recipe == "standard" else RandomSampler(train)
    few = Subset(GenerationDataset(args, tokenizer, NsmcCorpus(), "test"), range(1))  # the checkpoint wants a val_loss

    def loader(dataset, **more):
        return DataLoader(dataset, batch_size=args.batch_size, collate_fn=nlpbook.data_collator, **more)

    task = GenerationTask(load_model(args.pretrained_model_name, tokenizer), args)
    trainer = nlpbook.get_trainer(args)
    watch = TrainingTime()
    trainer.callbacks.append(watch)
    trainer.fit(task, train_dataloaders=loader(train, sampler=sampler), val_dataloaders=loader(few))

    positions = min(LONGEST, task.model.config.max_position_embeddings)
    judging = GenerationTrainArguments(**{**asdict(args), "recipe": "standard", "max_seq_length": positions})
    test = GenerationDataset(judging, tokenizer, NsmcCorpus(), "test")
    judge = pl.Trainer(accelerator="auto", devices=1, logger=False, enable_progress_bar=False)
    test_loader = loader(test, sampler=nlpbook.LengthGroupedSampler(test, judging))
    measured = judge.validate(GenerationTask(task.model, judging), test_loader, verbose=False)[0]
    return {
        "samples_per_second": len(train) * args.epochs / watch.seconds,
        "tokens_per_second": int(train.lengths.sum()) * args.epochs / watch.seconds,
        "val_bits_per_char": measured["val_bits_per_char"], "peak_bytes": peak_bytes(), "seconds": watch.seconds,
        "precision": trainer.precision,
    }


def peak_bytes() -> int | None:
    """The most memory that this process has held: the GPU's where it trains, else the RSS; None on Windows."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def copy_corpus(bench: BenchArguments, root: Path) -> None:
    folder = Path(bench.downstream_corpus_root_dir).expanduser() / bench.downstream_corpus_name
    (root / "corpus").mkdir()
    for name in ("ratings_train.txt", "ratings_test.txt"):
        lines = nlpbook.read_documents(folder / name)
        (root / "corpus" / name).write_text("\n".join(lines[: bench.limit + 1 if bench.limit else None]) + "\n", encoding="utf-8")


def main(bench: BenchArguments) -> None:
    runs = {recipe: [] for recipe in RECIPES}
    with tempfile.TemporaryDirectory() as root:
        copy_corpus(bench, Path(root))
        for number in range(bench.rounds):
            for recipe in RECIPES:
                print(f"{number + 1}/{bench.rounds} {recipe}", flush=True)
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    runs[recipe].append(process.submit(measure, bench, recipe, root).result())
    names = [name for name, value in runs["book"][0].items() if isinstance(value, (int, float))]
    figures = {recipe: {name: statistics.median(run[name] for run in runs[recipe]) for name in names} for recipe in RECIPES}
    pairs = list(zip(runs["book"], runs["standard"], strict=True))
    ratios = {name: statistics.median(new[name] / old[name] for old, new in pairs) for name in names}
    print(f"\n{'':10}{'samples/s':>12}{'tokens/s':>12}{'bits/char':>12}{'GB':>8}")
    for label, row, scale, digits in [*((recipe, figures[recipe], 1e9, 1) for recipe in RECIPES), ("비율", ratios, 1, 2)]:
        rates = f"{row['samples_per_second']:12.{digits}f}{row['tokens_per_second']:12.{digits}f}"
        print(f"{label:10}{rates}{row['val_bits_per_char']:12.3f}{row.get('peak_bytes', math.nan) / scale:8.2f}")
    print("tokens/s는 패딩을 뺀 진짜 토큰입니다. 비율은 standard ÷ book이고, 값마다 번갈아 잰 것들의 가운뎃값입니다.")
    print(json.dumps({
        **figures, "ratios": ratios, "arguments": asdict(bench), "precision": {recipe: runs[recipe][0]["precision"] for recipe in RECIPES},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} × {torch.get_num_threads()}",
        "cpu_bf16": torch.cpu._is_avx512_bf16_supported(), "torch": torch.__version__, "transformers": transformers.__version__}))


if __name__ == "__main__":
    main(nlpbook.load_arguments(BenchArguments))
