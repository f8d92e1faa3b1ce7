"""Groups of arguments that several kinds of script share, each under a heading of ``--help``."""

from dataclasses import dataclass
from typing import ClassVar

from .arguments import Arguments, argument
from .devices import check_device

MAX_SEED = 2**32 - 1


@dataclass
class ModelArguments(Arguments):
    heading: ClassVar[str] = "모델"

    pretrained_model_name: str = argument(
        "kogpt2", "사전 학습 모델의 허브 이름이나 폴더. kogpt-mini는 저장소에 든 작은 모델")


@dataclass
class CorpusArguments(Arguments):
    heading: ClassVar[str] = "데이터"

    downstream_corpus_root_dir: str = argument("~/Korpora", "말뭉치 폴더들이 있는 폴더", path=True)
    downstream_corpus_name: str = argument("nsmc", "말뭉치 이름: 말뭉치 폴더의 이름")
    force_download: bool = argument(False, "말뭉치가 있어도 다시 내려받기")


@dataclass
class SeedArguments(Arguments):
    heading: ClassVar[str] = "난수"

    seed: int = argument(7, "난수 시드: 같은 시드는 같은 결과를 냅니다", minimum=0, maximum=MAX_SEED)


@dataclass
class OptimizerArguments(Arguments):
    heading: ClassVar[str] = "옵티마이저"

    warmup_ratio: float = argument(0.1, "전체 스텝 가운데 워밍업(학습률을 올리는 구간)의 비율", minimum=0, maximum=1)
    weight_decay: float = argument(0.01, "가중치 감쇠(행렬에만 적용)", minimum=0, maximum=1)
    warmup_steps: int = argument(0, "워밍업 스텝 수(0이면 warmup_ratio를 따름)", minimum=0)
    adam_epsilon: float = argument(1e-8, "AdamW에서 0으로 나누지 않도록 분모에 더하는 수", above=0, maximum=1)
    max_grad_norm: float = argument(
        1.0, "그래디언트 클리핑 기준(노름의 최댓값, 0이면 끔)", minimum=0)
    gradient_accumulation_steps: int = argument(1, "한 스텝에 그래디언트를 누적할 배치의 수", minimum=1)
    optimizer: str = argument(
        "adamw", "옵티마이저: adamw, muon(층 안의 행렬에만 쓰고 나머지는 AdamW)", choices=("adamw", "muon"))


@dataclass
class DeviceArguments(Arguments):
    heading: ClassVar[str] = "장치"

    device: str = argument("auto", "장치: auto(GPU가 있으면 GPU), cpu, cuda, cuda:1")

    def __post_init__(self):
        super().__post_init__()
        check_device(self.device)


@dataclass
class CheckpointArguments(Arguments):
    heading: ClassVar[str] = "체크포인트"

    resume: bool = argument(False, "중단된 학습을 이어서 합니다. 없으면 처음부터 학습합니다")
    save_steps: int = argument(500, "몇 스텝마다 last.ckpt에 저장할지(0이면 에폭이 끝날 때만)", minimum=0)
    save_total_limit: int = argument(
        0, "save_steps마다 checkpoint-스텝 폴더도 저장해 몇 개를 남길지(-1은 전부)", minimum=-1)
    patience: int = argument(
        0, "조기 종료: monitor의 값이 몇 에폭 연속으로 나아지지 않으면 멈출지(0이면 쓰지 않음)", minimum=0)


@dataclass
class LoggingArguments(Arguments):
    heading: ClassVar[str] = "기록"

    logging_steps: int = argument(10, "몇 스텝마다 기록할지", minimum=1)
    logging_dir: str | None = argument(None, "TensorBoard 기록을 저장할 폴더(없으면 체크포인트 폴더의 tensorboard)")
    wandb: str | None = argument(None, "Weights & Biases에도 기록할 때의 프로젝트 이름")
