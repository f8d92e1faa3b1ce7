"""The API in OpenAI's form, as its clients and the engines know it: the continuation only.

What is known is checked as elsewhere; what is not known is passed over, as the engines do. What OpenAI knows and this
server cannot do is an error where it would change the text. What conversations (:mod:`.chat_completions`) have in
common with texts stands here too.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ..argument_groups import MAX_SEED
from ..errors import UserError
from .access import error_json
from .app import SIGN_OF_LIFE, client_is_gone, event, read_json, server_sent
from .jobs import NotFound, Request, ServiceError
from .requests import (
    OFF,
    OWN_NAMES,
    RequestField,
    are_token_ids,
    book_defaults,
    check_body,
    check_prompt,
    complete_options,
    fresh_seed,
    read_known,
)

if TYPE_CHECKING:
    from flask import Flask

    from .jobs import Job
    from .service import GenerationService

MOST = 32  # texts of one request
DEFAULTS = {"max_new_tokens": 16, **OFF}
REFUSED = {"presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "suffix": "", "best_of": 1}


def completion_fields(service: GenerationService) -> dict[str, RequestField]:
    """The fields of a completion by their names in this API: all knobs, of which the book's have no default here, and
    what OpenAI has beside them."""
    found = {OWN_NAMES.get(name, name): replace(each, name=OWN_NAMES.get(name, name), default=DEFAULTS.get(name))
             for name, each in service.fields.items() if name not in ("steps", "prefix")}
    # vLLM has -1 for off
    found["top_k"] = replace(found["top_k"], metadata=found["top_k"].metadata | {"minimum": -1}, any_model={})
    return found | {each.name: each for each in (
        RequestField("n", int, 1, "개수", "프롬프트마다 텍스트 몇 개를 쓸지",
                     {"minimum": 1, "maximum": MOST, "range": True}),
        RequestField("logprobs", int, None, "로그확률",
                     "토큰마다 모델의 확률이 높은 후보 몇 개의 로그확률을 함께 받을지",
                     {"minimum": 0, "maximum": min(20, service.fields["steps"].metadata["maximum"]), "range": True}),
        RequestField("return_token_ids", bool, False, "토큰 번호", "토큰 번호도 함께 받을지(vLLM의 이름)"),
        RequestField("return_tokens_as_token_ids", bool, False, "로그확률의 토큰 번호",
                     "로그확률의 토큰을 token_id:7처럼 번호로 받을지(vLLM의 이름)"),
        RequestField("echo", bool, False, "프롬프트 포함", "답을 프롬프트로 시작할지"),
        RequestField("stream", bool, False, "스트리밍", "쓰는 대로 받을지"))}


@dataclass
class Completion:
    """One request: ``n`` texts for each prompt, one prompt's after the other's."""

    requests: list[Request]
    n: int
    stop: list[str]
    logprobs: int | None  # of how many candidates; None where none are asked for
    stream: bool
    include_usage: bool
    echo: bool = False
    token_ids: bool = False
    tokens_as_ids: bool = False


@contextmanager
def own_names(length: str = "max_tokens") -> Iterator[None]:
    """While it lasts, errors name fields as this API does; ``length`` is its name of ``max_new_tokens``."""
    try:
        yield
    except UserError as error:
        names = OWN_NAMES | {"max_new_tokens": length, "steps": "logprobs"}
        raise type(error)(re.sub(rf"\b({'|'.join(names)})\b", lambda found: names[found[0]], str(error),
                                 flags=re.ASCII)) from error  # a Korean particle is no part of the name


def read_body(body: dict, service: GenerationService, known: dict[str, RequestField],
              refused: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``body`` without null, which clients send for unset, and the values that it has for ``known`` fields. Of
    ``refused`` it may name none but with the value that changes nothing.

    Raises:
        UserError: naming the field, the bound and the value.
        NotFound: it asks for another model.
    """
    body = {name: value for name, value in body.items() if value is not None}
    values = read_known(body, known)
    name = service.engine.model_name
    if body.get("model", name) != name:
        raise NotFound(f"model: 이 서버의 모델은 {name}입니다.")
    for other, off in refused.items():
        if isinstance(value := body.get(other, off), bool) or value != off:
            raise UserError(f"{other}: 이 서버에 없는 기능입니다. 빼고 보내세요.")
    return body, values


def make_completion(body: dict, values: dict[str, Any], service: GenerationService,
                    prompts: list[tuple[str, tuple[int, ...]]], logprobs: int | None, echo: bool = False) -> Completion:
    """The request for texts behind ``prompts``: each a text, or token ids. ``body`` and ``values`` are what
    :func:`read_body` gave, the latter without what is this API's own. Raises UserError as that does."""
    names = {own: name for name, own in OWN_NAMES.items()}
    values = {names.get(each, each): value for each, value in values.items()}
    token_ids, as_ids = values.pop("return_token_ids", False), values.pop("return_tokens_as_token_ids", False)
    n, stream, seed = values.pop("n", 1), values.pop("stream", False), values.pop("seed", None)
    if len(prompts) * n > MOST:
        raise UserError(f"n: 프롬프트 {len(prompts)}개에 {n}개씩이면 한 번에 쓸 수 있는 {MOST}개를 넘습니다.")
    if logprobs is not None and not service.engine.has_steps:
        raise UserError(f"logprobs: {service.engine.name} 엔진에는 없습니다.")
    service.check_seed(seed)
    if values.get("top_k") == -1:
        values["top_k"] = 0
    options = complete_options(values, book_defaults(service.fields) | OFF)
    steps, requests = 0 if logprobs is None else max(logprobs, 1), []
    for text, ids in prompts:
        first = fresh_seed() if seed is None else seed
        requests += [Request(text, options, (first + copy) % (MAX_SEED + 1), steps=steps, prompt_ids=ids)
                     for copy in range(n)]
    return Completion(requests, n, _stops(body.get("stop")), logprobs, stream, _include_usage(body, stream), echo,
                      token_ids, as_ids)


def read_completion(body: Any, service: GenerationService, known: dict[str, RequestField]) -> Completion:
    """``known`` are the :func:`completion_fields`. Raises as :func:`read_body` does."""
    body, values = read_body(check_body(body), service, known, REFUSED)
    logprobs, echo = values.pop("logprobs", None), values.pop("echo", False)
    if echo and logprobs is not None:
        raise UserError("echo: logprobs와 함께 쓸 수 없습니다.")
    if "max_length" not in values:
        values = {"max_tokens": DEFAULTS["max_new_tokens"]} | values
    prompts = [(prompt, ()) if isinstance(prompt, str) else (service.tokenizer.decode(prompt), tuple(prompt))
               for prompt in _prompts(body.get("prompt"), service.engine.vocabulary)]
    return make_completion(body, values, service, prompts, logprobs, echo)


def _prompts(prompt, vocabulary: int) -> list[str] | list[list[int]]:
    """Of a text, texts, token ids, or lists of them."""

    def are_ids(value) -> bool:
        return bool(value) and are_token_ids(value, vocabulary - 1)

    if are_ids(prompt):
        return [list(map(int, prompt))]
    if isinstance(prompt, list) and prompt and all(map(are_ids, prompt)):
        return [list(map(int, ids)) for ids in prompt]
    if isinstance(prompt, list) and prompt and all(isinstance(each, str) for each in prompt):
        return list(map(check_prompt, prompt))
    if isinstance(prompt, list):
        raise UserError(f"prompt: 텍스트나 0 이상 {vocabulary - 1} 이하인 토큰 번호의 목록이어야 하는데 "
                        f"{str(prompt)[:40]!r}입니다.")
    return [check_prompt(prompt)]


def _stops(stop) -> list[str]:
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, list) or len(stops) > 4 or not all(isinstance(each, str) and each for each in stops):
        raise UserError(f"stop: 텍스트 하나나 넷까지의 목록이어야 하는데 {str(stop)[:40]!r}입니다.")
    return stops


def _include_usage(body: dict, stream: bool) -> bool:
    options = body.get("stream_options", {})
    if not isinstance(options, dict) or not isinstance(options.get("include_usage", False), bool):
        raise UserError('stream_options: {"include_usage": true}처럼 적어야 합니다.')
    if options and not stream:
        raise UserError("stream_options: stream이 true일 때만 쓸 수 있습니다.")
    return options.get("include_usage", False)


class Choice:
    """One text as it is written, and why it ended. In this form a part of it looks like the whole."""

    id_prefix: ClassVar[str] = "cmpl-"
    whole: ClassVar[str] = "text_completion"  # what the answer is called that holds it
    chunk: ClassVar[str] = "text_completion"  # and each event of a stream

    def __init__(self, service: GenerationService, completion: Completion, job: Job, index: int):
        self.service, self.completion, self.job, self.index = service, completion, job, index
        self.finish_reason, self._offset = None, 0
        self._ids: dict[str, list[int]] = {"prompt_token_ids": job.ids[: job.prompt_length], "token_ids": []}

    def parts(self, gone: Callable[[], bool]) -> Iterator[tuple[str, dict | None] | None]:
        """Parts of the text and their log-probabilities; None as a sign of life."""
        if self.completion.echo:
            yield self.job.request.prompt, None
        for piece in self.pieces(gone):
            yield piece and (piece[0], self.logprobs(piece[1]))

    def answer(self, gone: Callable[[], bool]) -> dict[str, Any]:
        """The whole, once it is written."""
        parts = [part for part in self.parts(gone) if part]
        return self.told("".join(text for text, _ in parts), _joined(parts), self.finish_reason)

    def chunks(self, gone: Callable[[], bool]) -> Iterator[dict[str, Any] | None]:
        """What a stream tells of it, the last with why it ended; None as a sign of life."""
        for part in self.parts(gone):
            yield part and self.told(*part)
        yield self.told("", None, self.finish_reason)

    def told(self, text: str, logprobs: dict | None, finish_reason: str | None = None) -> dict[str, Any]:
        ids, self._ids = self._ids, {"token_ids": []}
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason} | (
            ids if self.completion.token_ids else {})

    def logprobs(self, steps: list[dict]) -> dict | None:
        if self.completion.logprobs is None:
            return None
        found = {"text_offset": [], "token_logprobs": [], "tokens": [], "top_logprobs": []}
        as_ids = self.completion.tokens_as_ids
        for (number, text, logprob), top in map(self.scored, steps):
            found["text_offset"].append(self._offset)
            found["tokens"].append(f"token_id:{number}" if as_ids else text)
            found["token_logprobs"].append(logprob)
            found["top_logprobs"].append({f"token_id:{each}" if as_ids else other: value for each, other, value in top})
            self._offset += len(text)
        return found

    def scored(self, step: dict) -> tuple[tuple[int, str, float], list[tuple[int, str, float]]]:
        """Number, text and log-probability of the token, and of the likeliest candidates. An end has no text, as in
        the answer."""
        top = [(each["id"], each["text"], max(math.log(each["model"] or 1e-300), -9999.0))
               for each in step["candidates"]]
        number, text, logprob = next(each for each in top if each[0] == step["token"])
        return (number, "" if number in self.service.engine.eos else text, logprob), top[: self.completion.logprobs]

    def pieces(self, gone: Callable[[], bool]) -> Iterator[tuple[str, list[dict]] | None]:
        """Parts of the text, up to a stop sequence, and their steps; None as a sign of life."""
        held, steps = "", []
        for part in self.service.events(self.job, gone):
            if part is None:
                yield None
                continue
            held, steps = held + part["text"], steps + part.get("steps", [])
            self._ids["token_ids"] += [token["id"] for token in part["tokens"]] or [
                step["token"] for step in part.get("steps", [])]  # of eos
            ends = [place for stop in self.completion.stop if (place := held.find(stop)) >= 0]
            if ends:
                self.finish_reason = "stop"
                yield held[: min(ends)], steps
                return
            ready = len(held) - max((size for stop in self.completion.stop
                                     for size in range(1, min(len(stop), len(held) + 1))
                                     if held.endswith(stop[:size])), default=0)
            if ready or steps and not held:
                yield held[:ready], steps
                held, steps = held[ready:], []
        if held:
            yield held, steps
        if self.job.end_token is not None and not self.job.request.steps:
            self._ids["token_ids"].append(self.job.end_token)
        self.finish_reason = self.job.finish_reason


def add_completions(app: Flask, service: GenerationService) -> None:
    """``GET /v1/models`` and ``POST /v1/completions``."""
    from flask import jsonify

    started, known = int(time.time()), completion_fields(service)

    @app.get("/v1/models")
    def models():
        return jsonify(object="list", data=[{
            "id": service.engine.model_name, "object": "model", "created": started, "owned_by": "task3-gen"}])

    @app.post("/v1/completions")
    def completions():
        with own_names():
            completion = read_completion(read_json(), service, known)
            jobs = service.submit_all(completion.requests, completion.stream)
        return answered(service, completion, jobs, Choice)


def answered(service: GenerationService, completion: Completion, jobs: list[Job], form: type[Choice]):
    """The response to ``completion``, whose ``jobs`` are under way, in that form."""
    from flask import jsonify

    choices = [form(service, completion, job, index) for index, job in enumerate(jobs)]
    gone = client_is_gone()
    head = {"id": f"{form.id_prefix}{secrets.token_hex(12)}", "object": form.whole, "created": int(time.time()),
            "model": service.engine.model_name}
    if completion.stream:
        return server_sent(_stream(completion, choices, head | {"object": form.chunk}, gone), service, jobs)
    try:
        told = [choice.answer(gone) for choice in choices]
    finally:
        for job in jobs:
            service.worker.leave(job)
    return jsonify(head | {"choices": told, "usage": _usage(completion, jobs)})


def _stream(completion: Completion, choices: list[Choice], head: dict, gone: Callable[[], bool]) -> Iterator[str]:
    usage = {"usage": None} if completion.include_usage else {}
    try:
        for choice in choices:
            for told in choice.chunks(gone):
                yield SIGN_OF_LIFE if told is None else event(head | {"choices": [told]} | usage)
        if completion.include_usage:
            yield event(head | {"choices": [], "usage": _usage(completion, [choice.job for choice in choices])})
        yield "data: [DONE]\n\n"
    except ServiceError as error:
        yield event(error_json("/v1/", error.status, str(error)))


def _joined(parts: list[tuple[str, dict | None]]) -> dict | None:
    found = [logprobs for _, logprobs in parts if logprobs]
    return {name: [each for one in found for each in one[name]] for name in found[0]} if found else None


def _usage(completion: Completion, jobs: list[Job]) -> dict:
    """As OpenAI counts: a prompt once, however many texts follow it."""
    prompt, new = sum(job.prompt_length for job in jobs[:: completion.n]), sum(job.new for job in jobs)
    return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}
