"""The API in OpenAI's form, as its clients and the engines know it: the continuation only.

What is known is checked as elsewhere; what is not known is passed over, as the engines do. What OpenAI knows and this
server cannot do is an error where it would change the text.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..argument_groups import MAX_SEED
from ..errors import UserError
from .access import error_json
from .app import SIGN_OF_LIFE, client_is_gone, event, read_json, server_sent
from .jobs import NotFound, Request, ServiceError
from .requests import (
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
OWN_NAMES = {"max_tokens": "max_new_tokens", "min_tokens": "min_new_tokens"}  # what the knobs are called here
OFF = {"top_k": 0, "top_p": 1.0, "temperature": 1.0, "min_length": 1}  # where they do nothing
DEFAULTS = {"max_new_tokens": 16, **OFF}
REFUSED = {"presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "suffix": "", "best_of": 1}


def completion_fields(service: GenerationService) -> dict[str, RequestField]:
    """The fields of a completion by their names in this API: all knobs, of which the book's have no default here, and
    what OpenAI has beside them."""
    names = {own: name for name, own in OWN_NAMES.items()}
    found = {names.get(name, name): replace(each, name=names.get(name, name), default=DEFAULTS.get(name))
             for name, each in service.fields.items() if name not in ("steps", "prefix")}
    # vLLM has -1 for off
    found["top_k"] = replace(found["top_k"], metadata=found["top_k"].metadata | {"minimum": -1}, any_model={})
    return found | {each.name: each for each in (
        RequestField("n", int, 1, "개수", "프롬프트마다 텍스트 몇 개를 쓸지",
                     {"minimum": 1, "maximum": MOST, "range": True}),
        RequestField("logprobs", int, None, "로그확률",
                     "토큰마다 모델의 확률이 높은 후보 몇 개의 로그확률을 함께 받을지",
                     {"minimum": 0, "maximum": 20, "range": True}),
        RequestField("echo", bool, False, "프롬프트 포함", "답을 프롬프트로 시작할지"),
        RequestField("stream", bool, False, "스트리밍", "쓰는 대로 받을지"))}


@dataclass
class Completion:
    """One request: its texts' jobs, one prompt's after the other's."""

    requests: list[Request]
    prompts: list[str]  # of each job
    stop: list[str]
    logprobs: int | None
    echo: bool
    stream: bool
    include_usage: bool
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))


@contextmanager
def own_names() -> Iterator[None]:
    """While it lasts, errors name fields as this API does."""
    try:
        yield
    except UserError as error:
        names = {name: own for own, name in OWN_NAMES.items()} | {"steps": "logprobs"}
        raise UserError(re.sub(rf"\b({'|'.join(names)})\b", lambda found: names[found[0]], str(error))) from error


def read_completion(body: Any, service: GenerationService, known: dict[str, RequestField]) -> Completion:
    """``known`` are the :func:`completion_fields`.

    Raises:
        UserError: naming the field, the bound and the value.
        NotFound: it asks for another model.
    """
    body = {name: value for name, value in check_body(body).items() if value is not None}  # clients send null for unset
    values = read_known(body, known)
    name = service.engine.model_name
    if body.get("model", name) != name:
        raise NotFound(f"model: 이 서버의 모델은 {name}입니다.")
    for other, off in REFUSED.items():
        if isinstance(value := body.get(other, off), bool) or value != off:
            raise UserError(f"{other}: 이 서버에 없는 기능입니다. 빼고 보내세요.")
    n, logprobs, echo, stream = (values.pop(each, known[each].default) for each in ("n", "logprobs", "echo", "stream"))
    if echo and logprobs is not None:
        raise UserError("echo: logprobs와 함께 쓸 수 없습니다.")
    if logprobs is not None and not service.engine.has_steps:
        raise UserError(f"logprobs: {service.engine.name} 엔진에는 없습니다.")
    if values.get("top_k") == -1:
        values["top_k"] = 0
    values = {OWN_NAMES.get(each, each): value for each, value in values.items()}
    if "max_length" not in values:
        values = {"max_new_tokens": DEFAULTS["max_new_tokens"]} | values
    prompts = _prompts(body.get("prompt"), service.engine.vocabulary)
    if len(prompts) * n > MOST:
        raise UserError(f"n: 프롬프트 {len(prompts)}개에 {n}개씩이면 한 번에 쓸 수 있는 {MOST}개를 넘습니다.")
    seed, steps, requests = values.pop("seed", None), 0 if logprobs is None else max(logprobs, 1), []
    service.check_seed(seed)
    options = complete_options(values, book_defaults(service.fields) | OFF)
    for prompt in prompts:
        text, ids = (prompt, ()) if isinstance(prompt, str) else (service.tokenizer.decode(prompt), tuple(prompt))
        first = fresh_seed() if seed is None else seed
        requests += [Request(text, options, (first + copy) % (MAX_SEED + 1), steps=steps, prompt_ids=ids)
                     for copy in range(n)]
    return Completion(requests, [request.prompt for request in requests], _stops(body.get("stop")), logprobs, echo,
                      stream, _include_usage(body, stream))


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
    """One text as it is written: :meth:`parts`, up to a stop sequence, and why it ended."""

    def __init__(self, service: GenerationService, job: Job, completion: Completion, index: int):
        self.service, self.job, self.completion, self.index = service, job, completion, index
        self.finish_reason, self._offset = None, 0

    def parts(self, gone: Callable[[], bool]) -> Iterator[tuple[str, dict | None] | None]:
        """Parts of the text and their log-probabilities; None as a sign of life."""
        if self.completion.echo:
            yield self.completion.prompts[self.index], None
        held, steps = "", []
        for part in self.service.events(self.job, gone):
            if part is None:
                yield None
                continue
            held, steps = held + part["text"], steps + part.get("steps", [])
            ends = [place for stop in self.completion.stop if (place := held.find(stop)) >= 0]
            if ends:
                self.finish_reason = "stop"
                yield held[: min(ends)], self._logprobs(steps)
                return
            ready = len(held) - max((size for stop in self.completion.stop
                                     for size in range(1, min(len(stop), len(held) + 1))
                                     if held.endswith(stop[:size])), default=0)
            if ready or steps and not held:
                yield held[:ready], self._logprobs(steps)
                held, steps = held[ready:], []
        if held:
            yield held, self._logprobs(steps)
        self.finish_reason = self.job.finish_reason

    def _logprobs(self, steps: list[dict]) -> dict | None:
        if self.completion.logprobs is None:
            return None
        found = {"text_offset": [], "token_logprobs": [], "tokens": [], "top_logprobs": []}
        for step in steps:
            all_ = {each["id"]: (each["text"], max(math.log(each["model"] or 1e-300), -9999.0))
                    for each in step["candidates"]}
            top = list(all_.values())[: self.completion.logprobs]
            found["text_offset"].append(self._offset)
            found["tokens"].append("" if step["token"] in self.service.engine.eos else step["text"])  # as in the text
            found["token_logprobs"].append(all_[step["token"]][1])
            found["top_logprobs"].append(dict(top))
            self._offset += len(found["tokens"][-1])
        return found


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
        with own_names():
            jobs = service.submit_all(completion.requests, completion.stream)
        choices = [Choice(service, job, completion, index) for index, job in enumerate(jobs)]
        gone = client_is_gone()
        if completion.stream:
            return server_sent(_stream(service, completion, choices, gone), service, jobs)
        told = []
        try:
            for choice in choices:
                parts = [part for part in choice.parts(gone) if part]
                told.append(_choice(choice, "".join(text for text, _ in parts), _joined(parts), choice.finish_reason))
        finally:
            for job in jobs:
                service.worker.leave(job)
        return jsonify(_body(service, completion, told) | {"usage": _usage(jobs)})


def _stream(service, completion, choices, gone) -> Iterator[str]:
    usage = {"usage": None} if completion.include_usage else {}
    try:
        for choice in choices:
            for part in choice.parts(gone):
                yield SIGN_OF_LIFE if part is None else event(
                    _body(service, completion, [_choice(choice, *part, None)]) | usage)
            yield event(_body(service, completion, [_choice(choice, "", None, choice.finish_reason)]) | usage)
        if completion.include_usage:
            yield event(_body(service, completion, []) | {"usage": _usage([choice.job for choice in choices])})
        yield "data: [DONE]\n\n"
    except ServiceError as error:
        yield event(error_json("/v1/", error.status, str(error)))


def _body(service, completion: Completion, choices: list[dict]) -> dict:
    return {"id": completion.id, "object": "text_completion", "created": completion.created,
            "model": service.engine.model_name, "choices": choices}


def _choice(choice: Choice, text: str, logprobs: dict | None, finish_reason: str | None) -> dict:
    return {"index": choice.index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def _joined(parts: list[tuple[str, dict | None]]) -> dict | None:
    found = [logprobs for _, logprobs in parts if logprobs]
    return {name: [each for one in found for each in one[name]] for name in found[0]} if found else None


def _usage(jobs: list[Job]) -> dict:
    prompt, new = sum(job.prompt_length for job in jobs), sum(job.new for job in jobs)
    return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}
