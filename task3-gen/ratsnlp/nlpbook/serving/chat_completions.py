"""Conversations in OpenAI's form: answers of a model with a chat template, written as :mod:`.completions` writes texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..generation.chat import Message, chat_ids, check_messages, special_tokens
from ..generation.prompts import readable
from .access import error_json
from .app import read_json
from .completions import Choice, Completion, answered, completion_fields, make_completion, own_names, read_body
from .requests import RequestField, check_body

if TYPE_CHECKING:
    from flask import Flask

    from .service import GenerationService

MOST_TOKENS = 512  # of an answer whose length nobody says
LENGTHS = ("max_completion_tokens", "max_tokens")  # OpenAI's name, and the one that it had before
TOO_LONG = "context_length_exceeded"  # OpenAI's code
# What OpenAI knows and would change the answer, and the value that does not.
REFUSED = {
    "tools": [], "tool_choice": "none", "functions": [], "function_call": "none", "response_format": {"type": "text"},
    "modalities": ["text"], "audio": None, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}}

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a token that is one byte


class TooLong(UserError):
    """The conversation leaves no room for its answer."""


def chat_fields(service: GenerationService) -> dict[str, RequestField]:
    """The fields of a conversation by their names in this API."""
    found = completion_fields(service)
    for name in ("echo", "return_token_ids", "return_tokens_as_token_ids"):
        del found[name]
    longest = replace(found["max_tokens"], default=None)
    return found | {each.name: each for each in (
        replace(longest, name=LENGTHS[0], help=f"답변의 최대 토큰 수. 없으면 모델에 남은 자리만큼, {MOST_TOKENS}까지"),
        replace(longest, help=f"{LENGTHS[0]}의 이전 이름"),
        RequestField("logprobs", bool, False, "로그확률", "토큰마다 로그확률을 함께 받을지"),
        RequestField("top_logprobs", int, 0, "후보", "토큰마다 모델의 확률이 높은 후보 몇 개의 로그확률을 함께 받을지",
                     dict(found["logprobs"].metadata)))}


def read_chat(body: dict, service: GenerationService, known: dict[str, RequestField], length: str) -> Completion:
    """``known`` are the :func:`chat_fields`; ``length`` is the name that ``body`` has for the length of an answer.

    Raises:
        UserError: naming the field, the bound and the value.
        NotFound: it asks for another model.
    """
    body, values = read_body(body, service, known, REFUSED)
    ids = chat_ids(service.tokenizer, read_messages(
        body.get("messages"), special_tokens(service.tokenizer).values()))
    logprobs, top = values.pop("logprobs", False), values.pop("top_logprobs", 0)
    if top and not logprobs:
        raise UserError("top_logprobs: logprobs가 true일 때만 쓸 수 있습니다.")
    old = values.pop("max_tokens", None)
    new = values.pop("max_completion_tokens", old)
    positions = service.engine.positions or math.inf
    room = positions - len(ids)
    if room < 1 or new is not None and new > room:
        asked = f"새 토큰 {new}개를 쓸 자리가 없습니다. 대화를 줄이거나 {length} 값을 줄이세요." if new else (
            "답변을 쓸 자리가 없습니다. 대화를 줄이세요.")
        raise TooLong(f"messages: 대화가 {len(ids)}토큰이라 이 모델의 최대 길이({positions}토큰)에 {asked}")
    if new is not None or "max_length" not in values:
        values["max_tokens"] = min(room, MOST_TOKENS) if new is None else new
    return make_completion(body, values, service, [("", tuple(ids))], top if logprobs else None)


def read_messages(messages: Any, special: Iterable[str]) -> list[Message]:
    """``messages`` of texts, the last of them a user's. Raises UserError: they are no such conversation, or hold a
    ``special`` token."""
    if isinstance(messages, list):
        messages = [_read_message(number, message) for number, message in enumerate(messages, start=1)]
        if messages and messages[0] == {"role": "system", "content": ""}:  # which some programs always send
            del messages[0]
    try:
        check_messages(messages, special)
    except UserError as error:
        raise UserError(re.sub(r"^messages (?=\d)", "messages: ", str(error))) from error
    if messages[-1]["role"] != "user":
        raise UserError("messages: 마지막 메시지는 user의 것이어야 합니다. assistant의 메시지를 이어 쓸 수는 없습니다.")
    return messages


def _read_message(number: int, message: Any) -> Any:
    """Its role and content, the latter's parts as one text; OpenAI's developer is what system was."""
    if not isinstance(message, dict):
        return message
    role, content = message.get("role"), message.get("content")
    if isinstance(content, list):
        for part in content:
            part = part if isinstance(part, dict) else {"type": part}
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise UserError(f'messages: {number}번째 메시지의 content는 텍스트나 {{"type": "text", "text": "…"}}의 '
                                f"목록이어야 하는데 type이 {str(part.get('type'))[:40]!r}입니다.")
        content = "\n".join(part["text"] for part in content)
    return {"role": "system" if role == "developer" else role, "content": content}


class ChatChoice(Choice):
    """One answer: without the space before its first word."""

    id_prefix, whole, chunk = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._told = b""  # of tokens, up to the first whole character

    def parts(self, gone: Callable[[], bool]) -> Iterator[tuple[str, dict | None] | None]:
        begun = False
        for piece in self.pieces(gone):
            if piece is None:
                yield None
                continue
            text, steps = piece if begun else (piece[0].lstrip(), piece[1])
            begun = begun or bool(text)
            if text or steps:
                yield text, self.logprobs(steps)

    def chunks(self, gone: Callable[[], bool]) -> Iterator[dict[str, Any] | None]:
        yield self._delta({"role": "assistant", "content": ""})
        for part in self.parts(gone):
            yield part and self._delta({"content": part[0]}, part[1])
        yield self._delta({}, None, self.finish_reason)

    def told(self, text: str, logprobs: dict | None, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": logprobs, "finish_reason": finish_reason}

    def _delta(self, delta: dict, logprobs: dict | None = None, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}

    def logprobs(self, steps: list[dict]) -> dict | None:
        if self.completion.logprobs is None:
            return None
        special, found = special_tokens(self.service.tokenizer), []
        for token, top in map(self.scored, steps):
            begun = bool(self._told.decode(errors="ignore"))
            entry, *likeliest = (self._entry(*each, special, begun) for each in (token, *top))
            found.append(entry | {"top_logprobs": likeliest})
            if not begun:
                self._told += bytes(entry["bytes"] or ())
        return {"content": found}

    def _entry(self, number: int, text: str, logprob: float, special: dict[int, str], begun: bool) -> dict[str, Any]:
        """A token with its bytes, where it has any: together they are the answer, which a token alone, where it is a
        part of a character, cannot tell in letters."""
        tokenizer, text = self.service.tokenizer, text if begun else text.lstrip()
        if text and number in special and not readable(tokenizer, [number]):
            data = None
        elif "\ufffd" in tokenizer.decode([number]):
            data = _bytes_of(str(tokenizer.convert_ids_to_tokens(number)))
            data = data if begun else data and data.lstrip()
        else:
            data = text.encode()
        return {"token": text, "logprob": logprob, "bytes": None if data is None else list(data)}


def _bytes_of(name: str) -> bytes | None:
    """What a token of this name holds, where that is no text: one byte (``<0xEA>``), or several as GPT-2's kind of BPE
    writes them, each as a letter."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    if byte := _BYTE.fullmatch(name):
        return bytes([int(byte[1], 16)])
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    return bytes(letters[each] for each in name) if letters.keys() >= set(name) else None


def add_chat_completions(app: Flask, service: GenerationService) -> None:
    """``POST /v1/chat/completions``."""
    from flask import jsonify, request

    known = chat_fields(service)

    @app.post("/v1/chat/completions")
    def chat_completions():
        body = read_json()
        if service.engine.no_chat:
            raise UserError(service.engine.no_chat)
        body = check_body(body, '{"messages": [{"role": "user", "content": "안녕하세요"}]}')
        length = next((name for name in LENGTHS if body.get(name) is not None), LENGTHS[0])
        with own_names(length):
            completion = read_chat(body, service, known, length)
            jobs = service.submit_all(completion.requests, completion.stream)
        return answered(service, completion, jobs, ChatChoice)

    @app.errorhandler(TooLong)
    def too_long(error):
        found = error_json(request.path, 400, str(error))
        return jsonify(error=found["error"] | {"code": TOO_LONG}), 400
