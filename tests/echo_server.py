"""A web service without a model, in a process of its own: what tests of access and of ending talk to.

As a script, its first argument is JSON: fields of GenerationDeployArguments, and ``DRAIN_SECONDS``.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "task3-gen"


def make_app():
    """The project's app around an echo, and routes that take their time."""
    from flask import Response, request

    from ratsnlp.nlpbook.serving.app import get_web_service_app

    app = get_web_service_app(lambda prompt, *knobs, **more: {"result": prompt})
    counts = {"started": 0, "ended": 0}
    released = threading.Event()  # by /health, which is answered up to the end

    def slow():
        time.sleep(float(request.args["seconds"]))
        return {"result": "끝"}

    def held():
        counts["started"] += 1
        released.wait(60)
        return {"result": "끝"}

    def stream():
        count, size, held = int(request.args["pieces"]), int(request.args.get("size", 1)), "held" in request.args

        def pieces():
            counts["started"] += 1
            try:
                for number in range(count):
                    yield f"data: {number} {'가' * size}\n\n"
                    if held:
                        released.wait(60)
                    time.sleep(0.1)
            finally:
                counts["ended"] += 1

        return Response(pieces(), mimetype="text/event-stream")

    def gone():
        counts["started"] += 1
        while not request.environ["waitress.client_disconnected"]():
            time.sleep(0.02)
        counts["ended"] += 1
        return ""

    def crash():
        raise RuntimeError("a secret path")

    app.add_url_rule("/slow", "echo_slow", slow)
    app.add_url_rule("/stream", "echo_stream", stream)
    app.add_url_rule("/gone", "echo_gone", gone)
    app.add_url_rule("/held", "echo_held", held)
    app.add_url_rule("/counts", "echo_counts", lambda: counts)
    app.add_url_rule("/crash", "echo_crash", crash)
    app.add_url_rule("/health", "echo_health", lambda: {"status": "ok", "was_released": released.set()})
    for path in ("/ready", "/v1/models"):
        app.add_url_rule(path, f"echo{path}", lambda: {"status": "ok"})
    return app


class Closed:
    """In the place of the app's service: says when it is closed."""

    def close(self):
        print("CLOSED", flush=True)


def make_args(**settings):
    """Deploy arguments without a checkpoint."""
    from ratsnlp.nlpbook.generation.arguments import GenerationDeployArguments

    args = GenerationDeployArguments.__new__(GenerationDeployArguments)
    args.port = 0
    for name, value in settings.items():
        setattr(args, name, value)
    return args


class Server:
    """An echo server in a process of its own: ``lines`` are what it said at its start."""

    def __init__(self, said: int = 3, **settings):
        self.process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(settings)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"})
        self.said = said

    def __enter__(self):
        self.lines = [self.process.stdout.readline().rstrip("\n") for _ in range(self.said)]
        found = re.search(r"웹 페이지: http://[^/]+:(\d+)", self.lines[0])
        assert found, str(self.lines) + self.process.communicate(timeout=60)[1]
        self.port = int(found[1])
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=60)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, path: str, method: str = "GET", body=None, **headers):
        """Status, headers and body (JSON as what it says) of one request; ``Accept_Language`` is Accept-Language,
        and ``Host=None`` sends none."""
        connection = self.connect()
        connection.putrequest(method, path, skip_host="Host" in headers)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            if value is not None:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(data)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        return response.status, response.headers, json.loads(text) if text and is_json else text

    def wait_for(self, name: str, number: int) -> None:
        """Until so many of the app's ``counts`` have come about."""
        deadline = time.monotonic() + 20
        while self.counts()[name] < number:
            assert time.monotonic() < deadline, (name, number)
            time.sleep(0.02)

    def counts(self) -> dict:
        return self.ask("/counts")[2]

    def finish(self, seconds: float = 20) -> tuple[int, str, str]:
        """Exit code and the rest of what it said."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    from ratsnlp.nlpbook.serving import server

    settings = json.loads(sys.argv[1])
    server.DRAIN_SECONDS = settings.pop("DRAIN_SECONDS", server.DRAIN_SECONDS)
    echo = make_app()
    echo.extensions["generation_service"] = Closed()
    server.run_web_service(echo, make_args(**settings))
    assert not {"torch", "transformers"} & set(sys.modules)
