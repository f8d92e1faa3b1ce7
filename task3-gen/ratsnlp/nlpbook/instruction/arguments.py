"""The arguments of the scripts that let a causal language model summarize dialogues as it is told."""

from dataclasses import dataclass
from typing import ClassVar

from ..argument_groups import (
    AdapterArguments,
    CheckpointArguments,
    DistributedArguments,
    ExperimentArguments,
    LoggingArguments,
    MemoryArguments,
    OptimizerArguments,
)
from ..arguments import Arguments, argument, like
from ..summarization.arguments import DialogueTrainArguments, SummarizationInferArguments

SYSTEM = "당신은 대화를 읽고 핵심을 정확하게 요약하는 도우미입니다."


@dataclass
class FormatArguments(Arguments):
    heading: ClassVar[str] = "형식"

    format: str = argument(
        "chat", "모델에게 묻는 형식: chat(모델의 대화 템플릿), instruction(### Instruction, ### Input, ### Response), "
        "auto(템플릿이 있으면 chat, 없으면 instruction)", choices=("chat", "instruction", "auto"))
    system: str = argument(SYSTEM, "맨 앞에 둘 시스템 메시지. \"\"이면 쓰지 않습니다", text=True)


@dataclass
class InstructionTrainArguments(ExperimentArguments, DistributedArguments, AdapterArguments, LoggingArguments,
                                CheckpointArguments, MemoryArguments, OptimizerArguments, FormatArguments,
                                DialogueTrainArguments):
    """Which causal language model learns to summarize which dialogues, and how it is told to."""

    other_names: ClassVar[dict[str, str]] = {"max_seq_length": "encoder_max_len"}
    monitor: ClassVar[str] = "min val_loss"

    encoder_max_len: int = like(
        DialogueTrainArguments, "encoder_max_len", 1024, help="프롬프트(지시와 대화) 하나를 최대 몇 토큰까지 읽을지")
    decoder_max_len: int = like(DialogueTrainArguments, "decoder_max_len", 200)
    special_tokens: tuple[str, ...] = like(DialogueTrainArguments, "special_tokens", ())
    truncate: bool = like(
        DialogueTrainArguments, "truncate",
        help="encoder_max_len보다 긴 프롬프트에서 대화의 앞을, decoder_max_len보다 긴 요약의 뒤를 자릅니다. 없으면 "
        "알리고 멈춥니다")
    augment: bool = argument(
        False, "대화마다 지시를 다섯 가지로 바꾸어 학습 데이터를 다섯 배로 늘립니다", group="데이터")

    def __post_init__(self):
        super().__post_init__()
        self.max_seq_length = self.encoder_max_len + self.decoder_max_len


@dataclass
class InstructionInferArguments(FormatArguments, SummarizationInferArguments):
    """The arguments of ``infer_sum-2.py`` and ``infer_sum-3.py``: as those of a model of encoder and decoder, and how
    the model is told what to do."""

    format: str = like(FormatArguments, "format", "auto")
    encoder_max_len: int = like(InstructionTrainArguments, "encoder_max_len")
    truncate: bool = like(
        InstructionTrainArguments, "truncate",
        help="encoder_max_len보다 긴 프롬프트에서 대화의 앞을 자릅니다. 없으면 알리고 멈춥니다")

    def _check_engine(self) -> None:
        from ..generation.engines import Ctranslate2

        Ctranslate2.check(self)
