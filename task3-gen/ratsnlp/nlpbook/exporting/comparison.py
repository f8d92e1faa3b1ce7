"""What an engine has written beside what the exported folder says that it should."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..generation.prompts import continuation
from .greedy import asked_in, text_of

SAME, TIED, DIFFERENT, ABSENT, UNREADABLE = "같음", "동점", "다름", "없음", "읽지 못함"


@dataclass(frozen=True)
class Outcome:
    """What became of an ``engine``: a ``verdict``, a ``reason`` on one line, and both texts where they differ."""

    engine: str
    verdict: str
    reason: str = ""
    texts: tuple[str, ...] = ()


def step(dtype: str) -> float:
    """How far apart neighbouring numbers of ``dtype`` are between 8 and 16, where logits of language models lie."""
    return 8 * torch.finfo(getattr(torch, dtype)).eps


def compared(engine: str, greedy: dict, answers: list[list[int] | str], tokenizer) -> Outcome:
    """Of the ``answers`` of an engine to the texts of ``greedy``, token ids or texts alone, the worst: one that is not
    ours, else one that parts from ours where two tokens were as likely, as far as that dtype can tell. The token that
    ends a text is not compared, nor white space around a text that was decoded alone."""
    verdict, reason, texts = SAME, f"텍스트 {len(answers)}개", ()
    for ours, theirs in zip(greedy["texts"], answers, strict=True):
        if isinstance(theirs, str):
            read = continuation_of if engine == "generate" else text_of
            place = _place_in_text(theirs, len(ours["ids"]), lambda count, read=read, ours=ours: read(
                tokenizer, ours["prompt_ids"], ours["ids"][:count]))
            rival = None
        else:
            read, place = text_of, _place(ours["ids"], theirs, greedy["ends"])
            rival = theirs[place] if place is not None and place < len(theirs) else None
        if place is None:
            continue
        gaps = dict(ours["rivals"][min(place, len(ours["rivals"]) - 1)])
        gap, within = gaps.get(rival, min(gaps.values()) if rival is None else math.inf), 2 * step(greedy["dtype"])
        tied = gap <= within
        if verdict == SAME or verdict == TIED and not tied:
            verdict = TIED if tied else DIFFERENT
            apart = f"{gap:g}" if gap < math.inf else f"{max(gaps.values()):g} 이상"
            reason = (f"{asked_in(ours)!r}의 {place + 1}번째 새 토큰부터. 거기서 두 토큰의 로짓 차이는 {apart}"
                      f"({greedy['dtype']}의 동점은 {within:.2g} 이하)")
            written = theirs if isinstance(theirs, str) else read(tokenizer, ours["prompt_ids"], theirs)
            texts = read(tokenizer, ours["prompt_ids"], ours["ids"]).strip(), written.strip()
    return Outcome(engine, verdict, reason, texts)


def compared_likelihoods(engine: str, greedy: dict, answers: list[float]) -> Outcome:
    """The same of log-likelihoods (nats), which are ours up to what the dtype rounds off."""
    eps = torch.finfo(getattr(torch, greedy["dtype"])).eps
    differences = [abs(ours["loglikelihood"] - theirs) for ours, theirs in zip(greedy["texts"], answers, strict=True)]
    allowed = [1e-3 + eps * abs(each["loglikelihood"]) for each in greedy["texts"]]
    same = all(difference <= most for difference, most in zip(differences, allowed, strict=True))
    return Outcome(engine, SAME if same else DIFFERENT,
                   f"로그 우도 {len(answers)}개의 차이가 {max(differences):.2g} 이하(허용 {max(allowed):.2g})")


def continuation_of(tokenizer, prompt_ids: list[int], ids: list[int]) -> str:
    """The text as this project's scripts write it."""
    return continuation(tokenizer, [*prompt_ids, *ids], len(prompt_ids))


def _place(ours: list[int], theirs: list[int], ends: list[int]) -> int | None:
    """The first place at which they are not the same token; None where there is none."""
    ours, theirs = ([*(token for token in ids if token not in ends), None] for ids in (ours, theirs))
    return next((place for place, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)


def _place_in_text(theirs: str, count: int, of_first: Callable[[int], str]) -> int | None:
    """The first token of ours with which the text is no beginning of ``theirs``; ``of_first(n)`` is that of n tokens.
    """
    if of_first(count).strip() == theirs.strip():
        return None
    begun = theirs.lstrip()
    return next((number for number in range(count) if not begun.startswith(
        of_first(number + 1).lstrip().removesuffix("\N{REPLACEMENT CHARACTER}"))), count)
