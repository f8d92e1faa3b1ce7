"""Thousands of hostile requests: each has an answer in Korean, and leaves nothing behind."""

import gc
import json
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_chat_completions import talking_service

from ratsnlp.nlpbook.generation import load_pretrained
from ratsnlp.nlpbook.generation.chat import use_instruction_template
from ratsnlp.nlpbook.serving import chat_completions
from ratsnlp.nlpbook.serving.app import get_web_service_app
from ratsnlp.nlpbook.serving.chat_completions import chat_fields
from ratsnlp.nlpbook.serving.completions import REFUSED, completion_fields
from ratsnlp.nlpbook.serving.service import GenerationService

PATHS = ("/api", "/api/stream", "/v1/completions", "/v1/chat/completions")
SECONDS = 10.0  # that an answer may take
LEAKS = re.compile(r"Traceback|File \"|\.py\b|site-packages|werkzeug|flask|python|torch|object at 0x|[a-z]Error\b")

service = talking_service(places=16)
texts = st.text(st.characters(), max_size=30)  # lone surrogates among them
numbers = st.one_of(
    st.integers(-2, 70), st.floats(0, 2), st.integers(), st.floats(), st.sampled_from([10**400, -0.0, 1e308, 2**63]))
strings = numbers.map(str) | st.sampled_from(["", "true", " FALSE ", " 5 ", "0x10", "1_0", "٣", "５", "inf", "1e999"])
values = st.recursive(
    st.none() | st.booleans() | numbers | strings | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8)
prompts = texts | st.lists(st.integers(-1, 1300), max_size=5) | st.lists(texts, max_size=3)
known = completion_fields(service) | service.fields
asked = chat_fields(service)
names = st.sampled_from([*known, "model", "stop", "stream_options", *REFUSED])
names_of_chat = st.sampled_from([*asked, "model", "stop", "stream_options", *chat_completions.REFUSED])
parts = st.fixed_dictionaries({"type": st.just("text") | values, "text": texts | values})
messages = st.fixed_dictionaries({
    "role": st.sampled_from(["user", "user", "system", "developer", "assistant", "tool"]) | values,
    "content": texts | st.lists(parts | values, max_size=3) | values})


@st.composite
def sound(draw, known=known, to_chat=False):
    """What is nearly always accepted: a few knobs within their bounds."""
    text = draw(st.text(min_size=1, max_size=20) | st.sampled_from(["영화", "\u200b", "\u1112", "🎬"]))
    body = {"messages": [{"role": "user", "content": text}]} if to_chat else {"prompt": text}
    for name in draw(st.lists(st.sampled_from(list(known)), max_size=3)):
        least, most = known[name].metadata.get("minimum", 0), known[name].metadata.get("maximum", 1)
        within = {bool: st.booleans(), int: st.integers(least, min(most, 70)), float: st.floats(least, most),
                  tuple: st.lists(st.integers(0, 1199), max_size=3)}[known[name].type]
        body[name] = draw(within | within.map(str) if known[name].type in (int, float) else within)
    return body


hostile = st.builds(dict, st.dictionaries(names | texts, values, max_size=5), prompt=prompts | values)
hostile_chat = st.builds(dict, st.dictionaries(names_of_chat | texts, values, max_size=5),
                         messages=st.lists(messages | values, max_size=4) | values)
objects = sound() | sound() | hostile | sound(asked, True) | sound(asked, True) | hostile_chat | values
written = objects.map(lambda value: json.dumps(value).encode())  # with NaN, Infinity, and surrogates as escapes
broken = st.builds(lambda data, place, more, cut: data[: place % len(data)] + more + data[place % len(data) + cut :],
                   written, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
bodies = st.one_of(written, written, written, broken, st.binary(max_size=60))
kinds = st.sampled_from(["application/json"] * 20 + [
    "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=utf-16",
    "application/vnd.api+json", "application/json\x00", "é"])
EXTREMES = [
    b"[" * 60_000, b'{"a":' * 10_000, b"[" * 900 + b"]" * 900, b'{"prompt": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"prompt": "a", "top_k": ' + b"9" * 5000 + b"}", b'{"prompt": "a", "top_k": 1e400}',
    b'{"prompt": "a", "top_p": NaN}', b'{"prompt": "a", "top_p": -Infinity}', b'{"prompt": "\\ud800"}',
    b'{"\\ud800": 1, "prompt": "a"}', b'{"prompt": "\xed\xa0\x80"}', b"\xff\xfe{\x00}\x00", b'{"prompt": "\x00"}',
    b'{"prompt": "a", "prompt": "b", "top_k": 1, "top_k": -1}', b'{"prompt": "\\u0000"}', b"", b"null", b'""',
    b"1" * 65_536, b" " * 65_537, *('{"prompt": "가"}'.encode(name) for name in ("utf-8-sig", "utf-16", "cp949")),
    *(json.dumps(value).encode() for value in (
        {f"a{number}": number for number in range(5000)}, {"prompt": "가" * 10_000}, {"prompt": ["가"] * 10_000},
        {"prompt": [5] * 10_000}, {"prompt": "가", "stop": "a" * 50_000}, {"prompt": "\u0301\u1112"},
        {"prompt": "가", "a\nb\u2028c\x1b[31m": 1}, {"prompt": "가", "prefix": [5] * 10_000},
        *({"messages": [{"role": "user", "content": content}] * times} for content, times in (
            ("가" * 10_000, 1), ("가", 900), ([{"type": "text", "text": "가"}] * 900, 1), ([[]] * 9000, 1),
            ("\u0301\u1112\ud800", 1), ("\x00\u2028\x1b[31m", 1))), {"messages": [[]] * 9000},
        {"messages": [{"role": "a\nb\u2028c\x1b[31m" * 9, "content": "가"}]}))]


def send(client, path: str, data: bytes, kind: str) -> int:
    """The status of the answer, which keeps to what every answer has to keep to."""
    started = time.monotonic()
    answer = client.post(path, data=data, headers={"Content-Type": kind})
    body = answer.get_data(as_text=True)
    told = f"{path} {kind} {data[:300]} -> {answer.status_code} {body[:500]}"
    assert time.monotonic() - started < SECONDS, told
    assert answer.status_code in (200, 400, 404, 413, 415, 429), told
    if answer.mimetype == "text/event-stream":
        assert body.endswith("\n\n"), told
        events = [line.removeprefix("data: ") for line in body.split("\n") if line.startswith("data: ")]
        assert all("error" not in strict(each) for each in events if each != "[DONE]"), told
        assert events[-1] == "[DONE]" if path.startswith("/v1") else "event: done" in body, told
    else:
        found = strict(body)
        if answer.status_code != 200:
            error = found["error"]["message"] if path.startswith("/v1") else found["error"]
            assert re.search("[가-힣]", error), told
            assert len(error.splitlines()) == 1 and error.isprintable(), told
            assert not LEAKS.search(body), told
    return answer.status_code


def strict(text: str):
    """JSON without NaN and Infinity, which are none."""
    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def fuzz(app, examples: int, seen: Counter) -> list[tuple[str, bytes, str]]:
    """Send each of so many bodies to each path; all requests that were sent."""
    client, sent = app.test_client(), []

    @settings(max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(bodies, kinds)
    def send_one(data, kind):
        for path in PATHS:
            sent.append((path, data, kind))
            seen[send(client, path, data, kind)] += 1

    for path in PATHS:
        for data in EXTREMES:
            sent.append((path, data, "application/json"))
            seen[send(client, path, data, "application/json")] += 1
    send_one()
    return sent


def left_behind(service) -> tuple[int, int, int]:
    """Bytes, objects and threads of this process, once nothing is under way."""
    deadline = time.monotonic() + 5
    while service.worker.engine.running or service.worker.waiting:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    gc.collect()
    return psutil.Process().memory_info().rss, len(gc.get_objects()), threading.active_count()


def test_ten_thousand_requests_to_an_echo():
    app, seen = get_web_service_app(service), Counter()
    sent = fuzz(app, 1300, seen)
    assert min(seen[200], seen[400], seen[415]) > 500, seen
    before = left_behind(service)
    with ThreadPoolExecutor(8) as pool:
        seen.update(pool.map(lambda request: send(app.test_client(), *request), sent))
    after = left_behind(service)
    assert seen.total() >= 10_000
    assert after[0] - before[0] < 20e6  # bytes
    assert after[1] - before[1] < 2000
    assert after[2] == before[2]


def test_some_hundreds_to_a_model(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    use_instruction_template(tokenizer)
    with_model, seen = GenerationService(model, tokenizer), Counter()
    beams = with_model.fields["num_beams"]
    with_model.fields["num_beams"] = replace(beams, metadata=beams.metadata | {"maximum": 4})  # 64 take a second
    fuzz(get_web_service_app(with_model), 180, seen)
    assert min(seen[200], seen[400]) > 60, seen
    left_behind(with_model)
    with_model.close()
