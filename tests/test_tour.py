"""The tour through the settings: which ones run, and what is said of each text."""

import re

import pytest
import torch

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.comparison.outcomes import figures, outcomes
from ratsnlp.nlpbook.comparison.summary import human_reviews
from ratsnlp.nlpbook.comparison.tour import with_particle
from ratsnlp.nlpbook.evaluation.metrics import distinct
from ratsnlp.nlpbook.generation import (
    ALL_SETTINGS,
    SETTINGS,
    GenerationInferArguments,
    Tour,
    encode_prompt,
    load_pretrained,
    traced,
)
from ratsnlp.nlpbook.generation.batched import Run, generate_batched


@pytest.fixture(scope="module")
def bundled():
    return load_pretrained("kogpt-mini")


@pytest.fixture
def take(bundled):
    """Takes the tour that the arguments ask for, as the script does; returns it and what it printed of each setting."""
    model, tokenizer = bundled

    def take(**arguments):
        args = GenerationInferArguments(**{
            "pretrained_model_name": "kogpt-mini", "input_sentence": "긍정", **arguments})
        input_ids = encode_prompt(model, tokenizer, args.input_sentence)
        tour, told = Tour(args, model, tokenizer, input_ids), {}
        for label, setting in tour.settings.items():
            torch.manual_seed(args.seed)
            with torch.inference_mode(), traced(model) as trace:
                generated_ids = model.generate(input_ids, **setting.fit(model, tokenizer))
            told[label] = tour.show(label, generated_ids[0], trace)
        return tour, told

    return take


@pytest.mark.parametrize(("arguments", "labels"), [
    ({}, [*range(1, 17)]), ({"beyond": True}, [*range(17, len(ALL_SETTINGS) + 1)]),
    ({"only": ("14", "9", "14")}, [14, 9]), ({"only": ("1",), "top_k": 5}, [1, "내 설정"]),
])
def test_which_settings_run(bundled, arguments, labels):
    model, tokenizer = bundled
    tour = Tour(GenerationInferArguments("kogpt-mini", **arguments), model, tokenizer,
                encode_prompt(model, tokenizer, "긍정"))
    assert list(tour.settings) == [f"[{label}]" for label in labels]


@pytest.mark.parametrize(("named", "options", "compared_with"), [
    ({"top_k": 5}, "do_sample=True, min_length=10, max_length=50, top_k=5", 9),
    ({"repetition_penalty": 2.0}, "do_sample=False, min_length=10, max_length=50, repetition_penalty=2.0", 1),
    ({"max_new_tokens": 7}, "do_sample=False, max_new_tokens=7", 1),
    ({"max_length": 6, "top_p": 0.5}, "do_sample=True, min_length=6, max_length=6, top_p=0.5", 9),
    ({"temperature": 0.0}, "min_length=10, max_length=50, temperature=0.0", 1),
])
def test_a_knob_as_a_flag_makes_a_setting_of_ones_own(take, named, options, compared_with):
    tour, told = take(only=("1",), **named)
    assert str(tour.settings["[내 설정]"]) == options
    assert tour.settings["[내 설정]"].compared_with == compared_with
    assert "내 설정입니다" in told["[내 설정]"]
    if "max_new_tokens" in named:
        assert tour.shown["[내 설정]"].tokens == [7]


def test_what_a_setting_changes_is_said_against_the_one_it_is_compared_with(take):
    tour, told = take(only=("1", "4", "9", "14", "15"))
    heads = [text.strip().splitlines()[0] for text in told.values()]
    assert heads == [
        "[1] do_sample=False", "[4] [1]에서 no_repeat_ngram_size=3", "[9] [1]에서 do_sample=False → True, top_k=50",
        "[14] [9]에서 top_p=0.92, top_k=50 → 적지 않음", "[15] [14]에서 top_p=0.92 → 0.01"]
    assert "min_length=10, max_length=50(프롬프트를 포함한 토큰 수)" in tour.heading()
    _, told = take(only=("14",))  # nothing to compare with: all of it
    assert told["[14]"].strip().startswith("[14] do_sample=True, top_p=0.92\n")


def test_text_length_end_and_what_cut_the_candidates(take):
    tour, told = take(only=("9",), max_length=12, top_k=4, top_p=0.5)
    shown = tour.shown["[9]"]
    assert f"   │ {shown.texts[0]}\n" in told["[9]"]
    assert shown.texts[0].startswith("긍정")
    assert f"토큰 {shown.tokens[0]}개 · eos로 끝남 · " in told["[9]"]
    assert told["[9]"].endswith("→ top_k 50 → 하나를 뽑음")
    own = tour.shown["[내 설정]"]
    assert own.tokens == [11]
    assert "토큰 11개 · 길이로 끝남 · " in told["[내 설정]"]
    assert re.search(r"후보 8,000 → (min_length 7,999 → )?top_k 4 → top_p [123] → 하나를 뽑음$", told["[내 설정]"])
    order = tour.order()
    assert re.search(r"모델의 점수 8,000 → 최소 길이 \S+ → top-k 4 → top-p [123] → 뽑은 토큰 1", order)
    assert order.index("최소 길이") < order.index("top-k") < order.index("top-p")


def test_the_tour_says_where_two_settings_gave_the_same_text(take):
    tour, told = take(only=("1", "3", "9", "10", "12"))
    for number, like in ((3, "[1]과"), (10, "[1]과"), (12, "[9]와")):
        assert f"= {like} 같은 텍스트입니다. 언제나 그렇습니다." in told[f"[{number}]"]
        assert "│" not in told[f"[{number}]"]
    _, told = take(only=("1", "9"), top_k=1)  # one's own: nobody has promised it
    assert told["[내 설정]"].count("= [1]과 같은 텍스트입니다.") == 1
    assert "언제나" not in told["[내 설정]"]


@pytest.mark.parametrize("prompt", ["긍정", "이 영화는 배우들의", "ㅋㅋ 이게 뭐야 1234"])
def test_what_is_promised_to_be_the_same_always_is(bundled, prompt):
    model, tokenizer = bundled
    input_ids = encode_prompt(model, tokenizer, prompt)
    runs = [Run(setting.fit(model, tokenizer), [7]) for setting in SETTINGS]
    generate_batched(model, input_ids, runs)
    texts = [run.texts[0].tolist() for run in runs]
    promised = [(number, setting.always_like) for number, setting in enumerate(SETTINGS, 1) if setting.always_like]
    assert len(promised) == 5
    assert [number for number, like in promised if texts[number - 1] != texts[like - 1]] == []


def test_particles_follow_the_number_as_it_is_read():
    said = "".join(with_particle(f"[{number}]")[-1] for number in range(1, 11))
    assert said == "과와과와와과과과와과"  # 일 이 삼 사 오 육 칠 팔 구 십


def test_settings_compare_with_settings_that_are_there():
    for number, setting in enumerate(ALL_SETTINGS, start=1):
        assert setting.compared_with is None if number == 1 else 1 <= setting.compared_with < number


@pytest.mark.parametrize(("arguments", "message"), [
    ({"only": ("0",)}, r"^only: 1부터 30까지의 번호여야 하는데 '0'입니다"), ({"only": ("열",)}, "only: .*'열'"),
    ({"only": ("1",), "beyond": True}, "함께 쓸 수 없습니다"), ({"png": True}, "^png: .*--report"),
    ({"samples": 1001}, "^samples: 1000 이하여야"), ({"do_sample": False, "top_p": 0.9}, "^top_p: 뽑을 때만"),
    ({"penalty_alpha": 0.6, "do_sample": True}, "^penalty_alpha: "), ({"length_penalty": 0.0}, "^length_penalty: "),
    ({"penalty_alpha": 0.6, "temperature": 0.7}, "^penalty_alpha: .*temperature 옵션과"),
    ({"penalty_alpha": 0.6, "num_beams": 2}, "^penalty_alpha: .*num_beams=2"),
    ({"min_new_tokens": 9, "max_new_tokens": 8}, r"^min_new_tokens: max_new_tokens\(8\) 이하여야 하는데 9"),
])
def test_what_cannot_be_is_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        GenerationInferArguments("kogpt-mini", **arguments)


def test_figures_of_many_seeds(bundled):
    model, tokenizer = bundled
    input_ids = encode_prompt(model, tokenizer, "긍정")
    greedy, drawn = outcomes(model, tokenizer, input_ids, [SETTINGS[0], SETTINGS[8]], range(7, 12))
    assert (len(greedy.texts), len(drawn.texts)) == (1, 5)
    assert greedy.figures["texts"] == drawn.figures["texts"] == 5  # the same text five times
    assert greedy.figures["distinct_2"] < drawn.figures["distinct_2"]
    own = [text.removeprefix("긍정") for text in drawn.texts]
    assert drawn.figures["distinct_2"] == distinct(own, 2)
    assert drawn.figures["ended"] == sum(drawn.ended) / 5

    total = tokens = 0
    for text in drawn.token_ids:
        with torch.no_grad():
            steps = model(text[None]).logits[0, :-1].log_softmax(-1)
        total += float(steps[input_ids.shape[1] - 1 :].gather(1, text[input_ids.shape[1] :, None]).sum())
        tokens += len(text) - input_ids.shape[1]
    assert drawn.figures["log_prob"] == pytest.approx(total / tokens, abs=1e-4)


def test_human_reviews_are_of_the_prompts_control_word_and_as_many():
    args = GenerationInferArguments("kogpt-mini", input_sentence="부정 이 영화는")
    reviews = human_reviews(args, 20)
    assert len({review.text for review in reviews}) == 20
    assert {review.control for review in reviews} == {"부정 "}
    both = human_reviews(GenerationInferArguments("kogpt-mini"), 40)
    assert {review.control for review in both} == {"긍정 ", "부정 "}
    assert figures([review.own_text for review in reviews], None, -3.0)["distinct_2"] > 0.5


def test_what_the_tour_counts_has_the_human_row_beside_it(take):
    tour, _ = take(only=("9",), samples=3)
    told = tour.finish()
    assert re.search(r"^\[9\] +0\.\d{3} +\d+\.\d% +\d+\.\d +\d+% +-\d\.\d\d +3$", told, re.MULTILINE)
    assert re.search(r"^사람의 리뷰 +0\.\d{3} +\d+\.\d% +\d+\.\d +-\d\.\d\d +3$", told, re.MULTILINE)


def test_other_models_write_beside_it_from_the_same_seeds(take, tiny_folder, finetuned_folder):
    tour, _ = take(only=("9",), models=(str(tiny_folder), str(finetuned_folder)))
    lines = [line.split("│")[1].strip() for line in tour.finish().splitlines() if "│" in line]
    assert len(lines) == len(set(lines)) == 3
    assert lines[0] == " ".join(tour.shown["[9]"].texts[0].split())
    with pytest.raises(UserError, match="'없는/모델': 이 컴퓨터에 없고"):
        take(only=("9",), models=("없는/모델",))
