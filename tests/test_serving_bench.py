"""The load test of servers, on a server that answers, streams and fails by rule."""

import json
import math
import subprocess
import sys
import time

import psutil
import pytest

from bench import load, outage, serving
from bench.arguments import BenchArguments
from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import load_tokenizer

TOKENS = 4
SECONDS_EACH = 0.05  # of each token
STUB = f"""
import http.server, itertools, json, sys, time

number = itertools.count(1)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log_message = lambda *_: None

    def answer(self, status, kind, body=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header(*(("Transfer-Encoding", "chunked") if body is None else ("Content-Length", str(len(body)))))
        self.end_headers()
        self.wfile.write(body or b"")

    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))

    def do_GET(self):
        self.answer(200, "application/json", b"{{}}")

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        third = next(number) % 3 == 0
        if self.path == "/fails" or self.path == "/busy" and third:
            return self.answer(503, "application/json", b"{{}}")
        if self.path in ("/api", "/busy"):
            time.sleep({TOKENS * SECONDS_EACH})
            return self.answer(200, "application/json", json.dumps({{"result": told["prompt"] + " end"}}).encode())
        self.answer(200, "text/event-stream; charset=utf-8")
        for token in range({TOKENS}):
            time.sleep({SECONDS_EACH})
            data = "data: " + json.dumps({{"text": "가", "tokens": [{{}}]}}, ensure_ascii=False) + "\\n\\n:\\n\\n"
            self.chunk(data.encode()[:9]), self.chunk(data.encode()[9:])  # in the middle of a syllable
            if self.path == "/breaks":
                self.close_connection = True
                return
        written = {TOKENS} - (self.path == "/short")
        self.chunk(b'event: done\\ndata: {{"result": "", "tokens": %d}}\\n\\n' % written)
        self.chunk(b"")

print("one line", file=sys.stderr)
if sys.argv[1] == "dies":
    sys.exit("no such model")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def stub(path: str, port: str | None = None) -> serving.Contender:
    server = serving.Server(lambda free: [sys.executable, "-c", STUB, port or str(free)])
    return serving.Contender(server, path, [b'{"prompt": "a"}'])


@pytest.fixture(scope="module")
def port():
    with serving.served("stub", stub("/api").server) as (port, _):
        yield port


def loaded(port, path, clients=4, seconds=1.0, **more):
    return load.load(port, path, [b'{"prompt": "a"}'], clients, seconds, TOKENS, **more)


def is_rate_of(clients: int, tokens_per_second: float) -> bool:
    """No more than the server can have written, and not much less, whatever else the machine does."""
    return 0.5 < tokens_per_second / (clients / SECONDS_EACH) <= 1


def test_a_stream_is_counted_as_it_comes(port):
    started = time.perf_counter()
    told = loaded(port, "/api/stream", clients=8)
    assert time.perf_counter() - started < 2
    assert told["errors"] == 0
    assert SECONDS_EACH <= told["first_p50"] < 2 * SECONDS_EACH
    assert TOKENS * SECONDS_EACH <= told["whole_p50"] <= told["whole_p95"]
    assert is_rate_of(8, told["tokens_per_second"])
    assert told["requests_per_second"] == told["tokens_per_second"] / TOKENS


def test_an_answer_that_does_not_stream_counts_when_it_is_whole(port):
    told = loaded(port, "/api")
    assert told["first_p50"] == pytest.approx(told["whole_p50"], abs=0.01)
    assert is_rate_of(4, told["tokens_per_second"])


def test_what_fails_is_an_error_and_no_figure(port):
    told = loaded(port, "/busy", clients=3)
    assert told["errors"] > 0
    assert 0 <= told["errors"] - told["requests"] // 3 <= 1
    assert told["error"].startswith("ValueError: HTTP 503")
    assert told["whole_p50"] >= TOKENS * SECONDS_EACH
    broken = loaded(port, "/breaks", seconds=0.2)
    assert broken["errors"] == broken["requests"] > 0
    assert broken["tokens_per_second"] == 0
    assert math.isnan(broken["first_p50"])
    short = loaded(port, "/short", seconds=0.2)
    assert short["errors"] == short["requests"] > 0
    assert "새 토큰이 4개여야 하는데 3개입니다" in short["error"]


def test_no_more_is_sent_than_allowed(port):
    started = time.perf_counter()
    told = loaded(port, "/api/stream", clients=2, seconds=60.0, most=4)
    assert time.perf_counter() - started < 5
    assert told["requests"] == 4
    assert is_rate_of(2, told["tokens_per_second"])


def test_the_form_of_vllm_is_read():
    lines = [{"choices": [{"text": ""}]}, {"choices": [{"text": "가"}]},
             {"choices": [], "usage": {"completion_tokens": 7}}]
    data = b"".join(b"data: %s\n\n" % json.dumps(line).encode() for line in lines) + b"data: [DONE]\n\n"

    class Response:
        status, headers = 200, type("Headers", (), {"get_content_type": lambda self: "text/event-stream"})()
        parts = [data[:30], data[30:], b""]

        def read1(self, size):
            return self.parts.pop(0)

    answer = load.Answer(0.0)
    assert load.read(Response(), answer) == 7
    assert len(answer.texts) == 1
    Response.parts = [data.replace(b"[DONE]", b"{}"), b""]
    with pytest.raises((ValueError, KeyError)):
        load.read(Response(), answer)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    (tmp_path / "epoch=0-val_loss=1.00.ckpt").touch()
    monkeypatch.setattr(serving, "WARM_UP", 0.1)
    monkeypatch.setattr(serving, "NEW_TOKENS", TOKENS)
    return BenchArguments(what="serving", rounds=2, clients=("1", "2"), seconds=0.2,
                          downstream_model_dir=str(tmp_path), only=("book", "transformers"))


def test_table_and_json_tell_the_same_and_no_server_is_left(bench, monkeypatch, capsys):
    ways = {"book": stub("/api"), "transformers": stub("/api/stream")}
    monkeypatch.setattr(serving, "contenders", lambda bench: ways)
    before = psutil.Process().children()
    serving.main(bench)
    *lines, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert [line for line in lines if line[:2] in ("1/", "2/")] == [
        "1/2 book", "1/2 transformers", "2/2 transformers", "2/2 book"]
    for clients in ("1", "2"):
        point = told["points"][clients]["transformers"]
        row = [line for line in lines if line.startswith("transformers ")][int(clients) - 1].split()
        assert row[1:3] == [f"{point['tokens_per_second']:,.0f}", f"{point['requests_per_second']:.1f}"]
        rounds = [run[clients] for run in told["rounds"]["book"]]
        assert told["ratios"][clients]["transformers"]["book"] == [
            run[clients]["tokens_per_second"] / book["tokens_per_second"]
            for run, book in zip(told["rounds"]["transformers"], rounds, strict=True)]
    assert lines[-1].startswith("클라이언트 2명: book 초당 ")
    assert psutil.Process().children() == before


def test_the_cpu_time_is_that_of_all_its_processes():
    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); time.sleep(60)"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    with subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        seconds, family = serving.cpu_seconds(parent.pid), serving.family(parent.pid)
        for each in family:
            each.kill()
    assert len(family) == 2
    assert seconds >= 0.3
    assert serving.cpu_seconds(parent.pid) == 0


def test_a_server_that_dies_or_refuses_is_an_error_with_its_last_lines(bench, monkeypatch, capsys):
    with pytest.raises(UserError, match="book: 서버가 뜨지 않았습니다"):
        serving.measure("book", stub("/api", port="dies"), bench)
    assert capsys.readouterr().err == "one line\nno such model\n"
    with pytest.raises(UserError, match=r"book: 클라이언트 1명의 요청이 모두 실패했습니다\(ValueError: HTTP 503"):
        serving.measure("book", stub("/fails"), bench)
    assert "one line" in capsys.readouterr().err


def test_every_contender_is_asked_for_the_same_number_of_new_tokens(bench, tmp_path, tiny_folder, monkeypatch):
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(serving, "vllm_version", lambda python: "1")
    bench.only, bench.vllm = ("book", "transformers", "vllm", "page"), sys.executable
    ways = serving.contenders(bench)
    assert list(ways) == list(bench.only)
    tokenizer = load_tokenizer(tiny_folder)
    assert len(serving.PROMPTS) == len(set(serving.PROMPTS)) == 24
    for number, prompt in enumerate(serving.PROMPTS):
        book, ours, vllm, page = (json.loads(way.bodies[number]) for way in ways.values())
        assert page == ours
        assert {book["prompt"], ours["prompt"], vllm["prompt"]} == {prompt}
        assert book["min_length"] == book["max_length"] == len(tokenizer(prompt)["input_ids"]) + TOKENS
        assert ours["min_new_tokens"] == ours["max_new_tokens"] == vllm["min_tokens"] == vllm["max_tokens"] == TOKENS


def test_an_outage_fails_what_is_written_and_the_rest_waits(finetuned_folder, monkeypatch, capsys):
    """The engine is this project's own server, which comes back sooner than vLLM."""
    for module in (serving, outage):
        monkeypatch.setattr(module, "NEW_TOKENS", 30)
    bench = BenchArguments(what="outage", clients=("8",), seconds=3, downstream_model_dir=str(finetuned_folder))
    engine = serving._ours(bench, "transformers").server
    page = serving.replace(serving._ours(bench, "openai"), engine=engine)
    monkeypatch.setattr(outage, "contenders", lambda bench: {"page": page})
    before = psutil.Process().children()
    outage.main(bench)
    *lines, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert told["before"]["requests"] > 0 == told["before"]["errors"]
    assert 0 < told["broken"]["errors"] <= 8
    assert 0 < told["meanwhile"]["requests"] <= 8
    assert told["meanwhile"]["errors"] == 0
    assert told["meanwhile"]["longest"] > told["seconds_away"] / 2
    assert told["after"]["requests"] > 0 == told["after"]["errors"]
    assert len(told["errors"]) == 1
    assert any(line.startswith("오류: ") for line in lines)
    assert psutil.Process().children() == before


def test_what_cannot_be_measured_is_left_out_with_a_word(bench, tiny_folder, tmp_path, monkeypatch, capsys):
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    monkeypatch.delenv("VLLM_PYTHON", raising=False)
    bench.only = ()
    assert list(serving.contenders(bench)) == ["book", "transformers"]
    out = capsys.readouterr().out
    assert "pip install -r requirements-ctranslate2.txt" in out
    assert "vllm: 없어서 빼고 측정합니다" in out
    for name in ("vllm", "page"):
        bench.only = ("book", name)
        with pytest.raises(UserError, match=f"only: {name}: 여기에 없습니다"):
            serving.contenders(bench)
    bench.vllm = sys.executable
    with pytest.raises(UserError, match="vllm: vLLM이 설치된 파이썬이어야 하는데"):
        serving.contenders(bench)


@pytest.mark.parametrize(("settings", "told"), [
    ({"clients": ("0",)}, "clients: 1 이상 256 이하의 정수여야 하는데 '0'입니다."),
    ({"clients": ()}, "clients: 1 이상 256 이하의 정수여야 하는데 ''입니다."),
    ({"seconds": 0}, "seconds: 0보다 커야 하는데 0입니다."),
    ({"only": ("standard",)},
     "only: book, transformers, ctranslate2, vllm, page 가운데에서 골라야 하는데 'standard'입니다."),
    ({"vllm": "nowhere/python"}, "vllm: nowhere/python 파일이 없습니다."),
])
def test_a_mistake_is_one_line(settings, told):
    with pytest.raises(UserError) as error:
        BenchArguments(what="serving", **settings)
    assert told in str(error.value)
