"""CTranslate2 writes what transformers writes, or is refused."""

import json
import shutil

import pytest
import torch
from helpers import tiny_config

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import DecodingOptions, Predictor, load_pretrained
from ratsnlp.nlpbook.generation.engines import Ctranslate2, engine_folder
from ratsnlp.nlpbook.paths import KOGPT_MINI, OUTPUT

INSTALL = "ctranslate2가 없습니다. python -m pip install -r requirements-ctranslate2.txt로 설치하면 테스트합니다."
PROMPTS = ["긍정", "부정", "이 영화는", "배우들의 연기가 정말 좋았고", "ㅋㅋ 이게 뭐야", "1점도 아깝다", "긍정 😂 감동"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    pytest.importorskip("ctranslate2", reason=INSTALL)
    model, tokenizer = load_pretrained("kogpt-mini")
    folder = tmp_path_factory.mktemp("model") / "ctranslate2"
    return model, tokenizer, folder, Ctranslate2(model, tokenizer, folder)


def greedy(model, ids, **lengths):
    written = model.generate(torch.tensor([ids]), do_sample=False, **lengths)[0, len(ids):]
    return written.tolist()


@pytest.mark.parametrize("lengths", [{"max_new_tokens": 30}, {"max_new_tokens": 12, "min_new_tokens": 12}])
def test_greedy_texts_are_transformers_own_whatever_the_lengths_of_the_prompts(converted, lengths):
    model, tokenizer, _, engine = converted
    prompts = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    assert len(set(map(len, prompts))) > 2
    expected = [greedy(model, ids, **lengths) for ids in prompts]
    assert engine.generate(prompts, DecodingOptions(**lengths)) == expected
    assert any(tokenizer.eos_token_id in ids for ids in expected) != ("min_new_tokens" in lengths)


def test_gpt_neox_too_and_a_model_with_rows_to_spare(tiny_model, tokenizer, tmp_path):
    pytest.importorskip("ctranslate2", reason=INSTALL)
    model = tiny_model.eval()
    model.resize_token_embeddings(len(tokenizer) + 24)
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.3)
    prompts = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    engine = Ctranslate2(model, tokenizer, tmp_path / "ctranslate2")
    assert engine.generate(prompts, DecodingOptions(max_new_tokens=12)) == [
        greedy(model, ids, max_new_tokens=12) for ids in prompts]


def test_rotary_embeddings_that_it_would_get_wrong_are_refused(tokenizer, tmp_path):
    pytest.importorskip("ctranslate2", reason=INSTALL)
    from transformers import AutoModelForCausalLM

    config = tiny_config("gpt_neox", tokenizer)
    config.rope_parameters = config.rope_parameters | {"rope_theta": 500_000}
    with pytest.raises(UserError, match="모르는 모델.*500000.*--engine transformers"):
        Ctranslate2(AutoModelForCausalLM.from_config(config), tokenizer, tmp_path / "ctranslate2")
    assert not (tmp_path / "ctranslate2").exists()


def test_a_model_with_decoding_settings_of_its_own_is_refused(tiny_model, tokenizer, tmp_path):
    pytest.importorskip("ctranslate2", reason=INSTALL)
    tiny_model.generation_config.top_k = 50  # transformers' own, as our exports name it
    Ctranslate2(tiny_model, tokenizer, tmp_path / "ctranslate2")
    tiny_model.generation_config.repetition_penalty = 1.05
    with pytest.raises(UserError, match="generation_config.json에 repetition_penalty=1.05.*--engine transformers"):
        Ctranslate2(tiny_model, tokenizer, tmp_path / "ctranslate2")


def test_the_same_seed_draws_the_same_and_only_from_what_is_left(converted):
    model, tokenizer, folder, _ = converted
    prompts = [tokenizer("긍정")["input_ids"]] * 80
    options = DecodingOptions(do_sample=True, top_k=3, temperature=1.5, max_new_tokens=1)
    drawn = [Ctranslate2(model, tokenizer, folder, seed=seed).generate(prompts, options) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 80
    with torch.no_grad():
        best = model(torch.tensor(prompts[:1])).logits[0, -1].topk(3).indices.tolist()
    assert {ids[0] for ids in drawn[0]} == set(best)


def test_it_is_converted_once_and_anew_when_the_weights_are_others(converted, tmp_path):
    model, tokenizer, *_ = converted
    folder = tmp_path / "ctranslate2"
    Ctranslate2(model, tokenizer, folder)
    first = (folder / "model.bin").stat().st_mtime_ns
    (folder / "메모.txt").write_text("내 것", encoding="utf-8")
    Ctranslate2(model, tokenizer, folder, "int8")
    assert (folder / "model.bin").stat().st_mtime_ns == first
    ids = tokenizer("긍정")["input_ids"]
    with torch.no_grad():
        before = model.transformer.ln_f.bias.clone()
        model.transformer.ln_f.bias += torch.randn(before.shape, generator=torch.Generator().manual_seed(1)) * 5
        try:
            engine = Ctranslate2(model, tokenizer, folder)
            assert (folder / "model.bin").stat().st_mtime_ns != first
            assert engine.generate([ids], DecodingOptions(max_new_tokens=8)) == [greedy(model, ids, max_new_tokens=8)]
        finally:
            model.transformer.ln_f.bias.copy_(before)
    assert (folder / "메모.txt").read_text(encoding="utf-8") == "내 것"
    assert len(json.loads((folder / "weights.json").read_text(encoding="utf-8"))["sha256"]) == 64


def test_a_predictor_writes_by_it_what_it_writes_by_transformers(converted, tiny_folder):
    model, tokenizer, _, engine = converted
    lengths = {"max_length": 20, "min_length": 6}  # that count the prompt
    expected = Predictor(model, tokenizer).predict_batch(PROMPTS, 3, show_progress=False, **lengths)
    assert Predictor(model, tokenizer, engine=engine).predict_batch(PROMPTS, 3, False, **lengths) == expected
    with pytest.raises(UserError, match="^no_repeat_ngram_size: "):
        Predictor(model, tokenizer, engine=engine).predict_single("긍정", no_repeat_ngram_size=2)
    predictor = Predictor.from_pretrained(str(tiny_folder), engine="ctranslate2", compute_type="int8")
    assert predictor.engine.generator.compute_type.startswith("int8")
    assert (tiny_folder / "ctranslate2" / "model.bin").is_file()
    shutil.rmtree(tiny_folder / "ctranslate2")  # the folder is every test's


@pytest.mark.parametrize(("named", "refused"), [
    ({"repetition_penalty": 1.2}, "repetition_penalty: .*프롬프트"),
    ({"no_repeat_ngram_size": 3}, "no_repeat_ngram_size: "), ({"num_beams": 3}, "num_beams: "),
    ({"do_sample": True, "min_p": 0.1}, "min_p: "), ({"polarity": 3.0}, "polarity: "),
    ({"do_sample": True, "top_p": 0.9, "temperature_last": True}, "temperature_last: "),
    ({"penalty_alpha": 0.6}, "penalty_alpha: "), ({"repetition_penalty": 1.0, "num_beams": 1, "min_p": 0.0}, None),
    ({"do_sample": True, "top_k": 0, "top_p": 0.9, "temperature": 0.7, "max_new_tokens": 5}, None)])
def test_what_means_something_else_there_is_refused_in_one_line(named, refused):
    if refused is None:
        Ctranslate2.check(DecodingOptions(**named))
    else:
        with pytest.raises(UserError, match=f"^{refused}.*--engine transformers"):
            Ctranslate2.check(DecodingOptions(**named))


def test_it_lies_beside_the_model_and_never_in_the_repositorys_own(tiny_folder):
    assert engine_folder(str(tiny_folder)) == tiny_folder / "ctranslate2"
    assert engine_folder("skt/kogpt2-base-v2") == OUTPUT / "ctranslate2" / "skt--kogpt2-base-v2"
    for bundled in ("kogpt-mini", str(KOGPT_MINI)):
        assert engine_folder(bundled) == OUTPUT / "ctranslate2" / "kogpt-mini"
