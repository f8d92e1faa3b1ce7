"""Pictures for a notebook: they say what the model computes, are XML on their own, and leave the caller's things be."""

import html
import math
import re
from dataclasses import fields
from xml.etree import ElementTree

import pytest
import torch
from helpers import HUB_NAMES
from transformers import BertConfig, BertModel

from ratsnlp.nlpbook import UserError, pictures
from ratsnlp.nlpbook.comparison import lesson_data, lesson_pictures
from ratsnlp.nlpbook.comparison.pictures_data import next_token, token_text
from ratsnlp.nlpbook.comparison.svg import inlined
from ratsnlp.nlpbook.evaluation.metrics import wilson_interval
from ratsnlp.nlpbook.generation import (
    GenerationExample,
    GenerationTrainArguments,
    draw_next_token,
    encode_prompt,
    load_pretrained,
    readable,
)
from ratsnlp.nlpbook.generation.features import convert_examples_to_features
from ratsnlp.nlpbook.generation.loss import token_losses

PROMPT = "긍정 이 영화"
ODD = ["<b>&'\"", "\x00", "\ud800", "🦖", "가\u0301", "␣", "\u200b", "]]>", "</svg>"]


@pytest.fixture
def both(tiny_model, tokenizer):
    return tiny_model.eval(), tokenizer


@torch.no_grad()
def probabilities(model, input_ids):
    return model(input_ids).logits[0, -1].softmax(-1)


def texts(picture) -> list[str]:
    """What stands in the picture; asserts that it is XML and has its style in itself."""
    svg = picture.svg if isinstance(picture, pictures.Picture) else picture
    root = ElementTree.fromstring(svg)
    tags = [each.tag.rpartition("}")[2] for each in root.iter()]
    assert root.get("role") == "img"
    assert tags[:2] == ["svg", "title"]
    assert "style" not in tags  # a style element would count for the whole page
    assert not re.search(r'\b(class|id)="', svg)
    assert "var(" not in svg
    return [each.text for each in root.iter() if each.tag.endswith("}text")]


def percent(p: float) -> str:
    return "0%" if p < 1e-6 else "<0.1%" if p < 5e-4 else f"{p:.1%}" if p < 0.0995 else f"{p:.0%}"


def test_the_next_token_is_the_models(both):
    model, tokenizer = both
    picture = pictures.next_token(*both, PROMPT, top=5)
    p, tokens = probabilities(model, encode_prompt(*both, PROMPT)).topk(5)
    shown = texts(picture)
    assert [each for each in shown if each.endswith("%")][:5] == [percent(value) for value in p.tolist()]
    assert f"나머지 {len(tokenizer) - 5:,}개" in shown[-1]
    told = f"{token_text(tokenizer, int(tokens[0]))} {percent(float(p[0]))}"
    assert told in repr(picture)
    assert repr(picture).startswith(f"[그림] '{PROMPT}' 다음 토큰의 확률\n")


def test_a_notebook_shows_a_picture_and_its_words(both):
    from IPython.core.formatters import DisplayFormatter

    picture = pictures.next_token(*both, PROMPT)
    data, _ = DisplayFormatter().format(picture)
    assert data == {"image/svg+xml": picture.svg, "text/plain": repr(picture)}


def test_the_loop_tells_its_four_steps_with_the_prompts_own_tokens(both):
    model, tokenizer = both
    ids = encode_prompt(*both, PROMPT)
    best = int(probabilities(model, ids).argmax())
    said = repr(pictures.loop(*both, PROMPT))
    for token in ids[0].tolist():
        assert token_text(tokenizer, token) in said
    assert f"3. 고른 토큰: {token_text(tokenizer, best)}." in said
    assert f"4. 붙인 텍스트: {readable(tokenizer, torch.cat([ids[0], torch.tensor([best])]))}." in said


def test_attention_is_the_networks_own_and_the_network_stays_as_it_was(both):
    model, tokenizer = both
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                                intermediate_size=32)).train()
    ways = model.config._attn_implementation, bert.config._attn_implementation
    ids = encode_prompt(*both, PROMPT)
    figures = lesson_data.attention({"GPT": model, "BERT": bert}, tokenizer, ids)
    assert (model.config._attn_implementation, bert.config._attn_implementation, bert.training) == (*ways, True)
    gpt, other = (torch.tensor(network["weights"]) for network in figures["networks"])
    assert torch.equal(gpt > 0, torch.ones_like(gpt).tril() > 0)  # a token sees itself and those before it
    assert (other > 0).all()
    for weights in (gpt, other):
        assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    picture = pictures.attention({"GPT": model, "BERT": bert}, tokenizer, PROMPT)
    size = ids.shape[1]
    assert sum(each.endswith("%") for each in texts(picture)) == size * size + size * (size + 1) // 2
    assert f"GPT: {size}×{size}개 가운데 볼 수 없는 것 {size * (size - 1) // 2}개" in repr(picture)


@pytest.mark.parametrize("text", ["긍정 이 영화 정말 재밌다", "긍정 " + "아주 긴 리뷰 " * 20])
def test_a_features_picture_marks_the_tokens_that_are_learnt(both, text):
    model, tokenizer = both
    args = GenerationTrainArguments(max_seq_length=16, recipe="book")
    feature = convert_examples_to_features([GenerationExample(text, "긍정 ")], tokenizer, args)[0]
    figures = lesson_data.features(feature, tokenizer)
    batch = {"input_ids": torch.tensor([feature.input_ids]), "attention_mask": torch.tensor([feature.attention_mask]),
             "control_tokens": torch.tensor([feature.control_tokens])}
    assert sum(figures["counts"]) == len(token_losses(model, batch)[0])
    assert not figures["counts"][0]
    shown = texts(pictures.features(feature, tokenizer))
    assert shown.count("✓") == sum(figures["counts"])
    assert {"input_ids", "attention_mask", "token_type_ids", "labels"} <= set(shown)
    for number in feature.input_ids:
        assert str(number) in shown


def test_a_feature_of_the_recipe_standard_has_no_columns_of_the_books(both):
    args = GenerationTrainArguments(max_seq_length=16)
    feature = convert_examples_to_features([GenerationExample("긍정 좋다", "긍정 ")], both[1], args)[0]
    feature.token_type_ids = feature.labels = None
    assert "labels" not in texts(pictures.features(feature, both[1]))


def test_settings_reshape_the_distribution_as_transformers_does(both):
    model, tokenizer = both
    picture = pictures.reshaped(*both, PROMPT, top=6, temperature=[0.01, 1.5, 1e6], top_k=[3], top_p=[0.92, 1.0, 0.02])
    logits = model(encode_prompt(*both, PROMPT)).logits[0, -1].detach()
    p = logits.softmax(-1)
    shown, said = texts(picture), repr(picture)
    best = token_text(tokenizer, int(p.argmax()))
    assert [each for each in shown if each.startswith(("모델", "온도", "top-"))] == [
        "모델 (그대로)", "온도 0.01", "온도 1.5", "온도 1,000,000", "top-k 3", "top-p 0.92", "top-p 1", "top-p 0.02"]
    for temperature in (0.01, 1.5, 1e6):
        name = f"온도 {temperature:g}" if temperature < 1e4 else "온도 1,000,000"
        highest = percent(float((logits / temperature).softmax(-1).max()))
        assert f"{name}: {len(tokenizer):,}개 남음, {best} {highest}" in said
    for top_p in (0.92, 0.02):
        left = int((p.sort().values.cumsum(0) > 1 - top_p).sum())
        assert f"top-p {top_p}: {left:,}개 남음, {best} {percent(float(p.max() / p.topk(left).values.sum()))}" in said
    assert f"top-k 3: 3개 남음, {best} {percent(float(p.max() / p.topk(3).values.sum()))}" in said
    assert f"top-p 1: {len(tokenizer):,}개 남음" in said


def test_a_low_temperature_cuts_nothing(both):
    model, tokenizer = both
    model.get_output_embeddings().weight.data *= 1000  # so sure that the others have 0 in float32
    figures = next_token(model, tokenizer, encode_prompt(*both, PROMPT), 4, [("none", None), ("temperature", 0.01)])
    assert 0.0 in figures["reshaped"][1]["p"]
    assert "×" not in texts(pictures.reshaped(*both, PROMPT, top=4, temperature=[0.01]))
    assert "×" in texts(pictures.reshaped(*both, PROMPT, top=4, top_k=[1]))


@pytest.mark.parametrize(("setting", "message"), [
    ({"temperature": [-1]}, "temperature"), ({"top_p": [1.5]}, "top_p"), ({"top_k": [0.5]}, "top_k"),
    ({"temperature": [0]}, "temperature=0"), ({"top_k": [5, 0]}, "top_k=0"), ({"min_p": [0.1]}, "min_p=0.1")])
def test_a_value_out_of_bounds_is_a_users_error(both, setting, message):
    with pytest.raises(UserError, match=message):
        pictures.reshaped(*both, PROMPT, **setting)


def test_a_processor_is_shown_where_it_changes_the_choice(both):
    model, tokenizer = both
    ids = encode_prompt(*both, PROMPT)
    figures = lesson_data.processed(model, tokenizer, ids, "repetition_penalty", 5.0, top=4)
    plain = model.generate(ids, do_sample=False, max_new_tokens=50)[0]
    punished = model.generate(ids, do_sample=False, max_new_tokens=50, repetition_penalty=5.0)[0]
    length = min(len(plain), len(punished))
    step = int((plain[:length] != punished[:length]).nonzero()[0])  # where the two part
    before, after = figures["reshaped"]
    assert figures["written"] == readable(tokenizer, plain[:step])
    taken = [figures["tokens"][each["taken"]]["text"] for each in (before, after)]
    assert taken == [token_text(tokenizer, int(row[step])) for row in (plain, punished)]
    shown = texts(pictures.processed(*both, PROMPT, top=4, repetition_penalty=5.0))
    assert sum(each.endswith(" 고름") for each in shown) == 2


def test_a_processor_that_changes_nothing_is_shown_all_the_same(both):
    figures = lesson_data.processed(*both, encode_prompt(*both, PROMPT), "repetition_penalty", 1.0, steps=3)
    before, after = figures["reshaped"]
    assert before["p"] == after["p"]
    assert before["taken"] == after["taken"] == 0


def test_only_one_processor_at_a_time(both):
    for setting in ({}, {"top_k": 3}, {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3}):
        with pytest.raises(UserError, match="하나만"):
            pictures.processed(*both, PROMPT, **setting)


def test_searches_show_what_generate_finds(both):
    model, tokenizer = both
    ids = encode_prompt(*both, PROMPT)
    for beams in (2, 3):
        found = model.generate(ids, do_sample=False, num_beams=beams, max_new_tokens=3)
        assert f"1위: {readable(tokenizer, found[0])}" in html.unescape(pictures.beam_tree(*both, PROMPT, beams, 3).svg)
    greedy = model.generate(ids, do_sample=False, max_new_tokens=3)[0, ids.shape[1] :]
    told = repr(pictures.greedy_path(*both, PROMPT, steps=3))
    for token in greedy.tolist():
        assert token_text(tokenizer, token) in told


def test_the_curve_is_that_of_the_run(finetuned_folder, tmp_path):
    with pytest.raises(UserError, match="last.ckpt"):
        pictures.losses(tmp_path)
    curve = torch.load(finetuned_folder / "last.ckpt", weights_only=True)["callbacks"]["LossWatch"]["curve"]
    picture = pictures.losses(finetuned_folder)
    assert curve["val_loss"]
    for step, loss in curve["val_loss"]:
        assert f"{loss:.2f}" in texts(picture)
        assert f"{step}스텝의 검증 손실 {loss:.2f}" in repr(picture)
    line = re.search(r'<path [^>]*d="(M[\d. ]+(?:L[\d. ]+)*)"[^>]*/>(?=<circle)', picture.svg)
    assert line[1].count("L") == len(curve["loss"]) - 1


def test_shares_have_their_intervals():
    human = {"human": 100, "human_right": 63, "human_accuracy": 0.63}
    measured = {}
    for when, right in (("파인튜닝 전", 61), ("파인튜닝 후", 126)):
        found = {"accuracy": right / 150, "interval": wilson_interval(right, 150), **human}
        measured[when] = {"긍정": found, "부정": found}
    picture = pictures.shares(measured)
    low, high = wilson_interval(63, 100)
    assert f"사람의 리뷰, 부정: 63.0%({low:.1%}–{high:.1%})" in repr(picture)
    low, high = wilson_interval(126, 150)
    assert f"파인튜닝 후, 긍정: 84.0%({low:.1%}–{high:.1%})" in repr(picture)
    assert [each for each in texts(picture) if each in ("41%", "84%", "63%")] == ["41%", "84%", "63%"] * 2


def test_the_table_of_settings_has_the_words_of_help_and_no_path_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = GenerationTrainArguments(
        epochs=2, downstream_model_dir=str(pictures.REPOSITORY / "output" / "x"), logging_dir=str(tmp_path / "log"))
    table = pictures.arguments(args)
    shown = table._repr_html_()
    for spec in fields(args):
        assert f"<code>{spec.name}</code>" in shown
        assert html.escape(spec.metadata["help"]) in shown
        assert f"{spec.name} = " in repr(table)
    assert "<b>2</b>" in shown
    assert "<b>output/x</b>" in shown
    assert "<b>log</b>" in shown
    assert "* epochs = 2: 학습 데이터를 몇 번 볼지" in repr(table)
    assert "  batch_size = 96" in repr(table)
    assert str(pictures.REPOSITORY) not in shown + repr(table)
    ElementTree.fromstring(shown)


def test_odd_tokens_leave_every_picture_whole():
    tokens = [{"id": number, "text": text, "p": 0.1 / (number + 1)} for number, text in enumerate(ODD)]
    size, p = len(ODD), [token["p"] for token in tokens]
    shape = [{"knob": "none", "value": None, "left": 99, "p": p, "others": 0.5, "taken": 0},
             {"knob": "repetition_penalty", "value": 1.2, "left": 98, "p": [0.0] * size, "others": 1.0, "taken": 1}]
    network = {"name": ODD[0], "weights": [[1 / size] * size] * size}
    drawn = [
        lesson_pictures.bars({"prompt": ODD[0], "tokens": tokens, "vocabulary": size}),
        lesson_pictures.loop({"prompt": ODD[0], "prompt_tokens": tokens, "tokens": tokens, "longer": "".join(ODD)}),
        lesson_pictures.attention({"tokens": ODD, "networks": [network]}),
        lesson_pictures.features({"tokens": ODD, "columns": {"input_ids": range(size)}, "counts": [True] * size}),
        lesson_pictures.reshaped({"tokens": tokens, "reshaped": shape, "vocabulary": 99}),
        lesson_pictures.processed({"tokens": tokens, "reshaped": shape, "vocabulary": 99, "written": ODD[0]})]
    for svg in drawn:
        picture = pictures.Picture(svg)
        assert texts(picture)
        picture.svg.encode("utf-8")
        assert repr(picture).startswith("[그림] ")


def test_a_part_of_a_character_is_shown_as_its_byte(both):
    model, tokenizer = both
    ids = torch.tensor([[*tokenizer.encode("긍정"), *tokenizer.convert_tokens_to_ids(["<0xED>", "<0x97>"])]])
    assert "<0xED> · <0x97>" in repr(pictures.loop(model, tokenizer, ids))


def test_a_saved_picture_needs_nothing_else(both, tmp_path):
    saved = pictures.next_token(*both, PROMPT).save(tmp_path / "new" / "그림.svg")
    assert saved.read_text(encoding="utf-8").startswith("<svg ")
    assert texts(saved.read_text(encoding="utf-8"))
    drawn = draw_next_token(*both, encode_prompt(*both, PROMPT), tmp_path / "steps")
    assert drawn == tmp_path / "steps" / "next_token.svg"
    assert len([each for each in texts(drawn.read_text(encoding="utf-8")) if each.startswith(("온도", "top-"))]) == 7


def test_inlined_styles_are_those_of_the_style_sheet():
    svg = inlined('<svg xmlns="x" class="picture" width="9"><desc>x</desc><text class="small strong end">a</text>'
                  '<path class="mark human"/><rect class="box taken"/><text class="">b</text></svg>')
    small, plain = re.findall(r"<text([^>]*)>", svg)
    assert 'font-size="12px"' in small
    assert 'font-weight="700"' in small
    assert 'text-anchor="end"' in small
    assert 'font-size="14px"' in plain
    assert 'fill="#b5480b" fill-opacity=".85"' in svg  # people's, not the accent of every mark
    assert 'stroke-width="2.5"' in svg
    assert 'max-width: 100%' in svg


def test_no_picture_draws_from_the_callers_random_numbers(both):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    pictures.beam_tree(*both, PROMPT, 2, 2)
    pictures.processed(*both, PROMPT, repetition_penalty=2.0)
    pictures.attention({"GPT": both[0]}, both[1], PROMPT)
    assert math.isclose(float(torch.rand(1)), float(expected))


@pytest.mark.parametrize("name", sorted(HUB_NAMES.values()))
def test_the_models_of_the_hub_have_their_pictures_too(hub, name):
    model, tokenizer = load_pretrained(name)
    for picture in (
            pictures.next_token(model, tokenizer, "점심"), pictures.loop(model, tokenizer, "점심"),
            pictures.attention({"GPT": model}, tokenizer, "이 영화는 정말 재밌다"),
            pictures.greedy_path(model, tokenizer, "스토리가"), pictures.beam_tree(model, tokenizer, "스토리가", 2),
            pictures.reshaped(model, tokenizer, "점심", temperature=[0.01, 1e6], top_k=[5], top_p=[0.92]),
            pictures.processed(model, tokenizer, "점심", no_repeat_ngram_size=3)):
        assert texts(picture)
