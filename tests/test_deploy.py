import json
import re
import threading
import time

import pytest
from helpers import taken_port

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import GenerationDeployArguments, get_web_service_app, run_web_service
from ratsnlp.nlpbook.serving.app import KNOBS, MAX_BODY


@pytest.fixture
def calls():
    return []


@pytest.fixture
def client(calls):
    def echo(prompt, **arguments):
        calls.append({"prompt": prompt, **arguments})
        return {"result": prompt + " <b>끝</b>"}

    app = get_web_service_app(echo, is_colab=True)
    return app.test_client()


def test_absent_keys_mean_their_defaults(client, calls):
    response = client.post("/api", json={"prompt": "긍정"})
    assert response.status_code == 200
    assert response.get_json() == {"result": "긍정 <b>끝</b>"}
    assert calls == [{"prompt": "긍정", "min_length": 10, "max_length": 50, "top_p": 1.0, "top_k": 50,
                      "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "temperature": 1.0}]
    assert "긍정" in response.get_data(as_text=True)  # Hangul as Hangul, not as \uXXXX


def test_an_empty_text_means_the_default_and_the_least_length_gives_way_to_a_shorter_most(client, calls):
    client.post("/api", json={"prompt": "긍정", "top_k": "", "min_length": "", "max_length": 6})
    assert (calls[0]["top_k"], calls[0]["min_length"], calls[0]["max_length"]) == (50, 6, 6)


def test_numbers_and_numeric_strings_are_taken_alike(client, calls):
    numbers = {"min_length": 5, "max_length": 30, "top_p": 0.9, "top_k": 10, "repetition_penalty": 1.2,
               "no_repeat_ngram_size": 2, "temperature": 0}
    client.post("/api", json={"prompt": "가", **numbers})
    client.post("/api", json={"prompt": "가", **{name: f" {value} " for name, value in numbers.items()}})
    assert calls[0] == calls[1] == {"prompt": "가", **numbers}
    assert [type(calls[1][name]) for name in ("max_length", "top_p", "temperature")] == [int, float, float]


@pytest.mark.parametrize(("body", "field"), [
    ({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": " \n"}, "prompt"), ({"prompt": None}, "prompt"),
    ({"prompt": ["가"]}, "prompt"), ({"prompt": 3}, "prompt"), ({"prompt": "\ud800"}, "prompt"),
    ([], "요청"), ("가", "요청"), (None, "요청"),
    ({"prompt": "가", "temprature": 1}, "temprature"),
    *[({"prompt": "가", name: value}, name) for name, value in [
        ("max_length", " "), ("max_length", None), ("max_length", True), ("max_length", [50]), ("max_length", "30.7"),
        ("max_length", 30.7), ("max_length", "오십"), ("max_length", 100_000), ("max_length", 0),
        ("min_length", -5), ("min_length", 51), ("top_p", 0), ("top_p", -0.5), ("top_p", 2), ("top_p", "nan"),
        ("top_k", -1), ("top_k", -3), ("top_k", 1e9), ("top_k", "1e400"),
        ("repetition_penalty", 0.5), ("repetition_penalty", float("inf")), ("no_repeat_ngram_size", -1),
        ("temperature", -1), ("temperature", float("nan")), ("temperature", 1e-40), ("temperature", 10**400)]],
])
def test_bad_input_is_400_naming_the_field_and_the_book_guide(client, calls, body, field):
    response = client.post("/api", data=json.dumps(body), content_type="application/json")
    assert response.status_code == 400
    assert calls == []
    answer = response.get_json()
    assert answer["error"].startswith(field)
    assert "\n" not in answer["error"]
    assert answer["result"].startswith("처리 중 오류가 발생했습니다.")
    assert all(name in answer["result"] for name in KNOBS)


@pytest.mark.parametrize(("request_", "status"), [
    ({"data": "{", "content_type": "application/json"}, 400),
    ({"data": b"\xff", "content_type": "application/json"}, 400),
    ({"data": "prompt=a", "content_type": "application/x-www-form-urlencoded"}, 415), ({"data": ""}, 415),
    ({"data": b'{"prompt": "' + b"a" * MAX_BODY + b'"}', "content_type": "application/json"}, 413),
])
def test_what_is_no_json_is_a_4xx_in_korean(client, calls, request_, status):
    response = client.post("/api", **request_)
    assert response.status_code == status
    assert calls == []
    assert re.search("[가-힣]", response.get_json()["error"])


def test_other_addresses_and_methods(client):
    assert client.get("/api").status_code == 405
    assert client.get("/none").status_code == 404
    assert client.get("/static/../serve_gen.html").status_code == 404


def test_a_user_error_of_the_inference_is_a_400_and_a_bug_a_500():
    def inference_fn(prompt, **_):
        raise UserError("프롬프트가 깁니다.") if prompt == "길다" else RuntimeError("a secret path")

    client = get_web_service_app(inference_fn).test_client()
    assert client.post("/api", json={"prompt": "길다"}).get_json()["error"] == "프롬프트가 깁니다."
    response = client.post("/api", json={"prompt": "벌레"})
    assert response.status_code == 500
    assert "secret" not in response.get_data(as_text=True)
    assert response.get_json()["error"]


def test_one_request_at_a_time():
    running, most = [], []

    def slow(prompt, **_):
        running.append(prompt)
        most.append(len(running))
        time.sleep(0.05)
        running.remove(prompt)
        return {"result": prompt}

    app = get_web_service_app(slow)
    threads = [threading.Thread(target=lambda name=str(i): app.test_client().post("/api", json={"prompt": name}))
               for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_no_other_origin_is_invited(client):
    response = client.post("/api", json={"prompt": "가"}, headers={"Origin": "https://evil.example"})
    assert not [name for name, _ in response.headers if name.lower().startswith("access-control")]


def test_the_page_needs_no_network_and_its_files_are_served(client):
    """It and its modules name no other place; each module that one names is there, as a module."""
    page = client.get("/").get_data(as_text=True)
    named = re.findall(r"""(?:src|href)=["']?(?!data:)([^"'>\s]+)""", page)
    assert sorted(named) == ["serve_gen/main.js", "serve_gen/page.css"]
    texts, waiting = {"/": page}, set(named)
    while waiting:
        name = waiting.pop()
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.mimetype == ("text/css" if name.endswith(".css") else "text/javascript")
        texts[name] = answer.get_data(as_text=True)
        imported = {f"serve_gen/{other}" for other in re.findall(r'from "\./([\w.]+)"', texts[name])}
        waiting |= imported - texts.keys()
    assert len(texts) > 15
    for name, text in texts.items():
        assert not re.findall(r"https?://|@import|url\(|innerHTML|eval\(", text), name
    for name in ("none.js", "page.html", "../serve_gen.html", "%2e%2e/serve_gen.html"):
        assert client.get(f"/serve_gen/{name}").status_code == 404


def test_another_page_can_be_served(tmp_path):
    (tmp_path / "own.html").write_text("내 페이지", encoding="utf-8")
    client = get_web_service_app(lambda prompt: {}, template_folder=tmp_path, server_page="own.html").test_client()
    assert client.get("/").get_data(as_text=True) == "내 페이지"


def test_a_port_in_use_is_one_line():
    with taken_port() as port:
        args = GenerationDeployArguments.__new__(GenerationDeployArguments)
        args.host, args.port = "127.0.0.1", port
        with pytest.raises(UserError, match=f"포트 {args.port}: 이미 쓰이고 있습니다. --port"):
            run_web_service(get_web_service_app(lambda prompt: {}), args)
        args.host = "203.0.113.1"
        with pytest.raises(UserError, match="열 수 없습니다"):
            run_web_service(get_web_service_app(lambda prompt: {}), args)
