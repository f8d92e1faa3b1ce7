"""What bench_gen.py can be told, and the ways to train that it knows."""

from dataclasses import dataclass
from typing import ClassVar

from ratsnlp import nlpbook
from ratsnlp.nlpbook.argument_groups import CorpusArguments, ModelArguments, SeedArguments
from ratsnlp.nlpbook.arguments import argument, like

# 사다리: 아래로 갈수록 하나씩 더 켭니다. 패킹(리뷰 여럿을 한 줄에 잇기)은 모으기보다 느려 칸이 아닙니다.
RUNGS = {
    "book": "책의 방법",
    "real": "진짜 토큰만 손실에 + 학습률 일정",
    "trim": "가장 긴 리뷰까지만, 로짓은 진짜 토큰만",
    "group": "길이가 비슷한 리뷰끼리",
    "bf16": "bf16으로 계산",
    "fused": "AdamW를 한 커널로",
    "small": "작은 연산 묶기",
    "standard": "한 걸음에 리뷰 두 배 = 여기의 방법",
}
RIVALS = {
    "trainer": "Trainer, 리뷰마다 패딩",
    "blocks": "Trainer, 이어 붙여 자르기",
    "ratsnlp": "진짜 ratsnlp 1.0.53",
}
NAMES = {**RUNGS, **RIVALS}
HELD_OUT = 1000  # reviews that judge


@dataclass
class BenchArguments(SeedArguments, CorpusArguments, ModelArguments):
    heading: ClassVar[str] = "벤치마크"

    pretrained_model_name: str = like(ModelArguments, "pretrained_model_name", "kogpt-mini")
    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", str(nlpbook.BUNDLED_DATA))
    downstream_corpus_name: str = like(CorpusArguments, "downstream_corpus_name", "mini")
    limit: int = argument(
        0, f"학습 리뷰를 앞에서 몇 개만 쓸지(0은 전부). 시험 리뷰는 {HELD_OUT:,}개까지만 씁니다", minimum=0)
    max_seq_length: int = argument(32, "리뷰 하나를 최대 몇 토큰까지 배울지: 책은 32", minimum=2)
    batch_size: int = argument(32, "한 걸음에 리뷰 몇 개를 볼지: 책은 32. standard와 Trainer는 그 두 배", minimum=1)
    learning_rate: float = argument(5e-4, "학습률", above=0, maximum=1)
    epochs: int = argument(3, "학습 데이터를 몇 번 볼지: 책은 3", minimum=1)
    rounds: int = argument(3, "번갈아 몇 번 잴지", minimum=1)
    what: str = argument(
        "training", "무엇을 측정할지: training(학습 방법), decoding(배치로 쓰기와 CTranslate2)",
        choices=("training", "decoding"))
    only: tuple[str, ...] = argument((), f"이것들만 잽니다: {', '.join(NAMES)}")

    def __post_init__(self):
        super().__post_init__()
        for name in self.only:
            if name not in NAMES:
                raise nlpbook.UserError(f"only: {', '.join(NAMES)} 가운데에서 골라야 하는데 {name!r}입니다.")
