"""Conversations as a model reads them: messages of roles and contents, rendered by the chat template of its tokenizer.

A template that a model comes with is a Jinja program; what it writes is encoded as it stands, without special tokens of
the tokenizer's own. Where a model comes with none, ``INSTRUCTION_TEMPLATE`` is given to its tokenizer, which is then
saved with it, so that every program that reads the folder asks the model as it has learnt to be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import UserError
from ..pretrained import add_to_tokenizer
from ..text_files import check_text, compose

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = dict[str, str]  # role and content
ROLES = ("system", "user", "assistant")
# ### Instruction and ### Response, as Taori et al. (2023), "Stanford Alpaca", have them. Text goes on behind the colon
# with a space: there each tokenizer begins a new token, so that question and answer are parted by tokens too.
INSTRUCTION_TEMPLATE = (
    "{% for message in messages %}{{ '' if loop.first else '\\n\\n' }}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] }}"
    "{% else %}{{ '### Response: ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\n### Response:' }}{% endif %}")
INPUT = "\n\n### Input:\n"  # between an instruction and what it is about
# Llama's template tells the model which day it is. With one date for all, the same seed gives the same text tomorrow.
DATE = "26 Jul 2024"
_SHORT = [{"role": "user", "content": "가"}, {"role": "assistant", "content": "나"}]
_MARK = re.compile(r"<[^<>\s]+>")  # <|im_end|>, </s>


def has_template(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether there is one; of several (for tools) the ``default``."""
    return bool(tokenizer.chat_template) and (
        isinstance(tokenizer.chat_template, str) or "default" in tokenizer.chat_template)


def is_instruction(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the template is ours, which parts an instruction and its input by a heading."""
    return isinstance(tokenizer.chat_template, str) and tokenizer.chat_template.endswith(INSTRUCTION_TEMPLATE)


def use_instruction_template(tokenizer: PreTrainedTokenizerFast) -> None:
    """Give ``tokenizer`` the ``INSTRUCTION_TEMPLATE``, behind the bos with which it begins each text, if it does."""
    begins = tokenizer.bos_token_id is not None and tokenizer.encode("가")[0] == tokenizer.bos_token_id
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + INSTRUCTION_TEMPLATE


def use_format(tokenizer: PreTrainedTokenizerFast, name: str) -> list[str]:
    """Let ``tokenizer`` render conversations in the format of this ``name``: ``chat`` is the template that it comes
    with, ``instruction`` is ours, ``auto`` is the former where there is one. What ends an answer becomes its eos.
    Returns the tokens of the template that it lacked and that have been added.

    Raises:
        UserError: ``chat``, and there is no template, or one that does not tell where an answer ends.
    """
    if name == "chat" and not has_template(tokenizer):
        raise UserError("format: 이 모델에는 대화 템플릿이 없습니다. --format instruction으로 실행하세요.")
    if name == "instruction" or not has_template(tokenizer):
        use_instruction_template(tokenizer)
    rendered = render(tokenizer, _SHORT, answering=False) + render(tokenizer, _SHORT[:-1])
    lacking = [token for token in dict.fromkeys(_MARK.findall(rendered)) if token not in tokenizer.get_vocab()]
    if lacking:
        add_to_tokenizer(tokenizer, lacking)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end_of_answer(tokenizer))
    return lacking


def with_input(tokenizer: PreTrainedTokenizerFast, instruction: str, text: str) -> str:
    """What a user says who wants ``instruction`` to be done with ``text``."""
    return f"{instruction}{INPUT if is_instruction(tokenizer) else chr(10) * 2}{text}"


def special_tokens(tokenizer: PreTrainedTokenizerFast) -> dict[int, str]:
    """The tokens by which a template tells who speaks, and others that no text is to hold, by their numbers."""
    return {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def check_special(where: str, text: str, special: Iterable[str]) -> None:
    """Raises UserError, which begins with ``where``, if ``text`` holds a ``special`` token."""
    for token in special:
        if token in text:
            raise UserError(f"{where} {token!r} 토큰은 이 모델에서 대화의 구조를 나타내므로 쓸 수 없습니다.")


def check_messages(messages: Sequence[Message], special: Iterable[str], place: str = "messages") -> None:
    """Raises UserError, naming the ``place``, where ``messages`` is no conversation that begins with a user's message,
    behind that of a system where there is one, or where a content holds a ``special`` token."""
    if not isinstance(messages, (list, tuple)) or not messages:
        raise UserError(f'{place}: [{{"role": "user", "content": "…"}}, …]처럼 메시지의 목록이어야 합니다.')
    for number, message in enumerate(messages, start=1):
        where = f"{place} {number}번째 메시지"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            role = message.get("role") if isinstance(message, dict) else message
            raise UserError(f"{where}: role은 {', '.join(ROLES)} 가운데 하나여야 하는데 {str(role)[:40]!r}입니다.")
        content = message.get("content")
        if not isinstance(content, str) or not content.strip():
            raise UserError(f"{where}: content는 한 글자 이상의 텍스트여야 하는데 {str(content)[:40]!r}입니다.")
        check_text(where, content)
        check_special(f"{where}:", content, special)
    roles = [message["role"] for message in messages]
    if "system" in roles[1:] or roles[0] == "assistant" or roles == ["system"]:
        raise UserError(f"{place}: user의 메시지로 시작해야 합니다. system은 그 앞에 한 번만 쓸 수 있습니다.")


def render(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], answering: bool = True) -> str:
    """``messages`` (:func:`check_messages`) as the model reads them; ``answering``, up to where its answer begins (an
    answer of Qwen3 without thinking, which would have to be learnt as well).

    Raises:
        UserError: there is no template, or it does not take such a conversation.
    """
    from jinja2 import TemplateError

    if not has_template(tokenizer):
        raise UserError("messages: 이 모델에는 대화 템플릿(chat_template)이 없습니다. train.py의 --prompt_column으로 "
                        "질문과 답변을 학습한 모델이나, 대화를 학습한 모델을 쓰세요.")
    messages = [{"role": each["role"], "content": compose(each["content"]).strip()} for each in messages]
    try:
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answering, enable_thinking=False, date_string=DATE)
    except TemplateError as error:
        raise UserError(f"messages: 이 모델의 대화 템플릿이 받지 않는 대화입니다: {error}") from error


def encode(tokenizer: PreTrainedTokenizerFast, rendered: str) -> list[int]:
    """The token ids of what a template has written, whose special tokens stand in it."""
    return tokenizer.encode(rendered, add_special_tokens=False)


def chat_ids(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message]) -> list[int]:
    """The token ids behind which the answer to ``messages`` begins. Raises UserError as :func:`render` does."""
    return encode(tokenizer, render(tokenizer, messages))


def without_oldest(messages: Sequence[Message]) -> list[Message] | None:
    """``messages`` without the oldest question and its answer; None where there is only one question."""
    questions = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return [*messages[: questions[0]], *messages[questions[1] :]] if len(questions) > 1 else None


def end_of_answer(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that the template puts behind each answer.

    Raises:
        UserError: there is none, so that nothing would tell that an answer has ended.
    """
    _, answer, behind = render(tokenizer, _SHORT, answering=False).rpartition(_SHORT[1]["content"])
    ids = encode(tokenizer, behind.strip()) if answer else []
    if not ids or ids[0] not in {tokenizer.eos_token_id, *special_tokens(tokenizer)}:
        raise UserError("대화 템플릿: 답변의 끝을 알리는 토큰이 없습니다. --format instruction으로 학습하세요.")
    return ids[0]


def ends_of(model, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens at which ``model`` has ended a text: those that it is said to end with, and that of an answer, where
    its template tells of one."""
    eos = model.generation_config.eos_token_id
    ends = eos if isinstance(eos, list) else [tokenizer.eos_token_id if eos is None else eos]
    try:
        return list(dict.fromkeys([*ends, end_of_answer(tokenizer)]))
    except UserError:  # it continues texts all the same
        return ends
