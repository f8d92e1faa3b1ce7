"""Conversations: how they are read, told to a model, cut and learnt; summaries that a model writes when it is told to.
The models are those of tests/chat_models.py, narrow and random, and kogpt-mini's tokenizer, which comes without a
template."""

import copy
import csv
import gzip
import json
import re
import unicodedata
from types import SimpleNamespace

import pandas
import pytest
import torch
from chat_models import LLAMA, QWEN
from families import build
from helpers import tiny_config
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ratsnlp import nlpbook
from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import GenerationTask, load_pretrained, save_tokenizer
from ratsnlp.nlpbook.generation import Predictor as PlainPredictor
from ratsnlp.nlpbook.generation.chat import (
    INPUT,
    chat_ids,
    encode,
    end_of_answer,
    render,
    use_format,
    with_input,
)
from ratsnlp.nlpbook.generation.loss import IGNORED
from ratsnlp.nlpbook.generation.prompts import continuation
from ratsnlp.nlpbook.instruction import (
    WORDINGS,
    Conversation,
    ConversationDataset,
    DialogueCorpus,
    InstructionDataset,
    InstructionInferArguments,
    InstructionTrainArguments,
    Limits,
    Predictor,
    conversation,
    load_conversation_datasets,
    load_model,
    load_tokenizer,
    read_conversations,
)
from ratsnlp.nlpbook.instruction.features import cut_text, fit
from ratsnlp.nlpbook.instruction.predictor import dialogue_prompt
from ratsnlp.nlpbook.pretrained import load_tokenizer as load_by_name
from ratsnlp.nlpbook.summarization import made_dialogues, read_dialogues
from ratsnlp.nlpbook.training import memory_check

KINDS = {"llama": LLAMA, "qwen": QWEN}
FORMATS = [(kind, form) for kind in KINDS for form in ("chat", "instruction")]
TALKERS = [*FORMATS, ("kogpt-mini", "instruction")]
CHATML = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
          "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
THINKING = "<think>\n\n</think>\n\n"
NAMES = ("encoder_max_len", "decoder_max_len")
WIDE = Limits(1024, 1024, 2048, NAMES)
TALK = "#Person1#: 뷁😀 내일 몇 시에 볼까?\n#Person2#: 오후 3시에 보자. 쀍👩‍👩‍👧!"
TURNS = [("프랑스의 수도는?", "파리입니다."), ("인구는 몇 명이에요?", "200만 명쯤이에요😀"),
         ("강 이름은?", "센강입니다.\n\n길이는 777km예요."), ("고마워요", "네")]


@pytest.fixture(scope="module")
def tokenizers(chat_models):
    return {**{kind: load_by_name(str(chat_models[name])) for kind, name in KINDS.items()},
            "kogpt-mini": load_by_name("kogpt-mini")}


@pytest.fixture(params=TALKERS, ids=" ".join)
def talker(request, tokenizers):
    """A tokenizer in one of the formats."""
    return formatted(tokenizers, *request.param)


def formatted(tokenizers, kind: str, form: str):
    tokenizer = copy.deepcopy(tokenizers[kind])
    assert use_format(tokenizer, form) == []
    return tokenizer


@pytest.fixture(scope="module", autouse=True)
def one_estimate():
    """An estimate of the memory takes longer than a run here."""
    estimates, estimate = [], memory_check.estimate

    def once(config, args, *question, rows):
        estimates[:] = estimates or [estimate(config, args, *question, rows=rows)]
        return estimates[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_check, "estimate", once)
        yield


def messages_of(turns, system: str = "") -> list[dict]:
    messages = [{"role": "system", "content": system}] if system else []
    for question, answer in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages


def dataset_of(tokenizer, *conversations, limits=WIDE, truncate=False) -> ConversationDataset:
    return ConversationDataset(tokenizer, conversations, limits, truncate, "test")


def turns_of(turns=TURNS, system: str = "짧게 답하세요.") -> Conversation:
    return Conversation(tuple(messages_of(turns, system)), "test.jsonl 1번째 줄", turns[-1][0])


def summary_of(tokenizer, talk: str = TALK, summary: str = "내일 오후 3시😀에 만난다.") -> Conversation:
    return conversation(with_input(tokenizer, WORDINGS[0], talk), summary, "train.csv 2번째 줄", talk, "잘 요약합니다.")


def prompt_of(predictor: Predictor, talk: str) -> tuple[list[int], list[int]]:
    """What asks for the summary of a dialogue, and as much of it as the predictor reads."""
    most = min(predictor.encoder_max_len, predictor.positions)
    return dialogue_prompt(predictor.tokenizer, talk, "대화", predictor.system, most)


def spans(labels: list[int]) -> list[tuple[int, int]]:
    """Where labels count: (begin, end) of each run."""
    edges = [place for place in range(len(labels) + 1)
             if (labels[place - 1] != IGNORED if place else False) != (labels[place] != IGNORED
                                                                     if place < len(labels) else False)]
    return list(zip(edges[::2], edges[1::2], strict=True))


# Conversations of a file


def write(folder, name: str, rows: list[dict]):
    """``rows`` as the kind of file that ``name`` tells."""
    file, kind = folder / name, name.removesuffix(".gz").rpartition(".")[2]
    if kind in ("csv", "tsv"):
        with open(file, "w", encoding="utf-8-sig", newline="") as opened:
            table = csv.writer(opened, delimiter="\t" if kind == "tsv" else ",", lineterminator="\r\n")
            table.writerows([list(rows[0]), *(row.values() for row in rows)])
    else:
        lines = [json.dumps(row, ensure_ascii=kind == "jsonl") for row in rows]
        text = f"[{','.join(lines)}]" if kind == "json" else "\n".join(lines)
        file.write_text(text, encoding="utf-8")
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(file.read_bytes()))
    return file


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.JSONL.gz"])
def test_a_table_of_any_kind_is_read(name, tokenizers, tmp_path):
    """A system and an input may be empty; Hangul is composed, in the names of columns too."""
    file = write(tmp_path, name, [
        {"질문": " 요약하세요. ", "답": "가", "설정": "", "글": "나다 라"},
        {"질문": unicodedata.normalize("NFD", "한글은?"), "답": "세종", "설정": " 짧게 ", "글": " "}])
    columns = {"prompt_column": unicodedata.normalize("NFD", "질문"), "response_column": "답"}
    tokenizer = formatted(tokenizers, "qwen", "chat")
    for more in ({}, {"system_column": "설정"}, {"input_column": "글"},
                 {"system_column": "설정", "input_column": "글"}):
        first, second = read_conversations(file, tokenizer, **columns, **more)
        given = "요약하세요.\n\n나다 라" if "input_column" in more else "요약하세요."
        assert list(first.messages) == messages_of([(given, "가")])
        assert first.text == ("나다 라" if "input_column" in more else "요약하세요.")
        assert list(second.messages) == messages_of([("한글은?", "세종")], "짧게" if "system_column" in more else "")
        assert second.text == "한글은?"
        assert first.place.startswith(f"{file} ")
        assert first.place != second.place


def test_an_input_has_a_heading_of_its_own_in_the_instruction_format(tokenizers, tmp_path):
    file = write(tmp_path, "a.csv", [{"q": "요약하세요.", "i": text, "a": "가"} for text in ("나다", "")])
    tokenizer = formatted(tokenizers, "llama", "instruction")
    asked = [each.messages[0]["content"] for each in read_conversations(file, tokenizer, "q", "a", input_column="i")]
    assert asked == [f"요약하세요.{INPUT}나다", "요약하세요."]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_messages_are_read(name, tokenizers, tmp_path):
    rows = [messages_of(TURNS, "짧게"), messages_of(TURNS[:1])]
    file = write(tmp_path, name, [{"id": 1, "messages": [{**each, "name": "민수"} for each in row]} for row in rows])
    found = list(read_conversations(file, tokenizers["qwen"]))
    assert [list(each.messages) for each in found] == rows
    assert [each.text for each in found] == ["고마워요", "프랑스의 수도는?"]


GOOD = {"q": "가?", "a": "나", "s": "", "i": ""}
EVERY = {"prompt_column": "q", "response_column": "a", "system_column": "s", "input_column": "i"}
ASKED = {"role": "user", "content": "가?"}


def saying(*messages) -> list[dict]:
    return [{"messages": messages_of(TURNS)}, {"messages": list(messages)}]


@pytest.mark.parametrize(("name", "rows", "columns", "told"), [
    ("a.csv", [GOOD], {"prompt_column": "p", "response_column": "a"},
     "prompt_column: a.csv 2번째 줄에 'p' 열이 없습니다. 있는 것: q, a, s, i"),
    ("a.tsv", [GOOD], {**EVERY, "response_column": "b"}, "response_column: a.tsv 2번째 줄에 'b' 열이 없습니다"),
    ("a.jsonl", [GOOD, {"q": "가"}], EVERY, "response_column: a.jsonl 2번째 줄에 'a' 열이 없습니다. 있는 것: q"),
    ("a.json", [GOOD], {**EVERY, "system_column": "t"}, "system_column: a.json 1번째에 't' 열이 없습니다"),
    ("a.csv", [GOOD, {**GOOD, "q": " "}], EVERY, "a.csv 3번째 줄: q 값이 비어 있습니다."),
    ("a.jsonl", [{**GOOD, "a": ""}], EVERY, "a.jsonl 1번째 줄: a 값이 비어 있습니다."),
    ("a.jsonl", [{**GOOD, "a": 3}], EVERY, "a.jsonl 1번째 줄: a 값은 문자열이어야 하는데 3입니다."),
    ("a.json", [GOOD, {**GOOD, "q": None}], EVERY, "a.json 2번째: q 값은 문자열이어야 하는데 None입니다."),
    ("a.jsonl", [{**GOOD, "i": ["x"]}], EVERY, "a.jsonl 1번째 줄: i 값은 문자열이어야 하는데 ['x']입니다."),
    *((f"a.{kind}", [GOOD, {**GOOD, column: "네<|im_end|>"}], EVERY, f"{column} 값의 '<|im_end|>' 토큰은 이 모델에서")
      for kind in ("csv", "jsonl") for column in "qasi"),
    ("a.jsonl", [{**GOOD, "a": "\ud83d"}], EVERY, "a.jsonl 1번째 줄: 올바른 유니코드 텍스트가 아닙니다"),
    ("a.jsonl", [GOOD], {}, 'a.jsonl 1번째 줄: "messages": [{"role": "user"'),
    ("a.jsonl", saying(), {}, 'a.jsonl 2번째 줄: "messages"'),
    ("a.jsonl", saying(ASKED), {},
     "a.jsonl 2번째 줄: 마지막 메시지는 학습할 답변(assistant)이어야 하는데 role이 'user'입니다"),
    ("a.json", saying(*messages_of(TURNS[:1]), ASKED), {}, "a.json 2번째: 마지막 메시지는"),
    ("a.jsonl", saying(ASKED, {"role": "assistant", "content": None}), {},
     "a.jsonl 2번째 줄 2번째 메시지: content는 한 글자 이상의 텍스트여야 하는데 'None'입니다."),
    ("a.jsonl", saying(ASKED, {"role": "tool", "content": "가"}, *messages_of(TURNS[:1])), {},
     "a.jsonl 2번째 줄 2번째 메시지: role은 system, user, assistant 가운데 하나여야 하는데 'tool'입니다."),
    ("a.jsonl", saying(ASKED, {"role": "assistant", "content": "네<|im_start|>"}), {},
     "a.jsonl 2번째 줄 2번째 메시지: '<|im_start|>' 토큰은"),
    ("a.jsonl", saying({"role": "assistant", "content": "네"}), {},
     "a.jsonl 2번째 줄: user의 메시지로 시작해야 합니다"),
    ("a.txt", [GOOD], EVERY, "a.txt: 열이 있는 파일(.jsonl, .ndjson, .json, .csv, .tsv)이어야 합니다."),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_in_a_file_names_file_line_and_column(name, rows, columns, told, tokenizers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, name, rows) if name != "a.txt" else (tmp_path / name).write_text("가", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(told)) as caught:
        list(read_conversations(name, tokenizers["qwen"], **columns))
    assert str(caught.value).count("\n") == 0
    assert name in str(caught.value)


# Templates


def test_our_template_is_as_documented(tokenizers):
    tokenizer = formatted(tokenizers, "kogpt-mini", "instruction")
    talk = with_input(tokenizer, "요약하세요.", "가: 안녕")
    messages = messages_of([(talk, "인사한다."), ("더 짧게", "인사")], "잘 답합니다.")
    whole = ("잘 답합니다.\n\n### Instruction:\n요약하세요.\n\n### Input:\n가: 안녕\n\n### Response: 인사한다.</s>"
             "\n\n### Instruction:\n더 짧게\n\n### Response: 인사</s>")
    assert render(tokenizer, messages, answering=False) == whole
    assert render(tokenizer, messages[:-1]) == whole.removesuffix(" 인사</s>")


def test_what_is_asked_is_the_beginning_of_what_is_learnt(talker):
    """Token by token; each answer ends with the one eos, and nothing else does, in every format but for what a template
    itself writes with it."""
    for question, answer in TURNS:
        messages = messages_of([(question, answer)], "짧게")
        row = dataset_of(talker, Conversation(tuple(messages), "1번째", question))[0]
        prompt = chat_ids(talker, messages[:-1])
        ((begin, end),) = spans(row.labels)
        assert row.input_ids[:begin] == prompt
        assert row.labels[begin:end] == row.input_ids[begin:end]
        assert end == sum(row.attention_mask)
        assert row.input_ids[begin:end].count(talker.eos_token_id) == 1
        assert row.input_ids[end - 1] == talker.eos_token_id
        assert talker.decode(row.input_ids[begin : end - 1]).strip() == answer
        assert row.characters == len(answer)


def test_a_bos_stands_once_and_first_where_the_tokenizer_puts_one(tokenizers):
    for form in ("chat", "instruction"):
        tokenizer = formatted(tokenizers, "llama", form)
        ids = chat_ids(tokenizer, messages_of(TURNS)[:-1])
        assert ids[0] == tokenizer.bos_token_id
        assert ids.count(tokenizer.bos_token_id) == 1
    ids = chat_ids(formatted(tokenizers, "kogpt-mini", "instruction"), messages_of(TURNS)[:-1])
    assert tokenizers["kogpt-mini"].bos_token_id not in ids


def test_qwen_does_not_think(tokenizers, chat_models):
    tokenizer = formatted(tokenizers, "qwen", "chat")
    row = dataset_of(tokenizer, turns_of(TURNS[:1]))[0]
    ((begin, _),) = spans(row.labels)
    assert tokenizer.decode(row.input_ids[:begin]).endswith(f"<|im_start|>assistant\n{THINKING}")
    predictor = Predictor(*load_pretrained(str(chat_models[QWEN])))
    asked = tokenizer.decode(prompt_of(predictor, TALK)[1])
    assert asked.endswith(f"{TALK}<|im_end|>\n<|im_start|>assistant\n{THINKING}")


@pytest.mark.parametrize(("kind", "form"), TALKERS)
def test_a_conversation_of_many_turns_is_one_row_where_the_template_allows_it(kind, form, tokenizers):
    """Qwen's writes past answers without the block of thoughts that the last begins with."""
    tokenizer = formatted(tokenizers, kind, form)
    dataset = dataset_of(tokenizer, turns_of())
    runs = [row.input_ids[begin:end] for row in dataset for begin, end in spans(row.labels)]
    assert len(dataset) == (len(TURNS) if (kind, form) == ("qwen", "chat") else 1)
    assert [tokenizer.decode(run[:-1]).strip() for run in runs] == [answer for _, answer in TURNS]
    assert {run[-1] for run in runs} == {tokenizer.eos_token_id}
    assert dataset.label_lengths.sum() == sum(map(len, runs))
    assert sum(row.characters for row in dataset) == sum(len(answer) for _, answer in TURNS)
    last = messages_of(TURNS, "짧게 답하세요.")
    assert dataset.rows[-1].tolist() == [*chat_ids(tokenizer, last[:-1]), *runs[-1]]


# Formats


def test_auto_takes_the_template_that_is_there(tokenizers):
    for kind, name in KINDS.items():
        own = tokenizers[kind].chat_template
        assert formatted(tokenizers, kind, "auto").chat_template == own
        assert formatted(tokenizers, kind, "chat").chat_template == own
        assert "### Response" in formatted(tokenizers, kind, "instruction").chat_template
        assert tokenizers[kind].chat_template == own, name
    assert "### Response" in formatted(tokenizers, "kogpt-mini", "auto").chat_template


def test_chat_without_a_template_is_refused(tokenizers):
    with pytest.raises(UserError, match="format: 이 모델에는 대화 템플릿이 없습니다. --format instruction으로"):
        formatted(tokenizers, "kogpt-mini", "chat")


def test_tokens_that_a_template_needs_are_added_and_the_end_of_an_answer_becomes_eos(tokenizers, capsys):
    tokenizer = copy.deepcopy(tokenizers["kogpt-mini"])
    tokenizer.chat_template, before = CHATML, len(tokenizer)
    assert use_format(tokenizer, "auto") == ["<|im_start|>", "<|im_end|>"]
    assert f"토큰 {before:,} → {before + 2:,}개" in capsys.readouterr().out
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", before + 1)
    assert {"<|im_start|>", "<|im_end|>"} <= set(tokenizer.all_special_tokens) | {
        str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    assert use_format(tokenizer, "auto") == []
    ids = encode(tokenizer, render(tokenizer, messages_of(TURNS), answering=False))
    assert ids.count(before + 1) == 2 * len(TURNS)
    (row,) = dataset_of(tokenizer, turns_of())
    assert [row.input_ids[end - 1] for _, end in spans(row.labels)] == [before + 1] * len(TURNS)


def test_the_end_of_an_answer_is_the_templates_whatever_ends_a_text(tokenizers):
    """Base models of Llama and Qwen end a text with another token than a conversation's answer."""
    for kind, base, end in (("llama", "<|end_of_text|>", "<|eot_id|>"), ("qwen", "<|endoftext|>", "<|im_end|>")):
        tokenizer = copy.deepcopy(tokenizers[kind])
        tokenizer.eos_token = base
        assert use_format(tokenizer, "chat") == []
        assert tokenizer.eos_token == end
        tokenizer.eos_token = base
        assert use_format(tokenizer, "instruction") == []
        assert tokenizer.eos_token == base
        assert end_of_answer(tokenizer) == tokenizer.convert_tokens_to_ids(base)


def test_a_template_that_does_not_end_an_answer_is_refused(tokenizers):
    tokenizer = copy.deepcopy(tokenizers["qwen"])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    with pytest.raises(UserError, match="대화 템플릿: 답변의 끝을 알리는 토큰이 없습니다. --format instruction으로"):
        use_format(tokenizer, "auto")


# Limits


def check_cut(tokenizer, asked: Conversation, turn, limits: Limits) -> None:
    """That a turn keeps what it has to, and ends where it should."""
    *before, answer = asked.messages
    whole = render(tokenizer, before)
    begins = render(tokenizer, before, answering=False).rfind(asked.text)
    head, tail = whole[:begins], whole[begins + len(asked.text) :]
    shown = tokenizer.decode(turn.prompt)
    assert shown.startswith(head)
    assert shown.endswith(tail)
    kept = shown[len(head) : len(shown) - len(tail)]
    assert kept
    assert "\ufffd" not in kept
    assert asked.text.endswith(kept) or kept.startswith("\n")
    prompt, learnt = encode(tokenizer, whole), dataset_of(tokenizer, asked).rows[0].tolist()
    answer = learnt[len(prompt) :]
    assert turn.answer == answer[: len(turn.answer)]
    assert turn.answer
    assert (turn.answer[-1] == tokenizer.eos_token_id) == (len(turn.answer) == len(answer))
    assert turn.lost == (len(prompt) - len(turn.prompt), len(answer) - len(turn.answer))
    assert len(turn.prompt) <= limits.prompt
    assert len(turn.answer) <= limits.answer
    assert len(turn.prompt) + len(turn.answer) <= limits.both
    if turn.lost[0]:  # no more than there has to be: a character has four bytes at most
        room = min(limits.prompt, limits.both - len(answer[: limits.answer]))
        assert len(turn.prompt) > room - 4 or len(kept) == 1


@pytest.mark.parametrize("kind", ["block_size", "encoder_max_len"])
def test_at_every_limit_the_instruction_and_the_end_of_the_dialogue_stay(kind, talker):
    asked, end = summary_of(talker), end_of_answer(talker)
    whole = fit(talker, asked, end, WIDE)
    prompt, answer = len(whole.prompt), len(whole.answer)
    fits = []
    for size in range(2, prompt + answer + 2):
        if kind == "block_size":
            limits = Limits.of(SimpleNamespace(block_size=size))
        else:
            limits = Limits.of(SimpleNamespace(encoder_max_len=size, decoder_max_len=2 + size % answer))
        try:
            turn = fit(talker, asked, end, limits)
        except UserError as error:
            assert not fits
            assert f"{kind}: train.csv 2번째 줄의 질문에서 자를 수 없는 부분만" in str(error)
            least = int(re.search(r"부분만 ([\d,]+)토큰", str(error))[1])
            assert least > limits.prompt
            continue
        check_cut(talker, asked, turn, limits)
        fits.append(turn)
    assert len(fits[0].prompt) == least  # as it was told
    assert len(fits) > answer
    assert whole in fits[-answer:]
    sizes = [len(turn.prompt) for turn in fits]
    assert sizes == sorted(sizes)
    assert len({*sizes}) > 20


def test_the_end_of_a_text_is_found_where_its_words_stand_in_the_template_too(tokenizers):
    """What is left of ### Response or <|start_header_id|>assistant would be no prompt."""
    for kind, form, text in (("llama", "chat", "assistant"), ("kogpt-mini", "instruction", "Response")):
        tokenizer = formatted(tokenizers, kind, form)
        messages = messages_of([(with_input(tokenizer, "번역하세요.", text), "")])[:1]
        whole = chat_ids(tokenizer, messages)
        shown = tokenizer.decode(cut_text(tokenizer, messages, text, len(whole) - 2))
        assert shown.count(text) == 1
        rendered = render(tokenizer, messages)
        assert shown.endswith(rendered[rendered.rfind(text) - 5 :])


def test_the_oldest_turns_go_first(talker):
    asked = turns_of()
    end = end_of_answer(talker)
    whole = fit(talker, asked, end, WIDE)
    counts = []
    for size in range(len(whole.prompt) + len(whole.answer), 1, -1):
        try:
            turn = fit(talker, asked, end, Limits.of(SimpleNamespace(block_size=size)))
        except UserError:
            break
        shown = talker.decode(turn.prompt)
        kept = [question in shown for question, _ in TURNS]
        assert "짧게 답하세요." in shown
        assert kept == sorted(kept)  # the newest ones
        if sum(kept) > 0:
            assert turn.prompt == chat_ids(talker, messages_of(TURNS[-sum(kept) :], "짧게 답하세요.")[:-1])
            assert turn.answer == whole.answer
        assert turn.lost[0] == len(whole.prompt) - len(turn.prompt)
        counts.append(sum(kept))
    assert counts == sorted(counts, reverse=True)
    assert {*counts} >= {1, 2, 3, 4}


def test_what_does_not_fit_is_told_and_cut_on_request(tokenizers, caplog):
    """Of a conversation of several rows each answer counts."""
    tokenizer = formatted(tokenizers, "qwen", "chat")
    rows = [summary_of(tokenizer), turns_of(), turns_of(TURNS[-1:])]
    whole = [[fit(tokenizer, part, end_of_answer(tokenizer), WIDE) for part in parts] for parts in (
        rows[:1], [turns_of(TURNS[: number + 1]) for number in range(4)], rows[2:])]
    lengths = [[(len(turn.prompt), len(turn.answer)) for turn in turns] for turns in whole]
    limits = Limits(lengths[0][0][0] - 3, 4, 1024, NAMES)
    lost = sum(max(answer - 4, 0) for parts in lengths for _, answer in parts)
    with pytest.raises(UserError) as caught:
        dataset_of(tokenizer, *rows, limits=limits)
    told = str(caught.value)
    dataset = dataset_of(tokenizer, *rows, limits=limits, truncate=True)
    assert dataset.documents == [0, 1, 1, 1, 1, 2]
    of_prompts = [before - begin for (before, _), [(begin, _)] in zip(sum(lengths, []), dataset.answers, strict=True)]
    assert of_prompts[0] >= 3
    assert of_prompts[1] == of_prompts[5] == 0 < of_prompts[4]
    counts = (f"encoder_max_len, decoder_max_len: train.csv 2번째 줄 등 2개가 깁니다. 자르면 프롬프트에서 "
              f"{of_prompts[0] + max(of_prompts[1:])}토큰, 답변에서 {lost}토큰을 잃습니다.")
    assert told == f"{counts} 값을 늘리거나, 잘라도 된다면 --truncate를 붙이세요."
    assert counts in caplog.text
    assert dataset.label_lengths.tolist() == [min(answer, 4) for parts in lengths for _, answer in parts]
    assert all(row.labels[begin:end] == row.input_ids[begin:end] for row in dataset for begin, end in spans(row.labels))


# What is learnt


@pytest.fixture
def train_args(chat_models, dialogue_root, tmp_path):
    """``InstructionTrainArguments`` for the small corpus and a narrow model, with changes."""
    return lambda kind="llama", **changes: InstructionTrainArguments(**{
        "pretrained_model_name": str(chat_models[KINDS[kind]]), "downstream_corpus_root_dir": str(dialogue_root),
        "downstream_corpus_name": "talk", "downstream_model_dir": str(tmp_path / "out"), "encoder_max_len": 700,
        "decoder_max_len": 120, "batch_size": 4, "epochs": 1, "learning_rate": 1e-3, "seed": 7, "precision": "32",
        "device": "cpu", **changes})


def by_hand(model, batch) -> torch.Tensor:
    """The loss of each token of a batch that has a label, by transformers' logits."""
    with torch.no_grad():
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].float()
    labels = batch["labels"][:, 1:]
    return cross_entropy(logits[labels != IGNORED], labels[labels != IGNORED], reduction="none")


@pytest.mark.parametrize(("kind", "form"), FORMATS)
def test_only_the_tokens_of_answers_cost(kind, form, train_args, tokenizers):
    args = train_args(kind, format=form)
    tokenizer = load_tokenizer(args)
    talks = [summary_of(tokenizer, talk.dialogue, talk.summary) for talk in made_dialogues(5, 3)]
    dataset = dataset_of(tokenizer, turns_of(), *talks)
    batch = nlpbook.data_collator(list(dataset))
    assert batch["input_ids"].shape == batch["labels"].shape == (len(dataset), dataset.width)
    assert batch["labels"][batch["labels"] != IGNORED].tolist() == [
        number for row, places in zip(dataset.rows, dataset.answers, strict=True) for begin, end in places
        for number in row[begin:end]]
    task = GenerationTask(load_model(args, tokenizer), args)
    task.model.eval()
    task.recipe.optimizer(task.model, dataset, 10, False)
    assert task.recipe.tokens_per_step == pytest.approx(4 * dataset.label_lengths.sum() / len(dataset))
    expected = by_hand(task.model, batch)
    assert len(expected) == dataset.label_lengths.sum()
    loss, losses = task.recipe.training_loss(task.model, batch, task.plain_head)
    assert loss.item() == pytest.approx(expected.sum().item() / task.recipe.tokens_per_step, rel=1e-4)
    assert losses.mean().item() == pytest.approx(expected.mean().item(), rel=1e-4)


def test_val_loss_is_the_mean_over_the_tokens_of_answers(train_args, tmp_path):
    args = train_args("qwen")
    nlpbook.set_seed(args, quiet=True)
    tokenizer = load_tokenizer(args)
    train, val = (InstructionDataset(args, tokenizer, DialogueCorpus(), mode) for mode in ("train", "val"))
    task, trainer = GenerationTask(load_model(args, tokenizer), args), nlpbook.get_trainer(args)
    trainer.fit(task, *(DataLoader(dataset, batch_size=4, collate_fn=nlpbook.data_collator,
                                   sampler=nlpbook.LengthGroupedSampler(dataset, args)) for dataset in (train, val)))
    losses = by_hand(task.model.eval(), nlpbook.data_collator(list(val)))
    assert trainer.callback_metrics["val_loss"].item() == pytest.approx(losses.mean().item(), rel=1e-4)
    characters = sum(len(example.references[0]) for example in read_dialogues(
        f"{args.downstream_corpus_root_dir}/talk/dev.csv", summaries=True))
    assert trainer.callback_metrics["val_bits_per_char"].item() == pytest.approx(
        losses.sum().item() / torch.tensor(2.0).log().item() / characters, rel=1e-4)


def test_augment_asks_in_five_ways_to_learn_and_in_one_to_validate(train_args, caplog):
    args = train_args(augment=True)
    tokenizer = load_tokenizer(args)
    caplog.set_level("INFO", logger="ratsnlp")
    train, val = (InstructionDataset(args, tokenizer, DialogueCorpus(), mode) for mode in ("train", "val"))
    assert (len(train), len(val)) == (5 * 24, 6)
    assert "augment: 지시 5가지로 대화 24개를 120개로 늘립니다." in caplog.text
    assert caplog.text.count("augment: ") == 1
    texts = [tokenizer.decode(row) for row in train.rows]
    assert all(sum(wording in text for text in texts) == 24 for wording in WORDINGS)
    assert len({*WORDINGS}) == 5
    answers = [train.rows[place][begin:end].tolist() for place, [(begin, end)] in enumerate(train.answers)]
    assert all(answers[place] == answers[place - place % 5] for place in range(120))
    assert all(WORDINGS[0] in tokenizer.decode(row) for row in val.rows)
    plain = InstructionDataset(train_args(), tokenizer, DialogueCorpus(), "train")
    assert [row.tolist() for row in plain.rows] == [row.tolist() for row in train.rows[::5]]


def test_dialogues_of_a_corpus_are_asked_about(train_args, dialogue_root, caplog):
    args = train_args("qwen", system="세 마디로.", max_eval_samples=4)
    caplog.set_level("INFO", logger="ratsnlp")
    tokenizer = load_tokenizer(args)
    val = InstructionDataset(args, tokenizer, DialogueCorpus(), "val")
    examples = read_dialogues(dialogue_root / "talk/dev.csv", summaries=True)[:4]
    assert len(val) == 4
    for row, example in zip(val, examples, strict=True):
        ((begin, end),) = spans(row.labels)
        assert tokenizer.decode(row.input_ids[:begin]) == (
            f"<|im_start|>system\n세 마디로.<|im_end|>\n<|im_start|>user\n{WORDINGS[0]}\n\n{example.dialogue}"
            f"<|im_end|>\n<|im_start|>assistant\n{THINKING}")
        assert tokenizer.decode(row.input_ids[begin:end]) == f"{example.references[0]}<|im_end|>"
    mean = val.label_lengths.mean()
    assert f"val: 대화 4개, 프롬프트와 요약이 {val.lengths.mean():.0f}토큰, 그중 요약이 {mean:.0f}토큰" in caplog.text


def test_a_token_of_the_template_in_a_dialogue_is_refused(train_args, dialogue_root, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("train.csv", "dev.csv"):
        text = (dialogue_root / "talk" / name).read_text(encoding="utf-8-sig")
        (folder / name).write_text(text.replace("#Person2#: ", "#Person2#: <|eot_id|> ", 1), encoding="utf-8")
    args = train_args(downstream_corpus_root_dir=str(tmp_path), downstream_corpus_name="odd")
    with pytest.raises(UserError, match=r"train.csv 2번째 줄 2번째 메시지: '<\|eot_id\|>' 토큰은"):
        InstructionDataset(args, load_tokenizer(args), DialogueCorpus(), "train")


def test_conversations_are_parted_by_themselves_not_by_rows(tokenizers, tmp_path, capsys):
    """Qwen's have a row for each answer; no conversation is both learnt and held out."""
    rows = [messages_of([(f"{number}번 {question}", answer) for question, answer in TURNS[: 1 + number % 3]])
            for number in range(20)]
    file = write(tmp_path, "a.jsonl", [{"messages": row} for row in rows])
    args = SimpleNamespace(
        dataset_path=str(file), prompt_column=None, response_column=None, system_column=None, input_column=None,
        debug=False, block_size=512, truncate=False, validation_split=0.25, seed=3, turns=1)
    tokenizer = formatted(tokenizers, "qwen", "chat")
    train, val = load_conversation_datasets(args, tokenizer)
    learnt, held_out = ({question.partition("번 ")[0] for question in each.questions} for each in (train, val))
    assert (len(learnt), len(held_out)) == (15, 5)
    assert not learnt & held_out
    assert len(train) + len(val) == sum(len(row) // 2 for row in rows)
    tokens, answers = (sum(part) for part in zip(*(
        (each.lengths.sum(), each.label_lengths.sum()) for each in (train, val)), strict=True))
    assert f"대화 20개, 토큰 {tokens:,}개, 그중 답변 {answers:,}개: " in capsys.readouterr().out
    again = load_conversation_datasets(args, tokenizer)[1]
    assert [row.tolist() for row in again.rows] == [row.tolist() for row in val.rows]
    file.write_text(file.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    with pytest.raises(UserError, match="a.jsonl: 둘 이상이어야 학습용과 평가용으로 나눌 수 있는데 1개입니다."):
        load_conversation_datasets(args, tokenizer)


@pytest.mark.parametrize("block_size", [64, 96, 512])
def test_questions_are_joined_as_far_as_there_is_room(block_size, tokenizers, tmp_path, capsys):
    tokenizer = formatted(tokenizers, "kogpt-mini", "instruction")
    rows = [{"물음": f"{number}번은?", "답": f"{number // 2}입니다.", "말투": "짧게."} for number in range(30)]
    args = SimpleNamespace(
        dataset_path=str(write(tmp_path, "a.csv", rows)), prompt_column="물음", response_column="답",
        system_column="말투", input_column=None, debug=False, block_size=block_size, truncate=False,
        validation_split=0.2, seed=3, turns=4)
    train, val = load_conversation_datasets(args, tokenizer)
    assert train.lengths.max() <= block_size
    texts = [tokenizer.decode(row) for row in train.rows]
    asked = [[int(number) for number in re.findall(r"Instruction:\n(\d+)번은?", text)] for text in texts]
    assert [len(each) for each in asked[:24]] == [1] * 24
    assert {each[-1] for each in asked[24:]} <= {each[0] for each in asked[:24]}
    longest = {len(each) for each in asked[24:]}
    assert longest <= {2, 3, 4}
    assert longest == {2, 3, 4} or block_size < 512
    assert len(train) > 40 or block_size < 512
    held_out = {int(tokenizer.decode(row).partition("번은")[0].rpartition("\n")[2]) for row in val.rows}
    assert not held_out & {number for each in asked for number in each}
    for text, numbers, spans in zip(texts, asked, train.answers, strict=True):
        assert text.count("짧게.") == 1
        assert len(spans) == len(numbers)
        assert all(number // 2 != numbers[-1] // 2 for number in numbers[:-1])  # whose answer it would be too
    told = capsys.readouterr().out
    assert f"turns: 질문과 답변을 4개까지 이은 대화를 더해 {len(train)}개로 학습합니다." in told
    again, _ = load_conversation_datasets(args, tokenizer)
    assert [row.tolist() for row in again.rows] == [row.tolist() for row in train.rows]


def test_models_that_cannot_be_told_are_refused(train_args, kobart):
    with pytest.raises(UserError, match=r"인코더가 있는 모델\(bart\)은 지시를 따르도록 학습하지 않습니다"):
        load_tokenizer(train_args(pretrained_model_name=str(kobart)))
    for changes, name in (({"encoder_max_len": 2049}, "encoder_max_len"),
                          ({"encoder_max_len": 2000}, r"encoder_max_len \+ decoder_max_len")):
        with pytest.raises(UserError, match=f"^{name}: 이 모델의 최대 길이는 2048토큰이라"):
            load_tokenizer(train_args(**changes))
    with pytest.raises(UserError, match=r"인코더가 있는 모델\(bart\)은 infer_sum-0.py나 infer_sum-1.py로"):
        Predictor(*load_pretrained(str(kobart)))


def test_new_tokens_have_rows_and_stay_in_summaries(train_args):
    args = train_args("qwen", special_tokens=tuple(f"#새{number}#" for number in range(12)))
    tokenizer = load_tokenizer(args)
    model = load_model(args, tokenizer)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    ids = tokenizer.encode("민수가 #새3#에게", add_special_tokens=False)
    assert tokenizer.convert_tokens_to_ids("#새3#") in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "민수가 #새3#에게"


def test_tokens_that_a_base_lacks_are_learnt_beside_the_adapter(tokenizer, train_args, tmp_path):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = CHATML
    build("llama", tokenizer).save_pretrained(tmp_path / "base")
    save_tokenizer(tokenizer, tmp_path / "base")
    args = train_args(pretrained_model_name=str(tmp_path / "base"), lora_r=4, encoder_max_len=40, decoder_max_len=20)
    longer = load_tokenizer(args)
    model = load_model(args, longer)
    assert len(longer) == len(tokenizer) + 2 == model.get_input_embeddings().weight.shape[0]
    (rows,) = {tuple(rows) for rows in model.peft_config["default"].trainable_token_indices.values()}
    assert rows == (len(tokenizer), len(tokenizer) + 1)
    assert model.generation_config.eos_token_id == longer.eos_token_id == len(tokenizer) + 1


# Summaries


@pytest.fixture(scope="module")
def loaded(chat_models):
    return {kind: load_pretrained(str(chat_models[name])) for kind, name in KINDS.items()}


GREEDY = {"do_sample": False, "max_new_tokens": 12}


@pytest.mark.parametrize(("kind", "form"), FORMATS)
def test_a_batch_is_summarized_as_each_dialogue_is_alone(kind, form, loaded):
    predictor = Predictor(*loaded[kind], format=form)
    talks = [talk.dialogue for talk in made_dialogues(6, 5)] + [TALK]
    alone = [predictor.predict_single(talk, **GREEDY) for talk in talks]
    assert predictor.predict_batch(talks, 4, show_progress=False, **GREEDY) == alone
    assert len({*alone}) > 3
    assert len({len(prompt_of(predictor, talk)[1]) for talk in talks}) > 3
    model, tokenizer = predictor.model, predictor.tokenizer
    asked = [{"role": "system", "content": predictor.system},
             {"role": "user", "content": with_input(tokenizer, WORDINGS[0], TALK)}]
    ids = torch.tensor([chat_ids(tokenizer, asked)])
    written = model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **GREEDY)[0, ids.shape[1] :]
    assert alone[-1] == " ".join(tokenizer.decode(written, skip_special_tokens=True).replace("\ufffd", "").split())


def test_the_callers_tokenizer_stays_as_it_is(loaded, chat_models):
    def state(tokenizer):
        return tokenizer.chat_template, tokenizer.eos_token, len(tokenizer), tokenizer.backend_tokenizer.to_str()

    for kind, (model, tokenizer) in loaded.items():
        for form in ("chat", "instruction"):
            predictor = Predictor(model, tokenizer, format=form, encoder_max_len=100, truncate=True)
            predictor.predict_single(TALK, do_sample=False, max_new_tokens=2)
        assert state(tokenizer) == state(load_by_name(str(chat_models[KINDS[kind]])))


@pytest.mark.parametrize(("kind", "form"), FORMATS)
def test_too_long_a_dialogue_is_refused_or_loses_its_beginning(kind, form, loaded):
    whole = len(prompt_of(Predictor(*loaded[kind], format=form), TALK)[0])
    exact = Predictor(*loaded[kind], format=form, encoder_max_len=whole)
    longer = Predictor(*loaded[kind], format=form, encoder_max_len=whole - 1)
    cut = Predictor(*loaded[kind], format=form, encoder_max_len=whole - 20, truncate=True)
    assert exact.predict_single(TALK, **GREEDY) == Predictor(*loaded[kind], format=form).predict_single(TALK, **GREEDY)
    with pytest.raises(UserError, match=rf"^dialogue: 프롬프트가 {whole}토큰이라 encoder_max_len\({whole - 1}\)보다"):
        longer.predict_single(TALK, **GREEDY)
    with pytest.raises(UserError, match="^dialogues 2번째: 프롬프트가"):
        longer.predict_batch(["#Person1#: 네.", TALK], show_progress=False, **GREEDY)
    with pytest.raises(UserError, match="^dialogue: 발화가 없는 대화입니다"):
        exact.predict_single("안녕하세요.")
    _, ids = prompt_of(cut, TALK)
    assert whole - 24 < len(ids) <= whole - 20
    shown = cut.tokenizer.decode(ids)
    assert WORDINGS[0] in shown
    assert cut.system in shown
    assert TALK[-20:] in shown
    assert TALK not in shown
    assert cut.predict_single(TALK, **GREEDY)
    least = None
    for size in range(whole, 0, -1):  # down to where there is no room for the dialogue
        small = Predictor(*loaded[kind], format=form, encoder_max_len=size, truncate=True)
        try:
            shown = small.tokenizer.decode(prompt_of(small, TALK)[1])
        except UserError as error:
            assert f"{least:,} 이상이어야 하는데 {size:,}입니다." in str(error)
            break
        assert "\ufffd" not in shown
        least = len(prompt_of(small, TALK)[1])
        assert least <= size
    assert size > 20


def test_a_summary_is_as_long_as_there_is_room_where_no_length_is_named(loaded):
    predictor = Predictor(*loaded["llama"])
    text = predictor.predict_single(TALK, do_sample=False, min_new_tokens=200)
    assert text == predictor.predict_single(TALK, do_sample=False, min_new_tokens=200, max_new_tokens=200)
    assert text != predictor.predict_single(TALK, do_sample=False, min_new_tokens=199, max_new_tokens=199)


def test_tables(loaded, tmp_path):
    predictor = Predictor(*loaded["qwen"])
    talks = [talk.dialogue for talk in made_dialogues(3, 5)]
    table = pandas.DataFrame({"fname": ["test_0", "test_1", "test_2"], "dialogue": talks})
    told = predictor.predict_dataframe(table, show_progress=False, **GREEDY)
    assert list(told.columns) == ["fname", "dialogue", "summary"]
    assert told["summary"].tolist() == [predictor.predict_single(talk, **GREEDY) for talk in talks]
    assert list(table.columns) == ["fname", "dialogue"]
    written = predictor.create_submission(table, tmp_path / "submission.csv", show_progress=False, **GREEDY)
    assert list(written.columns) == ["fname", "summary"]
    read = pandas.read_csv(tmp_path / "submission.csv", keep_default_na=False)
    assert read.to_dict("list") == written.to_dict("list")
    assert read["summary"].tolist() == told["summary"].tolist()
    with pytest.raises(UserError, match="column: 'summary' 열이 이미 있습니다"):
        predictor.predict_dataframe(told, **GREEDY)
    with pytest.raises(UserError, match="prompt_column: 'dialogue' 열이 없습니다. 있는 것: fname"):
        predictor.predict_dataframe(table[["fname"]], **GREEDY)


def test_a_model_that_has_not_learnt_its_template_is_refused(tokenizer):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(tiny_config("gpt2", tokenizer))
    with pytest.raises(UserError, match="format: 이 모델에는 대화 템플릿이 없습니다"):
        Predictor(model, tokenizer, format="chat")
    strange = copy.deepcopy(tokenizer)
    strange.chat_template = CHATML
    with pytest.raises(UserError, match=r"format: 이 모델은 대화 템플릿의 <\|im_start\|> 토큰을 배우지 않았습니다"):
        Predictor(model, strange)
    assert "<|im_start|>" not in strange.get_vocab()
    assert Predictor(model, strange, format="instruction").tokenizer.eos_token == tokenizer.eos_token


def test_the_arguments_of_the_scripts():
    train, infer = InstructionTrainArguments(encoder_max_len=700, decoder_max_len=90), InstructionInferArguments()
    assert train.max_seq_length == 790
    assert (train.format, infer.format) == ("chat", "auto")
    assert train.system == infer.system
    assert Limits.of(train) == Limits(700, 90, 790, NAMES)
    with pytest.raises(UserError, match="format: chat, instruction, auto 가운데"):
        InstructionTrainArguments(format="alpaca")


# Conversations that go on


def chatter(tokenizer, positions: int) -> PlainPredictor:
    """A small random GPT-2 with so many positions, which talks in our format."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = tiny_config("gpt2", tokenizer)
    config.n_positions, config.initializer_range = positions, 0.3
    tokenizer = copy.deepcopy(tokenizer)
    use_format(tokenizer, "instruction")
    return PlainPredictor(AutoModelForCausalLM.from_config(config).eval(), tokenizer)


def generated(predictor: PlainPredictor, ids: list[int], new: int) -> str:
    rows = torch.tensor([ids])
    written = predictor.model.generate(
        rows, attention_mask=torch.ones_like(rows), do_sample=False, max_new_tokens=new, pad_token_id=3,
        eos_token_id=predictor.eos)
    return continuation(predictor.tokenizer, written[0], len(ids)).strip()


@pytest.mark.parametrize("positions", [96, 128, 256])
def test_a_full_conversation_loses_its_oldest_turns(positions, tokenizer, caplog):
    predictor = chatter(tokenizer, positions)
    turns = [(f"{number}번 질문입니다", f"{number}번 답입니다") for number in range(12)]
    dropped = set()
    for count in range(1, 13):
        caplog.clear()
        messages = messages_of(turns[:count], "짧게")[:-1]
        answer = predictor.predict_chat(messages, do_sample=False, max_new_tokens=9)
        kept = next(first for first in range(count) if first == count - 1 or len(chat_ids(
            predictor.tokenizer, messages_of(turns[first:count], "짧게")[:-1])) + 9 <= positions)
        ids = chat_ids(predictor.tokenizer, messages_of(turns[kept:count], "짧게")[:-1])
        assert answer == generated(predictor, ids, 9)
        told = f"대화가 모델의 최대 길이({positions}토큰)를 넘어, 앞의 메시지 {2 * kept}개를 빼고 답합니다."
        assert (told in caplog.text) == (kept > 0)
        dropped.add(kept)
    assert len(dropped) > 3
    assert 0 in dropped


def test_one_question_that_does_not_fit_is_told(tokenizer):
    predictor = chatter(tokenizer, 64)
    with pytest.raises(UserError, match=r"프롬프트가 \d+토큰이라 이 모델의 최대 길이\(64토큰\)"):
        predictor.predict_chat(messages_of([("정말 " * 80, "")])[:-1], max_new_tokens=4)
    with pytest.raises(UserError, match="이 모델에는 대화 템플릿"):
        PlainPredictor(predictor.model, tokenizer).predict_chat(messages_of(TURNS)[:1])


@pytest.mark.parametrize("positions", [64, 200, 1000])
def test_an_answer_is_as_long_as_there_is_room_where_no_length_is_named(positions, tokenizer):
    predictor = chatter(tokenizer, positions)
    predictor.eos = [1199]  # which it does not write here
    messages = messages_of([("안녕", "네")])[:1]
    ids = chat_ids(predictor.tokenizer, messages)
    room = min(256, positions - len(ids))
    expected = generated(predictor, ids, room)
    assert predictor.predict_chat(messages, do_sample=False) == expected
    assert expected != generated(predictor, ids, room - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pieces_of_an_answer_make_the_answer(kind, loaded):
    predictor = PlainPredictor(*loaded[kind])
    messages = messages_of(TURNS[:2], "짧게")[:-1]
    for options in ({"do_sample": False}, {"temperature": 0.9}):
        pieces = []
        answer = predictor.predict_chat(messages, seed=3, write=pieces.append, max_new_tokens=40, **options)
        assert "".join(pieces).strip() == answer
        assert len(pieces) > 5
        assert answer == predictor.predict_chat(messages, seed=3, max_new_tokens=40, **options)
        assert answer == answer.strip()


def test_a_chat_models_answer_ends_at_any_of_its_ends(chat_models, loaded):
    """Llama's generation_config.json names two, and the template puts one behind an answer."""
    for kind, names in (("llama", ["<|eot_id|>", "<|end_of_text|>"]), ("qwen", ["<|im_end|>", "<|endoftext|>"])):
        model, tokenizer = loaded[kind]
        assert sorted(PlainPredictor(model, tokenizer).eos) == sorted(tokenizer.convert_tokens_to_ids(names))
