"""CTranslate2 writes the summaries that transformers writes, or is refused in one line."""

import json
from copy import deepcopy

import pytest
import torch

from ratsnlp.nlpbook import UserError, pretrained
from ratsnlp.nlpbook.generation import DecodingOptions
from ratsnlp.nlpbook.generation.engines import Translator
from ratsnlp.nlpbook.summarization import Predictor, SummarizationInferArguments, made_dialogues
from ratsnlp.nlpbook.summarization.features import dialogue_ids

pytest.importorskip("ctranslate2", reason="ctranslate2가 없습니다: pip install -r requirements-ctranslate2.txt")

DIALOGUES = [made.dialogue for made in made_dialogues(30, seed=7)]
SMALL = {
    "bart": {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
             "max_position_embeddings": 256, "decoder_start_token_id": 1, "forced_eos_token_id": 1},
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 3}}
SMALL |= {"mt5": SMALL["t5"], "m2m_100": SMALL["bart"]}


@pytest.fixture(scope="module")
def tokenizer():
    return pretrained.load_tokenizer("kobart-mini")


def random_model(kind: str, tokenizer, eos_bias: float = 0.0, spare: int = 0, **changes):
    """A small model whose texts are as different as its inputs; an output head that is tied would repeat one token."""
    from transformers import AutoConfig

    torch.manual_seed(0)
    model = pretrained.new_model(AutoConfig.for_model(
        kind, **{"vocab_size": len(tokenizer) + spare, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3,
                 "tie_word_embeddings": False, **SMALL[kind], **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        if not model.config.tie_word_embeddings:
            torch.nn.init.normal_(model.lm_head.weight, std=0.6)
        if kind == "bart":
            model.final_logits_bias.normal_(std=0.5)
            model.final_logits_bias[0, tokenizer.eos_token_id] = eos_bias
    return pretrained.use_special_tokens(model, tokenizer)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bart")
    model = random_model("bart", tokenizer, eos_bias=7.0)
    model.generation_config = pretrained.load_generation_config("kobart-mini")
    model.save_pretrained(folder)
    pretrained.save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def predictors(folder):
    """One by transformers, and one by CTranslate2."""
    return Predictor.from_pretrained(str(folder)), Predictor.from_pretrained(str(folder), engine="ctranslate2")


def by_transformers(model, inputs: list[list[int]], best: int = 1, **options) -> list[list[int]]:
    """What ``model.generate`` writes for them, up to and with eos."""
    rows = model.generate(
        torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, inputs)), batch_first=True, padding_value=3),
        attention_mask=torch.nn.utils.rnn.pad_sequence([torch.ones(len(ids)) for ids in inputs], batch_first=True),
        do_sample=False, num_return_sequences=best, forced_eos_token_id=None, **options)[:, 1:].tolist()
    return [row[: row.index(1) + 1] if 1 in row else row for row in rows]


BEAMS = {"num_beams": 5, "early_stopping": True}


@pytest.mark.parametrize("options", [
    {}, {"min_new_tokens": 20}, {"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 2, "min_new_tokens": 5}, BEAMS,
    *({**BEAMS, "length_penalty": penalty} for penalty in (-1.0, 0.0, 2.0))])
def test_the_token_ids_are_transformers_own_in_batches_of_any_lengths(predictors, options):
    engine = predictors[1].engine
    inputs = [dialogue_ids(engine.tokenizer, dialogue) for dialogue in DIALOGUES]
    assert len(set(map(len, inputs))) > 20
    expected = by_transformers(predictors[0].model, inputs, max_new_tokens=30, **options)
    assert len(set(map(tuple, expected))) > 4
    early_stopping = options.get("early_stopping")
    options = {name: options[name] for name in options if name != "early_stopping"}
    written = engine.generate(inputs, DecodingOptions(**options, max_new_tokens=30), early_stopping=early_stopping)
    assert written == expected


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_the_best_few_of_a_beam_search_too(tokenizer, tmp_path, penalty):
    model = random_model("bart", tokenizer, eos_bias=7.0, encoder_layers=1, max_position_embeddings=512)
    inputs = [dialogue_ids(tokenizer, dialogue) for dialogue in DIALOGUES]
    expected = by_transformers(model, inputs, best=5, max_new_tokens=30, length_penalty=penalty, **BEAMS)
    options = DecodingOptions(num_beams=5, max_new_tokens=30, length_penalty=penalty)
    assert Translator(model, tokenizer, tmp_path / "ctranslate2").generate(inputs, options, 5, True) == expected


@pytest.mark.parametrize("options", [{}, {"num_beams": 5}, {"no_repeat_ngram_size": 3, "max_length": 31}])
def test_a_predictor_writes_by_it_what_it_writes_by_transformers_and_knows_what_has_ended(predictors, folder, options):
    options = options if "max_length" in options else {"max_new_tokens": 30, **options}
    expected, written = ({number: (sample.text, sample.ended) for batch in predictor.batches(
        DIALOGUES, 8, show_progress=False, **options) for number, _, sample in batch} for predictor in predictors)
    assert written == expected
    assert {ended for _, ended in written.values()} == {True, False}
    assert (folder / "ctranslate2" / "model.bin").is_file()


def test_the_scripts_arguments_and_int8(folder):
    args = SummarizationInferArguments(
        downstream_model_dir=str(folder), engine="ctranslate2", compute_type="int8", dialogue=DIALOGUES[0], num_beams=1)
    predictor = Predictor.from_arguments(args, [])
    assert predictor.engine.generator.compute_type.startswith("int8")
    texts = predictor.predict_batch(DIALOGUES, show_progress=False, max_new_tokens=20, **args.generation)
    assert len(set(texts)) > 10


def test_it_is_made_anew_when_the_decoder_begins_with_another_token_and_leaves_the_configuration(
        predictors, tokenizer, tmp_path):
    model = predictors[0].model
    config, folder = deepcopy(model.config), tmp_path / "ctranslate2"
    inputs = [dialogue_ids(tokenizer, dialogue) for dialogue in DIALOGUES[:4]]
    named, texts = ["num_beams", "no_repeat_ngram_size", "repetition_penalty"], []
    for start in (1, 0):
        model.generation_config.decoder_start_token_id = start
        try:
            engine = Translator(model, tokenizer, folder, always_named=named)
            texts.append(engine.generate(inputs, DecodingOptions(max_new_tokens=8)))
            assert texts[-1] == by_transformers(model, inputs, max_new_tokens=8)
            assert json.loads((folder / "weights.json").read_text(encoding="utf-8"))["decoder_start"] == start
        finally:
            model.generation_config.decoder_start_token_id = 1
    assert texts[0] != texts[1]
    assert {file.name for file in folder.iterdir()} == {
        "model.bin", "config.json", "shared_vocabulary.json", "weights.json"}
    assert model.config.to_dict() == config.to_dict()
    assert not hasattr(model.config, "normalize_before")


@pytest.mark.parametrize(("kind", "changes"), [
    ("bart", {"tie_word_embeddings": True, "scale_embedding": True}), ("bart", {"spare": 700}),
    ("t5", {}), ("t5", {"feed_forward_proj": "gated-gelu"}), ("t5", {"tie_word_embeddings": True}), ("mt5", {})])
def test_other_shapes_and_t5(kind, changes, tokenizer, tmp_path):
    model = random_model(kind, tokenizer, **changes)
    inputs = [dialogue_ids(tokenizer, dialogue) for dialogue in DIALOGUES]
    engine = Translator(model, tokenizer, tmp_path / "ctranslate2")
    greedy = engine.generate(inputs, DecodingOptions(max_new_tokens=12))
    assert greedy == by_transformers(model, inputs, max_new_tokens=12)
    assert engine.generate(inputs, DecodingOptions(max_new_tokens=12, num_beams=4), early_stopping=True) == (
        by_transformers(model, inputs, max_new_tokens=12, num_beams=4, early_stopping=True))
    assert any(token >= len(tokenizer) for ids in greedy for token in ids) == ("spare" in changes)


def test_an_encoder_decoder_that_it_has_not_been_tried_with_is_refused(tokenizer, tmp_path):
    with pytest.raises(UserError, match="모르는 모델.*m2m_100: BART, T5가 아닙니다.*--engine transformers"):
        Translator(random_model("m2m_100", tokenizer), tokenizer, tmp_path / "ctranslate2")
    assert not (tmp_path / "ctranslate2").exists()


def test_settings_of_the_models_own_are_refused_unless_every_call_names_them(tokenizer, tmp_path):
    model = random_model("bart", tokenizer)
    model.generation_config.num_beams = 4
    with pytest.raises(UserError, match="generation_config.json에 num_beams=4"):
        Translator(model, tokenizer, tmp_path / "ctranslate2")
    Translator(model, tokenizer, tmp_path / "ctranslate2", always_named=Predictor.always_named)
    model.generation_config.forced_bos_token_id = 0
    with pytest.raises(UserError, match="generation_config.json에 forced_bos_token_id=0.*--engine transformers"):
        Translator(model, tokenizer, tmp_path / "ctranslate2", always_named=Predictor.always_named)


def test_the_same_seed_draws_the_same_and_only_from_what_is_left(predictors, tokenizer, tmp_path):
    model = predictors[0].model
    inputs = [dialogue_ids(tokenizer, DIALOGUES[0])] * 80
    options = DecodingOptions(do_sample=True, top_k=3, temperature=1.5, max_new_tokens=1)
    drawn = [Translator(model, tokenizer, tmp_path / "ctranslate2", seed=seed, always_named=Predictor.always_named)
             .generate(inputs, options) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    with torch.no_grad():
        logits = model(torch.tensor(inputs[:1]), decoder_input_ids=torch.tensor([[1]])).logits[0, -1]
    assert {ids[0] for ids in drawn[0]} == set(logits.topk(3).indices.tolist())


@pytest.mark.parametrize(("named", "refused"), [
    ({"repetition_penalty": 1.5}, r"repetition_penalty: .*시작 토큰.*: --repetition_penalty 1\.0$"),
    ({"no_repeat_ngram_size": 1}, "no_repeat_ngram_size: .*시작 토큰"),
    ({"num_beams": 5, "no_repeat_ngram_size": 3}, "no_repeat_ngram_size: .*빔 서치"),
    ({"num_beams": 5, "min_new_tokens": 5}, "min_new_tokens: .*빔 서치.*--min_new_tokens 0$"),
    ({"num_beams": 5, "early_stopping": False}, "early_stopping: .*--early_stopping true$"),
    ({"num_beams": 5, "early_stopping": "never"}, "early_stopping: "),
    ({"num_beams": 5, "do_sample": True}, "num_beams: .*--num_beams 1$"),
    ({"num_beams": 5, "min_new_tokens": 30, "repetition_penalty": 1.5, "no_repeat_ngram_size": 3},
     r"min_new_tokens: |repetition_penalty: .*--repetition_penalty 1\.0 --no_repeat_ngram_size 0 --min_new_tokens 0$"),
    ({"do_sample": True, "min_p": 0.1}, "min_p: CTranslate2에 없는"), ({"penalty_alpha": 0.6}, "penalty_alpha: "),
    ({"num_beams": 5, "length_penalty": 2.0, "repetition_penalty": 1.0}, None),
    ({"min_new_tokens": 30, "no_repeat_ngram_size": 3, "early_stopping": False}, None),
    ({"do_sample": True, "top_k": 0, "top_p": 0.9, "temperature": 0.7}, None)])
def test_what_means_something_else_there_is_refused_in_one_line(predictors, named, refused):
    summarize = predictors[1].predict_single
    if refused is None:
        assert isinstance(summarize(DIALOGUES[0], **named, max_new_tokens=40), str)
    else:
        with pytest.raises(UserError, match=f"^{refused}") as caught:
            summarize(DIALOGUES[0], **named)
        assert "--engine transformers" in str(caught.value)


def test_it_does_not_write_as_it_goes(predictors):
    with pytest.raises(UserError, match="^write: ctranslate2"):
        predictors[1].predict_single(DIALOGUES[0], write=print)
