import re

import numpy as np
import pytest
from helpers import MINI

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import GenerationDataset, NsmcCorpus
from ratsnlp.nlpbook.generation.nsmc import unescape
from ratsnlp.nlpbook.pretrained import check_eos_token

HEADER = "id\tdocument\tlabel\n"


@pytest.mark.parametrize(("stored", "written"), [
    ('"""a """"b"""""""', 'a "b"'), ("그냥", "그냥"), ('"그냥"', '"그냥"'), ('그 "명대사" 하나', '그 "명대사" 하나'),
    ('"', '"'), ('""', '""'),
    ('"명대사" 최고', '"명대사" 최고'), ("", ""), ('"""a"""', '"""a"""'), ('"""""""""""', '"""""""""""'),
])
def test_a_quote_is_a_character_unless_nsmc_escaped_it_twice(stored, written):
    assert unescape(stored) == written


def test_unescape_undoes_what_csv_does_twice():
    import csv
    import io

    for text in ['말 "속" 말', '"처음', '끝"', '"', '""', '" "', 'a"b"c']:
        stored = text
        for _ in range(2):
            buffer = io.StringIO()
            csv.writer(buffer, delimiter="\t", lineterminator="").writerow([stored])
            stored = buffer.getvalue()
        assert unescape(stored) == text


def corpus_file(tmp_path, content: bytes):
    (tmp_path / "ratings_train.txt").write_bytes(content)
    return NsmcCorpus().get_examples(tmp_path, "train")


def test_rows_become_control_word_and_review(tmp_path):
    examples = corpus_file(tmp_path, (HEADER + "1\t재밌다\t1\n2\t별로 \"1도\"\t0\n3\t\t0\n").encode())
    assert [example.text for example in examples] == ["긍정 재밌다", '부정 별로 "1도"', "부정 "]


def test_bom_crlf_and_odd_separators_are_read(tmp_path):
    content = "\ufeff" + HEADER.replace("\n", "\r\n") + "1\t줄\u2028바꿈\x0b아님\t1\r\n2\t끝 줄에 줄바꿈 없음\t0"
    examples = corpus_file(tmp_path, content.encode())
    assert [example.text for example in examples] == ["긍정 줄\u2028바꿈\x0b아님", "부정 끝 줄에 줄바꿈 없음"]


@pytest.mark.parametrize(("content", "message"), [
    ("1\t재밌다\t1\n", "1번째 줄: 첫 줄은 'id<탭>document<탭>label'"),
    (HEADER + "1\t재밌다\t1\n\n2\t별로\t0\n", "3번째 줄: .*열이 3개여야 하는데 1개"),
    (HEADER + "1\t재밌다\t1\t덤\n", "2번째 줄: .*열이 3개여야 하는데 4개"),
    (HEADER + "1\t재밌다\t 1\n", "2번째 줄: 라벨은 0.*' 1'"),
    (HEADER + "1\t재밌다\t1.0\n", "라벨은.*'1.0'"), (HEADER + "1\t재밌다\tabc\n", "라벨은.*'abc'"),
    (HEADER, "리뷰가 한 줄도 없습니다"), ("", "리뷰가 한 줄도|첫 줄은"),
])
def test_a_malformed_line_is_named(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as caught:
        corpus_file(tmp_path, content.encode())
    assert "ratings_train.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_encoding_and_a_missing_file_are_told(tmp_path):
    with pytest.raises(UserError, match="2번째 줄: UTF-8이 아닙니다"):
        corpus_file(tmp_path, (HEADER + "1\t재밌다\t1\n").encode("cp949"))
    with pytest.raises(UserError, match="ratings_test.txt.*읽을 수 없습니다"):
        NsmcCorpus().get_examples(tmp_path, "test")


def test_the_real_nsmc_reads_whole(nsmc):
    rows = {mode: NsmcCorpus().get_examples(nsmc, mode) for mode in ("train", "test")}
    assert {mode: len(examples) for mode, examples in rows.items()} == {"train": 150_000, "test": 50_000}
    assert sum(example.text.startswith("긍정 ") for example in rows["train"]) == 74_827
    quoted = {mode: sum('"' in example.text for example in examples) for mode, examples in rows.items()}
    assert quoted == {"train": 623, "test": 233}
    doubled = sum(example.text.count('""') for examples in rows.values() for example in examples)
    assert doubled < 40  # what people typed themselves


def test_features_are_as_the_book_shows_them(make_args, tokenizer):
    args = make_args(max_seq_length=24)
    dataset = GenerationDataset(args=args, corpus=NsmcCorpus(), tokenizer=tokenizer, mode="train")
    assert len(dataset) == 48
    for index, example in enumerate(NsmcCorpus().get_examples(dataset.source, "train")):
        ids = tokenizer(example.text)["input_ids"][:24]
        features = dataset[index]
        assert features.input_ids == ids + [tokenizer.eos_token_id] * (24 - len(ids))
        assert features.attention_mask == [1] * len(ids) + [0] * (24 - len(ids))
        assert features.token_type_ids == [0] * 24
        assert features.labels == features.input_ids
        assert dataset.lengths[index] == len(ids)
    assert {len(ids) == 24 for ids in np.split(dataset.features.ids, dataset.features.offsets[1:-1])} == {True, False}
    assert dataset[-1] == dataset[47]
    with pytest.raises(IndexError):
        dataset[48]


def test_characters_are_those_of_the_review_that_the_tokens_cover(make_args, tokenizer):
    whole = GenerationDataset(make_args(max_seq_length=64), tokenizer, NsmcCorpus(), "train")
    cut = GenerationDataset(make_args(max_seq_length=8), tokenizer, NsmcCorpus(), "train")
    for index, example in enumerate(NsmcCorpus().get_examples(whole.source, "train")):
        assert whole[index].control_tokens == 1  # the tokenizer was told to learn the two words as one token each
        if whole.lengths[index] < 64:
            assert whole[index].characters == len(example.text) - len("긍정 ")
        kept = tokenizer.decode(cut[index].input_ids[: cut.lengths[index]]).rstrip("\ufffd")
        assert 0 <= cut[index].characters - (len(kept) - len("긍정 ")) <= 2  # a character cut between its bytes counts


def test_one_example_is_logged_as_the_book_shows_it_and_the_next_ones_in_a_line(make_args, tokenizer, caplog):
    import logging

    with caplog.at_level(logging.INFO, logger="ratsnlp"):
        logging.getLogger("ratsnlp").propagate = True
        train = GenerationDataset(make_args(overwrite_cache=True), tokenizer, NsmcCorpus(), "train")
        GenerationDataset(make_args(), tokenizer, NsmcCorpus(), "test")
    text = caplog.text
    assert text.count("*** Example ***") == text.count("input_ids=[") == 1
    examples = NsmcCorpus().get_examples(train.source, "train")
    assert f"sentence: {examples[0].text}\n" in text
    lines = re.findall(r"(train|test) 예시 (\d): (.+) \(토큰 (\d+)개\)", text)
    assert [(mode, int(number)) for mode, number, *_ in lines] == [
        *(("train", number) for number in range(2, 6)), *(("test", number) for number in range(1, 6))]
    for (_, number, begin, tokens) in lines[:4]:
        index = int(number) - 1
        assert int(tokens) == train.lengths[index]
        assert begin in (examples[index].text, f"{examples[index].text[:40]}…")
    assert "sentence: " in text
    assert "tokens: ▁" in text
    assert "features: GenerationFeatures(input_ids=[" in text
    assert "control_tokens" not in text
    assert "캐시가 없어" in text


def test_an_eos_token_outside_the_vocabulary_is_an_error_in_a_notebook_too(make_args, tiny_folder):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_folder, eos_token="<|endoftext|>")
    with pytest.raises(UserError, match="'<.endoftext.>'.*어휘에 없습니다.*</s>"):
        GenerationDataset(make_args(), tokenizer, NsmcCorpus(), "train")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(UserError, match="eos_token이 없습니다"):
        check_eos_token(tokenizer)


def test_a_custom_conversion_is_used(make_args, tokenizer):
    from ratsnlp.nlpbook.generation import GenerationFeatures

    def convert(examples, tokenizer, args):
        return [GenerationFeatures(input_ids=[index], attention_mask=[1]) for index, _ in enumerate(examples)]

    dataset = GenerationDataset(make_args(), tokenizer, NsmcCorpus(), "test", convert_examples_to_features_fn=convert)
    assert dataset[3].input_ids == [3]
    assert dataset.lengths.tolist() == [1] * 12


def test_the_bundled_corpus_is_balanced_and_its_own(nsmc_reviews_or_none):
    texts = []
    for mode in ("train", "test"):
        examples = NsmcCorpus().get_examples(MINI, mode)
        assert sum(example.text.startswith("긍정") for example in examples) * 2 == len(examples)
        texts += [example.text[3:] for example in examples]
    assert len(texts) >= 1000
    assert len(set(texts)) == len(texts)
    lengths = np.array([len(text) for text in texts])
    assert lengths.max() <= 140
    assert 30 <= lengths.mean() <= 42
    assert lengths.std() > 20
    for mark in ("ㅋㅋ", "ㅠㅠ", '"', "😭", "ㅎㅎ", "..", "♥", "!!"):
        assert sum(mark in text for text in texts) >= 3, mark
    starts = [text.split()[0] for text in texts]
    assert len(set(starts)) > len(starts) * 0.6  # no template speaks here
    if nsmc_reviews_or_none is not None:
        assert not set(texts) & nsmc_reviews_or_none


@pytest.fixture
def nsmc_reviews_or_none(request):
    try:
        folder = request.getfixturevalue("nsmc")
    except pytest.skip.Exception:
        return None
    return {example.text[3:] for mode in ("train", "test") for example in NsmcCorpus().get_examples(folder, mode)}
