"""ROUGE: how much of a reference text another text holds. Hangul counts.

Source: Lin (2004), "ROUGE: A package for automatic evaluation of summaries". rouge-score 0.1.2, whose own tokenizer
keeps a-z and 0-9 alone, gives the same numbers when it is handed the same units.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..text_files import compose
from .metrics import syllables

Units = Callable[[str], Sequence[str]]  # what is counted of a text: :func:`syllables`, :func:`words`, or one's own


class Score(NamedTuple):
    """``precision``: the share of the hypothesis that the reference holds; ``recall``: the share of the reference that
    the hypothesis holds; ``f1``: their harmonic mean. Each is 0 where there is nothing to count."""

    precision: float
    recall: float
    f1: float


def words(text: str) -> list[str]:
    """What stands between white space."""
    return compose(text).split()


def rouge_n(hypothesis: str, references: str | Sequence[str], n: int, units: Units = syllables) -> Score:
    """ROUGE-N: the n-grams of units that ``hypothesis`` shares with a reference, each as often as it stands in both.

    Of several references the one with the highest F1 counts, as in rouge-score; Lin (2004) takes the best one too, and
    averages over all sets that leave one reference out.
    """
    def against(reference: str) -> Score:
        wanted = _ngrams(units(reference), n)
        return _score((written & wanted).total(), written.total(), wanted.total())

    written = _ngrams(units(hypothesis), n)
    return _best(against, references)


def rouge_l(hypothesis: str, references: str | Sequence[str], units: Units = syllables) -> Score:
    """ROUGE-L: the longest common subsequence of units. Lines are sentences: of each in the reference those units count
    that are common with any in ``hypothesis`` (ROUGE-Lsum in rouge-score; for one line both are the same).

    Of several references the one with the highest F1 counts, as in :func:`rouge_n`.
    """
    def against(reference: str) -> Score:
        wanted = [units(line) for line in reference.split("\n")]
        there, left = Counter(), Counter()  # how often a unit may still be matched
        for line in written:
            there.update(line)
        for line in wanted:
            left.update(line)
        sizes, matched = (there.total(), left.total()), 0
        for line in wanted:
            places = set().union(*(_common(line, other) for other in written))
            for unit in (line[place] for place in sorted(places)):
                if there[unit] > 0 and left[unit] > 0:
                    matched, there[unit], left[unit] = matched + 1, there[unit] - 1, left[unit] - 1
        return _score(matched, *sizes)

    written = [units(line) for line in hypothesis.split("\n")]
    return _best(against, references)


def rouge(hypotheses: Sequence[str], references: Sequence[str | Sequence[str]],
          units: Units = syllables) -> dict[str, Score]:
    """``rouge1``, ``rouge2`` and ``rougeL`` of pairs of texts, each the mean over the pairs.

    Raises:
        ValueError: there are no pairs, or not as many hypotheses as references.
    """
    pairs = list(zip(hypotheses, references, strict=True))
    if not pairs:
        raise ValueError("no texts")
    scores = {
        "rouge1": [rouge_n(*pair, 1, units) for pair in pairs], "rouge2": [rouge_n(*pair, 2, units) for pair in pairs],
        "rougeL": [rouge_l(*pair, units) for pair in pairs]}
    return {name: Score(*(sum(column) / len(pairs) for column in zip(*each, strict=True)))
            for name, each in scores.items()}


def _ngrams(units: Sequence[str], n: int) -> Counter:
    return Counter(tuple(units[start : start + n]) for start in range(len(units) - n + 1))


def _score(matched: int, written: int, wanted: int) -> Score:
    precision, recall = matched / max(written, 1), matched / max(wanted, 1)
    return Score(precision, recall, 2 * precision * recall / (precision + recall) if matched else 0.0)


def _best(against: Callable[[str], Score], references: str | Sequence[str]) -> Score:
    references = [references] if isinstance(references, str) else references
    return max(map(against, references), key=lambda score: score.f1)


def _common(reference: Sequence[str], hypothesis: Sequence[str]) -> list[int]:
    """The places in ``reference`` of a longest common subsequence; of several such, the one that rouge-score takes.

    Bit ``i`` of ``rows[j]`` is 0 where unit ``i`` makes the subsequence with the first ``j`` units of ``hypothesis``
    longer: a whole row in a few operations. Source: Hyyrö (2004), "Bit-parallel LCS-length computation revisited".
    """
    where: dict[str, int] = {}
    for place, unit in enumerate(reference):
        where[unit] = where.get(unit, 0) | 1 << place
    rows = [-1]
    for unit in hypothesis:
        match = rows[-1] & where.get(unit, 0)
        rows.append((rows[-1] + match) | (rows[-1] - match))
    places, i, j = [], len(reference), len(hypothesis)
    while i and j:
        if reference[i - 1] == hypothesis[j - 1]:
            places.append(i - 1)
            i, j = i - 1, j - 1
        elif rows[j] >> (i - 1) & 1:
            i -= 1
        else:
            j -= 1
    return places
