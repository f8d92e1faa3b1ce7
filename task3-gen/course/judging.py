"""How results are judged: against what the bundled model gives by the right settings, and by those known to be wrong.

A search has one right result, which is compared. A draw has many: what was drawn is told by how probable each setting
makes it, so that any way of drawing passes, and a wrong one is named by the setting that explains it best.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .checking import Run, Wrong, as_list


@cache
def reference():
    """``(model, tokenizer)`` of the bundled model."""
    from ratsnlp.nlpbook.generation import load_pretrained

    return load_pretrained("kogpt-mini")


@cache
def prompt_ids(prompt: str) -> tuple[int, ...]:
    """The token ids of ``prompt``."""
    from ratsnlp.nlpbook.generation import encode_prompt

    return tuple(encode_prompt(*reference(), prompt)[0].tolist())


def text_of(ids) -> str:
    from ratsnlp.nlpbook.generation import readable

    return readable(reference()[1], ids)


def generated(prompt: str, model=None, **arguments) -> list[int]:
    """What ``generate`` of ``model``, by default of the bundled one, gives."""
    import torch

    model = model or reference()[0]
    with torch.inference_mode():
        return model.generate(torch.tensor([prompt_ids(prompt)]), **arguments)[0].tolist()


def check_bundled_model(model) -> None:
    """Raises Wrong unless ``model`` is the bundled causal language model with its weights, ready to generate."""
    import torch

    if not isinstance(model, torch.nn.Module):
        raise Wrong(f"model은 모델이어야 하는데 {type(model).__name__}입니다. 불러오는 함수가 반환한 것을 넣으세요.")
    if not hasattr(model, "generate") or not hasattr(model, "lm_head"):
        raise Wrong(f"{type(model).__name__}에는 다음 토큰의 점수를 계산하는 층(lm_head)이 없습니다. 언어 모델 "
                    "(CausalLM, LMHead)로 불러오세요.")
    right = reference()[0].state_dict()
    given = model.state_dict()
    if given.keys() != right.keys() or any(given[name].shape != right[name].shape for name in right):
        raise Wrong("kogpt-mini와 구조가 다른 모델입니다. model_name의 모델을 불러왔나요?")
    if not all(torch.allclose(given[name].float().cpu(), right[name], atol=2e-3) for name in right):
        raise Wrong("구조는 kogpt-mini와 같지만 가중치가 다릅니다. from_config로 만들면 무작위 가중치입니다. 사전 "
                    "학습한 가중치를 불러오세요.")
    if model.training:
        raise Wrong("모델이 학습 모드입니다. 생성할 때는 드롭아웃을 끄도록 model.eval()을 부르세요.")


def check_starts_with(run: Run, ids: list[int], prompt: str, what: str) -> None:
    """Raises Wrong where ``ids`` do not go on with ``prompt``."""
    beginning = list(prompt_ids(prompt))
    if ids[: len(beginning)] == beginning:
        if len(ids) == len(beginning):
            raise Wrong(f"{what}: 프롬프트뿐이고 이어 쓴 것이 없습니다.")
        return
    if not ids:
        raise Wrong(f"{what}: 비어 있습니다.")
    if run.says(text_of(ids)):
        raise Wrong(f"{what}: 프롬프트를 {prompt!r}로 바꾸어 실행했는데 파일에 적어 넣은 텍스트가 나왔습니다. 결과를 "
                    "적지 말고 generate가 반환한 것을 쓰세요.")
    raise Wrong(f"{what}: 프롬프트 {prompt!r}로 시작하지 않습니다. 이 프롬프트의 input_ids를 generate에 넘겼나요? "
                "프롬프트를 잘라 내지 않았나요?")


def check_search(run: Run, given, prompt: str, what: str, right: dict[str, Any],
                 wrong: dict[str, dict[str, Any]]) -> None:
    """Raises Wrong unless the token ids ``given`` are what the search ``right`` gives after ``prompt``.

    ``wrong`` has for each known misconception its sentence and the arguments of ``generate`` that it comes to.
    """
    ids = ids_of(given, what)
    check_starts_with(run, ids, prompt, what)
    best = generated(prompt, **right)
    if ids == best:
        return
    call = run.call_of(ids)
    if call.get("do_sample"):
        beams = call.get("num_beams", 1) > 1
        raise Wrong(f"{what}: " + (
            "빔 서치에 do_sample=True를 함께 넘겼습니다. 그러면 빔마다 토큰을 뽑아, 실행할 때마다 다른 텍스트가 됩니다."
            if beams else "do_sample=True로 뽑았습니다. 확률이 가장 높은 토큰을 고르려면 do_sample=False입니다."))
    for sentence, arguments in wrong.items():
        if ids == generated(prompt, **arguments):
            raise Wrong(f"{what}: {sentence}")
    parts = next((place for place, (own, other) in enumerate(zip(ids, best, strict=False)) if own != other),
                 min(len(ids), len(best)))
    raise Wrong(f"{what}: 기대한 텍스트와 {parts + 1}번째 토큰부터 다릅니다. 나온 것은 {text_of(ids)!r}, 기대한 것은 "
                f"{text_of(best)!r}입니다. generate에 넘긴 옵션을 다시 보세요.")


def ids_of(given, what: str) -> list[int]:
    """The token ids of one text: a tensor or list (T,) or (1, T). Raises Wrong for anything else."""
    if isinstance(given, str):
        raise Wrong(f"{what}: 텍스트가 아니라 generate가 반환한 토큰 번호를 넣으세요. 텍스트로는 아래에서 바꿉니다.")
    given = getattr(given, "sequences", given)
    try:
        ids = as_list(given)
    except TypeError:
        raise Wrong(f"{what}: generate가 반환한 토큰 번호여야 하는데 {type(given).__name__}입니다.") from None
    if not all(type(number) is int for number in ids):
        raise Wrong(f"{what}: 토큰 번호(정수)여야 하는데 다른 수가 들어 있습니다. 점수(logits)를 넣지 않았나요?")
    return ids


UNLIKELY = -12.0  # nats; for a token that a setting has cut off: almost never, as a boundary may lie a rounding away


@cache
def _logits(ids: tuple[int, ...], prompt_length: int):
    """The bundled model's logits of each token after the prompt, (T, V)."""
    import torch

    with torch.inference_mode():
        return reference()[0](torch.tensor([ids])).logits[0, prompt_length - 1 : -1].float()


def log_likelihood(ids: list[int], prompt_length: int, **setting) -> float:
    """How probable a draw with ``setting`` (arguments of ``generate``) makes the tokens after the prompt, in nats."""
    import torch
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = _logits(tuple(ids), prompt_length).clone()
    scores[: max(0, setting.get("min_length", 0) - prompt_length), reference()[0].config.eos_token_id] = -torch.inf
    warpers = {"temperature": TemperatureLogitsWarper, "top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper}
    used = LogitsProcessorList(make(setting[name]) for name, make in warpers.items() if setting.get(name))
    scores = used(None, scores)
    chosen = scores.log_softmax(-1).gather(1, torch.tensor(ids[prompt_length:])[:, None])
    return float(chosen.clamp(min=UNLIKELY).sum())


def check_draw(ids: list[int], prompt: str, what: str, right: dict[str, Any], wrong: dict[str, dict[str, Any]],
               margin: float = 7.0) -> None:
    """Raises Wrong with the sentence of a setting that explains the draw ``ids`` (token ids, prompt included) better
    than ``right`` does, by ``margin`` nats at least: less than once in a thousand for each setting of ``wrong`` where
    ``right`` was used."""
    length = len(prompt_ids(prompt))
    best, sentence = max((log_likelihood(ids, length, **setting), sentence) for sentence, setting in wrong.items())
    if best > log_likelihood(ids, length, **right) + margin:
        raise Wrong(f"{what}: {sentence}")
