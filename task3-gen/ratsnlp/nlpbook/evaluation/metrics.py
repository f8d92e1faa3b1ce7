"""How close a model's texts are to real ones: figures counted in Hangul syllables."""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

LONG = 10  # syllables: people hardly ever write a review of this length twice


def syllables(text: str) -> str:
    """``text`` without white space, each Hangul syllable one character: the units that the figures below count."""
    return "".join(unicodedata.normalize("NFC", text).split())


def ngrams(text: str, n: int) -> list[str]:
    units = syllables(text)
    return [units[start : start + n] for start in range(len(units) - n + 1)]


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams of syllables over all n-grams of all ``texts``. Compare it only between equally many texts.

    Source: Li et al. (2016), "A diversity-promoting objective function for neural conversation models", section 5.2.
    """
    counted = Counter(ngram for text in texts for ngram in ngrams(text, n))
    return len(counted) / max(counted.total(), 1)


def repeated(texts: Sequence[str], n: int = 4) -> float:
    """The share of n-grams of syllables that occurred earlier in the same text, over all ``texts`` together.

    Source: Welleck et al. (2020), "Neural text generation with unlikelihood training", section 6.1.
    """
    grams = [ngrams(text, n) for text in texts]
    return 1 - sum(len(set(each)) for each in grams) / max(sum(map(len, grams)), 1)


def self_bleu(texts: Sequence[str], n: int = 4) -> float:
    """The mean BLEU of each text against all the others, over n-grams of syllables up to ``n``:
    high where texts are alike.

    An n-gram that matches nothing counts 0.1; texts with fewer than ``n`` syllables are left out as hypotheses.
    Sources: Zhu et al. (2018), "Texygen"; Papineni et al. (2002), "BLEU"; Chen & Cherry (2014), smoothing 1.
    """
    counts = [[Counter(ngrams(text, size)) for size in range(1, n + 1)] for text in texts]
    lengths = np.asarray([len(syllables(text)) for text in texts])
    # What clips a count is the highest among the *other* texts: the highest of all,
    # or the second where the text holds that itself.
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
    """The share of the ``texts`` of ``least`` syllables or more that ``training`` contains, white space aside.

    People often write the same short review, like "굿". Copies of long reviews show that a model has memorized them.
    """
    known = {syllables(text) for text in training}
    judged = [text for text in map(syllables, texts) if len(text) >= least]
    return sum(text in known for text in judged) / max(len(judged), 1)


def diversity(texts: Sequence[str], training: Iterable[str]) -> dict[str, float]:
    """All figures above for ``texts``, and their mean length in syllables."""
    return {
        "distinct_1": distinct(texts, 1), "distinct_2": distinct(texts, 2), "repeated_4grams": repeated(texts, 4),
        "self_bleu": self_bleu(texts), "mean_syllables": sum(map(len, map(syllables, texts))) / max(len(texts), 1),
        "verbatim": verbatim(texts, training), "verbatim_long": verbatim(texts, training, LONG)}


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval that holds a share with 95 % confidence. Source: Wilson (1927);
    Brown, Cai & DasGupta (2001), section 3.1.1."""
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return centre - half, centre + half


def difference_interval(successes: int, trials: int, others: int, other_trials: int,
                        z: float = 1.959964) -> tuple[float, float]:
    """The interval that holds the difference of two independent shares, the first minus the other, with 95 %
    confidence. Source: Newcombe (1998), "Interval estimation for the difference between independent proportions",
    method 10."""
    low, high = wilson_interval(successes, trials, z)
    other_low, other_high = wilson_interval(others, other_trials, z)
    share, other = successes / max(trials, 1), others / max(other_trials, 1)
    return (share - other - math.hypot(share - low, other_high - other),
            share - other + math.hypot(high - share, other - other_low))


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of N independent values, and the interval that holds the mean of all there could be with 95 %
    confidence: Student's t, N - 1 degrees of freedom. For fewer than two values the interval has no bounds."""
    values = np.asarray(values, dtype=float)
    mean = float(values.mean()) if len(values) else math.nan
    if len(values) < 2:
        return mean, -math.inf, math.inf
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half
