"""ROUGE against the numbers that were counted by hand, and against rouge-score with the same units."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from ratsnlp.nlpbook.evaluation.metrics import syllables
from ratsnlp.nlpbook.evaluation.rouge import Score, rouge, rouge_l, rouge_n, words


class Units(Tokenizer):
    def __init__(self, units):
        self.units = units

    def tokenize(self, text):
        return list(self.units(text))


SCORERS = {units: RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], tokenizer=Units(units))
           for units in (syllables, words)}
TEXTS = st.text(alphabet="가나다 a\n", max_size=24)


@pytest.mark.parametrize(("reference", "hypothesis", "units", "one", "two", "longest"), [
    ("나는 학교에 간다", "나는 학교에 갔다", syllables, (6 / 7, 6 / 7), (4 / 6, 4 / 6), (6 / 7, 6 / 7)),
    ("나는 학교에 간다", "나는 학교에 갔다", words, (2 / 3, 2 / 3), (1 / 2, 1 / 2), (2 / 3, 2 / 3)),
    ("영화가 정말 재미있었다", "영화는 재미있었다", syllables, (7 / 8, 7 / 10), (5 / 7, 5 / 9), (7 / 8, 7 / 10)),
    ("영화가 정말 재미있었다", "영화는 재미있었다", words, (1 / 2, 1 / 3), (0, 0), (1 / 2, 1 / 3)),
    ("내일 두 시에 회의를 한다", "회의는 내일 두 시에 시작한다", syllables, (9 / 12, 9 / 10), (6 / 11, 6 / 9),
     (7 / 12, 7 / 10)),
    ("내일 두 시에 회의를 한다", "회의는 내일 두 시에 시작한다", words, (3 / 5, 3 / 5), (2 / 4, 2 / 4), (3 / 5, 3 / 5)),
])
def test_precision_and_recall_by_hand(reference, hypothesis, units, one, two, longest):
    assert rouge_n(hypothesis, reference, 1, units)[:2] == pytest.approx(one)
    assert rouge_n(hypothesis, reference, 2, units)[:2] == pytest.approx(two)
    assert rouge_l(hypothesis, reference, units)[:2] == pytest.approx(longest)


def test_f1_is_the_harmonic_mean_and_hangul_counts_in_either_form():
    score = rouge_n("영화는 재미있었다", "영화가 정말 재미있었다", 1)
    assert score.f1 == pytest.approx(2 * 7 / 8 * 7 / 10 / (7 / 8 + 7 / 10))
    apart = unicodedata.normalize("NFD", "간다")  # as macOS writes it
    assert len(apart) == 5
    assert rouge_n(apart, "간다", 1).f1 == rouge_l(apart, "간다").f1 == rouge_n(apart, "간다", 1, words).f1 == 1
    assert RougeScorer(["rouge1"]).score("간다", "간다")["rouge1"].fmeasure == 0  # why this module is there


@pytest.mark.parametrize("units", [syllables, words])
@given(reference=TEXTS, hypothesis=TEXTS)
def test_the_scores_are_those_of_rouge_score(units, reference, hypothesis):
    told = SCORERS[units].score(reference, hypothesis)
    assert rouge_n(hypothesis, reference, 1, units) == pytest.approx(tuple(told["rouge1"]))
    assert rouge_n(hypothesis, reference, 2, units) == pytest.approx(tuple(told["rouge2"]))
    assert rouge_l(hypothesis, reference, units) == pytest.approx(tuple(told["rougeLsum"]))
    flat = SCORERS[units].score(reference.replace("\n", " "), hypothesis.replace("\n", " "))["rougeL"]
    assert rouge_l(hypothesis.replace("\n", " "), reference.replace("\n", " "), units) == pytest.approx(tuple(flat))


@given(references=st.lists(TEXTS, min_size=1, max_size=4), hypothesis=TEXTS)
def test_of_several_references_the_best_counts_as_in_rouge_score(references, hypothesis):
    told = SCORERS[syllables].score_multi(references, hypothesis)
    assert rouge_n(hypothesis, references, 2).f1 == pytest.approx(told["rouge2"].fmeasure)
    assert rouge_l(hypothesis, references).f1 == pytest.approx(told["rougeLsum"].fmeasure)


def test_lines_are_sentences_whose_order_does_not_count():
    assert rouge_l("나는 먹었다\n너는 잤다", "너는 잤다\n나는 먹었다").f1 == 1
    assert rouge_l("나는 먹었다 너는 잤다", "너는 잤다 나는 먹었다").f1 < 0.7


def test_the_mean_over_pairs():
    told = rouge(["간다", "온다"], ["간다", ["본다", "간다"]])
    assert told["rouge1"] == pytest.approx(Score(3 / 4, 3 / 4, 3 / 4))
    assert told["rouge2"] == pytest.approx(Score(1 / 2, 1 / 2, 1 / 2))
    assert list(told) == ["rouge1", "rouge2", "rougeL"]
    with pytest.raises(ValueError, match="no texts"):
        rouge([], [])
    with pytest.raises(ValueError, match="zip"):
        rouge(["간다"], [])
    assert rouge_n("", "간다", 1) == rouge_l("간다", "") == Score(0, 0, 0)
