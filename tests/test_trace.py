"""What is counted inside a call, and many settings and seeds in one batch."""

from dataclasses import replace

import pytest
import torch

from ratsnlp.nlpbook.generation import ALL_SETTINGS, SETTINGS, encode_prompt, load_pretrained, traced
from ratsnlp.nlpbook.generation import batched as batched_module
from ratsnlp.nlpbook.generation.batched import Run, generate_batched


@pytest.fixture(scope="module")
def bundled():
    return load_pretrained("kogpt-mini")


def test_what_each_knob_leaves_is_counted_by_the_call_itself(bundled):
    model, tokenizer = bundled
    input_ids = encode_prompt(model, tokenizer, "안녕하세요")
    torch.manual_seed(7)
    with traced(model) as trace:
        (text,) = model.generate(input_ids, do_sample=True, top_k=30, top_p=0.8, min_length=6, max_length=20)
    new = len(text) - input_ids.shape[1]
    assert list(trace.counts) == ["vocabulary", "min_length", "top_k", "top_p"]
    assert trace.counts["vocabulary"] == [8000] * new
    assert trace.counts["min_length"] == [7999] * (6 - input_ids.shape[1]) + [8000] * (new - 6 + input_ids.shape[1])
    assert trace.counts["top_k"] == [30] * new
    assert all(1 <= count <= 30 for count in trace.counts["top_p"])
    assert len(set(trace.counts["top_p"])) > 1
    assert trace.medians()["top_k"] == 30
    assert 0 < trace.seconds < 60


def test_the_model_is_as_it_was_after_an_error_too(bundled):
    model, tokenizer = bundled
    before = dict(vars(model))
    with pytest.raises(ValueError, match="do_smaple"), traced(model):
        model.generate(encode_prompt(model, tokenizer, "영화"), do_smaple=True)
    assert vars(model) == before


def test_a_text_that_has_ended_is_counted_no_more(bundled):
    model, tokenizer = bundled
    rows = encode_prompt(model, tokenizer, "긍정").expand(8, -1)
    torch.manual_seed(1)
    with traced(model) as trace:
        written = model.generate(rows, attention_mask=torch.ones_like(rows), do_sample=True, top_k=5, max_length=40)
    lengths = [int((row == tokenizer.eos_token_id).nonzero()[0]) if tokenizer.eos_token_id in row else 39
               for row in written]
    assert len(set(lengths)) > 1
    assert len(trace.counts["top_k"]) == sum(lengths)  # the prompt is one token: as many steps as the place of eos


def one_by_one(model, tokenizer, input_ids, settings, seeds):
    texts = []
    for setting in settings:
        for seed in seeds if setting.options.draws else seeds[:1]:
            torch.manual_seed(seed)
            text = model.generate(input_ids, **setting.fit(model, tokenizer))[0]
            texts.append(text.tolist())
    return texts


def test_a_batch_gives_each_setting_and_seed_the_text_of_its_own_call(bundled, monkeypatch):
    """All settings, more rows than fit into one batch, the same counts, and no use of the global random state."""
    model, tokenizer = bundled
    input_ids, seeds = encode_prompt(model, tokenizer, "긍정"), [7, 8]
    monkeypatch.setattr(batched_module, "ROWS", 30)
    settings = [replace(setting, options=replace(setting.options, max_length=setting.options.max_length and 24))
                for setting in ALL_SETTINGS]  # shorter than the tour's: it is as many calls
    runs = [Run(setting.fit(model, tokenizer), seeds if setting.options.draws else seeds[:1]) for setting in settings]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    generate_batched(model, input_ids, runs)
    assert torch.equal(torch.get_rng_state(), state)
    assert [text.tolist() for run in runs for text in run.texts] == one_by_one(
        model, tokenizer, input_ids, settings, seeds)
    assert len({tuple(text.tolist()) for run in runs for text in run.texts}) > 30

    number = 14
    torch.manual_seed(7)
    with traced(model) as trace:
        model.generate(input_ids, **SETTINGS[number - 1].fit(model))
    alone = Run(SETTINGS[number - 1].fit(model), [7])
    generate_batched(model, input_ids, [alone, Run(SETTINGS[0].fit(model), [7])])
    assert alone.trace.counts == trace.counts


def test_the_same_for_either_architecture_and_rows_of_different_lengths(tiny_model, tokenizer):
    model = tiny_model.eval()
    input_ids = encode_prompt(model, tokenizer, "영화가 정말")
    arguments = [{"do_sample": True, "max_new_tokens": 4}, {"do_sample": True, "top_k": 0, "max_length": 20},
                 {"do_sample": False, "repetition_penalty": 1.3, "max_new_tokens": 9}]
    runs = [Run(each, [1, 2]) for each in arguments]
    generate_batched(model, input_ids, runs)
    for run in runs:
        for seed, text in zip(run.seeds, run.texts, strict=True):
            torch.manual_seed(seed)
            assert torch.equal(model.generate(input_ids, **run.arguments)[0], text)
        assert run.trace.steps == sum(len(text) - input_ids.shape[1] for text in run.texts)


def test_a_batch_does_not_take_the_models_own_generation_settings_twice(tiny_model, tokenizer):
    model = tiny_model.eval()
    model.generation_config.repetition_penalty, model.generation_config.top_k = 1.7, 3
    input_ids = encode_prompt(model, tokenizer, "영화가 정말")
    run = Run({"do_sample": True, "max_new_tokens": 12}, [5])
    generate_batched(model, input_ids, [run])
    torch.manual_seed(5)
    assert torch.equal(model.generate(input_ids, **run.arguments)[0], run.texts[0])
    assert run.trace.medians()["top_k"] == 3
