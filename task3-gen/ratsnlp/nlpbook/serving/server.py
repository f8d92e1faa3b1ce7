"""The web server around an app: where it listens, and how it ends."""

from __future__ import annotations

import errno
import json
import math
import os
import select
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..errors import UserError
from .access import Access, error_json, guarded, reachable_addresses

if TYPE_CHECKING:
    from flask import Flask
    from waitress.channel import HTTPChannel
    from waitress.server import BaseWSGIServer

    from ..generation.arguments import GenerationDeployArguments

THREADS = 128  # each request under way holds one
CONNECTIONS = 1000
SECONDS_TO_END = 2  # for threads that have nothing left to do
DRAIN_SECONDS = 30  # that requests under way have to finish when the server ends
SPARE_BODY = 2**20  # bytes beyond the app's MAX_CONTENT_LENGTH that are read, so that the app itself can refuse them

_MESSAGES = {
    400: "HTTP 요청의 형식이 잘못되었습니다.", 413: "요청이 너무 큽니다.", 431: "요청의 헤더가 너무 큽니다.",
    500: "서버에서 오류가 났습니다. 서버의 로그를 확인하세요.",
    501: "Transfer-Encoding은 chunked만 쓸 수 있습니다."}


def run_web_service(app: Flask, args: GenerationDeployArguments, open_page: bool = False) -> None:
    """Serve ``app`` with waitress at ``args.host`` and ``args.port`` until SIGTERM or Ctrl-C, then close
    ``app.extensions["generation_service"]`` if there is one. With ``open_page``, show the page in the browser of this
    computer where there is one.

    New requests are refused then (503), and those under way have ``DRAIN_SECONDS`` to finish; a second signal ends at
    once. In a thread other than the main one signals are not looked at.

    Raises:
        UserError: the port is in use or may not be used, the host is not an address of this machine, or ``args`` has a
            token, an origin or a host that can be none.
    """
    app.config["CHECKPOINT"] = args.downstream_model_checkpoint_fpath
    family, address = _resolve(args)
    access = Access(args, address[0])
    listening = _listen(args, family, address)
    signals: list[int] = []
    server = _create(app, access, listening, signals)
    with _collected(signals, server):
        print(*_greeting(access, args, address[0], server.effective_port), sep="\n", flush=True)
        if open_page:
            _open(_page(_here(args, address[0]), server.effective_port, access))
        _serve(server, signals)
    _close(server)
    service = app.extensions.get("generation_service")
    if service is not None:
        service.close()


def _resolve(args) -> tuple[socket.AddressFamily, tuple]:
    """The family and the socket address of ``args.host``, IPv4 where it has both."""
    try:
        found = socket.getaddrinfo(args.host.strip("[]"), args.port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        raise UserError(f"host: 이 컴퓨터의 주소나 이름이어야 하는데 {args.host!r}입니다.") from None
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, address


def _listen(args, family, address) -> socket.socket:
    try:
        listening = socket.socket(family)
        if os.name == "posix":  # else the port of a server that has just ended is in use for a minute
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # :: is every address of IPv4 too
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        reasons = {errno.EADDRINUSE: "이미 쓰이고 있습니다", errno.EACCES: "쓸 권한이 없습니다"}
        reason = reasons.get(error.errno, f"열 수 없습니다({error.strerror})")
        advice = f"--port {args.port % 60000 + 1000}처럼 다른 포트를 지정하세요."
        raise UserError(f"{args.host}의 포트 {args.port}: {reason}. {advice}") from error
    return listening


def _create(app, access, listening, signals) -> BaseWSGIServer:
    from waitress.server import create_server

    server = create_server(
        guarded(app, access, lambda: bool(signals)), sockets=[listening], threads=THREADS, ident=None,
        channel_request_lookahead=1,  # so that environ["waitress.client_disconnected"] tells
        connection_limit=_connection_limit(), asyncore_use_poll=True, clear_untrusted_proxy_headers=True,
        max_request_body_size=(app.config["MAX_CONTENT_LENGTH"] or 0) + SPARE_BODY)
    server.channel_class = _channel_class(signals)
    return server


def _connection_limit() -> int:
    """As many as there are files to open for them: macOS allows a process 256, and Windows' select() takes 512."""
    if not hasattr(select, "poll"):
        return 400
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if allowed == resource.RLIM_INFINITY else min(CONNECTIONS, max(allowed - 64, allowed // 2))


def _channel_class(signals) -> type[HTTPChannel]:
    from waitress.channel import HTTPChannel
    from waitress.task import ErrorTask, WSGITask

    class Task(WSGITask):
        """Has the connection closed after its answer when the server is ending."""

        def build_response_header(self):
            if signals:
                self.request.headers["CONNECTION"] = "close"
            return super().build_response_header()

    class Refusal(ErrorTask):
        """Waitress's own errors, in the form of the app's."""

        def execute(self):
            error = self.request.error
            message = _MESSAGES.get(error.code, error.reason)
            path = getattr(self.request, "path", "")  # there is none where the first line is malformed
            body = json.dumps(error_json(path, error.code, message), ensure_ascii=False).encode()
            headers = [("Content-Type", "application/json")]
            error.to_response = lambda ident: (f"{error.code} {error.reason}", headers, body)
            super().execute()

    return type("Channel", (HTTPChannel,), {"task_class": Task, "error_task_class": Refusal})


def _here(args: GenerationDeployArguments, address: str) -> str:
    """The server's name as this computer's address bar takes it."""
    return "127.0.0.1" if ip_address(address).is_unspecified else f"[{address}]" if ":" in address else args.host


def _page(host: str, port: int, access: Access) -> str:
    return f"http://{host}:{port}" + (f"/?token={access.token}" if access.token else "")


def _greeting(access: Access, args: GenerationDeployArguments, address: str, port: int) -> list[str]:
    """How to open the page: from this computer, over SSH, from the network."""
    reachable = reachable_addresses() or [socket.gethostname()]
    here = _here(args, address)
    user = os.environ.get("USER") or os.environ.get("USERNAME") or "사용자"
    lines = [
        f"웹 페이지: {_page(here, port, access)} (끝내려면 Ctrl-C)",
        f"SSH로: ssh -L {port}:{here}:{port} {user}@{reachable[0]} 명령을 실행한 컴퓨터에서 "
        f"{_page('127.0.0.1', port, access)}"]
    if access.beyond_loopback:
        hosts = reachable if ip_address(address).is_unspecified else [here]
        others = "  ".join(_page(host, port, access) for host in hosts)
        lines.append(f"다른 컴퓨터에서: {others} (이 컴퓨터의 방화벽이 물으면 허용하세요)")
    else:
        lines.append("다른 컴퓨터에서: --host 0.0.0.0을 붙여 다시 시작하면 접속할 주소를 보여 줍니다.")
    if access.beyond_loopback and not access.token:
        lines.append(
            '경고: 토큰을 쓰지 않으므로 이 네트워크의 누구나 접속할 수 있습니다. --token ""을 빼면 토큰을 만듭니다.')
    elif args.token == "":
        lines.append("토큰을 쓰지 않습니다.")
    return lines


def has_desktop() -> bool:
    """Whether a window can be opened on this computer."""
    return sys.platform in ("win32", "darwin") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def desktop_browser() -> webbrowser.BaseBrowser | None:
    """The browser of this computer that opens a window; None where there is none, or only one that would take over the
    terminal (w3m, links …)."""
    try:
        browser = webbrowser.get() if has_desktop() else None
    except webbrowser.Error:
        return None
    return None if type(browser).__name__ in ("GenericBrowser", "Elinks") else browser


def _open(page: str) -> None:
    """Show ``page`` in the browser of this computer, without waiting for it."""
    browser = desktop_browser()
    if browser is not None:
        threading.Thread(target=browser.open, args=[page], daemon=True).start()


@contextmanager
def _collected(signals: list[int], server: BaseWSGIServer) -> Iterator[None]:
    """SIGINT, SIGTERM and, on Windows, SIGBREAK go into ``signals``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number, frame):
        signals.append(number)
        server.pull_trigger()  # wakes the loop

    there = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in there}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _serve(server: BaseWSGIServer, signals: list[int]) -> None:
    """Serve until a signal comes; then until the requests under way are answered, their time is over, or a second
    signal comes."""
    from waitress import wasyncore

    waiting, deadline = set(), math.inf
    while len(signals) < 2 and time.monotonic() < deadline:
        wasyncore.loop(timeout=1, use_poll=True, map=server._map, count=1)
        if not signals:
            continue
        if deadline == math.inf:
            waiting, deadline = _under_way(server), time.monotonic() + DRAIN_SECONDS
            print(f"끝내는 중입니다: 처리 중인 요청 {len(waiting)}개를 기다립니다(최대 {DRAIN_SECONDS}초). "
                  "다시 누르면 바로 끝냅니다." if waiting else "끝냅니다.", flush=True)
        waiting &= _under_way(server)
        if not waiting:
            return
    print(f"끝나지 않은 요청 {len(waiting)}개를 끊습니다.", flush=True)


def _under_way(server: BaseWSGIServer) -> set[HTTPChannel]:
    """The connections with a request that is not answered, or an answer that is not sent."""
    return {channel for channel in server.active_channels.values() if channel.requests or channel.total_outbufs_len}


def _close(server: BaseWSGIServer) -> None:
    """Close every connection, and let the threads end."""
    from waitress import wasyncore

    dispatcher = server.task_dispatcher
    dispatcher.set_thread_count(0)
    if not _under_way(server):  # a thread that has just answered still wakes the server, which has to be there
        with dispatcher.lock:
            dispatcher.thread_exit_cv.wait_for(lambda: not dispatcher.threads, SECONDS_TO_END)
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    wasyncore.close_all(server._map)
