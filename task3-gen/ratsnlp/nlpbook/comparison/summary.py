"""Results over many seeds: figures beside those of human reviews, other models beside this one, and the report."""

from __future__ import annotations

import random
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ..display import COLUMNS, pad, table, width, wrap
from ..generation.features import GenerationExample
from ..generation.models import load_by_name
from ..generation.nsmc import NsmcCorpus
from ..generation.prompts import encode_prompt
from .outcomes import Outcome, human_figures, outcomes

if TYPE_CHECKING:
    from .tour import Tour

REPORTED = 20  # texts of each setting that draws, where a report is asked for and nobody says how many
HEADER = ["", "distinct-2", "반복된 4-gram", "평균 길이(음절)", "eos로 끝남", "토큰당 로그확률", "텍스트"]


def summarize(tour: Tour) -> str:
    """Continue the prompt from many seeds with each model; returns what is printed of it, and writes the report
    where one is asked for."""
    args, settings = tour.args, list(tour.settings.values())
    count = args.samples or REPORTED
    first = random.randrange(2**31) if args.seed is None else args.seed
    names, found, human, pictures = [tour.model_name, *args.models], {label: [] for label in tour.settings}, [], []
    reviews = human_reviews(args, count)
    for name in names:
        model, tokenizer, input_ids = tour.model, tour.tokenizer, tour.input_ids
        if name != tour.model_name:
            model, tokenizer = load_by_name(name)
            input_ids = encode_prompt(model, tokenizer, args.input_sentence)
        came = outcomes(model, tokenizer, input_ids, settings, range(first, first + count), args.whole_sentences)
        for label, each in zip(found, came, strict=True):
            found[label].append(each)
        human.append(human_figures(model, tokenizer, reviews))
        if args.report:
            pictures.append(picture_data(model, tokenizer, input_ids))
    lines = []
    if args.models:
        lines += [grid(tour, names, found)]
    if count > 1:
        lines += [tables(names, found, human, first, count)]
    if args.report:
        lines += [report(tour, names, found, human, pictures, first, count)]
    return "\n\n" + "\n\n".join(lines)


def human_reviews(args, count: int) -> list[GenerationExample]:
    """As many test reviews as there are texts, of the prompt's control word where it begins with one."""
    reviews = NsmcCorpus().get_examples(
        Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name, "test")
    asked = [review for review in reviews if args.input_sentence.split()[0] == review.control.strip()]
    chosen = asked or reviews
    return random.Random(args.seed).sample(chosen, min(count, len(chosen)))


def grid(tour: Tour, names: list[str], found: dict[str, list[Outcome]]) -> str:
    """The first text of each model by each setting, one under the other."""
    columns = max(map(width, names))
    lines = ["같은 시드, 다른 모델"]
    for label, each in found.items():
        lines += ["", wrap(f"{label} {tour.changes(label)}", COLUMNS)]
        lines += [f"   {pad(name, columns)} │ {' '.join(came.texts[0].split())}"
                  for name, came in zip(names, each, strict=True)]
    return "\n".join(lines)


def tables(names: list[str], found: dict[str, list[Outcome]], human: list[dict], first: int, count: int) -> str:
    """The figures of every setting, and of what people wrote, a table a model."""
    lines = [wrap(
        f"시드 {first}부터 {first + count - 1}까지 {count}개씩 쓴 결과입니다. 뽑지 않는 설정은 언제나 같은 텍스트가 "
        f"나오므로, 같은 텍스트 {count}개로 계산합니다.", COLUMNS)]
    for number, name in enumerate(names):
        rows = [row(label, came[number].figures) for label, came in found.items()]
        lines += ["", *([name] if len(names) > 1 else []), table([HEADER, *rows, row("사람의 리뷰", human[number])])]
    lines += ["", wrap(
        "후보를 자르면 다양성뿐 아니라 길이도 줄어듭니다. 짧으면 반복도 적으니, 세 값을 사람의 리뷰와 함께 보세요. "
        "로그확률이 높다고 좋은 텍스트는 아닙니다. 사람의 리뷰보다 높으면 모델에게 그만큼 뻔한 텍스트입니다.", COLUMNS)]
    return "\n".join(lines)


def row(label: str, figures: dict) -> list[str]:
    ended = "" if figures["ended"] is None else f"{figures['ended']:.0%}"
    return [label, f"{figures['distinct_2']:.3f}", f"{figures['repeated_4grams']:.1%}",
            f"{figures['mean_syllables']:.1f}", ended, f"{figures['log_prob']:.2f}", f"{figures['texts']}"]


def picture_data(model, tokenizer, input_ids) -> dict:
    from .pictures_data import beam_tree, greedy_path, next_token

    return {
        "next_token": next_token(model, tokenizer, input_ids), "greedy_path": greedy_path(model, tokenizer, input_ids),
        "beam_trees": [beam_tree(model, tokenizer, input_ids, num_beams) for num_beams in (2, 3)]}


def report(tour: Tour, names: list[str], found: dict[str, list[Outcome]], human: list[dict], pictures: list[dict],
           first: int, count: int) -> str:
    """Write what was compared, as a page and as JSON; returns the line that says where it lies."""
    from .page import write_report

    def told(label: str, number: int, came: Outcome) -> dict:
        shown = tour.shown.get(label)
        earlier = [other for other in list(found)[: list(found).index(label)]
                   if found[other][number].texts == came.texts]
        return {
            "texts": came.texts, "prompt_characters": len(came.prompt), "ended": came.ended,
            "tokens": came.tokens, "seconds": shown.seconds if shown and not number else None,
            "same_as": earlier[0] if earlier else None, "candidates": list(came.cuts().items()),
            "figures": came.figures}

    folder = Path(tour.args.report)
    write_report(folder, {
        "title": tour.model_name, "prompt": tour.args.input_sentence, "seed": first, "samples": count,
        "command": shlex.join(["python", f"task3-gen/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "versions": {name: version(name) for name in ("torch", "transformers")}, "models": names,
        "settings": [{
            "label": label, "number": int(label[1:-1]) if label[1:-1].isdecimal() else None,
            "options": str(tour.settings[label]), "changes": tour.changes(label),
            "look_for": tour.settings[label].look_for,
            "outcomes": [told(label, number, came) for number, came in enumerate(each)],
        } for label, each in found.items()],
        "human": human, "pictures": pictures}, png=tour.args.png)
    return f"보고서: {folder / 'report.html'}"
