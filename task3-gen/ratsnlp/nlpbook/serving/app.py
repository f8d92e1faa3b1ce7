"""The web page and its JSON API around any ``inference_fn``."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..generation.options import DecodingOptions
from ..paths import TEMPLATES

if TYPE_CHECKING:
    from flask import Flask

MAX_BODY = 64 * 1024  # bytes

# The knobs of the book's ``inference_fn``, in its order: after the prompt, it takes these.
KNOBS = ("min_length", "max_length", "top_p", "top_k", "repetition_penalty", "no_repeat_ngram_size", "temperature")


def guide() -> str:
    """The book's guide text: what each knob may be."""
    rows = [f"{spec.name}: {spec.metadata['minimum']:g} 이상 {spec.metadata['maximum']:g} 이하의 "
            f"{'정수' if DecodingOptions.type_of(spec.name) is int else '실수'}"
            for spec in DecodingOptions.specs(KNOBS)]
    return "\n".join(["처리 중 오류가 발생했습니다.", "변수의 입력 범위를 확인하세요.", "", *rows])


def parse_request(body) -> dict[str, Any]:
    """The eight arguments of ``inference_fn`` out of a request's JSON: numbers or numeric strings;
    absent ones get their default.

    Raises:
        UserError: naming the field, the bound and the value.
    """
    if not isinstance(body, dict):
        raise UserError('요청은 {"prompt": "안녕하세요"}처럼 이름과 값의 짝이어야 합니다.')
    unknown = sorted(body.keys() - {"prompt", *KNOBS})
    if unknown:
        raise UserError(f"{unknown[0]}: 없는 이름입니다. 쓸 수 있는 이름: prompt, {', '.join(KNOBS)}")
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError("prompt: 한 글자 이상의 글이어야 합니다.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError("prompt: 올바른 유니코드 글이 아닙니다.") from None
    return {"prompt": prompt, **DecodingOptions.from_request(body, KNOBS).named()}


def get_web_service_app(inference_fn, template_folder=None, server_page="serve_gen.html", is_colab=None) -> Flask:
    """The Flask app: ``GET /`` is the page, ``POST /api`` calls ``inference_fn``, one request at a time.

    Args:
        inference_fn: takes ``prompt, min_length, max_length, top_p, top_k, repetition_penalty,
            no_repeat_ngram_size, temperature``, returns ``{"result": text}``. A :class:`UserError` that it raises
            is told to the client as HTTP 400.
        template_folder: where ``server_page`` lies; the project's ``templates/`` by default.
        is_colab: ratsnlp's; accepted, and without effect (nothing is downloaded, no tunnel is opened).

    Bad input is HTTP 400, 413 or 415 with ``error`` (what is wrong) and ``result`` (the book's guide text).
    """
    from flask import Flask, jsonify, render_template, request
    from werkzeug.exceptions import HTTPException

    app = Flask(__name__, template_folder=str(Path(template_folder or TEMPLATES).resolve()), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.ensure_ascii = False
    one_at_a_time = threading.Lock()

    @app.get("/")
    def page():
        return render_template(server_page, knobs=DecodingOptions.specs(KNOBS))

    @app.post("/api")
    def api():
        arguments = parse_request(request.get_json())
        with one_at_a_time:
            return jsonify(inference_fn(**arguments))

    @app.errorhandler(UserError)
    def bad_input(error):
        return jsonify(error=str(error), result=guide()), 400

    @app.errorhandler(HTTPException)
    def http_error(error):
        messages = {
            400: "요청이 올바른 JSON이 아닙니다.", 404: "없는 주소입니다.", 405: "이 주소에서 쓸 수 없는 방법입니다.",
            413: f"요청이 너무 큽니다({MAX_BODY // 1024} KiB까지).",
            415: "Content-Type은 application/json이어야 합니다.",
            500: "서버에서 오류가 났습니다. 서버의 기록을 확인하세요.",
        }
        return jsonify(error=messages.get(error.code, error.description), result=guide()), error.code

    return app
