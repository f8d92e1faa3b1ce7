import copy
import unicodedata

import pytest
import torch
from helpers import HUB_NAMES, tiny_config
from transformers import AutoModelForCausalLM, set_seed

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import (
    SETTINGS,
    GenerationInferArguments,
    encode_prompt,
    load_for_inference,
    load_pretrained,
    load_tokenizer,
    readable,
)
from ratsnlp.nlpbook.generation.prompts import continuation, cut_to_sentence


def test_the_sixteen_settings_of_the_tutorial_in_order():
    arguments = [setting.arguments for setting in SETTINGS]
    assert len(arguments) == 16
    assert all(a["min_length"] == 10 and a["max_length"] == 50 for a in arguments)
    assert [a["do_sample"] for a in arguments] == [False] * 8 + [True] * 8
    knobs = [{k: v for k, v in a.items() if k not in ("do_sample", "min_length", "max_length")} for a in arguments]
    assert knobs == [
        {}, {"num_beams": 3}, {"num_beams": 1}, {"no_repeat_ngram_size": 3},
        {"repetition_penalty": 1.0}, {"repetition_penalty": 1.1}, {"repetition_penalty": 1.2},
        {"repetition_penalty": 1.5}, {"top_k": 50}, {"top_k": 1}, {"top_k": 50, "temperature": 0.01},
        {"top_k": 50, "temperature": 1.0}, {"top_k": 50, "temperature": 1e8}, {"top_p": 0.92}, {"top_p": 0.01},
        {"repetition_penalty": 1.5, "no_repeat_ngram_size": 3, "temperature": 0.9, "top_k": 50, "top_p": 0.92}]


@pytest.fixture(scope="module")
def bundled():
    return load_pretrained("kogpt-mini")


@pytest.fixture(scope="module")
def texts(bundled):
    model, tokenizer = bundled
    input_ids = encode_prompt(model, tokenizer, "안녕하세요")
    found = []
    for setting in SETTINGS:
        set_seed(7)
        with torch.inference_mode():
            found.append(readable(tokenizer, model.generate(input_ids, **setting.arguments)[0]))
    return found


def test_each_hint_that_promises_the_same_text_keeps_its_word(texts):
    for number in (3, 5, 10, 15):
        assert texts[number - 1] == texts[0], number
    assert texts[11] == texts[8]
    assert len({texts[number - 1] for number in (1, 8, 9, 13, 16)}) == 5
    assert all(text.startswith("안녕하세요") for text in texts)


def test_settings_are_shown_as_one_types_them():
    assert str(SETTINGS[3]) == "do_sample=False, min_length=10, max_length=50, no_repeat_ngram_size=3"


def test_the_prompts_last_space_is_left_to_the_next_token(bundled):
    model, tokenizer = bundled
    assert torch.equal(encode_prompt(model, tokenizer, "긍정 "), encode_prompt(model, tokenizer, "긍정"))


@pytest.mark.parametrize(("prompt", "max_length", "message"), [
    ("", 50, "빈 프롬프트"), (" \n", 50, "빈 프롬프트"), ("가나다라 " * 100, 50, "자리가 없습니다"),
    ("긍정", 1, "자리가 없습니다"), ("긍정", 257, "256 이하여야 하는데 257"),
])
def test_a_prompt_that_does_not_fit_is_told(bundled, prompt, max_length, message):
    with pytest.raises(UserError, match=message):
        encode_prompt(*bundled, prompt, max_length)


def test_new_tokens_have_to_fit_behind_the_prompt(bundled):
    length = encode_prompt(*bundled, "긍정 이 영화는", max_new_tokens=200).shape[1]
    assert encode_prompt(*bundled, "긍정 이 영화는", max_new_tokens=256 - length).shape[1] == length
    told = rf"{length}토큰이라 이 모델의 최대 길이\(256토큰\)에 새 토큰 {257 - length}개를"
    with pytest.raises(UserError, match=told):
        encode_prompt(*bundled, "긍정 이 영화는", max_new_tokens=257 - length)
    told = "^max_new_tokens: 이 모델의 최대 길이는 256토큰이라 255 이하여야 하는데 256입니다.$"
    with pytest.raises(UserError, match=told):
        encode_prompt(*bundled, "긍정", max_new_tokens=256)


class FakeTokenizer:
    unk_token_id = None

    def __init__(self, text):
        self.text = text

    def convert_tokens_to_ids(self, token):
        return None

    def decode(self, token_ids, skip_special_tokens):
        assert skip_special_tokens
        return self.text


def test_what_the_tokenizer_does_not_know_stays_visible(tokenizer):
    ids = tokenizer.encode("긍정 영화")
    assert readable(tokenizer, [0, *ids, 5, 3, 1]) == "긍정 영화<unk>"
    gpt2 = copy.deepcopy(tokenizer)
    gpt2.unk_token = gpt2.eos_token  # as OpenAI's and GPT-NeoX's
    assert readable(gpt2, [0, *ids, 1]) == "긍정 영화"


@pytest.mark.parametrize("number", [1, 3])
def test_what_the_hubs_tokenizers_do_not_know(hub, number):
    tokenizer = load_tokenizer(HUB_NAMES[number])
    text = readable(tokenizer, [*tokenizer.encode("뷁 좋다"), tokenizer.eos_token_id])
    assert text == ("<unk> 좋다" if number == 1 else "뷁 좋다")


def test_a_continuation_keeps_its_space(tokenizer):
    prompt, new = tokenizer.encode("긍정 이 영화는"), tokenizer.encode("정말 좋다 😂😂")
    assert continuation(tokenizer, torch.tensor([*prompt, *new, 1]), len(prompt)) == " 정말 좋다 😂😂"
    assert continuation(tokenizer, [*prompt, *new], len(prompt) + len(new) - 4) == "😂"


@pytest.mark.parametrize(("text", "cut"), [
    (" 재미있다. 그런데 배우가", " 재미있다."), (" 최고!! 또 보고", " 최고!!"), (" 좋아요 ㅋㅋ 또", " 좋아요 ㅋㅋ"),
    (" 기분 나쁨..최악의", " 기분 나쁨.."), (" 귀여워요♥^^ 또", " 귀여워요♥^^"), (' "재미있다." 라고', ' "재미있다."'),
    (" 슬프다ㅠㅠ 눈물이", " 슬프다ㅠㅠ"), (" 별로… 돈이", " 별로…"), (" 왜 봐?ㅋ 시간이", " 왜 봐?ㅋ"),
    (" 평점 3.5점 줄", " 평점 3.5점 줄"), (" 평점은 3.", " 평점은 3."), (" 좋다. 평점은 3.", " 좋다."),
    (" ㅋㅋ웃기", " ㅋㅋ웃기"), (" 정말~로 너.무", " 정말~로 너.무"), ("", ""), (" 끝났다.", " 끝났다.")])
def test_a_sentence_that_is_cut_off_is_left_out(text, cut):
    assert cut_to_sentence(text) == cut


@pytest.mark.parametrize("text", [
    "ㅋㅋㅋ 웃김 ㅠㅠ", "ㅇㅈ", "ㄳ합니다", "가나다 한글 ABC 😂", "ㄱㄴㄷㄹ ㅏㅓㅗㅜ ㅎㅎ"])
def test_lone_jamo_come_back_as_people_type_them(text):
    """KoGPT2's tokenizer applies NFKC; where that loses nothing but the kind of jamo, the text comes back."""
    mangled = unicodedata.normalize("NFKC", text)
    assert readable(FakeTokenizer(mangled), []) == text


def test_half_a_character_is_left_out(tokenizer):
    ids = tokenizer("좋다 😂")["input_ids"]
    assert readable(tokenizer, ids) == "좋다 😂"
    assert readable(tokenizer, ids[:-1]).rstrip() == "좋다"


def test_jamo_that_belong_together_become_a_syllable():
    assert readable(FakeTokenizer(unicodedata.normalize("NFD", "한글 ㅋ")), []) == "한글 ㅋ"


def test_a_finetuned_folder_is_loaded_instead(finetuned_folder, tiny_folder):
    tuned, _ = load_for_inference(GenerationInferArguments(str(tiny_folder), str(finetuned_folder)))
    plain, tokenizer = load_for_inference(GenerationInferArguments(str(tiny_folder)), eos_token="</s>")
    assert not torch.equal(tuned.transformer.wte.weight, plain.transformer.wte.weight)
    assert tokenizer.eos_token == "</s>"


def test_lengths_follow_a_model_of_few_positions(tokenizer):
    config = tiny_config("gpt2", tokenizer)
    config.n_positions = 32
    model = AutoModelForCausalLM.from_config(config)
    input_ids = encode_prompt(model, tokenizer, "긍정")
    for setting in SETTINGS:
        assert setting.fit(model)["max_length"] == 32
        assert model.generate(input_ids, **setting.fit(model)).shape[1] <= 32
    with pytest.raises(UserError, match="max_length: 이 모델의 최대 길이는 32토큰이라 32 이하여야 하는데 50입니다"):
        encode_prompt(model, tokenizer, "긍정", 50)
