"""templates/serve_gen/decoding.js, which does in the browser what ``choose`` does here: the same step for the same
logits and knobs."""

import base64
import json
import random
from collections import Counter
from dataclasses import asdict, fields
from functools import partial

import pytest
import torch
from helpers import REPOSITORY, StaticFiles, chromium, http_server

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.generation import DecodingOptions, load_pretrained
from ratsnlp.nlpbook.generation.choosing import Choice, choose, prepare
from ratsnlp.nlpbook.serving.requests import book_defaults, complete_options, request_fields

pytestmark = pytest.mark.filterwarnings("ignore:Unfeasible length constraints")

CASES, SHOWN = 300, 20
PLACES = {"do_sample", "temperature_last"}  # knobs that act by what the others do
NOT_IN_A_STEP = {"max_length", "max_new_tokens", "length_penalty"}  # where a text ends; beams alone
VALUES = {
    "do_sample": [True, True, False], "num_beams": [1, 3], "length_penalty": [0.5], "penalty_alpha": [0.0, 0.6],
    "polarity": [0.0],
    "min_length": [1, 8, 40], "max_length": [5, 60], "min_new_tokens": [0, 3, 20], "max_new_tokens": [30],
    "repetition_penalty": [1.0, 1.2, 3.0], "no_repeat_ngram_size": [0, 1, 2, 3, 30], "top_n_sigma": [0.0, 1.0, 2.5],
    "temperature": [0, 0.01, 0.7, 1.0, 1.5, 30.0, 1e8], "top_h": [0.1, 0.4, 0.9, 1.0], "top_k": [0, 1, 5, 300, 9999],
    "top_p": [0.01, 0.5, 0.92, 0.999, 1.0], "min_p": [0.0, 0.05, 0.5, 1.0], "typical_p": [0.2, 0.95, 1.0],
    "temperature_last": [True, False]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """``run(body, *arguments)``: what the body of an asynchronous function returns that has ``complete``, ``takeStep``,
    ``UNKNOWN`` and ``given``, the arguments."""
    handler = partial(StaticFiles, directory=REPOSITORY / "templates" / "serve_gen")
    with chromium(tmp_path_factory.mktemp("profile")) as driver, http_server(handler) as server:
        driver.get(f"http://127.0.0.1:{server.server_port}/decoding.js")

        def run(body, *arguments):
            found = driver.execute_async_script(
                "const given = JSON.parse(arguments[0]), done = arguments[1];"
                "const act = async ({complete, takeStep, UNKNOWN}) => {" + body + "};"
                "import('/decoding.js').then(act).then((found) => done(JSON.stringify(found)),"
                "(error) => done(JSON.stringify({error: error.stack})));", json.dumps(arguments))
            found = json.loads(found)
            assert "error" not in found, found["error"]
            return found

        yield run


def namings(dice):
    """Knobs that go together, named at random."""
    while True:
        often = dice.choice([0.1, 0.25, 0.4])
        named = {name: dice.choice(values) for name, values in VALUES.items() if dice.random() < often}
        try:
            complete_options(dict(named), book_defaults(request_fields()))
        except UserError:
            continue
        yield named


@pytest.fixture(scope="module")
def situations():
    """The model and its tokenizer; and of each place where a token is to be chosen the token ids before it, how many of
    them are the prompt's, the logits, and whether many of these are the same."""
    model, tokenizer = load_pretrained("kogpt-mini")
    found = []
    with torch.inference_mode():
        for prompt in ("긍정", "부정 이 영화는", "안녕하세요 저는", "재미있는 배우들의 연기가 정말"):
            row = torch.tensor([tokenizer.encode(prompt)])
            length = row.shape[1]
            written = model.generate(row, attention_mask=torch.ones_like(row), do_sample=False, min_new_tokens=20,
                                     max_new_tokens=20)  # which says the same again and again
            logits = model(written).logits[0].float()
            found += [(written[0, :end].tolist(), length, logits[end - 1], False)
                      for end in (length, length + 4, length + 19)]
    noise = torch.randn(8000, generator=torch.Generator().manual_seed(1))
    eos_first = noise.clone()
    eos_first[tokenizer.eos_token_id] = 30
    for logits, tied in ((noise * 0.01, False), (noise * 20, False), (eos_first, False), (noise[:60] * 3, False),
                         (noise.bfloat16().float(), True), (torch.zeros(2000), True), (noise.round() - 1, True)):
        found.append(([5, 6, 7, 5, 6, 8, 5, 6], 3, logits, tied))
    return model, tokenizer, found


@pytest.fixture(scope="module")
def steps(run, situations):
    """Cases, and what the server and the browser tell of each."""
    model, tokenizer, found = situations
    dice = random.Random(0)
    cases, expected, completed = [], [], []
    defaults = book_defaults(request_fields())
    for named in namings(dice):
        options = complete_options(dict(named), defaults)
        if (options.num_beams or 1) > 1 or options.penalty_alpha:  # the server's alone
            continue
        place = len(cases) % len(found)
        ids, length, logits, _ = found[place]
        processors, config = prepare(model, tokenizer, ids[:length], options)
        token = dice.randrange(len(logits)) if dice.random() < 0.1 else None
        forced = [*ids[length:], token] if token is not None else []
        choice = Choice(processors, config, length, len(cases), forced, SHOWN)
        ((_, step),) = choose([(ids, choice)], logits[None].clone())
        expected.append({name: value for name, value in asdict(step).items() if name != "logits"})
        completed.append(options)
        cases.append({"place": place, "named": named, "number": choice.number(ids), "token": token})
        if len(cases) == CASES:
            break
    told = run(
        """
        const [found, cases, defaults, eos, shown] = given;
        const read = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
        for (const each of found) each.logits = read(each.logits);
        return cases.map(({place, named, number, token}) => {
          const knobs = complete(named, defaults);
          const {finalists, drawn, reached, ...step} =
            takeStep({...found[place], eos, knobs, number, shown, token: token ?? undefined});
          const ends = [finalists[0], finalists.length, reached.length, reached.at(-1)];
          return {step, drawn: drawn(number), ends};
        });
        """,
        [{"ids": ids, "promptLength": length, "logits": base64.b64encode(logits.numpy().tobytes()).decode()}
         for ids, length, logits, _ in found], cases, defaults, tokenizer.eos_token_id, SHOWN)
    return list(zip(cases, completed, expected, told, strict=True))


def rounding_decides(options):
    """All probabilities are the same but for float32's last bit, and a cut compares them."""
    cuts = (options.top_h or 1) < 1 or (options.top_p or 1) < 1 or (options.typical_p or 1) < 1 or options.min_p
    return options.temperature == 1e8 and not options.temperature_last and bool(cuts)


def close(here, there, most):
    return here == there or None not in (here, there) and abs(here - there) <= most


def compare(here, there, tied):
    """Where many logits are the same, which of them stands first is nobody's to say: then not by token ids."""
    assert (here["order"], here["forced"], here["number"]) == (there["order"], there["forced"], there["number"])
    assert close(here["entropy"], there["entropy"], 1e-4)
    assert close(here["final_entropy"], there["final_entropy"], 1e-4)
    assert all(close(*ends, 1e-5) for ends in zip(here["interval"] or [None], there["interval"] or [None], strict=True))
    numbers = ("logit", "model", "penalties", "temperature", "cuts")
    if tied:
        here, there = ({each["logit"]: each["model"] for each in step["candidates"]} for step in (here, there))
        assert here == pytest.approx(there, abs=1e-5)
        return
    assert here["token"] == there["token"]
    for one, other in zip(here["candidates"], there["candidates"], strict=True):
        assert one.keys() == other.keys()
        assert (one["id"], one["cut_by"], one["logit"]) == (other["id"], other["cut_by"], other["logit"])
        assert all(close(one[name], other[name], 1e-5) for name in numbers)


def test_a_step_is_the_servers(steps, situations):
    """Exactly, but for a candidate at the very edge of a cut, which float32's last bit keeps or not. In 3,000 cases of
    three seeds there was one; on another CPU it may be another. At most 1 % may have one candidate more or less."""
    edges, compared = [], 0
    for case, options, there, told in steps:
        here = told["step"]
        assert list(here["left"]) == list(there["left"]), case
        if rounding_decides(options):
            continue
        compared += 1
        differences = [abs(count - there["left"][name]) for name, count in here["left"].items()]
        if any(differences):
            assert max(differences) == 1, (case, here["left"], there["left"])
            edges.append(case)
        else:
            compare(here, there, situations[2][case["place"]][3])
    assert compared > 0.9 * CASES
    assert len(edges) <= CASES // 100, edges


def test_the_finalists_are_what_is_left_and_a_draw_is_one_of_them(steps):
    for case, options, _, told in steps:
        step, (first, finalists, ends, reached) = told["step"], told["ends"]
        assert finalists == ends == (list(step["left"].values())[-1] if options.draws else 1), case
        assert reached == pytest.approx(1)
        assert case["token"] is not None or told["drawn"] == step["token"]
        assert options.draws or told["drawn"] == first


def test_no_knob_is_forgotten(run, steps):
    """Each of them acts in a step, is the server's alone, or has no part in one."""
    acted = {name for *_, there, told in steps for name in told["step"]["left"]} - {"vocabulary"}
    alone = set(run("return UNKNOWN"))
    groups = [acted, alone, PLACES, NOT_IN_A_STEP]
    assert Counter(name for group in groups for name in group) == {each.name: 1 for each in fields(DecodingOptions)}


def test_knobs_are_completed_as_the_servers(run):
    known = request_fields()
    sample = [named for named, _ in zip(namings(random.Random(1)), range(1000), strict=False)]
    told = run("const [sample, defaults] = given; return sample.map((named) => complete(named, defaults))",
               sample, {name: each.default for name, each in known.items()})
    for named, found in zip(sample, told, strict=True):
        expected = complete_options(dict(named), book_defaults(known)).named()
        assert {name: value for name, value in found.items() if name not in ("steps", "prefix")} == expected, named


def test_many_draws_are_as_frequent_as_they_are_likely(run, steps):
    dice, draws = random.Random(5), 2000
    logits = [dice.gauss(0, 2) for _ in range(500)]
    tokens, candidates = run(
        """
        const [logits, numbers] = given;
        const knobs = {do_sample: true, temperature: 2, top_k: 10};
        const step = takeStep({logits: new Float32Array(logits), ids: [1], promptLength: 1, eos: 0, knobs, number: 0});
        return [numbers.map(step.drawn), step.candidates];
        """, logits, [dice.random() for _ in range(draws)])
    counts = Counter(tokens)
    expected = {each["id"]: draws * each["cuts"] for each in candidates if each["cuts"]}
    assert counts.keys() <= expected.keys()
    assert len(expected) == 10
    assert min(expected.values()) > 50
    chi_square = sum((counts[token] - often) ** 2 / often for token, often in expected.items())
    assert chi_square < 27.9  # nine degrees of freedom: less in 999 of 1,000


def test_nothing_left_is_an_error(run):
    told = run("""try {
        takeStep({logits: new Float32Array(3), ids: [0, 1, 2], promptLength: 1, eos: 0, number: 0,
                  knobs: {do_sample: true, no_repeat_ngram_size: 1}});
      } catch (error) { return error.message; }""")
    assert told == "남은 후보가 없습니다."
