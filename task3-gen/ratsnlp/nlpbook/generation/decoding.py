"""Decoding: the sixteen settings that the tutorial compares, prompts that fit the model, and text that people can read."""

import logging
import unicodedata
from dataclasses import dataclass, field

from ..devices import resolve_device
from ..errors import UserError
from ..pretrained import max_positions
from .arguments import GenerationInferArguments
from .models import load_finetuned, load_pretrained

# ``generate`` drops a mask that hides nothing, and then warns that there is none as soon as one of several texts has ended.
logging.getLogger("transformers.modeling_utils").addFilter(lambda record: "input_ids may be padded" not in record.getMessage())


@dataclass(frozen=True)
class Setting:
    """Arguments of ``model.generate`` and a Korean line on what to look for in the text that they give."""

    look_for: str
    arguments: dict = field(default_factory=dict)

    def __str__(self):
        return ", ".join(f"{name}={value}" for name, value in self.arguments.items())


_GREEDY = {"do_sample": False, "min_length": 10, "max_length": 50}
_SAMPLE = {"do_sample": True, "min_length": 10, "max_length": 50}

SETTINGS = [
    Setting("그리디 서치: 매번 확률이 가장 높은 토큰 하나만 고릅니다. 몇 번을 실행해도 같은 글입니다.", _GREEDY),
    Setting("빔 서치: 후보 셋을 끝까지 견주어 전체 확률이 가장 높은 글을 고릅니다. [1]과 어디서 갈라지나요?", _GREEDY | {"num_beams": 3}),
    Setting("빔이 하나인 빔 서치는 그리디 서치입니다. [1]과 글자 하나까지 같습니다.", _GREEDY | {"num_beams": 1}),
    Setting("세 토큰이 한 번 나온 그대로는 다시 나오지 못합니다. [1]의 되풀이가 사라졌나요?", _GREEDY | {"no_repeat_ngram_size": 3}),
    Setting("반복 벌점 1.0은 벌점이 없는 것입니다. [1]과 같습니다.", _GREEDY | {"repetition_penalty": 1.0}),
    Setting("이미 나온 토큰의 점수를 조금 깎습니다. 어디부터 [5]와 달라지나요?", _GREEDY | {"repetition_penalty": 1.1}),
    Setting("조금 더 깎습니다. 되풀이가 줄어드는 대신 무엇이 바뀌나요?", _GREEDY | {"repetition_penalty": 1.2}),
    Setting("많이 깎습니다. 조사나 문장 부호처럼 꼭 필요한 반복까지 피하지는 않나요?", _GREEDY | {"repetition_penalty": 1.5}),
    Setting("톱-k 샘플링: 확률이 높은 50개 가운데 확률만큼 뽑습니다. 시드를 바꾸면 글도 바뀝니다.", _SAMPLE | {"top_k": 50}),
    Setting("하나 가운데 뽑으면 그리디 서치입니다. [1]과 같습니다.", _SAMPLE | {"top_k": 1}),
    Setting("온도가 0에 가까우면 확률이 한 토큰에 쏠립니다. [1]과 거의 같습니다.", _SAMPLE | {"top_k": 50, "temperature": 0.01}),
    Setting("온도 1.0은 모델의 확률 그대로입니다. [9]와 같습니다.", _SAMPLE | {"top_k": 50, "temperature": 1.0}),
    Setting("온도가 아주 높으면 50개가 모두 같은 확률이 됩니다. 글이 얼마나 무너지나요?", _SAMPLE | {"top_k": 50, "temperature": 1e8}),
    Setting("톱-p 샘플링: 확률을 큰 것부터 더해 0.92가 될 때까지의 토큰에서 뽑습니다.", _SAMPLE | {"top_p": 0.92}),
    Setting("0.01을 채우는 데는 토큰 하나면 됩니다. [1]과 같습니다.", _SAMPLE | {"top_p": 0.01}),
    Setting("모두 함께: 되풀이는 막고, 가망 없는 토큰은 버리고, 남은 것에서 조금 차분하게 뽑습니다.", _SAMPLE | {
        "repetition_penalty": 1.5, "no_repeat_ngram_size": 3, "temperature": 0.9, "top_k": 50, "top_p": 0.92}),
]

# NFKC, which KoGPT2's tokenizer applies, makes the conjoining ᄏ (U+110F) of ㅋ (U+314B), which fonts show badly.
_JAMO = [chr(code) for code in range(0x3131, 0x318F) if code != 0x3164]  # as people type them; U+3164 is a filler
_AS_TYPED = {ord(unicodedata.normalize("NFKC", jamo)): jamo for jamo in _JAMO}


def readable(tokenizer, token_ids) -> str:
    """The text of ``token_ids`` (T,) without special tokens, lone conjoining jamo put back as people type them.

    Bytes that the model wrote without finishing their character (U+FFFD once decoded) are left out.
    """
    text = unicodedata.normalize("NFC", tokenizer.decode(token_ids, skip_special_tokens=True))
    return text.translate(_AS_TYPED).replace("\ufffd", "")


def load_for_inference(args: GenerationInferArguments, eos_token: str | None = None):
    """``(model, tokenizer)``: the fine-tuned one if ``args`` names its folder, else the pretrained one; on the GPU where there is one."""
    if args.downstream_model_dir is not None:
        model, tokenizer = load_finetuned(args.downstream_model_dir, args.pretrained_model_name)
    else:
        model, tokenizer = load_pretrained(args.pretrained_model_name, eos_token)
    return model.to(resolve_device()), tokenizer


def encode_prompt(model, tokenizer, prompt: str, max_length: int = 50):
    """The token ids of ``prompt``, (1, T), on the model's device.

    White space at its end is left off: a token begins with its space, so that a space alone would be one the model has hardly seen.

    Raises:
        UserError: the prompt is empty, leaves no room under ``max_length``, or ``max_length`` is beyond the model's positions.
    """
    positions = max_positions(model.config)
    if positions is not None and max_length > positions:
        raise UserError(f"max_length: 이 모델의 위치는 {positions}개라 {positions} 이하여야 하는데 {max_length}입니다.")
    if not prompt.strip():
        raise UserError("빈 글은 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")
    input_ids = tokenizer.encode(prompt.rstrip(), return_tensors="pt")
    length = input_ids.shape[1]
    if length >= max_length:
        raise UserError(f"주어진 글이 {length}토큰이라 max_length({max_length})에 이어 쓸 자리가 없습니다. 글을 줄이세요.")
    return input_ids.to(model.device)
