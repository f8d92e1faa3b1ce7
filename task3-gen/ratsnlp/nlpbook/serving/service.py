"""Texts for many clients at once: what :func:`get_web_service_app` serves with all its routes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..generation.options import DecodingOptions
from ..generation.pieces import Pieces
from ..generation.prompts import continuation, prompt_ids
from ..text_files import compose
from .jobs import Job, Left, Request
from .requests import KNOBS, book_defaults, offered, read_request, read_scores_request, request_fields
from .worker import Worker

if TYPE_CHECKING:
    from ..generation.arguments import GenerationDeployArguments
    from ..generation.choosing import Step

PLACES = 64  # in the queue: a class of forty at once
SECONDS = 300.0  # that a request may take, its time in the queue included
LOOK = 0.2  # seconds after which one looks whether the client is still there
PING = 15.0  # seconds of silence after which a stream gives a sign of life


class GenerationService:
    """An ``inference_fn`` of the book's eight arguments that also batches, streams, stops, and shows its steps.

    One thread generates; whoever asks waits for a job of it. With a seed, a request has the text that it would have
    alone. The engine is ``args.engine``: ``transformers``, or ``ctranslate2`` (int8; ``Ctranslate2Engine`` tells
    what it lacks), ``openai`` (the server at ``args.engine_url``; no model is given then), or one of your own.

    Raises:
        UserError: the model cannot be batched; CTranslate2 is not installed, or does not know the model; the server
            does not answer, or has another model.
    """

    def __init__(self, model=None, tokenizer=None, args: GenerationDeployArguments | None = None, engine=None,
                 places: int = PLACES, seconds_each: float = SECONDS):
        from .metrics import Metrics

        if engine is None and args and args.engine == "openai":
            from .openai_engine import OpenAIEngine

            engine = OpenAIEngine(args)
        elif engine is None:
            from .engines import Ctranslate2Engine, TransformersEngine

            folder = Path(args.downstream_model_dir if args else model.config.name_or_path or model.config.model_type)
            engine = (Ctranslate2Engine(model, tokenizer, folder) if args and args.engine == "ctranslate2"
                      else TransformersEngine(model, tokenizer, folder.resolve().name))
        self.engine, self.tokenizer, self.seconds_each = engine, engine.tokenizer, seconds_each
        self.fields = offered(request_fields(engine.positions, engine.vocabulary), engine)
        self.worker = Worker(engine, places, lambda job: self.metrics.count(job))
        self.metrics = Metrics(self.worker)
        self._book = book_defaults(request_fields())
        self._shown: dict[int, str] = {}

    def __call__(self, prompt: str, min_length=10, max_length=50, top_p=1.0, top_k=50, repetition_penalty=1.0,
                 no_repeat_ngram_size=0, temperature=1.0, **more) -> dict[str, Any]:
        """What ``POST /api`` answers, of these and all other names that it knows.

        Raises:
            UserError: a value out of its bounds.
            ServiceError: there is no place in the queue, or it failed.
        """
        knobs = dict(zip(KNOBS, (min_length, max_length, top_p, top_k, repetition_penalty, no_repeat_ngram_size,
                                 temperature), strict=True))
        body = {name: value for name, value in knobs.items() if value != self._book[name]}
        return self.answer(self.submit(self.read({"prompt": prompt, **body, **more})))

    @property
    def ready(self) -> bool:
        """Whether a request would be taken now."""
        return self.worker.open and self.engine.available and not self.worker.full

    def close(self) -> None:
        """Take no more requests; those under way end unfinished."""
        self.worker.close()
        self.engine.close()

    def read(self, body: Any) -> Request:
        """Raises UserError: naming the field, the bound and the value."""
        request = read_request(body, self.fields)
        self.check_seed(None if body.get("seed", "") == "" else body["seed"])
        return request

    def read_scores(self, body: Any) -> Request:
        """For :meth:`scores`: one token, behind a prompt and a prefix.

        Raises:
            UserError: as :meth:`read`.
        """
        prompt, prefix = read_scores_request(body, self.fields)
        ids = prompt_ids(self.engine.config, self.tokenizer, prompt, max_new_tokens=len(prefix) + 1)
        options = DecodingOptions(do_sample=False, max_new_tokens=1)
        return Request(prompt, options, 0, steps=1, prompt_ids=(*ids, *prefix), logits=True)

    def check_seed(self, seed) -> None:
        """Raises UserError: one is named, and the engine cannot begin at it."""
        if seed is not None and not self.engine.has_seed:
            raise UserError(f"seed: {self.engine.name} 엔진은 시드를 정할 수 없습니다. 빼고 보내세요.")

    def submit(self, request: Request, streamed: bool = False) -> Job:
        """Raises UserError where it does not fit the model or the engine, ServiceError where there is no place."""
        (job,) = self.submit_all([request], streamed, streamed)
        return job

    def submit_all(self, requests: Sequence[Request], streamed: bool, told: bool = True) -> list[Job]:
        """Submit all of ``requests``, or none where one of them does not fit. With ``told``, :meth:`events` can follow
        them; with ``streamed``, while they are written."""
        jobs = [self.engine.job(request, streamed, told=told, seconds=self.seconds_each) for request in requests]
        self.worker.submit(*jobs)
        return jobs

    def finish(self, job: Job, gone: Callable[[], bool] = lambda: False) -> None:
        """Wait until ``job`` has ended; as soon as its client is ``gone``, it is left.

        Raises:
            ServiceError: what it ended with.
        """
        try:
            while not job.wait(LOOK) and not gone():
                pass
        finally:
            self.worker.leave(job)
        if job.error:
            raise job.error
        if job.ended is None:
            raise Left

    def answer(self, job: Job, gone: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """The whole text of ``job`` and what is to be told of it."""
        self.finish(job, gone)
        steps = {"steps": self._told(job.steps)} if job.request.steps else {}
        return self.summary(job) | steps

    def scores(self, job: Job, gone: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """The token ids that ``job`` had read, and the model's logits (V,) of the token behind them: little-endian
        float32 in base64."""
        self.finish(job, gone)
        logits = job.steps[0].logits.float().cpu().numpy().astype("<f4")
        return {"ids": job.ids[: job.prompt_length], "logits": base64.b64encode(logits.tobytes()).decode()}

    def events(self, job: Job, gone: Callable[[], bool] = lambda: False) -> Iterator[dict[str, Any] | None]:
        """Parts of the text of ``job`` as they are written: ``text`` of whole characters, its ``tokens``, and their
        ``steps`` where they are asked for; None as a sign of life.

        Raises:
            ServiceError: what it ended with.
        """
        try:
            yield from self._events(job, gone)
        finally:
            self.worker.leave(job)

    def _events(self, job, gone):
        pieces, told, silent = Pieces(self.tokenizer, job.ids[: job.prompt_length]), 0, 0.0

        def event(text: str, ids: list[int]) -> dict[str, Any]:
            nonlocal told
            found = {"text": text, "tokens": self._pieces_of(text, ids)}
            if job.request.steps:
                found["steps"] = self._told(job.steps[told : told + len(ids)])
            told += len(ids)
            return found

        for token in job.tokens(LOOK):
            if gone():
                raise Left
            if isinstance(token, str):
                silent = 0.0
                yield {"text": token, "tokens": []}
                continue
            if token is None:
                silent += LOOK
                if silent >= PING:
                    silent = 0.0
                    yield None
                continue
            for piece in pieces.add(token):
                silent = 0.0
                yield event(*piece)
        for piece in pieces.end():
            yield event(*piece)
        if job.request.steps and told < len(job.steps):  # of eos
            yield {"text": "", "tokens": [], "steps": self._told(job.steps[told:])}

    def summary(self, job: Job) -> dict[str, Any]:
        """Of a job that has ended."""
        result = compose(job.request.prompt).rstrip() + self.text(job)
        return {"result": result, "finish_reason": job.finish_reason, "tokens": job.new,
                "seconds": round(job.ended - job.came, 4)} | (
                    {"seed": job.request.seed} if self.engine.has_seed else {})

    def text(self, job: Job) -> str:
        """What follows the prompt."""
        return continuation(self.tokenizer, job.ids, job.prompt_length) if job.parts is None else "".join(job.parts)

    def told(self, step: Step) -> dict[str, Any]:
        """``step`` as JSON, with the texts of its tokens."""
        candidates = [{**each, "text": self.shown(each["id"])} for each in step.candidates]
        found = vars(step) | {"candidates": candidates, "text": self.shown(step.token)}
        del found["logits"]
        return found

    def _told(self, steps: Sequence[Step | None]) -> list[dict[str, Any] | None]:
        """None of those of which the engine tells nothing."""
        return [step and self.told(step) for step in steps]

    def _pieces_of(self, text: str, ids: list[int]) -> list[dict[str, Any]]:
        return [{"id": each, "text": text if len(ids) == 1 else self.shown(each)} for each in ids]

    def shown(self, token: int) -> str:
        """What people see of a token: its text with the space before it; of a special one or a part of a character, its
        name in the vocabulary."""
        if token not in self._shown:
            anchor = self.tokenizer.encode("가")
            text = continuation(self.tokenizer, [*anchor, token], len(anchor))
            self._shown[token] = text or str(self.tokenizer.convert_ids_to_tokens(token))
        return self._shown[token]
