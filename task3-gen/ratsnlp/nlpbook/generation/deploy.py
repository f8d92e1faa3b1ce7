"""The web page and its JSON API around any ``inference_fn``."""

import errno
import math
import threading
from pathlib import Path

from flask import Flask, jsonify, render_template, request
from waitress.server import create_server
from werkzeug.exceptions import HTTPException

from ..errors import UserError
from ..paths import TEMPLATES
from .arguments import GenerationDeployArguments

MAX_BODY = 64 * 1024  # bytes
MAX_POSITIONS = 2048  # of the largest model here; encode_prompt keeps to the model's own

# name: (type, default, least, most); temperature 0 means greedy. The defaults are the page's, and inference_fn's.
PARAMETERS = {
    "min_length": (int, 10, 1, MAX_POSITIONS),
    "max_length": (int, 50, 1, MAX_POSITIONS),
    "top_p": (float, 1.0, 0.01, 1.0),
    "top_k": (int, 50, 1, 1000),
    "repetition_penalty": (float, 1.0, 1.0, 10.0),
    "no_repeat_ngram_size": (int, 0, 0, MAX_POSITIONS),
    "temperature": (float, 1.0, 0.0, 100.0),
}
GUIDE = "처리 중 오류가 발생했습니다.\n변수의 입력 범위를 확인하세요.\n\n" + "\n".join(
    f"{name}: {least:g} 이상 {most:g} 이하의 {'정수' if kind is int else '실수'}" for name, (kind, _, least, most) in PARAMETERS.items())


def parse_request(body) -> dict:
    """The eight arguments of ``inference_fn`` out of a request's JSON: numbers or numeric strings; absent ones get their default.

    Raises:
        UserError: naming the field, the bound and the value.
    """
    if not isinstance(body, dict):
        raise UserError('요청은 {"prompt": "안녕하세요"}처럼 이름과 값의 짝이어야 합니다.')
    unknown = sorted(body.keys() - PARAMETERS.keys() - {"prompt"})
    if unknown:
        raise UserError(f"{unknown[0]}: 없는 이름입니다. 쓸 수 있는 이름: prompt, {', '.join(PARAMETERS)}")
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError("prompt: 한 글자 이상의 글이어야 합니다.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError("prompt: 올바른 유니코드 글이 아닙니다.") from None
    values = {name: _number(name, body[name]) if name in body else default for name, (_, default, _, _) in PARAMETERS.items()}
    if 0 < values["temperature"] < 0.01:  # dividing by less overflows; by then it is greedy search anyway
        raise UserError(f"temperature: 0(그리디 서치)이거나 0.01 이상이어야 하는데 {values['temperature']:g}입니다.")
    if values["min_length"] > values["max_length"]:
        raise UserError(f"min_length: max_length({values['max_length']}) 이하여야 하는데 {values['min_length']}입니다.")
    return {"prompt": prompt, **values}


def _number(name: str, value):
    kind, _, least, most = PARAMETERS[name]
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (kind is int and not number.is_integer()):
        raise UserError(f"{name}: {'정수' if kind is int else '수'}여야 하는데 {str(value)[:40]!r}입니다.")
    if not least <= number <= most:
        raise UserError(f"{name}: {least:g} 이상 {most:g} 이하여야 하는데 {number:g}입니다.")
    return kind(number)


def get_web_service_app(inference_fn, template_folder=None, server_page="serve_gen.html", is_colab=None) -> Flask:
    """The Flask app: ``GET /`` is the page, ``POST /api`` calls ``inference_fn``, one request at a time.

    Args:
        inference_fn: takes ``prompt, min_length, max_length, top_p, top_k, repetition_penalty, no_repeat_ngram_size, temperature``,
            returns ``{"result": text}``. A :class:`UserError` that it raises is told to the client as HTTP 400.
        template_folder: where ``server_page`` lies; the project's ``templates/`` by default.
        is_colab: ratsnlp's; accepted, and without effect (nothing is downloaded, no tunnel is opened).

    Bad input is HTTP 400, 413 or 415 with ``error`` (what is wrong) and ``result`` (the book's guide text).
    """
    app = Flask(__name__, template_folder=str(Path(template_folder or TEMPLATES).resolve()), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.ensure_ascii = False
    one_at_a_time = threading.Lock()

    @app.get("/")
    def page():
        return render_template(server_page, parameters=PARAMETERS)

    @app.post("/api")
    def api():
        arguments = parse_request(request.get_json())
        with one_at_a_time:
            return jsonify(inference_fn(**arguments))

    @app.errorhandler(UserError)
    def bad_input(error):
        return jsonify(error=str(error), result=GUIDE), 400

    @app.errorhandler(HTTPException)
    def http_error(error):
        messages = {
            400: "요청이 올바른 JSON이 아닙니다.", 404: "없는 주소입니다.", 405: "이 주소에서 쓸 수 없는 방법입니다.",
            413: f"요청이 너무 큽니다({MAX_BODY // 1024} KiB까지).", 415: "Content-Type은 application/json이어야 합니다.",
            500: "서버에서 오류가 났습니다. 서버의 기록을 확인하세요.",
        }
        return jsonify(error=messages.get(error.code, error.description), result=GUIDE), error.code

    return app


def run_web_service(app: Flask, args: GenerationDeployArguments) -> None:
    """Serve ``app`` with waitress at ``args.host`` and ``args.port`` until Ctrl-C.

    Raises:
        UserError: the port is in use or may not be used, or the host is not an address of this machine.
    """
    try:
        server = create_server(app, host=args.host, port=args.port, threads=8)
    except OSError as error:
        reasons = {errno.EADDRINUSE: "이미 쓰이고 있습니다", errno.EACCES: "쓸 권한이 없습니다"}
        reason = reasons.get(error.errno, f"열 수 없습니다({error.strerror})")
        advice = f"--port {args.port % 60000 + 1000}처럼 다른 포트를 지정하세요."
        raise UserError(f"{args.host}의 포트 {args.port}: {reason}. {advice}") from error
    port = getattr(server, "effective_port", args.port)
    print(f"웹 페이지: http://{args.host}:{port} (끝내려면 Ctrl-C)", flush=True)
    server.run()
