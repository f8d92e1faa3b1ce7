"""The report of an evaluation: a table for people and JSON for programs."""

import platform
import shlex
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from ..files import whole_file, write_json
from ..generation.samples import Sample
from .metrics import LONG


def report_table(report: dict) -> str:
    """The figures of :func:`write_report` as a table in Korean: the model's and those of human reviews."""
    control, model, human = report["control"], report["diversity"]["model"], report["diversity"]["human"]
    rows = [
        ("글자당 비트", f"{report['bits_per_char']:.3f}", ""),
        ("토큰당 내트", f"{report['nats_per_token']:.3f}", ""),
    ]
    for name in ("긍정", "부정", "둘 다"):
        share, (low, high) = control[name]["accuracy"], control[name]["interval"]
        each = f"'{name}'으로 시작한 텍스트가 {name}으로 분류된 비율"
        label = "제어 단어 일치율(위의 둘을 합쳐서)" if name == "둘 다" else each
        rows.append((label, f"{share:.1%} ({low:.1%}–{high:.1%})", f"{control[name]['human_accuracy']:.1%}"))
    rows += [(name, f"{model[key]:.3f}", f"{human[key]:.3f}") for key, name in (
        ("distinct_1", "distinct-1"), ("distinct_2", "distinct-2"), ("self_bleu", "self-BLEU"))]
    rows += [
        ("반복된 4-gram", f"{model['repeated_4grams']:.1%}", f"{human['repeated_4grams']:.1%}"),
        ("평균 길이(음절)", f"{model['mean_syllables']:.1f}", f"{human['mean_syllables']:.1f}"),
        ("eos로 끝남", f"{report['ended']:.1%}", ""),
        ("학습 리뷰와 똑같음", f"{model['verbatim']:.1%}", f"{human['verbatim']:.1%}"),
        (f"{LONG}음절 이상 가운데 똑같음", f"{model['verbatim_long']:.1%}", f"{human['verbatim_long']:.1%}"),
    ]
    return "\n".join(["| | 모델 | 사람 |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)])


def write_report(args, reviews: int, bits: dict, control: dict, diversity: dict,
                 samples: dict[str, list[Sample]]) -> dict:
    """Write ``report.json`` and ``report.md``, each whole or not at all, into ``args.report_dir``;
    returns what the former holds.

    ``bits`` is of :func:`~.bits.bits_per_character`, ``control`` of :func:`~.judge.agreement` by control word,
    ``diversity`` of :func:`~.metrics.diversity` for ``model`` and ``human``, ``samples`` the texts by control word.
    """
    written = [sample for texts in samples.values() for sample in texts]
    versions = {name: version(name) for name in ("torch", "transformers", "scikit-learn")}
    report = {
        "model": args.downstream_model_dir or args.pretrained_model_name, "corpus": args.downstream_corpus_name,
        "reviews": reviews, **bits, "control": control, "diversity": diversity,
        "ended": sum(sample.ended for sample in written) / len(written),
        "samples": [f"{word} {sample.text}" for word, texts in samples.items() for sample in texts[:10]],
        "command": shlex.join(["python", f"task3-gen/{Path(sys.argv[0]).name}", *sys.argv[1:]]), "seed": args.seed,
        "arguments": asdict(args), "versions": {"python": platform.python_version(), **versions},
    }
    folder = Path(args.report_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", report)
    with whole_file(folder / "report.md") as unfinished:
        unfinished.write_text(_page(report), encoding="utf-8")
    return report


def _page(report: dict) -> str:
    samples = "\n".join(f"{number}. {text}" for number, text in enumerate(report["samples"], start=1))
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return (f"# {report['model']}\n\n{report['corpus']}의 테스트 리뷰 {report['reviews']:,}개로 평가했습니다. "
            "'사람' 열은 사람이 쓴 테스트 리뷰의 값이고, 괄호 안은 95% 신뢰 구간입니다.\n\n"
            f"```sh\n{report['command']}\n```\n\n"
            f"{report_table(report)}\n\n## 처음 쓴 텍스트\n\n{samples}\n\n시드 {report['seed']}, {versions}\n")
