"""The service: many clients at once, each with the text that it would have alone, and none that harms another."""

import base64
import dataclasses
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
import torch
from echo import echo_service
from helpers import listening
from prometheus_client.parser import text_string_to_metric_families

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import DecodingOptions, GenerationService, get_web_service_app
from ratsnlp.nlpbook.generation.settings import ALL_SETTINGS
from ratsnlp.nlpbook.serving import service as service_module
from ratsnlp.nlpbook.serving.jobs import Busy, Failed, OutOfMemory, TooLate
from ratsnlp.nlpbook.serving.requests import KNOBS


@pytest.fixture
def service(tiny_model, tokenizer):
    service = GenerationService(tiny_model.eval(), tokenizer)
    yield service
    assert not service.engine.running
    service.close()


@pytest.fixture(scope="module")
def client(mini_service):
    return get_web_service_app(mini_service).test_client()


def events(text: str) -> list[tuple[str, dict]]:
    """Name and data of each server-sent event."""
    found = re.findall(r"(?:event: (\w+)\n)?data: (.*)\n\n", text)
    return [(name or "message", json.loads(data)) for name, data in found]


def at_once(*calls):
    """What each of ``calls`` gives, all of them running side by side."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result() for done in [pool.submit(call) for call in calls]]


def wait_for(condition, seconds=1.0):
    """Asserts that ``condition`` comes true within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


BODIES = [
    {"prompt": prompt, "seed": seed, **knobs} for seed, (prompt, knobs) in enumerate([
        ("긍정", {}), ("부정 이 영화는", {"top_k": 0, "top_p": 0.9}), ("영화", {"temperature": 0}),
        ("긍정 정말", {"repetition_penalty": 1.5, "max_new_tokens": 12}), ("재미", {"num_beams": 3, "max_length": 20}),
        ("가", {"min_p": 0.1, "temperature": 1.7, "temperature_last": True}),
        ("부정", {"penalty_alpha": 0.6, "top_k": 4, "max_length": 15}),
        ("긍정 ㅋㅋ", {"no_repeat_ngram_size": 1})] * 3)]


def test_a_text_is_what_it_is_alone_whatever_its_neighbours(service):
    alone = [service(**body)["result"] for body in BODIES]
    together = at_once(*[lambda body=body: service(**body)["result"] for body in BODIES])
    assert together == alone
    assert len(set(alone)) > 12


def test_what_is_told_beside_the_text(client, mini_service):
    answer = client.post("/api", json={"prompt": "긍정 이 영화는 ", "max_new_tokens": 4}).get_json()
    assert answer["result"].startswith("긍정 이 영화는")
    assert (answer["finish_reason"], answer["tokens"]) == ("length", 4)
    assert 0 < answer["seconds"] < 60
    assert 0 <= answer["seed"] < 2**32
    again = client.post("/api", json={"prompt": "긍정 이 영화는", "max_new_tokens": 4, "seed": answer["seed"]})
    assert again.get_json()["result"] == answer["result"]
    other = client.post("/api", json={"prompt": "긍정 이 영화는", "max_new_tokens": 4}).get_json()
    assert other["seed"] != answer["seed"]
    ended = client.post("/api", json={"prompt": "긍정", "seed": 3, "max_length": 200, "top_k": 5}).get_json()
    assert ended["finish_reason"] == "stop"
    ids = mini_service.tokenizer.encode(ended["result"])
    assert abs(ended["tokens"] - len(ids)) <= 3  # the prompt is one token, and eos is counted


def test_the_streamed_text_is_the_whole_one(client):
    body = {"prompt": "긍정", "seed": 5, "top_k": 0, "temperature": 1.3, "max_length": 60}
    whole = client.post("/api", json=body).get_json()
    response = client.post("/api/stream", json=body)
    assert response.mimetype == "text/event-stream"
    *parts, (name, done) = events(response.get_data(as_text=True))
    assert name == "done"
    assert {key: done[key] for key in done if key != "seconds"} == {
        key: whole[key] for key in whole if key != "seconds"}
    assert "긍정" + "".join(part["text"] for _, part in parts) == whole["result"]
    tokens = [token["id"] for _, part in parts for token in part["tokens"]]
    assert whole["tokens"] - len(tokens) == (whole["finish_reason"] == "stop")
    assert all("\ufffd" not in part["text"] for _, part in parts)
    assert all(part["text"] == part["tokens"][0]["text"] for _, part in parts if len(part["tokens"]) == 1)


def test_each_part_comes_with_its_steps(client):
    body = {"prompt": "긍정", "seed": 3, "top_k": 5, "steps": 7, "max_length": 200}
    whole = client.post("/api", json=body).get_json()
    *parts, (_, done) = events(client.post("/api/stream", json=body).get_data(as_text=True))
    assert done["finish_reason"] == "stop"
    assert [step for _, part in parts for step in part["steps"]] == whole["steps"]
    for _, part in parts[:-1]:
        assert [step["token"] for step in part["steps"]] == [token["id"] for token in part["tokens"]]
    assert parts[-1][1]["tokens"] == []  # eos: nothing to read, and a step like the others
    step = whole["steps"][0]
    assert [len(step["candidates"]), step["left"]["top_k"], step["order"][-1]] == [7, 5, "cuts"]
    assert [each["cut_by"] for each in step["candidates"]] == [None] * 5 + ["top_k"] * 2
    assert whole["steps"][-1]["text"] == "</s>"


def test_a_branch_goes_on_from_a_prefix(client):
    body = {"prompt": "긍정", "seed": 4, "top_k": 20, "max_length": 20}
    *parts, (_, whole) = events(client.post("/api/stream", json=body).get_data(as_text=True))
    ids = [token["id"] for _, part in parts for token in part["tokens"]]
    assert client.post("/api", json=body | {"prefix": ids[:5]}).get_json()["result"] == whole["result"]
    branch = client.post("/api", json=body | {"prefix": [*ids[:5], 2000]}).get_json()["result"]
    assert branch != whole["result"]
    assert branch.startswith("긍정" + "".join(part["text"] for _, part in parts[:5]))
    for prefix in ([8000], [-1], ["1"], "1", [True], [1] * 19, 3, None):
        response = client.post("/api", json=body | {"prefix": prefix})
        assert response.status_code == 400, prefix
        assert response.get_json()["error"].startswith("prefix: ")


@pytest.mark.parametrize(("body", "message"), [
    ({"top_k": 8001}, "top_k: 0 이상 8000 이하여야 하는데 8001입니다."),
    ({"max_length": 257}, "max_length: 1 이상 256 이하여야 하는데 257입니다."),
    ({"max_new_tokens": 256}, "max_new_tokens: 1 이상 255 이하여야 하는데 256입니다."),
    ({"top_p": 0}, "top_p: 0보다 크고 1 이하여야 하는데 0입니다."),
    ({"min_length": 30, "max_length": 20}, "min_length: max_length(20) 이하여야 하는데 30입니다."),
    ({"min_new_tokens": 30, "max_new_tokens": 20}, "min_new_tokens: max_new_tokens(20) 이하여야 하는데 30입니다."),
    ({"seed": -1}, "seed: 0 이상 4294967295 이하여야 하는데 -1입니다."),
    ({"steps": 101}, "steps: 0 이상 100 이하여야 하는데 101입니다."),
    ({"do_sample": "네"}, "do_sample: true나 false여야 하는데 '네'입니다."),
    ({"do_sample": False, "top_p": 0.9}, "top_p: 뽑을 때만 쓰입니다. do_sample=false와 함께 쓸 수 없습니다."),
    ({"num_beams": 2, "steps": 3}, "steps: 빔 서치(num_beams=2)에는 쓸 수 없습니다. 끝나야 텍스트가 정해집니다."),
    ({"temperature": "1_0"}, "temperature: 수여야 하는데 '1_0'입니다."),
    ({"temprature": 1}, "temprature: 없는 이름입니다. 쓸 수 있는 이름: prompt, do_sample,"),
    ({"prompt": "가나다라 " * 60}, "토큰이라 max_length(50)에 이어 쓸 자리가 없습니다"),
])
def test_bad_input_is_one_sentence(client, body, message):
    response = client.post("/api", json={"prompt": "긍정", **body})
    assert response.status_code == 400
    assert message in response.get_json()["error"]
    assert client.post("/api/stream", json={"prompt": "긍정", **body}).status_code == 400


@pytest.mark.parametrize("body", [
    {"min_p": "0.1", "do_sample": "true", "seed": "7"}, {"top_k": 0}, {"do_sample": False}, {"max_new_tokens": 5},
    {"max_length": 5}, {"num_beams": 2}, {"temperature": 0, "top_k": 5}, {"penalty_alpha": 0.5}, {"top_h": 0.4},
    {"max_length": "", "seed": ""}, {"num_beams": 2, "top_k": 3}, {"max_length": 9, "max_new_tokens": 3}])
def test_every_knob_is_taken_and_the_books_have_its_defaults(client, body):
    response = client.post("/api", json={"prompt": "긍정", **body})
    assert response.status_code == 200, response.get_json()


def test_the_books_defaults_are_what_it_gets_without_them(client):
    knobs = {"min_length": 10, "max_length": 50, "top_p": 1.0, "top_k": 50, "repetition_penalty": 1.0,
             "no_repeat_ngram_size": 0, "temperature": 1.0}
    one, other = (client.post("/api", json={"prompt": "긍정", "seed": 6, **more}).get_json()["result"]
                  for more in ({}, knobs))
    assert one == other


def test_settings_are_the_table(client, mini_service):
    told = client.get("/api/settings").get_json()
    assert (told["model"], told["engine"], told["steps"], told["seed"]) == ("kogpt-mini", "transformers", True, True)
    fields = {each["name"]: each for each in told["fields"]}
    assert list(fields)[:-3] == [spec.name for spec in dataclasses.fields(DecodingOptions)]
    assert fields["top_k"] == {
        "name": "top_k", "korean": "top-k", "type": "integer", "default": 50, "minimum": 0, "maximum": 8000,
        "help": "확률이 높은 몇 개에서만 뽑을지. 0은 자르지 않음", "slider": [0, 200]}
    assert (fields["max_length"]["maximum"], fields["top_p"]["above"], fields["seed"]["default"]) == (256, 0.0, None)
    assert told["eos"] == [mini_service.tokenizer.eos_token_id]
    assert [each["number"] for each in told["presets"]] == list(range(1, len(ALL_SETTINGS) + 1))
    for each in told["presets"]:  # each can be sent as it is
        named = ALL_SETTINGS[each["number"] - 1].options.named()
        assert mini_service.read({"prompt": "가"} | each["knobs"]).options == mini_service.read(
            {"prompt": "가"} | named).options


def test_the_logits_of_a_step_are_those_that_it_was_drawn_by(client, mini_service):
    whole = client.post("/api", json={"prompt": "긍정", "seed": 3, "steps": 20, "max_new_tokens": 6}).get_json()
    tokens = [step["token"] for step in whole["steps"]]
    told = client.post("/api/logits", json={"prompt": "긍정 ", "prefix": tokens[:4]}).get_json()
    assert told["ids"] == [*mini_service.tokenizer.encode("긍정"), *tokens[:4]]
    logits = np.frombuffer(base64.b64decode(told["logits"]), "<f4")
    assert len(logits) == 8000
    for each in whole["steps"][4]["candidates"]:
        assert logits[each["id"]] == pytest.approx(each["logit"], abs=1e-3)
    texts = client.post("/api/tokens", json={"ids": tokens}).get_json()["tokens"]
    assert [each["text"] for each in texts] == [step["text"] for step in whole["steps"]]
    for path, body, message in (("logits", {"prompt": "긍정", "prefix": [8000]}, "prefix: 0 이상 7999 이하인"),
                                ("logits", {"prompt": "긍정", "top_k": 5}, "top_k: 없는 이름입니다."),
                                ("logits", {"prompt": "긍정", "prefix": [5] * 255}, "max_new_tokens: "),
                                ("tokens", {"ids": [-1]}, "ids: "), ("tokens", {"ids": [5], "x": 1}, "ids: ")):
        answer = client.post(f"/api/{path}", json=body)
        assert (answer.status_code, answer.get_json()["error"][: len(message)]) == (400, message)


def test_a_function_tells_what_it_takes_as_well():
    told = get_web_service_app(lambda prompt, **knobs: {"result": prompt}).test_client().get("/api/settings").get_json()
    assert [each["name"] for each in told["fields"]] == list(KNOBS)
    assert not any(told[each] for each in ("model", "val_loss", "stream", "steps", "seed", "presets"))


# A place in the queue, and how to lose it


def test_a_class_of_forty_is_served_and_more_are_told_to_come_back():
    service = echo_service(seconds=0.01, places=40)
    answers = at_once(*[lambda number=number: service(f"{number}번", max_length=20) for number in range(40)])
    assert [answer["result"][:2] for answer in answers] == [f"{number}번"[:2] for number in range(40)]
    app = get_web_service_app(echo_service(seconds=0.05, places=2))
    with ThreadPoolExecutor(60) as pool:
        responses = list(pool.map(
            lambda _: app.test_client().post("/api", json={"prompt": "가", "max_length": 30}), range(60)))
        statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 2
    full = responses[statuses.index(429)]
    assert 1 <= int(full.headers["Retry-After"]) < 60
    assert "뒤에 다시 보내세요" in full.get_json()["error"]


def test_ready_means_that_a_place_is_free():
    service = echo_service(seconds=0.05, places=1)
    client = get_web_service_app(service).test_client()
    assert client.get("/ready").status_code == 200
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(lambda: service("가", max_length=60)) for _ in range(33)]
        wait_for(lambda: client.get("/ready").status_code == 503, 5)
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 200
        for each in waiting:
            each.exception()
    assert client.get("/ready").status_code == 200
    service.close()
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    response = client.post("/api", json={"prompt": "가"})
    assert response.status_code == 503
    assert "끝내는 중" in response.get_json()["error"]


def send(port: int, path: str, **body) -> socket.socket:
    data = json.dumps({"prompt": "가", **body}).encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return connection


@pytest.mark.parametrize("path", ["/api", "/api/stream", "/v1/completions"])
def test_a_client_that_leaves_frees_its_place_within_a_second(path):
    service = echo_service(seconds=0.02)
    length = {"max_tokens": 1000} if path.startswith("/v1") else {"max_length": 1000}
    with listening(get_web_service_app(service)) as port:
        connections = [send(port, path, **length) for _ in range(40)]  # 32 are written, the others wait
        wait_for(lambda: len(service.engine.running) == 32 and len(service.worker.waiting) == 8, 5)
        for connection in connections:
            connection.close()
        wait_for(lambda: not service.engine.running and not service.worker.waiting)
        assert service("가", max_length=5)["result"] == "가" * 5
    families = {family.name: family for family in text_string_to_metric_families(service.metrics.text().decode())}
    left = {sample.labels["reason"]: sample.value for sample in families["nlpbook:request_failure"].samples
            if sample.name.endswith("_total")}
    assert left == {"left": 40}


def test_two_hundred_clients_that_leave_half_way(service):
    """Of a real model; those that stay get their whole texts."""
    expected = service("긍정", seed=1, max_length=40)["result"]
    with listening(get_web_service_app(service)) as port:
        for number in range(200):
            connection = send(port, "/api/stream", prompt="긍정", max_length=60)
            if number % 3:
                connection.recv(1)
            connection.close()
            if number % 40 == 0:
                assert service("긍정", seed=1, max_length=40)["result"] == expected
        wait_for(lambda: not service.engine.running and not service.worker.waiting)
        assert service("긍정", seed=1, max_length=40)["result"] == expected
    assert not service.engine.batch.rows


def test_a_beam_search_is_left_as_well(mini_service):
    before = time.monotonic()
    with listening(get_web_service_app(mini_service)) as port:
        connection = send(port, "/api", prompt="긍정", num_beams=40, min_length=250, max_length=250)
        wait_for(lambda: mini_service.engine.running, 5)
        connection.close()
        wait_for(lambda: not mini_service.engine.running, 2)
    assert time.monotonic() - before < 10


def test_a_request_has_its_time():
    service = echo_service(seconds=0.02, seconds_each=0.3)
    with pytest.raises(TooLate, match="0.3초 안에 끝나지 않아"):
        service("가", max_length=500)
    client = get_web_service_app(service).test_client()
    response = client.post("/api", json={"prompt": "가", "max_length": 500})
    assert response.status_code == 503
    *parts, (name, told) = events(
        client.post("/api/stream", json={"prompt": "가", "max_length": 500}).get_data(as_text=True))
    assert len(parts) > 3
    assert name == "error"
    assert "0.3초 안에 끝나지 않아" in told["error"]


def test_a_silent_stream_gives_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(service_module, "PING", 0.3)
    client = get_web_service_app(echo_service(seconds=0.8)).test_client()
    text = client.post("/api/stream", json={"prompt": "가", "max_length": 3}).get_data(as_text=True)
    assert text.count("\n\n:\n\n") + text.startswith(":\n\n") >= 2
    assert [name for name, _ in events(text)][-1] == "done"


# What goes wrong


def fail_on(service, monkeypatch, error, when):
    """A step of the batch raises where ``when(the token ids of its rows)``."""
    batch = service.engine.batch
    step = type(batch).step

    def failing():
        if when([row.ids for row in batch.rows]):
            raise error
        return step(batch)

    monkeypatch.setattr(batch, "step", failing)


def test_a_failure_is_one_requests_and_the_others_end_as_if_nothing_had_happened(
        service, tokenizer, monkeypatch, caplog):
    bodies = [{"prompt": "긍정 이 영화는", "seed": seed, "max_length": 30} for seed in range(1, 13)]
    expected = [service(**body)["result"] for body in bodies]
    (poison,) = tokenizer.encode("부정")
    fail_on(service, monkeypatch, RuntimeError("/secret/path"), lambda rows: any(poison in ids for ids in rows))

    def ask(body):
        try:
            return service(**body)["result"]
        except Failed as failure:
            return failure

    *texts, failure = at_once(*[lambda body=body: ask(body) for body in [*bodies, {"prompt": "부정"}]])
    assert texts == expected
    assert failure.status == 500
    assert failure.id in str(failure)
    assert "secret" not in str(failure)
    assert f"[{failure.id}] RuntimeError" in caplog.text
    assert "/secret/path" in caplog.text
    assert service(**bodies[0])["result"] == expected[0]


def test_a_gpu_that_is_too_small_for_all_is_shared_in_turns(service, monkeypatch):
    bodies = [{"prompt": "긍정 이 영화는", "seed": seed, "max_length": 30} for seed in range(1, 13)]
    expected = [service(**body)["result"] for body in bodies]
    error = torch.OutOfMemoryError("CUDA out of memory")
    fail_on(service, monkeypatch, error, lambda rows: len(rows) > 3)
    assert at_once(*[lambda body=body: service(**body)["result"] for body in bodies]) == expected
    fail_on(service, monkeypatch, error, lambda rows: True)
    monkeypatch.setattr(type(service.engine.model), "forward", mock.Mock(side_effect=error))  # of model.generate
    with pytest.raises(OutOfMemory, match="GPU 메모리가 부족합니다"):
        service("긍정")
    client = get_web_service_app(service).test_client()
    for body in ({}, {"num_beams": 2}):
        response = client.post("/api", json={"prompt": "긍정", **body})
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "10"


def test_a_bug_in_the_engine_does_not_end_the_thread(monkeypatch, caplog):
    service = echo_service()
    advance = service.engine.advance
    monkeypatch.setattr(service.engine, "advance", lambda: 1 / 0)
    with pytest.raises(Failed) as failed:
        service("가")
    assert failed.value.id in caplog.text
    monkeypatch.setattr(service.engine, "advance", advance)
    assert service("가", max_length=3)["result"] == "가가가"


# What is counted


def test_the_metrics_are_prometheus_and_count_what_was_done(tiny_model, tokenizer):
    service = GenerationService(tiny_model.eval(), tokenizer)
    client = get_web_service_app(service).test_client()
    tokens = sum(client.post("/api", json={"prompt": "긍정 정말", "max_new_tokens": 5}).get_json()["tokens"]
                 for _ in range(3))
    client.post("/api", json={"prompt": "긍정", "top_p": 7})  # is refused, and no request of the engine's
    response = client.get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(response.get_data(as_text=True))}
    found = {(sample.name, *sample.labels.values()): sample.value
             for family in families.values() for sample in family.samples}
    assert found["nlpbook:generation_tokens_total",] == tokens == 15
    assert found["nlpbook:prompt_tokens_total",] == 3 * len(tokenizer.encode("긍정 정말"))
    assert found["nlpbook:request_success_total", "length"] == 3
    assert found["nlpbook:inter_token_latency_seconds_count",] == 12
    for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
                 "request_prompt_tokens", "request_generation_tokens"):
        assert found[f"nlpbook:{name}_count",] == 3
    assert found["nlpbook:num_requests_running",] == found["nlpbook:num_requests_waiting",] == 0
    assert found["nlpbook:request_generation_tokens_sum",] == 15
    service.close()


def test_a_model_is_as_it_was_when_the_service_is_closed(tiny_model, tokenizer):
    threads, modes = torch.get_num_threads(), [module.training for module in tiny_model.train().modules()]
    service = GenerationService(tiny_model, tokenizer)
    one, other = (service("긍정", seed=1, max_length=20)["result"] for _ in range(2))  # without dropout
    assert one == other
    service.close()
    assert [module.training for module in tiny_model.modules()] == modes
    assert torch.get_num_threads() == threads


def test_it_is_an_inference_fn_like_another(service, tiny_model):
    """Of eight arguments, by place as well, with what is theirs to be checked."""
    answer = service("긍정", 5, 12, 0.9, 20, 1.1, 2, 0.7)
    assert answer["result"].startswith("긍정")
    with pytest.raises(UserError, match="^top_p: "):
        service("긍정", top_p=2)
    with pytest.raises(Busy):
        GenerationService(engine=echo_service().engine, places=0)("가")
