"""The server's engines: transformers, with many texts in one batch, and CTranslate2."""

from __future__ import annotations

import logging
import math
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ..errors import UserError
from ..generation.choosing import Choice, choose, prepare
from ..generation.continuous import ContinuousBatch
from ..generation.engines import Ctranslate2, engine_folder
from ..generation.models import seeded
from ..generation.options import DecodingOptions
from ..generation.settings import Setting
from ..training.layers import keep_freed_memory
from .jobs import Failed, Job, OutOfMemory, begun, runs_as_a_unit
from .token_engine import TokenEngine

if TYPE_CHECKING:
    from .jobs import Request

MAX_ROWS = 32  # of a batch: more of them gain little, and each waits longer for its next token

logger = logging.getLogger(__name__)


class ModelEngine(TokenEngine):
    """What the engines that hold a model have in common."""

    def __init__(self, model, tokenizer, model_name: str):
        super().__init__(model.config, model.generation_config.eos_token_id, tokenizer, model_name,
                         model.get_input_embeddings().num_embeddings)
        self.model = model


class TransformersEngine(ModelEngine):
    """``model`` in a :class:`ContinuousBatch`, in eval mode and on half of the threads until it is closed.

    A text is what it would be alone. Beam search and contrastive search run as ``model.generate``, one call each, while
    the others wait. Where a step fails, or the GPU's memory is not enough, its rows go on by halves, from the tokens
    that they have: what fails alone has failed, and the others end as if nothing had happened.
    """

    name, has_steps, has_seed = "transformers", True, True

    def __init__(self, model, tokenizer, model_name: str):
        super().__init__(model, tokenizer, model_name)
        if self.no_chat is None:
            self.model = model = ending_at(model, self.eos)
        self._training, self._threads = model.training, torch.get_num_threads()
        model.eval()
        # Half of the threads: with both of two cores, beside those of the requests, a step waits for its other half.
        torch.set_num_threads(max(1, self._threads // 2))
        keep_freed_memory()
        self._prepare = lru_cache(256)(lambda length, named: prepare(
            model, tokenizer, self.eos[:1] * length, DecodingOptions(**dict(named))))  # 2 ms, which others wait for
        self.batch, self.most = ContinuousBatch(model), MAX_ROWS

    def job(self, request: Request, streamed: bool = False, **more) -> Job:
        """Raises UserError where the prompt does not fit, or one knob does not go with another."""
        request, ids, most = self.fitted(request)
        unit = runs_as_a_unit(request.options)
        for name, asked in (("stream", streamed), ("steps", request.steps), ("prefix", request.prefix)):
            if unit and asked:
                raise UserError(f"{name}: {unit}에는 쓸 수 없습니다. 끝나야 텍스트가 정해집니다.")
        if unit:
            return Job(request, ids, 0, **more)
        processors, config = self._prepared(ids, request.options)
        choice = Choice(processors, config, len(ids), request.seed, request.prefix, request.steps,
                        request.logits)
        return Job(request, ids, most, choice, **more)

    def take(self, waiting: deque[Job]) -> None:
        while waiting and len(self.running) < MAX_ROWS and self.batch.fit([*self.running, waiting[0]]):
            self.running.append(begun(waiting.popleft()))

    def advance(self) -> None:
        for job in [job for job in self.running if job.choice is None]:
            self._alone(job)
        apart = [job for job in self.running if job not in self.batch.rows]
        joining = apart[: max(self.most - len(self.batch.rows), 0)]
        try:
            if joining:
                self.batch.join(joining)
            if self.batch.rows:
                self._step()
        except Exception as error:
            self._again(error, [*self.batch.rows, *[job for job in joining if job not in self.batch.rows]])
        if not self.running:
            self.most = MAX_ROWS

    def drop(self, job: Job) -> None:
        self.running.remove(job)
        if job in self.batch.rows:
            self.batch.leave(job)

    def reset(self) -> None:
        self.running.clear()
        self.batch.clear()

    def close(self) -> None:
        torch.set_num_threads(self._threads)
        self.model.train(self._training)

    def _prepared(self, ids: list[int], options: DecodingOptions):
        if options.polarity:
            return prepare(self.model, self.tokenizer, ids, options)
        return self._prepare(len(ids), tuple(options.named().items()))

    def _step(self) -> None:
        jobs = list(self.batch.rows)
        chosen = choose([(job.ids, job.choice) for job in jobs], self.batch.step())
        for job, (token, step) in zip(jobs, chosen, strict=True):
            if job.put(token, step, self.eos):
                self.drop(job)

    def _again(self, error: Exception, jobs: list[Job]) -> None:
        """Go on with half as many; what fails alone has failed."""
        self.batch.clear()
        self.most = max(1, len(jobs) // 2)
        if len(jobs) == 1:
            self.most = MAX_ROWS
            self.running.remove(jobs[0])
            jobs[0].end(error=failure_of(error))

    @torch.inference_mode()
    def _alone(self, job: Job) -> None:
        row = torch.tensor([job.ids], device=self.model.device)
        try:
            with seeded(self.model, job.request.seed):
                (written,) = self.model.generate(
                    row, attention_mask=torch.ones_like(row), stopping_criteria=StoppingCriteriaList([_Over(job)]),
                    **Setting("", job.request.options).fit(self.model, self.tokenizer))
        except Exception as error:
            job.end(error=failure_of(error))
            return
        finally:
            self.running.remove(job)
        if job.over:
            job.end_over()
        for token in written[job.prompt_length :].tolist():
            if job.ended is None and job.put(token, None, self.eos):
                break
        job.end("length")


class _Over(StoppingCriteria):
    def __init__(self, job: Job):
        self.job = job

    def __call__(self, input_ids, scores, **_):
        return torch.full((len(input_ids),), self.job.over, device=input_ids.device)


class Ctranslate2Engine(ModelEngine):
    """CTranslate2 in int8: waiting requests with the same knobs form a batch, which none joins later; one batch a core.
    """

    name, has_steps, has_seed = "ctranslate2", False, False

    def __init__(self, model, tokenizer, folder: Path):
        super().__init__(model, tokenizer, folder.resolve().name)
        cores = torch.get_num_threads()
        self.engine = Ctranslate2(model, tokenizer, engine_folder(str(folder)), "int8", parallel=cores)
        self._pool, self._most, self._batches = ThreadPoolExecutor(cores), cores, {}

    def job(self, request: Request, streamed: bool = False, **more) -> Job:
        self.engine.check(request.options)
        for name, asked in (("steps", request.steps), ("prefix", request.prefix)):
            if asked:
                raise UserError(f"{name}: CTranslate2에는 없습니다. --engine transformers로 실행하세요.")
        return Job(*self.fitted(request), **more)

    def take(self, waiting: deque[Job]) -> None:
        while waiting and len(self.running) < MAX_ROWS * self._most:
            self.running.append(waiting.popleft())

    def advance(self) -> None:
        """Begin a batch on each core that is free, and wait until one has ended."""
        apart = [job for job in self.running if job.begun is None]
        while apart and len(self._batches) < self._most:
            alike = [job for job in apart if self._kind(job) == self._kind(apart[0])]
            free = self._most - len(self._batches)
            share = alike[: min(MAX_ROWS, math.ceil(len(alike) / (free if len(alike) == len(apart) else 1)))]
            for job in share:
                begun(job)
                apart.remove(job)
            self._batches[self._pool.submit(self._write, share)] = share
        ended, _ = wait(self._batches, timeout=0.02, return_when=FIRST_COMPLETED)
        for batch in ended:
            for job in self._batches.pop(batch):
                if job.ended is None and batch.exception():
                    job.end(error=failure_of(batch.exception()))
        self.running = [job for job in self.running if job.ended is None]

    def drop(self, job: Job) -> None:
        self.running.remove(job)

    def reset(self) -> None:
        self.running.clear()

    def _write(self, jobs: list[Job]) -> None:
        self.engine.continue_batch(
            [list(job.ids) for job in jobs], jobs[0].request.options, self._kind(jobs[0])[-1],
            max(job.max_length for job in jobs),
            lambda row, token: jobs[row].over or jobs[row].put(token, None, self.eos))

    @staticmethod
    def _kind(job: Job) -> tuple:
        """What a batch has in common: the knobs, and the least length, the prompt's tokens included."""
        options = job.request.options
        least = (options.min_length or 0) if options.min_new_tokens is None else (
            job.prompt_length + options.min_new_tokens if options.min_new_tokens else 0)
        return options.draws, options.temperature, options.top_k, options.top_p, min(least, job.max_length)


def ending_at(model, eos: list[int]):
    """``model`` with ``eos`` among its settings: the same modules in another shell, for the caller's settings stay."""
    model = copy(model)
    model.generation_config = copy(model.generation_config)
    model.generation_config.eos_token_id = eos
    return model


def failure_of(error: Exception) -> Exception:
    """What the client is told; a bug's traceback goes into the log."""
    if isinstance(error, torch.OutOfMemoryError):
        logger.warning("out of memory: %s", error)
        return OutOfMemory()
    failure = Failed()
    logger.error("[%s] %s", failure.id, type(error).__name__, exc_info=error)
    return failure
