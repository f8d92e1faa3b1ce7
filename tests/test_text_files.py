"""Files as people have them: whatever their line ends, suffixes, marks, parts of syllables,
and what lies beside them."""

import gzip
import json
import unicodedata

import pytest

from ratsnlp import nlpbook
from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import NsmcCorpus, read_texts
from ratsnlp.nlpbook.text_files import files_of, read_lines

TEXTS = ["첫 글이다", "둘째 \u2028 글\u0085이다", "셋째"]  # two characters that are line ends elsewhere


def texts(path, *columns) -> list[str]:
    return [example.text for example in read_texts(path, *columns)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_any_line_end_ends_a_line(tmp_path, end, last):
    content = end.join(TEXTS) + end * last
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert texts(tmp_path / "a.txt") == TEXTS
    assert nlpbook.read_documents(tmp_path / "a.txt") == TEXTS
    (tmp_path / "a.jsonl").write_bytes(end.join(json.dumps({"text": text}) for text in TEXTS).encode())
    assert texts(tmp_path / "a.jsonl") == TEXTS
    (tmp_path / "a.csv").write_bytes(end.join(["id,text", *(f'1,"{text}"' for text in TEXTS)]).encode())
    assert texts(tmp_path / "a.csv") == TEXTS
    (tmp_path / "a.tsv").write_bytes(end.join(["id\ttext", *(f"1\t{text}" for text in TEXTS)]).encode())
    assert texts(tmp_path / "a.tsv") == TEXTS


def test_line_ends_may_be_mixed(tmp_path):
    (tmp_path / "a.txt").write_bytes("하나\r둘\r\n셋\n\n넷".encode())
    assert texts(tmp_path / "a.txt") == ["하나", "둘", "셋", "넷"]


@pytest.mark.parametrize("name", ["글.TXT", "글.txt.gz", "글.Txt.GZ"])
def test_a_text_file_by_its_suffix(tmp_path, name):
    content = "하나\n둘\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
    assert texts(tmp_path / name) == ["하나", "둘"]


@pytest.mark.parametrize(("name", "content"), [
    ("a.JSONL", '{"text": "하나", "label": 1}\n'), ("a.ndjson", '{"text": "하나", "label": 1}\n'),
    ("a.json", '[{"text": "하나",\n "label": 1}]'), ("a.Csv", "text,label\n하나,1\n"),
    ("a.TSV", "text\tlabel\n하나\t1\n"), ("a.csv.gz", "text,label\n하나,1\n"),
    ("a.JSON.gz", '[{"label": 1, "text": "하나"}]'),
])
def test_a_table_by_its_suffix(tmp_path, name, content):
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    assert texts(tmp_path / name, "text", "label") == ["1 하나"]


@pytest.mark.parametrize(("name", "content", "columns", "message"), [
    ("a.xlsx", b"PK\x03\x04", (), r"a.xlsx: 어떤 파일인지.*\.csv"), ("a", b"text\n", (), "어떤 파일인지"),
    ("a.py", b"text\n", (), "어떤 파일인지"), ("a.csv.zip", b"PK", (), "어떤 파일인지"),
    ("a.txt", b"text\n", ("review",), "^text_column: .*a.txt에는 열이 없습니다"),
    ("a.TXT", b"text\n", ("text", "label"), "^label_column: .*열이 없습니다"),
    ("a.csv", b"text\tlabel\nx\t1\n", ("text", "label"), r"^text_column: .*'text' 열이 없습니다.*\.tsv"),
    ("a.json", b'{"text": "a"}\n{"text": "b"}\n', (), r"a.json: JSON이 아닙니다.*\.jsonl"),
    ("a.json", b'{"text": "a"}', (), "a.json: .*목록이어야"),
    ("a.csv", "text\n가\n".encode("cp949"), (), "a.csv 2번째 줄: UTF-8이 아닙니다.*CSV UTF-8"),
    ("a.txt", "가\n".encode("utf-16"), (), "a.txt 1번째 줄: UTF-8이 아닙니다"),
    ("a.txt.gz", b"no gzip", (), "a.txt.gz: 읽을 수 없습니다"),
    ("a.txt.gz", gzip.compress(b"a" * 999)[:-9], (), "읽을 수 없습니다"),
])
def test_a_misleading_name_is_one_line(tmp_path, name, content, columns, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        texts(tmp_path / name, *columns)
    assert "\n" not in str(caught.value)


def test_a_folder_is_read_without_what_systems_leave_in_it(tmp_path, capsys):
    for name in ("1.txt", "안/2.TXT", "안/3.txt.gz"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress(name.encode()) if name.endswith(".gz") else name.encode())
    for name in (".ipynb_checkpoints/1-checkpoint.txt", "안/._2.txt", "__MACOSX/1.txt", ".DS_Store", "Thumbs.db",
                 "~$글.txt", ".숨김/4.txt", "README.md"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"\x00")
    assert texts(tmp_path) == ["1.txt", "안/2.TXT", "안/3.txt.gz"]
    assert ".txt 파일 3개를 읽고, 숨은 파일과 다른 파일 8개는 읽지 않습니다." in capsys.readouterr().err
    assert files_of(tmp_path / "안", ".txt")[1] == 1


def test_hangul_is_composed_wherever_it_comes_in(tmp_path, tiny_folder, monkeypatch):
    from ratsnlp.nlpbook.generation import GenerationInferArguments, encode_prompt, load_pretrained, sample_texts

    text, apart = "재미있는 영화", unicodedata.normalize("NFD", "재미있는 영화")
    assert len(apart) > len(text)
    column, mood = unicodedata.normalize("NFD", "리뷰"), unicodedata.normalize("NFD", "기쁨")
    (tmp_path / "a.txt").write_text(apart, encoding="utf-8")
    (tmp_path / "a.csv").write_text(f"{column},감정\n{apart},{mood}\n", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps({column: apart, "감정": mood}), encoding="utf-8")
    assert texts(tmp_path / "a.txt") == [text]
    for name in ("a.csv", "a.jsonl"):
        assert texts(tmp_path / name, "리뷰", unicodedata.normalize("NFD", "감정")) == [f"기쁨 {text}"]
    (tmp_path / "ratings_train.txt").write_text(f"id\tdocument\tlabel\n1\t{apart}\t1\n", encoding="utf-8")
    (example,) = NsmcCorpus().get_examples(tmp_path, "train")
    assert example.text == f"긍정 {text}"
    assert example.book_text == f"긍정 {apart}"  # as the book read it
    assert GenerationInferArguments(input_sentence=apart).input_sentence == text
    model, tokenizer = load_pretrained(str(tiny_folder))
    assert encode_prompt(model, tokenizer, apart).tolist() == encode_prompt(model, tokenizer, text).tolist()
    assert sample_texts(model, tokenizer, apart, 1, seed=0) == sample_texts(model, tokenizer, text, 1, seed=0)


@pytest.mark.parametrize("label", ["null", "true", "1.5", '""', '" "', "[1]", '{"a": 1}'])
def test_a_label_is_a_text_or_an_integer(tmp_path, label):
    (tmp_path / "a.jsonl").write_text(
        f'{{"text": "가", "mood": 3}}\n{{"text": "나", "mood": {label}}}\n', encoding="utf-8")
    with pytest.raises(UserError, match="a.jsonl 2번째 줄: mood 값은 비어 있지 않은 문자열이나 정수여야 하는데"):
        texts(tmp_path / "a.jsonl", "text", "mood")


def test_an_empty_label_of_a_table_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("text,mood\n가,기쁨\n나,\n", encoding="utf-8")
    with pytest.raises(UserError, match="a.csv 3번째 줄: mood 값은 비어 있지 않은 문자열이나 정수여야 하는데 ''"):
        texts(tmp_path / "a.csv", "text", "mood")


@pytest.mark.parametrize("row", [
    r'{"text": "좋다 \ud83d"}', r'{"text": "\udc4d"}', r'{"text": "가", "mood": "\ud800"}',
])
def test_half_a_character_is_told_with_its_line(tmp_path, row):
    (tmp_path / "a.jsonl").write_text('{"text": "가", "mood": "나"}\n' + row, encoding="utf-8")
    columns = ("text", "mood") if "mood" in row else ("text",)
    with pytest.raises(UserError, match="a.jsonl 2번째 줄: 올바른 유니코드 텍스트가 아닙니다") as caught:
        texts(tmp_path / "a.jsonl", *columns)
    str(caught.value).encode()


def test_bytes_that_are_no_utf8_are_told_with_their_line(tmp_path):
    (tmp_path / "a.txt").write_bytes("가\r나\r\n".encode() + b"\xff\n")
    with pytest.raises(UserError, match="3번째 줄"):
        list(read_lines(tmp_path / "a.txt"))


def test_too_little_to_learn_a_language_from_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n하나\n", encoding="utf-8")
    with pytest.raises(UserError, match="20개 이상이어야 하는데 1개"):
        nlpbook.read_documents(tmp_path / "a.txt", at_least=20)
