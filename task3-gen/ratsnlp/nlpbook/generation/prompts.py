"""Prompts that fit the model, and text that people can read."""

import logging
import unicodedata

from ..errors import UserError
from ..pretrained import check_length, max_positions
from ..text_files import compose

# NFKC, which KoGPT2's tokenizer applies, makes the conjoining ᄏ (U+110F) of ㅋ (U+314B), which fonts show badly.
_JAMO = [chr(code) for code in range(0x3131, 0x318F) if code != 0x3164]  # as people type them; U+3164 is a filler
_AS_TYPED = {ord(unicodedata.normalize("NFKC", jamo)): jamo for jamo in _JAMO}


def readable(tokenizer, token_ids) -> str:
    """The text of ``token_ids`` (T,) without special tokens, lone conjoining jamo put back as people type them.

    Bytes that the model wrote without finishing their character (U+FFFD once decoded) are left out.
    """
    text = unicodedata.normalize("NFC", tokenizer.decode(token_ids, skip_special_tokens=True))
    return text.translate(_AS_TYPED).replace("\ufffd", "")


def encode_prompt(model, tokenizer, prompt: str, max_length: int | None = None):
    """The token ids of ``prompt``, (1, T), on the model's device.

    White space at its end is left off: a token begins with its space, so that a space alone would be one
    the model has hardly seen.

    Raises:
        UserError: the prompt is empty, leaves no room under ``max_length``, or ``max_length`` is
            beyond the model's positions.
    """
    positions = max_positions(model.config)
    if max_length is None:
        max_length = min(50, positions or 50)
    check_length(model.config, max_length, "max_length")
    if not prompt.strip():
        raise UserError("빈 글은 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")
    input_ids = tokenizer.encode(compose(prompt).rstrip(), return_tensors="pt")
    length = input_ids.shape[1]
    if length >= max_length:
        raise UserError(
            f"주어진 글이 {length}토큰이라 max_length({max_length})에 이어 쓸 자리가 없습니다. 글을 줄이세요.")
    quiet_false_alarm()
    return input_ids.to(model.device)


def quiet_false_alarm() -> None:
    """Drop one warning of ``generate``: it leaves out a mask that hides nothing,
    and then misses it once one of several texts has ended."""
    logging.getLogger("transformers.modeling_utils").addFilter(_is_no_false_alarm)


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    return "input_ids may be padded" not in record.getMessage()
