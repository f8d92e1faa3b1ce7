"""Who may use the server: the hosts that it answers to, the token, and web pages of other origins (CORS)."""

from __future__ import annotations

import hmac
import re
import secrets
import socket
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ..errors import UserError

if TYPE_CHECKING:
    from flask import Flask, Request

    from ..generation.arguments import GenerationDeployArguments

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without i, l, o, 0 and 1: a token is read from a blackboard
OPEN_PATHS = ("/health", "/ready")  # need no token
ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 500: "server_error",
               503: "service_unavailable_error"}  # OpenAI's; all others are an invalid_request_error

_HOST_HEADER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]*)?")
_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]+)?|\*")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]*")  # stand in an address and in a header as they are

_FORM = """<!doctype html>
<html lang="ko">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>토큰이 필요합니다</title>
<body style="font: 1.2rem/1.7 sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem">
<h1>토큰이 필요합니다</h1>
<p>서버를 시작한 화면에 나온 토큰을 적으세요. 적었는데 이 페이지가 다시 나오면 토큰이 맞지 않은 것입니다.</p>
<form method="get" action="/">
<label>토큰 <input name="token" autocomplete="off" autocapitalize="none" spellcheck="false" required autofocus
 style="font: inherit; width: 10em"></label>
<button style="font: inherit">열기</button>
</form>
"""


class Access:
    """What a server asks of every request.

    Attributes:
        token: what has to be sent along; "" where nothing has to.
        beyond_loopback: whether other computers can reach the server.

    Raises:
        UserError: ``args`` has a token, an origin (``cors_origins``) or a host (``allowed_hosts``) that can be none.
    """

    def __init__(self, args: GenerationDeployArguments, address: str):
        """``address`` is the IP address that ``args.host`` stands for."""
        self.beyond_loopback = not is_loopback(address)
        made = "".join(secrets.choice(LETTERS) for _ in range(6)) if self.beyond_loopback else ""
        self.token = made if args.token is None else args.token
        if not _TOKEN.fullmatch(self.token):
            raise UserError(f"token: 영문자, 숫자, . _ ~ - 만 쓸 수 있는데 {self.token!r}입니다.")
        self.origins = list(args.cors_origins)
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise UserError(
                    "cors_origins: https://example.com이나 https://example.com:8443처럼 경로 없이 적어야 하는데(모두 "
                    f"허용하려면 *) {origin!r}입니다.")
        self.hosts = {canonical(args.host), canonical(address), *map(_allowed_host, args.allowed_hosts)}

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """The HTTP status and the message for who may not come in."""
        header = request.headers.get("Host", "")
        if not self.is_own(header):
            if not _HOST_HEADER.fullmatch(header):
                return 403, "Host 헤더가 없거나 잘못되었습니다."
            return 403, (f"이 서버의 주소가 아닙니다: {header[:100]}. 이 이름으로 접속하려면 서버를 시작할 때 "
                         "--allowed_hosts에 적으세요.")
        preflight = (request.method == "OPTIONS" and "Origin" in request.headers
                     and "Access-Control-Request-Method" in request.headers)
        if not self.token or request.path in OPEN_PATHS or preflight:
            return None
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = [bearer.strip() if scheme.lower() == "bearer" else "", token_in_address(request),
                 request.cookies.get(cookie_name(request), "")]
        if any(map(self.is_token, given)):
            return None
        wrong = "토큰이 맞지 않습니다." if any(given) else "토큰이 없습니다."
        return 401, (f"{wrong} 서버를 시작할 때 나온 주소(?token=…)로 열거나 "
                     "'Authorization: Bearer 토큰' 헤더를 보내세요.")

    def is_token(self, given: str) -> bool:
        return bool(self.token) and hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def is_own(self, host_header: str) -> bool:
        """Whether a Host header, its port aside, names this server: a page elsewhere whose name was made to lead here
        (DNS rebinding) does not."""
        found = _HOST_HEADER.fullmatch(host_header)
        if not found:
            return False
        host = canonical(found[1])
        if host not in self.hosts and not is_loopback(host):
            self.hosts.update(own_names(), own_addresses())  # a laptop may have moved to another network since
            return host in self.hosts
        return True


def canonical(host: str) -> str:
    """``host`` as hosts are compared: lower case, without brackets and the dot at the end; an address in its shortest
    form, without its scope (``%eth0``)."""
    host = host.strip("[]").rstrip(".").lower()
    address = _address(host)
    return str(address).partition("%")[0] if address else host


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name, means this computer alone."""
    address = _address(host)
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


@cache  # the full name may take a look-up in the network
def own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", canonical(socket.getfqdn())}


def own_addresses() -> list[str]:
    """The addresses of all of this computer's network interfaces."""
    import psutil

    return [canonical(each.address) for interface in psutil.net_if_addrs().values() for each in interface
            if each.family in (socket.AF_INET, socket.AF_INET6)]


def reachable_addresses() -> list[str]:
    """The IPv4 addresses by which others are likely to reach this computer: of interfaces that are up, neither
    loopback nor link-local."""
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [ip_address(each.address) for name, interface in psutil.net_if_addrs().items() if name in up
             for each in interface if each.family == socket.AF_INET]
    return [str(address) for address in found if not (address.is_loopback or address.is_link_local)]


def _allowed_host(name: str) -> str:
    host = canonical(name)
    try:
        host = host if _address(host) else host.encode("idna").decode()
    except UnicodeError:
        host = ""
    if not (_address(host) or _NAME.fullmatch(host)):
        raise UserError(
            "allowed_hosts: class.example.com처럼 포트 없이 적어야 하는데(앞에 점이나 *를 쓸 수 없음) "
            f"{name!r}입니다.")
    return host


def cookie_name(request: Request) -> str:
    """With the port in it: a browser sends a host's cookies to all of its ports."""
    return f"token_{request.environ['SERVER_PORT']}"


def token_in_address(request: Request) -> str:
    """``?token=``; "" where there is none. Flask's ``request.args`` fails at bytes that are not UTF-8."""
    return parse_qs(request.query_string.decode("latin-1")).get("token", [""])[0]


def error_json(path: str, status: int, message: str, result: str | None = None) -> dict:
    """An error's JSON: OpenAI's form under ``/v1/``, elsewhere ``error`` and the book's ``result`` beside it."""
    if path.startswith("/v1/"):
        field = re.match(r"(\w+): ", message)
        return {"error": {"message": message, "type": ERROR_TYPES.get(status, "invalid_request_error"),
                          "param": field[1] if field else None, "code": status}}
    return {"error": message, "result": result or message}


def guarded(app: Flask, access: Access, is_ending: Callable[[], bool]) -> Flask:
    """An app that passes to ``app`` (unchanged) what ``access`` lets in, and nothing new but ``/health`` once the
    server is ending."""
    from flask import Flask, jsonify, request

    front = Flask(__name__, static_folder=None)
    front.json.ensure_ascii = False
    if access.origins:
        from flask_cors import CORS

        CORS(front, origins=access.origins, methods=["GET", "POST"], allow_headers=["Content-Type", "Authorization"],
             always_send=False, send_wildcard=True)

    @front.before_request
    def answer():
        refused = access.refusal(request)
        if is_ending() and request.path != "/health" and (not refused or refused[0] == 401):
            refused = 503, "서버를 끝내는 중입니다. 다시 시작한 뒤에 요청하세요."
        if refused:
            return refuse(*refused)
        response = through(request.environ)
        if access.is_token(token_in_address(request)):
            response.set_cookie(cookie_name(request), access.token, httponly=True, samesite="Lax")
        return response

    def refuse(status, message):
        if status == 401 and request.path == "/" and "text/html" in request.headers.get("Accept", ""):
            response = front.response_class(_FORM)
        else:
            response = jsonify(error_json(request.path, status, message))
        response.status_code = status
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if status == 503:
            response.headers["Retry-After"] = "10"
        return response

    def through(environ):
        begun = []  # by Flask, before it returns the body
        body = app(environ, lambda status, headers, exc_info=None: begun.append((status, headers)))
        return front.response_class(body, *begun[0], direct_passthrough=True)

    return front
