import math
import re

import numpy as np
import pytest
import torch

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.evaluation.agreement import agreement, combined_agreement
from ratsnlp.nlpbook.evaluation.bits import bits_per_character
from ratsnlp.nlpbook.evaluation.metrics import (
    distinct,
    diversity,
    repeated,
    self_bleu,
    syllables,
    verbatim,
    wilson_interval,
)
from ratsnlp.nlpbook.generation import GenerationExample, NsmcCorpus, PolarityJudge, load_pretrained, sample_texts
from ratsnlp.nlpbook.generation.judge import polarities
from ratsnlp.nlpbook.paths import BUNDLED_DATA


def test_syllables_are_characters_without_white_space():
    assert syllables(" 한 글\tab\n") == "한글ab"
    assert syllables("한") == "한"


def test_distinct_counts_different_ngrams_over_all_of_them():
    assert distinct(["가나가", "나다"], 1) == 3 / 5  # 가 나 다
    assert distinct(["가나가", "나다"], 2) == 3 / 3  # 가나 나가 나다
    assert distinct(["가나", "가 나"], 2) == 1 / 2
    assert distinct(["가"], 2) == 0


def test_repeated_is_within_a_text():
    assert repeated(["ㅋㅋㅋㅋㅋㅋ"], 4) == pytest.approx(2 / 3)  # one of three is new
    assert repeated(["가나다라", "가나다라"], 4) == 0
    # 가나다라 twice among 5, and one more.
    assert repeated(["가나다라 가나다라", "마바사아"], 4) == pytest.approx(1 / 6)


def test_self_bleu_by_hand():
    assert self_bleu(["가나다라마"] * 3) == pytest.approx(1)
    # 가나다라 against 가나다마: 3/4, 2/3, 1/2, and nothing (0.1) of 1; equally long.
    assert self_bleu(["가나다라", "가나다마"]) == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** 0.25)
    # A count is clipped at the highest among the others: 가 stands four times here, twice there.
    clipped = (2 / 4 * 1 / 3 * 0.1 / 2 * 0.1 / 1) ** 0.25
    other = (2 / 4 * 1 / 3 * 0.1 / 2 * 0.1 / 1) ** 0.25
    assert self_bleu(["가가가가", "가가나다"]) == pytest.approx((clipped + other) / 2)
    # Shorter than the closest of the others: the brevity penalty exp(1 - 5/4).
    long = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert self_bleu(["가나다라", "가나다라마"]) == pytest.approx((math.exp(1 - 5 / 4) + long) / 2)
    # 가나 is too short to be judged.
    assert self_bleu(["가나", "가나다라"]) == pytest.approx((2 / 4 * 1 / 3 * 0.1 / 2 * 0.1) ** 0.25)


def test_verbatim_copies_are_found_whatever_their_spaces():
    assert verbatim(["재미 있다", "재미없다", "또 보자"], ["재미있다 ", "또 보자고"]) == 1 / 3
    assert verbatim(["굿", "재미 있다", "재미없네"], ["굿", "재미있다"], least=4) == 1 / 2
    assert verbatim(["굿"], ["굿"], least=4) == 0  # none is so long


def test_wilsons_interval():
    low, high = wilson_interval(8, 10)  # Agresti & Coull's textbook case
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert wilson_interval(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson_interval(10, 10)[1] == pytest.approx(1)


POSITIVE, NEGATIVE = ["정말 재미있다", "재미있는 영화", "참 재미있네"], ["너무 지루하다", "지루한 영화", "참 지루하네"]
EXAMPLES = [GenerationExample(f"{word} {text}", f"{word} ")
            for word, texts in (("긍정", POSITIVE), ("부정", NEGATIVE)) for text in texts]


def test_the_judge_learns_what_tells_the_kinds_apart_and_is_kept(tmp_path, monkeypatch):
    judge = PolarityJudge.fit(EXAMPLES, tmp_path / "판정")
    assert judge.says_positive(["아주 재미있어요", "지루해요", ""]).tolist()[:2] == [True, False]
    (file,) = (tmp_path / "판정").iterdir()
    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", None)  # what is kept is not learnt again
    kept = PolarityJudge.fit(EXAMPLES, tmp_path / "판정")
    assert np.array_equal(kept.coefficients, judge.coefficients)
    assert kept.intercept == judge.intercept
    with pytest.raises(TypeError):
        PolarityJudge.fit(EXAMPLES[:-1], tmp_path / "판정")  # other examples
    with pytest.raises(UserError, match="모두 있어야"):
        PolarityJudge.fit(EXAMPLES[:3])


def test_agreement_is_counted_per_word_and_together():
    judge = PolarityJudge.fit(EXAMPLES)
    positive = agreement(judge, "긍정", ["재미있다", "지루하다", "재미있네", "재미있는"], POSITIVE)
    negative = agreement(judge, "부정", ["지루하다", "지루한"], [*NEGATIVE, "재미있다"])
    assert (positive["accuracy"], positive["human_accuracy"]) == (3 / 4, 1)
    assert positive["interval"] == wilson_interval(3, 4)
    assert (negative["accuracy"], negative["human_accuracy"]) == (1, 3 / 4)
    both = combined_agreement({"긍정": positive, "부정": negative})
    assert (both["accuracy"], both["human_accuracy"]) == (5 / 6, 6 / 7)
    assert both["interval"] == wilson_interval(5, 6)
    with pytest.raises(UserError, match="부정 리뷰가 하나도 없어"):
        agreement(judge, "부정", ["지루하다"], [])


def test_bits_are_those_of_the_tokens_after_the_control_word_and_one_eos(tiny_folder):
    """Against the model's own probabilities, text by text; the long text does not fit its positions and is counted
    whole."""
    model, tokenizer = load_pretrained(str(tiny_folder))
    texts = [("긍정 ", "재미있어요"), ("부정 ", "별로예요 ㅠㅠ 다시는 안 봅니다"), ("긍정 ", "정말 좋은 영화 " * 60)]
    examples = [GenerationExample(control + text, control) for control, text in texts]
    told = bits_per_character(model, tokenizer, examples, batch_size=2)
    width, nats, tokens = model.config.n_positions, 0.0, 0
    for control, text in texts:
        ids = [*tokenizer.encode(control + text), tokenizer.eos_token_id]
        begin = len(tokenizer.encode(control.strip()))
        assert tokenizer.encode(control + text)[:begin] == tokenizer.encode(control.strip())
        for start in range(0, len(ids) - 1, width - 1):
            window = torch.tensor(ids[start : start + width])
            with torch.no_grad():
                scores = model(window[None]).logits[0].log_softmax(-1)
            for place in range(1, len(window)):
                if start + place >= begin:
                    nats, tokens = nats - float(scores[place - 1, window[place]]), tokens + 1
    characters = sum(len(text) for _, text in texts)
    assert len(ids) > width
    assert told["tokens"] == tokens
    assert told["characters"] == characters
    assert told["nats_per_token"] == pytest.approx(nats / tokens, rel=1e-5)
    assert told["bits_per_char"] == pytest.approx(nats / math.log(2) / characters, rel=1e-5)


def test_samples_are_seeded_and_leave_the_random_state_alone(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    before = torch.get_rng_state()
    first = sample_texts(model, tokenizer, "긍정", 7, seed=3, max_new_tokens=12, batch_size=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == sample_texts(model, tokenizer, "긍정", 7, seed=3, max_new_tokens=12, batch_size=4)
    assert first != sample_texts(model, tokenizer, "긍정", 7, seed=4, max_new_tokens=12, batch_size=4)
    assert len(first) == 7
    assert not any(sample.text.startswith("긍정") for sample in first)


def test_a_model_that_ends_at_once_is_said_to(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    with torch.no_grad():  # eos is the likeliest whatever went before
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(1e5 * model.transformer.wte.weight[tokenizer.eos_token_id])
    samples = sample_texts(model, tokenizer, "긍정", 3, seed=0)
    assert [(sample.text, sample.ended) for sample in samples] == [("", True)] * 3


def test_diversity_has_every_figure():
    assert diversity(["가나다라마"], ["가나다라마"]) == {
        "distinct_1": 1, "distinct_2": 1, "repeated_4grams": 0, "self_bleu": 0, "mean_syllables": 5, "verbatim": 1,
        "verbatim_long": 0}


def test_the_bundled_judge_is_small_and_as_good_as_it_says(nsmc):
    folder = BUNDLED_DATA / "judge"
    assert (folder / "judge.npz").stat().st_size < 200_000
    judge = PolarityJudge.load(folder / "judge.npz")
    plain = ["정말 최고예요 강추", "돈 아깝다 최악", "감동적인 명작", "지루하고 재미없다"]
    assert judge.says_positive(plain).tolist() == [True, False, True, False]
    (said,) = re.findall(r"([\d.]+)%", (folder / "README.md").read_text(encoding="utf-8"))
    test = NsmcCorpus().get_examples(nsmc, "test")
    right = judge.says_positive(example.own_text for example in test) == polarities(test)
    assert f"{right.mean():.1%}" == f"{said}%"
