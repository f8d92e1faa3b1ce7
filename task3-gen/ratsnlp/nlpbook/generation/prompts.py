"""Prompts that fit the model, and text that people can read."""

import locale
import logging
import math
import re
import sys
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ..errors import UserError
from ..pretrained import check_length, max_positions
from ..text_files import LINES, check_text, compose, read_rows, suffix

# NFKC, which KoGPT2's tokenizer applies, makes the conjoining ᄏ (U+110F) of ㅋ (U+314B), which fonts show badly.
_JAMO = [chr(code) for code in range(0x3131, 0x318F) if code != 0x3164]  # as people type them; U+3164 is a filler
_AS_TYPED = {ord(unicodedata.normalize("NFKC", jamo)): jamo for jamo in _JAMO}

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a token that is one byte

# What ends a sentence in NSMC: marks, hearts, ^^, ㅋㅋ, ㅠㅠ, in any mixture, and quotes or brackets that close behind
# them. White space or nothing follows; after .. ! ? … many write on at once. One full stop after a digit is none (3.5).
_MARK, _CLOSING = r"[.!?…。~^;♥♡★☆ㅋㅎㅠㅜㅡ]", r"""["'”’)\]」』]*"""
_ENDING = re.compile(
    rf"(?!(?<=\d)\.(?!{_MARK})){_MARK}+{_CLOSING}(?=\s|$)|{_MARK}*(?:\.\.|[!?…。]){_MARK}*{_CLOSING}")


def readable(tokenizer, token_ids) -> str:
    """The text of ``token_ids`` (T,) without special tokens, lone conjoining jamo put back as people type them.

    ``<unk>`` stays, unless it is eos as well: it stands for what the tokenizer has no token for. Bytes that the model
    wrote without finishing their character (U+FFFD once decoded) are left out.
    """
    ids = token_ids.tolist() if hasattr(token_ids, "tolist") else list(token_ids)
    unknown = tokenizer.convert_tokens_to_ids("<unk>") if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    if unknown in ids and unknown not in (tokenizer.eos_token_id, tokenizer.pad_token_id):
        hidden = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special} - {unknown}
        ids, skip = [number for number in ids if number not in hidden], False
    else:
        skip = True
    text = tokenizer.decode(ids, skip_special_tokens=skip)
    if "\ufffd" in text:
        text = tokenizer.decode(_whole_characters(tokenizer, ids), skip_special_tokens=skip).replace("\ufffd", "")
    return unicodedata.normalize("NFC", text).translate(_AS_TYPED)


def _whole_characters(tokenizer, ids: list[int]) -> list[int]:
    """``ids`` without the tokens of one byte that make no character: a decoder drops the whole characters beside
    them as well."""
    kept = []
    found = [_BYTE.fullmatch(token or "") for token in tokenizer.convert_ids_to_tokens(ids)]  # a spare row has no token
    for is_byte, run in groupby(zip(ids, found, strict=True), key=lambda pair: bool(pair[1])):
        if is_byte:
            data = bytes(int(byte[1], 16) for _, byte in run).decode("utf-8", errors="ignore").encode()
            kept += tokenizer.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in data])
        else:
            kept += [number for number, _ in run]
    return kept


def continuation(tokenizer, token_ids, prompt_length: int) -> str:
    """The readable text of what follows the first ``prompt_length`` of ``token_ids`` (T,).

    Its leading space is kept, which it loses where it is decoded alone: prompt and continuation make the whole text.
    """
    prompt, whole = readable(tokenizer, token_ids[:prompt_length]), readable(tokenizer, token_ids)
    if whole.startswith(prompt):
        return whole.removeprefix(prompt)
    return readable(tokenizer, token_ids[prompt_length:])  # its first jamo would join the prompt's last one


def cut_to_sentence(text: str) -> str:
    """``text`` up to the end of its last whole sentence; as it is where no sentence ends in it."""
    ends = [found.end() for found in _ENDING.finditer(text)]
    return text[: ends[-1]] if ends else text


def read_prompts(args) -> list[str]:
    """``[args.prompt]``, else one from each row of the file ``args.input`` (:func:`read_rows`) or, where that is ``-``
    or not named, from each line of standard input. Empty lines at the end are left off.

    Raises:
        UserError: there is none, or the input cannot be read.
    """
    if args.prompt is not None:
        return [args.prompt]
    if args.input is None and (sys.stdin is None or sys.stdin.isatty()):
        raise UserError("prompt: 이어 쓸 것이 없습니다. --prompt나 --input을 지정하세요.")
    if args.input in (None, "-"):
        name, prompts = "표준 입력", read_standard_input().splitlines()
    else:
        name, prompts = args.input, [text for text, in read_rows(args.input, args.text_column)]
        if suffix(Path(args.input)) not in LINES:
            return prompts or _no_prompts(name)
    while prompts and not prompts[-1].strip():
        prompts.pop()
    return prompts or _no_prompts(name)


def _no_prompts(name: str):
    raise UserError(f"input: {name}에 프롬프트가 없습니다. 한 줄에 하나씩 적거나 --prompt를 쓰세요.")


def read_standard_input() -> str:
    """Raises UserError where it is no text."""
    data = sys.stdin.buffer.read()
    for encoding in ("utf-8-sig", locale.getencoding()):  # UTF-8, else what a Windows console pipes
        try:
            return compose(data.decode(encoding))
        except UnicodeDecodeError:
            pass
    raise UserError("input: 표준 입력이 UTF-8이 아닙니다. UTF-8로 저장한 파일을 쓰세요.")


def encode_prompt(model, tokenizer, prompt: str, max_length: int | None = None, max_new_tokens: int | None = None):
    """The token ids of ``prompt``, (1, T), on the model's device.

    White space at its end is left off: a token begins with its space, so that a space alone would be one
    the model has hardly seen. ``max_new_tokens`` wins over ``max_length``, as in ``model.generate``; with neither,
    the latter is 50.

    Raises:
        UserError: the prompt is empty, leaves no room under ``max_length`` or for ``max_new_tokens``, or one of these
            is beyond the model's positions.
    """
    import torch

    ids = prompt_ids(model.config, tokenizer, prompt, max_length, max_new_tokens)
    quiet_false_alarm()
    return torch.tensor([ids], device=model.device)


def prompt_ids(config, tokenizer, prompt: str | Sequence[int], max_length: int | None = None,
               max_new_tokens: int | None = None) -> list[int]:
    """What :func:`encode_prompt` says, also of a prompt of token ids. An encoder-decoder model reads the prompt
    elsewhere than it writes: there both have all positions, and ``max_length`` counts what is written and the token
    that it begins with."""
    positions = max_positions(config) or math.inf
    if max_new_tokens is not None and max_new_tokens >= positions:
        raise UserError(f"max_new_tokens: 이 모델의 최대 길이는 {positions}토큰이라 {positions - 1} 이하여야 하는데 "
                        f"{max_new_tokens}입니다.")
    if max_new_tokens is None:
        max_length = min(50, positions) if max_length is None else max_length
        check_length(config, max_length, "max_length")
    if isinstance(prompt, str):
        if not prompt.strip():
            raise UserError("빈 프롬프트는 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")
        check_text("프롬프트", prompt)
        ids = tokenizer.encode(compose(prompt).rstrip())
    else:
        ids = list(prompt)
    if not ids:
        raise UserError("프롬프트: 이 모델의 토크나이저가 아는 글자가 없습니다. 다르게 적어 주세요.")
    if config.is_encoder_decoder:
        if len(ids) > positions:
            raise UserError(
                f"프롬프트가 {len(ids)}토큰이라 이 모델의 최대 길이({positions}토큰)를 넘습니다. 프롬프트를 줄이세요.")
    elif max_new_tokens is None and len(ids) >= max_length:
        raise UserError(
            f"프롬프트가 {len(ids)}토큰이라 max_length({max_length})에 이어 쓸 자리가 없습니다. 프롬프트를 줄이세요.")
    elif max_new_tokens is not None and len(ids) + max_new_tokens > positions:
        raise UserError(
            f"프롬프트가 {len(ids)}토큰이라 이 모델의 최대 길이({positions}토큰)에 새 토큰 {max_new_tokens}개를 쓸 "
            "자리가 없습니다. 프롬프트나 max_new_tokens를 줄이세요.")
    return ids


def quiet_false_alarm() -> None:
    """Drop one warning: ``generate`` leaves out a mask that hides nothing, and then misses it once one of several texts
    has ended; a training needs none, since its padding is where causal attention does not look."""
    logging.getLogger("transformers.modeling_utils").addFilter(_is_no_false_alarm)


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    return "input_ids may be padded" not in record.getMessage()
