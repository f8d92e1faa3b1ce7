"""Conversations to learn from: any table of questions and answers, or messages as OpenAI's format has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..generation.chat import Message, check_messages, check_special, special_tokens, with_input
from ..text_files import check_text, compose, read_records

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Conversation:
    """Messages, the last of them an answer; the ``place`` where it stands, and the ``text`` at the end of the last
    question of which the beginning may be cut off where it is too long: all of it, or what an instruction is about."""

    messages: tuple[Message, ...]
    place: str
    text: str


def conversation(question: str, answer: str, place: str, text: str = "", system: str = "") -> Conversation:
    messages = (("system", system), ("user", question), ("assistant", answer))
    return Conversation(tuple({"role": role, "content": compose(content).strip()} for role, content in messages
                              if content.strip() or role != "system"), place, compose(text or question).strip())


def read_conversations(path: str | Path, tokenizer: PreTrainedTokenizerFast, prompt_column: str | None = None,
                       response_column: str | None = None, system_column: str | None = None,
                       input_column: str | None = None) -> Iterator[Conversation]:
    """The rows of a table (:func:`~ratsnlp.nlpbook.text_files.read_records`): a question, its answer, and where such
    columns are named a system's message and what the question is about (either may be empty). Without a
    ``prompt_column``: of a JSON file the ``messages`` of each row, the last of them an answer.

    Raises:
        UserError: as ``read_records`` and :func:`~ratsnlp.nlpbook.generation.chat.check_messages` do, or a column is
            missing or empty (naming file and line).
    """
    special = list(special_tokens(tokenizer).values())
    columns = {"prompt_column": prompt_column, "response_column": response_column, "system_column": system_column,
               "input_column": input_column}
    columns = {option: compose(name) for option, name in columns.items() if name is not None}
    for place, row in read_records(path):
        if columns:
            values = {option: _value(place, row, option, name, special) for option, name in columns.items()}
            question, text = values["prompt_column"], values.get("input_column", "").strip()
            found = conversation(with_input(tokenizer, question.strip(), text) if text else question,
                                 values["response_column"], place, text, values.get("system_column", ""))
        else:
            found = _from_messages(place, row.get("messages"))
            check_messages(found.messages, special, place)
        yield found


def _value(place: str, row: dict, option: str, name: str, special: list[str]) -> str:
    if name not in row:
        raise UserError(f"{option}: {place}에 {name!r} 열이 없습니다. 있는 것: {', '.join(map(str, row))}")
    value = "" if row[name] is None and option in ("system_column", "input_column") else row[name]
    if not isinstance(value, str):
        raise UserError(f"{place}: {name} 값은 문자열이어야 하는데 {value!r}입니다.")
    if not value.strip() and option in ("prompt_column", "response_column"):
        raise UserError(f"{place}: {name} 값이 비어 있습니다.")
    check_text(place, value)
    check_special(f"{place}: {name} 값의", value, special)
    return value


def _from_messages(place: str, messages) -> Conversation:
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise UserError(f'{place}: "messages": [{{"role": "user", "content": "…"}}, …]가 있어야 합니다.')
    if messages[-1].get("role") != "assistant":
        raise UserError(f"{place}: 마지막 메시지는 학습할 답변(assistant)이어야 하는데 role이 "
                        f"{messages[-1].get('role')!r}입니다.")
    messages = [{"role": each.get("role"), "content": _content(each.get("content"))} for each in messages]
    questions = [each["content"] for each in messages if each["role"] == "user"]
    return Conversation(tuple(messages), place, questions[-1] if questions else "")


def _content(content):
    return compose(content).strip() if isinstance(content, str) else content
