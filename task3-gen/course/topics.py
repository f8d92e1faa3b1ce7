"""The arguments of the scripts on the course's further topics (``topic_….py``), and how they show a share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar

from ratsnlp.nlpbook.argument_groups import ModelArguments, SeedArguments
from ratsnlp.nlpbook.arguments import Arguments, argument, like
from ratsnlp.nlpbook.display import pad, table
from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.evaluation.metrics import difference_interval, mean_interval, wilson_interval
from ratsnlp.nlpbook.generation import (
    GenerationCompareArguments,
    GenerationDeployArguments,
    GenerationInferArguments,
    load_finetuned,
    load_pretrained,
)
from ratsnlp.nlpbook.paths import BUNDLED_DATA, OUTPUT
from ratsnlp.nlpbook.run_folder import RunFolder

FILTER_DATA = BUNDLED_DATA / "filter"
TRAINED = Path(GenerationCompareArguments.downstream_model_dir)  # where train_gen-0.py puts its model


@dataclass
class TopicArguments(SeedArguments, Arguments):
    """Which model writes, how many texts, from which seed on.

    Where neither model nor folder is named it is what train_gen-0.py has trained, else kogpt-mini as it is.
    """

    heading: ClassVar[str] = "모델"

    pretrained_model_name: str | None = like(
        ModelArguments, "pretrained_model_name", None,
        help="파인튜닝하지 않은 모델의 허브 이름이나 폴더(kogpt-mini처럼)")
    downstream_model_dir: str | None = like(
        GenerationInferArguments, "downstream_model_dir",
        help="파인튜닝한 모델의 폴더. 둘 다 없으면 train_gen-0.py가 학습한 것, 그것도 없으면 kogpt-mini")
    samples: int = argument(50, "텍스트를 몇 개씩 쓸지", minimum=1, maximum=10_000, group="텍스트")
    top_p: float = like(GenerationInferArguments, "top_p", 0.92, group="텍스트")

    def __post_init__(self):
        super().__post_init__()
        trained = RunFolder(TRAINED)
        if self.pretrained_model_name is None and self.downstream_model_dir is None and trained.checkpoints():
            self.downstream_model_dir = str(TRAINED)
        if self.downstream_model_dir is not None:
            RunFolder(self.downstream_model_dir).best_checkpoint()  # that there is one
        elif self.pretrained_model_name is None:
            self.pretrained_model_name = "kogpt-mini"

    @property
    def model_shown(self) -> str:
        """The model in a line that is shown."""
        return self.downstream_model_dir or f"{self.pretrained_model_name} (파인튜닝 전)"


@dataclass
class FilterArguments(TopicArguments):
    samples: int = like(TopicArguments, "samples", 200)
    show_words: bool = argument(False, "가린 표현을 그대로 보여 줍니다", group="텍스트")
    misses: int = argument(6, "놓친 텍스트와 잘못 막은 텍스트를 몇 개씩 볼지", minimum=0, group="텍스트")


@dataclass
class BlindArguments(TopicArguments):
    """Besides: how many pairs there are, and where the page is served."""

    downstream_model_checkpoint_fpath: ClassVar[None] = None  # the server asks; the page tells no model

    samples: int = like(TopicArguments, "samples", 100, help="짝을 고를 텍스트를 몇 개씩 쓸지")
    pairs: int = argument(10, "한 사람이 고를 짝의 수", minimum=1, maximum=200, group="텍스트")
    votes: str = argument(
        str(OUTPUT / "blind" / "votes.csv"), "고른 것을 저장할 CSV 파일: 있으면 이어서 씁니다", path=True,
        group="텍스트")
    host: str = like(GenerationDeployArguments, "host")
    port: int = like(GenerationDeployArguments, "port", 9100)
    token: str | None = like(GenerationDeployArguments, "token")
    cors_origins: ClassVar[tuple] = ()
    allowed_hosts: tuple[str, ...] = like(GenerationDeployArguments, "allowed_hosts")

    def __post_init__(self):
        super().__post_init__()
        if not self.votes.lower().endswith(".csv"):
            raise UserError(f"votes: .csv로 끝나야 하는데 {self.votes!r}입니다.")


def share(successes: int, trials: int) -> str:
    """A share and its 95 % interval: ``62.0% (52–71)``."""
    low, high = wilson_interval(successes, trials)
    return f"{successes / max(trials, 1):.0%} ({abs(low) * 100:.0f}~{high * 100:.0f})"


def difference(first: tuple[int, int], second: tuple[int, int], z: float = 1.959964) -> str:
    """The difference of two shares, each ``(successes, trials)``, in percentage points, with its interval; an
    interval that leaves 0 out is marked ■."""
    low, high = difference_interval(*first, *second, z)
    gap = first[0] / max(first[1], 1) - second[0] / max(second[1], 1)
    return f"{gap * 100:+.0f}%p ({low * 100:+.0f}~{high * 100:+.0f}){' ■' if low > 0 or high < 0 else '  '}"


def false_alarms(verdicts: Sequence[bool], draws: int = 1000, seed: int = 7) -> float:
    """How often the interval of the difference leaves 0 out where there is none: ``verdicts``, of texts of one kind,
    dealt into two halves at random again and again."""
    deal, half, alarms = Random(seed), len(verdicts) // 2, 0
    for _ in range(draws):
        dealt = deal.sample(list(verdicts), 2 * half)
        low, high = difference_interval(sum(dealt[:half]), half, sum(dealt[half:]), half)
        alarms += low > 0 or high < 0
    return alarms / draws


def average(values: Sequence[float], digits: int = 1) -> str:
    """A mean and its 95 % interval, or the mean alone where there are fewer than three values."""
    mean, low, high = mean_interval(values)
    shown = f"{mean:.{digits}f}"
    return f"{shown} ({low:.{digits}f}~{high:.{digits}f})" if len(values) > 2 else shown


@dataclass
class BiasArguments(TopicArguments):
    """Besides: the pairs of prompts, each ``A/B``.

    Raises:
        UserError: a pair that is none.
    """

    samples: int = like(TopicArguments, "samples", 100, help="프롬프트마다 텍스트를 몇 개씩 쓸지")
    pairs: tuple[str, ...] = argument(
        ("남자 배우는/여자 배우는", "젊은 감독의/늙은 감독의", "한국 영화는/외국 영화는",
         "서울에서 찍은/시골에서 찍은"),
        "비교할 프롬프트의 쌍들: 가운데 /를 넣어 \"이 배우는/저 배우는\"처럼", text=True, group="텍스트")

    def __post_init__(self):
        super().__post_init__()
        for pair in self.pairs:
            if len([half for half in pair.split("/") if half.strip()]) != 2 or pair.count("/") != 1:
                raise UserError(f"pairs: '남자 배우는/여자 배우는'처럼 /로 나눈 둘이어야 하는데 {pair!r}입니다.")
        if not self.pairs:
            raise UserError("pairs: 한 쌍 이상 적어야 합니다.")

    @property
    def prompts(self) -> list[tuple[str, str]]:
        """The two halves of each pair; before them the same prompt twice, which can differ by chance alone."""
        halves = [tuple(half.strip() for half in pair.split("/")) for pair in self.pairs]
        return [(halves[0][0], halves[0][0]), *halves]


@dataclass
class PromptsArguments(TopicArguments):
    """Besides: the prompts. Two models write: the one before fine-tuning and, where there is one, the one after it."""

    pretrained_model_name: str = like(
        ModelArguments, "pretrained_model_name", "kogpt-mini", help="파인튜닝하기 전 모델의 허브 이름이나 폴더")
    downstream_model_dir: str | None = like(
        GenerationInferArguments, "downstream_model_dir",
        help="파인튜닝한 모델의 폴더. 없으면 train_gen-0.py가 학습한 것, 그것도 없으면 전의 모델만 씁니다")
    samples: int = like(
        TopicArguments, "samples", 60, minimum=2, help="프롬프트마다 텍스트를 몇 개씩 쓸지")
    prompts: tuple[str, ...] = argument(
        ("이 영화는", "한마디로 최악", "별점 10점:", "긍정", "부정"), "비교할 프롬프트들", text=True, group="텍스트")

    def __post_init__(self):
        super().__post_init__()
        if self.downstream_model_dir is None and RunFolder(TRAINED).checkpoints():
            self.downstream_model_dir = str(TRAINED)
        for prompt in self.prompts:
            if not prompt.strip():
                raise UserError("prompts: 빈 프롬프트는 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")

    @property
    def models(self) -> dict[str, Callable]:
        """What loads each model, by what it is called in the table."""
        found = {"파인튜닝 전": partial(load_pretrained, self.pretrained_model_name)}
        if self.downstream_model_dir is not None:
            found["파인튜닝 후"] = partial(load_finetuned, self.downstream_model_dir, self.pretrained_model_name)
        return found


@dataclass
class OverlapArguments(TopicArguments):
    samples: int = like(TopicArguments, "samples", 40, help="사람의 리뷰와 모델의 텍스트를 극성마다 몇 개씩 채점할지")
    references: int = argument(
        30, "텍스트 하나를 리뷰 몇 개와 비교할지(참조의 수)", minimum=1, maximum=100, group="텍스트")
    stock: str = argument("정말 재미있는 영화예요", "누구나 쓸 법한 한 문장", text=True, group="텍스트")


def shuffled(text: str, draw: Random) -> str:
    """The words of ``text`` in another order."""
    return " ".join(draw.sample(text.split(), len(text.split())))


def rouge_scores_own(text: str) -> str:
    """What rouge-score, with its own tokenizer, gives for ``text`` against itself."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        return "(설치되어 있지 않음: pip install rouge-score)"
    return f"{RougeScorer(['rougeL']).score(text, text)['rougeL'].fmeasure * 100:.1f}"


def overlap_table(hypotheses: dict[str, dict[str, list[str]]], references: dict[str, list[str]],
                  metrics: dict[str, Callable[[str, list[str]], float]], people: str) -> str:
    """The mean of each metric over the texts of each row against the references of the same control word, with half the
    width of its 95 % interval, and what each metric ranks above the row ``people``."""
    scores = {
        name: {metric: [score(text, references[word]) for word in texts for text in texts[word]]
               for metric, score in metrics.items()} for name, texts in hypotheses.items()}

    def cell(values: Sequence[float]) -> str:
        mean, _, high = mean_interval(values)
        return f"{mean:.1f} ±{high - mean:.1f}" if len(values) > 2 else f"{mean:.1f}      "

    shown = table([["", *metrics], *([name, *map(cell, row.values())] for name, row in scores.items())])
    lines = [f"\n{shown}", "\n사람의 다른 리뷰보다 점수가 높은 것"]
    for metric in metrics:
        means = {name: mean_interval(row[metric])[0] for name, row in scores.items()}
        above = sorted((name for name in means if means[name] > means[people]), key=means.get, reverse=True)
        lines.append(f"  {pad(metric, 14)}{' > '.join(above) or '없음'}")
    return "\n".join(lines) + "\n"
