"""Step 5: a checkpoint of the checker's own becomes a web service, which a visitor uses while the file runs."""

from __future__ import annotations

import copy
import http.client
import json
import logging
import signal
import socket
import threading
import unicodedata
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from ..arguments import ServiceStepArguments, model_folder
from ..checking import Missing, Run, Todo, Wrong
from ..gaps import line_in
from ..judging import generated, reference, text_of

PROMPT = "이 배우는"  # of the calls that the checker makes; its greedy text is short, and ends by itself
GREEDY = {"temperature": 0}
# What one argument changes in the greedy text, or, where the text is drawn, makes as certain as a greedy one.
CHANGES = ({"max_length": 12}, {"min_length": 30}, {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 2})
MAKES_CERTAIN = ({"top_k": 1}, {"top_p": 1e-4}, {"temperature": 1e-3})


def flags(folder: Path) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return ["--prompt", "주말에", "--seed", "11", "--output_dir", str(folder), "--host", "127.0.0.1",
            "--port", str(port), "--open", "false"]


# The checkpoint


@cache
def tuned():
    """The bundled model with its weights changed so much that it writes other texts."""
    import torch

    model = copy.deepcopy(reference()[0])
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight += 0.2 * weight.std() * torch.randn(weight.shape, generator=noise)
    return model


def lay_checkpoints(folder: Path) -> None:
    """What step 4 leaves: the best checkpoint, and one with a higher val_loss and other weights; with KoGPT2's dropout,
    which kogpt-mini has not."""
    from ratsnlp.nlpbook.generation import save_tokenizer

    import torch

    folder.mkdir(parents=True)
    config = copy.deepcopy(tuned().config)
    config.update({"embd_pdrop": 0.1, "attn_pdrop": 0.1, "resid_pdrop": 0.1})
    config.save_pretrained(folder)
    save_tokenizer(reference()[1], folder)
    for name, model in (("epoch=0-val_loss=4.00", tuned()), ("epoch=1-val_loss=4.50", reference()[0])):
        weights = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
        torch.save({"state_dict": weights}, folder / f"{name}.ckpt")


@cache
def expected(prompt: str, pretrained: bool = False, **arguments) -> list[int]:
    """The token ids of the right greedy text of the checkpoint, or of the pretrained model."""
    options = {"min_length": 10, "max_length": 50, **arguments}
    return generated(prompt, reference()[0] if pretrained else tuned(), do_sample=False, **options)


def same(one: str, other: str) -> bool:
    """Whether two texts are the same, however their Hangul is composed."""
    one, other = (unicodedata.normalize("NFKC", each).strip() for each in (one, other))
    return one == other


# The visitor


@contextmanager
def beside(run: Run) -> Iterator[None]:
    """A checkpoint to serve, and a visitor who uses the service and then presses Ctrl-C. No browser is opened.

    ``run.notes``: ``loads``, the names of the tensors of each ``load_state_dict``; ``page`` and ``answer``, what the
    visitor got; ``elsewhere``, another port on which the file listens.
    """
    import torch

    lay_checkpoints(model_folder(ServiceStepArguments(output_dir=str(run.folder))))
    run.notes["loads"] = []
    load_state_dict, get = torch.nn.Module.load_state_dict, webbrowser.get

    def noted(model, state_dict, *arguments, **options):
        if hasattr(model, "generate"):
            run.notes["loads"].append(set(state_dict) if isinstance(state_dict, dict) else set())
        return load_state_dict(model, state_dict, *arguments, **options)

    def no_browser(*_):
        raise webbrowser.Error("the checker opens none")

    ended = threading.Event()
    visitor = threading.Thread(target=visit, args=[run, ended], daemon=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.nn.Module.load_state_dict, webbrowser.get = noted, no_browser
    visitor.start()
    try:
        yield
    except KeyboardInterrupt:  # the visitor's, where the server does not take it itself
        pass
    finally:
        ended.set()
        torch.nn.Module.load_state_dict, webbrowser.get = load_state_dict, get
        visitor.join()
        signal.signal(signal.SIGINT, before)


def visit(run: Run, ended: threading.Event) -> None:
    """Wait until the service listens, open the page, ask for a text, and end the service."""
    port = int(run.flag("port"))
    while not ended.is_set():
        if listens(port):
            with suppress(OSError, http.client.HTTPException):
                run.notes["page"] = ask(port, "GET", "/")
                run.notes["answer"] = ask(port, "POST", "/api", {"prompt": run.flag("prompt"), **GREEDY})
            end(port, ended)
        elif others := other_ports(port):
            run.notes["elsewhere"] = others[0]
            end(others[0], ended)
        ended.wait(0.1)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def other_ports(port: int) -> list[int]:
    """Ports other than ``port`` on which this process listens."""
    import psutil

    with suppress(psutil.Error):
        return [each.laddr.port for each in psutil.Process().net_connections("tcp")
                if each.status == psutil.CONN_LISTEN and each.laddr.port != port]
    return []


def ask(port: int, method: str, path: str, body: dict | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read().decode("utf-8", "replace")


def end(port: int, ended: threading.Event) -> None:
    """What Ctrl-C does, again and again until the file has ended."""
    while not ended.is_set():
        signal.raise_signal(signal.SIGINT)
        listens(port)  # wakes a server that waits for connections: the main thread alone looks at the signal
        ended.wait(2)


# The TODOs


def check_device(run: Run) -> None:
    import torch

    given = run["device"]
    if isinstance(given, bool):
        raise Wrong(f"device: 장치의 이름이어야 하는데 {given}입니다. torch.cuda.is_available()은 GPU가 있는지만 알려 "
                    "줍니다. 그에 따라 이름을 고르세요.")
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError):
        raise Wrong(f"device: {given!r}라는 장치는 없습니다. PyTorch에서는 NVIDIA GPU를 gpu가 아니라 cuda라고 합니다."
                    ) from None
    there = torch.cuda.is_available()
    if device.type == "cuda" and not there:
        raise Wrong("device: 이 컴퓨터에는 CUDA GPU가 없는데 cuda를 골랐습니다. torch.cuda.is_available()에 따라 "
                    "고르세요.")
    if device.type == "cpu" and there:
        raise Wrong("device: CUDA GPU가 있는데 cpu를 골랐습니다. torch.cuda.is_available()에 따라 고르세요.")
    if device.type not in ("cpu", "cuda", "mps"):
        raise Wrong(f"device: {device.type} 장치에서는 계산할 수 없습니다. cuda나 cpu를 고르세요.")


def check_arguments(run: Run) -> None:
    from ratsnlp.nlpbook.errors import UserError
    from ratsnlp.nlpbook.generation import GenerationDeployArguments

    if run.stopped_in(2) and isinstance(run.error, UserError):
        if "문자열이어야" in str(run.error):
            raise Wrong("GenerationDeployArguments의 인수는 downstream_model_dir=…, port=…처럼 이름을 적어 넘기세요. "
                        f"이름이 없으면 순서대로 다른 인수에 들어갑니다. {run.error}")
        raise Wrong(f"{run.error} 4단계의 체크포인트가 있는 폴더는 folder입니다.")
    given = run["deploy_args"]
    if not isinstance(given, GenerationDeployArguments):
        raise Wrong(f"deploy_args: GenerationDeployArguments여야 하는데 {type(given).__name__}입니다.")
    folder = model_folder(ServiceStepArguments(output_dir=str(run.folder)))
    file = Path(given.downstream_model_checkpoint_fpath)
    if file.parent.resolve() != folder.resolve():
        raise Wrong(f"deploy_args: {file.parent} 폴더의 체크포인트를 골랐습니다. --output_dir과 --model에 따라 폴더가 "
                    "달라지므로 적어 넣지 말고 folder를 쓰세요.")
    if "4.00" not in file.name:
        raise Wrong(f"deploy_args: {file.name}보다 val_loss가 낮은 체크포인트가 있습니다. 파일이 아니라 폴더를 "
                    "지정하면 가장 낮은 것을 고릅니다.")
    if given.port != int(run.flag("port")):
        raise Wrong(f"deploy_args: 실행할 때의 --port는 {run.flag('port')}인데 포트가 {given.port}입니다. 번호를 적어 "
                    "넣거나 빼지 말고 args의 값을 쓰세요.")
    if given.host != run.flag("host"):
        raise Wrong(f"deploy_args: 실행할 때의 --host는 {run.flag('host')}인데 주소가 {given.host}입니다. args의 값을 "
                    "쓰세요.")


def check_weights(run: Run) -> None:
    import torch

    model = run["model"]
    if not isinstance(model, torch.nn.Module):
        raise Wrong(f"model: 모델이어야 하는데 {type(model).__name__}입니다. load_state_dict가 반환하는 것은 모델이 "
                    "아니라 맞지 않은 이름의 목록이고, eval()과 to()는 모델을 반환합니다.")
    weights, right = ({name: tensor.float().cpu() for name, tensor in each.state_dict().items()}
                      for each in (model, tuned()))
    if {name: tensor.shape for name, tensor in weights.items()} != {name: each.shape for name, each in right.items()}:
        raise Wrong("model: 체크포인트의 모델과 구조가 다릅니다. 위에서 설정으로 만든 모델을 쓰세요.")
    check_names(run, weights.keys())
    loaded = [name for name, tensor in weights.items() if torch.allclose(tensor, right[name], atol=2e-3)]
    if len(loaded) < len(weights):
        pretrained = reference()[0].state_dict()
        if all(torch.allclose(tensor, pretrained[name], atol=2e-3) for name, tensor in weights.items()):
            raise Wrong("model: 파인튜닝하기 전의 가중치입니다. from_pretrained가 아니라 체크포인트(checkpoint)의 "
                        "가중치를 불러오세요.")
        if not run.notes["loads"]:
            raise Wrong("model: 가중치가 무작위인 그대로입니다. 설정으로 만든 모델에 체크포인트의 가중치를 불러오지 "
                        "않았습니다.")
        raise Wrong(f"model: 가중치 {len(weights)}개 가운데 {len(loaded)}개만 체크포인트와 같습니다. 나머지는 무작위인 "
                    "그대로입니다. checkpoint의 가중치를 모두 불러오세요.")
    if model.training:
        with suppress(Exception):  # which its own TODO tells; it may be what switches the mode
            run["inference_fn"](PROMPT, **GREEDY)
    if model.training:
        raise Wrong("model: 학습 모드입니다. 드롭아웃이 켜져 있어 온도가 0이어도 부를 때마다 다른 텍스트가 나옵니다. "
                    "model.eval()로 바꾸세요.")
    if model.device.type != torch.device(run["device"]).type:
        raise Wrong(f"model: {run['device']} 장치로 옮기지 않아 {model.device.type}에 있습니다. to(device)를 부르세요.")


def check_names(run: Run, right) -> None:
    """Raises Wrong where the last ``load_state_dict`` was given names of none of the model's weights."""
    names = run.notes["loads"][-1] if run.notes["loads"] else set()
    unfit = sorted(names - set(right))
    if not unfit:
        return
    what = f"load_state_dict: 모델에 없는 이름 {len(unfit)}개를 넘겼습니다({unfit[0]} 등)."
    passed = "" if isinstance(run.error, RuntimeError) else " strict=False는 이런 이름을 아무 말 없이 건너뜁니다."
    if all(name.startswith("model.") for name in unfit):
        raise Wrong(f"{what} 앞의 'model.'을 떼지 않았습니다.{passed}")
    if all(name.startswith(".") for name in unfit):
        raise Wrong(f"{what} 'model'만 떼고 점을 남겼습니다.{passed}")
    if len(unfit) < len(names):
        raise Wrong(f"{what} 앞의 'model.' 말고 다른 글자까지 떼었습니다. strip과 lstrip은 단어가 아니라 "
                    f"글자들을 하나씩 뗍니다.{passed}")
    raise Wrong(f"{what} 출력된 두 이름을 비교해 보세요.{passed}")


def check_function(run: Run) -> None:
    given = answered(run, "temperature=0", PROMPT, **GREEDY)
    base = expected(PROMPT)
    if not same(given, text_of(base)):
        check_text(run, given, base)
    for change in CHANGES:
        (name, value), = change.items()
        given, right = answered(run, f"{name}={value}", PROMPT, **GREEDY, **change), expected(PROMPT, **change)
        if same(given, text_of(right)):
            continue
        if same(given, text_of(base)):
            check_typed(run, given)
            raise Wrong(f"inference_fn(…, {name}={value}, temperature=0): {name} 없이 부를 때와 같은 텍스트입니다. "
                        "받은 값을 generate에 넘겼나요?")
        raise Wrong(f"inference_fn(…, {name}={value}, temperature=0): 기대한 텍스트와 다릅니다. 나온 것은 {given!r}, "
                    f"기대한 것은 {text_of(right)!r}입니다. {name}에 받은 값을 그대로 넘겼나요?")
    for change in MAKES_CERTAIN:
        (name, value), = change.items()
        given = answered(run, f"{name}={value}", PROMPT, max_length=12, **change)
        if not same(given, text_of(expected(PROMPT, max_length=12))):
            raise Wrong(f"inference_fn(…, {name}={value}): 확률이 가장 높은 토큰만 남는 값인데 다른 토큰이 나왔습니다. "
                        "받은 값을 generate에 넘겼나요?")
    drawn = (answered(run, "temperature=1.5", PROMPT, temperature=1.5, max_length=12) for _ in range(3))
    if len(set(drawn)) == 1:
        raise Wrong("inference_fn: 온도가 1.5인데도 부를 때마다 같은 텍스트입니다. 온도가 0보다 크면 do_sample=True로 "
                    "뽑아야 temperature, top_k, top_p가 쓰입니다.")


def answered(run: Run, how: str, prompt: str, **arguments) -> str:
    """The text that ``inference_fn`` returns; ``how`` tells a learner how it was called."""
    try:
        given = run["inference_fn"](prompt=prompt, **arguments)
    except Missing:
        raise
    except Exception as error:  # a learner's function may raise anything, and each is told
        line = line_in(run["__file__"], error.__traceback__)
        called = f"inference_fn(…, {how})에서 오류가 납니다" + (f"({line}행). " if line else ". ")
        if arguments.get("temperature") == 0 and "temperature" in str(error):
            raise Wrong(f"{called}점수를 온도로 나누므로 0은 쓸 수 없습니다. 온도가 0이면 do_sample=False로 고르세요."
                        ) from None
        raise Wrong(f"{called}{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from None
    if given is None:
        raise Wrong("inference_fn: 반환한 것이 없습니다. print가 아니라 return으로 돌려주세요.")
    if isinstance(given, str):
        raise Wrong('inference_fn: 텍스트만 반환했습니다. 웹 페이지는 {"result": 텍스트}를 받아 result를 보여 줍니다.')
    if not isinstance(given, dict) or "result" not in given:
        kind = f"이름이 {', '.join(map(str, given))}" if isinstance(given, dict) else type(given).__name__
        raise Wrong(f'inference_fn: {{"result": 텍스트}}를 반환해야 하는데 {kind}입니다.')
    if not isinstance(given["result"], str):
        raise Wrong(f"inference_fn: result가 텍스트가 아니라 {type(given['result']).__name__}입니다. 토큰 번호는 "
                    "readable로 텍스트로 바꾸세요.")
    return given["result"]


def check_typed(run: Run, given: str) -> None:
    if given.strip() and run.says(given):
        raise Wrong("inference_fn: 파일에 적어 넣은 텍스트를 반환했습니다. generate가 반환한 것을 쓰세요.")


def check_text(run: Run, given: str, base: list[int]) -> None:
    """Raises Wrong with what is wrong with ``given``, the text for ``PROMPT`` at temperature 0."""
    what = f"inference_fn: {PROMPT!r}을 temperature=0으로 이어 쓰니 "
    check_typed(run, given)
    if given != answered(run, "temperature=0", PROMPT, **GREEDY):
        raise Wrong(f"{what}부를 때마다 다른 텍스트가 나옵니다. 온도가 0이면 뽑지 않도록 do_sample=temperature > 0처럼 "
                    "정하세요.")
    if same(given, text_of(expected(PROMPT, pretrained=True))):
        raise Wrong(f"{what}파인튜닝하기 전의 모델이 쓴 텍스트입니다. 가중치를 불러온 model로 생성하세요.")
    if same(given, reference()[1].decode(base)):
        raise Wrong(f"{what}</s> 같은 특수 토큰까지 나왔습니다. 읽을 텍스트로는 readable로 바꾸세요.")
    if not given.startswith(PROMPT):
        if given.strip() and text_of(base).strip().endswith(given.strip()):
            raise Wrong(f"{what}새로 쓴 부분만 나왔습니다. result는 프롬프트까지 포함한 텍스트입니다.")
        raise Wrong(f"{what}그 문장으로 시작하지 않습니다. 받은 prompt의 input_ids를 이어 썼나요?")
    if same(given, PROMPT):
        raise Wrong(f"{what}프롬프트뿐입니다. input_ids가 아니라 generate가 반환한 것을 텍스트로 바꾸세요.")
    raise Wrong(f"{what}기대한 텍스트와 다릅니다. 나온 것은 {given!r}, 기대한 것은 {text_of(base)!r}입니다. generate에 "
                "넘긴 값을 다시 보세요.")


def check_app(run: Run) -> None:
    from flask import Flask

    if run.stopped_in(5) and isinstance(run.error, TypeError) and "inference_fn()" in str(run.error):
        raise Wrong("app: 함수를 부른 결과가 아니라 함수 자체를 넘기세요. inference_fn 뒤의 괄호를 빼면, 요청이 "
                    "올 때마다 웹 앱이 부릅니다.")
    app = run["app"]
    if not isinstance(app, Flask):
        raise Wrong(f"app: 웹 앱(Flask)이어야 하는데 {type(app).__name__}입니다. get_web_service_app이 반환한 것을 "
                    "넣으세요.")
    client = app.test_client()
    prompt = run.flag("prompt")
    if client.get("/").status_code == 404:
        raise Wrong("app: 페이지가 없습니다(GET /가 404). Flask로 새로 만들지 말고 get_web_service_app으로 만드세요.")
    with caught() as errors:
        answer = client.post("/api", json={"prompt": prompt, "max_length": 10, **GREEDY})
    if answer.status_code in (404, 405):
        raise Wrong(f"app: POST /api가 없습니다({answer.status_code}). get_web_service_app으로 만들면 있습니다.")
    if answer.status_code == 503 and run.notes.get("answer"):
        return  # a GenerationService has been closed with its server; what the visitor got is judged below
    if answer.status_code != 200:
        told = "".join(f" {type(error).__name__}: {error}." for error in errors)
        raise Wrong(f"app: 텍스트를 부탁하니 오류로 답했습니다({answer.status_code}).{told} 함수를 부른 결과가 아니라 "
                    "함수 inference_fn을 괄호 없이 넘겼나요?")
    result = result_in(answer.get_data(as_text=True))
    if not same(result, text_of(expected(prompt, max_length=10))):
        raise Wrong(f"app: {prompt!r}를 max_length=10, temperature=0으로 부탁하니 다른 텍스트로 답했습니다: "
                    f"{result!r}. "
                    "웹 앱에 inference_fn을 넘겼나요?")
    refused = client.post("/api", json={"prompt": prompt, "top_p": 7})
    if refused.status_code != 400:
        raise Wrong(f"app: top_p=7처럼 잘못된 요청에 400이 아니라 {refused.status_code}로 답합니다. "
                    "get_web_service_app으로 만들면 확인해 줍니다.")


@contextmanager
def caught() -> Iterator[list[BaseException]]:
    """The exceptions that the app catches and logs while it lasts."""
    errors: list[BaseException] = []
    handler = logging.Handler()
    handler.emit = lambda record: errors.append(record.exc_info[1])
    log = logging.getLogger("ratsnlp.nlpbook.serving.app")
    log.addHandler(handler)
    try:
        yield errors
    finally:
        log.removeHandler(handler)


def result_in(body: str) -> str:
    """The ``result`` of an answer; "" where there is none."""
    try:
        return str(json.loads(body)["result"])
    except (ValueError, TypeError, KeyError):
        return ""


def check_service(run: Run) -> None:
    if run.stopped_in(6) and isinstance(run.error, AttributeError):
        raise Wrong("run_web_service에는 웹 앱 app과 서비스의 설정 deploy_args를 이 순서로 넘기세요. "
                    f"AttributeError: {run.error}")
    if run.error is not None:
        raise Missing("run_web_service")
    if "elsewhere" in run.notes:
        raise Wrong(f"실행할 때의 --port는 {run.flag('port')}인데 {run.notes['elsewhere']}번 포트에서 기다립니다. "
                    "deploy_args의 포트에서 실행하세요.")
    if "page" not in run.notes:
        raise Wrong("app을 만들었지만 실행하지 않았습니다. 웹 서비스는 Ctrl-C를 누를 때까지 끝나지 않습니다.")
    status, _ = run.notes["page"]
    if status != 200:
        raise Wrong(f"웹 페이지를 여니 {status}로 답했습니다. 위에서 만든 app을 실행했나요?")
    _, body = run.notes.get("answer", (0, ""))
    if not same(result_in(body), text_of(expected(run.flag("prompt")))):
        raise Wrong(f"POST /api에 다른 텍스트로 답했습니다: {result_in(body)!r}. 위에서 만든 app을 실행했나요?")


TODOS = [
    Todo("장치", check_device, (
        "CUDA GPU가 있는지는 torch.cuda.is_available()이 True나 False로 알려 줍니다.",
        "값 하나를 조건에 따라 고르려면 (있을 때의 값) if (조건) else (없을 때의 값)처럼 씁니다.",
        '"cuda" if torch.cuda.is_available() else "…"에서 남은 이름을 채우세요.',
    )),
    Todo("서비스의 설정", check_arguments, (
        "인수는 이름=값으로 적습니다. 폴더의 이름은 downstream_model_dir, 포트의 이름은 port입니다.",
        "폴더는 바로 윗줄에 있는 folder입니다. 포트는 9000이라고 적지 말고 args에서 가져오세요.",
        "downstream_model_dir=…, port=args.…에서 값만 채우세요.",
    )),
    Todo("체크포인트의 가중치", check_weights, (
        "출력된 두 이름을 비교하세요. 체크포인트의 이름에는 앞에 무엇이 더 있나요?",
        "문자열의 removeprefix는 앞에 있는 것만 뗍니다. 점까지 떼야 합니다.",
        "생성할 때는 드롭아웃을 꺼야 합니다. model.eval()은 model을 반환하므로 .to(device)를 이어 쓸 수 있습니다.",
        'name.removeprefix("…"), strict=True, 그리고 model.eval().to(…)에서 값만 채우세요.',
    )),
    Todo("요청을 처리하는 함수", check_function, (
        "def 줄의 괄호에 있는 이름들이 받은 값입니다. max_length=max_length처럼 하나씩 generate에 넘기세요.",
        "do_sample=temperature > 0이면 온도가 0일 때 뽑지 않습니다. 온도 자체로는 0을 넘길 수 없으니 temperature or "
        "1.0을 넘기세요.",
        "generate가 반환한 것은 (1, 토큰 수) 모양의 토큰 번호입니다. 그 0번을 readable로 텍스트로 바꾸세요.",
        'return {"result": readable(tokenizer, generated_ids[…])}에서 번호만 채우세요.',
    )),
    Todo("웹 앱", check_app, (
        "맨 위에서 불러온 이름들 가운데 app을 만드는 함수가 있습니다.",
        "get_web_service_app은 함수를 받습니다. 함수를 부른 결과가 아니라 함수 자체를 넘겨야, 요청이 올 때마다 부를 수 "
        "있습니다.",
        "get_web_service_app(…)에 함수의 이름을 괄호 없이 적으세요.",
    )),
    Todo("실행", check_service, (
        "맨 위에서 불러온 이름들 가운데 아직 쓰지 않은 것이 있습니다.",
        "run_web_service에는 웹 앱과 서비스의 설정을 차례로 넘깁니다.",
        "run_web_service(app, …, open_page=args.open)에서 설정만 채우세요.",
    )),
]
