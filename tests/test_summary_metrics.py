"""Metrics of summaries against numbers counted by hand, and against rouge-score and sacrebleu."""

import subprocess
import sys
import unicodedata

import pytest
from helpers import SCRIPTS
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics import CHRF

from ratsnlp.nlpbook.display import width
from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.evaluation import summaries
from ratsnlp.nlpbook.evaluation.rouge import words
from ratsnlp.nlpbook.evaluation.summaries import (
    baselines,
    first_turn,
    longest_turn,
    metrics_table,
    morpheme_units,
    summary_metrics,
    summary_units,
)

ROUGE = ("rouge1", "rouge2", "rougeL", "rouge_sum")
KEYS = [*ROUGE, *(f"{name}_word" for name in ROUGE), "chrf", "exact", "syllables", "reference_syllables"]
PAIRS = [  # reference, written
    ("나는 학교에 간다", "나는 학교에 갔다"), ("영화가 정말 재미있었다", "영화는 재미있었다"),
    ("내일 두 시에 회의를 한다", "회의는 내일 두 시에 시작한다")]
DIALOGUE = "#Person1#: 몇 시에 볼까?\n#Person2#: 나는 #DateAndTime#: 그때가 좋아, 너는 어때?\n#Person1#: 응"
TEXTS = st.lists(st.sampled_from([*"가나다 a", "#Person1#", "#Person2#"]), max_size=16).map("".join)


class Units(Tokenizer):
    def __init__(self, units):
        self.units = units

    def tokenize(self, text):
        return list(self.units(text))


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def with_sum(figures: dict[str, float], suffix: str = "") -> dict[str, float]:
    return {f"{name}{suffix}": value for name, value in (figures | {"rouge_sum": sum(figures.values())}).items()}


@pytest.mark.parametrize(("pair", "syllable", "word", "chrf"), [
    (PAIRS[0], [(6 / 7, 6 / 7), (4 / 6, 4 / 6), (6 / 7, 6 / 7)], [(2 / 3, 2 / 3), (1 / 2, 1 / 2), (2 / 3, 2 / 3)],
     49.29),
    (PAIRS[1], [(7 / 8, 7 / 10), (5 / 7, 5 / 9), (7 / 8, 7 / 10)], [(1 / 2, 1 / 3), (0, 0), (1 / 2, 1 / 3)], 36.46),
    (PAIRS[2], [(9 / 12, 9 / 10), (6 / 11, 6 / 9), (7 / 12, 7 / 10)], [(3 / 5, 3 / 5), (2 / 4, 2 / 4), (3 / 5, 3 / 5)],
     38.13)])
def test_what_is_counted_by_hand(pair, syllable, word, chrf):
    told = summary_metrics([pair[1]], [[pair[0]]])
    assert list(told) == KEYS
    expected = (with_sum({name: f1(*each) for name, each in zip(ROUGE, syllable, strict=False)})
                | with_sum({name: f1(*each) for name, each in zip(ROUGE, word, strict=False)}, "_word"))
    assert {name: told[name] for name in expected} == pytest.approx(expected)
    assert told["chrf"] == pytest.approx(chrf, abs=0.005)  # of one text, the corpus' is the sentence's
    assert told["exact"] == 0
    assert (told["reference_syllables"], told["syllables"]) == tuple(len(text.replace(" ", "")) for text in pair)


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), min_size=1, max_size=3))
def test_the_figures_are_those_of_rouge_score_and_sacrebleu(pairs):
    written, references = map(list, zip(*pairs, strict=True))
    told = summary_metrics(written, references)
    for suffix, units in (("", summary_units), ("_word", words)):
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Units(units))
        each = [scorer.score_multi(known, text) for text, known in pairs]
        expected = with_sum({name: sum(one[name].fmeasure for one in each) / len(each) for name in ROUGE[:3]}, suffix)
        assert {name: told[name] for name in expected} == pytest.approx(expected)
    alike = [[*known, *known[:1] * (3 - len(known))] for known in references]  # a reference twice changes nothing
    chrf = CHRF().corpus_score(written, [list(column) for column in zip(*alike, strict=True)])
    assert told["chrf"] == pytest.approx(chrf.score)


def test_of_several_references_the_best_counts_and_texts_need_not_have_equally_many():
    told = summary_metrics(["간다", "온다"], [["간다"], ["먹는다", "온다", "잔다"]])
    assert told["rouge_sum"] == pytest.approx(3)
    assert told["rouge_sum_word"] == pytest.approx(2)  # one word has no pair of words
    assert told["chrf"] == pytest.approx(100)
    assert (told["exact"], told["syllables"], told["reference_syllables"]) == (1, 2, (2 + 7 / 3) / 2)
    assert summary_metrics(["간다"], ["간다"]) == summary_metrics(["간다"], [["간다"]])  # not a reference per letter


def test_a_placeholder_is_one_unit():
    assert summary_units("#Person1#은 #CarNumber#를 #찾는다 #1#") == [
        "#Person1#", "은", "#CarNumber#", "를", *"#찾는다", *"#1#"]
    told = summary_metrics(["#Person2#는 간다"], [["#Person1#은 간다"]])
    assert told["rouge1"] == pytest.approx(2 / 4)
    assert told["syllables"] == told["reference_syllables"] == 4


def test_exact_leaves_white_space_and_the_form_of_hangul_aside():
    apart = unicodedata.normalize("NFD", " 그는 간 다\n")  # as macOS writes it
    told = summary_metrics([apart, "그는 온다"], [["그는 간다"], ["그는 간다"]])
    assert told["exact"] == 1 / 2
    same = summary_metrics([unicodedata.normalize("NFD", "그는 간다")], [["그는 간다"]])
    assert (same["rouge1"], same["rouge1_word"], same["chrf"]) == (1, 1, 100)


def test_a_summary_with_nothing_in_it_scores_nothing():
    told = summary_metrics(["", " "], [["간다"], ["온다", "간다"]])
    assert told.pop("reference_syllables") == 2
    assert set(told.values()) == {0}


@pytest.mark.parametrize(("written", "references", "said"), [
    ([], [], "no texts"), (["간다"], [], "zip"), (["간다"], [[]], "no reference")])
def test_texts_and_references_must_fit(written, references, said):
    with pytest.raises(ValueError, match=said):
        summary_metrics(written, references)


def test_the_turns_that_are_summaries_without_a_model():
    assert first_turn(DIALOGUE) == "몇 시에 볼까?"
    assert longest_turn(DIALOGUE) == "나는 #DateAndTime#: 그때가 좋아, 너는 어때?"
    assert longest_turn("#Person1#: 하나 둘\n#Person2#: #PhoneNumber#\n#Person1#: 셋 넷다") == "하나 둘"  # 3, 1, 3
    assert first_turn("\r\n#Person1#:네\r\n") == longest_turn("네") == "네"
    assert first_turn("") == longest_turn("\n") == ""
    told = baselines([DIALOGUE, "#Person1#: 간다"], [["몇 시에 볼까?"], ["간다"]])
    assert list(told) == ["first_turn", "longest_turn"]
    assert told["first_turn"]["exact"] == 1
    assert told["longest_turn"] == summary_metrics([longest_turn(DIALOGUE), "간다"], [["몇 시에 볼까?"], ["간다"]])


def test_the_table_is_korean_and_fits_a_wall():
    model = summary_metrics(["나는 학교에 갔다"], [["나는 학교에 간다"]])
    longest = {name: 100.0 for name in model} | {"exact": 1.0}
    rows = {"모델": model, "first_turn": model, "longest_turn": longest}
    shown = metrics_table(rows)
    syllable, word = (block.splitlines() for block in shown.split("\n\n"))
    assert syllable[0].split() == ["음절", "ROUGE-1", "ROUGE-2", "ROUGE-L", "합", "chrF", "정확히", "일치",
                                   "음절", "수", "참조의", "음절", "수"]
    assert syllable[1].split() == ["모델", "0.857", "0.667", "0.857", "2.381", "49.3", "0.0%", "7.0", "7.0"]
    assert word[1].split() == ["모델", "0.667", "0.500", "0.667", "1.833"]
    assert [line.split("  ")[0] for line in word] == ["어절", "모델", "첫 발화", "가장 긴 발화"]
    assert max(map(width, shown.splitlines())) <= 100
    both = metrics_table(rows | {"형태소까지": model | {f"{name}_morpheme": 0.5 for name in ROUGE}})
    assert [line.split()[0] for line in both.split("\n\n")[2].splitlines()] == ["형태소", "형태소까지"]


def test_nothing_is_imported_before_it_is_needed():
    code = (f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import ratsnlp.nlpbook.evaluation.summaries; "
            "print(*{'sacrebleu', 'kiwipiepy', 'torch'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_morphemes_without_kiwi_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    summaries._kiwi.cache_clear()
    with pytest.raises(UserError, match="^morphemes: .*python -m pip install -r requirements-morphemes.txt"):
        summary_metrics(["간다"], [["간다"]], morphemes=True)


@pytest.mark.parametrize(("pair", "expected"), [
    (PAIRS[0], [(5 / 7, 5 / 6), (4 / 6, 4 / 5), (5 / 7, 5 / 6)]),
    (PAIRS[1], [(4 / 5, 4 / 6), (2 / 4, 2 / 5), (4 / 5, 4 / 6)]),
    (PAIRS[2], [(7 / 9, 7 / 8), (4 / 8, 4 / 7), (6 / 9, 6 / 8)])])
def test_morphemes_by_hand(pair, expected):
    needs_kiwi()
    told = summary_metrics([pair[1]], [[pair[0]]], morphemes=True)
    assert list(told) == [*KEYS, *(f"{name}_morpheme" for name in ROUGE)]
    by_hand = with_sum({name: f1(*each) for name, each in zip(ROUGE, expected, strict=False)}, "_morpheme")
    assert {name: told[name] for name in by_hand} == pytest.approx(by_hand)
    assert {name: told[name] for name in KEYS} == summary_metrics([pair[1]], [[pair[0]]])
    assert "형태소" in metrics_table({"모델": told})


def test_kiwi_keeps_a_placeholder_and_what_follows_it_apart():
    needs_kiwi()
    assert morpheme_units("#Person1#은 #PhoneNumber#로 전화한다.") == [
        "#Person1#", "은", "#PhoneNumber#", "로", "전화", "하", "ᆫ다", "."]
    assert morpheme_units("") == []
    told = baselines([DIALOGUE], [["몇 시에 볼까?"]], morphemes=True)
    assert told["first_turn"]["rouge_sum_morpheme"] == pytest.approx(3)


def needs_kiwi():
    pytest.importorskip("kiwipiepy", reason="kiwipiepy가 없습니다: pip install -r requirements-morphemes.txt")
