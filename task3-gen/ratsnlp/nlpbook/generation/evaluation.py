"""The yardstick: how well a model knows real reviews, and how like real reviews are those that it writes."""

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from ..data_utils import data_collator
from ..errors import UserError
from ..files import whole_file
from ..pretrained import max_positions
from .arguments import GenerationTrainArguments
from .corpus import GenerationExample
from .decoding import encode_prompt, readable
from .task import GenerationTask
from .texts import TextDataset

LONG = 10  # syllables: of reviews as long as this, people hardly ever write one twice
WINDOW = 1024  # tokens of a text seen at a time by a model without a last position
Progress = Callable[[Iterable], Iterable]  # tqdm, or nothing


@torch.no_grad()
def bits_per_character(model, tokenizer, examples: Sequence[GenerationExample], batch_size: int = 64,
                       progress: Progress = iter) -> dict[str, float]:
    """How surprised ``model`` is at ``examples``: ``bits_per_char`` and ``nats_per_token``, and the tokens and characters counted.

    Counted are the tokens after the control word and one eos, over the characters that those tokens cover: a figure in which
    tokenizers and models compare. No text is cut off: one longer than the model's positions goes on in a next window. No
    ``token_type_ids`` are fed, whatever the model was trained with. Source: Gao et al. (2020), "The Pile", section 3.1.
    """
    args = GenerationTrainArguments(max_seq_length=max_positions(model.config) or WINDOW, batch_size=batch_size)
    dataset = TextDataset(args, tokenizer, iter(examples), "")
    task = GenerationTask(model.eval(), args)
    order = np.argsort(dataset.lengths, kind="stable")
    nats = tokens = characters = 0
    for rows in progress(np.array_split(order, math.ceil(len(order) / batch_size))):
        batch = data_collator([dataset[row] for row in rows])
        losses, own = task.token_losses({name: tensor.to(model.device) for name, tensor in batch.items()})
        nats, tokens = nats + float(losses[own].double().sum()), tokens + int(own.sum())
        characters += int(batch["characters"].sum())
    return {"bits_per_char": nats / math.log(2) / characters, "nats_per_token": nats / tokens, "tokens": tokens, "characters": characters}


@dataclass(frozen=True)
class Sample:
    """A text without the prompt that it follows, and whether the model ended it by itself, with eos."""

    text: str
    ended: bool


@torch.inference_mode()
def sample_texts(model, tokenizer, prompt: str, count: int, seed: int, top_p: float = 0.92, max_new_tokens: int = 128,
                 batch_size: int = 100, progress: Progress = iter) -> list[Sample]:
    """``count`` texts that ``model`` writes after ``prompt``, by sampling from the nucleus ``top_p`` alone (no top-k, no penalty).

    The same seed gives the same texts on the same kind of machine. Source: Holtzman et al. (2020), "The curious case of neural text
    degeneration".
    """
    ids = encode_prompt(model, tokenizer, prompt)
    length = min(ids.shape[1] + max_new_tokens, max_positions(model.config) or math.inf)
    samples = []
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for start in progress(range(0, count, batch_size)):
            rows = ids.expand(min(batch_size, count - start), -1)
            written = model.generate(rows, attention_mask=torch.ones_like(rows), do_sample=True, top_p=top_p, top_k=0, max_length=length)
            for row in written[:, ids.shape[1] :]:
                samples.append(Sample(readable(tokenizer, row).strip(), bool((row == tokenizer.eos_token_id).any())))
    return samples


def syllables(text: str) -> str:
    """The characters of ``text`` without white space, a Hangul syllable being one: the units of what is counted below."""
    return "".join(unicodedata.normalize("NFC", text).split())


def ngrams(text: str, n: int) -> list[str]:
    units = syllables(text)
    return [units[start : start + n] for start in range(len(units) - n + 1)]


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams of syllables, over all n-grams of all ``texts``: compare it between equally many texts alone.

    Source: Li et al. (2016), "A diversity-promoting objective function for neural conversation models", section 5.2.
    """
    counted = Counter(ngram for text in texts for ngram in ngrams(text, n))
    return len(counted) / max(counted.total(), 1)


def repeated(texts: Sequence[str], n: int = 4) -> float:
    """The share of n-grams of syllables that stood in the same text before.

    Source: Welleck et al. (2020), "Neural text generation with unlikelihood training", section 6.1, over all texts together.
    """
    grams = [ngrams(text, n) for text in texts]
    return 1 - sum(len(set(each)) for each in grams) / max(sum(map(len, grams)), 1)


def self_bleu(texts: Sequence[str], n: int = 4) -> float:
    """The mean BLEU of each text against all the others, over n-grams of syllables up to ``n``: high where texts are alike.

    An n-gram that matches nothing counts 0.1; texts with fewer than ``n`` syllables are left out as hypotheses. Sources: Zhu et al.
    (2018), "Texygen"; Papineni et al. (2002), "BLEU"; Chen & Cherry (2014), smoothing 1.
    """
    counts = [[Counter(ngrams(text, size)) for size in range(1, n + 1)] for text in texts]
    lengths = np.asarray([len(syllables(text)) for text in texts])
    # What clips a count is the highest among the *other* texts: the highest of all, or the second where the text holds that itself.
    best = [{} for _ in range(n)]
    for each in counts:
        for highest, counter in zip(best, each, strict=True):
            for ngram, count in counter.items():
                first, second = highest.get(ngram, (0, 0))
                highest[ngram] = (count, first) if count > first else (first, max(second, count))
    scores = []
    for number, each in enumerate(counts):
        if lengths[number] < n or len(texts) < 2:
            continue
        logs = 0.0
        for highest, counter in zip(best, each, strict=True):
            matches = 0
            for ngram, count in counter.items():
                first, second = highest[ngram]
                matches += min(count, second if count == first else first)
            logs += math.log((matches or 0.1) / counter.total()) / n
        others = np.delete(lengths, number)
        closest = others[np.lexsort((others, abs(others - lengths[number])))[0]]
        scores.append(math.exp(logs + min(0.0, 1 - closest / lengths[number])))
    return float(np.mean(scores)) if scores else 0.0


def verbatim(texts: Sequence[str], training: Iterable[str], least: int = 0) -> float:
    """The share of ``texts`` that stand in ``training`` as they are, white space aside, among those of ``least`` syllables and more.

    People write a short review like "굿" again and again: a copy of a longer one is what tells that a model has learnt by heart.
    """
    known = {syllables(text) for text in training}
    judged = [text for text in map(syllables, texts) if len(text) >= least]
    return sum(text in known for text in judged) / max(len(judged), 1)


def diversity(texts: Sequence[str], training: Iterable[str]) -> dict[str, float]:
    """All of the above for ``texts``, and their mean length in syllables."""
    return {
        "distinct_1": distinct(texts, 1), "distinct_2": distinct(texts, 2), "repeated_4grams": repeated(texts, 4),
        "self_bleu": self_bleu(texts), "mean_syllables": sum(map(len, map(syllables, texts))) / max(len(texts), 1),
        "verbatim": verbatim(texts, training), "verbatim_long": verbatim(texts, training, LONG)}


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval that holds a share with 95 % confidence. Source: Wilson (1927); Brown, Cai & DasGupta (2001), section 3.1.1."""
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return centre - half, centre + half


class PolarityJudge:
    """Tells 긍정 from 부정: logistic regression over the character n-grams (1 to 5, within words) that a text holds.

    Source: Wang & Manning (2012), "Baselines and bigrams: simple, good sentiment and topic classification".
    """

    FEATURES = 2**20

    def __init__(self, coefficients: np.ndarray, intercept: float):
        self.coefficients, self.intercept = coefficients, intercept

    @classmethod
    def fit(cls, examples: Sequence[GenerationExample], folder: str | Path | None = None) -> "PolarityJudge":
        """Learn from ``examples``, or read what was learnt from the very same ones and is kept in ``folder``.

        Raises:
            UserError: the examples are not of both kinds.
        """
        if len(set(polarities(examples))) < 2:
            raise UserError("판정기를 만들려면 학습용 리뷰에 긍정과 부정이 모두 있어야 합니다.")
        digest = sha256("\n".join(example.text for example in examples).encode()).hexdigest()
        file = Path(folder, f"{digest[:16]}.npz") if folder else None
        if file and file.is_file():
            with np.load(file) as kept:
                return cls(kept["coefficients"], float(kept["intercept"]))
        from sklearn.linear_model import LogisticRegression

        learnt = LogisticRegression(C=8, max_iter=1000).fit(cls._features(map(review, examples)), polarities(examples))
        judge = cls(learnt.coef_[0].astype(np.float32), float(learnt.intercept_[0]))
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as unfinished, open(unfinished, "wb") as opened:
                np.savez(opened, coefficients=judge.coefficients, intercept=judge.intercept)
        return judge

    @classmethod
    def _features(cls, texts):
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(
            analyzer="char_wb", ngram_range=(1, 5), n_features=cls.FEATURES, binary=True, alternate_sign=False)
        return vectorizer.transform(texts)

    def says_positive(self, texts: Iterable[str]) -> np.ndarray:
        """Whether each of N texts is 긍정: (N,)."""
        return self._features(texts) @ self.coefficients + self.intercept > 0


def review(example: GenerationExample) -> str:
    """The text without its control word."""
    return example.text.removeprefix(example.control)


def polarities(examples: Iterable[GenerationExample]) -> np.ndarray:
    """Whether each of N examples is 긍정: (N,)."""
    return np.asarray([example.control.startswith("긍정") for example in examples])


def agreement(judge: PolarityJudge, word: str, written: Sequence[str], human: Sequence[str]) -> dict:
    """How many of the texts ``written`` after the control word ``word`` the judge takes for such, with the 95 % interval of their share,
    and how many of those that people wrote under that label.

    Raises:
        UserError: there are no human texts to compare with.
    """
    if not human:
        raise UserError(f"시험 리뷰 가운데 {word}이 하나도 없어 견줄 수 없습니다. --limit을 늘리세요.")
    counts = {}
    for name, texts in (("written", written), ("human", human)):
        counts |= {name: len(texts), f"{name}_right": int((judge.says_positive(texts) == (word == "긍정")).sum())}
    return counts | shares(counts)


def shares(counts: dict) -> dict:
    return {
        "accuracy": counts["written_right"] / counts["written"], "interval": wilson_interval(counts["written_right"], counts["written"]),
        "human_accuracy": counts["human_right"] / counts["human"]}


def pooled(control: dict[str, dict]) -> dict:
    """The :func:`agreement` of all control words together."""
    counts = {name: sum(each[name] for each in control.values()) for name in ("written", "written_right", "human", "human_right")}
    return counts | shares(counts)


def markdown(report: dict) -> str:
    """The figures of :func:`write_report` as a table in Korean, those of human reviews beside the model's."""
    control, model, human = report["control"], report["diversity"]["model"], report["diversity"]["human"]
    rows = [
        ("글자마다 비트", f"{report['bits_per_char']:.3f}", ""),
        ("토큰마다 내트", f"{report['nats_per_token']:.3f}", ""),
    ]
    for name in ("긍정", "부정", "둘 다"):
        share, (low, high) = control[name]["accuracy"], control[name]["interval"]
        label = "시킨 대로 판정된 몫" if name == "둘 다" else f"{name}을 시켜 {name}으로 판정된 몫"
        rows.append((label, f"{share:.1%} ({low:.1%}–{high:.1%})", f"{control[name]['human_accuracy']:.1%}"))
    rows += [(name, f"{model[key]:.3f}", f"{human[key]:.3f}") for key, name in (
        ("distinct_1", "distinct-1"), ("distinct_2", "distinct-2"), ("self_bleu", "self-BLEU"))]
    rows += [
        ("되풀이된 4음절", f"{model['repeated_4grams']:.1%}", f"{human['repeated_4grams']:.1%}"),
        ("평균 길이(음절)", f"{model['mean_syllables']:.1f}", f"{human['mean_syllables']:.1f}"),
        ("스스로 끝냄", f"{report['ended']:.1%}", ""),
        ("학습 리뷰와 똑같음", f"{model['verbatim']:.1%}", f"{human['verbatim']:.1%}"),
        (f"{LONG}음절 이상인 것 가운데", f"{model['verbatim_long']:.1%}", f"{human['verbatim_long']:.1%}"),
    ]
    return "\n".join(["| | 모델 | 사람 |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)])


def write_report(report: dict, folder: str | Path) -> None:
    """``report.json`` and ``report.md`` in ``folder``, each whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    samples = "\n".join(f"{number}. {text}" for number, text in enumerate(report["samples"], start=1))
    text = (f"# {report['model']}\n\n{report['corpus']}의 시험 리뷰 {report['reviews']:,}개로 쟀습니다. 괄호 안은 95% 신뢰 구간입니다.\n\n"
            f"```sh\n{report['command']}\n```\n\n{markdown(report)}\n\n## 처음 쓴 글들\n\n{samples}\n\n"
            f"시드 {report['seed']}, {', '.join(f'{name} {version}' for name, version in report['versions'].items())}\n")
    for name, content in (("report.json", json.dumps(report, ensure_ascii=False, indent=2) + "\n"), ("report.md", text)):
        with whole_file(folder / name) as unfinished:
            unfinished.write_text(content, encoding="utf-8")
