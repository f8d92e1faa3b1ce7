"""The engine that another server is: this project's own, ``transformers serve``, and vLLM where it is installed."""

import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import Served, listening, post, run_script, user_error

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.exporting.servers import served, vllm_server
from ratsnlp.nlpbook.generation import (
    GenerationDeployArguments,
    GenerationService,
    get_web_service_app,
    load_finetuned,
    load_pretrained,
)
from ratsnlp.nlpbook.paths import BUNDLED_MODELS
from ratsnlp.nlpbook.serving import openai_engine
from ratsnlp.nlpbook.serving.jobs import EngineLost, EngineRefused, TooLate

LONG = {"min_new_tokens": 50, "max_new_tokens": 50}
GREEDY = [
    {"prompt": prompt, "temperature": 0, "seed": 1, **knobs}
    for prompt in ("긍정", "부정 이 영화는", "영화") for knobs in (
        {}, {"repetition_penalty": 1.4}, {"min_length": 40}, {"min_new_tokens": 20, "max_new_tokens": 24})]


class Between:
    """A WSGI app before another: ``fault(path)`` gives a status and a body instead of the answer, or None; the bodies
    of completions are in ``asked``."""

    def __init__(self, app):
        self.app, self.fault, self.asked = app, lambda path: None, []

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/v1/completions":
            data = environ["wsgi.input"].read()
            environ["wsgi.input"] = io.BytesIO(data)
            self.asked.append(json.loads(data))
        found = self.fault(environ["PATH_INFO"])
        if found is None:
            return self.app(environ, start_response)
        status, body = found
        start_response(f"{status} X", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]


def served_by(port: int, folder, silent: float = 10.0, engine_url: str | None = None, **more) -> GenerationService:
    names = {name: more.pop(name) for name in ("engine_key", "engine_model") if name in more}
    args = GenerationDeployArguments(
        downstream_model_dir=str(folder), engine="openai", engine_url=engine_url or f"http://127.0.0.1:{port}", **names)
    return GenerationService(engine=openai_engine.OpenAIEngine(args, silent), **more)


@pytest.fixture(scope="module")
def there(tiny_folder):
    """The service of the tiny model that is the other server's."""
    service = GenerationService(*load_pretrained(str(tiny_folder)))
    yield service
    service.close()


@pytest.fixture(scope="module")
def between(there):
    return Between(get_web_service_app(there))


@pytest.fixture(scope="module")
def port(between):
    with listening(between) as port:
        yield port


@pytest.fixture
def service(between, port, tiny_folder):
    service = served_by(port, tiny_folder)
    yield service
    between.fault = lambda path: None
    service.close()


@pytest.fixture
def slow(there, monkeypatch):
    """Each step of the other server takes 20 ms."""
    step = there.engine.advance
    monkeypatch.setattr(there.engine, "advance", lambda: (time.sleep(0.02), step()))


def wait_until(condition, seconds: float = 10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def events(service, **body):
    return list(service.events(service.submit(service.read(body), streamed=True)))


def test_what_it_can_do_is_asked_at_the_start(service, there):
    offer = service.engine.offer
    assert (offer.form, offer.label) == ("named", "task3-gen")
    assert (offer.token_ids, offer.steps, offer.echo) == (True, 20, False)
    assert service.engine.has_seed
    assert service.engine.eos == there.engine.eos
    assert offer.knobs == {name for name in service.fields if name not in ("seed", "steps", "prefix")}


@pytest.mark.parametrize("body", GREEDY + [{"prompt": "긍정", "seed": 5}, {"prompt": "가", "seed": 6, "top_p": 0.7},
                                           {"prompt": "영화", "num_beams": 3, "seed": 7}])
def test_a_text_is_the_engines(service, there, body):
    ours, theirs = service(**body), there(**body)
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_many_at_once_are_each_their_own(service, there):
    bodies = [{"prompt": prompt, "seed": seed} for prompt in ("긍정", "부정 이", "가나다") for seed in range(12)]
    with ThreadPoolExecutor(36) as pool:
        together = list(pool.map(lambda body: service(**body)["result"], bodies))
    assert together == [there(**body)["result"] for body in bodies]


def test_steps_have_the_models_probabilities_and_say_what_is_not_known(service, there):
    body = {"prompt": "긍정", "seed": 5, "steps": 4, "max_new_tokens": 6, "temperature": 1.5, "top_k": 0}
    ours, theirs = service(**body)["steps"], there(**body)["steps"]
    assert [step["token"] for step in ours] == [step["token"] for step in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert (one["entropy"], one["number"], one["left"], one["order"]) == (None, None, {}, ["model"])
        probabilities = {each["id"]: each["model"] for each in other["candidates"]}
        assert len(one["candidates"]) >= 4
        assert {each["id"]: each["model"] for each in one["candidates"]} == pytest.approx(probabilities, abs=1e-6)


def test_a_prefix_is_written_first_and_goes_on_from_there(service):
    steps = service(prompt="긍정", temperature=0, steps=3, max_new_tokens=8)["steps"]
    ids = [step["token"] for step in steps]
    other = next(each["id"] for each in steps[1]["candidates"] if each["id"] != ids[1])
    parts = events(service, prompt="긍정", temperature=0, prefix=[ids[0], other], max_new_tokens=8, steps=3)
    told = [token["id"] for part in parts for token in part["tokens"]]
    assert told[:2] == [ids[0], other]
    assert len(told) == 8
    assert [step is None for part in parts for step in part["steps"]][:3] == [True, True, False]


def test_the_stream_is_the_whole_text(service):
    body = {"prompt": "긍정 ㅋㅋ", "seed": 3}
    assert "긍정 ㅋㅋ" + "".join(part["text"] for part in events(service, **body)) == service(**body)["result"]


def test_openais_form_before_openais_form(service, there):
    body = {"prompt": "긍정", "seed": 7, "max_tokens": 12, "logprobs": 2, "return_token_ids": True}
    answers = [get_web_service_app(each).test_client().post("/v1/completions", json=body).get_json()
               for each in (service, there)]
    (ours,), (theirs,) = (answer["choices"] for answer in answers)
    assert answers[0]["usage"] == answers[1]["usage"]
    assert ours["logprobs"].pop("token_logprobs") == pytest.approx(theirs["logprobs"].pop("token_logprobs"), abs=1e-5)
    for place, top in enumerate(ours["logprobs"].pop("top_logprobs")):
        assert top == pytest.approx(theirs["logprobs"]["top_logprobs"][place], abs=1e-5)
    del theirs["logprobs"]["top_logprobs"]
    assert ours == theirs
    assert len(ours["token_ids"]) == answers[0]["usage"]["completion_tokens"]


@pytest.mark.parametrize(("more", "message"), [
    ({"steps": 21}, "^steps: 0 이상 20 이하여야 하는데 21입니다"),
    ({"num_beams": 2, "steps": 1}, "^steps: 빔 서치"), ({"prefix": [300] * 60}, "^prefix: ")])
def test_what_it_has_not_is_refused_in_a_line(service, more, message):
    with pytest.raises(UserError, match=message):
        service("긍정", **more)


def test_the_logits_are_not_known(service):
    answer = get_web_service_app(service).test_client().post("/api/logits", json={"prompt": "긍정"})
    assert answer.status_code == 400
    assert re.fullmatch("logits: .* 엔진은 로짓을 알려 주지 않습니다.*", answer.get_json()["error"])


def test_settings_say_what_there_is(service):
    told = get_web_service_app(service).test_client().get("/api/settings").get_json()
    assert (told["engine"], told["steps"], told["seed"], told["lacks"]) == ("openai", "logprobs", True, [])
    assert next(each for each in told["fields"] if each["name"] == "steps")["maximum"] == 20


def test_an_engine_that_knows_openais_names_alone(between, port, tiny_folder):
    """Its page neither shows nor defaults to a knob that it would pass over."""
    between.fault = lambda path: (404, {}) if path == "/openapi.json" else None
    service = served_by(port, tiny_folder)
    try:
        told = get_web_service_app(service).test_client().get("/api/settings").get_json()
        assert {"top_k", "min_length", "penalty_alpha"} <= set(told["lacks"])
        assert not set(told["lacks"]) & {each["name"] for each in told["fields"]}
        assert all(not set(preset["knobs"]) & set(told["lacks"]) for preset in told["presets"])
        between.asked.clear()
        assert service("긍정", max_length=9)["result"]
        body = between.asked[-1]
        assert not body.keys() & {"top_k", "min_tokens", "repetition_penalty"}
        assert (body["temperature"], body["top_p"], body["max_tokens"]) == (1.0, 1.0, 8)
        for name, value in (("top_k", 5), ("repetition_penalty", 1.2), ("min_length", 20), ("penalty_alpha", 0.6)):
            with pytest.raises(UserError, match=f"^{name}: task3-gen 엔진에는 없습니다"):
                service("긍정", **{name: value})
    finally:
        between.fault = lambda path: None
        service.close()


# A server of a finetuned model, whose steps take 20 ms.
SLOW_SERVER = """
import sys, time
from waitress import serve
from ratsnlp.nlpbook.generation import GenerationService, get_web_service_app, load_finetuned
service = GenerationService(*load_finetuned(sys.argv[1]))
step = service.engine.advance
service.engine.advance = lambda: (time.sleep(0.02), step())
serve(get_web_service_app(service), host="127.0.0.1", port=int(sys.argv[2]), threads=16)
"""


@contextmanager
def process_at(port: int, command: list) -> Iterator[subprocess.Popen]:
    """A server in a process of its own, which answers."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "1"})
    try:
        wait_until(lambda: process.poll() is not None or _answers(port), 300)
        assert process.poll() is None, process.stderr.read()[-3000:]
        threading.Thread(target=process.stderr.read, daemon=True).start()  # else it waits once the pipe is full
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_what_is_being_written_fails_and_the_rest_waits_until_the_engine_is_back(
        finetuned_folder, free_port, monkeypatch):
    monkeypatch.setattr(openai_engine, "PAUSE", 0.1)
    monkeypatch.setattr(openai_engine, "MOST", 2)
    command = [sys.executable, "-c", SLOW_SERVER, finetuned_folder, free_port]
    with process_at(free_port, command) as first, ThreadPoolExecutor(6) as pool:
        service = served_by(free_port, finetuned_folder)
        client = get_web_service_app(service).test_client()
        texts = [pool.submit(service, "긍정", seed=seed, **LONG) for seed in range(6)]
        wait_until(lambda: sum(job.new > 2 for job in service.engine.running) == 2)
        first.kill()
        wait_until(lambda: not service.engine.running)
        assert (client.get("/ready").status_code, len(service.worker.waiting)) == (503, 4)
        lost = [each for each in texts if each.done()]
        with process_at(free_port, command):
            written = [each.result(60)["tokens"] for each in texts if each not in lost]
            assert client.get("/ready").status_code == 200
    assert [type(each.exception()) for each in lost] == [EngineLost] * 2
    assert written == [50] * 4
    metrics = client.get("/metrics").get_data(as_text=True)
    assert 'request_failure_total{reason="EngineLost"} 2.0' in metrics
    service.close()


def test_a_stream_that_breaks_ends_with_one_line(service, there, slow):
    """Nothing of it is written twice."""
    client = get_web_service_app(service).test_client()
    response = client.post("/api/stream", json={"prompt": "긍정", "temperature": 0, **LONG})
    parts = response.iter_encoded()
    first = next(parts)
    (call,) = service.engine._calls.values()
    call.abort()
    rest = b"".join(parts).decode()
    assert "event: error" in rest
    assert "연결이 끊겼습니다. 다시 보내세요." in rest
    assert "event: done" not in rest
    texts = [json.loads(part)["text"] for part in re.findall(r"data: (.*text.*)", first.decode() + rest)]
    assert there("긍정", temperature=0, **LONG)["result"].startswith("긍정" + "".join(texts))


@pytest.mark.parametrize(("status", "body"), [(429, {"error": {"message": "요청이 밀려 있습니다."}}), (503, {})])
def test_a_busy_engine_is_asked_again(service, between, monkeypatch, status, body):
    monkeypatch.setattr(openai_engine, "PAUSE", 0.05)
    faults = [(status, body)] * 2
    between.fault = lambda path: faults.pop() if faults and path == "/v1/completions" else None
    assert service("긍정", max_new_tokens=5, min_new_tokens=5)["tokens"] == 5
    assert not faults


def test_a_request_on_which_the_engine_fails_each_time_does_not_hold_up_the_others(service, between, monkeypatch):
    monkeypatch.setattr(openai_engine, "PAUSE", 0.05)
    between.fault = lambda path: (500, {"detail": "boom"}) if (
        path == "/v1/completions" and between.asked[-1]["max_tokens"] == 7) else None
    with ThreadPoolExecutor(2) as pool:
        bad, good = (pool.submit(service, "긍정", max_new_tokens=most, min_new_tokens=most) for most in (7, 8))
        with pytest.raises(EngineRefused, match="HTTP 500: boom"):
            bad.result(30)
        assert good.result(30)["tokens"] == 8


def test_what_the_engine_refuses_is_told_in_one_line(service, between):
    between.fault = lambda path: (400, {"error": {"message": "too long:\n5 > 3"}}) if "compl" in path else None
    client = get_web_service_app(service).test_client()
    answer = client.post("/api", json={"prompt": "긍정"})
    assert (answer.status_code, answer.get_json()["error"]) == (
        400, "엔진이 거절했습니다(HTTP 400): too long: 5 > 3")
    assert service.ready


def test_a_silent_engine_is_left_alone_and_a_request_keeps_to_its_time(between, port, tiny_folder):
    held = threading.Event()
    service = served_by(port, tiny_folder, silent=0.3, seconds_each=2.0)
    between.fault = lambda path: held.wait(20) and None
    try:
        began = time.monotonic()
        with pytest.raises(TooLate):
            service("긍정")
        assert time.monotonic() - began < 4
        assert not service.ready
    finally:
        held.set()
        between.fault = lambda path: None
        service.close()


def test_who_leaves_ends_the_engines_work_too(service, there, slow):
    job = service.submit(service.read({"prompt": "긍정", **LONG}), streamed=True)
    wait_until(lambda: job.new > 2)
    service.worker.leave(job)
    wait_until(lambda: not service.engine.running and not there.engine.running, 2)
    assert len(job.times) < 40


def test_an_answer_in_a_conversation(chat_models, tmp_path):
    from chat_models import QWEN

    folder = chat_models[QWEN]
    there = GenerationService(*load_pretrained(str(folder)))
    body = {"messages": [{"role": "user", "content": "안녕하세요"}], "max_tokens": 8, "temperature": 0}
    with listening(get_web_service_app(there)) as port:
        service = served_by(port, folder)
        answers = [get_web_service_app(each).test_client().post("/v1/chat/completions", json=body).get_json()
                   for each in (service, there)]
        service.close()
    there.close()
    assert answers[0]["choices"] == answers[1]["choices"]


def refusal(**settings) -> str:
    with pytest.raises(UserError) as told:
        openai_engine.OpenAIEngine(GenerationDeployArguments(engine="openai", **settings))
    assert "\n" not in str(told.value)
    return str(told.value)


def test_what_is_wrong_at_the_start_is_one_line(between, port, tiny_folder, free_port, tmp_path):
    url, folder = f"http://127.0.0.1:{port}", str(tiny_folder)
    away = f"http://127.0.0.1:{free_port}"
    assert re.match(f"engine_url: {away}에 연결되지 않습니다.*vllm serve", refusal(
        engine_url=away, downstream_model_dir=folder))
    assert re.match("downstream_model_dir: kogpt-mini의 토크나이저가 엔진의 모델", refusal(
        engine_url=url, pretrained_model_name="kogpt-mini"))
    assert re.match("engine_model: .*HTTP 404: model: 이 서버의 모델은", refusal(
        engine_url=url, downstream_model_dir=folder, engine_model="none"))
    try:
        between.fault = lambda path: (401, {"error": {"message": "no key"}}) if path == "/v1/completions" else None
        assert re.match("engine_key: .*HTTP 401: no key.*NLPBOOK_ENGINE_KEY", refusal(
            engine_url=url, downstream_model_dir=folder))
        between.fault = lambda path: (500, {}) if path == "/v1/models" else None
        assert re.match("engine_model: .*--engine_model", refusal(engine_url=url, downstream_model_dir=folder))
    finally:
        between.fault = lambda path: None


def test_a_key_goes_with_each_request(there, tiny_folder, monkeypatch):
    from ratsnlp.nlpbook.serving.access import Access, guarded

    args = GenerationDeployArguments(downstream_model_dir=str(tiny_folder), token="sesame", engine="openai",
                                     engine_url="http://127.0.0.1")
    app = guarded(get_web_service_app(there), Access(args, "127.0.0.1"), lambda: False)
    with listening(app) as port:
        monkeypatch.setenv("NLPBOOK_ENGINE_KEY", "sesame")
        service = served_by(port, tiny_folder)
        assert service("긍정", max_new_tokens=3)["tokens"] <= 3
        service.close()


@pytest.mark.parametrize(("settings", "message"), [
    ({}, "^engine_url: openai 엔진의 주소가 있어야 합니다"),
    ({"engine_url": "127.0.0.1:8000"}, "^engine_url: .*주소가 아닙니다"),
    ({"engine_url": "http://a:x"}, "^engine_url: "), ({"engine_url": "http://me:pw@a"}, "^engine_url: "),
    ({"engine": "transformers", "engine_url": "http://a"}, "^engine_url: engine이 openai일 때만"),
    ({"engine": "book", "engine_key": "k"}, "^engine_key: engine이 openai일 때만"),
    ({"engine_url": "http://a", "downstream_model_dir": None}, "^downstream_model_dir나 ")])
def test_the_address_is_checked(settings, message, finetuned_folder):
    with pytest.raises(UserError, match=message):
        GenerationDeployArguments(**{"engine": "openai", "downstream_model_dir": str(finetuned_folder), **settings})


def test_the_script(port, tiny_folder, free_port):
    flags = ["--engine", "openai", "--downstream_model_dir", tiny_folder, "--engine_url"]
    with Served("serve_gen-0.py", *flags, f"http://127.0.0.1:{port}/v1/") as script:
        assert post(script.port, {"prompt": "긍정", "max_new_tokens": 3, "min_new_tokens": 3})[1]["tokens"] == 3
    told = user_error(run_script("serve_gen-0.py", *flags, f"http://127.0.0.1:{free_port}"), code=69)
    assert "에 연결되지 않습니다" in told


@pytest.fixture(scope="module")
def export(finetuned_folder):
    return finetuned_folder / "huggingface"


@pytest.mark.skipif(not (find_spec("fastapi") and find_spec("uvicorn")), reason="fastapi와 uvicorn이 없습니다")
def test_before_transformers_serve(export, finetuned_folder, free_port):
    """It tells texts alone: no steps, no prefix; but it has transformers' knobs."""
    script = Path(sys.executable).with_name("transformers")
    own = GenerationService(*load_finetuned(finetuned_folder))
    with process_at(free_port, [script, "serve", "--port", free_port, "--device", "cpu"]):
        with pytest.raises(UserError, match="^engine_model: .*transformers serve라면 모델 폴더의 경로"):
            served_by(free_port, export)
        service = served_by(free_port, export, engine_model=str(export))
        offer = service.engine.offer
        assert (offer.label, offer.token_ids, service.engine.has_steps) == ("transformers serve", False, False)
        for body in GREEDY[4:8] + [{"prompt": "부정 이 영화는", "num_beams": 2}]:
            ours, theirs = own(**body), service(**body)
            same = ("finish_reason", "tokens")
            assert [ours[name] for name in same] == [theirs[name] for name in same]
            assert ours["result"].replace(" ", "") == theirs["result"].replace(" ", "")  # the first one is guessed
        one, again, other = (service("긍정", seed=seed, typical_p=0.9, top_k=0)["result"] for seed in (1, 1, 2))
        assert one == again != other
        parts = events(service, prompt="긍정", seed=1, max_new_tokens=12)
        assert len(parts) > 3
        assert "긍정" + "".join(part["text"] for part in parts) == service("긍정", seed=1, max_new_tokens=12)["result"]
        for name, value in (("penalty_alpha", 0.6), ("polarity", 1.0), ("steps", 3), ("prefix", [5])):
            with pytest.raises(UserError, match=f"^{name}: transformers serve 엔진에는 없습니다"):
                service("긍정", **{name: value})
        ids = service.tokenizer.encode("부정 이 영화는")
        answer = get_web_service_app(service).test_client().post(
            "/v1/completions", json={"prompt": ids, "max_tokens": 3, "min_tokens": 3, "seed": 1}).get_json()
        assert answer["usage"]["completion_tokens"] == 3
        service.close()
    own.close()


@pytest.mark.skipif("VLLM_PYTHON" not in os.environ,
                    reason="VLLM_PYTHON이 vLLM이 설치된 파이썬을 가리키면 테스트합니다(docs/export.md).")
def test_before_vllm(mini_service):
    """kogpt-mini: vLLM's attention on a CPU does not take heads as small as those of the tiny model."""
    own, folder = mini_service, BUNDLED_MODELS["kogpt-mini"]
    with served("vllm", vllm_server(os.environ["VLLM_PYTHON"], folder)) as (port, _):
        service = served_by(port, folder)
        offer = service.engine.offer
        assert (offer.label, offer.token_ids, offer.steps, offer.echo) == ("vllm", True, 20, True)
        assert {"top_k", "min_p", "repetition_penalty", "min_length"} < offer.knobs
        assert not {"num_beams", "length_penalty", "typical_p", "penalty_alpha"} & offer.knobs
        for body in GREEDY:
            ours, theirs = own(**body, steps=5), service(**body, steps=5)
            assert {**ours, "seconds": 0, "steps": 0} == {**theirs, "seconds": 0, "steps": 0}
            for one, other in zip(ours["steps"], theirs["steps"], strict=True):
                assert {each["id"]: each["model"] for each in other["candidates"]} == pytest.approx(
                    {each["id"]: each["model"] for each in one["candidates"]}, abs=1e-4)
        one, again, other = (service("긍정", seed=seed)["result"] for seed in (1, 1, 2))
        assert one == again != other
        ids = [step["token"] for step in own("긍정", temperature=0, steps=1, max_new_tokens=6)["steps"]]
        steps = service("긍정", temperature=0, steps=3, prefix=ids[:3], max_new_tokens=6)["steps"]
        assert [step["token"] for step in steps] == ids
        assert [step["forced"] for step in steps] == [True] * 3 + [False] * 3
        service.close()
