"""What every engine knows of its model, whether it holds the weights or another server does."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from ..errors import UserError
from ..generation.chat import end_of_answer, ends_of
from ..generation.prompts import prompt_ids
from ..pretrained import max_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .jobs import Job, Request

NO_TEMPLATE = (
    "model: 이 모델에는 대화 템플릿(chat_template)이 없어 대화에 답하지 못합니다. /v1/completions로 텍스트를 이어 "
    "쓰거나, train.py의 --prompt_column과 --response_column으로 질문과 답변을 학습한 모델을 쓰세요.")


class TokenEngine:
    """Configuration and tokenizer of a model, and the jobs that it is writing.

    Attributes:
        eos: the tokens that end a text: the model's own, and that behind an answer where there is a chat template.
        no_chat: why it answers no conversations; None where it does.
        label: what people call it, where it is another program; None where it is this one.
        available: whether it takes jobs now.
        knobs: the names of the decoding knobs that it has; None for all.
        most_steps: of how many candidates a step can tell; None for as many as a request may ask for.
    """

    label: str | None = None
    available: bool = True
    knobs: frozenset[str] | None = None
    most_steps: int | None = None

    def __init__(self, config, eos: int | Sequence[int] | None, tokenizer, model_name: str, vocabulary: int):
        """``eos`` is what the model's generation settings have for it."""
        self.config, self.tokenizer, self.model_name = config, tokenizer, model_name
        self.running: list[Job] = []
        self.positions, self.vocabulary = max_positions(config), vocabulary
        self.eos, self.no_chat = eos if isinstance(eos, list) else [eos], NO_TEMPLATE
        if getattr(tokenizer, "chat_template", None):  # an engine of one's own may have a tokenizer without the name
            self.eos = ends_of(SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=eos)), tokenizer)
            try:
                end_of_answer(tokenizer)
                self.no_chat = None
            except UserError as error:
                self.no_chat = str(error)

    def close(self) -> None:
        """Called when no more requests will come."""

    def fitted(self, request: Request) -> tuple[Request, list[int], int]:
        """``request`` with its minimum length no more than its maximum, the prompt's token ids, and the maximum, which
        counts them.

        Raises:
            UserError: the prompt does not fit, nor does the prefix.
        """
        options = request.options
        ids = prompt_ids(self.config, self.tokenizer, request.prompt_ids or request.prompt, options.max_length,
                         options.max_new_tokens)
        most = options.max_length if options.max_new_tokens is None else len(ids) + options.max_new_tokens
        if len(request.prefix) >= most - len(ids):
            raise UserError(f"prefix: 쓸 수 있는 새 토큰 수({most - len(ids)}개)보다 적어야 하는데 "
                            f"{len(request.prefix)}개입니다.")
        if (options.min_length or 0) > most:
            request = replace(request, options=replace(options, min_length=most))
        return request, ids, most
