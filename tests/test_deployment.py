"""What deploy/ installs: the unit as systemd reads it, the image's steps as far as they go without Docker, and nginx
with servers behind it."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import yaml
from helpers import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ratsnlp.nlpbook.generation import GenerationDeployArguments
from ratsnlp.nlpbook.serving.access import Access, guarded
from ratsnlp.nlpbook.serving.server import DRAIN_SECONDS

DEPLOY = REPOSITORY / "deploy"
JSON = {"Content-Type": "application/json"}
posix = pytest.mark.skipif(os.name != "posix", reason="리눅스에 설치하는 것입니다.")


def need(*tools: str):
    """Skip where one of the ``tools`` is not installed."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        pytest.skip(f"설치되지 않았습니다: {' '.join(missing)}")


# --- systemd


def unit_text() -> str:
    return (DEPLOY / "task3-gen@.service").read_text(encoding="utf-8")


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path):
    need("systemd-analyze")
    unit, python = tmp_path / "task3-gen@.service", tmp_path / "python"
    python.symlink_to(sys.executable)  # whose own path may hold a space
    unit.write_text(unit_text().replace("/opt/task3-gen/.venv/bin/python", str(python)), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (verified.returncode, "task3-gen" in verified.stderr) == (0, False), verified.stderr
    hardened = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
                              capture_output=True, text=True)
    assert hardened.returncode == 0, hardened.stdout


def test_systemd_waits_longer_than_the_server_does():
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit_text(), re.M)[1]) > DRAIN_SECONDS


def test_the_settings_of_the_service_are_the_scripts(tmp_path, finetuned_folder):
    """The file is what ``serve_gen-N.py`` takes, with the lines that are comments in it, too."""
    text = (DEPLOY / "serve.yaml").read_text(encoding="utf-8")
    text = re.sub("^# (token|allowed_hosts|engine|engine_url):", r"\1:", text, flags=re.M).replace(
        "${OUTPUT}/nsmc-gen/train_gen-by-kogpt-mini", str(finetuned_folder))
    (tmp_path / "0.yaml").write_text(text, encoding="utf-8")
    from ratsnlp import nlpbook

    args = nlpbook.load_arguments(GenerationDeployArguments, tmp_path / "0.yaml")
    Access(args, "0.0.0.0")
    assert (args.host, args.port, args.engine) == ("0.0.0.0", 9000, "openai")


# --- the image


def instructions() -> list[tuple[str, str]]:
    """Name and rest of each of the Dockerfile's."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line]


def the(name: str) -> str:
    (rest,) = [rest for each, rest in instructions() if each == name]
    return rest


def sources() -> list[str]:
    """What is copied into the image."""
    return [source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]]


def modules_beyond(requirements: list[str]) -> list[str]:
    """The top-level modules here that pip would not install for ``requirements``."""
    wanted, waiting = {"pip", "setuptools"}, list(requirements)  # these are in the image that ours begins with
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in wanted:
            wanted.add(name)
            needed = map(Requirement, metadata.requires(name) or [])
            waiting += [each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    return [module for module, names in metadata.packages_distributions().items()
            if not wanted & {canonicalize_name(name) for name in names}]


@pytest.fixture(scope="module")
def image(tmp_path_factory, finetuned_folder) -> Path:
    """The image's folder after its COPYs and its RUN of pip, which here finds all of it installed, with a model in
    output/ as a volume would have it; others may read, and nobody write. Modules that pip has not been asked for are
    not to be had: ``beyond`` holds a sitecustomize.py that sees to it."""
    root = tmp_path_factory.mktemp("image")
    folder = root / "task3-gen"
    folder.mkdir()
    for name, rest in instructions():
        if name == "COPY":
            *given, target = rest.split()
            for source in given:
                there = REPOSITORY / source
                if there.is_dir():
                    shutil.copytree(there, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(there, folder / target)
        elif name == "RUN" and "pip" in rest:
            done = subprocess.run(["sh", "-c", rest], cwd=folder, capture_output=True, text=True, env={
                **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PIP_NO_INDEX": "1"})
            assert done.returncode == 0, done.stderr
            installed = re.findall(r"^Requirement already satisfied: ([\w.-]+)==[\w.]+ in", done.stdout, re.M)
    assert "torch" in installed
    assert not {"pytest", "ruff", "openai"} & set(installed)
    (root / "beyond").mkdir()
    (root / "beyond" / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({modules_beyond(installed)!r}))\n", encoding="utf-8")
    shutil.copytree(finetuned_folder, folder / "output/nsmc-gen/train_gen-by-kogpt-mini")
    subprocess.run(["chmod", "-R", "a+rX,a-w", root], check=True)
    return root


def as_user(command: list[str]) -> list[str]:
    """As one without rights, and for root, whose interpreter others may not reach, with that of reading every file."""
    if os.geteuid():
        return command
    need("setpriv")
    rights = "-all,+dac_read_search"
    return ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", f"--inh-caps={rights}",
            f"--ambient-caps={rights}", f"--bounding-set={rights}", "--no-new-privs", *command]


@posix
def test_what_is_copied_is_all_that_docker_gets_to_see():
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    ignored = [line for line in ignored if line and not line.startswith("#")]
    assert ignored[0] == "*"
    assert sorted(line[1:] for line in ignored if line[0] == "!") == sorted(sources())
    assert all((REPOSITORY / source).exists() for source in sources())
    assert not {"output", ".git"} & set(sources())


@posix
def test_the_image_serves_as_a_user_without_rights(image):
    """CMD with what pip is asked for and nothing else; HEALTHCHECK's own command; SIGTERM."""
    def here(command):  # on a port that is free
        return [sys.executable if word == "python" else word.replace(":9000/", f":{port}/") for word in command]

    port = "?"
    health = json.loads(the("HEALTHCHECK").partition("CMD ")[2])
    command = here(json.loads(the("ENTRYPOINT")) + json.loads(the("CMD"))) + ["--port", "0"]
    settings = dict(rest.split("=") for name, rest in instructions() if name == "ENV")
    assert any(f"useradd --system --no-create-home --shell /usr/sbin/nologin --uid 10001 {the('USER')}" == rest
               for _, rest in instructions())
    server = subprocess.Popen(
        as_user(command), cwd=image / "task3-gen", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", env={**settings, "PATH": os.environ["PATH"], "PYTHONPATH": str(image / "beyond"),
                               "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"})
    try:
        line = next((line for line in server.stdout if line.startswith("웹 페이지: ")), "")
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\w+)", line)
        assert found, line + server.communicate(timeout=60)[1]
        port, token = found.groups()
        status = Path(f"/proc/{server.pid}/status")
        if os.geteuid() == 0 and status.exists():
            assert "Uid:\t10001\t10001" in status.read_text()
        assert subprocess.run(as_user(here(health))).returncode == 0
        for path, body in {"/api": {"prompt": "긍정"}, "/v1/completions": {"prompt": "긍정", "max_tokens": 5},
                           "/": None, "/metrics": None, "/openapi.json": None}.items():
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body and json.dumps(body).encode(), JSON)
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(request, timeout=60)
            request.add_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(request, timeout=60) as response:
                assert response.status == 200
    finally:
        server.send_signal(signal.SIGTERM)
        _, stderr = server.communicate(timeout=60)
    assert (server.returncode, "Traceback" in stderr) == (0, False), stderr
    assert subprocess.run(as_user(here(health)), capture_output=True).returncode == 1


# --- nginx


class Engine:
    """A WSGI app that answers with its name; a stream's second half once ``go_on`` is set."""

    def __init__(self, name: str):
        self.name, self.asked, self.go_on = name, 0, threading.Event()

    def __call__(self, environ, start_response):
        self.asked += 1
        streamed = environ["PATH_INFO"] == "/stream"
        start_response("200 OK", [("Content-Type", "text/event-stream" if streamed else "text/plain")])
        return self.halves() if streamed else [self.name.encode()]

    def halves(self):
        yield b"data: 1\n\n"
        assert self.go_on.wait(30)
        yield b"data: 2\n\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def nginx(folder: Path, ports: dict[int, int], **changes: str):
    """deploy/nginx.conf with other ``ports``, as nginx runs it."""
    need("nginx", "openssl")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=class.example.com",
                    "-addext", "subjectAltName=DNS:class.example.com", "-keyout", folder / "key", "-out",
                    folder / "pem"], check=True, capture_output=True)
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = re.sub(r"(127\.0\.0\.1:|listen )(\d+)\b(?!\.)", lambda found: found[1] + str(ports[int(found[2])]), text)
    text = re.sub(r"/etc/ssl/\S+\.(pem|key)", rf"{folder}/\1", text)
    for old, new in changes.items():
        text = re.sub(rf"\b{old}=\w+", f"{old}={new}", text)
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};"
                      for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2; events {{}}\n"
        f"http {{ access_log off; {paths}\n{text} }}", encoding="utf-8")
    command = ["nginx", "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", ports[443])):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


def ask(url: str, body: bytes | None = b"{}", **headers: str):
    context = ssl._create_unverified_context() if url.startswith("https") else None
    return urllib.request.urlopen(urllib.request.Request(url, body, JSON | headers), timeout=20, context=context)


@pytest.fixture
def ports() -> dict[int, int]:
    return {port: free_port() for port in (80, 443, 8000, 8001, 8100, 9000)}


class Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def behind(app, port: int):
    """A server of ``app`` on that port."""
    with make_server("127.0.0.1", port, app, Threading, Quiet) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@posix
def test_nginx_spreads_the_load_and_does_without_a_server_that_is_gone(tmp_path, ports):
    one, two = Engine("one"), Engine("two")
    with nginx(tmp_path, ports, fail_timeout="1s"), behind(one, ports[8000]):
        url = f"http://127.0.0.1:{ports[8100]}"

        def answers(count: int) -> set[str]:
            return {ask(url).read().decode() for _ in range(count)}

        with behind(two, ports[8001]):
            with ask(f"{url}/stream") as first, ask(f"{url}/stream") as second:  # the second goes to who has less to do
                assert (one.asked, two.asked) == (1, 1)
                assert [next(iter(each)) for each in (first, second)] == [b"data: 1\n"] * 2  # before there is more
                one.go_on.set()
                two.go_on.set()
                assert b"data: 2\n" in first.read()
            assert answers(6) == {"one", "two"}
        assert answers(6) == {"one"}  # each of them answered
        with behind(two, ports[8001]):
            deadline = time.monotonic() + 20
            while "two" not in answers(1):
                assert time.monotonic() < deadline


@posix
def test_nginx_sends_no_request_twice(tmp_path, ports):
    """A server that dies over a POST has done something already."""
    taken = []
    with nginx(tmp_path, ports), ExitStack() as stack:
        for port in (ports[8000], ports[8001]):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))

            def die(listener=listener):
                connection, _ = listener.accept()
                taken.append(connection.recv(10_000))
                connection.close()

            threading.Thread(target=die, daemon=True).start()
        with pytest.raises(urllib.error.HTTPError, match="502"):
            ask(f"http://127.0.0.1:{ports[8100]}/v1/completions")
    assert len(taken) == 1


@posix
def test_the_page_behind_tls_is_reached_by_its_name_alone_and_its_token_goes_no_other_way(
        tmp_path, ports, finetuned_folder):
    from flask import Flask

    app = Flask(__name__)
    app.get("/")(lambda: "페이지")
    args = GenerationDeployArguments(downstream_model_dir=str(finetuned_folder), token="class3",
                                     allowed_hosts=("class.example.com",))
    page = guarded(app, Access(args, "127.0.0.1"), lambda: False)
    with nginx(tmp_path, ports), behind(page, ports[9000]):
        url = f"https://127.0.0.1:{ports[443]}/?token=class3"
        with ask(url, None, Host="class.example.com") as answer:
            assert answer.read().decode() == "페이지"
            cookie, *flags = answer.headers["Set-Cookie"].split("; ")
            assert (cookie.split("=")[1], "Secure" in flags) == ("class3", True)
        for other, status in {"other.example.com": "403", "class.example.com": "401"}.items():
            with pytest.raises(urllib.error.HTTPError, match=status):
                ask(url.replace("class3", "other"), None, Host=other)

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None

        with pytest.raises(urllib.error.HTTPError, match="301") as moved:
            urllib.request.build_opener(Stay).open(urllib.request.Request(
                f"http://127.0.0.1:{ports[80]}/a?b", headers={"Host": "class.example.com"}))
        assert moved.value.headers["Location"] == "https://class.example.com/a?b"


# --- Kubernetes


def test_the_values_name_what_the_volume_holds():
    """The chart itself is not at hand: these are the names that it reads."""
    (model,) = yaml.safe_load((DEPLOY / "values.yaml").read_text(encoding="utf-8"))["servingEngineSpec"]["modelSpec"]
    (volume,), (mount,) = model["extraVolumes"], model["extraVolumeMounts"]
    assert volume["name"] == mount["name"]
    assert Path(model["modelURL"]).parent == Path(mount["mountPath"])
