"""Who gets into the server: hosts, the token, other origins."""

import re
import socket
from types import SimpleNamespace

import pytest
from echo_server import Server, make_app, make_args
from helpers import chromium

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.serving import access as access_module
from ratsnlp.nlpbook.serving.access import LETTERS, Access, canonical, guarded, own_addresses, reachable_addresses
from ratsnlp.nlpbook.serving.server import run_web_service


@pytest.fixture(scope="module")
def local():
    with Server() as served:
        yield served


@pytest.fixture(scope="module")
def shared():
    """Beyond loopback, with the token that it made, which ``token`` is; a page of one other origin may use it."""
    with Server(host="0.0.0.0", cors_origins=["https://class.example:8443"],
                allowed_hosts=["Class.Example.com", "fd00::7", "학교.한국"]) as served:
        served.token = re.search(r"\?token=(\w+)", served.lines[0])[1]
        yield served


def test_beyond_loopback_a_token_is_made_for_a_blackboard(shared):
    assert re.fullmatch(f"[{LETTERS}]{{6}}", shared.token)
    assert not set("0Oo1lIi") & set(LETTERS)
    with Server(host="0.0.0.0") as another:
        assert f"token={shared.token}" not in another.lines[0]


def test_beyond_loopback_the_start_names_this_computers_addresses(shared):
    addresses = reachable_addresses() or [socket.gethostname()]
    assert shared.lines[0].startswith(f"웹 페이지: http://127.0.0.1:{shared.port}/?token={shared.token} ")
    assert f"ssh -L {shared.port}:127.0.0.1:{shared.port} " in shared.lines[1]
    for address in addresses:
        assert f"http://{address}:{shared.port}/?token={shared.token}" in shared.lines[2]
    assert "방화벽" in shared.lines[2]
    assert "127.0.0.1" not in shared.lines[2]


def test_only_addresses_that_lead_here_are_shown(monkeypatch):
    address = SimpleNamespace
    found = {"lo": [address(family=socket.AF_INET, address="127.0.0.1")],
             "eth0": [address(family=socket.AF_INET, address="192.0.2.7"),
                      address(family=socket.AF_INET6, address="fe80::0:1%eth0"),
                      address(family=-1, address="00:00:5e:00:53:01")],
             "docker0": [address(family=socket.AF_INET, address="172.17.0.1")],
             "usb0": [address(family=socket.AF_INET, address="169.254.3.4")]}
    monkeypatch.setattr("psutil.net_if_addrs", lambda: found)
    monkeypatch.setattr(
        "psutil.net_if_stats", lambda: {name: SimpleNamespace(isup=name != "docker0") for name in found})
    assert reachable_addresses() == ["192.0.2.7"]
    assert own_addresses() == ["127.0.0.1", "192.0.2.7", "fe80::1", "172.17.0.1", "169.254.3.4"]


@pytest.mark.parametrize("path", [
    "/", "/api", "/slow?seconds=0", "/none", "/static/x", "/v1/models", "/health/x", "//slow?seconds=0"])
def test_without_the_token_nothing_is_open_but_health_and_ready(shared, path):
    for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS"):
        status, headers, body = shared.ask(path, method)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), method
        assert "Set-Cookie" not in headers
        if method != "HEAD" and path.startswith("/v1/"):
            error = body["error"]
            assert (error["type"], error["code"], error["param"]) == ("authentication_error", 401, None)
            assert "토큰이 없습니다" in error["message"]
        elif method != "HEAD":
            assert body["error"] == body["result"]
            assert "토큰이 없습니다" in body["error"]
    assert [shared.ask(path)[0] for path in ("/health", "/ready")] == [200, 200]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_in_a_header(shared, scheme):
    status, headers, body = shared.ask("/v1/models", Authorization=f"{scheme} {shared.token}")
    assert (status, body) == (200, {"status": "ok"})
    assert "Set-Cookie" not in headers


def test_the_token_in_the_address_once_and_then_a_cookie(shared):
    status, headers, _ = shared.ask(f"/?token={shared.token}")
    assert status == 200
    name_value, *attributes = headers["Set-Cookie"].split("; ")
    assert name_value == f"token_{shared.port}={shared.token}"
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=Lax"}
    assert shared.ask("/api", "POST", {"prompt": "가"}, Cookie=f"other=1; {name_value}")[2] == {"result": "가"}
    assert shared.ask("/", Cookie=f"token_{shared.port + 1}={shared.token}")[0] == 401


@pytest.mark.parametrize("headers", [
    {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "{token}"},
    {"Authorization": "Basic {token}"}, {"Authorization": "Bearer {token}x"}, {"Authorization": "Bearer {upper}"},
    {"Authorization": "Bearer a=b, {token}"}, {"Authorization": "Bearer \xff"},
    {"Authorization": "Digest x\xed\xa0\x80"}, {"Authorization": "Basic \xff"},
    {"Cookie": "token_{port}="}, {"Cookie": "token_{port}={token}x"}, {"Cookie": "token_{port}=\xff\xed\xa0\x80"},
    {"Cookie": "{token}"}])
def test_a_wrong_token_is_a_401(shared, headers):
    values = {"token": shared.token, "upper": shared.token.upper() + "A", "port": shared.port}
    headers = {name: value.format(**values) for name, value in headers.items()}
    status, _, body = shared.ask("/slow?seconds=0", **headers)
    assert status == 401
    assert body["error"].startswith("토큰이 ")


@pytest.mark.parametrize("query", [
    "token=", "token=x", "token=%ED%A0%80", "token=%ff", "token=%EA%B0%80", "token", "Token={}"])
def test_a_wrong_token_in_the_address_is_a_401(shared, query):
    status, headers, _ = shared.ask(f"/slow?seconds=0&{query.format(shared.token)}")
    assert status == 401
    assert "Set-Cookie" not in headers


def test_bytes_that_are_no_utf_8_are_a_401(shared):
    request = b"GET //none?token=\xff\xed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as connection:
        connection.sendall(request)
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_a_browser_without_the_token_gets_a_form(shared):
    status, headers, page = shared.ask("/", Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    assert (status, headers["Content-Type"], headers["WWW-Authenticate"]) == (401, "text/html; charset=utf-8", "Bearer")
    assert re.search(r'<form method="get" action="/">', page)
    assert re.search(r'<input name="token"', page)
    assert re.search("[가-힣]", page)
    assert not re.search(r"https?://|src=", page)
    assert isinstance(shared.ask("/api", "POST", Accept="text/html")[2], dict)


def test_a_browser_gets_in_by_the_form(shared, tmp_path):
    with chromium(tmp_path) as driver:
        driver.get(f"http://127.0.0.1:{shared.port}/")
        assert driver.title == "토큰이 필요합니다"
        driver.find_element("name", "token").send_keys("틀림\n")
        assert driver.title == "토큰이 필요합니다"
        driver.find_element("name", "token").send_keys(f"{shared.token}\n")
        assert driver.title != "토큰이 필요합니다"
        driver.get(f"http://127.0.0.1:{shared.port}/")  # by the cookie
        assert driver.title != "토큰이 필요합니다"


def test_on_loopback_no_token_is_asked_for_unless_one_is_given(local):
    assert local.ask("/v1/models")[0] == 200
    with Server(token="abc-1") as served:
        assert served.ask("/v1/models")[0] == 401
        assert served.ask("/v1/models", Authorization="Bearer abc-1")[0] == 200


def test_an_empty_token_opens_the_server_and_says_so():
    with Server(4, host="0.0.0.0", token="") as served:
        assert served.ask("/v1/models")[0] == 200
        assert served.lines[3].startswith("경고: 토큰을 쓰지 않으므로")


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:1", "localhost.", "a.b.localhost:80", "127.0.0.1", "127.5.6.7:9", "[::1]", "[0:0::1]:9000",
    "127.0.0.1:", socket.gethostname(), f"{socket.gethostname()}.local:9000", socket.getfqdn(),
    *(f"[{each}]" if ":" in each else each for each in own_addresses())])
def test_a_host_that_is_ours(local, shared, host):
    assert local.ask("/health", Host=host)[0] == 200
    assert shared.ask("/health", Host=host)[0] == 200


@pytest.mark.parametrize("host", [
    None, "", " ", ":9000", "evil.example", "localhost.evil.example", "evillocalhost", "203.0.113.9", "[2001:db8::1]",
    "[::1", "::1", "a b", "localhost, evil.example", "user@localhost", "localhost/x", "localhost:x", "\xff", "[]",
    "[evil]", "%00", "0x7f.1", "2130706433", "localhost\t.example", "*", "."])
def test_a_host_that_is_not_ours_is_a_403(local, shared, host):
    for server, path, method in ((local, "/", "GET"), (local, "/health", "GET"), (local, "/api", "POST"),
                                 (local, "/none", "OPTIONS"), (shared, "/ready", "GET"), (shared, "/", "GET")):
        status, headers, body = server.ask(path, method, Host=host)
        assert (status, headers["Content-Type"]) == (403, "application/json")
        assert body["error"] == body["result"]
        assert re.search("[가-힣]", body["error"])
    error = local.ask("/v1/models", Host=host)[2]["error"]
    assert (error["type"], error["code"]) == ("permission_error", 403)


def test_two_host_headers_are_a_403(local):
    connection = local.connect()
    connection.putrequest("GET", "/health")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status == 403


def test_the_token_does_not_open_another_host(shared):
    assert shared.ask("/", Host="evil.example", Authorization=f"Bearer {shared.token}")[0] == 403


@pytest.mark.parametrize("host", [
    "class.example.com", "CLASS.example.com:8080", "[fd00:0::7]:9000", "xn--9d0b527e.xn--3e0b707e", "0.0.0.0"])
def test_hosts_that_are_allowed(local, shared, host):
    assert shared.ask("/health", Host=host)[0] == 200
    assert local.ask("/health", Host=host)[0] == 403


def test_an_address_that_comes_later_is_ours(monkeypatch):
    access = Access(make_args(), "127.0.0.1")
    assert not access.is_own("192.0.2.77:9000")
    monkeypatch.setattr(access_module, "own_addresses", lambda: ["192.0.2.77"])
    assert access.is_own("192.0.2.77:9000")


@pytest.mark.parametrize(("name", "values"), [
    ("token", ["a b", "가", "a/b", "a?", "a&b", "a;b", "a=b", "a\n", "a%20", '"', "a,b"]),
    ("allowed_hosts", [("a", ".example.com"), ("*.example.com",), ("*",), ("example.com:80",), ("",), ("a b",), (".",),
                       ("ab:80",), ("http://a",), ("a/b",), ("[::1]:80",), ("::1:zz",), ("a%b",), ("a..b",),
                       ("\ud800",)]),
    ("cors_origins", [("https://ok.example", "example.com"), ("https://example.com/",), ("https://a/b",), ("null",),
                      ("https://*.example.com",), ("ftp://a",), ("https://a:b",), ("https://",), ("",),
                      ("https://a\n",), ("https://[::1]:80",), ("https://u@a",)])])
def test_what_cannot_be_is_one_line_before_the_port_is_opened(name, values, capsys):
    for value in values:
        with pytest.raises(UserError) as told:
            run_web_service(make_app(), make_args(**{name: value}))
        message = str(told.value)
        assert message.startswith(f"{name}: ")
        assert "\n" not in message
        assert repr(value if name == "token" else value[-1]) in message
    assert capsys.readouterr().out == ""


def test_only_a_listed_origin_gets_cors_headers(local, shared):
    origin, bearer = "https://class.example:8443", f"Bearer {shared.token}"
    for path, more, status in (("/v1/models", {"Authorization": bearer}, 200), ("/v1/models", {}, 401),
                               ("/api", {"Authorization": bearer}, 405), ("/none", {"Authorization": bearer}, 404),
                               ("/health", {"Host": "evil.example"}, 403)):
        answered, headers, _ = shared.ask(path, Origin=origin, **more)
        assert (answered, headers["Access-Control-Allow-Origin"]) == (status, origin)
        for other in ("https://class.example", "http://class.example:8443", "https://evil.example", "null"):
            answered, headers, _ = shared.ask(path, Origin=other, **more)
            assert answered == status
            assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "Access-Control-Allow-Origin" not in shared.ask(path, **more)[1]
        assert "Access-Control-Allow-Origin" not in local.ask(path, Origin=origin)[1]
    status, headers, _ = shared.ask("/api", "POST", b"{", Origin=origin, Authorization=bearer)
    assert (status, headers["Access-Control-Allow-Origin"]) == (400, origin)


def test_a_preflight_needs_no_token(shared):
    asks = {"Origin": "https://class.example:8443", "Access_Control_Request_Method": "POST",
            "Access_Control_Request_Headers": "authorization, content-type, x-other"}
    status, headers, _ = shared.ask("/api", "OPTIONS", **asks)
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == asks["Origin"]
    assert headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "Access-Control-Allow-Credentials" not in headers
    status, headers, _ = shared.ask("/api", "OPTIONS", **{**asks, "Origin": "https://evil.example"})
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert shared.ask("/api", "OPTIONS", Host="evil.example", **asks)[0] == 403
    for name in ("Origin", "Access_Control_Request_Method"):
        assert shared.ask("/api", "OPTIONS", **{**asks, name: None})[0] == 401
    assert shared.ask("/api", "POST", **asks)[0] == 401


def test_every_origin():
    with Server(cors_origins=["*"]) as served:
        assert served.ask("/v1/models", Origin="https://any.example")[1]["Access-Control-Allow-Origin"] == "*"


def test_the_callers_app_stays_as_it_is():
    app = make_app()
    args = make_args(token="abc", cors_origins=("https://class.example",))
    front = guarded(app, Access(args, "127.0.0.1"), lambda: False)
    client = front.test_client()
    assert client.get("/ready").status_code == 200
    assert client.get("/v1/models").status_code == 401
    assert app.test_client().get("/v1/models").status_code == 200
    assert "Access-Control-Allow-Origin" not in app.test_client().get(
        "/ready", headers={"Origin": "https://class.example"}).headers


@pytest.mark.parametrize(("host", "same"), [
    ("Name.", "name"), ("[::0001]", "::1"), ("FE80::1%eth0", "fe80::1"), ("127.0.0.1", "127.0.0.1")])
def test_hosts_are_compared_in_one_form(host, same):
    assert canonical(host) == same
