"""The arguments of bench_gen.py, and the ways to train that it compares."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ratsnlp import nlpbook
from ratsnlp.nlpbook.argument_groups import LORA_R, CorpusArguments, ModelArguments, SeedArguments
from ratsnlp.nlpbook.arguments import argument, check_chosen, like

# 단계마다 하나씩 더 켭니다. 패킹(리뷰 여럿을 한 줄에 이어 붙이기)은 group보다 느려 넣지 않았습니다.
RUNGS = {
    "book": "책의 방법",
    "real": "손실에서 패딩 제외 + 학습률 스케줄",
    "trim": "가장 긴 리뷰까지만, 로짓도 패딩 제외",
    "group": "길이가 비슷한 리뷰끼리",
    "bf16": "bf16으로 계산",
    "fused": "AdamW를 한 커널로",
    "small": "작은 연산 묶기",
    "standard": "한 스텝에 리뷰 두 배 = 여기의 방법",
}
RIVALS = {
    "trainer": "Trainer, 리뷰마다 패딩",
    "blocks": "Trainer, 이어 붙여 자르기",
    "ratsnlp": "ratsnlp 1.0.53 원본",
}
NAMES = {**RUNGS, **RIVALS}
LORA_WAYS = {
    "full": ("모델 전체", {}), "full-again": ("모델 전체, 활성값 다시 계산", {"gradient_checkpointing": True}),
    "lora": ("LoRA", {"lora_r": LORA_R}),
    "lora-again": ("LoRA, 활성값 다시 계산", {"lora_r": LORA_R, "gradient_checkpointing": True}),
    "qlora": ("QLoRA", {"qlora": True})}
MEMORY_WAYS = {name: way for name, way in LORA_WAYS.items() if name != "qlora"}
GPU_WAYS = {  # the script, and what is added to its settings
    f"{name}-{way}": (f"train_gen-{number}.py", more)
    for number, name in enumerate(("kogpt2", "trinity", "polyglot"), start=1)
    for way, more in (("full", {}), ("lora", {"lora_r": LORA_R}), ("qlora", {"qlora": True}))}
SERVERS = ("book", "transformers", "ctranslate2", "vllm", "page")  # the last: ours before vLLM
MOST_CLIENTS = 256
HELD_OUT = 1000  # reviews that judge

SERVER = "서버(--what serving)"  # a heading of --help


@dataclass
class BenchArguments(SeedArguments, CorpusArguments, ModelArguments):
    heading: ClassVar[str] = "벤치마크"

    pretrained_model_name: str = like(ModelArguments, "pretrained_model_name", "kogpt-mini")
    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", str(nlpbook.BUNDLED_DATA))
    downstream_corpus_name: str = like(CorpusArguments, "downstream_corpus_name", "mini")
    limit: int = argument(
        0, f"학습 리뷰를 앞에서 몇 개만 쓸지(0은 전부). 테스트 리뷰는 {HELD_OUT:,}개까지만 씁니다", minimum=0)
    max_seq_length: int = argument(32, "리뷰 하나를 최대 몇 토큰까지 학습할지: 책은 32", minimum=2)
    batch_size: int = argument(32, "한 스텝에 리뷰 몇 개를 볼지: 책은 32. standard와 Trainer는 그 두 배", minimum=1)
    learning_rate: float = argument(5e-4, "학습률", above=0, maximum=1)
    epochs: int = argument(3, "학습 데이터를 몇 번 볼지: 책은 3", minimum=1)
    rounds: int = argument(3, "번갈아 몇 번 측정할지", minimum=1)
    what: str = argument(
        "training", "무엇을 측정할지: training(학습 방법), lora(LoRA와 QLoRA), gpu(GPU에서의 학습), "
        "memory(계산한 메모리와 측정한 메모리), decoding(배치와 CTranslate2), serving(서버), "
        "outage(서버의 엔진이 죽을 때)",
        choices=("training", "lora", "gpu", "memory", "decoding", "serving", "outage"))
    only: tuple[str, ...] = argument(
        (), f"측정할 것: {', '.join(NAMES)}. lora와 memory에서는 {', '.join(LORA_WAYS)}. "
        f"gpu에서는 {', '.join(GPU_WAYS)}. serving에서는 {', '.join(SERVERS)}")
    batches: tuple[str, ...] = argument(("32",), "측정할 배치 크기들", group="GPU에서의 학습(--what gpu)")
    samples: int = argument(
        500, "'긍정'과 '부정'으로 시작하는 텍스트를 몇 개씩 써서 비교할지", minimum=1, group="LoRA(--what lora)")
    downstream_model_dir: str = argument(
        str(nlpbook.OUTPUT / "nsmc-gen/train_gen-by-kogpt-mini"), "서버가 쓸 체크포인트 폴더", path=True, group=SERVER)
    clients: tuple[str, ...] = argument(("1", "4", "16", "32"), "동시에 요청하는 클라이언트의 수들", group=SERVER)
    seconds: float = argument(8.0, "클라이언트 수마다 몇 초 동안 요청할지", above=0, maximum=600, group=SERVER)
    vllm: str | None = argument(
        None, "vLLM이 설치된 환경의 파이썬. 없으면 환경 변수 VLLM_PYTHON, 그것도 없으면 vLLM은 빼고 측정합니다",
        path=True, group=SERVER)

    def __post_init__(self):
        super().__post_init__()
        if self.what == "outage":
            self.only = ("page",)
        names = {"serving": SERVERS, "outage": SERVERS, "lora": LORA_WAYS, "gpu": GPU_WAYS,
                 "memory": MEMORY_WAYS}.get(self.what, NAMES)
        check_chosen("only", self.only, names)
        for count in self.clients or [""]:
            if not (count.isdecimal() and 1 <= int(count) <= MOST_CLIENTS):
                raise nlpbook.UserError(f"clients: 1 이상 {MOST_CLIENTS} 이하의 정수여야 하는데 {count!r}입니다.")
        for size in self.batches or [""]:
            if not (size.isdecimal() and int(size) >= 1):
                raise nlpbook.UserError(f"batches: 1 이상의 정수여야 하는데 {size!r}입니다.")
        if self.vllm is not None and not Path(self.vllm).is_file():
            raise nlpbook.UserError(f"vllm: {self.vllm} 파일이 없습니다. vLLM이 설치된 환경의 파이썬을 지정하세요.")

    @property
    def batch_sizes(self) -> list[int]:
        return [int(size) for size in self.batches]

    @property
    def client_counts(self) -> list[int]:
        return [int(count) for count in self.clients]

    @property
    def vllm_python(self) -> str | None:
        return self.vllm or os.environ.get("VLLM_PYTHON")
