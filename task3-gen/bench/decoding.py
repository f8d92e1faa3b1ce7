"""Decoding: the tour's settings in one batch and one by one, and CTranslate2 beside transformers, in turn."""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.generation import SETTINGS, DecodingOptions, NsmcCorpus, encode_prompt, load_pretrained
from ratsnlp.nlpbook.generation.batched import Run, generate_batched
from ratsnlp.nlpbook.generation.engines import COMPUTE_TYPES, Ctranslate2

import torch
import transformers

from .arguments import BenchArguments

NEW_TOKENS = 40
PROMPT_TOKENS = 4
EQUAL = 200  # prompts on which the engines' greedy texts are compared
SAMPLES = 10  # seeds of each setting that draws


def in_turn(ways: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one warm-up without a clock."""
    seconds = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def ratios(of: list[float], to: list[float]) -> list[float]:
    return [slow / fast for slow, fast in zip(of, to, strict=True)]


def shown(values: list[float]) -> str:
    """The median, and what lies between the least and the most."""
    return f"{statistics.median(values):.1f}배 ({min(values):.1f}–{max(values):.1f})"


def tour(model, tokenizer, rounds: int) -> list[dict]:
    """The sixteen settings one call after another, against one batch of them; once each, and from many seeds."""
    input_ids = encode_prompt(model, tokenizer, "긍정")
    rows = []
    for seeds in ([7], list(range(7, 7 + SAMPLES))):
        runs = [Run(setting.fit(model, tokenizer), seeds if setting.options.draws else seeds[:1])
                for setting in SETTINGS]

        def one_by_one(runs=runs):
            for run in runs:
                for seed in run.seeds:
                    torch.manual_seed(seed)
                    model.generate(input_ids, **run.arguments)

        seconds = in_turn(
            {"one": one_by_one, "batch": lambda runs=runs: generate_batched(model, input_ids, runs)}, rounds)
        rows.append({"texts": sum(len(run.seeds) for run in runs), **seconds})
    return rows


def engines(model, tokenizer, folder: Path, prompts: list[list[int]], rounds: int) -> dict[int, dict[str, list[float]]]:
    """Tokens a second, by the size of the batch and the engine; every text has as many tokens as every other."""
    options = DecodingOptions(min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS)
    found = {}
    for size in (1, 16):
        rows = torch.tensor(prompts[:size], device=model.device)
        ways = {"transformers": lambda rows=rows: model.generate(
            rows, attention_mask=torch.ones_like(rows), do_sample=False, **options.named())}
        for kind in COMPUTE_TYPES:
            engine = Ctranslate2(model, tokenizer, folder, kind)
            ways[f"ctranslate2 {kind}"] = lambda engine=engine, size=size: engine.generate(prompts[:size], options)
        found[size] = {name: [size * NEW_TOKENS / second for second in seconds]
                       for name, seconds in in_turn(ways, rounds).items()}
    return found


def equal(model, tokenizer, folder: Path, prompts: list[list[int]]) -> dict[str, float]:
    """The share of greedy texts that each engine writes as transformers does."""
    rows = torch.tensor(prompts, device=model.device)
    written = model.generate(rows, attention_mask=torch.ones_like(rows), do_sample=False, max_new_tokens=NEW_TOKENS)
    texts = tokenizer.batch_decode(written[:, rows.shape[1] :], skip_special_tokens=True)
    shares = {}
    for kind in COMPUTE_TYPES:
        engine = Ctranslate2(model, tokenizer, folder, kind)
        own = tokenizer.batch_decode(
            engine.generate(prompts, DecodingOptions(max_new_tokens=NEW_TOKENS)), skip_special_tokens=True)
        shares[kind] = sum(one == other for one, other in zip(texts, own, strict=True)) / len(texts)
    return shares


@torch.inference_mode()
def main(bench: BenchArguments) -> None:
    model, tokenizer = load_pretrained(bench.pretrained_model_name)
    reviews = NsmcCorpus().get_examples(
        Path(bench.downstream_corpus_root_dir) / bench.downstream_corpus_name, "test")
    prompts = [ids[:PROMPT_TOKENS] for review in reviews
               if len(ids := tokenizer(review.text)["input_ids"]) >= PROMPT_TOKENS][:EQUAL]
    torch.manual_seed(bench.seed)
    kogpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=51_200, n_positions=1024, bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id)).eval()
    sizes = {bench.pretrained_model_name: model, "KoGPT2의 크기(무작위 가중치)": kogpt2}

    tours = tour(model, tokenizer, bench.rounds)
    print(f"열여섯 설정({bench.pretrained_model_name}): 하나씩 실행할 때와 한 배치로 실행할 때")
    print(table([["", "하나씩(초)", "한 배치(초)", "속도"]] + [[
        f"텍스트 {row['texts']}개", f"{statistics.median(row['one']):.2f}", f"{statistics.median(row['batch']):.2f}",
        shown(ratios(row["one"], row["batch"]))] for row in tours]))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, each) in enumerate(sizes.items()):
            found[name] = engines(each, tokenizer, Path(folder, str(number)), prompts, bench.rounds)
            print(f"\n{name}: 그리디 서치로 {NEW_TOKENS}토큰씩, 초당 토큰")
            rows = [["", "배치 1", "", "배치 16", ""]]
            for way in found[name][1]:
                cells = [[f"{statistics.median(rates[way]):,.0f}", shown(ratios(rates[way], rates["transformers"]))]
                         for rates in found[name].values()]
                rows.append([way, *cells[0], *cells[1]])
            print(table(rows))
        shares = equal(model, tokenizer, Path(folder, "0"), prompts)
    told = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
    print(f"\n{bench.pretrained_model_name}의 그리디 텍스트 {len(prompts)}개 가운데 transformers와 같은 것: {told}")
    print(json.dumps({
        "tour": tours, "tokens_per_second": found, "equal": shares, "new_tokens": NEW_TOKENS,
        "device": (torch.cuda.get_device_name() if torch.cuda.is_available()
                   else f"{platform.machine()} × {torch.get_num_threads()}"),
        "torch": torch.__version__, "transformers": transformers.__version__}))
