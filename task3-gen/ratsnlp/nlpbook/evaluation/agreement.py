"""How often the judge finds in a text the control word that the model was given."""

from collections.abc import Iterable, Sequence

from ..errors import UserError
from ..generation.features import GenerationExample
from ..generation.judge import PolarityJudge
from .metrics import wilson_interval


def reviews_by_word(examples: Iterable[GenerationExample], words: Sequence[str]) -> dict[str, list[str]]:
    """The texts of each control word, without it.

    Raises:
        UserError: a word has no review to compare with.
    """
    found = {word: [example.own_text for example in examples if example.control.startswith(word)] for word in words}
    for word, texts in found.items():
        if not texts:
            raise UserError(f"테스트 리뷰에 {word} 리뷰가 하나도 없어 비교할 수 없습니다. --limit을 늘리세요.")
    return found


def agreement(judge: PolarityJudge, word: str, written: Sequence[str], human: Sequence[str]) -> dict:
    """Count the texts ``written`` after the control word ``word`` that the judge classifies as ``word``, with the
    95 % interval of their share, and the reviews with that label that people wrote (``human``).

    Raises:
        UserError: there are no human texts to compare with.
    """
    if not human:
        raise UserError(f"테스트 리뷰에 {word} 리뷰가 하나도 없어 비교할 수 없습니다. --limit을 늘리세요.")
    counts = {}
    for name, texts in (("written", written), ("human", human)):
        counts |= {name: len(texts), f"{name}_right": int((judge.says_positive(texts) == (word == "긍정")).sum())}
    return counts | _shares(counts)


def _shares(counts: dict) -> dict:
    return {
        "accuracy": counts["written_right"] / counts["written"],
        "interval": wilson_interval(counts["written_right"], counts["written"]),
        "human_accuracy": counts["human_right"] / counts["human"]}


def combined_agreement(control: dict[str, dict]) -> dict:
    """The :func:`agreement` of all control words together."""
    counts = {
        name: sum(each[name] for each in control.values())
        for name in ("written", "written_right", "human", "human_right")}
    return counts | _shares(counts)
