"""Groups of arguments that several kinds of script share, each under a heading of ``--help``."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from .arguments import Arguments, argument
from .devices import check_device
from .errors import UserError
from .experiments import DEBUG_ROWS, check_run_name

MAX_SEED = 2**32 - 1
LORA_RATE = 10  # times the learning rate of the whole model
OF_LORA = ("lora_alpha", "lora_dropout", "lora_target_modules")  # what there is to say of one besides
LORA_R = 16  # what --qlora takes where none is named, and what is advised


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
    lr_scheduler_type: str = argument(
        "linear", "워밍업 다음에 학습률을 0까지 내리는 모양: linear(직선), cosine", choices=("linear", "cosine"))


@dataclass
class DeviceArguments(Arguments):
    heading: ClassVar[str] = "장치"

    device: str = argument("auto", "장치: auto(GPU가 있으면 GPU), cpu, cuda, cuda:1")

    def __post_init__(self):
        super().__post_init__()
        check_device(self.device)


@dataclass
class MemoryArguments(DeviceArguments):
    precision: str = argument(
        "auto", "학습할 때의 정밀도: auto(이 컴퓨터가 빠르게 계산하는 것: bf16이나 32), 32, bf16, 16(float16)",
        choices=("auto", "32", "bf16", "16"))
    gradient_checkpointing: bool = argument(
        False, "활성값을 저장하지 않고 역전파할 때 다시 계산합니다: 메모리가 줄고 시간이 더 걸립니다")


@dataclass
class DistributedArguments(Arguments):
    """How many devices learn together. torchrun and SLURM, which begin the processes themselves, tell it otherwise."""

    heading: ClassVar[str] = "여러 장치"

    devices: int = argument(
        1, "한 컴퓨터에서 함께 학습할 장치(GPU)의 수. batch_size는 모든 장치를 합한 값입니다", minimum=1, maximum=1024)
    num_nodes: int = argument(1, "함께 학습할 컴퓨터의 수", minimum=1, maximum=1024)
    strategy: str = argument(
        "auto", "나누는 방법: ddp(장치마다 모델 전체를 두고 배치를 나눕니다), fsdp(모델도 나눕니다. 한 GPU에서 전부 "
        "학습할 수 없는 모델에 씁니다), auto(장치가 여럿이면 ddp)", choices=("auto", "ddp", "fsdp"))
    ddp_timeout: int = argument(
        600, "한 프로세스가 몇 초 동안 응답하지 않으면 멈출지", minimum=1, maximum=86400)

    def __post_init__(self):
        super().__post_init__()
        environment = os.environ
        torchrun = "LOCAL_WORLD_SIZE" in environment
        if torchrun:
            self.devices = int(environment["LOCAL_WORLD_SIZE"])
            self.num_nodes = int(environment["WORLD_SIZE"]) // self.devices
        elif int(environment.get("SLURM_NTASKS", 1)) > 1:
            self.num_nodes = int(environment.get("SLURM_NNODES", 1))
            self.devices = int(environment["SLURM_NTASKS"]) // self.num_nodes
        batch_size = getattr(self, "batch_size", None) or getattr(self, "per_device_train_batch_size", self.world_size)
        if batch_size % self.world_size:
            raise UserError(f"batch_size: 장치의 수({self.world_size})의 배수여야 하는데 {batch_size}입니다.")
        if self.world_size > 1 and getattr(self, "recipe", "standard") == "book":
            raise UserError(f"devices: --recipe book은 장치 하나로만 학습하는데 {self.world_size}입니다.")
        outside = torchrun or "SLURM_NTASKS" in environment
        if self.world_size > 1 and outside and getattr(self, "force_download", False):  # who has seen the old files?
            raise UserError("force_download: torchrun이나 SLURM으로 시작한 여러 프로세스에서는 쓸 수 없습니다. "
                            "말뭉치 파일을 지우고 다시 실행하세요.")
        if self.devices > 1 and ":" in getattr(self, "device", ""):
            raise UserError(f"devices: --device {self.device}는 장치 하나인데 {self.devices}입니다. "
                            "--device cuda로 적으세요.")
        if self.strategy == "fsdp":
            self._check_fsdp()

    def _check_fsdp(self) -> None:
        if self.world_size == 1:
            raise UserError("strategy: fsdp는 장치가 둘 이상일 때 쓰는데 하나입니다. --devices 2처럼 함께 적으세요.")
        if getattr(self, "qlora", False):
            raise UserError("strategy: fsdp는 4비트 행렬을 나누지 못해 qlora와 함께 쓸 수 없습니다. --lora_r만 적거나 "
                            "--strategy ddp로 학습하세요.")
        fp16 = getattr(self, "fp16", False)
        if fp16 or getattr(self, "precision", "auto") == "16":
            name = "fp16" if fp16 else "precision 16"
            raise UserError(f"strategy: fsdp는 float16으로 학습하지 못해 {name}과 함께 쓸 수 없습니다. "
                            "--precision bf16이나 32로 학습하세요.")

    @property
    def world_size(self) -> int:
        """How many processes learn together."""
        return self.devices * self.num_nodes


@dataclass
class AdapterArguments(Arguments):
    heading: ClassVar[str] = "LoRA"

    lora_r: int = argument(
        0, "LoRA의 차원. 모델은 그대로 두고 층마다 더한 작은 행렬들만 학습합니다(0이면 모델 전체를 학습). "
        f"learning_rate를 적지 않으면 {LORA_RATE}배로 학습합니다", minimum=0)
    lora_alpha: float | None = argument(
        None, "LoRA의 결과에 곱할 수에 lora_r를 곱한 것. 없으면 lora_r의 두 배", above=0)
    lora_dropout: float = argument(0.0, "LoRA의 입력에 쓸 드롭아웃", minimum=0, maximum=0.9)
    lora_target_modules: tuple[str, ...] = argument(
        ("all-linear",), "LoRA를 더할 층의 이름들: c_attn, q_proj 등. all-linear는 출력층을 뺀 모든 선형 층")
    qlora: bool = argument(
        False, "모델의 행렬을 4비트(NF4)로 줄여 두고 LoRA를 학습합니다. requirements-qlora.txt가 필요합니다. "
        f"lora_r를 적지 않으면 {LORA_R}")

    def __post_init__(self):
        super().__post_init__()
        if self.qlora and not self.lora_r:
            self.lora_r = LORA_R
        for name in OF_LORA:
            if not self.lora_r and getattr(self, name) != getattr(AdapterArguments, name):
                raise UserError(f"{name}: LoRA를 쓸 때의 설정인데 lora_r가 0입니다. --lora_r 16처럼 함께 적으세요.")
        if self.qlora and getattr(self, "optimizer", None) == "muon":
            raise UserError("optimizer: qlora는 AdamW로 학습하는데 'muon'입니다. 둘 가운데 하나를 빼세요.")
        if not self.lora_target_modules:
            raise UserError("lora_target_modules: 층의 이름이 없습니다. --lora_target_modules all-linear처럼 적으세요.")

    @classmethod
    def adapt_defaults(cls, defaults: dict, given: dict) -> dict:
        """Small matrices that begin at zero take a greater rate than trained weights: about ten times. Source: Schulman
        et al. (2025), "LoRA without regret". What a script or its settings file asks of a LoRA is not used without one
        (``--lora_r 0``)."""
        defaults = super().adapt_defaults(defaults, given)
        if given.get("lora_r") == 0 and not given.get("qlora"):
            return {name: value for name, value in defaults.items() if name not in ("qlora", *OF_LORA)}
        if not (given.get("lora_r") or given.get("qlora")) or "learning_rate" in given:
            return defaults
        if defaults.get("lora_r") or defaults.get("qlora"):  # a settings file's, whose rate is one for LoRA
            return defaults
        rate = defaults.get("learning_rate", cls.learning_rate)
        if type(rate) is not float:  # a settings file's mistake, which is told next
            return defaults
        rate *= LORA_RATE
        print(f"LoRA의 학습률: {rate:g}(스크립트나 설정 파일에 적힌 값의 {LORA_RATE}배. "
              "--learning_rate로 바꿀 수 있습니다)", file=sys.stderr)
        return {**defaults, "learning_rate": rate}


@dataclass
class CheckpointArguments(Arguments):
    heading: ClassVar[str] = "체크포인트"

    resume: bool = argument(False, "중단된 학습을 이어서 합니다. 없으면 처음부터 학습합니다")
    save_steps: int = argument(500, "몇 스텝마다 last.ckpt에 저장할지(0이면 에폭이 끝날 때만)", minimum=0)
    save_total_limit: int = argument(
        0, "save_steps마다 checkpoint-스텝 폴더도 저장해 몇 개를 남길지(-1은 전부)", minimum=-1)
    patience: int = argument(
        0, "조기 종료: monitor의 값이 몇 에폭 연속으로 나아지지 않으면 멈출지(0이면 쓰지 않음)", minimum=0)

    def __post_init__(self):
        super().__post_init__()
        if getattr(self, "save_top_k", None) == 0:
            raise UserError("save_top_k: 1 이상이거나 -1(전부)이어야 하는데 0입니다.")


@dataclass
class LoggingArguments(Arguments):
    heading: ClassVar[str] = "기록"

    logging_steps: int = argument(10, "몇 스텝마다 기록할지", minimum=1)
    logging_dir: str | None = argument(None, "TensorBoard 기록을 저장할 폴더(없으면 체크포인트 폴더의 tensorboard)")
    wandb: str | None = argument(None, "Weights & Biases에도 기록할 때의 프로젝트 이름")
    wandb_entity: str | None = argument(None, "Weights & Biases의 계정이나 팀(없으면 내 기본 계정)")
    wandb_tags: tuple[str, ...] = argument((), "Weights & Biases의 기록에 붙일 태그들")

    def __post_init__(self):
        super().__post_init__()
        for name in ("wandb_entity", "wandb_tags"):
            if getattr(self, name) and not self.wandb:
                raise UserError(f"{name}: wandb가 없으면 쓰이지 않습니다. --wandb 프로젝트도 적으세요.")


DEBUG = "-debug"  # behind the names of folders and runs
_DEBUG_SETTINGS = {
    "epochs": 1, "batch_size": 2, "wandb": None, "wandb_entity": None, "wandb_tags": (),
    "num_train_epochs": 1, "per_device_train_batch_size": 2}  # as train.py calls the first two


@dataclass
class ExperimentArguments(Arguments):
    """A run to try things out, and the name of a run. ``debug`` wins over the settings that it names, and keeps its
    results where no other run's are."""

    heading: ClassVar[str] = "실험"

    debug: bool = argument(
        False, f"코드를 확인합니다: 학습 데이터 {DEBUG_ROWS['train']}개, 검증 데이터 {DEBUG_ROWS['test']}개, 한 에폭, "
        f"배치 {_DEBUG_SETTINGS['batch_size']}, W&B 없이. 결과를 저장할 폴더의 이름 뒤에 {DEBUG}가 붙습니다")
    run_name: str | None = argument(
        None, "실험 이름. 결과와, 터미널에 나온 것을 담은 train.log를 output/experiments/날짜/날짜_시각_이름에 "
        "저장합니다. resume은 이 이름의 마지막 실험을 이어서 합니다", text=True, instead_of="downstream_model_dir")

    def __post_init__(self):
        super().__post_init__()
        if self.run_name is not None:
            check_run_name(self.run_name)
        if not self.debug:
            return
        for name, value in _DEBUG_SETTINGS.items():
            if hasattr(self, name):
                setattr(self, name, value)
        for spec in fields(self):
            value = getattr(self, spec.name)
            named = spec.metadata.get("writes") or spec.name == "run_name"
            if value and named and not value.endswith(DEBUG):
                setattr(self, spec.name, f"{os.path.normpath(value)}{DEBUG}")


def debug_rows(rows: Sequence, args, mode: str) -> Sequence:
    """The first of ``rows``, as many as ``--debug`` takes to train (``mode="train"``) or to validate; without it, all
    of them."""
    return rows[: DEBUG_ROWS["train" if mode == "train" else "test"]] if getattr(args, "debug", False) else rows
