import re

import pytest
from helpers import MINI, SCRIPTS

from ratsnlp.nlpbook.generation import (
    NsmcCorpus,
    bits_per_character,
    load_pretrained,
    load_tokenizer,
    train_tokenizer,
)

SPECIAL = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>"]
NASTY = ["ㅋㅋㅋㅋ ㅠㅠ", "😂👍❤️‍🔥", "  두 칸  띄움 ", "퓛뷁 꿹", '"인용" \'따옴표\'',
         "<0x41> 가 아님", "漢字 かな Ünï", "a", " ", "탭\t과 \u200b"]


def test_special_tokens_have_kogpt2s_ids(tokenizer):
    assert tokenizer.convert_ids_to_tokens(list(range(7))) == SPECIAL
    assert len(tokenizer) == 1200
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (
        0, 1, 3, 5)


@pytest.mark.parametrize("which", ["bundled", "bpe", "unigram"])
def test_text_comes_back_and_nothing_is_unknown(documents, which):
    if which == "bundled":
        tokenizer = load_tokenizer("kogpt-mini")
    else:
        tokenizer = train_tokenizer(documents, 1200, ("긍정", "부정"), which)
    assert len(tokenizer) == (8000 if which == "bundled" else 1200)
    for text in NASTY + documents:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids
    assert tokenizer.convert_ids_to_tokens(tokenizer("긍정 좋다")["input_ids"])[0] == "▁긍정"
    assert tokenizer.convert_ids_to_tokens(tokenizer("부정 싫다")["input_ids"])[0] == "▁부정"


def test_every_real_review_comes_back(nsmc):
    tokenizer = load_tokenizer("kogpt-mini")
    texts = [example.text for mode in ("train", "test") for example in NsmcCorpus().get_examples(nsmc, mode)]
    ids = tokenizer(texts)["input_ids"]
    assert sum(tokenizer.unk_token_id in row for row in ids) == 0
    assert sum(a != b for a, b in zip(tokenizer.batch_decode(ids), texts, strict=True)) == 0


def test_the_bundled_model_is_small_half_precision_and_speaks_korean():
    folder = SCRIPTS / "kogpt-mini"
    assert (folder / "model.safetensors").stat().st_size <= 16 * 2**20
    assert (folder / "README.md").is_file()
    model, tokenizer = load_pretrained("kogpt-mini")
    # It underfits: dropout costs it bits.
    assert {model.config.resid_pdrop, model.config.embd_pdrop, model.config.attn_pdrop} == {0}
    assert 6e6 < model.num_parameters() < 8e6
    assert model.config.max_position_embeddings == 256
    assert tokenizer.convert_ids_to_tokens(list(range(7))) == SPECIAL


def test_the_bundled_model_knows_the_test_reviews_as_well_as_its_card_says():
    card = (SCRIPTS / "kogpt-mini/README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"^\| 글자당 비트 \| ([\d.]+) \|", card, re.MULTILINE)
    measured = bits_per_character(*load_pretrained("kogpt-mini"), NsmcCorpus().get_examples(MINI, "test"))
    assert measured["bits_per_char"] == pytest.approx(float(said), abs=0.001)
