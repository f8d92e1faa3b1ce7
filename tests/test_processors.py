"""The ways to choose a token that transformers has not."""

import math

import numpy as np
import pytest
import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper, set_seed

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import DecodingOptions, encode_prompt
from ratsnlp.nlpbook.generation.contrastive import contrastive_search
from ratsnlp.nlpbook.generation.processors import (
    PolarityLogitsProcessor,
    TopNSigmaLogitsWarper,
    cuts_before_temperature,
)


@pytest.fixture
def scores():
    return torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)) * 3


def kept(scores):
    return scores.isfinite()


def test_top_n_sigma_keeps_what_lies_within_n_deviations_of_the_highest(scores):
    cut = TopNSigmaLogitsWarper(1.5)(None, scores)
    least = scores.amax(1, keepdim=True) - 1.5 * scores.std(1, correction=0, keepdim=True)
    assert torch.equal(kept(cut), scores >= least)
    assert 1 < kept(cut).sum() < scores.numel()
    assert torch.equal(cut[kept(cut)], scores[kept(cut)])


def test_top_n_sigma_keeps_the_same_whatever_the_temperature(scores):
    cut = TopNSigmaLogitsWarper(1.0)
    assert torch.equal(kept(cut(None, scores)), kept(cut(None, scores / 7)))


def test_top_n_sigma_does_not_count_what_was_cut_before(scores):
    half = scores.masked_fill(torch.arange(1000) < 500, -math.inf)
    assert torch.equal(kept(TopNSigmaLogitsWarper(2.0)(None, half))[:, 500:],
                       kept(TopNSigmaLogitsWarper(2.0)(None, scores[:, 500:])))


def test_with_the_temperature_last_what_is_left_does_not_hang_on_it(scores):
    def left(temperature):
        options = DecodingOptions(do_sample=True, top_k=0, top_p=0.5, temperature=temperature, temperature_last=True)
        return LogitsProcessorList(cuts_before_temperature(options))(None, scores)

    assert torch.equal(kept(left(3.0)), kept(left(0.2)))
    assert torch.equal(left(2.0), TemperatureLogitsWarper(2.0)(None, TopPLogitsWarper(0.5)(None, scores)))
    first = TopPLogitsWarper(0.5)(None, TemperatureLogitsWarper(3.0)(None, scores))
    assert kept(first).sum() > kept(left(3.0)).sum()


def test_a_top_k_that_is_not_named_is_transformers_own_with_the_temperature_last_too(scores):
    options = DecodingOptions(do_sample=True, temperature=2.0, temperature_last=True)
    assert kept(LogitsProcessorList(cuts_before_temperature(options))(None, scores)).sum(1).tolist() == [50, 50, 50]
    assert options.generate_arguments()["top_k"] == 0  # and is not made once more
    assert "temperature" not in options.generate_arguments()


def test_polarity_adds_the_log_probability_of_what_is_asked_for_to_the_likeliest(tokenizer, scores):
    scores = scores[:1].repeat(1, 2)[:, : len(tokenizer)]
    prompt = tokenizer("긍정 영화", return_tensors="pt")["input_ids"]
    read = []

    def margins(texts):
        read.extend(texts)
        return np.linspace(-2, 2, len(texts))

    guided = {weight: PolarityLogitsProcessor(weight, tokenizer, margins)(prompt, scores) for weight in (3.0, -3.0)}
    top, candidates = scores.topk(50)
    for weight, found in guided.items():
        assert torch.equal(kept(found)[0].nonzero()[:, 0], candidates[0].sort().values)
        odds = math.copysign(1, weight) * torch.linspace(-2, 2, 50, dtype=torch.float64)
        expected = top[0] + 3 * torch.log(1 / (1 + torch.exp(-odds)))
        assert torch.allclose(found[0, candidates[0]], expected.float(), atol=1e-5)
    assert not any("영화" in text for text in read if text)  # what the prompt says is no merit of a candidate's


def test_polarity_needs_a_judge():
    with pytest.raises(UserError, match="^polarity: 텍스트를 읽을 토크나이저"):
        DecodingOptions(polarity=1.0).generate_arguments()


def test_contrastive_search_without_its_penalty_is_greedy_search(tiny_model, tokenizer):
    input_ids = encode_prompt(tiny_model.eval(), tokenizer, "영화가 정말")
    greedy = tiny_model.generate(input_ids, do_sample=False, max_new_tokens=12, min_new_tokens=5)
    found = tiny_model.generate(
        input_ids, custom_generate=contrastive_search(0.0, 4), max_new_tokens=12, min_new_tokens=5)
    assert torch.equal(found, greedy)


def test_contrastive_search_takes_the_best_of_probability_and_unlikeness(tiny_model, tokenizer):
    tiny_model.eval()
    input_ids = encode_prompt(tiny_model, tokenizer, "영화가 정말")
    found = tiny_model.generate(input_ids, custom_generate=contrastive_search(0.9, 5), max_new_tokens=1)
    with torch.no_grad():
        likely, tokens = tiny_model(input_ids).logits[0, -1].softmax(-1).topk(5)
        worth = []
        for probability, token in zip(likely, tokens, strict=True):
            way = torch.cat([input_ids, token.view(1, 1)], dim=1)
            states = tiny_model(way, output_hidden_states=True).hidden_states[-1][0]
            likeness = torch.cosine_similarity(states[:-1], states[-1:]).max()
            worth.append(0.1 * probability - 0.9 * likeness)
    assert found[0, -1] == tokens[torch.stack(worth).argmax()]


def test_contrastive_search_never_takes_what_is_forbidden(tiny_model, tokenizer):
    """Before ``min_new_tokens`` eos has a probability of 0, and may all the same be least like what came before."""
    input_ids = encode_prompt(tiny_model.eval(), tokenizer, "영화")
    for seed in range(3):
        set_seed(seed)
        torch.nn.init.normal_(tiny_model.get_input_embeddings().weight)
        written = tiny_model.generate(
            input_ids, custom_generate=contrastive_search(1.0, len(tokenizer)), min_new_tokens=6, max_new_tokens=6)
        assert tokenizer.eos_token_id not in written[0]
