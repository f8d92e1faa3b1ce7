"""The service with CTranslate2: int8, batches of prompts of any lengths, no steps and no seed."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import DecodingOptions, GenerationDeployArguments, GenerationService, load_finetuned
from ratsnlp.nlpbook.serving.app import get_web_service_app

pytest.importorskip("ctranslate2", reason="ctranslate2가 없습니다: pip install -r requirements-ctranslate2.txt")

PROMPTS = ["긍정", "부정 이 영화는 정말", "긍정 배우들의 연기가 좋고", "가", "이 영화는", "부정 ㅋㅋ"]


@pytest.fixture(scope="module")
def service(finetuned_folder):
    args = GenerationDeployArguments(downstream_model_dir=str(finetuned_folder), engine="ctranslate2")
    service = GenerationService(*load_finetuned(finetuned_folder), args)
    yield service
    service.close()


def at_once(service, bodies):
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: service(**body), bodies))


@pytest.mark.parametrize("lengths", [
    {"max_new_tokens": 9}, {"max_length": 24, "min_length": 1}, {"max_length": 24, "min_length": 20},
    {"min_new_tokens": 7, "max_new_tokens": 9}])
def test_prompts_of_different_lengths_are_one_batch_and_each_text_is_its_own(service, lengths):
    answers = at_once(service, [{"prompt": prompt, "temperature": 0, **lengths} for prompt in PROMPTS])
    engine = service.engine.engine
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = service.tokenizer.encode(prompt)
        most = lengths.get("max_new_tokens") or lengths["max_length"] - len(ids)
        least = lengths.get("min_new_tokens", max(lengths.get("min_length", 10) - len(ids), 0))
        (alone,) = engine.generate([ids], DecodingOptions(max_new_tokens=most, min_new_tokens=min(least, most) or None))
        assert answer["tokens"] == len(alone)
        assert answer["finish_reason"] == ("stop" if alone[-1] == service.tokenizer.eos_token_id else "length")
        alone = alone[:-1] if answer["finish_reason"] == "stop" else alone
        assert answer["result"] == prompt + service.text(_Written(ids, alone))
        assert "seed" not in answer


class _Written:
    parts = None

    def __init__(self, prompt, new):
        self.ids, self.prompt_length = prompt + new, len(prompt)


def test_texts_are_drawn_and_streamed(service):
    client = get_web_service_app(service).test_client()
    texts = {client.post("/api", json={"prompt": "긍정"}).get_json()["result"] for _ in range(8)}
    assert len(texts) > 4
    lines = client.post("/api/stream", json={"prompt": "긍정", "temperature": 0}).get_data(as_text=True).split("\n")
    told = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert "긍정" + "".join(part["text"] for part in told[:-1]) == told[-1]["result"]
    assert told[-1]["result"] == client.post("/api", json={"prompt": "긍정", "temperature": 0}).get_json()["result"]
    assert client.get("/api/settings").get_json()["engine"] == "ctranslate2"


@pytest.mark.parametrize(("more", "message"), [
    ({"seed": 7}, "^seed: ctranslate2 엔진은 시드를 정할 수 없습니다"),
    ({"steps": 3}, "^steps: CTranslate2에는 없습니다"), ({"prefix": [300]}, "^prefix: CTranslate2에는 없습니다"),
    ({"min_p": 0.1}, "^min_p: CTranslate2에 없는 방법입니다"),
    ({"repetition_penalty": 1.2}, "^repetition_penalty: "), ({"num_beams": 2}, "^num_beams: ")])
def test_what_it_has_not_is_refused_in_a_line(service, more, message):
    with pytest.raises(UserError, match=message):
        service("긍정", **more)


def test_nor_has_the_api_in_openais_form(service):
    client = get_web_service_app(service).test_client()
    answer = client.post("/v1/completions", json={"prompt": "긍정", "seed": 7})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "seed")
    answer = client.post("/v1/completions", json={"prompt": "긍정", "max_tokens": 4})
    assert answer.get_json()["usage"]["completion_tokens"] <= 4
