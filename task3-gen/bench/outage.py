"""The page before vLLM, which is killed under load and started again: who loses a text, and who waits."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ratsnlp.nlpbook.display import table
from ratsnlp.nlpbook.exporting.servers import family, free_port, kill, served

from .arguments import BenchArguments
from .decoding import NEW_TOKENS
from .load import Answer, ask_while
from .serving import before, contenders


def sorted_out(answers: list[Answer], killed: float, back: float) -> dict[str, list[Answer]]:
    """The answers by what the outage from ``killed`` to ``back`` (seconds of ``time.perf_counter``) did to them."""
    return {
        "before": [answer for answer in answers if answer.ended < killed],
        "broken": [answer for answer in answers if answer.sent < killed <= answer.ended],
        "meanwhile": [answer for answer in answers if killed <= answer.sent < back],
        "after": [answer for answer in answers if back <= answer.sent]}


def main(bench: BenchArguments) -> None:
    page, clients, engine_port = contenders(bench)["page"], max(bench.client_counts), free_port()
    stop = threading.Event()
    with (served("vllm", page.engine, engine_port) as (_, engine),
          served("page", before(page.server, engine_port)) as (port, _), ThreadPoolExecutor(1) as pool):
        asking = pool.submit(
            ask_while, lambda number: not stop.is_set(), port, page.path, page.bodies, clients, NEW_TOKENS)
        try:
            time.sleep(bench.seconds)
            killed = time.perf_counter()
            kill(family(engine))
            with served("vllm", page.engine, engine_port):
                back = time.perf_counter()
                time.sleep(bench.seconds)
                stop.set()
                answers = asking.result()
        finally:
            stop.set()
    names = {"before": "죽기 전에 끝남", "broken": "죽을 때 쓰는 중", "meanwhile": "죽어 있는 동안 보냄",
             "after": "다시 뜬 다음 보냄"}
    told = {name: {"requests": len(found), "errors": sum(answer.error is not None for answer in found),
                   "longest": max((answer.ended - answer.sent for answer in found), default=0.0)}
            for name, found in sorted_out(answers, killed, back).items()}
    errors = sorted({answer.error for answer in answers if answer.error})
    print(f"\n클라이언트 {clients}명이 계속 요청할 때 vLLM을 죽이고 다시 띄웠습니다({back - killed:.0f}초 동안 없음).")
    print(table([["", "요청", "오류", "가장 늦은 응답(초)"], *[
        [names[name], f"{each['requests']:,}", f"{each['errors']:,}", f"{each['longest']:.1f}"]
        for name, each in told.items()]]))
    print("\n".join(f"오류: {error}" for error in errors))
    print(json.dumps({"clients": clients, "seconds_away": back - killed, "errors": errors, **told}))
