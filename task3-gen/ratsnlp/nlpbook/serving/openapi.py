"""The API as an OpenAPI 3.1 document, assembled from the fields of the requests.

What JSON Schema cannot say is a 400 all the same: that ``min_length`` is at most ``max_length``, that the prompt's
tokens leave room for new ones, that a number which is given as a string is within its bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..generation.options import MAX_BEAMS, SAMPLING, SMALLEST_TEMPERATURE
from .app import MAX_BODY
from .chat_completions import REFUSED as CHAT_REFUSED
from .chat_completions import TOO_LONG, chat_fields
from .completions import MOST, REFUSED, completion_fields
from .requests import MAX_TOKENS, NUMERIC

if TYPE_CHECKING:
    from .requests import RequestField
    from .service import GenerationService

NOT_BLANK = r"[^\s\x1c-\x1f\x85]"  # JSON Schema's \s lacks these of what Python calls white space

ERRORS = {
    400: "값이나 JSON이 잘못됨", 401: "토큰이 없거나 틀림", 403: "이 서버의 주소가 아닌 Host 헤더",
    404: "이 서버에 없는 모델", 413: f"요청이 {MAX_BODY // 1024} KiB를 넘음",
    415: "Content-Type이 application/json이 아님", 429: "대기열이 가득 참", 500: "서버의 오류",
    503: "끝내는 중이거나, 시간이나 메모리가 부족함"}

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "토큰을 쓰는 서버에서"},
    "query": {"type": "apiKey", "in": "query", "name": "token", "description": "토큰을 쓰는 서버에서"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "token_9000", "description":
               "/?token=…을 열면 받습니다. 이름의 숫자는 서버의 포트입니다"}}

STRING, NUMBER, INTEGER, BOOLEAN, NULL = (
    {"type": each} for each in ("string", "number", "integer", "boolean", "null"))
COUNT = INTEGER | {"minimum": 0}


def description(service: GenerationService) -> dict[str, Any]:
    """The document of all routes of the app that serves ``service``."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "텍스트 생성 API", "version": "1", "description":
                 "프롬프트를 이어 쓰는 언어 모델의 API입니다. 다른 메서드로 보내면 405와 Allow 헤더가 돌아옵니다."},
        "security": [{}, *({name: []} for name in SECURITY)],
        "paths": {
            "/": _get("page", "웹 페이지", {"text/html": {"schema": STRING}}),
            "/api": _post("write", "이어 쓰기", _json("Text"), "Request"),
            "/api/stream": _post(
                "stream", "쓰는 대로 받기. 조각마다 data, 끝에 event: done, 실패하면 event: error",
                _events("Piece", "Text", "StreamError"), "StreamRequest"),
            "/api/logits": _post("logits", "다음 토큰의 점수(로짓) 모두", _json("Logits"), "LogitsRequest"),
            "/api/tokens": _post("tokens", "토큰 번호의 텍스트", _json("Tokens"), "TokensRequest"),
            "/api/settings": _get("settings", "모델과 요청에 쓸 수 있는 이름, 둘러볼 설정", _json("Settings")),
            "/health": _get("health", "서버가 살아 있는지", _json("Status"), security=[]),
            "/ready": _get("ready", "요청을 받을 수 있는지. 없으면 503", _json("Status"), "Busy", security=[]),
            "/metrics": _get("metrics", "Prometheus 지표", {"text/plain": {"schema": STRING}}),
            "/openapi.json": _get("openapi", "이 문서", {"application/json": {"schema": {"type": "object"}}}),
            "/v1/models": _get("models", "모델의 목록", _json("Models"), "OpenaiError"),
            "/v1/completions": _post(
                "complete", "이어 쓰기. stream이 true면 조각마다 data, 끝에 data: [DONE]",
                _json("Completion") | _events("Chunk", "OpenaiError", last="[DONE]"), "CompletionRequest",
                "OpenaiError", 404),
            "/v1/chat/completions": _post(
                "chat", "대화에 답하기(대화 템플릿이 없으면 400). stream이 true면 조각마다 data, 끝에 data: [DONE]",
                _json("ChatCompletion") | _events("ChatChunk", "OpenaiError", last="[DONE]"), "ChatRequest",
                "OpenaiError", 404)},
        "components": {"schemas": _requests(service) | _answers(service), "securitySchemes": SECURITY}}


def _get(name: str, summary: str, content: dict, error: str = "Error", **more) -> dict:
    return {"get": {"operationId": name, "summary": summary, **more, "responses": _responses(
        content, error, 403, 500, 503, *() if "security" in more else (401,))}}


def _post(name: str, summary: str, content: dict, body: str, error: str = "Error", *statuses: int) -> dict:
    return {"post": {"operationId": name, "summary": summary, "requestBody": {"required": True, "content": _json(body)},
                     "responses": _responses(content, error, 400, 401, 403, 413, 415, 429, 500, 503, *statuses)}}


def _responses(content: dict, error: str, *statuses: int) -> dict:
    found = {"200": {"description": "성공", "content": content}}
    for status in sorted(statuses):
        found[str(status)] = {"description": ERRORS[status], "content": _json(error)}
    if "text/html" in content:
        found["401"]["content"] |= content  # a form for the token
    for status in {429, 503}.intersection(statuses):
        found[str(status)]["headers"] = {"Retry-After": {
            "schema": COUNT, "required": status == 429, "description": "이만큼(초) 뒤에 다시 보내세요"}}
    return found


def _json(name: str) -> dict:
    return {"application/json": {"schema": _ref(name)}}


def _events(*names: str, last: str | None = None) -> dict:
    """Server-sent events, each of which has one of these in ``data``, as JSON; OpenAPI 3.1 has no other word for it
    than the schema of one event."""
    data = {"contentMediaType": "application/json", "contentSchema": {"anyOf": list(map(_ref, names))}}
    return {"text/event-stream": {"schema": {"type": "object", "required": ["data"], "properties": {
        "event": STRING, "data": STRING | ({"anyOf": [{"const": last}, data]} if last else data)}}}}


def _ref(name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, **more) -> dict:
    """Of these properties and no others."""
    return {"type": "object", "required": list(required), "properties": required | (optional or {}),
            "additionalProperties": False, **more}


def _array(items: dict, **more) -> dict:
    return {"type": "array", "items": items, **more}


def _field(each: RequestField, *more: dict) -> dict:
    """Whatever a field may be: a number, a numeric string, or ``""`` for its default; and ``more``."""
    bounds = {keyword: each.metadata[name] for name, keyword in (
        ("minimum", "minimum"), ("maximum", "maximum"), ("above", "exclusiveMinimum")) if name in each.metadata}
    text = STRING | {"pattern": f"^({NUMERIC})?$", "description": "같은 범위의 수. 빈 문자열은 기본값"}
    number = {"type": "integer" if each.type is int else "number", **bounds}
    if each.type is bool:
        kinds = [{"enum": [True, False, "true", "false", ""]}]
    elif each.type is tuple:
        kinds = [_array(INTEGER | bounds), {"const": ""}]
    elif each.name == "temperature":
        kinds = [{"const": 0}, number | {"minimum": SMALLEST_TEMPERATURE}, text]
    else:
        kinds = [number, text]
    default = {} if each.default in (None, ()) else {"default": each.default}
    return {"title": each.korean, "description": each.help, **default, "anyOf": [*kinds, *more]}


def _given(name: str, schema: dict | None = None) -> dict:
    """That a field is there, and not left to its default."""
    return {"required": [name], "properties": {name: schema or {"not": {"enum": ["", None]}}}}


def _on(name: str) -> dict:
    return _given(name, {"enum": [True, "true"]})


def _apart(one: dict, *others: dict) -> dict:
    """That ``one`` does not go with any of the ``others``."""
    return {"not": {"allOf": [one, {"anyOf": list(others)}]}}


BEAMS, ALPHA = _given("num_beams", INTEGER | {"minimum": 2}), _given("penalty_alpha", NUMBER | {"exclusiveMinimum": 0})


def _contradictions() -> list[dict]:
    """What :class:`DecodingOptions` refuses together."""
    acting = [_given(name) for name in ("temperature_last", "top_n_sigma", *SAMPLING) if name != "top_k"]
    return [
        _apart(_given("do_sample", {"enum": [False, "false"]}), *acting, {"allOf": [_given("top_k"), {"not": ALPHA}]}),
        _apart(ALPHA, _given("do_sample", {"enum": [True, "true"]}), *acting, BEAMS, _given("top_k", {"enum": [0, -1]}),
               _given("top_k", INTEGER | {"minimum": MAX_BEAMS + 1})),
        _apart(_given("length_penalty"), {"not": _given("num_beams")}, _given("num_beams", {"const": 1}))]


def _requests(service: GenerationService) -> dict[str, dict]:
    token = COUNT | {"maximum": service.engine.vocabulary - 1}
    text, tokens = STRING | {"pattern": NOT_BLANK}, _array(token, minItems=1)
    fields = {name: _field(each) for name, each in service.fields.items()}
    steps, prefix = _given("steps", INTEGER | {"minimum": 1}), _given("prefix", _array({}, minItems=1))
    prompt = {"anyOf": [text, _array(text, minItems=1, maxItems=MOST), tokens,
                        _array(tokens, minItems=1, maxItems=MOST)]}
    part = {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": STRING}}
    message = {"type": "object", "required": ["role", "content"], "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant"]},
        "content": {"anyOf": [text, _array(part, contains={"properties": {"text": text}})]}}}
    messages = _array(message, minItems=1, description="user의 메시지로 시작하고 끝납니다. system은 맨 앞에 한 번")
    return {
        "Request": _object({"prompt": text}, fields, allOf=[*_contradictions(), _apart(
            {"anyOf": [BEAMS, ALPHA]}, steps, prefix)]),
        "LogitsRequest": _object({"prompt": text}, {"prefix": fields["prefix"]}),
        "TokensRequest": _object({"ids": _array(token, maxItems=MAX_TOKENS)}),
        "StreamRequest": {"allOf": [_ref("Request"), {"not": BEAMS}, {"not": ALPHA}]},
        "CompletionRequest": _in_openai_form(
            service, {"prompt": prompt}, completion_fields(service), REFUSED, _given("logprobs"),
            _apart(_on("echo"), _given("logprobs"))),
        "ChatRequest": _in_openai_form(
            service, {"messages": messages}, chat_fields(service), CHAT_REFUSED, _on("logprobs"),
            _apart(_given("top_logprobs", INTEGER | {"minimum": 1}), {"not": _on("logprobs")}))}


def _in_openai_form(service: GenerationService, required: dict[str, dict], fields: dict[str, RequestField],
                    refused: dict[str, Any], logprobs: dict, *apart: dict) -> dict:
    """A request in OpenAI's form; ``logprobs`` is that they are asked for."""
    filled = STRING | {"minLength": 1}
    return {
        "type": "object", "required": list(required), "description": "모르는 이름은 그냥 넘어갑니다",
        "properties": required | {name: _field(each, NULL) for name, each in fields.items()} | {
            "model": {"enum": [service.engine.model_name, None]},
            "stop": {"anyOf": [filled, _array(filled, maxItems=4), NULL],
                     "description": "이 텍스트가 나오면 그 앞에서 끝냅니다"},
            "stream_options": {"anyOf": [{"type": "object", "properties": {"include_usage": BOOLEAN}}, NULL]},
            **{name: {"enum": [None] if off is None else [off, None], "description": "이 서버에 없는 기능"}
               for name, off in refused.items()}},
        "allOf": [*_contradictions(), _apart({"anyOf": [BEAMS, ALPHA]}, logprobs, _on("stream")), *apart,
                  _apart(_given("stream_options", {"type": "object", "minProperties": 1}), {"not": _on("stream")})]}


def _answers(service: GenerationService) -> dict[str, dict]:
    finish_reason = {"enum": ["stop", "length"], "description": "stop: 텍스트가 끝남. length: 최대 길이에 도달함"}
    share = NUMBER | {"minimum": 0, "maximum": 1.000001}
    stages = dict.fromkeys(("model", "penalties", "temperature", "cuts"), share)
    text = {"result": STRING, "finish_reason": finish_reason, "tokens": COUNT, "seconds": NUMBER}
    steps = _array(_or_null(_ref("Step")) if service.engine.has_steps == "logprobs" else _ref("Step"))
    logprobs = _object({"text_offset": _array(COUNT), "tokens": _array(STRING), "token_logprobs": _array(NUMBER),
                        "top_logprobs": _array({"type": "object", "additionalProperties": NUMBER})})
    choice = {"index": COUNT, "text": STRING, "logprobs": _or_null(logprobs)}
    ids = {"token_ids": _array(COUNT), "prompt_token_ids": _array(COUNT)}
    token = {"token": STRING, "logprob": NUMBER, "bytes": _or_null(_array(COUNT | {"maximum": 255}))}
    answer = {"index": COUNT, "logprobs": _or_null(_object({"content": _array(_ref("ChatToken"))}))}
    completion, chat, chat_chunk = (
        {"id": STRING, "object": {"const": name}, "created": COUNT, "model": STRING}
        for name in ("text_completion", "chat.completion", "chat.completion.chunk"))
    usage = _object(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), COUNT))
    return {
        "Text": _object(text | ({"seed": COUNT} if service.engine.has_seed else {}), {"steps": steps}),
        "Token": _object({"id": COUNT, "text": STRING}),
        "Tokens": _object({"tokens": _array(_ref("Token"))}),
        "Piece": _object({"text": STRING, "tokens": _array(_ref("Token"))}, {"steps": steps}),
        "Logits": _object({
            "ids": _array(COUNT, description="프롬프트와 prefix의 토큰 번호"),
            "logits": STRING | {"contentEncoding": "base64", "description": "리틀 엔디언 float32의 배열"}}),
        "StreamError": _object({"error": STRING}),
        "Step": _object({
            "token": COUNT, "text": STRING, "number": _or_null(share), "interval": _or_null(_array(share)),
            "forced": BOOLEAN, "left": {"type": "object", "additionalProperties": COUNT}, "order": _array(STRING),
            "entropy": _or_null(NUMBER), "final_entropy": _or_null(NUMBER), "candidates": _array(_object(
                {"id": COUNT, "text": STRING, "logit": _or_null(NUMBER), "cut_by": _or_null(STRING),
                 "model": stages.pop("model")}, stages))}),
        "Settings": _object({
            "model": STRING, "checkpoint": STRING, "val_loss": _or_null(NUMBER), "engine": STRING, "stream": BOOLEAN,
            "steps": {"enum": [True, False, "logprobs"]}, "seed": BOOLEAN, "eos": _array(COUNT),
            "fields": _array(_object(
                {"name": STRING, "korean": STRING, "help": STRING, "type": STRING, "default": {}},
                dict.fromkeys(("minimum", "maximum", "above"), NUMBER) | {"slider": _array(NUMBER)})),
            "presets": _array(_object({"number": COUNT, "knobs": {"type": "object"}, "look_for": STRING,
                                       "compared_with": _or_null(COUNT)}))},
            {"lacks": _array(STRING), "label": STRING}),
        "Status": _object({"status": {"enum": ["ok", "busy", "away"], "description":
                                       "busy: 대기열이 가득 참. away: 다른 서버에 있는 엔진에 연결되지 않음"}}),
        "Busy": {"anyOf": [_ref("Status"), _ref("Error")]},
        "Error": _object({"error": STRING | {"description": "무엇이 잘못되었는지"}, "result": STRING}),
        "OpenaiError": _object({"error": _object(
            {"message": STRING, "type": STRING, "param": _or_null(STRING),
             "code": {"anyOf": [COUNT, {"const": TOO_LONG, "description": "대화가 모델의 최대 길이를 넘음"}]}})}),
        "Models": _object({"object": {"const": "list"}, "data": _array(_object(
            {"id": STRING, "object": {"const": "model"}, "created": COUNT, "owned_by": STRING}))}),
        "Completion": _object(completion | {
            "choices": _array(_object(choice | {"finish_reason": finish_reason}, ids)), "usage": usage}),
        "Chunk": _object(completion | {"choices": _array(_object(
            choice | {"finish_reason": _or_null(finish_reason)}, ids))}, {"usage": _or_null(usage)}),
        "ChatToken": _object(token | {"top_logprobs": _array(_object(token))}),
        "ChatCompletion": _object(chat | {"choices": _array(_object(answer | {
            "message": _object({"role": {"const": "assistant"}, "content": STRING, "refusal": NULL}),
            "finish_reason": finish_reason})), "usage": usage}),
        "ChatChunk": _object(chat_chunk | {"choices": _array(_object(answer | {
            "delta": _object({}, {"role": {"const": "assistant"}, "content": STRING}),
            "finish_reason": _or_null(finish_reason)}))}, {"usage": _or_null(usage)})}


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, NULL]}
