"""Texts written side by side: each is what it would be alone, whoever joins and leaves."""

import random

import pytest
import torch
from helpers import tiny_config
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, MistralConfig

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import DecodingOptions, load_pretrained
from ratsnlp.nlpbook.generation import continuous as continuous_module
from ratsnlp.nlpbook.generation.choosing import Choice, choose, prepare
from ratsnlp.nlpbook.generation.continuous import ContinuousBatch


class Text:
    """A row that is written to the end, and how it is chosen."""

    def __init__(self, model, tokenizer, ids, options, seed, **more):
        self.ids, self.prompt_length, self.steps, self.ended = list(ids), len(ids), [], False
        processors, config = prepare(model, tokenizer, ids, options)
        self.choice, self.max_length = Choice(processors, config, len(ids), seed, **more), config.max_length


def write(batch, texts, joins=None):
    """Write ``texts`` to their ends; text ``i`` joins at step ``joins[i]``."""
    joins = joins or [0] * len(texts)
    for step in range(10_000):
        joining = [text for text, at in zip(texts, joins, strict=True) if at == step]
        if joining:
            batch.join(joining)
        rows = list(batch.rows)
        chosen = choose([(row.ids, row.choice) for row in rows], batch.step()) if rows else []
        for text, (token, told) in zip(rows, chosen, strict=True):
            text.ids.append(token)
            text.steps += [told] if told else []
            if len(text.ids) >= text.max_length or token == batch.model.generation_config.eos_token_id:
                batch.leave(text)
        if not batch.rows and step >= max(joins):
            return [text.ids for text in texts]


OPTIONS = [
    DecodingOptions(do_sample=True, top_k=50, min_length=8, max_length=24), DecodingOptions(max_length=20),
    DecodingOptions(do_sample=True, top_k=0, top_p=0.9, temperature=1.3, max_new_tokens=15),
    DecodingOptions(do_sample=True, top_k=20, repetition_penalty=1.4, no_repeat_ngram_size=2, max_length=30),
    DecodingOptions(do_sample=True, top_k=0, min_p=0.05, temperature=2.0, temperature_last=True, max_new_tokens=12),
    DecodingOptions(do_sample=True, top_n_sigma=1.0, typical_p=0.9, min_new_tokens=6, max_new_tokens=12),
    DecodingOptions(polarity=4.0, max_new_tokens=5)]


def test_a_text_is_what_it_would_be_alone_whoever_joins_and_leaves(tiny_model, tokenizer):
    model, dice = tiny_model.eval(), random.Random(0)
    batch = ContinuousBatch(model)
    prompts = [tokenizer.encode(text) for text in ("긍정", "부정 이 영화는 정말", "재미있는 배우들의 연기가", "가")]

    def make():
        return [Text(model, tokenizer, prompts[number % 4], OPTIONS[number % len(OPTIONS)], number)
                for number in range(40)]

    alone = [write(batch, [text])[0] for text in make()]
    assert write(batch, make()) == alone
    assert write(batch, make(), [dice.randrange(30) for _ in alone]) == alone
    assert len(set(map(tuple, alone))) > 25
    assert len(set(map(len, alone))) > 5


def test_a_greedy_text_is_that_of_generate(tiny_model, tokenizer):
    model = tiny_model.eval()
    ids = tokenizer.encode("영화가 정말")
    for options in (DecodingOptions(max_length=20), DecodingOptions(repetition_penalty=1.5, max_length=20),
                    DecodingOptions(no_repeat_ngram_size=2, min_length=15, max_length=20)):
        row = torch.tensor([ids])
        (expected,) = model.generate(row, attention_mask=torch.ones_like(row), **options.generate_arguments())
        assert write(ContinuousBatch(model), [Text(model, tokenizer, ids, options, 1)])[0] == expected.tolist()


def test_the_models_own_generation_settings_count_where_nothing_is_named(tiny_model, tokenizer):
    model = tiny_model.eval()
    model.generation_config.top_k = 3
    text = Text(model, tokenizer, tokenizer.encode("영화"), DecodingOptions(do_sample=True, max_length=6), 1, steps=1)
    write(ContinuousBatch(model), [text])
    assert {step.left["top_k"] for step in text.steps} == {3}


def test_a_model_that_cannot_be_batched_is_told(tokenizer):
    """A window that slides over what came before, and positions that come from elsewhere than the position ids."""
    sliding = AutoModelForCausalLM.from_config(MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=64, sliding_window=8, max_position_embeddings=64))
    with pytest.raises(UserError, match="mistral 모델은 여러 요청을 한 배치로 처리할 수 없습니다. --engine book"):
        ContinuousBatch(sliding)

    class Stubborn(GPT2LMHeadModel):
        def forward(self, input_ids=None, position_ids=None, **more):
            return super().forward(input_ids=input_ids, position_ids=None, **more)

    torch.manual_seed(0)
    config = tiny_config("gpt2", tokenizer)
    assert isinstance(config, GPT2Config)
    with pytest.raises(UserError, match="--engine book"):
        ContinuousBatch(Stubborn(config).eval())


def test_keys_and_values_of_all_rows_are_bounded_and_one_alone_is_not(tiny_model, tokenizer, monkeypatch):
    batch = ContinuousBatch(tiny_model.eval())
    options = DecodingOptions(max_length=40)
    rows = [Text(tiny_model, tokenizer, tokenizer.encode("가"), options, 1) for _ in range(4)]
    monkeypatch.setattr(continuous_module, "CACHE_BYTES", 3 * 40 * batch._bytes_per_token)
    assert batch.fit(rows[:3])
    assert not batch.fit(rows)
    monkeypatch.setattr(continuous_module, "CACHE_BYTES", 1)
    assert batch.fit(rows[:1])


# What a step tells


@pytest.fixture(scope="module")
def bundled():
    return load_pretrained("kogpt-mini")


def told(bundled, options, seed=3, prompt="긍정 이 영화는", **more):
    model, tokenizer = bundled
    text = Text(model, tokenizer, tokenizer.encode(prompt), options, seed, **{"steps": 20, **more})
    neighbours = [Text(model, tokenizer, tokenizer.encode("부정 정말"), options, number) for number in range(3)]
    write(ContinuousBatch(model), [*neighbours, text], [0, 0, 1, 2])
    return text


EVERYTHING = DecodingOptions(
    do_sample=True, repetition_penalty=1.3, no_repeat_ngram_size=2, temperature=0.8, top_k=40, top_p=0.8, min_p=0.02,
    min_length=12, max_length=20)


def test_the_probabilities_by_the_model_are_the_models(bundled):
    text = told(bundled, EVERYTHING)
    with torch.inference_mode():
        logits = bundled[0](torch.tensor([text.ids])).logits[0, text.prompt_length - 1 : -1]
    assert len(text.steps) == len(logits) >= 5
    for step, own in zip(text.steps, logits, strict=True):
        ids = [each["id"] for each in step.candidates]
        assert ids[:20] == own.topk(20).indices.tolist()
        assert torch.allclose(torch.tensor([each["logit"] for each in step.candidates]), own[ids], atol=1e-4)
        assert torch.allclose(torch.tensor([each["model"] for each in step.candidates]), own.softmax(-1)[ids],
                              atol=1e-4)
        assert step.entropy == pytest.approx(
            torch.distributions.Categorical(logits=own).entropy().item() / 0.6931472, abs=1e-3)


def test_each_stage_is_what_transformers_own_processors_leave(bundled):
    """And they name what cut a candidate, how many were left, and where the draw fell."""
    model, tokenizer = bundled
    text = told(bundled, EVERYTHING)
    row = torch.tensor([text.ids[: text.prompt_length]])
    processors = model.generate(row, custom_generate=lambda model, ids, logits_processor, *_, **__: logits_processor,
                                attention_mask=torch.ones_like(row), **EVERYTHING.generate_arguments())
    names = ["repetition_penalty", "no_repeat_ngram_size", "min_length", "temperature", "top_k", "top_p", "min_p"]
    assert len(processors) == len(names)
    for place, step in enumerate(text.steps):
        ids = torch.tensor([text.ids[: text.prompt_length + place]])
        with torch.inference_mode():
            scores = model(ids).logits[:, -1]
        after = {"vocabulary": scores}
        for name, processor in zip(names, processors, strict=True):
            after[name] = scores = processor(ids, scores)
        if ids.shape[1] >= 12:
            del after["min_length"]  # it has nothing to do any more
        assert list(step.left) == list(after)
        assert step.left == {name: int(each.isfinite().sum()) for name, each in after.items()}
        penalised = after.get("min_length", after["no_repeat_ngram_size"])
        for each in step.candidates:
            number = each["id"]
            for stage, expected in (("penalties", penalised), ("temperature", after["temperature"]),
                                    ("cuts", after["min_p"])):
                assert each[stage] == pytest.approx(float(expected.softmax(-1)[0, number]), abs=1e-4), stage
            gone = [name for name, left in after.items() if not left[0, number].isfinite()]
            assert each["cut_by"] == (gone[0] if gone else None)
        low, high = step.interval
        drawn = next(each for each in step.candidates if each["id"] == step.token)
        assert low <= step.number < high
        assert high - low == pytest.approx(drawn["cuts"], abs=1e-6)
        likelier = (scores.softmax(-1) > scores.softmax(-1)[0, step.token]) * scores.softmax(-1)
        assert low == pytest.approx(float(likelier.sum()), abs=1e-4)
    assert step.order == ["model", "penalties", "temperature", "cuts"]


def test_a_temperature_that_comes_last_is_told_last(bundled):
    step = told(bundled, DecodingOptions(
        do_sample=True, top_k=10, temperature=2.0, temperature_last=True, max_new_tokens=3)).steps[0]
    assert step.order == ["model", "penalties", "cuts", "temperature"]
    assert list(step.left) == ["vocabulary", "top_k", "temperature"]
    first, *_, last = [each for each in step.candidates if each["cut_by"] is None]
    assert first["temperature"] < first["cuts"]
    assert last["temperature"] > last["cuts"]
    assert sum(each["temperature"] for each in step.candidates) == pytest.approx(1)


def test_steps_change_nothing_and_the_token_is_among_the_candidates(bundled):
    options = DecodingOptions(do_sample=True, top_k=0, temperature=1.5, max_new_tokens=15)
    without, one, many = (told(bundled, options, steps=count) for count in (0, 1, 20))
    assert without.ids == one.ids == many.ids
    assert without.steps == []
    for step in one.steps:
        assert step.token in [each["id"] for each in step.candidates]
        assert len(step.candidates) <= 2
    assert len({len(step.candidates) for step in one.steps}) == 2


def test_a_text_that_is_forced_to_begin_as_it_does_goes_on_as_it_does(bundled):
    options = DecodingOptions(do_sample=True, top_k=30, max_new_tokens=14)
    text = told(bundled, options)
    new = text.ids[text.prompt_length :]
    again = told(bundled, options, forced=new[:6])
    assert again.ids == text.ids
    assert [step.forced for step in again.steps] == [True] * 6 + [False] * (len(new) - 6)
    assert [step.interval for step in again.steps] == [step.interval for step in text.steps]  # as it would be drawn
    unlikely = 4321
    other = told(bundled, options, forced=[*new[:3], unlikely])
    assert other.ids[: text.prompt_length + 4] == [*text.ids[: text.prompt_length + 3], unlikely]
    assert unlikely in [each["id"] for each in other.steps[3].candidates]
    assert other.ids != text.ids
    assert (other.steps[3].interval, other.steps[3].number) == (None, text.steps[3].number)


def test_greedy_search_draws_nothing(bundled):
    step = told(bundled, DecodingOptions(max_new_tokens=2)).steps[0]
    assert step.number is None
    assert step.interval is None
    assert step.token == step.candidates[0]["id"]


def test_drawn_tokens_have_the_frequencies_of_their_probabilities(bundled):
    model, tokenizer = bundled
    ids, options = tokenizer.encode("긍정"), DecodingOptions(do_sample=True, top_k=5, max_new_tokens=1)
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[:, -1].expand(4000, -1).clone()
    made = prepare(model, tokenizer, ids, options)
    choices = [Choice(*made, len(ids), seed) for seed in range(4000)]
    tokens = torch.tensor([token for token, _ in choose([(ids, choice) for choice in choices], logits.clone())])
    top = logits[0].topk(5)
    for token, probability in zip(top.indices, top.values.softmax(-1), strict=True):
        share = float((tokens == token).double().mean())
        assert share == pytest.approx(float(probability), abs=4 * (float(probability) / 4000) ** 0.5)
