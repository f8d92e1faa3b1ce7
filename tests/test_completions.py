"""The API in OpenAI's form, as its own client speaks to it."""

import json
import math

import openai
import pytest
import torch
from echo import echo_service
from helpers import listening

from ratsnlp.nlpbook.generation import get_web_service_app


@pytest.fixture(scope="module")
def client(mini_service):
    with listening(get_web_service_app(mini_service)) as port, openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as made:
        yield made


def complete(client, **more):
    return client.completions.create(**{"model": "kogpt-mini", "prompt": "긍정", "seed": 3, **more})


def test_the_model_and_a_completion(client, mini_service):
    (model,) = client.models.list().data
    assert (model.id, model.object) == ("kogpt-mini", "model")
    answer = complete(client)
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert (answer.object, answer.model) == ("text_completion", "kogpt-mini")
    assert answer.id.startswith("cmpl-")
    assert dict(answer.usage)["completion_tokens"] == 16  # as the engines have it where nobody says
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (1, 17)
    assert "긍정" + choice.text == mini_service("긍정", seed=3, top_k=0, min_length=1, max_new_tokens=16)["result"]
    assert complete(client).choices == answer.choices


def test_a_stream_is_the_same_text_and_its_last_word_the_usage(client):
    answer = complete(client, max_tokens=20)
    *chunks, usage = complete(client, max_tokens=20, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text
    assert {(chunk.id, chunk.created, chunk.model) for chunk in [*chunks, usage]} == {
        (usage.id, usage.created, usage.model)}
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "length"]
    assert {chunk.usage for chunk in chunks} == {None}
    assert (usage.choices, usage.usage) == ([], answer.usage)
    assert complete(client, stream=True, max_tokens=3).response.headers["content-type"].startswith("text/event-stream")


def test_several_texts_of_several_prompts(client):
    answer = complete(client, prompt=["긍정", "부정 이 영화는"], n=2, max_tokens=6)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len({choice.text for choice in answer.choices}) == 4
    assert answer.choices[0].text == complete(client, max_tokens=6).choices[0].text
    texts = [""] * 4
    for chunk in complete(client, prompt=["긍정", "부정 이 영화는"], n=2, max_tokens=6, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text for choice in answer.choices]


def test_a_prompt_of_token_ids(client, mini_service):
    ids = mini_service.tokenizer.encode("부정 이 영화는")
    assert complete(client, prompt=ids).choices[0].text == complete(client, prompt="부정 이 영화는").choices[0].text
    one, other = complete(client, prompt=[ids, ids[:1]], temperature=0).choices
    assert one.text != other.text


def test_logprobs_are_the_raw_models(client, mini_service):
    """Whatever the penalties, the temperature and the cuts."""
    choice = complete(client, logprobs=3, max_tokens=9, temperature=0.5, extra_body={
        "top_k": 3, "repetition_penalty": 1.5}).choices[0]
    told, model, tokenizer = choice.logprobs, mini_service.engine.model, mini_service.tokenizer
    assert "".join(told.tokens) == choice.text
    assert told.text_offset == [len("".join(told.tokens[:place])) for place in range(len(told.tokens))]
    ids = tokenizer.encode("긍정")
    for token, value, top in zip(told.tokens, told.token_logprobs, told.top_logprobs, strict=True):
        with torch.inference_mode():
            logprobs = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        named = [each for each in range(len(tokenizer)) if mini_service.shown(each) == (token or "</s>")]
        number = max(named, key=lambda each: logprobs[each])
        assert value == pytest.approx(float(logprobs[number]), abs=1e-4)
        assert sorted(top.values(), reverse=True) == pytest.approx(logprobs.topk(3).values.tolist(), abs=1e-4)
        ids.append(number)
    (alone,) = complete(client, logprobs=0, max_tokens=1).choices
    assert alone.logprobs.top_logprobs == [{}]
    assert math.isfinite(alone.logprobs.token_logprobs[0])


def test_a_text_ends_before_a_stop_sequence_and_its_work_too():
    service = echo_service(seconds=0.001)
    client = get_web_service_app(service).test_client()
    body = {"prompt": "가나다라마바사", "max_tokens": 900}
    for stop, text in (("다라", "가나"), (["사가", "바"], "가나다라마"), ("없음", None)):
        answer = client.post("/v1/completions", json=body | {"stop": stop}).get_json()
        (choice,) = answer["choices"]
        assert choice["finish_reason"] == ("stop" if text else "length")
        assert choice["text"] == (text or ("가나다라마바사" * 200)[:900])
        assert (answer["usage"]["completion_tokens"] < 200) == bool(text)
        stream = client.post("/v1/completions", json=body | {"stop": stop, "stream": True}).get_data(as_text=True)
        parts = [line for line in stream.splitlines() if line.startswith("data: {")]
        assert "".join(json.loads(part[6:])["choices"][0]["text"] for part in parts) == choice["text"]
        assert stream.endswith("data: [DONE]\n\n")


def test_a_beam_search_is_a_completion_too(client, mini_service):
    text = complete(client, max_tokens=8, extra_body={"num_beams": 3}).choices[0].text
    assert "긍정" + text == mini_service("긍정", num_beams=3, max_new_tokens=8, min_length=1)["result"]


def test_echo_puts_the_prompt_first(client):
    with_prompt = complete(client, echo=True).choices[0].text
    assert with_prompt == "긍정" + complete(client).choices[0].text
    chunks = complete(client, echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == with_prompt


def test_what_is_not_known_is_passed_over_and_null_is_as_if_it_were_not_there(client):
    expected = complete(client).choices
    assert complete(client, user="나", extra_body={"foo": [1], "ignore": None}).choices == expected
    assert complete(client, logprobs=None, stop=None, presence_penalty=0, logit_bias={}, best_of=1,
                    extra_body={"top_k": -1, "min_p": 0, "repetition_penalty": 1.0}).choices == expected
    knobs = {"min_tokens": 16, "top_k": 5, "no_repeat_ngram_size": 2}
    assert complete(client, extra_body=knobs).choices != expected


@pytest.mark.parametrize(("more", "param", "message"), [
    ({"temperature": -1}, "temperature", "temperature: 0 이상 1e+08 이하여야 하는데 -1입니다."),
    ({"max_tokens": 256}, "max_tokens", "max_tokens: 1 이상 255 이하여야 하는데 256입니다."),
    ({"n": 33}, "n", "n: 1 이상 32 이하여야 하는데 33입니다."), ({"logprobs": True}, "logprobs", "정수여야"),
    ({"prompt": ["가"] * 20, "n": 2}, "n", "32개를 넘습니다"), ({"prompt": ""}, "prompt", "한 글자 이상"),
    ({"prompt": []}, "prompt", "토큰 번호의 목록"), ({"prompt": [9000]}, "prompt", "7999 이하인"),
    ({"prompt": [[1], []]}, "prompt", "목록"), ({"prompt": ["가", 3]}, "prompt", "목록"),
    ({"stop": ["a"] * 5}, "stop", "넷까지"), ({"stop": [""]}, "stop", "넷까지"), ({"stop": 3}, "stop", "넷까지"),
    ({"frequency_penalty": 0.5}, "frequency_penalty", "없는 기능"), ({"best_of": 3}, "best_of", "없는 기능"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "stream이 true일 때만"),
    ({"echo": True, "logprobs": 1}, "echo", "logprobs와 함께"), ({"stream": "네"}, "stream", "true나 false"),
    ({"extra_body": {"num_beams": 3}, "stream": True}, "stream", "stream: 빔 서치(num_beams=3)"),
    ({"extra_body": {"num_beams": 3}, "logprobs": 1}, "logprobs", "logprobs: 빔 서치(num_beams=3)"),
    ({"extra_body": {"min_tokens": 9}, "max_tokens": 5}, "min_tokens", "min_tokens: max_tokens(5) 이하여야"),
    ({"prompt": "가나다라 " * 200}, None, "자리가 없습니다")])
def test_bad_input_is_an_error_in_openais_form(client, more, param, message):
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, **more)
    error = caught.value
    assert message in error.body["message"]
    assert "\n" not in error.body["message"]
    assert error.body == {
        "message": error.body["message"], "param": param, "type": "invalid_request_error", "code": 400}


def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="이 서버의 모델은 kogpt-mini입니다"):
        complete(client, model="gpt-4")


def test_other_failures_have_the_form_too():
    service = echo_service(places=0)
    client = get_web_service_app(service).test_client()
    full = client.post("/v1/completions", json={"prompt": "가"})
    assert (full.status_code, full.get_json()["error"]["type"]) == (429, "rate_limit_error")
    assert full.headers["Retry-After"]
    assert client.get("/v1/embeddings").get_json()["error"]["code"] == 404
    assert client.get("/v1/completions").get_json()["error"]["code"] == 405
    assert client.post("/v1/completions", data="{", content_type="application/json").get_json()["error"]["code"] == 400
    assert client.post("/v1/completions", data="가").get_json()["error"]["code"] == 415
    late = get_web_service_app(echo_service(seconds=0.02, seconds_each=0.2)).test_client()
    stream = late.post("/v1/completions", json={"prompt": "가", "max_tokens": 500, "stream": True})
    assert '{"error": {"message": "0.2초 안에 끝나지 않아' in stream.get_data(as_text=True)
