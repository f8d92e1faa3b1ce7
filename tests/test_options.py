"""A decoding knob is declared once: whatever shows, checks or hands it on agrees with DecodingOptions."""

import ast

import pytest
from helpers import SCRIPTS

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import SETTINGS, DecodingOptions
from ratsnlp.nlpbook.serving.app import KNOBS


@pytest.mark.parametrize("number", range(4))
def test_the_scripts_inference_fn_has_the_books_signature_and_these_defaults(number):
    tree = ast.parse((SCRIPTS / f"serve_gen-{number}.py").read_text(encoding="utf-8"))
    (function,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [argument.arg for argument in function.args.args] == ["prompt", *KNOBS]
    defaults = [ast.literal_eval(default) for default in function.args.defaults]
    assert defaults == [10, 50, 1.0, 50, 1.0, 0, 1.0]
    assert defaults == [spec.metadata["unnamed"] for spec in DecodingOptions.specs(KNOBS)]


def test_what_is_not_named_is_left_to_transformers():
    assert DecodingOptions().generate_arguments() == {}
    assert DecodingOptions(do_sample=True, top_p=0.92).generate_arguments() == {"do_sample": True, "top_p": 0.92}
    assert str(DecodingOptions(top_k=5, min_length=3)) == "min_length=3, top_k=5"


def test_a_temperature_of_zero_is_greedy_search():
    assert DecodingOptions(temperature=0).generate_arguments() == {"do_sample": False}
    assert DecodingOptions(temperature=0, do_sample=True, top_p=0.9).generate_arguments() == {"do_sample": False}


def test_lengths_of_new_tokens_win_over_those_that_count_the_prompt_with_a_warning(caplog):
    options = DecodingOptions(min_length=3, max_length=50, min_new_tokens=2, max_new_tokens=5)
    assert options.generate_arguments() == {"min_new_tokens": 2, "max_new_tokens": 5}
    assert [record.getMessage() for record in caplog.records] == [
        f"{end}_new_tokens: {end}_length와 함께 주어 {end}_new_tokens를 따르고, {end}_length({length}, "
        "프롬프트를 포함한 길이)는 쓰지 않습니다." for end, length in (("min", 3), ("max", 50))]
    caplog.clear()
    apart = {"min_length": 3, "max_new_tokens": 5}
    assert DecodingOptions(**apart).generate_arguments() == apart
    assert caplog.records == []


def test_what_acts_on_draws_alone_says_that_tokens_are_drawn():
    for name, value in (("top_k", 5), ("min_p", 0.1), ("top_n_sigma", 1.0), ("temperature_last", True)):
        assert DecodingOptions(**{name: value}).generate_arguments()["do_sample"] is True, name
    assert not DecodingOptions(repetition_penalty=1.2).draws
    assert DecodingOptions(penalty_alpha=0.6, top_k=4).generate_arguments()["do_sample"] is False
    assert DecodingOptions(top_h=1.0, do_sample=True).generate_arguments() == {"do_sample": True}  # 1 cuts nothing


@pytest.mark.parametrize(("named", "message"), [
    ({"temperature": 0.001}, r"^temperature: 0\(그리디 서치\)이거나 0.01 이상이어야 하는데 0.001입니다.$"),
    ({"temperature": 1e9}, "^temperature: 0 이상 1e.08 이하여야 하는데 1e.09입니다.$"),
    ({"top_p": 1.5}, "^top_p: 0보다 크고 1 이하여야 하는데 1.5입니다.$"),
    ({"top_k": True}, "^top_k: 정수여야 하는데 True입니다.$"),
    ({"penalty_alpha": 0.6, "top_k": 0}, r"^top_k: 대조 탐색\(penalty_alpha\)에서는 1 이상 64 이하여야 하는데 0"),
    ({"num_beams": 0}, "^num_beams: 1 이상 64 이하여야 하는데 0입니다.$"),
    ({"min_length": 51, "max_length": 50}, r"^min_length: max_length\(50\) 이하여야 하는데 51입니다.$"),
])
def test_a_value_out_of_bounds_is_one_line(named, message):
    with pytest.raises(UserError, match=message):
        DecodingOptions(**named)


def test_the_settings_of_the_tour_are_instances():
    assert {type(setting.options) for setting in SETTINGS} == {DecodingOptions}
