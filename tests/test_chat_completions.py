"""Conversations in OpenAI's form, as its own client speaks to it."""

import copy
import time
from types import SimpleNamespace

import openai
import pytest
import torch
from echo import EchoEngine, EchoTokenizer, echo_service
from helpers import listening, tiny_config
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ratsnlp.nlpbook.generation import GenerationService, Predictor, get_web_service_app
from ratsnlp.nlpbook.generation.chat import chat_ids, end_of_answer, use_instruction_template
from ratsnlp.nlpbook.generation.prompts import continuation
from ratsnlp.nlpbook.serving.access import Access, guarded

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
ASKED = [{"role": "user", "content": "이 영화 어때요?"}]
POSITIONS = 160


class TalkingTokenizer(EchoTokenizer):
    """Its chat template writes what was said, and not by whom."""

    chat_template = "of its own"

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return super().encode(text)

    def apply_chat_template(self, messages: list[dict], **_) -> str:
        return "".join(message["content"] for message in messages)


class TalkingEngine(EchoEngine):
    def __init__(self, seconds: float = 0.0):
        super().__init__(seconds)
        self.tokenizer, self.no_chat = TalkingTokenizer(), None


def talking_service(seconds: float = 0.0, **more) -> GenerationService:
    return GenerationService(engine=TalkingEngine(seconds), **more)


@pytest.fixture(scope="module")
def instruction(tokenizer):
    """The tokenizer of the small models with our template."""
    tokenizer = copy.deepcopy(tokenizer)
    use_instruction_template(tokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def chatml(documents):
    """A byte-level tokenizer, as Qwen has: an answer ends by another token than a text, and a token may hold a part of
    a character."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.train_from_iterator(documents[:1000], trainers.BpeTrainer(
        vocab_size=1200, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<s>", "</s>", "<unk>", "<pad>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


def model_that_ends(tokenizer, boost: float = 4.5):
    """A small random GPT-2 whose answers end at about every tenth token, where ``boost`` is not another one's."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = tiny_config("gpt2", tokenizer)
    config.n_positions = POSITIONS
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        model.transformer.ln_f.bias[0] = boost  # to be added to the logit of the one token that looks at it
        model.lm_head.weight[:, 0] = 0
        model.lm_head.weight[end_of_answer(tokenizer), 0] = 1
    return model


@pytest.fixture(scope="module", params=["instruction", "chatml"])
def service(request):
    tokenizer = request.getfixturevalue(request.param)
    service = GenerationService(model_that_ends(tokenizer), tokenizer)
    yield service
    end = time.monotonic() + 10
    while service.engine.running:  # what the last client has left is dropped at the next token
        assert time.monotonic() < end
        time.sleep(0.01)
    service.close()


@pytest.fixture(scope="module")
def client(service):
    yield from client_of(service)


@pytest.fixture(scope="module")
def talking():
    yield from client_of(talking_service())


def client_of(service):
    with listening(get_web_service_app(service)) as port, openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(client, **more):
    (model,) = client.models.list().data
    return client.chat.completions.create(**{"model": model.id, "messages": ASKED, "seed": 3, **more})


def test_an_answer_is_what_generate_gives(client, service):
    """Greedily, and behind the fewest tokens up to the end, though the model alone knows of another end."""
    answer = ask(client, temperature=0, max_completion_tokens=30, extra_body={
        "min_tokens": 12, "repetition_penalty": 3.0})
    (choice,) = answer.choices
    assert (answer.object, answer.id[:9], answer.model) == ("chat.completion", "chatcmpl-", "gpt2")
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert choice.message.to_dict() == {"role": "assistant", "content": choice.message.content, "refusal": None}
    tokenizer, ids = service.tokenizer, chat_ids(service.tokenizer, ASKED)
    end = end_of_answer(tokenizer)
    assert dict(answer.usage) | {"completion_tokens": 13, "prompt_tokens": len(ids)} == dict(answer.usage)
    model = model_that_ends(tokenizer)
    knobs = {"do_sample": False, "min_new_tokens": 12, "max_new_tokens": 30, "repetition_penalty": 3.0}
    (written,) = model.generate(torch.tensor([ids]), pad_token_id=3, eos_token_id=[1, end], **knobs)
    assert written[-1] == end
    text = continuation(tokenizer, written, len(ids))
    assert text.strip()
    assert len(set(written[len(ids):].tolist())) > 5
    assert choice.message.content == text.lstrip()
    assert choice.message.content.strip() == Predictor(model, tokenizer).predict_chat(ASKED, **knobs)


def test_the_callers_model_keeps_its_own_end(service):
    model = model_that_ends(service.tokenizer).train()
    with_end = GenerationService(model, service.tokenizer)
    assert with_end.engine.eos == list(dict.fromkeys([1, end_of_answer(service.tokenizer)]))
    assert model.generation_config.eos_token_id == 1
    assert with_end.engine.model.transformer is model.transformer
    assert not model.transformer.training
    with_end.close()
    assert all(module.training for module in model.modules())


def test_a_stream_is_the_same_answer(client):
    texts = set()
    for seed in range(5):
        answer = ask(client, seed=seed)
        texts.add(answer.choices[0].message.content)
        *chunks, usage = ask(client, seed=seed, stream=True, stream_options={"include_usage": True})
        first, *parts, last = [chunk.choices[0] for chunk in chunks]
        assert first.delta.to_dict() == {"role": "assistant", "content": ""}
        assert {tuple(part.delta.to_dict()) for part in parts} <= {("content",)}
        assert "".join(part.delta.content for part in parts) == answer.choices[0].message.content
        assert (last.delta.to_dict(), last.finish_reason) == ({}, answer.choices[0].finish_reason)
        assert {part.finish_reason for part in [first, *parts]} == {None}
        assert {(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in [*chunks, usage]} == {
            (usage.id, usage.created, "gpt2", "chat.completion.chunk")}
        assert (usage.choices, usage.usage, chunks[0].usage) == ([], answer.usage, None)
    assert len(texts) >= 4
    assert {text.lstrip() for text in texts} == texts


def test_the_same_seed_is_the_same_answer_and_each_of_n_has_its_own(client):
    answer = ask(client, n=4, extra_body={"min_tokens": 5})
    texts = [choice.message.content for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len(set(texts)) == 4
    assert [ask(client, seed=3 + copy, extra_body={"min_tokens": 5}).choices[0].message.content
            for copy in range(4)] == texts
    assert answer.usage.prompt_tokens == ask(client).usage.prompt_tokens  # it is read once
    told = {index: "" for index in range(4)}
    for chunk in ask(client, n=4, stream=True, extra_body={"min_tokens": 5}):
        told[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert list(told.values()) == texts


def test_answers_end_by_themselves_or_at_their_length(client, service):
    reasons = {ask(client, seed=seed).choices[0].finish_reason for seed in range(8)}
    assert "stop" in reasons
    room = POSITIONS - len(chat_ids(service.tokenizer, ASKED))
    whole = ask(client, extra_body={"min_tokens": room})  # of all the room that there is
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", room)
    for name in ("max_tokens", "max_completion_tokens"):
        answer = ask(client, **{name: 4}, extra_body={"min_tokens": 4})
        assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 4)


def test_logprobs_are_the_raw_models_and_their_bytes_the_answer(client, service):
    tokenizer, model = service.tokenizer, service.engine.model
    for seed in range(8):
        choice = ask(client, seed=seed, logprobs=True, top_logprobs=3, temperature=0.9, max_tokens=20).choices[0]
        told = choice.logprobs.content
        data = bytes(sum((each.bytes or [] for each in told), []))
        assert data.decode(errors="ignore") == choice.message.content
        with torch.inference_mode():
            logprobs = model(torch.tensor([chat_ids(tokenizer, ASKED)])).logits[0, -1].log_softmax(-1)
        assert [each.logprob for each in told[0].top_logprobs] == pytest.approx(
            logprobs.topk(3).values.tolist(), abs=1e-4)
        assert told[0].top_logprobs[0].bytes is None  # the end, which is no text
        if choice.finish_reason == "stop":
            assert (told[-1].token, told[-1].bytes) == ("", [])
        chunks = ask(client, seed=seed, logprobs=True, top_logprobs=3, temperature=0.9, max_tokens=20, stream=True)
        assert sum((chunk.choices[0].logprobs.content for chunk in chunks if chunk.choices[0].logprobs), []) == told
    assert ask(client, logprobs=True, max_tokens=1).choices[0].logprobs.content[0].top_logprobs == []


def test_what_may_stand_in_a_message(client):
    said = [{"role": "system", "content": "짧게 답하세요."}, ASKED[0], {"role": "assistant", "content": "좋아요."},
            {"role": "user", "content": "왜요?\n자세히요"}]
    expected = ask(client, messages=said).choices
    parts = [{"type": "text", "text": "왜요?"}, {"type": "text", "text": "자세히요"}]
    other = [said[0] | {"role": "developer"}, said[1], said[2] | {"refusal": None, "tool_calls": None},
             {"role": "user", "content": parts, "name": "나"}]
    assert ask(client, messages=other).choices == expected
    assert ask(client).choices != expected


def test_null_and_what_changes_nothing_are_as_if_they_were_not_there(client):
    expected = ask(client).choices
    off = {"tools": [], "tool_choice": "none", "functions": [], "function_call": "none", "audio": None, "stop": None,
           "response_format": {"type": "text"}, "modalities": ["text"], "presence_penalty": 0, "frequency_penalty": 0.0,
           "logit_bias": {}, "n": 1, "top_p": 1, "logprobs": False, "top_logprobs": 0, "user": "나", "foo": [1],
           "top_k": -1, "min_p": 0, "repetition_penalty": 1.0}
    assert ask(client, extra_body=off).choices == expected
    assert ask(client, extra_body=dict.fromkeys(off)).choices == expected
    assert ask(client, extra_body={"top_k": 2, "no_repeat_ngram_size": 2}).choices != expected


@pytest.mark.parametrize(("more", "param", "message"), [
    ({"messages": []}, "messages", "메시지의 목록"), ({"messages": None}, "messages", "메시지의 목록"),
    ({"messages": ["안녕"]}, "messages", "1번째 메시지: role은 system, user, assistant"),
    ({"messages": [*ASKED, {"role": "tool", "content": "가"}]}, "messages", "2번째 메시지: role은"),
    ({"messages": [{"role": "user", "content": None}]}, "messages", "1번째 메시지: content는 한 글자 이상"),
    ({"messages": [{"role": "user", "content": []}]}, "messages", "1번째 메시지: content는 한 글자 이상"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]}, "messages",
     "'image_url'"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages", "1번째 메시지의 content"),
    ({"messages": [{"role": "user", "content": ["text"]}]}, "messages", "1번째 메시지의 content는"),
    ({"messages": [{"role": "system", "content": "가"}]}, "messages", "user의 메시지로 시작"),
    ({"messages": [*ASKED, {"role": "assistant", "content": "좋"}], "extra_body": {"continue_final_message": True}},
     "messages", "마지막 메시지는 user의 것이어야"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "없는 기능"),
    ({"tool_choice": "auto"}, "tool_choice", "없는 기능"), ({"functions": [{"name": "f"}]}, "functions", "없는 기능"),
    ({"response_format": {"type": "json_object"}}, "response_format", "없는 기능"),
    ({"modalities": ["text", "audio"]}, "modalities", "없는 기능"), ({"audio": {"voice": "a"}}, "audio", "없는 기능"),
    ({"presence_penalty": 0.5}, "presence_penalty", "없는 기능"), ({"logit_bias": {"5": 1}}, "logit_bias", "없는 기능"),
    ({"frequency_penalty": -1}, "frequency_penalty", "없는 기능"), ({"n": 33}, "n", "n: 1 이상 32 이하여야"),
    ({"top_logprobs": 2}, "top_logprobs", "logprobs가 true일 때만"), ({"logprobs": 3}, "logprobs", "true나 false"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "0 이상 20 이하여야 하는데 21"),
    ({"temperature": -1}, "temperature", "0 이상"), ({"stop": ["a"] * 5}, "stop", "넷까지"),
    ({"max_tokens": 1024}, "max_tokens", "max_tokens: 1 이상 1023 이하여야"),
    ({"max_tokens": 5, "extra_body": {"min_tokens": 9}}, "min_tokens", "min_tokens: max_tokens(5) 이하여야"),
    ({"max_completion_tokens": 5, "extra_body": {"min_tokens": 9}}, "min_tokens", "max_completion_tokens(5) 이하여야"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "stream이 true일 때만")])
def test_bad_input_is_one_line_in_openais_form(talking, more, param, message):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(talking, **more)
    error = caught.value.body
    assert message in error["message"]
    assert "\n" not in error["message"]
    assert error == {"message": error["message"], "param": param, "type": "invalid_request_error", "code": 400}


def test_beams_answer_as_a_whole_and_show_no_steps(client):
    beams = {"num_beams": 2, "min_tokens": 5, "repetition_penalty": 1.3}
    answer = ask(client, max_tokens=6, extra_body=beams)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    for more in ({"logprobs": True}, {"stream": True}):
        with pytest.raises(openai.BadRequestError, match=f"{next(iter(more))}: 빔 서치"):
            ask(client, extra_body=beams, **more)


def test_a_special_token_is_no_text_of_a_user(client):
    with pytest.raises(openai.BadRequestError, match="messages: 1번째 메시지: '</s>' 토큰은"):
        ask(client, messages=[{"role": "user", "content": "안녕</s>"}])


def test_a_conversation_that_does_not_fit_is_told_with_numbers(talking):
    for more, message in (
            ({"messages": [{"role": "user", "content": "가" * 1024}]},
             "messages: 대화가 1024토큰이라 이 모델의 최대 길이(1024토큰)에 답변을 쓸 자리가 없습니다. 대화를 "
             "줄이세요."),
            ({"messages": [{"role": "user", "content": "가" * 1000}], "max_tokens": 25},
             "messages: 대화가 1000토큰이라 이 모델의 최대 길이(1024토큰)에 새 토큰 25개를 쓸 자리가 없습니다. 대화를 "
             "줄이거나 max_tokens 값을 줄이세요.")):
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as caught:
                ask(talking, stream=stream, **more)
            assert caught.value.body == {"message": message, "type": "invalid_request_error", "param": "messages",
                                         "code": "context_length_exceeded"}
    fits = ask(talking, messages=[{"role": "user", "content": "가" * 1000}])
    assert (fits.usage.completion_tokens, fits.choices[0].finish_reason) == (24, "length")
    assert ask(talking).usage.completion_tokens == 512


def test_an_answer_ends_before_a_stop_sequence_and_its_space_is_left_off(talking):
    def said(text, **more):
        return ask(talking, messages=[{"role": "user", "content": text}], max_tokens=30, **more)

    for text, stop, content, reason in (
            ("가나 다라", "다라", "가나 ", "stop"), ("가나다", ["다가", "바"], "가나", "stop"),
            ("\u200b가", "나", "\u200b가" * 15, "length"), ("가\0", None, "가", "stop")):
        whole = said(text, stop=stop).choices[0]
        assert (whole.message.content, whole.finish_reason) == (content, reason)
        chunks = [chunk.choices[0] for chunk in said(text, stop=stop, stream=True)]
        assert "".join(chunk.delta.content or "" for chunk in chunks) == content
        assert chunks[-1].finish_reason == reason


def test_another_model_is_not_found(talking):
    with pytest.raises(openai.NotFoundError, match="이 서버의 모델은 echo입니다"):
        ask(talking, model="gpt-4")


def test_a_model_without_a_template_says_so_and_continues_texts():
    for client in client_of(echo_service()):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client)
        error = caught.value.body
        assert (error["param"], error["code"]) == ("model", 400)
        for word in ("chat_template", "/v1/completions", "train.py의 --prompt_column"):
            assert word in error["message"]
        assert "\n" not in error["message"]
        assert client.completions.create(model="echo", prompt="가나", max_tokens=3).choices[0].text == "가나가"


def test_a_template_that_ends_no_answer_leaves_a_server_of_texts(instruction):
    tokenizer, model = copy.deepcopy(instruction), model_that_ends(instruction)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] + '\\n' }}{% endfor %}"
    service = GenerationService(model, tokenizer)
    client = get_web_service_app(service).test_client()
    answer = client.post("/v1/chat/completions", json={"messages": ASKED})
    assert (answer.status_code, answer.get_json()["error"]["message"][:8]) == (400, "대화 템플릿: ")
    assert client.post("/v1/completions", json={"prompt": "긍정"}).status_code == 200
    service.close()


def test_queue_token_and_metrics_are_those_of_all_requests():
    full = get_web_service_app(talking_service(places=0)).test_client().post(
        "/v1/chat/completions", json={"messages": ASKED})
    assert (full.status_code, full.get_json()["error"]["type"]) == (429, "rate_limit_error")
    service = talking_service()
    args = SimpleNamespace(host="127.0.0.1", token="abc", cors_origins=(), allowed_hosts=())
    front = guarded(get_web_service_app(service), Access(args, "127.0.0.1"), lambda: False)
    with listening(front) as port, openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="abc", max_retries=0) as client:
        assert ask(client, max_tokens=5).usage.completion_tokens == 5
        with pytest.raises(openai.AuthenticationError, match="토큰이 맞지 않습니다"):
            ask(client.with_options(api_key="x"))
    text = service.metrics.text().decode()
    assert "nlpbook:generation_tokens_total 5.0" in text
    assert 'nlpbook:request_success_total{finished_reason="length"} 1.0' in text


def test_a_client_that_leaves_frees_its_place():
    service = talking_service(seconds=0.02)
    for client in client_of(service):
        stream = ask(client, stream=True, n=30)
        next(stream)
        stream.close()
        end = time.monotonic() + 3
        while service.engine.running or service.worker.waiting:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert 'nlpbook:request_failure_total{reason="left"} 30.0' in service.metrics.text().decode()


def test_ctranslate2_answers_too(chatml, tmp_path):
    pytest.importorskip("ctranslate2", reason="ctranslate2가 없습니다: pip install -r requirements-ctranslate2.txt")
    args = SimpleNamespace(engine="ctranslate2", downstream_model_dir=str(tmp_path))
    service = GenerationService(model_that_ends(chatml), chatml, args)
    client = get_web_service_app(service).test_client()
    ended = [client.post("/v1/chat/completions", json={"messages": ASKED}).get_json()["choices"][0]["finish_reason"]
             for _ in range(6)]
    assert "stop" in ended  # at <|im_end|>, which is not the eos that CTranslate2 knows
    answers = [client.post("/v1/chat/completions", json={"messages": ASKED, "min_tokens": 30}).get_json()
               for _ in range(6)]
    assert min(answer["usage"]["completion_tokens"] for answer in answers) >= 30  # at neither of the two ends
    for more in ({"seed": 3}, {"logprobs": True}):
        answer = client.post("/v1/chat/completions", json={"messages": ASKED, **more})
        assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, next(iter(more)))
    service.close()
