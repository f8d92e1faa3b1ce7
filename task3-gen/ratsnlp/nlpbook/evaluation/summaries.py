"""How close summaries are to those that people wrote, and how close one comes without any model.

A placeholder of personal data or of a speaker (``#PhoneNumber#``, ``#Person1#``) is one unit, however it is spelled: a
wrong speaker costs as much as a wrong syllable. Counted by its letters, a text would earn nine units for the mere
``#Person1#``, and keep eight of them for ``#Person2#`` in its place. chrF alone counts letters, as sacrebleu does for
everyone.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from statistics import fmean

from ..display import table
from ..errors import UserError
from ..text_files import compose
from .metrics import syllables
from .rouge import Units, rouge, words

_PLACEHOLDER = re.compile(r"#[A-Za-z]+\d*#")
_UNIT = re.compile(rf"{_PLACEHOLDER.pattern}|\S")
_SPEAKER = re.compile(rf"^{_PLACEHOLDER.pattern}\s*:\s*")
_UNITS = {"": "음절", "_word": "어절", "_morpheme": "형태소"}
_ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rouge_sum": "합"}
_OTHERS = {"chrf": ("chrF", ".1f"), "exact": ("정확히 일치", ".1%"), "syllables": ("음절 수", ".1f"),
           "reference_syllables": ("참조의 음절 수", ".1f")}
METRICS = (*_ROUGE, *(f"{name}_word" for name in _ROUGE), *_OTHERS)  # what is computed without morphemes
_ROWS = {"model": "모델", "first_turn": "첫 발화", "longest_turn": "가장 긴 발화"}


def summary_units(text: str) -> list[str]:
    """The Hangul syllables and other characters of ``text``, without white space; a placeholder is one of them."""
    return _UNIT.findall(compose(text))


def morpheme_units(text: str) -> list[str]:
    """The forms of the morphemes of ``text``, by Kiwi (``간다``: ``가``, ``ᆫ다``); a placeholder is one of them.

    Raises:
        UserError: kiwipiepy is not installed.
    """
    text = compose(text)
    placeholders = [(*match.span(), "NNP") for match in _PLACEHOLDER.finditer(text)]
    return [token.form for token in _kiwi().tokenize(text, pretokenized=placeholders)]


@cache
def _kiwi():
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise UserError("morphemes: kiwipiepy가 설치되어 있지 않습니다. "
                        "python -m pip install -r requirements-morphemes.txt로 설치하세요.") from error
    return Kiwi()


def summary_metrics(written: Sequence[str], references: Sequence[Sequence[str]],
                    morphemes: bool = False) -> dict[str, float]:
    """Figures of summaries against one or more references of each.

    ``rouge1`` ``rouge2`` ``rougeL``: F1 over :func:`summary_units`, 0 to 1, the mean over the texts; ``rouge_sum``:
    their sum, 0 to 3. The same with ``_word`` over what stands between white space and, if ``morphemes``, with
    ``_morpheme`` over :func:`morpheme_units`. ``chrf``: sacrebleu's of the whole corpus, 0 to 100. ``exact``: the share
    of texts that equal a reference, white space aside. ``syllables`` and ``reference_syllables``: mean lengths in
    :func:`summary_units`. Of several references the one with the highest F1 counts, for each figure on its own.

    Raises:
        UserError: ``morphemes``, and kiwipiepy is not installed.
        ValueError: there are no texts, not as many as references, or one has no reference.
    """
    from sacrebleu.metrics import CHRF

    references = [[each] if isinstance(each, str) else list(each) for each in references]
    if not all(references):
        raise ValueError("a text has no reference")

    def rouges(units: Units, suffix: str = "") -> dict[str, float]:
        scores = {name: score.f1 for name, score in rouge(written, references, units).items()}
        scores["rouge_sum"] = sum(scores.values())
        return {f"{name}{suffix}": score for name, score in scores.items()}

    figures = rouges(summary_units) | rouges(words, "_word")
    columns = zip_longest(*(map(compose, each) for each in references))  # None where a text has fewer than others
    figures["chrf"] = CHRF().corpus_score(list(map(compose, written)), list(columns)).score
    figures["exact"] = fmean(syllables(text) in map(syllables, each)
                             for text, each in zip(written, references, strict=True))
    figures["syllables"] = fmean(len(summary_units(text)) for text in written)
    figures["reference_syllables"] = fmean(fmean(len(summary_units(text)) for text in each) for each in references)
    # Kiwi takes longer than all else, and each ROUGE asks anew: hence the cache.
    return figures | (rouges(cache(morpheme_units), "_morpheme") if morphemes else {})


def first_turn(dialogue: str) -> str:
    """What is said first, without the speaker: a summary without any model."""
    return next(iter(_turns(dialogue)), "")


def longest_turn(dialogue: str) -> str:
    """The longest turn in :func:`summary_units`, the first of several, without the speaker."""
    return max(_turns(dialogue), key=lambda turn: len(summary_units(turn)), default="")


def baselines(dialogues: Sequence[str], references: Sequence[Sequence[str]],
              morphemes: bool = False) -> dict[str, dict[str, float]]:
    """:func:`summary_metrics` of :func:`first_turn` and :func:`longest_turn`, by their names."""
    return {turn.__name__: summary_metrics(list(map(turn, dialogues)), references, morphemes)
            for turn in (first_turn, longest_turn)}


def metrics_table(rows: dict[str, dict[str, float]]) -> str:
    """Figures of :func:`summary_metrics` in lines of at most 100 columns, one block for each kind of unit. A baseline's
    name is translated, every other one shown as it is; the block of morphemes has those rows that have counted them."""
    blocks = []
    for suffix, unit in _UNITS.items():
        others = {} if suffix else _OTHERS
        block = [[unit, *_ROUGE.values(), *(heading for heading, _ in others.values())]]
        block += [
            [_ROWS.get(name, name), *(f"{row[figure + suffix]:.3f}" for figure in _ROUGE),
             *(format(row[figure], spec) for figure, (_, spec) in others.items())]
            for name, row in rows.items() if f"rouge1{suffix}" in row]
        blocks += [table(block)] if block[1:] else []
    return "\n\n".join(blocks)


def _turns(dialogue: str) -> list[str]:
    """The lines of ``dialogue`` that say something, each without the speaker before its colon."""
    lines = (_SPEAKER.sub("", line.strip(), count=1) for line in dialogue.splitlines())
    return [line for line in lines if line]
