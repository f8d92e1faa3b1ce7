import sys

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedTokenizerFast

from ratsnlp.nlpbook import UserError, data_collator
from ratsnlp.nlpbook.generation import (
    GenerationExample,
    GenerationTextArguments,
    TextDataset,
    load_model_and_tokenizer,
    load_text_datasets,
    load_tokenizer,
    read_texts,
    save_tokenizer,
)
from ratsnlp.nlpbook.generation.loss import token_losses


def texts(path, *columns):
    return [example.text for example in read_texts(path, *columns)]


def test_every_kind_of_file_gives_its_texts(tmp_path):
    """With a byte order mark, Windows line ends, empty lines, quotes, commas and a line break within a field."""
    (tmp_path / "a.txt").write_bytes("\ufeff첫 글\r\n\r\n  둘째 \"글\"\u0085끝  \n".encode())
    assert texts(tmp_path / "a.txt") == ["첫 글", '둘째 "글"\u0085끝']
    (tmp_path / "a.jsonl").write_text(
        '{"review": "좋다\\n정말", "mood": 1}\n\n{"review": " ", "mood": 0}\n', encoding="utf-8")
    assert texts(tmp_path / "a.jsonl", "review", "mood") == ["1 좋다\n정말"]
    (tmp_path / "a.csv").write_text('id,text,mood\n1,"쉼표, ""따옴표""\n둘째 줄",긍정\n', encoding="utf-8")
    assert texts(tmp_path / "a.csv", "text", "mood") == ['긍정 쉼표, "따옴표"\n둘째 줄']
    (tmp_path / "a.tsv").write_text('text\tmood\n"열린 따옴표\t부정\n닫는 따옴표"\t긍정\n', encoding="utf-8")
    assert texts(tmp_path / "a.tsv") == ['"열린 따옴표', '닫는 따옴표"']
    folder = tmp_path / "folder" / "inner"
    folder.mkdir(parents=True)
    (folder / "b.txt").write_text("한 파일이\n한 글\n", encoding="utf-8")
    (tmp_path / "folder" / "z.txt").write_text("다른 글", encoding="utf-8")
    assert texts(tmp_path / "folder") == ["한 파일이\n한 글", "다른 글"]


@pytest.mark.parametrize(("name", "content", "columns", "message"), [
    ("a.txt", b"ok\n\xff\xfe\n", (), "a.txt 2번째 줄: UTF-8이 아닙니다"),
    ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', (), "a.jsonl 2번째 줄: text.* 문자열이어야 하는데 3"),
    ("a.jsonl", b"[1]\n", (), "a.jsonl 1번째 줄"),
    ("a.jsonl", b'{"text"\n', (), "a.jsonl 1번째 줄: JSON이 아닙니다"),
    ("a.jsonl", b'{"body": "a"}\n', (), "text_column: .*'text'.*있는 것: body"),
    ("a.csv", b"id,text\n1,a\n", ("text", "mood"), "label_column: .*'mood'.*있는 것: id, text"),
    ("a.csv", b"id,text\n1\n", (), "a.csv 2번째 줄: 첫 줄처럼 열이 2개여야 하는데 1개"),
    ("a.csv", b'text\n"open\n', (), "CSV로 읽을 수 없습니다"),
    ("a.txt", b"a\n", ("text", "mood"), "label_column: .*열이 없습니다"),
])
def test_a_malformed_file_is_told_with_its_line(tmp_path, name, content, columns, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        texts(tmp_path / name, *columns)


@pytest.fixture
def make(tmp_path, tiny_folder):
    def make(lines, **changes):
        (tmp_path / "my.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return GenerationTextArguments(
            dataset_path=str(tmp_path / "my.txt"), model_type=str(tiny_folder), block_size=16,
            output_dir=str(tmp_path / "out"), **changes)
    return make


def test_long_texts_lose_nothing(make, tokenizer, documents):
    """Every token of every text and one eos after each are predicted exactly once, by whatever window; nothing is
    predicted twice."""
    lines = ["".join(documents[:6]), *documents[6:40]]
    tokens = tokenizer.encode(documents[0] * 9)
    lines += [line for count in range(13, 20) if (line := tokenizer.decode(tokens[:count]))]  # about a window
    args = make(lines)
    dataset = TextDataset(args.training(), tokenizer, read_texts(args.dataset_path), args.dataset_path)
    predicted = {}
    for index in range(len(dataset)):
        features = dataset[index]
        length = sum(features.attention_mask)
        ids = features.input_ids[: length + 1]  # real tokens, and eos where there is room
        assert len(features.input_ids) == 16
        assert length == dataset.lengths[index]
        predicted.setdefault(int(dataset.document[index]), []).extend(ids[1:])
    assert len(dataset) > len(lines)
    for document, line in enumerate(lines):
        assert predicted[document] == [*tokenizer.encode(line.strip()), tokenizer.eos_token_id]
    assert sum(dataset[index].characters for index in range(len(dataset))) == sum(len(line.strip()) for line in lines)


def test_bits_per_char_counts_the_same_tokens_however_the_windows_are(make, tokenizer, tiny_model, documents):
    args = make([*documents[:30], "".join(documents[:5])])
    for width in (16, 64):
        dataset = TextDataset(_with_width(args, width), tokenizer, read_texts(args.dataset_path), "x")
        losses, own = token_losses(tiny_model, data_collator([dataset[index] for index in range(len(dataset))]))
        # All but the eos that each begins with, and one that each ends with.
        assert len(losses) == own.sum() == len(dataset.ids)


def _with_width(args, width):
    args.block_size = width
    return args.training()


def test_labels_come_before_the_text_as_control_words(tmp_path, tokenizer, tiny_folder):
    rows = [f"글 {number},{('슬픔', '아주 기쁨')[number % 2]}" for number in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["text,mood", *rows]), encoding="utf-8")
    args = GenerationTextArguments(
        dataset_path=str(tmp_path / "a.csv"), label_column="mood", model_type=str(tiny_folder), block_size=32)
    train, validation = load_text_datasets(args, tokenizer)
    assert train.prompts == ["슬픔", "아주 기쁨"]
    assert len(train) == 38
    assert len(validation) == 2
    for index in range(len(train)):
        features = train[index]
        ids = features.input_ids[: sum(features.attention_mask)]
        word, text = tokenizer.decode(ids[: features.control_tokens]), tokenizer.decode(ids)
        assert word in ("슬픔", "아주 기쁨")
        assert text.startswith(f"{word} 글 ")
        assert features.characters == len(text) - len(word) - 1


def test_a_very_long_texts_windows_share_out_its_characters(make, tokenizer, documents):
    text = " ".join(documents * 3)
    dataset = TextDataset(make([text]).training(), tokenizer, [GenerationExample(text)], "x")
    assert len(text) * len(dataset.ids) > 2**31  # characters are counted in 32 bits
    assert sum(features.characters for features in dataset) == len(text)


def test_what_is_held_out_is_not_learnt(make, tokenizer, documents):
    args = make(documents[:200], validation_split=0.2)
    train, validation = load_text_datasets(args, tokenizer)
    assert len(set(validation.document)) == 40
    assert not set(train.document) & set(validation.document)
    assert len(set(train.document) | set(validation.document)) == 200
    again, _ = load_text_datasets(args, tokenizer)
    assert np.array_equal(again.document, train.document)
    alone, rest = load_text_datasets(make(["".join(documents[:20])]), tokenizer)  # a single long text: by windows
    assert len(alone)
    assert len(rest)
    assert len(set(alone.start) & set(rest.start)) == 0
    with pytest.raises(UserError, match="둘 이상"):
        load_text_datasets(make(["짧다"]), tokenizer)


def test_special_tokens_are_added_once_and_saved(make, tmp_path, tokenizer, capsys):
    args = make(["#Person1# 안녕"], special_tokens=("#Person1#", "#Person2#"))
    model, grown = load_model_and_tokenizer(args)
    told = capsys.readouterr().out
    size = len(tokenizer)
    assert f"토큰 {size:,} → {size + 2:,}개" in told
    assert f"임베딩: {size:,} → {size + 2:,}행" in told
    assert f"{model.num_parameters():,}개" in told
    assert len(grown.encode("#Person1# 안녕")) < len(tokenizer.encode("#Person1# 안녕"))
    assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == size + 2
    old = AutoModelForCausalLM.from_pretrained(args.model_type).get_input_embeddings().weight
    assert torch.equal(model.get_input_embeddings().weight[:size], old)
    model.save_pretrained(tmp_path / "grown")
    save_tokenizer(grown, tmp_path / "grown")
    args.model_type = str(tmp_path / "grown")
    load_model_and_tokenizer(args)
    assert "가운데 0개를 추가했습니다" in capsys.readouterr().out
    assert load_tokenizer(args.model_type).encode("#Person2#") == grown.encode("#Person2#")


def english_gpt2(folder):
    """A byte-level tokenizer and a small model as ``gpt2`` has them: no eos in the tokenizer's configuration."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    english = [sys.modules["json"].__doc__ or "", "the movie was good and the actors were better than the story " * 20]
    backend.train_from_iterator(english, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    folder.mkdir()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    config = GPT2Config(vocab_size=400, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_an_english_gpt2_says_what_korean_costs_it(make, tmp_path, documents, capsys):
    args = make(documents[:20])
    args.model_type = str(english_gpt2(tmp_path / "english"))
    model, tokenizer = load_model_and_tokenizer(args)
    assert tokenizer.eos_token == "<|endoftext|>"
    assert model.config.eos_token_id == tokenizer.eos_token_id
    dataset, _ = load_text_datasets(args, tokenizer)
    told = capsys.readouterr().out
    rate = (len(dataset.ids) - dataset.control_tokens.sum()) / dataset.characters.sum()  # without control words and eos
    assert rate > 2
    assert f"바이트로 쪼개어 글자당 토큰 {rate:.2f}개" in told
    load_text_datasets(args, load_tokenizer("kogpt-mini"))
    assert "바이트로 쪼개어" not in capsys.readouterr().out
