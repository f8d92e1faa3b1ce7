"""The engine that another server is: vLLM, ``transformers serve`` or any other with OpenAI's ``/v1/completions``."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import deque
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..errors import NotThereYet, UserError
from ..generation.options import HIDDEN_TOP_K, WINS, DecodingOptions
from ..pretrained import load_config, load_generation_config, load_tokenizer
from ..text_files import compose
from .jobs import EngineLost, EngineRefused, Failed, Job, Request, begun, runs_as_a_unit
from .requests import OFF, OWN_NAMES
from .token_engine import TokenEngine
from .upstream import SILENT_SECONDS, Call, Refused, Unavailable, Upstream

if TYPE_CHECKING:
    from ..generation.arguments import GenerationDeployArguments
    from ..generation.choosing import Step

COMPLETIONS = "/v1/completions"
MOST = 64  # texts at once: as many as may wait, since each holds one of the web server's threads
TRIES = 3  # of a request that the engine fails on (5xx) though it is there
LOOK = 0.01  # seconds after which what waits is looked at again
PAUSE = 1.0  # seconds between two questions whether an engine that was away is back
SAMPLE = "긍정 이 영화는 12"  # what the questions at the start begin with

LENGTHS = {"min_length", "max_length", "min_new_tokens", "max_new_tokens"}
OPENAI_KNOBS = {"do_sample", "temperature", "top_p", "max_length", "max_new_tokens"}
OURS = {"penalty_alpha", "polarity", "top_n_sigma", "temperature_last"}  # which transformers does not have

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """What an engine can do, as it has shown.

    Attributes:
        form: how it takes knobs: ``named`` by their names, ``json`` as transformers' ``generation_config``, ``openai``
            as vLLM does, each of them said, for else it takes those of the model's folder.
        knobs: the names of those that it has.
        token_ids: whether it takes prompts as token ids, and tells those that it writes.
        steps: of how many candidates it tells the log-probabilities.
        echo: whether it tells them of the prompt's tokens as well.
        label: what people call it.
    """

    form: str
    knobs: frozenset[str]
    token_ids: bool
    steps: int
    echo: bool
    label: str


class OpenAIEngine(TokenEngine):
    """Writes what ``args.engine_url`` writes; config and tokenizer are those of ``args``, the weights are there.

    Each text is one streamed completion in a thread of its own. One that is not begun when the engine goes away waits
    at the front of the queue until it is back; one that is being written then fails. Whether the engine is there is
    asked each second while it is not.

    Raises:
        UserError: the engine is not there, needs a key or the name of its model, or has another tokenizer.
    """

    name, has_seed = "openai", True

    def __init__(self, args: GenerationDeployArguments, silent: float = SILENT_SECONDS):
        folder = args.model_name_or_dir
        config, tokenizer = load_config(folder), load_tokenizer(folder)
        self.upstream, self.silent = Upstream(args.engine_url, args.engine_key), silent
        self.model, positions, label = self._model(args.engine_model)
        super().__init__(config, _eos(folder, tokenizer), tokenizer, _shown(self.model), config.vocab_size)
        self.positions = min(filter(None, (self.positions, positions)), default=None)
        self.offer = self._probe(label, folder)
        self.label = self.offer.label
        self.knobs, self.most_steps = self.offer.knobs, self.offer.steps or None
        self.has_steps = "logprobs" if self.offer.steps else False
        self.most = 1 if self.offer.form == "json" else MOST  # which writes one at a time, from one random state
        self.has_seed = self._probe_seed()
        self._calls: dict[Job, Call] = {}
        self._returned: deque[Job] = deque()
        self._tries: dict[Job, int] = {}
        self._news, self._closed, self._lock = threading.Event(), threading.Event(), threading.Lock()

    def job(self, request: Request, streamed: bool = False, **more) -> Job:
        """Raises UserError where the prompt does not fit, or the engine has no such knob."""
        self._check(request, streamed)
        request, ids, most = self.fitted(request)
        if not self.offer.token_ids:
            self._text(request, ids)  # there has to be one
        return Job(request, ids, most, parts=None if self.offer.token_ids else [], **more)

    def take(self, waiting: deque[Job]) -> None:
        returned = [self._returned.popleft() for _ in range(len(self._returned))]
        for job in sorted(returned, key=lambda job: job.came, reverse=True):
            if job in self.running:
                self.running.remove(job)
                waiting.appendleft(job)
                job.begun = None
        while waiting and self.available and len(self.running) < self.most:
            job = waiting.popleft()
            call = self._calls[job] = self.upstream.call("POST", COMPLETIONS, self.body(job), self.silent)
            self.running.append(begun(job))
            threading.Thread(target=self._write, args=[job, call], daemon=True).start()

    def advance(self) -> None:
        """Wait for an end, or a while."""
        self._news.wait(LOOK)
        self._news.clear()
        for job in [job for job in self.running if job.ended is not None]:
            self.drop(job)

    def drop(self, job: Job) -> None:
        self.running.remove(job)
        self._tries.pop(job, None)
        if call := self._calls.pop(job, None):
            call.abort()

    def reset(self) -> None:
        for job in list(self.running):
            self.drop(job)
        self._returned.clear()

    def close(self) -> None:
        self._closed.set()
        self.reset()

    def body(self, job: Job) -> dict[str, Any]:
        """The request for the text of ``job``."""
        request, ids, offer = job.request, job.ids[: job.prompt_length], self.offer
        unit = runs_as_a_unit(request.options)
        body = {"model": self.model, "stream": not unit, **self._knobs(job)}
        if offer.token_ids:
            body |= {"prompt": [*ids, *request.prefix], "return_token_ids": True, "stop_token_ids": self.eos}
        else:
            body["prompt"] = self._text(request, ids)
        if offer.form != "json" and not unit:
            body["stream_options"] = {"include_usage": True}
        if request.steps:
            body |= {"logprobs": request.steps, "return_tokens_as_token_ids": True}
            if request.prefix and offer.echo:
                body["echo"] = True
        if self.has_seed:
            body["seed"] = request.seed
        return body

    def _knobs(self, job: Job) -> dict[str, Any]:
        options, given = job.request.options, len(job.request.prefix)
        most = job.max_length - job.prompt_length - given
        least = (options.min_length or 0) - job.prompt_length if options.min_new_tokens is None else (
            options.min_new_tokens)
        least = max(min(least - given, most), 0)
        others = {name: value for name, value in options.named().items() if name not in LENGTHS}
        if self.offer.form == "json":
            lengths = {"max_new_tokens": most, "min_new_tokens": least}
            knobs = DecodingOptions(**others).generate_arguments()
            ends = {"eos_token_id": self.eos, "pad_token_id": self.tokenizer.pad_token_id}
            return {"generation_config": json.dumps({"do_sample": options.draws, **knobs, **lengths, **ends})}
        lengths = {"max_tokens": most} | ({"min_tokens": least} if "min_new_tokens" in self.offer.knobs else {})
        if self.offer.form == "named":
            return others | lengths
        temperature = (1.0 if options.temperature is None else options.temperature) if options.draws else 0.0
        said = {"top_p": 1.0, "top_k": HIDDEN_TOP_K, "min_p": 0.0, "repetition_penalty": 1.0}
        return {"temperature": temperature, **lengths, **{
            name: others.get(name, unnamed) for name, unnamed in said.items() if name in self.offer.knobs}}

    def _text(self, request: Request, ids: list[int]) -> str:
        """The prompt for an engine that takes no token ids. Raises UserError where no text stands for those."""
        text = compose(request.prompt).rstrip() if not request.prompt_ids else self.tokenizer.decode(ids)
        if request.prompt_ids and self.tokenizer.encode(text) != ids:
            raise UserError(f"prompt: {self.offer.label} 엔진은 토큰 번호를 받지 않습니다. 텍스트로 보내세요.")
        return text

    def _check(self, request: Request, streamed: bool) -> None:
        """Raises UserError where the engine cannot do what ``request`` asks for."""
        offer, unit = self.offer, runs_as_a_unit(request.options)
        for name, value in request.options.named().items():
            off = OFF.get(name, DecodingOptions.specs([name])[0].metadata["unnamed"])
            if name not in offer.knobs and value != off:
                raise UserError(f"{name}: {offer.label} 엔진에는 없습니다.")
        if request.logits:
            raise UserError(f"logits: {offer.label} 엔진은 로짓을 알려 주지 않습니다. --engine transformers로 "
                            "실행하세요.")
        for name, asked, has in (("steps", request.steps, offer.steps), ("prefix", request.prefix, offer.token_ids)):
            if asked and not has:
                raise UserError(f"{name}: {offer.label} 엔진에는 없습니다. --engine transformers로 실행하세요.")
        for name, asked in (("stream", streamed), ("steps", request.steps), ("prefix", request.prefix)):
            if unit and asked:
                raise UserError(f"{name}: {unit}에는 쓸 수 없습니다. 끝나야 텍스트가 정해집니다.")

    def _write(self, job: Job, call: Call) -> None:
        """In a thread of its own: hand on what the engine writes."""
        try:
            self._read(job, call)
        except Refused as error:
            logger.warning("%s: HTTP %s: %s", self.upstream.url, error.status, error)
            job.end(error=EngineRefused(error.status, str(error)))
        except Unavailable as error:
            if not job.over and job.ended is None:
                logger.warning("%s: %s", self.upstream.url, error)
                self._lost(job, error)
        except Exception as error:
            failure = Failed()
            logger.exception("[%s] %s", failure.id, type(error).__name__)
            job.end(error=failure)
        finally:
            call.close()
            self._news.set()

    def _read(self, job: Job, call: Call) -> None:
        reason, is_first = None, True
        for event in call.events():
            for choice in event.get("choices") or ():
                if job.parts is None:
                    self._put(job, choice, is_first)
                elif text := (choice.get("text") or "").replace("\ufffd", ""):  # of a character that is not whole
                    job.put_text(text if job.parts else self._spaced(job, text))
                is_first = False
                reason = choice.get("finish_reason") or reason
            if job.parts is not None and event.get("usage"):
                job.counted = event["usage"]["completion_tokens"]
            if job.ended is not None:
                return
        if reason not in ("stop", "length"):
            raise Unavailable(f"the answer broke off ({reason})")
        if not job.times:  # it has ended at once
            job.times.append(job.begun)
        job.end(reason)

    def _put(self, job: Job, choice: dict, is_first: bool) -> None:
        prefix = list(job.request.prefix) if is_first else []
        tokens, logprobs = [*prefix, *(choice.get("token_ids") or ())], choice.get("logprobs")
        told = list(zip(logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)) if logprobs else []
        told = told[-len(tokens) :] if tokens else []  # without the prompt's
        told = [None] * (len(tokens) - len(told)) + told
        for place, (token, scored) in enumerate(zip(tokens, told, strict=True)):
            if job.ended is not None:
                return
            if job.request.steps:
                job.steps.append(scored and _step(token, *scored, job.request.steps, place < len(prefix)))
            job.put(token, None, self.eos)

    def _spaced(self, job: Job, text: str) -> str:
        """The first part of a text with the space before it, which is lost where a tokenizer marks the beginnings of
        words and the engine decodes the text alone. Most words begin so: there is none only where the part is one token
        without a space, and none with one."""
        ids = job.ids[: job.prompt_length]
        behind = self.tokenizer.encode("가 나")[len(self.tokenizer.encode("가")) :]
        if self.tokenizer.decode(behind).startswith(" ") or text[0].isspace():
            return text
        prompt = self.tokenizer.decode(ids)
        joined, spaced = (len(self.tokenizer.encode(prompt + each)) - len(ids) == 1 for each in (text, f" {text}"))
        return text if joined and not spaced else f" {text}"

    def _lost(self, job: Job, error: Unavailable) -> None:
        """The engine has not finished ``job``: it goes back where nothing of it is written, else it has failed."""
        if job.times:
            job.end(error=EngineLost())
        else:
            if error.is_fault:
                self._tries[job] = self._tries.get(job, 0) + 1
            if self._tries.get(job, 0) >= TRIES:
                job.end(error=EngineRefused(500, str(error)))
                return
            self._returned.append(job)
        with self._lock:
            if self.available:
                self.available = False
                threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Ask each second whether the engine is back."""
        while not self._closed.wait(PAUSE):
            if self.upstream.is_alive():
                self.available = True
                self._news.set()
                return

    def _model(self, named: str | None) -> tuple[str, int | None, str]:
        """The model's name, its positions and what people call the engine, as far as it tells of these."""
        try:
            listed = self.upstream.get("/v1/models")
            if listed is None and not self.upstream.is_alive():
                raise Unavailable("/health")
        except Unavailable as error:
            logger.debug("%s: %s", self.upstream.url, error)
            raise NotThereYet(
                f"engine_url: {self.upstream.url}에 연결되지 않습니다. 엔진을 먼저 실행하세요: vllm serve 모델폴더 "
                "--port 8000") from error
        found = {each.get("id"): each for each in (listed or {}).get("data") or ()}
        if named is None and len(found) != 1:
            names = f" 있는 모델: {', '.join(found)[:200]}" if found else ""
            raise UserError("engine_model: 엔진의 모델 이름을 알 수 없습니다. --engine_model로 적으세요"
                            f"(transformers serve라면 모델 폴더의 경로).{names}")
        model = named or next(iter(found))
        of_model = found.get(model, {})
        return model, of_model.get("max_model_len"), str(of_model.get("owned_by") or self.name)

    def _probe(self, label: str, folder: str) -> Offer:
        """Find out by requests for a token or two. An engine passes over what it does not know, or refuses it."""
        simple = {"model": self.model, "prompt": SAMPLE, "max_tokens": 1, "temperature": 0.0}
        told = self._asked(simple)
        ids = self.tokenizer.encode(SAMPLE)
        of_prompt = (told.get("usage") or {}).get("prompt_tokens", len(ids))
        by_ids = simple | {"return_token_ids": True}
        answer = self._tried(by_ids)
        if (_choice(answer).get("prompt_token_ids") or ids) != ids or of_prompt != len(ids):
            raise UserError(f"downstream_model_dir: {folder}의 토크나이저가 엔진의 모델({self.model})과 다릅니다. 같은 "
                            "모델의 폴더를 지정하세요.")
        by_ids |= {"prompt": ids}
        token_ids = bool(_choice(self._tried(by_ids) or {}).get("token_ids"))
        steps, echo = 0, False
        if token_ids:
            by_ids |= {"return_tokens_as_token_ids": True}
            steps = next((most for most in (20, 5, 1) if _has_logprobs(self._tried(by_ids | {"logprobs": most}))), 0)
            echo = steps > 0 and len(_logprobs(
                self._tried(by_ids | {"logprobs": 1, "echo": True})).get("tokens") or ()) == len(ids) + 1
        described = self.upstream.get("/openapi.json") or {}
        known = described.get("components", {}).get("schemas", {}).get("CompletionRequest", {}).get("properties", {})
        ours = {each.name for each in fields(DecodingOptions)}
        knobs = {name for name in ours if OWN_NAMES.get(name, name) in known}
        if "do_sample" in knobs:
            form = "named"
        elif self._takes_generation_config():
            form, label = "json", "transformers serve"
            knobs = ours - OURS
        else:
            form, knobs = "openai", (knobs | OPENAI_KNOBS) - {"length_penalty"}  # which vLLM has for its beam search
        knobs |= {whole for new, whole in WINS.items() if new in knobs}
        return Offer(form, frozenset(knobs), token_ids, steps, echo, label)

    def _takes_generation_config(self) -> bool:
        """Whether it writes as many tokens as that says, which no other name of the request does."""
        config = {"max_new_tokens": 2, "min_new_tokens": 2, "do_sample": False}
        told = self._tried({"model": self.model, "prompt": SAMPLE, "generation_config": json.dumps(config)})
        return ((told or {}).get("usage") or {}).get("completion_tokens") == 2

    def _probe_seed(self) -> bool:
        """Whether the same seed gives the same text, and another one another."""
        options = DecodingOptions(do_sample=True, temperature=2.0, max_new_tokens=16)
        if "top_k" in self.knobs:
            options = replace(options, top_k=0)
        bodies = [self.body(self.job(Request(SAMPLE, options, seed))) | {"stream": False} for seed in (1, 1, 2)]
        for body in bodies:
            body.pop("stream_options", None)
        one, again, other = (_choice(self._tried(body) or {}).get("text") for body in bodies)
        return one == again != other

    def _asked(self, body: dict) -> dict[str, Any]:
        try:
            return self.upstream.post(COMPLETIONS, body)
        except Refused as error:
            field = {401: "engine_key", 403: "engine_key", 404: "engine_model"}.get(error.status, "engine_url")
            advice = " --engine_key나 환경 변수 NLPBOOK_ENGINE_KEY로 알려 주세요." if field == "engine_key" else ""
            raise UserError(f"{field}: {self.upstream.url}의 엔진이 거절했습니다(HTTP {error.status}: {error}).{advice}"
                            ) from error
        except Unavailable as error:
            raise UserError(f"engine_url: {self.upstream.url}의 엔진이 모델 {self.model}에 답하지 못했습니다"
                            f"({error}). 모델의 이름이 맞는지 확인하고, 다르면 --engine_model로 적으세요.") from error

    def _tried(self, body: dict) -> dict[str, Any] | None:
        """The answer, None where it is refused or fails."""
        try:
            return self.upstream.post(COMPLETIONS, body)
        except (Refused, Unavailable):
            return None


def _eos(folder: str, tokenizer) -> int | list[int]:
    """The tokens that end a text, as :func:`use_special_tokens` has them."""
    several = getattr(load_generation_config(folder), "eos_token_id", None)
    return several if isinstance(several, list) and tokenizer.eos_token_id in several else tokenizer.eos_token_id


def _shown(model: str) -> str:
    """What people call ``model``: of a path, the folder; of an export, that of its run."""
    path = PurePath(model)
    return model if not path.is_absolute() else path.parent.name if path.name == "huggingface" else path.name


def _choice(answer: dict | None) -> dict[str, Any]:
    return next(iter((answer or {}).get("choices") or ()), {})


def _logprobs(answer: dict | None) -> dict[str, Any]:
    return _choice(answer).get("logprobs") or {}


def _has_logprobs(answer: dict | None) -> bool:
    """Whether candidates come with their token ids."""
    top = _logprobs(answer).get("top_logprobs") or [{}]
    return bool(top[-1]) and all(name.startswith("token_id:") for name in top[-1])


def _step(token: int, logprob: float, top: dict[str, float], shown: int, is_forced: bool) -> Step:
    """What is known of a step by the log-probabilities of its likeliest candidates and of the token."""
    from ..generation.choosing import Step

    scored = {int(name.removeprefix("token_id:")): value for name, value in top.items()}
    likeliest = sorted(scored, key=scored.get, reverse=True)[:shown]
    scored[token] = logprob
    return Step(token, None, None, is_forced, {}, ["model"], None, None, [
        {"id": number, "logit": None, "cut_by": None, "model": math.exp(scored[number])}
        for number in dict.fromkeys([*likeliest, token])])
