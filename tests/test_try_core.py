"""docs/try/: kogpt-mini in the browser. Its tokenizer, its forward pass and its engine do what Python's do."""

import json
import random
import unicodedata
from collections import Counter
from functools import partial

import pytest
import torch
from helpers import MINI, REPOSITORY, StaticFiles, chromium, http_server

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation.pieces import Pieces
from ratsnlp.nlpbook.generation.prompts import continuation, readable

PROMPTS = [
    "긍정", "부정", "긍정 이 영화는", "부정 이 영화는", "안녕하세요 저는", "재미있는 배우들의 연기가 정말", "스토리가",
    "감동", "정말 오랜만에 본", "음악이 좋", "ㅋㅋㅋ", "왜", "별점 10점", "주인공의 마지막 대사", "가족과 함께 보기에",
    "1편보다", "결말이 아쉽지만", "액션은", "아이들이 좋아하는", "여운이"]
HOSTILE = [
    "", " ", "   ", "\n", "a\nb\r\n\tc", "  앞뒤  공백  ", "😀 영화 👨‍👩‍👧", "ㅋㅋㅋ ㅠㅠ ㄱㅏ", "ᄏᄏ", "ᄀ",
    "e\u0301", unicodedata.normalize("NFD", "재미있는 영화"), "</s>", "재미 </s> 없다", "a</s>b", "</s></s> x",
    "<</s>>", "</s", "</S>", "<s><unk><pad><mask><usr><sys>", "<0x41> <0xEC>", "▁▁가▁", "< << <a>", "\x00\x01",
    "\ufeff가", "\ufffd", "𠮷野家", "a" * 300, "ㅋ" * 500, "\u3000가\u00a0나", "ﬀ①", "불쾌 똠방각하 펲시콜라 뷁",
    "नमस्ते", "\u200d\u200b"]
ALPHABET = [*"가나다 영화<>/s▁ㅋ\n😀ÿ각ab .!0x41", "</s>", "<unk>", "\u0301", "ᄏ", "<0x41>",
            unicodedata.normalize("NFD", "밝")]


WEIGHTS = (REPOSITORY / "task3-gen" / "kogpt-mini" / "model.safetensors").read_bytes()


class Handler(StaticFiles):
    answers = None  # instead of the weights: a status, what Content-Length says, and the bytes

    def do_GET(self):
        if not (self.answers and self.path.endswith(".safetensors")):
            return super().do_GET()
        status, length, data = self.answers
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def end_headers(self):
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """``run(body, *arguments)``: what the body of an asynchronous function returns that has the modules ``Tokenizer``,
    ``Pieces``, ``Gpt2``, ``readSafetensors``, ``connect``, ``load(name)`` of the model's files, and ``given``, the
    arguments. ``kept`` is an object that stays."""
    with chromium(tmp_path_factory.mktemp("profile")) as driver, http_server(
            partial(Handler, directory=REPOSITORY)) as server:
        driver.get(f"http://127.0.0.1:{server.server_port}/docs/try/engine.js")

        def run(body, *arguments):
            told = driver.execute_async_script(
                "const given = JSON.parse(arguments[0]), done = arguments[1], kept = (window.kept ??= {});"
                "const load = (name) => fetch(`/task3-gen/kogpt-mini/${name}`);"
                "const act = async ([{Tokenizer, Pieces}, {Gpt2}, {readSafetensors}, {connect}]) => {" + body + "};"
                "const names = ['tokenizer', 'gpt2', 'safetensors', 'engine'];"
                "Promise.all(names.map((name) => import(`/docs/try/${name}.js`)))"
                ".then(act).then((found) => done(JSON.stringify(found ?? null)),"
                "(error) => done(JSON.stringify({error: error.stack ?? String(error)})));", json.dumps(arguments))
            found = json.loads(told)
            assert not isinstance(found, dict) or "error" not in found, found["error"]
            return found

        run("""kept.tokenizer = new Tokenizer(await (await load('tokenizer.json')).json());
            const weights = readSafetensors(await (await load('model.safetensors')).arrayBuffer());
            kept.model = new Gpt2(weights, await (await load('config.json')).json());
            kept.shares = [], kept.messages = 0;
            window.Worker = class extends Worker {
              constructor(...given) {
                super(...given);
                this.addEventListener("message", () => kept.messages++);
              }
            };
            kept.engine = await connect({onProgress: (share) => kept.shares.push(share)});""")
        yield run


@pytest.fixture(scope="module")
def model(mini_service):
    return mini_service.engine.model


@pytest.fixture(scope="module")
def tokenizer(mini_service):
    return mini_service.tokenizer


def test_every_review_and_hostile_text_has_the_tokenizers_ids(run, tokenizer):
    dice = random.Random(0)
    texts = [line for mode in ("train", "test")
             for line in (MINI / f"ratings_{mode}.txt").read_text(encoding="utf-8").split("\n")]
    assert len(texts) > 2900
    texts += HOSTILE
    texts += ["".join(dice.choices(ALPHABET, k=dice.randrange(1, 40))) for _ in range(1000)]
    told = run("return given[0].map((text) => kept.tokenizer.encode(text))", texts)
    expected = [tokenizer.encode(text) for text in texts]
    assert [text for text, here, there in zip(texts, told, expected, strict=True) if here != there] == []


def test_texts_of_token_ids_are_the_servers(run, tokenizer, mini_service):
    """Whole, piece by piece, and of one token. Not of special tokens within a character: nobody has a use for these."""
    dice = random.Random(1)
    many = [[dice.randrange(263, 8000) if dice.random() < 0.6 else dice.randrange(7, 263) for _ in range(20)]
            for _ in range(500)] + [tokenizer.encode(text) for text in HOSTILE if text]
    told = run("""const [many] = given;
        return [many.map((ids) => kept.tokenizer.decode(ids)),
                many.map((ids) => kept.tokenizer.continuation(ids, 2)),
                Array.from({length: 8000}, (_, id) => kept.tokenizer.text(id))];""", many)
    assert told[0] == [readable(tokenizer, ids) for ids in many]
    assert told[1] == [continuation(tokenizer, ids, 2) for ids in many]
    assert told[2] == [mini_service.shown(token) for token in range(8000)]


def test_pieces_are_the_servers(run, tokenizer):
    texts = [*PROMPTS, "😀 영화 👨‍👩‍👧 뷁똠", unicodedata.normalize("NFD", "재미있는"), "e\u0301a\u0301 ㅋㅋ"]
    many = [tokenizer.encode(f"긍정{text}") for text in texts]
    told = run("""return given[0].map((ids) => {
        const pieces = new Pieces(kept.tokenizer, ids.slice(0, 1));
        return [...ids.slice(1).map((id) => pieces.add(id)), pieces.end()].filter(Boolean);
      });""", many)
    for ids, found in zip(many, told, strict=True):
        pieces = Pieces(tokenizer, ids[:1])
        expected = [piece for token in ids[1:] for piece in pieces.add(token)] + list(pieces.end())
        assert [(each["text"], each["ids"]) for each in found] == expected


def test_logits_are_pytorchs(run, model, tokenizer):
    """Of all tokens, at several places, whether it reads many tokens at once or one by one."""
    found, expected = [], []
    with torch.inference_mode():
        for prompt in PROMPTS[:5]:
            row = torch.tensor([tokenizer.encode(prompt)])
            written = model.generate(row, attention_mask=torch.ones_like(row), do_sample=False, min_new_tokens=40,
                                     max_new_tokens=40)
            logits = model(written).logits[0].float()
            places = [row.shape[1] - 1, 20, written.shape[1] - 1]
            found.append([written[0].tolist(), places])
            expected.append(logits[places])
    told = run("""return given[0].map(([ids, places]) => {
        const {model} = kept, cache = model.newCache();
        return places.map((place, at) => {
          const unread = ids.slice(cache.ids.length, place + 1);
          const one = (id) => model.forward([id], cache);
          return Array.from(at === 1 ? unread.map(one).at(-1) : model.forward(unread, cache));
        });
      });""", found)
    most = (torch.tensor(told) - torch.stack(expected)).abs().max().item()
    print(f"logits: at most {most:.1e} apart")
    assert most < 1e-3


def test_greedy_texts_are_the_servers(run, mini_service):
    told = run("""const found = [];
        for (const prompt of given[0]) {
          const parts = [];
          const done = await kept.engine.write({prompt, do_sample: false, max_new_tokens: 40, steps: 2, seed: 1},
                                               {onPart: (part) => parts.push(part)});
          found.push({...done, parts});
        }
        return found;""", PROMPTS)
    for prompt, found in zip(PROMPTS, told, strict=True):
        expected = mini_service(prompt, do_sample=False, max_new_tokens=40, steps=2, seed=1)
        assert found.keys() - {"parts"} == expected.keys() - {"steps"}
        for name in ("result", "finish_reason", "tokens", "seed"):
            assert found[name] == expected[name]
        assert prompt + "".join(part["text"] for part in found["parts"]) == expected["result"]
        steps = [step for part in found["parts"] for step in part["steps"]]
        assert len(steps) == len(expected["steps"])
        for here, there in zip(steps, expected["steps"], strict=True):
            assert here.keys() == there.keys()
            assert (here["token"], here["text"]) == (there["token"], there["text"])
            assert here["candidates"][0] == pytest.approx(there["candidates"][0], abs=1e-3)


def test_many_draws_are_as_frequent_as_the_model_finds_them_likely(run, model, tokenizer):
    draws = 2000
    tokens = run("""const [draws] = given, found = [];
        for (let seed = 0; seed < draws; seed++) {
          await kept.engine.write({prompt: "긍정 이 영화는", max_new_tokens: 1, min_new_tokens: 1, seed, steps: 1},
                                  {onPart: (part) => found.push(part.steps[0].token)});
        }
        return found;""", draws)
    with torch.no_grad():
        scores = model(torch.tensor([tokenizer.encode("긍정 이 영화는")])).logits[0, -1].float()
    scores[tokenizer.eos_token_id] = -torch.inf
    kept = scores.topk(50)
    likely = dict(zip(kept.indices.tolist(), (draws * kept.values.double().softmax(-1)).tolist(), strict=True))
    counts = Counter(tokens)
    assert sum(counts.values()) == draws
    assert counts.keys() <= likely.keys()
    often = {token: share for token, share in likely.items() if share >= 10}
    rare = {None: sum(likely.values()) - sum(often.values())}
    counted = {**counts, None: sum(count for token, count in counts.items() if token not in often)}
    chi_square = sum((counted.get(token, 0) - share) ** 2 / share for token, share in (often | rare).items() if share)
    freedom = len(often)
    assert freedom > 20
    limit = freedom * (1 - 2 / 9 / freedom + 3.09 * (2 / 9 / freedom) ** 0.5) ** 3  # 0.999 quantile, Wilson-Hilferty
    print(f"chi-square {chi_square:.1f}, {freedom} degrees of freedom, limit {limit:.1f}")
    assert chi_square < limit


def test_a_seed_has_its_text_and_a_prefix_does_not_change_it(run):
    first, again, other, prefixed, step, steps = run("""
        const {engine} = kept;
        const request = {prompt: "안녕하세요 저는", seed: 7, max_new_tokens: 20, steps: 3, top_p: 0.9};
        const parts = [];
        const first = await engine.write(request, {onPart: (part) => parts.push(part)});
        const steps = parts.flatMap((part) => part.steps), ids = steps.map((each) => each.token).slice(0, 6);
        const many = [request, {...request, seed: 8}, {...request, prefix: ids}].map((each) => engine.write(each));
        const step = await engine.step(request.prompt, ids.slice(0, 3), {top_p: 0.9}, 7);
        return [first, ...await Promise.all(many), step, steps];""")
    assert first["result"] == again["result"] == prefixed["result"] != other["result"]
    assert all(step[name] == steps[3][name] for name in ("token", "number", "left"))


def test_logits_of_a_place_and_texts_of_tokens(run, model, tokenizer):
    prefix = tokenizer.encode("영화가")
    found, text = run("""const found = await kept.engine.logits(" 긍정 이 ", given[0]);
        return [{ids: found.ids, logits: Array.from(found.logits)}, await kept.engine.text(263)];""", prefix)
    ids = tokenizer.encode(" 긍정 이") + prefix
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0, -1].float()
    assert (found["ids"], text) == (ids, " 긍정")
    assert torch.allclose(torch.tensor(found["logits"]), expected, atol=1e-3)


@pytest.mark.parametrize("body", [
    {"prompt": " \n"}, {"prompt": "가" * 300}, {"prompt": "긍정 " * 60},
    {"prompt": "긍정 " * 100, "max_new_tokens": 200}, {"prompt": "가", "top_p": 0}, {"prompt": "가", "min_p": -1},
    {"prompt": "가", "top_k": 1.5}, {"prompt": "가", "temperature": 0.001}, {"prompt": "가", "min_length": 60},
    {"prompt": "가", "seed": -1},
    {"prompt": "가", "min_new_tokens": 9, "max_new_tokens": 5}, {"prompt": "가", "do_sample": False, "top_k": 5},
    {"prompt": "가", "max_new_tokens": 2, "prefix": [300, 301]}, {"prompt": "가", "prefix": [8000]},
    {"prompt": "가", "do_sample": "아마"}, {"prompt": "가", "min_p": "낮게"}])
def test_errors_are_the_servers(run, mini_service, body):
    told = run("return kept.engine.write(given[0]).then(() => null, (error) => error.message)", body)
    with pytest.raises(UserError) as error:
        mini_service.submit(mini_service.read(body))
    assert told == str(error.value)


def test_what_the_engine_lacks_is_an_error(run):
    told = run("return kept.engine.write({prompt: '가', num_beams: 3}).then(() => null, (error) => error.message)")
    assert told.startswith("num_beams: 없는 이름입니다. 쓸 수 있는 이름: prompt, do_sample, ")


def test_it_stops_at_once_and_writes_again(run):
    names, waited, parts, messages, after = run("""
        const {engine} = kept, stop = new AbortController();
        const request = {prompt: "긍정", min_new_tokens: 200, max_new_tokens: 200, seed: 1, steps: 5};
        const nameOf = ({name}) => name;
        let parts = 0, began;
        const onPart = () => { if (++parts === 3) { began = performance.now(); stop.abort(); } };
        const name = await engine.write(request, {signal: stop.signal, onPart}).catch(nameOf);
        const waited = performance.now() - began;
        await new Promise((go) => setTimeout(go, 100));
        const {messages} = kept;
        await new Promise((go) => setTimeout(go, 300));
        const rest = kept.messages - messages;
        const after = await engine.write({prompt: "긍정", max_new_tokens: 3, seed: 1});
        const never = await engine.write(request, {signal: stop.signal}).catch(nameOf);
        return [[name, never], waited, parts, rest, after.tokens];""")
    assert (names, parts) == (["AbortError", "AbortError"], 3)
    assert waited < 50  # ms
    assert messages == 0  # the worker has stopped as well
    assert 0 < after <= 3


def test_progress_while_it_loads(run):
    shares = run("return kept.shares")
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_broken_weights_file_is_one_line(run):
    told = run("""const whole = await (await load('model.safetensors')).arrayBuffer();
        const edited = (text, other) => {
          const bytes = new Uint8Array(whole.slice(0));
          const place = new TextDecoder().decode(bytes.slice(0, 7000)).indexOf(text);
          bytes.set(new TextEncoder().encode(other), place);
          return bytes.buffer;
        };
        const longer = new Uint8Array(whole.byteLength + 1);
        longer.set(new Uint8Array(whole));
        return [new ArrayBuffer(0), whole.slice(0, 5), whole.slice(0, 3000), whole.slice(0, 9000), whole.slice(0, -1),
                longer.buffer, edited('"F16"', '"I16"'), edited('[768]', '[767]'), edited('{', '['),
                new TextEncoder().encode('version https://git-lfs.github.com/spec/v1').buffer].map((buffer) => {
          try { readSafetensors(buffer); } catch (error) { return error.message; }
        });""")
    assert len(told) == 10
    assert all(each.startswith("가중치 파일이 온전하지 않습니다: ") and each.endswith(". 다시 받으세요.")
               for each in told)
    assert len(set(told)) > 4


@pytest.mark.parametrize(("answers", "expected"), [
    ((404, 4, b"none"), "model.safetensors: 받지 못했습니다(HTTP 404)."),
    ((200, 9_000_000, WEIGHTS[:5_000_000]), "가중치를 받다가 연결이 끊겼습니다. 페이지를 새로 고치세요."),
    ((200, 5_000_000, WEIGHTS[:5_000_000]), "가중치 파일이 온전하지 않습니다: 중간에서 끊겼습니다. 다시 받으세요.")])
def test_weights_that_do_not_come_are_one_line(run, monkeypatch, answers, expected):
    monkeypatch.setattr(Handler, "answers", answers)
    assert run("return connect().then(() => null, (error) => error.message)") == expected


def test_speed_is_told(run):
    first, fast, prompt = run("""
        const time = async (request) => {
          const began = performance.now();
          let first;
          const done = await kept.engine.write({seed: 1, ...request},
                                               {onPart: () => (first ??= performance.now() - began)});
          return {first, ...done};
        };
        const long = "이 영화는 정말 재미있고 감동적인 이야기를 ".repeat(5);
        const fast = await time({prompt: "안녕하세요", min_new_tokens: 100, max_new_tokens: 100});
        const {first} = await time({prompt: long, min_new_tokens: 2, max_new_tokens: 2});
        return [first, fast, long];""")
    print(f"{fast['tokens'] / fast['seconds']:.0f} tokens/s; the first piece after {fast['first']:.0f} ms, "
          f"of a prompt of {len(prompt)} letters after {first:.0f} ms")
    assert fast["tokens"] == 100
