"""Texts for many prompts: what a batch gives is what each prompt gets alone."""

import unicodedata

import pytest
import torch
from helpers import tiny_config
from transformers import AutoModelForCausalLM, BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import Predictor, encode_prompt, load_finetuned, readable
from ratsnlp.nlpbook.generation.streamer import SyllableStreamer

PROMPTS = ["긍정", "부정 이 영화는 정말 재미있어요 그런데", "이 영화는", "긍정 배우들의 연기가 좋고 음악도 좋고 결말도",
           "재미", "긍정 정말 정말 정말", "이 영화는 ", "부정 ㅋㅋㅋ 😂"]


@pytest.fixture(scope="module")
def bundled():
    return Predictor.from_pretrained("kogpt-mini", "cpu")


@pytest.fixture
def ending_model(tiny_model, tokenizer):
    """A model that ends some of the texts early, as a random one hardly ever does: eos is what it likes to write."""
    tiny_model.eval()
    second = [int(tiny_model.generate(encode_prompt(tiny_model, tokenizer, prompt), max_new_tokens=2, do_sample=False,
                                      pad_token_id=3)[0, -1]) for prompt in PROMPTS]
    tiny_model.generation_config.eos_token_id = max(set(second), key=second.count)
    return tiny_model


def alone(model, tokenizer, prompt: str, **knobs) -> str:
    """What ``model.generate`` writes after ``prompt``, up to eos."""
    ids = encode_prompt(model, tokenizer, prompt, knobs.get("max_length"), knobs.get("max_new_tokens"))
    (text,) = model.generate(
        ids, attention_mask=torch.ones_like(ids), **{"do_sample": False, "pad_token_id": 3, **knobs})
    new = text[ids.shape[1] :].tolist()
    eos = model.generation_config.eos_token_id
    whole = readable(tokenizer, ids[0].tolist() + (new[: new.index(eos)] if eos in new else new))
    return whole.removeprefix(readable(tokenizer, ids[0]))


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints")
@pytest.mark.parametrize(("knobs", "padding"), [
    ({"max_new_tokens": 8}, "eos"), ({"max_length": 26}, "<pad>"), ({"max_length": 26, "min_length": 22}, "<pad>"),
    ({"min_length": 9}, "<pad>"), ({"min_new_tokens": 6}, "eos"), ({"repetition_penalty": 1.5}, "<pad>"),
    ({"no_repeat_ngram_size": 1}, "eos"), ({"no_repeat_ngram_size": 2}, "<pad>"),
    ({"no_repeat_ngram_size": 2, "repetition_penalty": 1.2, "max_length": 26}, "eos"),
    ({"num_beams": 2, "max_length": 26, "length_penalty": 0.0}, "<pad>")], ids=str)
def test_a_text_is_the_one_that_its_prompt_gets_alone(ending_model, tiny_folder, knobs, padding):
    """Also after a prompt that holds the padding token, and where that is eos, as GPT-NeoX has it."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_folder)
    if padding == "eos":
        tokenizer.pad_token = None
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ending_model.generation_config.eos_token_id)
    predictor = Predictor(ending_model, tokenizer)
    prompts = [*PROMPTS, "긍정<pad>"]
    knobs = knobs if "max_length" in knobs else {"max_new_tokens": 8} | knobs
    texts = predictor.predict_batch(prompts, batch_size=8, show_progress=False, **knobs)
    assert texts == [alone(ending_model, tokenizer, prompt, **knobs) for prompt in prompts]
    assert len(set(map(len, texts))) > 3


def test_other_ways_to_decode_share_a_batch_or_go_alone(ending_model, tokenizer):
    predictor = Predictor(ending_model, tokenizer)
    for knobs in ({"penalty_alpha": 0.6, "top_k": 4}, {"polarity": 5.0, "top_k": 1}, {"top_n_sigma": 0.001}):
        texts = predictor.predict_batch(PROMPTS, 4, False, max_new_tokens=4, **knobs)
        assert texts == [predictor.predict_single(prompt, max_new_tokens=4, **knobs) for prompt in PROMPTS]


def test_a_text_keeps_the_space_before_it_and_leaves_the_prompt_to_its_caller(bundled):
    text = bundled.predict_single("긍정 이 영화는", max_new_tokens=10)
    assert text[0] == " "
    assert bundled.predict_single("긍정 이 영화는 ", max_new_tokens=10, with_prompt=True) == f"긍정 이 영화는{text}"
    assert bundled.predict_batch(["긍정 이 영화는"], with_prompt=True, max_new_tokens=10) == [f"긍정 이 영화는{text}"]


def test_the_same_seed_gives_the_same_texts_and_leaves_the_random_state(tiny_model, tokenizer):
    predictor = Predictor(tiny_model, tokenizer)
    draw = {"do_sample": True, "max_new_tokens": 8, "show_progress": False, "batch_size": 3}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    texts = predictor.predict_batch(["긍정"] * 9, seed=7, **draw)
    assert torch.equal(torch.get_rng_state(), state)
    assert texts == predictor.predict_batch(["긍정"] * 9, seed=7, **draw)
    assert len(set(texts)) == 9  # no batch repeats another's draws
    assert texts != predictor.predict_batch(["긍정"] * 9, seed=8, **draw)
    free = predictor.predict_batch(["긍정"] * 9, **draw)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert free == predictor.predict_batch(["긍정"] * 9, **draw)


def test_one_prompt_is_drawn_as_generate_draws_it(tiny_model, tokenizer):
    predictor = Predictor(tiny_model, tokenizer)
    ids = encode_prompt(tiny_model, tokenizer, "이 영화는")
    torch.manual_seed(7)
    (alone,) = tiny_model.generate(ids, do_sample=True, top_k=20, max_new_tokens=9, pad_token_id=3)
    text = predictor.predict_single("이 영화는", seed=7, top_k=20, max_new_tokens=9, with_prompt=True)
    assert text == readable(tokenizer, alone)


def test_several_texts_of_a_prompt(tiny_model, tokenizer):
    predictor = Predictor(tiny_model, tokenizer)
    options = {"max_new_tokens": 6, "show_progress": False, "seed": 7}
    drawn = [part for batch in predictor.batches(["긍정", "이 영화는"], 3, 4, do_sample=True, **options)
             for part in batch]
    assert sorted(part[:2] for part in drawn) == [(prompt, place) for prompt in (0, 1) for place in range(4)]
    assert len({sample.with_prompt for *_, sample in drawn}) == 8
    best = {part[:2]: part[2].text for batch in predictor.batches(["긍정", "이 영화는"], 3, 2, num_beams=4, **options)
            for part in batch}
    assert sorted(best) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert best[1, 0] == predictor.predict_single("이 영화는", num_beams=4, max_new_tokens=6)


def test_batches_go_on_where_another_call_broke_off(tiny_model, tokenizer):
    predictor = Predictor(tiny_model, tokenizer)
    options = {"batch_size": 3, "do_sample": True, "max_new_tokens": 6, "seed": 7, "show_progress": False}
    whole = list(predictor.batches(PROMPTS, **options))
    assert list(predictor.batches(PROMPTS, start=2, **options)) == whole[2:]
    lengths = [[len(tokenizer.encode(PROMPTS[part[0]].rstrip())) for part in batch] for batch in whole]
    assert sum(lengths, []) == sorted(sum(lengths, []), reverse=True)  # the one that needs most memory first


def test_whether_a_text_ended_and_whole_sentences(bundled):
    prompts = ["긍정", "부정", "이 영화는", "긍정 배우들의"] * 3
    options = {"top_k": 50, "max_new_tokens": 12, "seed": 7, "show_progress": False}
    plain = {part[:2]: part[2] for batch in bundled.batches(prompts, **options) for part in batch}
    whole = {part[:2]: part[2] for batch in bundled.batches(prompts, whole_sentences=True, **options)
             for part in batch}
    assert len({sample.ended for sample in plain.values()}) == 2
    cut = [place for place in plain if plain[place] != whole[place]]
    assert cut
    for place, sample in plain.items():
        assert sample.text.startswith(whole[place].text)
        assert whole[place].with_prompt == prompts[place[0]] + whole[place].text
        assert not (sample.ended and place in cut)
    assert all(whole[place].text[-1] in ".!?…~^;♥ㅋㅎㅠㅜㅡ" for place in cut)


@pytest.mark.parametrize(("call", "message"), [
    (lambda p: p.predict_batch(["긍정", " \n"]), "^prompts 2번째: 빈 프롬프트는"),
    (lambda p: p.predict_single(""), "^빈 프롬프트는"),
    (lambda p: p.predict_batch(["긍정", None]), "^prompts 2번째: 문자열이어야 하는데 None입니다"),
    (lambda p: p.predict_batch("긍정"), "^prompts: 프롬프트의 목록"),
    (lambda p: p.predict_batch(["긍정"], batch_size=0), "^batch_size: 1 이상이어야 하는데 0"),
    (lambda p: p.predict_batch(["긍정", "가 " * 90]), r"^prompts 2번째: 프롬프트가 \d+토큰이라 이 모델의 최대 길이"),
    (lambda p: p.predict_batch(["긍정", "이 영화는 " * 4], max_length=5), r"^prompts 2번째: .*max_length\(5\)에"),
    (lambda p: p.predict_single("긍정", max_new_tokens=64), "63 이하여야 하는데 64"),
    (lambda p: p.predict_single("긍정", max_length=65), "max_length: 이 모델의 최대 길이는 64토큰이라 64 이하여야"),
    (lambda p: p.predict_single("긍정", topp=0.9), "^topp: 없는 옵션입니다. 혹시 top_p인가요?"),
    (lambda p: p.predict_single("긍정", 글=1), "^글: 없는 옵션입니다. 쓸 수 있는 이름: do_sample, "),
    (lambda p: p.predict_single("긍정", top_p=2.0), "^top_p: 0보다 크고 1 이하여야"),
    (lambda p: p.predict_single("긍정", seed=-1), "^seed: 0 이상"),
    (lambda p: p.predict_single("긍정", num_beams=2, write=print), "^write: "),
    (lambda p: p.predict_single("\ud83d"), "올바른 유니코드 텍스트가 아닙니다"),
    (lambda p: Predictor(p.model, p.tokenizer, "gpu"), "^device: "),
])
def test_a_mistake_is_one_line(tiny_folder, call, message):
    with pytest.raises(UserError, match=message):
        call(Predictor.from_pretrained(str(tiny_folder), "cpu"))


def test_of_a_runs_folder_the_best_checkpoint_writes(finetuned_folder, tiny_folder):
    prompts = ["긍정", "부정 이 영화는", "정말"]
    tuned = Predictor.from_pretrained(str(finetuned_folder), "cpu").predict_batch(prompts, show_progress=False)
    assert tuned == Predictor(*load_finetuned(finetuned_folder)).predict_batch(prompts, show_progress=False)
    assert tuned != Predictor.from_pretrained(str(tiny_folder)).predict_batch(prompts, show_progress=False)


# Tables


@pytest.fixture
def frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"id": ["가", "나", "다"], "prompt": ["긍정", "부정 이 영화는", "=1+1, \"정말\""]})


def test_a_frame_gets_a_column_and_stays_its_callers(tiny_model, tokenizer, frame):
    predictor, before = Predictor(tiny_model, tokenizer), frame.copy()
    predicted = predictor.predict_dataframe(frame, 2, False, max_new_tokens=5)
    assert frame.equals(before)
    assert list(predicted.columns) == ["id", "prompt", "generated"]
    prompts = frame.set_index("id").prompt  # a column of labels
    assert list(predicted.generated) == predictor.predict_batch(prompts, 2, False, max_new_tokens=5)
    other = predictor.predict_dataframe(
        frame.rename(columns={"prompt": "글"}).set_index("id"), 2, False, prompt_column="글", column="텍스트",
        max_new_tokens=5)
    assert list(other.텍스트) == list(predicted.generated)


def test_a_submission_is_a_new_file_that_excel_reads(tiny_model, tokenizer, frame, tmp_path):
    import pandas

    predictor, file = Predictor(tiny_model, tokenizer), tmp_path / "결과" / "제출.csv"
    written = predictor.create_submission(frame, file, 2, False, max_new_tokens=5, with_prompt=True)
    assert file.read_bytes().startswith(b"\xef\xbb\xbfid,generated")
    assert pandas.read_csv(file, keep_default_na=False).equals(written)
    assert [path.name for path in file.parent.iterdir()] == ["제출.csv"]
    before = file.read_bytes()
    with pytest.raises(UserError, match="output_path: .*제출.csv 파일이 이미 있습니다"):
        predictor.create_submission(frame, file, 2, False)
    assert file.read_bytes() == before


@pytest.mark.parametrize(("changes", "message"), [
    ({"prompt_column": "글"}, "^prompt_column: '글' 열이 없습니다. 있는 것: id, prompt$"),
    ({"id_column": "번호"}, "^id_column: '번호' 열이 없습니다. 있는 것: id, prompt$"),
    ({"column": "prompt"}, "^column: 'prompt' 열이 이미 있습니다"),
])
def test_a_column_that_is_not_there_is_told(tiny_model, tokenizer, frame, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        Predictor(tiny_model, tokenizer).create_submission(frame, tmp_path / "a.csv", show_progress=False, **changes)
    assert not (tmp_path / "a.csv").exists()


# Encoder and decoder


@pytest.mark.parametrize("knobs", [
    {}, {"max_length": 12}, {"min_length": 9}, {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 1},
    {"num_beams": 3, "max_length": 12}], ids=str)
def test_an_encoder_decoder_model_reads_each_prompt_as_if_it_were_alone(tokenizer, knobs):
    torch.manual_seed(0)
    model = BartForConditionalGeneration(BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, bos_token_id=0,
        eos_token_id=1, pad_token_id=3, decoder_start_token_id=1, forced_eos_token_id=1, init_std=0.2))
    predictor = Predictor(model, tokenizer)
    knobs = {"max_new_tokens": 10} | knobs if "max_length" not in knobs else knobs
    prompts = [*PROMPTS, "가나 " * 20]  # longer than what is left of the positions
    texts = predictor.predict_batch(prompts, 4, False, **knobs)
    assert texts == [predictor.predict_single(prompt, **knobs) for prompt in prompts]
    assert len(set(texts)) > 5
    for prompt, text in zip(prompts, texts, strict=True):
        ids = torch.tensor([tokenizer.encode(prompt.rstrip())])
        (alone,) = model.eval().generate(ids, do_sample=False, **{"forced_eos_token_id": None, **knobs})
        assert readable(tokenizer, alone).strip() == text
    samples = [part[2] for batch in predictor.batches(prompts, show_progress=False, **knobs) for part in batch]
    assert not all(sample.ended for sample in samples)  # though the model's own settings put eos at the last place
    with pytest.raises(UserError, match="최대 길이.64토큰.를 넘습니다"):
        predictor.predict_single("가나 " * 60)
    with pytest.raises(UserError, match="with_prompt: "):
        predictor.predict_single("긍정", with_prompt=True)


# While it is written


def written(tokenizer, prompt: list[int], tokens: list[int]) -> list[str]:
    parts = []
    streamer = SyllableStreamer(tokenizer, prompt, parts.append)
    streamer.put(torch.tensor([prompt]))
    for token in tokens:
        streamer.put(torch.tensor([token]))
    streamer.end()
    return parts


@pytest.mark.parametrize("text", ["좋다 😂😂 뷁", "ㅋㅋㅋ 재미 ㅠㅠ", "쀍뷁 ♥", " ", "é"])
def test_parts_of_a_text_are_whole_characters_and_make_the_text(tokenizer, text):
    prompt, tokens = tokenizer.encode("긍정"), tokenizer.encode(text)
    parts = written(tokenizer, prompt, [*tokens, tokenizer.eos_token_id])
    assert "".join(parts) == f" {text}" == readable(tokenizer, prompt + tokens).removeprefix("긍정")
    assert all("\ufffd" not in part for part in parts)


def test_a_character_beside_half_a_one_stays(tokenizer):
    """Once shown it is not taken back, nor is it lost at the end: tokenizers' decoder would drop both."""
    prompt, whole, half = (tokenizer.encode(text) for text in ("긍정", "😂", "😢"))
    parts = written(tokenizer, prompt, [*whole, *half[1:-1]])
    assert "".join(parts) == " 😂"
    assert readable(tokenizer, [*prompt, *whole, *half[1:-1], *whole[1:]]) == "긍정 😂😂"


class JamoTokenizer:
    """One token a character, of the conjoining jamo that KoGPT2's tokenizer makes of ㅋ."""

    unk_token_id = eos_token_id = pad_token_id = None

    def convert_tokens_to_ids(self, token):
        return None

    def decode(self, ids, skip_special_tokens=True):
        return "".join(map(chr, ids))


@pytest.mark.parametrize("text", ["한글 ㅋㅋ", "가ㅏ각", "ㅋ카캌ㅋ", "é́e"])
def test_a_jamo_that_joins_the_character_before_it_is_waited_for(text):
    tokens = [ord(each) for each in unicodedata.normalize("NFKD", text)]
    parts = written(JamoTokenizer(), [ord("!")], tokens)
    assert "".join(parts) == readable(JamoTokenizer(), tokens)


def test_the_parts_are_the_text_that_is_returned(bundled):
    parts = []
    text = bundled.predict_single("긍정", seed=3, temperature=1.5, max_new_tokens=30, write=parts.append)
    assert "".join(parts) == text == bundled.predict_single("긍정", seed=3, temperature=1.5, max_new_tokens=30)
    assert len(parts) >= 4


def test_positions_of_a_few_are_no_reason_to_fail(tokenizer):
    config = tiny_config("gpt2", tokenizer)
    config.n_positions = 16
    predictor = Predictor(AutoModelForCausalLM.from_config(config), tokenizer)
    assert predictor.predict_single("긍정")
