"""Makes docs/flags.md anew: the flags of all scripts, as their ``--help`` shows them.

    python docs/flags.py
"""

import re
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS, PAGE = REPOSITORY / "task3-gen", REPOSITORY / "docs" / "flags.md"
sys.path.insert(0, str(SCRIPTS))

from ratsnlp import nlpbook  # noqa: E402
from ratsnlp.nlpbook.arguments import Flag, bounds, flags_by_heading  # noqa: E402

FAMILIES = {  # heading: what the scripts do; N is the number of a model
    "train_gen-N.py": "모델을 영화 리뷰(NSMC)로 파인튜닝합니다.",
    "train.py":
        "내 텍스트로, 또는 질문과 답변으로 파인튜닝합니다. 옵션의 이름은 허깅페이스의 학습 스크립트와 같습니다. "
        "질문과 답변은 [지시와 대화](instructions.md)에 있습니다.",
    "pretrain_gen-0.py": "토크나이저와 작은 GPT-2를 처음부터 만듭니다.",
    "infer_gen-N.py":
        "같은 문장을 여러 디코딩 설정으로 이어 쓰게 해서 비교합니다. "
        "디코딩 옵션을 지정하면 그 값으로 된 설정을 더합니다. "
        "지정하지 않은 디코딩 옵션은 transformers의 기본값을 따릅니다(샘플링할 때 `top_k`는 50). "
        "자세한 것은 [디코딩](decoding.md)에 있습니다.",
    "generate.py": "프롬프트 하나, 또는 파일에 든 여러 개를 이어 씁니다.",
    "serve_gen-N.py": "파인튜닝한 모델을 웹 페이지와 API로 엽니다. 자세한 것은 [서버](serving.md)에 있습니다.",
    "export.py":
        "모델을 다른 엔진이 읽는 폴더로 내보내고, 엔진마다 같은 텍스트를 쓰는지 비교합니다. "
        "폴더는 옵션 이름 없이 적어도 됩니다. 자세한 것은 [다른 엔진에서 쓰기](export.md)에 있습니다.",
    "train_sum-0.py, train_sum-1.py":
        "모델이 대화를 요약하도록 학습합니다. 자세한 것은 [대화 요약](summarization.md)에 있습니다.",
    "infer_sum-0.py, infer_sum-1.py": "대화를 요약합니다. 사람의 요약이 있으면 ROUGE를 계산합니다.",
    "train_sum-2.py, train_sum-3.py":
        "큰 언어 모델이 지시를 따라 대화를 요약하도록 학습합니다. "
        "자세한 것은 [지시와 대화](instructions.md)에 있습니다.",
    "infer_sum-2.py, infer_sum-3.py": "큰 언어 모델에게 지시해 대화를 요약합니다.",
    "eval_gen.py": "모델을 평가해 보고서를 남깁니다.",
    "compare_gen.py": "파인튜닝 전과 후의 모델을 비교합니다.",
    "topic_overlap.py": "더 알아보기: BLEU, chrF, ROUGE로 생성한 텍스트를 사람의 리뷰와 비교합니다.",
    "topic_filter.py": "더 알아보기: 욕설과 비하를 거르는 필터 두 가지를 비교합니다.",
    "topic_blind.py": "더 알아보기: 어느 쪽이 사람이 쓴 리뷰인지 고르는 웹 페이지를 엽니다.",
    "topic_bias.py": "더 알아보기: 프롬프트의 한 단어를 바꾸어 이어 쓴 내용을 비교합니다.",
    "topic_prompts.py": "더 알아보기: 프롬프트의 표현과 예시로 텍스트를 유도합니다.",
    "bench_gen.py": "학습, 디코딩, 서버의 속도를 측정합니다.",
    "step1_basic_generation.py": "실습 1단계: 언어 모델로 문장을 이어 씁니다.",
    "step2_generation_strategies.py": "실습 2단계: 토큰을 고르는 방법을 비교합니다.",
    "step3_parameter_tuning.py": "실습 3단계: 온도, top-k, top-p를 직접 계산하고 조절합니다.",
    "step4_model_training.py": "실습 4단계: 모델을 파인튜닝합니다.",
    "step5_web_service.py": "실습 5단계: 파인튜닝한 모델을 웹 서비스로 엽니다.",
    "check.py": "실습을 채점합니다. 단계의 번호는 `--steps` 없이 적어도 됩니다: `check.py 1 2 --class 3반`.",
}
INTRODUCTION = """# 옵션

`task3-gen/`의 모든 스크립트가 받는 옵션입니다. 같은 내용을 `--help`로도 볼 수 있습니다.

```sh
python task3-gen/train_gen-0.py --help
python task3-gen/train_gen-0.py --epochs 2 --resume
python task3-gen/train_gen-0.py task3-gen/experiments/train_gen-0.yaml --epochs 2   # 설정 파일(YAML이나 JSON)
python task3-gen/train_gen-0.py task3-gen/experiments/train_gen-0.yaml --print_config
```

- 명령줄의 옵션이 설정 파일보다, 설정 파일이 아래의 기본값보다 우선합니다. 설정 파일에서는 이름 앞의 `--`를 뺍니다.
- `--print_config`는 쓸 설정을 모두, 어디에서 정해졌는지와 함께 YAML로 보여 주고 끝냅니다.
- `true`나 `false`를 받는 옵션은 이름만 적으면 `true`입니다. 여러 값은 공백으로 구분합니다.
- 기본값이 비어 있으면 지정하지 않은 것입니다. 기본값의 상대 경로는 저장소 폴더에서 시작합니다.

<!-- python docs/flags.py로 만듭니다. 직접 고치지 마세요. -->
"""
KINDS = {int: "정수", float: "실수", str: "문자열", tuple: "여러 값", bool: "`true`, `false`"}


class Row(NamedTuple):
    flag: str
    value: str
    default: str
    help: str

    @property
    def meaning(self) -> tuple:
        return self._replace(default="")


class Asked(Exception):
    """What a script asks :func:`load_arguments` for: a class, and the defaults."""


def rows_of(script: str) -> dict[str, list[Row]]:
    """The rows under each heading of ``script``. A default may depend on whether there is a GPU."""
    with_gpu, without = (flags_by_heading(*asked(script, gpu)) for gpu in (True, False))
    return {heading: [_row(flag, other) for flag, other in zip(flags, without[heading], strict=True)]
            for heading, flags in with_gpu.items()}


def asked(script: str, gpu: bool) -> tuple[type, dict]:
    """The class of the arguments of ``script``, and its own defaults, on a machine with a GPU or without."""
    def load_arguments(argument_class, **defaults):
        raise Asked(argument_class, defaults)

    with patch.object(nlpbook, "load_arguments", load_arguments), patch("torch.cuda.is_available", lambda: gpu):
        try:
            runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        except Asked as question:
            return question.args
    raise SystemExit(f"{script}: load_arguments를 부르지 않습니다.")


def _row(flag: Flag, without_gpu: Flag) -> Row:
    default = _code(flag.default)
    if flag.default != without_gpu.default:
        default += f" (CPU에서는 {_code(without_gpu.default)})"
    return Row(f"`--{flag.name}`", _value(flag), default, flag.spec.metadata["help"].replace("|", "\\|"))


def _code(default: str) -> str:
    """In Markdown; a path without the folder in which the repository lies."""
    if default.startswith(str(REPOSITORY)):
        default = Path(default).relative_to(REPOSITORY).as_posix()
    return f"`{default}`" if default else ""


def _value(flag: Flag) -> str:
    """The kind of a flag's value, and its bounds."""
    said, kind = flag.spec.metadata, KINDS[flag.kind]
    if said.get("choices"):
        return ", ".join(f"`{choice}`" for choice in said["choices"])
    if said.get("maximum") is not None:
        return f"{kind}, {bounds(flag.spec)}"
    if said.get("minimum") is not None:
        return f"{kind}, {said['minimum']} 이상"
    return "경로" if said.get("path") else kind


def table(*rows) -> str:
    header, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *rest]) + "\n"


def merged(scripts: list[str]) -> tuple[dict[str, list[Row]], list[list[str]]]:
    """The rows of ``scripts``, which have the same flags; and, of each flag whose default varies, the defaults."""
    groups, varying = {}, []
    each = [rows_of(script) for script in scripts]
    if any(other.keys() != each[0].keys() for other in each):
        raise SystemExit(f"{', '.join(scripts)}: --help의 제목이 서로 다릅니다.")
    for heading in each[0]:
        for same in zip(*(other[heading] for other in each), strict=True):
            if len({row.meaning for row in same}) > 1:
                raise SystemExit(f"{same[0].flag}: {', '.join(scripts)}에서 뜻이 서로 다릅니다.")
            if len(set(same)) > 1:
                varying.append([same[0].flag, *(row.default for row in same)])
            row = same[0] if len(set(same)) == 1 else same[0]._replace(default="스크립트마다 다름")
            groups.setdefault(heading, []).append(row)
    return groups, varying


def page() -> str:
    slugs, contents, sections = Counter(), [], []
    written = {}  # heading and rows without their defaults: where they are, and the defaults

    def link(heading: str) -> str:
        """To a heading that is about to be written, by the name that GitHub gives it."""
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        slugs[slug] += 1
        return f"[{heading}](#{slug}{f'-{slugs[slug] - 1}' if slugs[slug] > 1 else ''})"

    for family, does in FAMILIES.items():
        scripts = sorted(path.name for name in family.split(", ") for path in SCRIPTS.glob(name.replace("N", "[0-9]")))
        groups, varying = merged(scripts)
        own, links, elsewhere, others, tables = link(family), [], {}, [], []
        for heading, rows in groups.items():
            key, defaults = (heading, *(row.meaning for row in rows)), [row.default for row in rows]
            if key in written:
                owner, there, usual = written[key]
                elsewhere.setdefault(owner, []).append(there)
                told = [flag for flag, *_ in varying]
                others += [[row.flag, row.default] for row, default in zip(rows, usual, strict=True)
                           if row.default != default and row.flag not in told]
            else:
                there = link(heading)
                written[key] = family, there, defaults
                tables.append(f"### {heading}\n\n" + table(["옵션", "값", "기본값", "설명"], *rows))
            links.append(there)
        contents.append(f"- {own}: {', '.join(links)}")
        sections.append(f"## {family}\n\n{does}\n")
        if varying:
            sections.append(table(["기본값", *(f"`{script}`" for script in scripts)], *varying))
        if elsewhere:
            there = ", ".join(f"`{owner}`의 {', '.join(links)}" for owner, links in elsewhere.items())
            but = " 기본값이 다른 것은 다음과 같습니다." if others else ""
            sections.append(f"다음 옵션도 쓸 수 있습니다: {there}.{but}\n")
        if others:
            sections.append(table(["옵션", "기본값"], *others))
        sections += tables
    return "\n".join([INTRODUCTION, "\n".join(contents) + "\n", *sections])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
