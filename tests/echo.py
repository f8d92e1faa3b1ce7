"""An engine without weights: it writes the prompt once more, a character a step. A character is a token, its ``ord``.

Token 0 is eos: behind a prompt with a null character the text stops, else it goes on to its length.
"""

import time
from collections import deque
from types import SimpleNamespace

import torch

from ratsnlp.nlpbook.generation.choosing import Step
from ratsnlp.nlpbook.serving.engines import MAX_ROWS, ModelEngine, begun
from ratsnlp.nlpbook.serving.jobs import Job, Request
from ratsnlp.nlpbook.serving.service import GenerationService

POSITIONS, VOCABULARY, EOS = 1024, 0x110000, 0


class EchoTokenizer:
    eos_token_id = pad_token_id = EOS
    unk_token_id, added_tokens_decoder, all_special_ids = -1, {}, [EOS]

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        text = "".join(self.convert_ids_to_tokens(ids))
        return text.replace(chr(EOS), "") if skip_special_tokens else text

    def convert_ids_to_tokens(self, ids: int | list[int]) -> str | list[str]:
        if isinstance(ids, int):
            return "\ufffd" if 0xD800 <= ids < 0xE000 else chr(ids)
        return [self.convert_ids_to_tokens(each) for each in ids]

    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | list[int]:
        if isinstance(tokens, str):
            return ord(tokens) if len(tokens) == 1 else self.unk_token_id
        return [self.convert_tokens_to_ids(each) for each in tokens]


class EchoEngine(ModelEngine):
    """``seconds`` are slept at each step; what runs side by side shares it."""

    name, has_steps, has_seed = "echo", True, True

    def __init__(self, seconds: float = 0.0):
        super().__init__(SimpleNamespace(
            config=SimpleNamespace(max_position_embeddings=POSITIONS, is_encoder_decoder=False),
            generation_config=SimpleNamespace(eos_token_id=EOS),
            get_input_embeddings=lambda: SimpleNamespace(num_embeddings=VOCABULARY)), EchoTokenizer(), "echo")
        self.seconds = seconds

    def job(self, request: Request, streamed: bool = False, **more) -> Job:
        return Job(*self.fitted(request), **more)

    def take(self, waiting: deque[Job]) -> None:
        while waiting and len(self.running) < MAX_ROWS:
            self.running.append(begun(waiting.popleft()))

    def advance(self) -> None:
        time.sleep(self.seconds)
        self.running = [job for job in self.running if not job.put(*self._next(job), self.eos)]

    def drop(self, job: Job) -> None:
        self.running.remove(job)

    def reset(self) -> None:
        self.running.clear()

    def _next(self, job: Job) -> tuple[int, Step | None]:
        text = [*job.request.prefix, *job.ids[: job.prompt_length]]
        token = text[job.new % len(text)]
        if not job.request.steps:
            return token, None
        candidate = {"id": token, "cut_by": None, "logit": 0.0} | dict.fromkeys(ORDER, 1.0)
        return token, Step(
            token, 0.5, (0.0, 1.0), job.new < len(job.request.prefix), {"vocabulary": 1}, ORDER, 0.0, 0.0, [candidate],
            torch.zeros(1) if job.request.logits else None)


ORDER = ["model", "penalties", "temperature", "cuts"]  # of the probabilities in a step


def echo_service(seconds: float = 0.0, **more) -> GenerationService:
    return GenerationService(engine=EchoEngine(seconds), **more)
