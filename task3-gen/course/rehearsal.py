"""The evening before: does this computer have what the class needs?"""

import importlib.metadata
import re
import shutil
import socket
import sys
import time

from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.files import check_writable
from ratsnlp.nlpbook.paths import KOGPT_MINI, OUTPUT, REPOSITORY
from ratsnlp.nlpbook.serving.server import desktop_browser, has_desktop

import psutil

PYTHONS = ((3, 11), (3, 14))
REQUIREMENTS_OF_TESTS = "# 테스트"  # the line of requirements.txt under which the learner needs nothing
DISK, MEMORY = 1.0, 1.5  # GB that the five steps need


class Trouble(Exception):
    """What has to be done before the class; the message is one Korean sentence."""


class Advice(Exception):
    """What can be lived with."""


def python() -> str:
    version = sys.version_info
    told = f"파이썬 {version.major}.{version.minor}.{version.micro}, {64 if sys.maxsize > 2**32 else 32}비트"
    if not PYTHONS[0] <= version[:2] <= PYTHONS[1] or sys.maxsize <= 2**32:
        raise Trouble(f"{told}: 64비트 3.11에서 3.14까지의 파이썬을 설치하세요.")
    return told


def packages() -> str:
    """Those of requirements.txt above its part for tests."""
    text = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").partition(REQUIREMENTS_OF_TESTS)[0]
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE))
    missing, others = [], []
    for name, version in pinned.items():
        try:
            there = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if there != version:
            others.append(f"{name} {there}(기대한 버전 {version})")
    install = "python -m pip install -r requirements.txt를 실행하세요."
    if missing:
        raise Trouble(f"패키지: {', '.join(missing)}이 없습니다. {install}")
    if others:
        raise Advice(f"패키지의 버전이 다릅니다: {', '.join(others)}. 문제가 생기면 {install}")
    return f"패키지 {len(pinned)}개"


def disk() -> str:
    try:
        check_writable(OUTPUT, "output")
    except UserError as error:
        raise Trouble(f"{error} 저장소를 쓸 수 있는 곳으로 옮기세요.") from error
    OUTPUT.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(OUTPUT).free / 1e9
    if free < DISK:
        raise Trouble(f"디스크에 {DISK:g}GB가 있어야 하는데 {free:.1f}GB 남았습니다. 공간을 비우세요.")
    return f"디스크 {free:.1f}GB 남음"


def memory() -> str:
    free = psutil.virtual_memory().available / 1e9
    if free < MEMORY:
        raise Advice(f"메모리가 {MEMORY:g}GB는 비어 있어야 하는데 {free:.1f}GB입니다. 다른 프로그램을 닫으세요.")
    return f"메모리 {free:.1f}GB 비어 있음"


def browser() -> str:
    """Of a desktop; a terminal's own browser does not show the page."""
    if not has_desktop():
        raise Advice("화면이 없는 컴퓨터입니다. 5단계의 페이지는 다른 컴퓨터의 브라우저로 여세요.")
    if desktop_browser() is None:
        raise Trouble("웹 브라우저를 찾을 수 없습니다. 하나 설치하세요.")
    return "웹 브라우저"


def port() -> str:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 9000))
        except OSError:
            raise Advice("포트 9000을 다른 프로그램이 쓰고 있습니다. 5단계에서 --port 9010처럼 바꾸세요.") from None
    return "포트 9000"


def first_sentence() -> str:
    """The bundled model is whole, and writes."""
    begun = time.monotonic()
    from ratsnlp.nlpbook.generation import encode_prompt, load_pretrained, readable

    import torch

    if not (KOGPT_MINI / "model.safetensors").is_file():
        raise Trouble(f"{KOGPT_MINI} 폴더에 model.safetensors가 없습니다. 저장소를 다시 받으세요.")
    model, tokenizer = load_pretrained("kogpt-mini")
    with torch.inference_mode():
        ids = model.generate(encode_prompt(model, tokenizer, "내일 수업은"), do_sample=False, max_new_tokens=12)
    return f"모델이 쓴 첫 문장: '{readable(tokenizer, ids[0])}' ({time.monotonic() - begun:.0f}초)"


def rehearse() -> int:
    """Print a line for each part; the exit code is 1 where something has to be done."""
    code = 0
    for part in (python, packages, disk, memory, browser, port, first_sentence):
        try:
            line = f"  ○ {part()}"
        except Advice as advice:
            line = f"  △ {advice}"
        except Trouble as trouble:
            line, code = f"  × {trouble}", 1
        print(line, flush=True)
    print("  수업 준비가 끝났습니다." if code == 0 else "  ×를 먼저 해결하고 다시 실행하세요.")
    return code
