"""The server around an app: how it is reached, what it refuses, and how it ends."""

import http.client
import json
import queue
import re
import signal
import socket
import sys
import threading
import time
import webbrowser
from concurrent.futures import ThreadPoolExecutor

import pytest
from echo_server import Server, make_app, make_args
from helpers import taken_port

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.serving import server as server_module
from ratsnlp.nlpbook.serving.server import run_web_service

posix_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows의 프로세스는 SIGTERM을 받지 못함")


@pytest.fixture(scope="module")
def echo():
    with Server() as served:
        yield served


def raw(port: int, data: bytes) -> bytes:
    """All that comes back for ``data``, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def told_at_the_start(capsys) -> str:
    """What a server in another thread of this process says once it listens."""
    deadline, said = time.monotonic() + 10, ""
    while said.count("\n") < 3:
        assert time.monotonic() < deadline
        said += capsys.readouterr().out
        time.sleep(0.02)
    return said


def test_the_start_tells_three_ways_to_the_page(echo):
    first, ssh, network = echo.lines
    assert first == f"웹 페이지: http://127.0.0.1:{echo.port} (끝내려면 Ctrl-C)"
    assert re.search(rf"ssh -L {echo.port}:127\.0\.0\.1:{echo.port} \S+@\S+ .*http://127\.0\.0\.1:{echo.port}$", ssh)
    assert "--host 0.0.0.0" in network


@pytest.mark.parametrize(("host", "shown"), [
    ("localhost", "localhost"), ("127.0.0.5", "127.0.0.5"), ("::1", "[::1]"), ("[::1]", "[::1]")])
def test_a_host_is_shown_as_an_address_bar_takes_it(host, shown):
    with Server(host=host) as served:
        assert served.lines[0].startswith(f"웹 페이지: http://{shown}:{served.port} ")
        assert "--host 0.0.0.0" in served.lines[2]


def test_what_a_token_is_shown_with():
    with Server(token="class.1-a_b~") as served:
        assert f":{served.port}/?token=class.1-a_b~ " in served.lines[0]
        assert served.lines[1].endswith(f"http://127.0.0.1:{served.port}/?token=class.1-a_b~")
    with Server(4, token="") as served:
        assert "token=" not in "".join(served.lines[:3])
        assert served.lines[3] == "토큰을 쓰지 않습니다."


@pytest.mark.parametrize(("kind", "display", "opens"), [
    ("BackgroundBrowser", ":0", True), ("BackgroundBrowser", "", False), ("GenericBrowser", ":0", False),
    ("Elinks", ":0", False), (None, ":0", False)])
def test_the_page_is_opened_in_a_browser_that_is_no_part_of_the_terminal(kind, display, opens, monkeypatch, capsys):
    opened, released = queue.SimpleQueue(), threading.Event()

    def get():
        if kind is None:
            raise webbrowser.Error("could not locate runnable browser")
        return type(kind, (), {"open": lambda self, page: (opened.put(page), released.wait(60))})()

    monkeypatch.setattr(webbrowser, "get", get)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    threading.Thread(target=run_web_service, args=(make_app(), make_args(token="abc")), daemon=True,
                     kwargs={"open_page": True}).start()
    page = re.search(r"웹 페이지: (\S+) ", told_at_the_start(capsys))[1]
    connection = http.client.HTTPConnection("127.0.0.1", int(re.search(r":(\d+)/", page)[1]), timeout=20)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200  # though the browser has not come back
    assert opened.get(timeout=10) == page if opens else opened.empty()
    assert page.endswith("/?token=abc")
    released.set()


@pytest.mark.parametrize(("host", "said"), [("no-such-host.invalid", "host: .*'no-such-host.invalid'"),
                                            ("내 서버", "host: .*내 서버"), (" ", "host: "),
                                            ("203.0.113.1", "열 수 없습니다")])
def test_a_host_that_is_not_ours(host, said):
    with pytest.raises(UserError, match=said) as told:
        run_web_service(make_app(), make_args(host=host))
    assert "\n" not in str(told.value)


def test_a_port_in_use():
    with taken_port() as port, pytest.raises(UserError, match=f"포트 {port}: 이미 쓰이고 있습니다"):
        run_web_service(make_app(), make_args(port=port))


def test_an_answer_names_no_program_version_or_path(echo):
    for status, headers, body in (
            echo.ask("/"), echo.ask("/none"), echo.ask("/crash"), echo.ask("/health", Host="evil.example"),
            echo.ask("/api", "POST", b"{"), echo.ask("/api", "POST", {"prompt": "가"})):
        assert "Server" not in headers
        assert "Via" not in headers
        assert not re.search(r"waitress|werkzeug|Traceback|secret|/work|\.py\b", f"{headers}{body}", re.IGNORECASE)
        assert status


@pytest.mark.parametrize(("request_", "status"), [
    (b"\xff\xfe\r\n\r\n", 400), (b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ((b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").ljust(2**18, b"a"), 431),
    (b"POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"GET / HTTP/1.0\r\n\r\n", 403)])
def test_what_is_no_http_is_told_in_korean_json(echo, request_, status):
    head, _, body = raw(echo.port, request_).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.{'1' if b'HTTP/1.1' in head else '0'} {status} ".encode())
    assert b"application/json" in head
    assert b"Server:" not in head
    assert b"generated by" not in body
    error = json.loads(body)["error"]
    assert re.search("[가-힣]", error if isinstance(error, str) else error["message"])


def test_a_body_that_is_too_large_is_a_413_and_no_hang(echo):
    started = time.monotonic()
    for size in (70_000, 1_000_000):
        status, headers, body = echo.ask("/api", "POST", b'{"prompt": "' + b"a" * size + b'"}')
        assert (status, headers["Content-Type"]) == (413, "application/json")
        assert body["error"].startswith("요청이 너무 큽니다")
    try:
        status, _, body = echo.ask("/api", "POST", b"a" * 30_000_000)
        assert status == 413
    except ConnectionError:  # nobody reads thirty megabytes to the end
        pass
    assert time.monotonic() - started < 10
    assert echo.ask("/health")[0] == 200


def test_a_stream_comes_piece_by_piece(echo):
    connection = echo.connect()
    started = time.monotonic()
    connection.request("GET", "/stream?pieces=10")
    response = connection.getresponse()
    assert response.readline() == "data: 0 가\n".encode()
    assert time.monotonic() - started < 0.8  # of the second that it takes
    assert response.read().count(b"data: ") == 9
    connection.close()


@pytest.mark.parametrize("path", ["/gone", "/stream?pieces=300"])
def test_work_ends_when_its_client_goes_away(echo, path):
    before = echo.counts()
    with socket.create_connection(("127.0.0.1", echo.port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        echo.wait_for("started", before["started"] + 1)
    echo.wait_for("ended", before["ended"] + 1)


def test_more_than_a_hundred_requests_at_a_time(echo):
    with ThreadPoolExecutor(120) as clients:
        started = time.monotonic()
        done = list(clients.map(lambda _: echo.ask("/slow?seconds=1")[0], range(120)))
    assert done == [200] * 120
    assert time.monotonic() - started < 6


def test_as_many_connections_as_there_are_files(monkeypatch):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for allowed, limit in ((resource.RLIM_INFINITY, 1000), (4096, 1000), (1024, 960), (256, 192), (64, 32)):
        with monkeypatch.context() as patch:
            patch.setattr(resource, "getrlimit", lambda _, allowed=allowed: (allowed, allowed))
            assert server_module._connection_limit() == limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))  # what macOS gives
    try:
        with Server() as served:
            idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(200)]
            with pytest.raises(TimeoutError):  # it waits in the queue of the system
                served_late = http.client.HTTPConnection("127.0.0.1", served.port, timeout=0.5)
                served_late.request("GET", "/health")
                served_late.getresponse()
            for each in idle:
                each.close()
            assert served.ask("/health")[0] == 200
            served.process.terminate()
            code, _, err = served.finish()
            assert code == 0
            assert "Too many open files" not in err
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@posix_signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_finished_and_new_ones_refused(number):
    with Server() as served, ThreadPoolExecutor(10) as clients:
        kept = served.connect()  # one that has asked before, and will ask again
        kept.request("GET", "/ready")
        kept.getresponse().read()
        slow = [clients.submit(served.ask, "/held") for _ in range(6)]
        streamed = [clients.submit(served.ask, "/stream?pieces=5&held=1") for _ in range(3)]
        served.wait_for("started", 9)
        served.process.send_signal(number)
        line = served.process.stdout.readline()
        assert line == "끝내는 중입니다: 처리 중인 요청 9개를 기다립니다(최대 30초). 다시 누르면 바로 끝냅니다.\n"
        for ask in (lambda: served.ask("/api", "POST", {"prompt": "가"}), lambda: served.ask("/ready")):
            status, headers, body = ask()
            assert status == 503
            assert headers["Connection"] == "close"
            assert int(headers["Retry-After"]) > 0
            assert body["error"] == body["result"]
            assert body["error"].startswith("서버를 끝내는 중입니다.")
        status, _, body = served.ask("/v1/completions", "POST", {})
        assert (status, body["error"]["type"], body["error"]["code"]) == (503, "service_unavailable_error", 503)
        kept.request("GET", "/ready")
        assert kept.getresponse().headers["Connection"] == "close"
        assert served.ask("/health", Host="evil.example")[0] == 403
        assert served.ask("/health")[0] == 200  # lets go what is held
        assert [each.result()[0] for each in slow] == [200] * 6
        for each in streamed:
            status, headers, body = each.result()
            assert (status, body.count("data: ")) == (200, 5)
        assert served.finish(5) == (0, "CLOSED\n", "")


@posix_signals
def test_clients_that_ask_again_and_again_do_not_keep_it():
    with Server() as served:
        going = threading.Event()
        going.set()

        def hammer():
            while going.is_set():
                try:
                    served.ask("/health")
                except (OSError, http.client.HTTPException):
                    time.sleep(0.01)

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        served.process.terminate()
        try:
            code, _, err = served.finish(5)
        finally:
            going.clear()
            for thread in threads:
                thread.join()
        assert (code, err) == (0, "")


@posix_signals
def test_the_last_byte_of_a_slow_reader_leaves():
    with Server() as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**18)
            connection.sendall(b"GET /stream?pieces=4&size=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(1)  # all is written, and waits in the server
            served.process.terminate()
            assert served.process.stdout.readline().startswith("끝내는 중입니다: 처리 중인 요청 1개")
            time.sleep(0.5)
            assert served.process.poll() is None
            got = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        assert got.count("가".encode()) == 4 * 1_000_000
        assert got.endswith(b"0\r\n\r\n")
        assert served.finish()[::2] == (0, "")


@posix_signals
def test_after_the_limit_the_rest_is_cut():
    with Server(DRAIN_SECONDS=1) as served, ThreadPoolExecutor(1) as clients:
        slow = clients.submit(served.ask, "/held")
        served.wait_for("started", 1)
        served.process.terminate()
        started = time.monotonic()
        code, out, err = served.finish()
        assert 0.9 < time.monotonic() - started < 4
        assert (code, err) == (0, "")
        assert out.splitlines()[1:] == ["끝나지 않은 요청 1개를 끊습니다.", "CLOSED"]
        with pytest.raises((OSError, http.client.HTTPException)):
            slow.result()


@posix_signals
def test_a_second_signal_ends_at_once():
    with Server() as served, ThreadPoolExecutor(1) as clients:
        clients.submit(served.ask, "/held")
        served.wait_for("started", 1)
        served.process.send_signal(signal.SIGINT)
        served.process.stdout.readline()
        started = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        code, out, err = served.finish()
        assert time.monotonic() - started < 2
        assert (code, err) == (0, "")
        assert out.endswith("CLOSED\n")


@posix_signals
def test_nothing_under_way_ends_at_once():
    with Server() as served, socket.create_connection(("127.0.0.1", served.port)) as idle:
        idle.sendall(b"GET / HT")
        time.sleep(0.1)
        started = time.monotonic()
        served.process.terminate()
        assert served.finish() == (0, "끝냅니다.\nCLOSED\n", "")
        assert time.monotonic() - started < 2


def test_in_another_thread_it_serves_and_leaves_signals_alone(capsys):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    app = make_app()
    app.test_client().get("/health")  # a request has come already: the app itself can take no hooks any more
    threading.Thread(target=run_web_service, args=(app, make_args()), daemon=True).start()
    port = int(re.search(r":(\d+) ", told_at_the_start(capsys))[1])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
