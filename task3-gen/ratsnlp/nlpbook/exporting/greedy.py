"""What a model writes under greedy search, beside it in a file, so that other programs can compare with it."""

import json
from importlib.metadata import version
from pathlib import Path

import torch

from ..errors import UserError
from ..generation.chat import DATE, chat_ids, encode, ends_of, has_template, render
from ..pretrained import check_length, load_tokenizer, load_weights

FILE = "greedy.json"
NEW_TOKENS = 30
PROMPTS = ("긍정", "부정", "이 영화는", "긍정 배우들의 연기가", "부정 처음부터 끝까지")
QUESTIONS = ("이 영화를 추천하나요?", "주말에 볼 영화를 하나 추천해 주세요.")  # to a model with a chat template
RIVALS = 4  # tokens that are named beside the one chosen
SENTENCE = " 정말 재미있게 본 영화입니다."  # whose log-likelihood behind each prompt is told


def greedy_texts(folder: Path) -> dict:
    """What the model of ``folder`` writes in the dtype of its file, on the CPU, and how sure it is.

    Of each of ``texts``: the ``prompt`` and its ``prompt_ids``, the new ``ids`` (up to ``new_tokens``, one of ``ends``
    among them) and the ``text`` that they are; of each new token the ``rivals``, those that came closest, and by how
    much the logit of each was lower; the ``loglikelihood`` (nats) of the ``continuation``.

    Raises:
        UserError: what the model computes is not finite in that dtype, or it has not as many positions.
    """
    tokenizer, model = load_tokenizer(str(folder)), load_weights(str(folder), "auto").eval()
    template = {}
    if has_template(tokenizer):
        template = {"chat_template_kwargs": {"enable_thinking": False, "date_string": DATE}}
        asked = [{"messages": [{"role": "user", "content": question}]} for question in QUESTIONS]
        asked = [{**each, "prompt": render(tokenizer, each["messages"]),
                  "prompt_ids": chat_ids(tokenizer, each["messages"])} for each in asked]
    else:
        asked = [{"prompt": prompt, "prompt_ids": tokenizer.encode(prompt)} for prompt in PROMPTS]
    behind = max(NEW_TOKENS, len(tokenizer.encode(SENTENCE)))
    check_length(model.config, max(len(each["prompt_ids"]) for each in asked) + behind, FILE)
    return {
        "dtype": str(model.dtype).removeprefix("torch."), "new_tokens": NEW_TOKENS, "ends": ends_of(model, tokenizer),
        **template,
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "texts": [{**each, **_written(model, tokenizer, each["prompt_ids"]), "continuation": SENTENCE,
                   "loglikelihood": _loglikelihood(model, tokenizer, each)} for each in asked]}


def read_greedy(folder: Path) -> dict:
    return json.loads((folder / FILE).read_text(encoding="utf-8"))


def asked_in(text: dict) -> str:
    """The prompt of one of ``texts``, or the question, as a person asks it."""
    return text["messages"][0]["content"] if "messages" in text else text["prompt"]


def text_of(tokenizer, prompt_ids: list[int], ids: list[int]) -> str:
    """What ``ids`` add to the text of ``prompt_ids``. (Decoded alone they would lose a space before them.)"""
    before = tokenizer.decode(prompt_ids, skip_special_tokens=True)
    whole = tokenizer.decode([*prompt_ids, *ids], skip_special_tokens=True)
    return whole.removeprefix(before) if whole.startswith(before) else tokenizer.decode(ids, skip_special_tokens=True)


def _written(model, tokenizer, prompt_ids: list[int]) -> dict:
    found = model.generate(
        torch.tensor([prompt_ids]), attention_mask=torch.ones(1, len(prompt_ids), dtype=torch.long), do_sample=False,
        max_new_tokens=NEW_TOKENS, output_scores=True, return_dict_in_generate=True)
    ids = found.sequences[0, len(prompt_ids):].tolist()
    scores = torch.cat(found.scores).float()
    chosen = scores.gather(1, torch.tensor(ids)[:, None])
    if not chosen.isfinite().all():
        raise UserError(f"dtype: {str(model.dtype).removeprefix('torch.')}로 계산하면 값이 넘칩니다. "
                        "--dtype bfloat16이나 float32로 내보내세요.")
    near = (chosen - scores).scatter(1, torch.tensor(ids)[:, None], torch.inf).topk(RIVALS, largest=False)
    rivals = [[[token, float(f"{gap:.4g}")] for token, gap in zip(*each, strict=True)]
              for each in zip(near.indices.tolist(), near.values.tolist(), strict=True)]
    return {"ids": ids, "text": text_of(tokenizer, prompt_ids, ids), "rivals": rivals}


@torch.no_grad()
def _loglikelihood(model, tokenizer, asked: dict) -> float:
    """Of ``SENTENCE`` behind the prompt, white space at whose end counts among it, as with lm-eval."""
    encoded = (lambda text: encode(tokenizer, text)) if "messages" in asked else tokenizer.encode
    whole = encoded(asked["prompt"] + SENTENCE)
    known = len(encoded(asked["prompt"].rstrip()))
    logits = model(torch.tensor([whole])).logits[0, known - 1:-1].float()
    told = logits.log_softmax(-1).gather(-1, torch.tensor(whole[known:])[:, None])
    return told.sum().item()
