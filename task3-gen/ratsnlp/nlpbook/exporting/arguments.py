"""The arguments of export.py."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..arguments import Arguments, argument, check_chosen
from ..errors import UserError
from ..settings_file import SUFFIXES

ENGINES = ("transformers", "transformers-serve", "ctranslate2", "lm-eval", "vllm", "generate")
DTYPES = ("float32", "float16", "bfloat16")
MODEL = "model_name_or_path"


@dataclass
class ExportArguments(Arguments):
    heading: ClassVar[str] = "내보내기"

    model_name_or_path: str | None = argument(
        None, "내보낼 것: 학습한 폴더(가장 좋은 체크포인트), 모델의 폴더, 허브 이름. 옵션 이름 없이 적어도 됩니다")
    output: str | None = argument(
        None, "저장할 폴더. 지정하지 않으면 학습한 폴더 안의 huggingface, 그 밖의 모델은 output/export/이름",
        path=True, writes=True)
    dtype: str | None = argument(None, f"가중치의 자료형: {', '.join(DTYPES)}. 지정하지 않으면 float32", choices=DTYPES)
    check: bool = argument(False, "설치된 엔진마다 실제로 실행해, 그리디 서치의 결과가 같은지 비교하기", group="비교")
    only: tuple[str, ...] = argument((), f"비교할 엔진: {', '.join(ENGINES)}", group="비교")
    vllm: str | None = argument(
        None, "vLLM이 설치된 환경의 파이썬. 없으면 환경 변수 VLLM_PYTHON", path=True, group="비교")
    lm_eval: str | None = argument(
        None, "lm-eval이 설치된 환경의 파이썬. 없으면 환경 변수 LM_EVAL_PYTHON, 그것도 없으면 지금의 파이썬",
        path=True, group="비교")

    def __post_init__(self):
        self.vllm = self.vllm or os.environ.get("VLLM_PYTHON")
        self.lm_eval = self.lm_eval or os.environ.get("LM_EVAL_PYTHON")
        super().__post_init__()
        if not self.model_name_or_path:
            raise UserError(f"{MODEL}: 내보낼 폴더나 허브 이름을 적으세요: python task3-gen/export.py "
                            "output/nsmc-gen/train_gen-by-kogpt-mini --check")
        check_chosen("only", self.only, ENGINES)
        for name in ("vllm", "lm_eval"):
            python = getattr(self, name)
            if python is not None and not Path(python).is_file():
                raise UserError(f"{name}: {python} 파일이 없습니다. {name.replace('_', '-')}이 설치된 환경의 파이썬을 "
                                "지정하세요.")


def with_model_named(argv: list[str]) -> list[str]:
    """A command line of ``export.py`` with the model, where it comes first or right behind ``--check``, behind its
    flag: ``DIR --check`` is ``--model_name_or_path DIR --check``."""
    for place, word in enumerate(argv):
        bare = not word.startswith("-") and word.lower() not in ("true", "false")
        if bare and (place == 0 or argv[place - 1] == "--check") and not word.lower().endswith(SUFFIXES):
            return [*argv[:place], f"--{MODEL}", *argv[place:]]
    return argv
