"""The web page and its JSON API around any ``inference_fn``."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import bounds
from ..errors import UserError
from ..paths import TEMPLATES
from .access import error_json
from .jobs import Failed, ServiceError
from .page import add_page
from .requests import KNOBS, RequestField, book_arguments, read_token_ids, request_fields

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.exceptions import HTTPException

    from .jobs import Job
    from .service import GenerationService

MAX_BODY = 64 * 1024  # bytes

logger = logging.getLogger(__name__)


def guide(known: dict[str, RequestField]) -> str:
    """The book's guide text: what each knob may be."""
    rows = [f"{name}: {bounds(known[name])}의 {'정수' if known[name].type is int else '실수'}" for name in KNOBS]
    return "\n".join(["처리 중 오류가 발생했습니다.", "변수의 입력 범위를 확인하세요.", "", *rows])


def get_web_service_app(inference_fn, template_folder=None, server_page="serve_gen.html", is_colab=None) -> Flask:
    """The Flask app: ``GET /`` is the page, ``POST /api`` calls ``inference_fn``, one request at a time, and
    ``GET /api/settings`` tells what it takes.

    For a :class:`GenerationService`, many at a time, and there are ``POST /api/stream``, ``/api/logits``,
    ``/api/tokens``, ``GET /health``, ``/ready``, ``/metrics``, ``/openapi.json``, and in OpenAI's form
    ``/v1/completions``, ``/v1/chat/completions`` and ``/v1/models``.

    Args:
        inference_fn: takes ``prompt, min_length, max_length, top_p, top_k, repetition_penalty,
            no_repeat_ngram_size, temperature``, returns ``{"result": text}``. A :class:`UserError` that it raises
            is told to the client as HTTP 400.
        template_folder: where ``server_page`` lies, and the folder of that name with its scripts and styles; the
            project's ``templates/`` by default.
        is_colab: ratsnlp's; accepted, and without effect (nothing is downloaded, no tunnel is opened).

    Bad input is HTTP 400, 413 or 415 with ``error`` (what is wrong) and ``result`` (the book's guide text).
    """
    from flask import Flask, jsonify, request
    from werkzeug.exceptions import HTTPException

    app = Flask(__name__, template_folder=str(Path(template_folder or TEMPLATES).resolve()), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.ensure_ascii, app.json.sort_keys = False, False
    known = getattr(inference_fn, "fields", None) or request_fields(names=KNOBS)
    app.config["GUIDE"] = guide(known)
    one_at_a_time = threading.Lock()

    add_page(app, server_page, inference_fn, known)
    if hasattr(inference_fn, "submit"):
        _add_service(app, inference_fn)
    else:
        @app.post("/api")
        def api():
            arguments = book_arguments(read_json(), known)
            with one_at_a_time:
                return jsonify(inference_fn(**arguments))

    @app.errorhandler(UserError)
    def bad_input(error):
        return failure(400, str(error))

    @app.errorhandler(ServiceError)
    def no_answer(error):
        return failure(error.status, str(error), error.retry_after)

    @app.errorhandler(HTTPException)
    def http_error(error):
        response, code = failure(error.code, http_message(error))
        response.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
        return response, code

    @app.errorhandler(Exception)
    def bug(error):
        told = Failed()
        logger.error("[%s] %s %s", told.id, request.method, request.path, exc_info=error)
        return no_answer(told)

    return app


def read_json():
    """The request's JSON, whatever it is. Raises what Flask answers by 400, 413 or 415."""
    from flask import request
    from werkzeug.exceptions import BadRequest

    try:
        return request.get_json()
    except RecursionError as error:  # brackets by the thousand
        raise BadRequest from error


def http_message(error: HTTPException) -> str:
    """What is said of a request that Flask refuses."""
    from flask import current_app

    messages = {
        400: "요청이 올바른 JSON이 아닙니다.", 404: "없는 주소입니다.", 405: "이 주소에서 쓸 수 없는 방법입니다.",
        413: f"요청이 너무 큽니다({current_app.config['MAX_CONTENT_LENGTH'] // 1024} KiB까지).",
        415: "Content-Type은 application/json이어야 합니다.",
    }
    return messages.get(error.code, error.description)


def failure(status: int, message: str, retry_after: int | None = None):
    """The answer to a request that failed; what its client can correct comes with the book's guide text."""
    from flask import current_app, jsonify, request

    result = current_app.config["GUIDE"] if status < 429 else None
    response = jsonify(error_json(request.path, status, message, result))
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response, status


def client_is_gone():
    """A function that tells whether the client of the current request has left; waitress knows."""
    from flask import request

    return request.environ.get("waitress.client_disconnected", lambda: False)


def server_sent(events: Iterator[str], service: GenerationService, jobs: list[Job]):
    """A response of server-sent ``events``. However it ends, ``jobs`` are abandoned then."""
    from flask import Response

    response = Response(events, mimetype="text/event-stream", headers={
        "Cache-Control": "no-store", "X-Accel-Buffering": "no"})  # a proxy shall not collect it
    for job in jobs:
        response.call_on_close(lambda job=job: service.worker.leave(job))
    return response


def event(data, name: str | None = None) -> str:
    """A server-sent event of ``data`` as JSON."""
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


SIGN_OF_LIFE = ":\n\n"  # a comment: a proxy closes a stream that is silent


def _add_service(app: Flask, service: GenerationService) -> None:
    from flask import Response, jsonify

    from .chat_completions import add_chat_completions
    from .completions import add_completions
    from .metrics import CONTENT_TYPE
    from .openapi import description

    app.extensions["generation_service"] = service

    @app.post("/api")
    def api():
        job = service.submit(service.read(read_json()))
        return jsonify(service.answer(job, client_is_gone()))

    @app.post("/api/stream")
    def stream():
        job = service.submit(service.read(read_json()), streamed=True)
        gone = client_is_gone()

        def events():
            try:
                for part in service.events(job, gone):
                    yield SIGN_OF_LIFE if part is None else event(part)
                yield event(service.summary(job), "done")
            except ServiceError as error:
                yield event({"error": str(error)}, "error")

        return server_sent(events(), service, [job])

    @app.post("/api/logits")
    def logits():
        job = service.submit(service.read_scores(read_json()))
        return jsonify(service.scores(job, client_is_gone()))

    @app.post("/api/tokens")
    def tokens():
        ids = read_token_ids(read_json(), service.engine.vocabulary - 1)
        return jsonify(tokens=[{"id": each, "text": service.shown(each)} for each in ids])

    @app.get("/health")
    def health():
        return jsonify(status="ok")

    @app.get("/ready")
    def ready():
        if service.ready:
            return jsonify(status="ok")
        return jsonify(status="busy" if service.engine.available else "away"), 503

    @app.get("/metrics")
    def metrics():
        return Response(service.metrics.text(), content_type=CONTENT_TYPE)

    @app.get("/openapi.json")
    def openapi():
        return jsonify(description(service))

    add_completions(app, service)
    add_chat_completions(app, service)
