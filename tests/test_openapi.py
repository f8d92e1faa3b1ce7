"""The API and its description, held against each other: schemathesis sends what the document allows, and what it does
not, and checks status, headers and body of every answer."""

import json
import re
from collections import Counter
from dataclasses import fields, replace

import jsonschema_rs
import pytest
import schemathesis
from echo import POSITIONS, VOCABULARY, echo_service
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from test_chat_completions import talking_service

from ratsnlp.nlpbook.generation import DecodingOptions, load_pretrained
from ratsnlp.nlpbook.generation.chat import use_instruction_template
from ratsnlp.nlpbook.serving.app import get_web_service_app
from ratsnlp.nlpbook.serving.chat_completions import chat_fields
from ratsnlp.nlpbook.serving.completions import completion_fields
from ratsnlp.nlpbook.serving.openapi import description
from ratsnlp.nlpbook.serving.requests import NUMERIC, request_fields
from ratsnlp.nlpbook.serving.service import GenerationService

# JSON Schema cannot say that min_length is at most max_length, that the prompt leaves room, that the last message is a
# user's, or that a number in a string is in its bounds: such a request keeps to the document and is a 400 all the same.
CHECKS = {"positive_data_acceptance": {"expected-statuses": ["2xx", "400"]}}
BEYOND_JSON_SCHEMA = (
    r"min_\w+: max_\w+\(N\) 이하|.*max_\w+\(N\)에 이어 쓸 자리|.*최대 길이\(N토큰\)|prefix: 쓸 수 있는 새 토큰|"
    "n: 프롬프트 N개")

service = talking_service()
app = get_web_service_app(service)

POSTS = dict.fromkeys(("/api", "/api/stream", "/v1/completions"), {"prompt": "영화"}) | {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "영화"}]}}


def described(app, checks=CHECKS):
    """``app`` with its description, as schemathesis has it; it makes all of its checks."""
    config = schemathesis.Config.from_dict({"checks": checks})
    return schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)


api = described(app)


def repeated(examples: int, **more):
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None,
                    suppress_health_check=list(HealthCheck), **more)


def send_all(operation, mode: GenerationMode, examples: int, send) -> None:
    """Hand ``send`` so many cases that keep to the document, or that do not."""

    @repeated(examples, phases=[Phase.generate])
    @given(operation.as_strategy(generation_mode=mode))
    def sending(case):
        send(case)

    sending()


@pytest.fixture
def document():
    """As a client reads it."""
    return json.loads(json.dumps(description(service)))


@api.parametrize()
@repeated(80)
def test_the_app_keeps_to_the_document(case):
    case.call_and_validate()


def test_a_real_model_keeps_to_it_too(tiny_folder):
    model, tokenizer = load_pretrained(str(tiny_folder))
    use_instruction_template(tokenizer)
    real = GenerationService(model, tokenizer)
    for name in ("num_beams", "top_k"):  # of which many take a second, beams and candidates of contrastive search
        field = real.fields[name]
        real.fields[name] = replace(field, metadata=field.metadata | {"maximum": 8})
    real_app, seen = get_web_service_app(real), Counter()
    of_it = described(real_app)
    for path in POSTS:
        for mode in GenerationMode:
            send_all(of_it[path]["POST"], mode, 12,
                     lambda case, mode=mode: seen.update([(mode.value, case.call_and_validate().status_code)]))
    answers = {json.dumps(body): real_app.test_client().post("/api", json={"prompt": "영화"} | body)
               for body, _ in EXAMPLES}
    real.close()
    assert seen["positive", 200] >= 8, seen
    assert seen["negative", 200] == 0
    assert {body: answer.status_code == 200 for body, answer in answers.items()} == {
        json.dumps(body): allowed for body, allowed in EXAMPLES}


EXAMPLES = [
    ({}, True), ({"prompt": ""}, False), ({"prompt": " \n\x1f\x85"}, False), ({"prompt": 5}, False),
    ({"nope": 1}, False), ({"temperature": 0}, True), ({"temperature": 0.005}, False),
    ({"temperature": " 1e-1 "}, True), ({"temperature": "warm"}, False), ({"temperature": None}, False),
    ({"top_p": 0}, False), ({"top_p": 1e-9}, True),
    ({"top_k": True}, False), ({"top_k": 5.0}, True), ({"top_k": 5.5}, False), ({"top_k": ""}, True),
    ({"do_sample": "false"}, True), ({"do_sample": 0}, False), ({"do_sample": False, "top_k": 5}, False),
    ({"do_sample": False, "top_k": ""}, True), ({"do_sample": False, "top_k": 5, "penalty_alpha": 0.6}, True),
    ({"penalty_alpha": 0.6, "top_k": 65}, False), ({"penalty_alpha": 0.6, "top_k": 0}, False),
    ({"penalty_alpha": 0.6, "top_p": 0.9}, False), ({"penalty_alpha": 0.6, "num_beams": 2}, False),
    ({"penalty_alpha": 0.6, "do_sample": True}, False), ({"penalty_alpha": 0, "do_sample": True}, True),
    ({"length_penalty": 1}, False), ({"length_penalty": 1, "num_beams": 2}, True), ({"prefix": [5]}, True),
    ({"prefix": [5, -1]}, False), ({"prefix": [5.0]}, True), ({"prefix": [5], "num_beams": 2}, False),
    ({"steps": 0, "num_beams": 2}, True), ({"steps": 1, "penalty_alpha": 0.1}, False)]


def test_a_server_that_is_busy_or_ending_keeps_to_it():
    may_be_503 = {"not_a_server_error": {"expected-statuses": ["2xx", "429", "503"]}}
    ending = talking_service()
    ending.close()
    for other, status in ((talking_service(places=0), 429), (ending, 503)):
        document = described(get_web_service_app(other), may_be_503)
        for path, body in POSTS.items():
            answer = document[path]["POST"].Case(body=body).call_and_validate()
            assert answer.status_code == status
            assert ("retry-after" in answer.headers) == (status == 429)
        assert document["/ready"]["GET"].Case().call_and_validate().status_code == 503
        assert document["/health"]["GET"].Case().call_and_validate().status_code == 200


@pytest.mark.parametrize(("body", "allowed"), EXAMPLES)
def test_the_document_allows_what_the_server_takes(body, allowed, document):
    schema = {"$ref": "#/components/schemas/Request", "components": document["components"]}
    assert jsonschema_rs.is_valid(schema, {"prompt": "영화"} | body) == allowed


def test_without_a_chat_template_a_conversation_is_a_400():
    without = described(get_web_service_app(echo_service()))["/v1/chat/completions"]["POST"]
    assert without.Case(body=POSTS["/v1/chat/completions"]).call_and_validate().status_code == 400


@pytest.mark.parametrize("path", POSTS)
def test_what_the_document_allows_is_nearly_always_taken(path, document):
    """Of requests whose numbers are numbers, and messages a user's. What is refused is what JSON Schema cannot say."""
    schemas = document["components"]["schemas"]
    schemas["ChatRequest"]["properties"]["messages"]["items"]["properties"]["role"] = {"const": "user"}
    for name in ("Request", "CompletionRequest", "ChatRequest"):
        for schema in schemas[name]["properties"].values():
            if "anyOf" in schema:
                schema["anyOf"] = [kind for kind in schema["anyOf"] if NUMERIC not in kind.get("pattern", "")]
    numbers, answers = schemathesis.openapi.from_dict(document), []
    numbers.app = app
    send_all(numbers[path]["POST"], GenerationMode.POSITIVE, 100, lambda case: answers.append(case.call()))
    errors = [answer.json()["error"] for answer in answers if answer.status_code != 200]
    refused = Counter(re.sub(r"\d+", "N", error if isinstance(error, str) else error["message"]) for error in errors)
    assert all(re.match(BEYOND_JSON_SCHEMA, message) for message in refused), refused
    assert len(errors) < len(answers) / 3, refused


def test_it_is_a_document_of_openapi_3_1(document):
    api.validate()
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references == set(document["components"]["schemas"])
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(re.search("[가-힣]", operation["summary"]) for operation in operations)


def test_it_has_each_route_and_no_other(document):
    found = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert found == {(rule.rule, method) for rule in app.url_map.iter_rules() if rule.endpoint != "page_file"
                         for method in rule.methods - {"HEAD", "OPTIONS"}}


def test_it_has_each_knob_with_its_bounds(document):
    properties = document["components"]["schemas"]["Request"]["properties"]
    assert properties.keys() == {"prompt", "seed", "steps", "prefix"} | {each.name for each in fields(DecodingOptions)}
    for name, field in request_fields(POSITIONS, VOCABULARY).items():
        schema = properties[name]
        assert (schema["title"], schema["description"]) == (field.korean, field.help)
        assert schema.get("default") == (field.default or None if field.type is tuple else field.default)
        kinds = {kind.get("type"): kind for kind in schema["anyOf"]}
        bounds = kinds.get("number") or kinds.get("integer") or kinds.get("array", {}).get("items") or {}
        assert bounds.get("maximum") == field.metadata.get("maximum")
        assert bounds.get("exclusiveMinimum") == field.metadata.get("above")
        assert bounds.get("minimum") == (0.01 if name == "temperature" else field.metadata.get("minimum"))
    for name, known in (("CompletionRequest", completion_fields), ("ChatRequest", chat_fields)):
        in_openai_form = document["components"]["schemas"][name]["properties"]
        assert known(service).keys() < in_openai_form.keys()
        assert in_openai_form["max_tokens"].get("default") == (16 if name == "CompletionRequest" else None)


@pytest.mark.parametrize("path", [*POSTS, "/", "/health", "/none"])
@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "PATCH", "QUERY", "OPTIONS", "HEAD", "GET"])
def test_other_methods_are_told_which_there_are(path, method):
    answer = app.test_client().open(path, method=method)
    expected = 404 if path == "/none" else 200 if method == "OPTIONS" or path in ("/", "/health") and method in (
        "GET", "HEAD") else 405
    assert answer.status_code == expected
    if expected == 405:
        assert set(answer.headers["Allow"].split(", ")) > {"OPTIONS"}
    if expected >= 400 and method != "HEAD":
        assert re.search("[가-힣]", str(answer.get_json()["error"]))


def test_more_in_the_address_is_passed_over():
    client = app.test_client()
    assert client.post("/api?prompt=x&top_k=-1", json={"prompt": "영화"}).status_code == 200
    assert client.get("/health?%00=%ff&a[]=1").status_code == 200
