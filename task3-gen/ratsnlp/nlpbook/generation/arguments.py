"""The arguments of each kind of script: training (on reviews or one's own text), decoding, evaluating, serving."""

import os
import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from ..argument_groups import (
    AdapterArguments,
    CheckpointArguments,
    CorpusArguments,
    DeviceArguments,
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
from ..paths import BUNDLED_DATA, OUTPUT
from ..run_folder import RunFolder
from ..text_files import holds_messages
from .options import MAX_LENGTH, DecodingOptions
from .settings import ALL_SETTINGS, SETTINGS
from .text_output import SUFFIXES, check_output

ENGINE_KEY = "NLPBOOK_ENGINE_KEY"  # not OPENAI_API_KEY, which is not for any server that a flag names

@dataclass
class BookArguments(Arguments):
    """ratsnlp 1.0.53's fields in its order.

    Colab's paths became ``~/Korpora`` and a folder under ``output/``, and ``cpu_workers`` became 0 (two workers gain
    2 % and break a script without a main guard on macOS and Windows).
    """

    heading: ClassVar[str] = "학습"

    pretrained_model_name: str = like(ModelArguments, "pretrained_model_name", group="모델")
    downstream_task_name: str = argument("sentence-generation", "태스크 이름(기록에만 쓰임)")
    downstream_corpus_name: str = like(CorpusArguments, "downstream_corpus_name", group="데이터")
    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", group="데이터")
    downstream_model_dir: str = argument(
        str(OUTPUT / "checkpoint-generation"), "체크포인트와 기록을 저장할 폴더", path=True, writes=True,
        group="체크포인트")
    max_seq_length: int = argument(32, "리뷰 하나를 최대 몇 토큰까지 볼지", minimum=2, group="데이터")
    save_top_k: int = argument(1, "좋은 체크포인트를 몇 개 남길지(-1은 전부)", minimum=-1, group="체크포인트")
    monitor: str = argument(
        "min val_loss", "가장 좋은 체크포인트를 고르는 기준: 'min 이름'이나 'max 이름'", group="체크포인트")
    seed: int | None = like(SeedArguments, "seed", None, group="학습")
    overwrite_cache: bool = argument(
        False, "옛 라이브러리의 옵션: 여기에는 피처 캐시가 없어 효과가 없습니다", group="데이터")
    force_download: bool = like(CorpusArguments, "force_download", group="데이터")
    test_mode: bool = argument(False, "배치 하나로 끝까지 실행해 보기(저장하지 않음)")
    learning_rate: float = argument(5e-5, "학습률의 최댓값", above=0, maximum=1)
    epochs: int = argument(3, "학습 데이터를 몇 번 볼지", minimum=1)
    batch_size: int = argument(96, "한 배치에 리뷰 몇 개를 볼지", minimum=1)
    cpu_workers: int = argument(0, "데이터를 준비할 프로세스의 수(0이면 따로 만들지 않음)", minimum=0, group="데이터")
    fp16: bool = argument(False, "GPU에서 16비트 부동소수점(float16)으로 학습", group="장치")
    tpu_cores: int = argument(0, "옛 라이브러리의 옵션: TPU는 쓰지 않습니다", minimum=0, group="장치")


@dataclass
class GenerationTrainArguments(ExperimentArguments, DistributedArguments, AdapterArguments, LoggingArguments,
                               CheckpointArguments, MemoryArguments, OptimizerArguments, BookArguments):
    """ratsnlp 1.0.53's fields in its order, then what is new here."""

    recipe: str = argument(
        "standard", "학습 방법: standard, 제어 단어를 더 잘 따르게 하는 contrast(시간은 두 배), "
        "또는 ratsnlp 1.0.53과 똑같이 계산하는 book", choices=("standard", "contrast", "book"), group="학습")
    keep_control_words: bool = argument(
        False, "긍정과 부정의 임베딩을 모델에 있는 그대로 두고 시작합니다: 이미 파인튜닝한 모델을 더 학습할 때",
        group="모델")

    def __post_init__(self):
        super().__post_init__()
        if self.recipe == "book":
            self.keep_control_words = True  # ratsnlp 1.0.53 changed no embedding
        if not re.fullmatch(r"(min|max) (val_loss|val_bits_per_char|loss)", self.monitor):
            raise UserError(
                "monitor: min이나 max와 val_loss, val_bits_per_char, loss 가운데 하나여야 하는데 "
                f"{self.monitor!r}입니다.")
        for name in ("warmup_ratio", "weight_decay", "warmup_steps", "adam_epsilon", "max_grad_norm", "optimizer",
                     "lr_scheduler_type", "precision"):
            if self.recipe == "book" and getattr(self, name) != getattr(GenerationTrainArguments, name):
                raise UserError(
                    f"{name}: --recipe book에는 없는 설정인데 {getattr(self, name)}입니다. 둘 가운데 하나를 빼세요.")
        if self.fp16 and self.precision not in ("auto", "16"):
            raise UserError(f"fp16: precision({self.precision})과 함께 쓸 수 없습니다. 하나만 적으세요.")
        if self.fp16 or self.precision == "16":
            import torch

            if self.device == "cpu" or not torch.cuda.is_available():
                name = "fp16" if self.fp16 else "precision"
                raise UserError(f"{name}: float16으로 학습하려면 CUDA GPU가 있어야 하는데 없습니다. "
                                f"--{name}{'' if self.fp16 else ' 16'} 없이 실행하세요.")

    @property
    def fixed_precision(self) -> str | None:
        """Lightning's name of the recipe's fixed precision; None: the one that the machine computes well."""
        from .recipes import recipe_of

        return recipe_of(self).fixed_precision


@dataclass
class GenerationPretrainArguments(GenerationTrainArguments):
    """For pretraining from scratch: the text, and the shape of tokenizer and model.
    The corpus's fields are not used."""

    heading: ClassVar[str] = "사전 학습"

    corpus_path: str = argument(
        "", "학습할 텍스트: UTF-8 .txt(한 줄에 문서 하나), .jsonl, .csv, .tsv 파일이나 .txt들이 든 폴더", path=True)
    output_dir: str = argument(
        str(OUTPUT / "kogpt-mini"), "완성한 모델과 토크나이저를 저장할 폴더", path=True, writes=True)
    tokenizer: str = argument("unigram", "토크나이저의 종류: bpe나 unigram", choices=("bpe", "unigram"))
    vocab_size: int = argument(8000, "어휘의 크기(토큰의 종류 수)", minimum=512, maximum=2**16)
    n_layer: int = argument(6, "층의 수", minimum=1)
    n_head: int = argument(4, "층당 어텐션 헤드의 수", minimum=1)
    n_embd: int = argument(256, "은닉 벡터의 차원", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        if self.recipe != "standard":
            raise UserError(
                f"recipe: 사전 학습은 standard로만 하는데 {self.recipe!r}입니다. "
                "파인튜닝(train_gen-N.py)에 쓰는 값입니다.")
        if self.lora_r:
            raise UserError(f"lora_r: 사전 학습에서는 모델 전체를 학습하므로 0이어야 하는데 {self.lora_r}입니다.")
        if self.world_size > 1:  # each would learn a tokenizer of its own
            raise UserError(f"devices: 사전 학습은 장치 하나로만 하는데 {self.world_size}입니다.")
        if self.n_embd % self.n_head:
            raise UserError(f"n_embd: n_head({self.n_head})의 배수여야 하는데 {self.n_embd}입니다.")
        if not self.corpus_path or not Path(self.corpus_path).exists():
            raise UserError(
                f"corpus_path: {self.corpus_path!r} 파일이나 폴더가 없습니다. "
                "--corpus_path reviews.txt처럼 지정하세요.")


@dataclass
class GenerationTextArguments(ExperimentArguments, DistributedArguments, AdapterArguments, LoggingArguments,
                              CheckpointArguments, MemoryArguments, OptimizerArguments):
    """For one's own text: the fields of Hugging Face's training scripts, in their names and meanings.

    :meth:`training` says the same in the names of :class:`GenerationTrainArguments`, which everything else takes.
    """

    heading: ClassVar[str] = "학습"
    other_names: ClassVar[dict[str, str]] = {
        "pretrained_model_name": "model_type", "downstream_model_dir": "output_dir", "max_seq_length": "block_size",
        "batch_size": "per_device_train_batch_size", "epochs": "num_train_epochs"}

    dataset_path: str = argument(
        "", "학습할 텍스트: UTF-8 .txt(한 줄에 하나), .jsonl, .csv, .tsv 파일이나 .txt들이 든 폴더", path=True,
        group="데이터")
    model_type: str = argument("kogpt-mini", "시작할 모델: kogpt-mini, 허브 이름, 또는 모델 폴더", group="모델")
    output_dir: str = argument(
        str(OUTPUT / "fine_tuned_models"), "체크포인트와 기록을 저장할 폴더", path=True, writes=True,
        group="체크포인트")
    do_train: bool = argument(False, "학습합니다. 없으면 모델과 텍스트를 읽어 크기만 보여 줍니다")
    text_column: str = argument("text", "텍스트가 든 .jsonl의 필드나 .csv, .tsv의 열", text=True, group="데이터")
    label_column: str | None = argument(
        None, "텍스트 앞에 제어 단어로 붙일 필드나 열: NSMC의 긍정과 부정처럼 쓰입니다", text=True, group="데이터")
    prompt_column: str | None = argument(
        None, "질문과 답변을 학습합니다: 질문이 든 필드나 열. .jsonl의 messages는 이 옵션 없이 읽습니다", text=True,
        group="질문과 답변")
    response_column: str | None = argument(None, "답변이 든 필드나 열", text=True, group="질문과 답변")
    system_column: str | None = argument(
        None, "질문보다 앞에 둘 시스템 메시지가 든 필드나 열. 값이 비어도 됩니다", text=True, group="질문과 답변")
    input_column: str | None = argument(
        None, "질문(지시)이 다루는 텍스트가 든 필드나 열: 알파카 형식의 input. 값이 비어도 됩니다", text=True,
        group="질문과 답변")
    format: str = argument(
        "auto", "질문과 답변을 적는 형식: chat(모델의 대화 템플릿), instruction(### Instruction, ### Response), "
        "auto(템플릿이 있으면 chat, 없으면 instruction)", choices=("auto", "chat", "instruction"), group="질문과 답변")
    turns: int = argument(
        1, "질문과 답변을 몇 개까지 무작위로 이은 대화도 함께 학습할지. 2 이상이면 지난 대화 뒤에서도 마지막 질문에 "
        "답하도록 배웁니다", minimum=1, maximum=16, group="질문과 답변")
    truncate: bool = argument(
        False, "block_size보다 긴 질문의 앞과 답변의 뒤를 자릅니다. 없으면 알리고 멈춥니다", group="질문과 답변")
    special_tokens: tuple[str, ...] = argument((), "토크나이저에 추가할 특수 토큰들", text=True, group="모델")
    block_size: int = argument(
        256, "텍스트를 몇 토큰씩 볼지: 더 긴 텍스트는 이만큼씩 나누어 모두 학습합니다", minimum=2, group="데이터")
    validation_split: float = argument(
        0.05, "학습하지 않고 val_loss를 평가하는 데 쓸 텍스트의 비율", above=0, maximum=0.5, group="데이터")
    overwrite_output_dir: bool = argument(
        False, "output_dir에 있는 예전 학습의 결과를 지우고 처음부터 학습합니다", group="체크포인트")
    per_device_train_batch_size: int = argument(32, "한 배치에 텍스트 몇 개를 볼지", minimum=1)
    num_train_epochs: int = argument(3, "학습 데이터를 몇 번 볼지", minimum=1)
    learning_rate: float = like(
        BookArguments, "learning_rate", help="학습률의 최댓값. 작은 kogpt-mini에는 5e-4가 알맞습니다")
    seed: int = like(SeedArguments, "seed", 42, group="학습")

    run_name: str | None = like(ExperimentArguments, "run_name", instead_of="output_dir")

    # As the scripts of Hugging Face have them.
    warmup_ratio: float = like(OptimizerArguments, "warmup_ratio", 0.0)
    weight_decay: float = like(OptimizerArguments, "weight_decay", 0.0)
    save_total_limit: int = like(
        CheckpointArguments, "save_total_limit", 2,
        help="checkpoint-스텝 폴더를 몇 개 남길지(-1은 전부, 0은 만들지 않음)")

    def __post_init__(self):
        super().__post_init__()
        if not self.dataset_path or not Path(self.dataset_path).exists():
            raise UserError(
                f"dataset_path: {self.dataset_path!r} 파일이나 폴더가 없습니다. --dataset_path my.txt처럼 지정하세요.")
        for token in self.special_tokens:
            if not token.strip():
                raise UserError(f"special_tokens: 공백만으로 된 토큰은 쓸 수 없는데 {token!r}입니다.")
        self._check_columns()
        if self.resume and self.overwrite_output_dir:
            raise UserError("resume과 overwrite_output_dir은 함께 쓸 수 없습니다. 이어서 하려면 --resume만 쓰세요.")

    def _check_columns(self) -> None:
        for name, other in (("prompt_column", "response_column"), ("response_column", "prompt_column")):
            if getattr(self, name) is None and getattr(self, other) is not None:
                raise UserError(f"{name}: {other}({getattr(self, other)})과 함께 적어야 합니다.")
        of_columns = ("system_column", "input_column", "turns")
        given = {name for name in (*of_columns, "format", "truncate", "text_column", "label_column")
                 if getattr(self, name) != getattr(GenerationTextArguments, name)}
        for name in sorted(given & {"text_column", "label_column"}):
            if self.prompt_column:
                raise UserError(f"{name}: prompt_column과 함께 쓸 수 없습니다. 하나만 적으세요.")
        for name in sorted(given & {*of_columns}):
            if not self.prompt_column:
                raise UserError(f"{name}: prompt_column, response_column과 함께 적어야 합니다.")
        for name in sorted(given & {"format", "truncate"}):
            if not self.has_conversations:
                raise UserError(f"{name}: 질문과 답변을 학습할 때 씁니다. --prompt_column과 --response_column도 "
                                "적으세요.")

    @cached_property
    def has_conversations(self) -> bool:
        """Whether it is questions and answers that are learnt."""
        return self.prompt_column is not None or holds_messages(self.dataset_path, self.text_column)

    def prepare_output_dir(self) -> None:
        """Remove an earlier training's results if ``overwrite_output_dir`` says so, or it was as this one a ``debug``.

        Raises:
            UserError: there are some, and neither ``overwrite_output_dir`` nor ``resume`` is given, or another run
                is at work there.
        """
        folder = RunFolder(self.output_dir)
        results = folder.results()
        if self.resume or self.run_name or not results:
            return
        if not self.overwrite_output_dir and not self.debug:
            raise UserError(
                f"output_dir: {folder.path}에 예전 학습의 {results[0].name} 등이 있습니다. 이어서 하려면 --resume을, "
                "지우고 처음부터 하려면 --overwrite_output_dir을 붙이세요.")
        with folder.held():
            folder.remove_results()

    def training(self) -> GenerationTrainArguments:
        """The same settings under the names of the book's library."""
        own = {spec.name for spec in fields(GenerationTrainArguments)}
        same = {spec.name: getattr(self, spec.name) for spec in fields(self) if spec.name in own}
        same["run_name"] = self.run_name if self.do_train else None
        return GenerationTrainArguments(
            pretrained_model_name=self.model_type, downstream_task_name="text-generation",
            downstream_model_dir=self.output_dir,
            downstream_corpus_root_dir=str(Path(self.dataset_path).resolve().parent),
            downstream_corpus_name=Path(self.dataset_path).name, max_seq_length=self.block_size,
            batch_size=self.per_device_train_batch_size, epochs=self.num_train_epochs, **same)


@dataclass
class FinetunedArguments(ModelArguments):
    downstream_model_dir: str | None = argument(None, "이 폴더의 파인튜닝한 모델을 대신 씁니다", path=True)


@dataclass
class GenerationInferArguments(DecodingOptions, FinetunedArguments):
    """Which model continues which sentence, with which settings, and what is measured of its texts.

    A knob that is given makes a setting of the user's own, beside those of the tutorial.
    """

    heading: ClassVar[str] = "비교"

    input_sentence: str = argument("안녕하세요", "모델이 이어 쓸 문장", text=True)
    seed: int | None = like(SeedArguments, "seed", help="난수 시드: 설정마다 이 시드에서 시작합니다")
    only: tuple[str, ...] = argument((), "이 번호의 설정만: --only 9 14. 디코딩 옵션으로 만든 내 설정은 언제나 함께")
    beyond: bool = argument(False, f"책에 없는 {len(SETTINGS) + 1}번부터 {len(ALL_SETTINGS)}번까지")
    samples: int = argument(
        0, "샘플링하는 설정마다 시드를 바꿔 가며 텍스트를 몇 개 써서 다양성과 길이를 비교할지(0이면 하지 않음)",
        minimum=0, maximum=1000)
    report: str | None = argument(
        None, "비교 결과와 그림(report.html, report.json)을 저장할 폴더. --samples가 없으면 20개씩 씁니다",
        path=True, writes=True)
    png: bool = argument(False, "report의 그림을 PNG로도 저장합니다(requirements-png.txt가 필요)")
    models: tuple[str, ...] = argument((), "나란히 비교할 다른 모델들: 폴더나 허브 이름. 시드는 같습니다")
    whole_sentences: bool = argument(False, "길이 때문에 잘린 마지막 문장을 빼고 보여 줍니다")
    downstream_corpus_root_dir: str = like(
        CorpusArguments, "downstream_corpus_root_dir", str(BUNDLED_DATA), group="사람의 리뷰")
    downstream_corpus_name: str = like(CorpusArguments, "downstream_corpus_name", "mini", group="사람의 리뷰")

    def __post_init__(self):
        super().__post_init__()
        if not self.input_sentence.strip():
            raise UserError("input_sentence: 빈 문장은 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")
        for number in self.only:
            if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= len(ALL_SETTINGS)):
                raise UserError(f"only: 1부터 {len(ALL_SETTINGS)}까지의 번호여야 하는데 {number!r}입니다.")
        if self.only and self.beyond:
            raise UserError("only와 beyond는 함께 쓸 수 없습니다. 번호를 모두 --only에 적으세요.")
        if self.png and self.report is None:
            raise UserError("png: 그림을 저장할 폴더가 없습니다. --report 폴더도 지정하세요.")
        if self.models and not (self.samples or self.report):
            self.samples = 1


@dataclass
class ReplicaArguments(DeviceArguments):
    """How many devices share batches out among them."""

    devices: int = argument(
        1, "배치를 나누어 계산할 장치(GPU)의 수: 장치마다 프로세스를 하나씩 시작합니다. torchrun은 쓰지 않습니다",
        minimum=1, maximum=1024)

    def __post_init__(self):
        super().__post_init__()
        if self.devices > 1:
            from .replicas import check_devices

            check_devices(self.device, self.devices, getattr(self, "engine", "transformers"))


@dataclass
class PromptArguments(Arguments):
    """Which prompts are continued, by which model, how often, and where the texts go."""

    heading: ClassVar[str] = "텍스트"

    model_name_or_path: str = argument(
        "kogpt-mini", "모델: kogpt-mini, 허브 이름, 모델 폴더, 또는 train_gen-N.py로 파인튜닝한 폴더", group="모델")
    engine: str = argument(
        "transformers", "계산하는 라이브러리: ctranslate2는 빠르고, 쓸 수 있는 옵션이 적습니다",
        choices=("transformers", "ctranslate2"), group="모델")
    compute_type: str = argument(
        "float32", "ctranslate2가 계산할 자료형: int8은 더 빠르고, 텍스트가 달라지기도 합니다",
        choices=("float32", "int8"), group="모델")
    chat: bool = argument(
        False, "대화합니다: 한 줄에 하나씩 묻고, 지난 대화와 함께 답합니다. 질문과 답변을 학습한 모델이어야 합니다",
        group="대화")
    system: str | None = argument(None, "대화의 맨 앞에 둘 시스템 메시지", text=True, group="대화")
    prompt: str | None = argument(None, "이어 쓸 프롬프트 하나", text=True)
    input: str | None = argument(
        None, "프롬프트가 든 파일: .txt(한 줄에 하나), .jsonl, .json, .csv, .tsv. -는 표준 입력", path=True)
    text_column: str = argument("text", "프롬프트가 든 .jsonl의 필드나 .csv, .tsv의 열", text=True)
    length: int | None = argument(
        None, "새로 쓸 토큰의 최대 개수. max_new_tokens와 같습니다. 길이를 하나도 적지 않으면 50",
        minimum=1, maximum=MAX_LENGTH)
    num_return_sequences: int = argument(1, "프롬프트마다 텍스트를 몇 개 쓸지", minimum=1)
    whole_sentences: bool = argument(False, "길이 때문에 잘린 마지막 문장을 뺍니다")
    stream: bool = argument(False, "쓰는 대로 한 글자씩 출력합니다", group="출력")
    output: str | None = argument(
        None, "텍스트를 저장할 새 파일: .jsonl, .csv, .txt(한 줄에 하나. 텍스트 안의 줄바꿈은 공백으로). 없으면 터미널",
        path=True, group="출력")
    with_prompt: bool = argument(True, "터미널과 .txt에 프롬프트도 쓸지", group="출력")
    resume: bool = argument(False, "중단된 output을 이어서 씁니다", group="출력")
    batch_size: int = argument(32, "한 배치에 몇 개를 쓸지", minimum=1, group="출력")


@dataclass
class GenerationGenerateArguments(ReplicaArguments, SeedArguments, DecodingOptions, PromptArguments):
    """The arguments of ``generate.py``: prompts, model, output, and every decoding option.

    Raises:
        UserError: naming two that contradict each other, or an output that cannot be written.
    """

    other_names: ClassVar[dict[str, str]] = {
        "pretrained_model_name": "model_name_or_path", "downstream_model_dir": "model_name_or_path"}

    def __post_init__(self):
        super().__post_init__()
        if self.prompt is not None and self.input is not None:
            raise UserError("prompt: input과 함께 쓸 수 없습니다. 하나만 적으세요.")
        if self.prompt is not None and not self.prompt.strip():
            raise UserError("prompt: 빈 프롬프트는 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")
        if self.system is not None and not self.chat:
            raise UserError("system: 대화할 때 씁니다. --chat도 적으세요.")
        if self.text_column != "text" and self.input in (None, "-"):
            raise UserError("text_column: --input에 열이 있는 파일을 지정했을 때 씁니다.")
        self._check_length()
        self._check_count()
        for name in ("stream", "chat"):
            if getattr(self, name):
                self._check_stream(name)
        if self.engine == "ctranslate2":
            self._check_engine()
        check_output(self, SUFFIXES)

    def _check_engine(self) -> None:
        from .engines import Ctranslate2

        Ctranslate2.check(self)
        for name in ("stream", "chat"):
            if getattr(self, name):
                raise UserError(f"{name}: ctranslate2로는 쓸 수 없습니다. --engine transformers로 실행하세요.")
        if self.resume and self.draws:  # whose random numbers cannot begin where they were
            raise UserError(
                "resume: ctranslate2로 뽑은 텍스트는 이어서 쓸 수 없습니다. --engine transformers로 실행하세요.")

    def _check_length(self) -> None:
        if self.length is None:
            return
        for name in ("max_new_tokens", "max_length"):
            if getattr(self, name) is not None:
                raise UserError(f"length: {name}({getattr(self, name)})와 함께 쓸 수 없습니다. 하나만 적으세요.")
        if (self.min_new_tokens or 0) > self.length:
            raise UserError(f"min_new_tokens: length({self.length}) 이하여야 하는데 {self.min_new_tokens}입니다.")

    def _check_count(self) -> None:
        count, beams = self.num_return_sequences, self.num_beams or 1
        if 1 < beams < count:
            raise UserError(f"num_return_sequences: num_beams({beams}) 이하여야 하는데 {count}입니다.")
        if count > 1 and beams == 1 and not self.draws:
            raise UserError(f"num_return_sequences: 뽑지 않으면 언제나 같은 텍스트라 1이어야 하는데 {count}입니다. "
                            "--do_sample을 붙이세요.")

    def _check_stream(self, what: str) -> None:
        contradicts = {
            "num_beams": (self.num_beams or 1) > 1, "penalty_alpha": self.penalty_alpha,
            "num_return_sequences": self.num_return_sequences > 1, "output": self.output,
            "whole_sentences": self.whole_sentences, "input": what == "chat" and self.input,
            "devices": self.devices > 1}
        for name, given in contradicts.items():
            if given:
                raise UserError(f"{what}: {name}({getattr(self, name)})와 함께 쓸 수 없습니다. 하나만 적으세요.")

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left that ``resume`` could go on with."""
        return self.resume and Path(self.output).exists()

    @property
    def generation(self) -> dict:
        """The decoding options that are named, and ``length`` as one of them."""
        return self.named() | ({} if self.length is None else {"max_new_tokens": self.length})


@dataclass
class GenerationEvalArguments(ReplicaArguments, SeedArguments, CorpusArguments, FinetunedArguments):
    """Which model is evaluated, on which corpus, and where the report goes.

    ``report_dir`` is the model's own folder where it has one, and one under ``output/`` for a model of the
    hub or of this repository.
    """

    heading: ClassVar[str] = "평가"

    pretrained_model_name: str = like(ModelArguments, "pretrained_model_name", "kogpt-mini")
    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", str(BUNDLED_DATA))
    downstream_corpus_name: str = like(CorpusArguments, "downstream_corpus_name", "mini")
    limit: int = argument(0, "테스트 리뷰를 앞에서 몇 개만 쓸지(0은 전부)", minimum=0)
    samples: int = argument(500, "'긍정'과 '부정'으로 시작하는 텍스트를 몇 개씩 쓸지", minimum=1)
    top_p: float = like(DecodingOptions, "top_p", 0.92, group="평가")
    batch_size: int = argument(64, "한 배치에 리뷰 몇 개를 계산할지", minimum=1)
    report_dir: str | None = argument(
        None, "report.json과 report.md를 저장할 폴더(없으면 모델의 폴더)", path=True, writes=True)
    compare: tuple[str, ...] | None = argument(
        None, "평가하는 대신, 이 폴더들에서 한 학습(train_record.json)을 비교합니다: 다른 설정과 결과를 표로")

    def __post_init__(self):
        super().__post_init__()
        if self.report_dir is None:
            folder = Path(self.downstream_model_dir or self.pretrained_model_name).expanduser()
            self.report_dir = str(folder if folder.is_dir() else OUTPUT / "eval_gen" / folder.name)


@dataclass
class GenerationCompareArguments(SeedArguments, CorpusArguments, FinetunedArguments):
    """Which fine-tuned model is compared with the one it was made from, on which reviews, by how many texts.

    Raises:
        UserError: ``downstream_model_dir`` holds no checkpoint, or does not tell which model it was made from
            (its ``train_record.json`` is missing), nor does ``pretrained_model_name``.
    """

    heading: ClassVar[str] = "비교"

    pretrained_model_name: str | None = like(
        ModelArguments, "pretrained_model_name", None,
        help="파인튜닝하기 전의 모델(없으면 train_record.json에 적힌 것)")
    downstream_model_dir: str = like(
        FinetunedArguments, "downstream_model_dir", str(OUTPUT / "nsmc-gen" / "train_gen-by-kogpt-mini"),
        help="파인튜닝한 모델의 폴더")
    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", str(BUNDLED_DATA))
    downstream_corpus_name: str = like(CorpusArguments, "downstream_corpus_name", "mini")
    limit: int = like(GenerationEvalArguments, "limit")
    samples: int = like(GenerationEvalArguments, "samples", 100)
    top_p: float = like(GenerationEvalArguments, "top_p", group="비교")
    batch_size: int = like(GenerationEvalArguments, "batch_size")

    def __post_init__(self):
        super().__post_init__()
        folder = RunFolder(self.downstream_model_dir)
        folder.best_checkpoint()  # that there is one
        if self.pretrained_model_name is None:
            self.pretrained_model_name = folder.read_record().get("arguments", {}).get("pretrained_model_name")
        if self.pretrained_model_name is None:
            raise UserError(
                f"pretrained_model_name: {folder.record} 파일이 없어 무엇을 파인튜닝했는지 알 수 없습니다. "
                "--pretrained_model_name kogpt-mini처럼 알려 주세요.")


@dataclass
class GenerationDeployArguments(Arguments):
    """Which checkpoint is served, and where.

    From a folder, it takes the checkpoint with the lowest val_loss in its name (of equals, the last one written). For a
    file, ``downstream_model_dir`` is the folder of the file. With the engine ``openai``, the model is at
    ``engine_url``: here only its configuration and tokenizer are needed.

    Raises:
        UserError: neither folder nor file is named, the file is not there, or the folder holds no checkpoint;
            ``engine_url`` is no address, is missing, or belongs to no such engine.
    """

    heading: ClassVar[str] = "모델"

    pretrained_model_name: str | None = argument(
        None, "체크포인트 폴더에 모델 설정과 토크나이저가 없을 때 쓸 모델 이름")
    downstream_model_dir: str | None = argument(
        None, "체크포인트가 있는 폴더: val_loss가 가장 낮은 것을 씁니다", path=True)
    downstream_model_checkpoint_fpath: str | None = argument(None, "체크포인트 파일(폴더 대신)", path=True)
    host: str = argument(
        "127.0.0.1", "요청을 받을 주소. 0.0.0.0이면 다른 컴퓨터에서도 접속할 수 있습니다", group="서버")
    port: int = argument(9000, "요청을 받을 포트", minimum=0, maximum=65535, group="서버")
    engine: str = argument(
        "transformers", "transformers, 더 빠른 ctranslate2(int8. 시드와 토큰별 확률이 없음), 책의 방식인 book(한 번에 "
        "하나씩), 또는 vLLM처럼 이미 실행 중인 서버를 쓰는 openai(--engine_url)",
        choices=("transformers", "ctranslate2", "book", "openai"), group="서버")
    token: str | None = argument(
        None, "접속할 때 쓸 토큰. 정하지 않으면, 다른 컴퓨터에서도 접속할 수 있을 때 하나를 만들어 보여 줍니다. "
        "\"\"이면 쓰지 않습니다", secret=True, group="서버")
    cors_origins: tuple[str, ...] = argument(
        (), "이 서버의 API를 쓸 수 있는 다른 웹 페이지의 출처: https://example.com처럼", group="서버")
    allowed_hosts: tuple[str, ...] = argument(
        (), "이 서버에 접속할 때 쓸 수 있는 다른 주소: class.example.com처럼", group="서버")
    engine_url: str | None = argument(
        None, "--engine openai가 쓸 서버의 주소: OpenAI 형식의 API가 있는 vLLM이나 transformers serve. "
        "http://127.0.0.1:8000처럼", group="서버")
    engine_model: str | None = argument(
        None, "그 서버에서의 모델 이름. 모델이 하나뿐이면 적지 않아도 됩니다", group="서버")
    engine_key: str | None = argument(
        None, f"그 서버가 요구하는 API 키. 환경 변수 {ENGINE_KEY}에 적어 두어도 됩니다", secret=True, group="서버")

    def __post_init__(self):
        super().__post_init__()
        if not self.host.strip():
            raise UserError(
                "host: 빈 주소입니다. 이 컴퓨터에서만 열려면 127.0.0.1, "
                "다른 컴퓨터에서도 열려면 0.0.0.0으로 적으세요.")
        self._check_engine()
        if self.downstream_model_checkpoint_fpath is not None:
            file = Path(self.downstream_model_checkpoint_fpath)
            if not file.is_file():
                raise UserError(f"downstream_model_checkpoint_fpath: {file} 파일이 없습니다.")
            self.downstream_model_dir = str(file.parent)
        elif self.engine == "openai" and (self.downstream_model_dir or self.pretrained_model_name):
            return  # no checkpoint is needed
        elif self.downstream_model_dir is not None:
            self.downstream_model_checkpoint_fpath = str(RunFolder(self.downstream_model_dir).best_checkpoint())
        else:
            raise UserError("downstream_model_dir나 downstream_model_checkpoint_fpath 가운데 하나를 지정하세요.")

    def _check_engine(self) -> None:
        for name in ("engine_url", "engine_model", "engine_key"):
            if self.engine != "openai" and getattr(self, name) is not None:
                raise UserError(f"{name}: engine이 openai일 때만 쓰입니다. --engine openai를 붙이세요.")
        if self.engine != "openai":
            return
        advice = "http://127.0.0.1:8000처럼 적으세요."
        if self.engine_url is None:
            raise UserError(f"engine_url: openai 엔진의 주소가 있어야 합니다. --engine_url {advice}")
        try:
            parts = urlsplit(self.engine_url)
            is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not (
                parts.query or parts.fragment or parts.username)
        except ValueError:
            is_right = False
        if not is_right or not self.engine_url.isascii() or " " in self.engine_url:
            raise UserError(f"engine_url: {self.engine_url!r}: 주소가 아닙니다. {advice}")
        self.engine_url = self.engine_url.rstrip("/").removesuffix("/v1")
        self.engine_key = self.engine_key or os.environ.get(ENGINE_KEY)
        if self.engine_key and not (self.engine_key.isascii() and self.engine_key.isprintable()):
            raise UserError("engine_key: 영문자와 숫자, 기호만 쓸 수 있습니다.")

    @property
    def model_name_or_dir(self) -> str:
        """Where config and tokenizer are: beside the checkpoint, or, as ratsnlp 1.0.53 left none there,
        under the model's name."""
        if self.downstream_model_dir and RunFolder(self.downstream_model_dir).config.is_file():
            return self.downstream_model_dir
        if self.pretrained_model_name is None:
            raise UserError(
                f"{self.downstream_model_dir}에 config.json이 없습니다. "
                "--pretrained_model_name으로 어느 모델인지 알려 주세요.")
        return self.pretrained_model_name
