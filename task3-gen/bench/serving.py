"""Servers under load, in turn: the book's way, this project's, CTranslate2 and, where it is there, vLLM."""

import json
import platform
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ratsnlp import nlpbook
from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.exporting.servers import Server, family, served, vllm_server, vllm_version
from ratsnlp.nlpbook.generation import load_tokenizer
from ratsnlp.nlpbook.paths import REPOSITORY
from ratsnlp.nlpbook.run_folder import RunFolder

import psutil
import torch

from .arguments import SERVERS, BenchArguments
from .decoding import NEW_TOKENS, ratios, shown
from .load import HOST, load

PROMPTS = [
    "긍정", "부정", "긍정 이", "부정 진짜", "긍정 정말", "부정 이건", "긍정 이 영화", "부정 이 영화",
    "긍정 오랜만에 본", "부정 배우들이 아까운", "긍정 연기가 정말 좋은", "부정 시간이 아깝다",
    "긍정 아이들과 함께 보기에", "부정 원작을 읽고 봤는데", "긍정 음악과 영상이 아름다운",
    "부정 처음부터 끝까지 지루하고", "긍정 다시 봐도 눈물이 나는", "부정 기대하고 봤는데 내용이",
    "긍정 배우들의 연기가 하나같이", "부정 감독이 무슨 말을 하고 싶은지",
    "긍정 어릴 때 보고 어른이 되어 다시 보니", "부정 예고편이 전부인 영화를 돈 내고",
    "긍정 별점이 낮아서 걱정했는데 생각보다", "부정 이런 영화에 상을 준 사람들은 도대체 무슨"]
SAMPLING = {"temperature": 1.0, "top_k": 50}
WARM_UP = 2.0  # seconds of load on a new server that are not measured


@dataclass
class Contender:
    """A server, and what its clients send where; ``engine`` is another that writes for it."""

    server: Server
    path: str
    bodies: list[bytes]
    engine: Server | None = None


def contenders(bench: BenchArguments) -> dict[str, Contender]:
    """Those asked for; of all, those that can run here, and a word about each that cannot.

    Raises:
        UserError: there is no checkpoint, or no such engine.
    """
    no_vllm, of_vllm = bench.vllm_python is None, "--vllm vLLM이/설치된/환경/bin/python"
    missing = {"ctranslate2": find_spec("ctranslate2") is None, "vllm": no_vllm, "page": no_vllm}
    advice = {"ctranslate2": "python -m pip install -r requirements-ctranslate2.txt", "vllm": of_vllm, "page": of_vllm}
    makes = {"vllm": _vllm, "page": _page}
    found = {}
    for name in bench.only or SERVERS:
        if not missing.get(name):
            found[name] = makes[name](bench) if name in makes else _ours(bench, name)
        elif bench.only:
            raise nlpbook.UserError(f"only: {name}: 여기에 없습니다. 측정하려면 {advice[name]}")
        else:
            print(f"{name}: 없어서 빼고 측정합니다. 함께 측정하려면 {advice[name]}")
    return found


def _ours(bench: BenchArguments, engine: str) -> Contender:
    """``serve_gen-0.py``. The book's API counts the prompt in and does not stream."""
    def body(prompt):
        if engine != "book":
            return {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
        length = len(tokenizer.encode(prompt)) + NEW_TOKENS
        return {"max_length": length, "min_length": length}

    RunFolder(bench.downstream_model_dir).best_checkpoint()  # there has to be one
    tokenizer = load_tokenizer(bench.downstream_model_dir)
    return Contender(
        Server(lambda port: [
            sys.executable, str(REPOSITORY / "task3-gen" / "serve_gen-0.py"), "--engine", engine,
            "--downstream_model_dir", bench.downstream_model_dir, "--host", HOST, "--port", str(port)]),
        "/api" if engine == "book" else "/api/stream",
        [json.dumps({"prompt": prompt, **SAMPLING, **body(prompt)}).encode() for prompt in PROMPTS])


def _page(bench: BenchArguments) -> Contender:
    """``serve_gen-0.py`` before vLLM."""
    return replace(_ours(bench, "openai"), engine=_vllm(bench).server)


def _vllm(bench: BenchArguments) -> Contender:
    vllm_version(bench.vllm_python)  # it has to be there
    folder = Path(bench.downstream_model_dir)
    if (folder / "huggingface").is_dir():
        folder /= "huggingface"
    body = {**SAMPLING, "max_tokens": NEW_TOKENS, "min_tokens": NEW_TOKENS, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}
    server = vllm_server(bench.vllm_python, folder, most=max(bench.client_counts))
    return Contender(server, "/v1/completions", [json.dumps({"prompt": prompt, **body}).encode() for prompt in PROMPTS])


@contextmanager
def running(name: str, contender: Contender) -> Iterator[tuple[int, list[int]]]:
    """The port of ``contender``, and the ids of its process and of its engine's. Raises UserError as :func:`served`."""
    with ExitStack() as stack:
        server, ids = contender.server, []
        if contender.engine:
            engine_port, engine = stack.enter_context(served(f"{name}의 엔진", contender.engine))
            server, ids = before(server, engine_port), [engine]
        port, process = stack.enter_context(served(name, server))
        yield port, [process, *ids]


def before(server: Server, port: int) -> Server:
    """``server`` with its engine at ``port``."""
    return replace(server, command=lambda own: [*server.command(own), "--engine_url", f"http://{HOST}:{port}"])


def cpu_seconds(pid: int) -> float:
    """CPU time of a server and of the processes that it has started."""
    seconds = 0.0
    for each in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
    return seconds


def measure(name: str, contender: Contender, bench: BenchArguments) -> dict[int, dict]:
    """What one server, started for it, does for each number of clients."""
    points = {}
    with running(name, contender) as (port, processes):
        load(port, contender.path, contender.bodies, max(bench.client_counts), WARM_UP, NEW_TOKENS)
        for clients in bench.client_counts:
            used = sum(map(cpu_seconds, processes))
            point = load(port, contender.path, contender.bodies, clients, bench.seconds, NEW_TOKENS)
            if point["errors"] == point["requests"]:
                raise nlpbook.UserError(f"{name}: 클라이언트 {clients}명의 요청이 모두 실패했습니다({point['error']}).")
            points[clients] = {**point, "server_cpu_seconds": sum(map(cpu_seconds, processes)) - used}
    return points


def medians(rounds: list[dict]) -> dict:
    """The median of each figure over the rounds; all requests and errors, and the first error."""
    told = {key: statistics.median(point[key] for point in rounds) for key, value in rounds[0].items()
            if isinstance(value, float)}
    return {**told, **{key: sum(point[key] for point in rounds) for key in ("requests", "errors")},
            "error": next((point["error"] for point in rounds if point["error"]), None)}


def rows(points: dict[str, dict], compared: dict[str, dict[str, list[float]]], bases: list[str]) -> list[list[str]]:
    """The table of one number of clients; latencies in milliseconds."""
    latencies = ("first_p50", "first_p95", "whole_p50", "whole_p95")
    found = [["", "토큰/초", "요청/초", *(f"{base} 대비" for base in bases),
              "첫 토큰 p50", "p95", "전체 p50", "p95", "오류", "CPU(초)"]]
    for name, point in points.items():
        found.append([
            name, f"{point['tokens_per_second']:,.0f}", f"{point['requests_per_second']:.1f}",
            *("" if base == name else shown(compared[name][base]) for base in bases),
            *(f"{1000 * point[key]:,.0f}" for key in latencies), str(point["errors"]),
            f"{point['server_cpu_seconds']:.1f}+{point['client_cpu_seconds']:.1f}"])
    return found


def versions(bench: BenchArguments, ways) -> dict[str, str]:
    told = {name: version(name) for name in ("torch", "transformers", "ctranslate2")
            if name != "ctranslate2" or name in ways}
    return {**told, **({"vllm": vllm_version(bench.vllm_python)} if {"vllm", "page"} & set(ways) else {})}


def main(bench: BenchArguments) -> None:
    ways = contenders(bench)
    runs = {name: [] for name in ways}
    for number in range(bench.rounds):
        for name in list(ways) if number % 2 == 0 else reversed(ways):
            print(f"{number + 1}/{bench.rounds} {name}", flush=True)
            runs[name].append(measure(name, ways[name], bench))
    bases = [name for name in dict.fromkeys((next(iter(ways)), "vllm")) if name in ways]
    points, compared = {}, {}
    for clients in bench.client_counts:
        rounds = {name: [run[clients] for run in runs[name]] for name in ways}
        rates = {name: [point["tokens_per_second"] for point in rounds[name]] for name in ways}
        compared[clients] = {name: {base: ratios(rates[name], rates[base]) for base in bases} for name in ways}
        points[clients] = {name: medians(rounds[name]) for name in ways}
        print(f"\n클라이언트 {clients}명, 새 토큰 {NEW_TOKENS}개씩(지연 시간은 ms)")
        print(table(rows(points[clients], compared[clients], bases)))
        for name in ways:
            if points[clients][name]["errors"]:
                print(f"{name}의 오류: {points[clients][name]['error']}")
    clients = 16 if 16 in bench.client_counts else bench.client_counts[-1]
    told = "; ".join(
        f"{name} 초당 {point['tokens_per_second']:,.0f}토큰"
        + "".join(f", {base}의 {statistics.median(values):.2f}배"
                  for base, values in compared[clients][name].items() if base != name)
        for name, point in points[clients].items())
    print("\n첫 토큰은 첫 텍스트가 올 때까지(book은 전체), CPU는 서버와 클라이언트가 쓴 시간입니다. "
          "비율은 같은 차례에 측정한 것끼리의 중앙값입니다.")
    machine = {"device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
               "threads": torch.get_num_threads(), **versions(bench, ways)}
    print("조건: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"클라이언트 {clients}명: {told}.")
    print(json.dumps({
        "points": points, "ratios": compared, "rounds": runs, "new_tokens": NEW_TOKENS, "seconds": bench.seconds,
        **machine}))
