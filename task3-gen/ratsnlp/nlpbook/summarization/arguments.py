"""The arguments of the scripts that summarize dialogues."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..argument_groups import (
    AdapterArguments,
    CheckpointArguments,
    CorpusArguments,
    DistributedArguments,
    ExperimentArguments,
    LoggingArguments,
    MemoryArguments,
    ModelArguments,
    OptimizerArguments,
    SeedArguments,
)
from ..arguments import Arguments, argument, like
from ..errors import UserError
from ..evaluation.summaries import METRICS
from ..generation.arguments import BookArguments, FinetunedArguments, PromptArguments, ReplicaArguments
from ..generation.options import DecodingOptions
from ..generation.text_output import check_output

# what the dialogues of Korean courses and competitions name speakers and personal data by
PLACEHOLDERS = (
    *(f"#Person{number}#" for number in range(1, 8)), "#PhoneNumber#", "#Address#", "#DateOfBirth#", "#DateAndTime#",
    "#PassportNumber#", "#SSN#", "#CardNumber#", "#CarNumber#", "#Email#")


@dataclass
class LengthArguments(Arguments):
    heading: ClassVar[str] = "데이터"

    encoder_max_len: int = argument(512, "대화 하나를 최대 몇 토큰까지 읽을지", minimum=3)
    truncate: bool = argument(
        False, "encoder_max_len보다 긴 대화와 decoder_max_len보다 긴 요약의 뒤를 자릅니다. 없으면 알리고 멈춥니다")


@dataclass
class DialogueTrainArguments(LengthArguments):
    """The fields that correspond to those of the book's tasks, for any model that learns to summarize."""

    heading: ClassVar[str] = "학습"

    pretrained_model_name: str = like(ModelArguments, "pretrained_model_name", "kobart-mini", group="모델",
                                      help="요약할 모델의 허브 이름이나 폴더. kobart-mini는 저장소에 든 작은 모델")
    special_tokens: tuple[str, ...] = argument(
        PLACEHOLDERS, "한 토큰으로 볼 표시들: 토크나이저에 없으면 추가합니다", text=True, group="모델")
    downstream_task_name: str = like(BookArguments, "downstream_task_name", "dialogue-summarization")
    downstream_corpus_name: str = argument(
        "dialogues", "train.csv와 dev.csv(열: fname,dialogue,summary)가 든 폴더의 이름. made는 만들어 내는 대화",
        group="데이터")
    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", group="데이터")
    downstream_model_dir: str = like(BookArguments, "downstream_model_dir", group="체크포인트")
    decoder_max_len: int = argument(100, "요약 하나를 최대 몇 토큰까지 쓸지", minimum=2, group="데이터")
    max_eval_samples: int = argument(
        0, "dev.csv에서 앞의 몇 개로 평가할지(0이면 전부)", minimum=0, group="데이터")
    save_top_k: int = like(BookArguments, "save_top_k")
    seed: int | None = like(BookArguments, "seed")
    test_mode: bool = like(BookArguments, "test_mode")
    learning_rate: float = like(BookArguments, "learning_rate")
    epochs: int = like(BookArguments, "epochs")
    batch_size: int = like(BookArguments, "batch_size", 32, help="한 배치에 대화 몇 개를 볼지")
    cpu_workers: int = like(BookArguments, "cpu_workers", group="데이터")

    # what the library asks of the arguments of any task
    fp16: ClassVar[bool] = False
    tpu_cores: ClassVar[int] = 0
    recipe: ClassVar[str] = "standard"
    fixed_precision: ClassVar[None] = None


@dataclass
class SummarizationTrainArguments(ExperimentArguments, DistributedArguments, AdapterArguments, LoggingArguments,
                                  CheckpointArguments, MemoryArguments, OptimizerArguments, DialogueTrainArguments):
    """Which model of encoder and decoder learns to summarize which dialogues, and how."""

    other_names: ClassVar[dict[str, str]] = {"max_seq_length": "encoder_max_len"}

    from_scratch: bool = argument(
        False, "모델의 구조와 토크나이저만 쓰고, 가중치는 처음부터 학습합니다", group="모델")
    eval_num_beams: int = argument(
        1, "에폭마다 평가할 때의 빔의 수(1이면 그리디 서치)", minimum=1, group="데이터")
    monitor: str = argument(
        "max rouge_sum", "가장 좋은 체크포인트를 고르는 기준: 'min val_loss'나 'max 지표'", group="체크포인트")

    def __post_init__(self):
        super().__post_init__()
        self.max_seq_length = self.encoder_max_len
        if not re.fullmatch(rf"min val_loss|max ({'|'.join(METRICS)})", self.monitor):
            raise UserError(f"monitor: 'min val_loss'이거나 max와 다음 가운데 하나여야 하는데 {self.monitor!r}입니다. "
                            f"{', '.join(METRICS)}")
        if self.save_top_k == 0:
            raise UserError("save_top_k: 1 이상이거나 -1(전부)이어야 하는데 0입니다.")
        if self.from_scratch and self.lora_r:
            raise UserError(f"lora_r: 처음부터 학습할 때(from_scratch)는 0이어야 하는데 {self.lora_r}입니다.")
        if self.qlora and self.optimizer == "muon":
            raise UserError("optimizer: qlora는 AdamW로 학습하는데 'muon'입니다. 둘 가운데 하나를 빼세요.")
        for token in self.special_tokens:
            if not token.strip():
                raise UserError(f"special_tokens: 공백만으로 된 토큰은 쓸 수 없는데 {token!r}입니다.")


@dataclass
class DialogueArguments(LengthArguments):
    """Which dialogues are summarized, by which model, and where the summaries go."""

    heading: ClassVar[str] = "대화"
    num_return_sequences: ClassVar[int] = 1

    pretrained_model_name: str = like(DialogueTrainArguments, "pretrained_model_name")
    downstream_model_dir: str | None = like(FinetunedArguments, "downstream_model_dir", group="모델")
    engine: str = like(PromptArguments, "engine")
    compute_type: str = like(PromptArguments, "compute_type")
    dialogue: str | None = argument(
        None, "요약할 대화 하나. 발화를 줄바꿈이나 \\n으로 나누어 '#Person1#: …'처럼 적습니다", text=True)
    input: str | None = argument(
        None, "대화가 든 .csv나 .tsv 파일(열: fname,dialogue). summary 열도 있으면 ROUGE를 계산합니다. "
        "-는 표준 입력의 대화 하나", path=True)
    morphemes: bool = argument(
        False, "형태소로도 ROUGE를 계산합니다(requirements-morphemes.txt가 필요)")
    output: str | None = argument(
        None, "요약을 저장할 새 파일: .csv(열: fname,summary), .jsonl. 없으면 터미널", path=True, group="출력")
    resume: bool = like(PromptArguments, "resume")
    batch_size: int = like(PromptArguments, "batch_size", 16)


@dataclass
class SummarizationInferArguments(ReplicaArguments, SeedArguments, DecodingOptions, DialogueArguments):
    """The arguments of ``infer_sum-N.py``: dialogues, model, output, and every decoding option.

    Raises:
        UserError: naming two that contradict each other, or an output that cannot be written.
    """

    early_stopping: bool | None = argument(
        None, "빔 서치: 끝난 후보가 빔의 수만큼 모이면 더 좋은 것을 기다리지 않고 멈춥니다", group="디코딩")

    def __post_init__(self):
        super().__post_init__()
        if self.dialogue is not None and self.input is not None:
            raise UserError("dialogue: input과 함께 쓸 수 없습니다. 하나만 적으세요.")
        check_output(self, (".csv", ".jsonl"))
        if self.engine == "ctranslate2":
            self._check_engine()
            if self.resume and self.draws:
                raise UserError("resume: ctranslate2로 뽑은 텍스트는 이어서 쓸 수 없습니다. "
                                "--engine transformers로 실행하세요.")

    def _check_engine(self) -> None:
        from ..generation.engines import Translator

        Translator.check(self, self.early_stopping is not False)

    @classmethod
    def adapt_defaults(cls, defaults: dict, given: dict) -> dict:
        """What a script asks of its beam search is not used without one, and its least length gives way to a limit."""
        defaults = super().adapt_defaults(defaults, given)
        without = {"length_penalty", "early_stopping"} if given.get("num_beams") == 1 else set()
        defaults = {name: value for name, value in defaults.items() if name not in without}
        least, most = defaults.get("min_new_tokens"), given.get("max_new_tokens")
        return defaults if type(most) is not int or not least else defaults | {"min_new_tokens": min(least, most)}

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left that ``resume`` could go on with."""
        return self.resume and Path(self.output).exists()

    @property
    def model_name_or_path(self) -> str:
        return self.downstream_model_dir or self.pretrained_model_name

    @property
    def generation(self) -> dict:
        """The decoding options that are named, as :class:`~.predictor.Predictor` takes them."""
        early = {} if self.early_stopping is None else {"early_stopping": self.early_stopping}
        return {**self.named(), **early}
