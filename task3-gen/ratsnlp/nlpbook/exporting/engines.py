"""Other engines that read an exported folder, each run as its user would run it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from ..paths import REPOSITORY
from ..pretrained import load_tokenizer
from .arguments import ENGINES, ExportArguments
from .comparison import ABSENT, UNREADABLE, Outcome, compared, compared_likelihoods
from .greedy import asked_in, read_greedy
from .servers import ANSWER, HOST, Server, ask, served, vllm_server, vllm_version

_PROGRAMS = Path(__file__).with_name("programs")
_BEFORE = re.compile(r"^(\(.*?\) )?(ERROR .*?\] )?")  # what vLLM puts before each line
_CAUSE = re.compile(r"[\w.]+(Error|Exception)(: .+)?")  # the line of a traceback that names the error


class Absent(UserError):
    """An engine that is not installed; the message is how to install it."""


def check(folder: Path, args: ExportArguments) -> Iterator[Outcome]:
    """Run the engines of ``args``, one after the other, on what :func:`~.folder.export` wrote to ``folder``."""
    greedy, tokenizer = read_greedy(folder), load_tokenizer(str(folder))
    for engine in args.only or ENGINES:
        try:
            answers = _RUN[engine](folder, greedy, args)
        except Absent as error:
            yield Outcome(engine, ABSENT, str(error))
        except UserError as error:
            yield Outcome(engine, UNREADABLE, _cause(error))
        else:
            yield (compared_likelihoods(engine, greedy, answers) if engine == "lm-eval"
                   else compared(engine, greedy, answers, tokenizer))


def _cause(error: UserError) -> str:
    """The first error that the engine has told of, else the message."""
    lines = [_BEFORE.sub("", line) for line in "\n".join(getattr(error, "__notes__", [])).splitlines()]
    lines = [line for line in lines if line.strip(" ^~")]  # without the marks under the code
    for number, line in enumerate(lines):
        if found := _CAUSE.fullmatch(line):
            return line if found[2] or not number else f"{line}: {lines[number - 1].strip()}"
    return str(error)


def _told(command: list) -> str:
    """What a program prints; its input is empty, and it has no network.

    Raises:
        UserError: it fails, or takes too long; a note of the error is what it has said.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, env=environment,
                              timeout=ANSWER, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{ANSWER}초 안에 끝나지 않았습니다.") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace")
        error = UserError(f"종료 코드 {done.returncode}: {told.strip().rpartition(chr(10))[2][:200]}")
        error.add_note(told)
        raise error
    return done.stdout.decode().replace(os.linesep, "\n")  # a text may hold a \r, which text=True would change


def _program(python: str, name: str, folder: Path) -> list:
    return json.loads(_told([python, _PROGRAMS / f"with_{name}.py", folder]).splitlines()[-1])


def _transformers(folder, greedy, args):
    return _program(sys.executable, "transformers", folder)


def _ctranslate2(folder, greedy, args):
    if importlib.util.find_spec("ctranslate2") is None:
        raise Absent("python -m pip install -r requirements-ctranslate2.txt")
    return _program(sys.executable, "ctranslate2", folder)


def _lm_eval(folder, greedy, args):
    if args.lm_eval is None and importlib.util.find_spec("lm_eval") is None:
        raise Absent('python -m pip install "lm-eval[hf]==0.4.13", 다른 환경이라면 --lm_eval 그_환경/bin/python')
    return _program(args.lm_eval or sys.executable, "lm_eval", folder)


def _transformers_serve(folder, greedy, args):
    if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn")):
        raise Absent("python -m pip install -r requirements-serve.txt")
    code = "from transformers.cli.transformers import main; main()"
    server = Server(lambda port: [
        sys.executable, "-c", code, "serve", str(folder), "--device", "cpu", "--host", HOST, "--port", str(port)],
        {"HF_HUB_OFFLINE": "1"})
    with served("transformers-serve", server) as (port, _):
        return [choice["message"]["content"] if "message" in choice else choice["text"]
                for choice in _choices(port, greedy)]


def _vllm(folder, greedy, args):
    if args.vllm is None:
        raise Absent("docs/export.md대로 설치한 다음 --vllm 그_환경/bin/python")
    vllm_version(args.vllm)  # it has to be there
    with served("vllm", vllm_server(args.vllm, folder, greedy["dtype"])) as (port, _):
        return [choice["token_ids"] for choice in _choices(port, greedy, model=str(folder), return_token_ids=True)]


def _choices(port: int, greedy: dict, **more) -> Iterator[dict]:
    """What a server answers, in OpenAI's form, to each prompt or question."""
    more = {"temperature": 0, "max_tokens": greedy["new_tokens"], **more}
    for text in greedy["texts"]:
        if "messages" in text:
            answer = ask(port, "/v1/chat/completions", {
                "messages": text["messages"], "chat_template_kwargs": greedy["chat_template_kwargs"], **more})
        else:
            answer = ask(port, "/v1/completions", {"prompt": text["prompt"], **more})
        yield answer["choices"][0]


def _generate(folder, greedy, args):
    """This project's own script."""
    command = [sys.executable, REPOSITORY / "task3-gen" / "generate.py", "--model_name_or_path", folder, "--device",
               "cpu", "--do_sample", "false", "--max_new_tokens", greedy["new_tokens"]]
    if "messages" in greedy["texts"][0]:
        return [_told([*command, "--chat", "--prompt", asked_in(text)]) for text in greedy["texts"]]
    with tempfile.TemporaryDirectory() as temporary:
        prompts, output = Path(temporary, "prompts.txt"), Path(temporary, "texts.jsonl")
        prompts.write_text("\n".join(text["prompt"] for text in greedy["texts"]) + "\n", encoding="utf-8")
        _told([*command, "--input", prompts, "--output", output])
        return [json.loads(line)["generated"] for line in output.read_text(encoding="utf-8").splitlines()]


_RUN = {"transformers": _transformers, "transformers-serve": _transformers_serve, "ctranslate2": _ctranslate2,
        "lm-eval": _lm_eval, "vllm": _vllm, "generate": _generate}
