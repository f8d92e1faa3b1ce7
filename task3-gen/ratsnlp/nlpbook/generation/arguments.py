"""What the kinds of script can be told: training, on reviews or on one's own text, decoding (infer) and deployment (serve)."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..arguments import Arguments, argument
from ..devices import check_device
from ..errors import UserError
from ..paths import BUNDLED_DATA, OUTPUT
from ..run_folder import RunFolder


@dataclass
class GenerationTrainArguments(Arguments):
    """ratsnlp 1.0.53's fields in its order, then what is new here.

    Colab's paths became ``~/Korpora`` and a folder under ``output/``, and ``cpu_workers`` became 0 (two workers gain 2 % and
    break a script without a main guard on macOS and Windows).
    """

    pretrained_model_name: str = argument("kogpt2", "사전 학습 모델의 허브 이름이나 폴더. kogpt-mini는 저장소에 든 작은 모델")
    downstream_task_name: str = argument("sentence-generation", "과제 이름(기록에만 쓰임)")
    downstream_corpus_name: str = argument("nsmc", "말뭉치 이름: 말뭉치 폴더의 이름")
    downstream_corpus_root_dir: str = argument(str(Path.home() / "Korpora"), "말뭉치 폴더들이 있는 폴더")
    downstream_model_dir: str = argument(str(OUTPUT / "checkpoint-generation"), "체크포인트와 기록을 저장할 폴더")
    max_seq_length: int = argument(32, "리뷰 하나를 최대 몇 토큰까지 볼지", minimum=2)
    save_top_k: int = argument(1, "좋은 체크포인트를 몇 개 남길지(-1은 전부)", minimum=-1)
    monitor: str = argument("min val_loss", "무엇이 가장 좋은 체크포인트인지: 'min 이름'이나 'max 이름'")
    seed: int | None = argument(None, "난수 시드: 같은 시드는 같은 결과를 냅니다", minimum=0, maximum=2**32 - 1)
    overwrite_cache: bool = argument(False, "옛 라이브러리의 옵션: 여기에는 피처 캐시가 없어 효과가 없습니다")
    force_download: bool = argument(False, "말뭉치가 있어도 다시 내려받기")
    test_mode: bool = argument(False, "배치 하나로 끝까지 돌려 보기(저장하지 않음)")
    learning_rate: float = argument(5e-5, "가장 높을 때의 학습률", above=0, maximum=1)
    epochs: int = argument(3, "학습 데이터를 몇 번 볼지", minimum=1)
    batch_size: int = argument(96, "한 걸음에 리뷰 몇 개를 볼지", minimum=1)
    cpu_workers: int = argument(0, "데이터를 준비할 프로세스의 수(0은 따로 만들지 않음)", minimum=0)
    fp16: bool = argument(False, "GPU에서 16비트 부동소수점(float16)으로 학습")
    tpu_cores: int = argument(0, "옛 라이브러리의 옵션: TPU는 쓰지 않습니다", minimum=0)
    recipe: str = argument("standard", "학습 방법: standard, 또는 ratsnlp 1.0.53과 똑같이 셈하는 book", choices=("standard", "book"))
    warmup_ratio: float = argument(0.1, "전체 걸음 가운데 학습률을 올리는 데 쓰는 비율", minimum=0, maximum=1)
    weight_decay: float = argument(0.01, "가중치 감쇠(행렬에만 적용)", minimum=0, maximum=1)
    warmup_steps: int = argument(0, "학습률을 올리는 데 쓰는 걸음 수(0이면 warmup_ratio를 따름)", minimum=0)
    adam_epsilon: float = argument(1e-8, "AdamW가 0으로 나누지 않게 분모에 더하는 수", above=0, maximum=1)
    max_grad_norm: float = argument(1.0, "기울기 벡터의 길이를 여기까지로 줄임(0이면 줄이지 않음)", minimum=0)
    gradient_accumulation_steps: int = argument(1, "배치 몇 개의 기울기를 모아 한 걸음을 걸을지", minimum=1)
    device: str = argument("auto", "장치: auto(GPU가 있으면 GPU), cpu, cuda, cuda:1")
    resume: bool = argument(False, "멈춘 학습을 last.ckpt부터 이어서 합니다. 없으면 처음부터")
    save_steps: int = argument(500, "몇 걸음마다 last.ckpt에 저장할지(0이면 에폭이 끝날 때만)", minimum=0)
    save_total_limit: int = argument(0, "save_steps마다 checkpoint-걸음 폴더도 만들어 몇 개 남길지(-1은 전부)", minimum=-1)
    patience: int = argument(0, "monitor의 값이 몇 에폭 내리 나아지지 않으면 그만둘지(0이면 끝까지)", minimum=0)
    logging_steps: int = argument(10, "몇 걸음마다 기록할지", minimum=1)
    logging_dir: str | None = argument(None, "TensorBoard 기록을 둘 폴더(없으면 체크포인트 폴더의 tensorboard)")
    wandb: str | None = argument(None, "Weights & Biases에도 기록할 때 그 프로젝트의 이름")
    optimizer: str = argument("adamw", "가중치를 고치는 방법: adamw, 또는 층 안의 행렬만 muon으로", choices=("adamw", "muon"))

    def __post_init__(self):
        super().__post_init__()
        self.downstream_corpus_root_dir = str(Path(self.downstream_corpus_root_dir).expanduser())
        self.downstream_model_dir = str(Path(self.downstream_model_dir).expanduser())
        if not re.fullmatch(r"(min|max) (val_loss|val_bits_per_char|loss)", self.monitor):
            raise UserError(f"monitor: min이나 max와 val_loss, val_bits_per_char, loss 가운데 하나여야 하는데 {self.monitor!r}입니다.")
        if self.save_top_k == 0:
            raise UserError("save_top_k: 1 이상이거나 -1(전부)이어야 하는데 0입니다.")
        for name in ("warmup_ratio", "weight_decay", "warmup_steps", "adam_epsilon", "max_grad_norm", "optimizer"):
            if self.recipe == "book" and getattr(self, name) != getattr(GenerationTrainArguments, name):
                raise UserError(f"{name}: --recipe book에는 없는 설정인데 {getattr(self, name)}입니다. 둘 가운데 하나를 빼세요.")
        check_device(self.device)
        if self.fp16:
            import torch

            if self.device == "cpu" or not torch.cuda.is_available():
                raise UserError("fp16: CUDA GPU가 있어야 하는데 없습니다. --fp16 없이 실행하세요.")


@dataclass
class GenerationPretrainArguments(GenerationTrainArguments):
    """For pretraining from scratch: the text, and the shape of tokenizer and model. The corpus's fields are not used."""

    corpus_path: str = argument("", "학습할 글: UTF-8, 한 줄에 문서 하나")
    output_dir: str = argument(str(OUTPUT / "kogpt-mini"), "완성한 모델과 토크나이저를 저장할 폴더")
    tokenizer: str = argument("unigram", "토크나이저의 종류: bpe나 unigram", choices=("bpe", "unigram"))
    vocab_size: int = argument(8000, "토큰의 가짓수", minimum=512, maximum=2**16)
    n_layer: int = argument(6, "층의 수", minimum=1)
    n_head: int = argument(4, "층마다 어텐션 헤드의 수", minimum=1)
    n_embd: int = argument(256, "은닉 벡터의 너비", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        if self.recipe != "standard":
            raise UserError(f"recipe: 사전 학습은 standard로만 합니다. {self.recipe!r}은(는) 미세조정(train_gen-N.py)의 것입니다.")
        if self.n_embd % self.n_head:
            raise UserError(f"n_embd: n_head({self.n_head})의 배수여야 하는데 {self.n_embd}입니다.")
        self.output_dir = str(Path(self.output_dir).expanduser())
        if not Path(self.corpus_path).is_file():
            raise UserError(f"corpus_path: {self.corpus_path!r} 파일이 없습니다. --corpus_path reviews.txt처럼 지정하세요.")


@dataclass
class GenerationTextArguments(Arguments):
    """For one's own text: the fields of Hugging Face's training scripts, in their names and meanings.

    :meth:`training` says the same in the names of :class:`GenerationTrainArguments`, which everything else takes.
    """

    dataset_path: str = argument("", "배울 글: UTF-8 .txt(한 줄에 글 하나), .jsonl, .csv, .tsv 파일이나 .txt들이 든 폴더")
    model_type: str = argument("kogpt-mini", "시작할 모델: kogpt-mini, 허브 이름, 또는 모델 폴더")
    output_dir: str = argument(str(OUTPUT / "fine_tuned_models"), "체크포인트와 기록을 저장할 폴더")
    do_train: bool = argument(False, "학습합니다. 없으면 모델과 글을 읽어 크기만 보여 줍니다")
    text_column: str = argument("text", ".jsonl의 필드나 .csv, .tsv의 열 가운데 글이 든 것")
    label_column: str | None = argument(None, "글 앞에 제어 단어로 붙일 필드나 열: NSMC의 긍정과 부정처럼 쓰입니다")
    special_tokens: tuple[str, ...] = argument((), "토크나이저에 더할 특별한 토큰들")
    block_size: int = argument(256, "글을 몇 토큰씩 볼지: 더 긴 글은 이만큼씩 나누어 모두 배웁니다", minimum=2)
    validation_split: float = argument(0.05, "글 가운데 배우지 않고 val_loss를 재는 데 쓸 몫", above=0, maximum=0.5)
    overwrite_output_dir: bool = argument(False, "output_dir에 있는 예전 학습의 결과를 지우고 처음부터")
    resume: bool = argument(False, "멈춘 학습을 이어서 합니다. 없으면 처음부터")
    device: str = argument("auto", "장치: auto(GPU가 있으면 GPU), cpu, cuda, cuda:1")
    per_device_train_batch_size: int = argument(32, "한 배치에 글 몇 개를 볼지", minimum=1)
    gradient_accumulation_steps: int = argument(1, "배치 몇 개의 기울기를 모아 한 걸음을 걸을지", minimum=1)
    num_train_epochs: int = argument(3, "글을 몇 번 볼지", minimum=1)
    save_steps: int = argument(500, "몇 걸음마다 checkpoint-걸음 폴더와 last.ckpt를 저장할지(0이면 폴더 없이 에폭이 끝날 때만)", minimum=0)
    save_total_limit: int = argument(2, "checkpoint-걸음 폴더를 몇 개 남길지(-1은 전부, 0은 만들지 않음)", minimum=-1)
    logging_steps: int = argument(10, "몇 걸음마다 기록할지", minimum=1)
    learning_rate: float = argument(5e-5, "가장 높을 때의 학습률. 작은 kogpt-mini에는 5e-4가 알맞습니다", above=0, maximum=1)
    warmup_steps: int = argument(0, "학습률을 올리는 데 쓰는 걸음 수", minimum=0)
    weight_decay: float = argument(0.0, "가중치 감쇠(행렬에만 적용)", minimum=0, maximum=1)
    adam_epsilon: float = argument(1e-8, "AdamW가 0으로 나누지 않게 분모에 더하는 수", above=0, maximum=1)
    max_grad_norm: float = argument(1.0, "기울기 벡터의 길이를 여기까지로 줄임(0이면 줄이지 않음)", minimum=0)
    patience: int = argument(0, "val_loss가 몇 에폭 내리 나아지지 않으면 그만둘지(0이면 끝까지)", minimum=0)
    logging_dir: str | None = argument(None, "TensorBoard 기록을 둘 폴더(없으면 output_dir의 tensorboard)")
    wandb: str | None = argument(None, "Weights & Biases에도 기록할 때 그 프로젝트의 이름")
    seed: int = argument(42, "난수 시드: 같은 시드는 같은 결과를 냅니다", minimum=0, maximum=2**32 - 1)

    def __post_init__(self):
        super().__post_init__()
        dataset_path = Path(self.dataset_path).expanduser()
        if not self.dataset_path or not dataset_path.exists():
            raise UserError(f"dataset_path: {self.dataset_path!r} 파일이나 폴더가 없습니다. --dataset_path my.txt처럼 지정하세요.")
        self.dataset_path = str(dataset_path)
        if self.resume and self.overwrite_output_dir:
            raise UserError("resume과 overwrite_output_dir은 함께 쓸 수 없습니다. 이어서 하려면 --resume만 쓰세요.")
        check_device(self.device)

    def prepare_output_dir(self) -> None:
        """Remove an earlier training's results if ``overwrite_output_dir`` says so.

        Raises:
            UserError: there are some, and neither ``overwrite_output_dir`` nor ``resume`` is given.
        """
        folder = RunFolder(Path(self.output_dir).expanduser())
        results = folder.results()
        if self.resume or not results:
            return
        if not self.overwrite_output_dir:
            raise UserError(f"output_dir: {folder.path}에 예전 학습의 {results[0].name} 등이 있습니다. 이어서 하려면 --resume을, "
                            "지우고 처음부터 하려면 --overwrite_output_dir을 붙이세요.")
        for path in results:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def training(self) -> GenerationTrainArguments:
        """The same settings under the names of the book's library."""
        same = ("learning_rate", "warmup_steps", "weight_decay", "adam_epsilon", "max_grad_norm", "gradient_accumulation_steps", "seed",
                "device", "resume", "save_steps", "save_total_limit", "patience", "logging_steps", "logging_dir", "wandb")
        return GenerationTrainArguments(
            pretrained_model_name=self.model_type, downstream_task_name="text-generation", downstream_model_dir=self.output_dir,
            downstream_corpus_root_dir=str(Path(self.dataset_path).resolve().parent), downstream_corpus_name=Path(self.dataset_path).name,
            max_seq_length=self.block_size, batch_size=self.per_device_train_batch_size, epochs=self.num_train_epochs, warmup_ratio=0.0,
            **{name: getattr(self, name) for name in same})


@dataclass
class GenerationInferArguments(Arguments):
    """Which model continues which sentence."""

    pretrained_model_name: str = argument("kogpt2", "사전 학습 모델의 허브 이름이나 폴더. kogpt-mini는 저장소에 든 작은 모델")
    downstream_model_dir: str | None = argument(None, "이 폴더의 미세조정한 모델을 대신 씁니다")
    input_sentence: str = argument("안녕하세요", "모델이 이어 쓸 글")
    seed: int | None = argument(7, "난수 시드: 설정마다 이 시드에서 시작합니다", minimum=0, maximum=2**32 - 1)

    def __post_init__(self):
        super().__post_init__()
        if not self.input_sentence.strip():
            raise UserError("input_sentence: 빈 글은 이어 쓸 수 없습니다. 한 글자 이상 적어 주세요.")


@dataclass
class GenerationEvalArguments(Arguments):
    """Which model is measured, on which corpus, and where the report goes.

    ``report_dir`` is the model's own folder where it has one, and one under ``output/`` for a model of the hub or of this repository.
    """

    pretrained_model_name: str = argument("kogpt-mini", "사전 학습 모델의 허브 이름이나 폴더. kogpt-mini는 저장소에 든 작은 모델")
    downstream_model_dir: str | None = argument(None, "미세조정한 모델의 폴더: 사전 학습 모델 대신 그 모델을 잽니다")
    downstream_corpus_root_dir: str = argument(str(BUNDLED_DATA), "말뭉치 폴더들이 있는 폴더")
    downstream_corpus_name: str = argument("mini", "말뭉치 이름: 말뭉치 폴더의 이름")
    force_download: bool = argument(False, "말뭉치가 있어도 다시 내려받기")
    limit: int = argument(0, "시험 리뷰를 앞에서 몇 개만 쓸지(0은 전부)", minimum=0)
    samples: int = argument(500, "긍정과 부정을 몇 개씩 쓰게 할지", minimum=1)
    top_p: float = argument(0.92, "쓸 때의 톱-p: 확률을 큰 것부터 더해 이만큼이 될 때까지의 토큰에서 뽑습니다", above=0, maximum=1)
    batch_size: int = argument(64, "한 번에 리뷰 몇 개를 계산할지", minimum=1)
    seed: int = argument(7, "난수 시드: 같은 시드는 같은 결과를 냅니다", minimum=0, maximum=2**32 - 1)
    report_dir: str | None = argument(None, "report.json과 report.md를 둘 폴더(없으면 모델의 폴더)")

    def __post_init__(self):
        super().__post_init__()
        self.downstream_corpus_root_dir = str(Path(self.downstream_corpus_root_dir).expanduser())
        if self.downstream_model_dir is not None:
            self.downstream_model_dir = str(Path(self.downstream_model_dir).expanduser())
        if self.report_dir is None:
            folder = Path(self.downstream_model_dir or self.pretrained_model_name).expanduser()
            self.report_dir = str(folder if folder.is_dir() else OUTPUT / "eval_gen" / folder.name)
        self.report_dir = str(Path(self.report_dir).expanduser())


@dataclass
class GenerationDeployArguments(Arguments):
    """Which checkpoint is served, and where.

    Of a folder, the checkpoint with the lowest val_loss in its name is taken (of equals, the one that was written last); of a
    file, its folder is ``downstream_model_dir``.

    Raises:
        UserError: neither folder nor file is named, the file is not there, or the folder holds no checkpoint.
    """

    pretrained_model_name: str | None = argument(None, "체크포인트 폴더에 모델 설정과 토크나이저가 없을 때 쓸 모델 이름")
    downstream_model_dir: str | None = argument(None, "체크포인트가 있는 폴더: val_loss가 가장 낮은 것을 씁니다")
    downstream_model_checkpoint_fpath: str | None = argument(None, "체크포인트 파일(폴더 대신)")
    host: str = argument("127.0.0.1", "기다릴 주소. 0.0.0.0이면 다른 컴퓨터에서도 접속할 수 있습니다")
    port: int = argument(9000, "기다릴 포트", minimum=0, maximum=65535)

    def __post_init__(self):
        super().__post_init__()
        if self.downstream_model_checkpoint_fpath is not None:
            file = Path(self.downstream_model_checkpoint_fpath).expanduser()
            if not file.is_file():
                raise UserError(f"downstream_model_checkpoint_fpath: {file} 파일이 없습니다.")
            self.downstream_model_checkpoint_fpath = str(file)
            self.downstream_model_dir = str(file.parent)
        elif self.downstream_model_dir is not None:
            self.downstream_model_dir = str(Path(self.downstream_model_dir).expanduser())
            self.downstream_model_checkpoint_fpath = str(RunFolder(self.downstream_model_dir).best_checkpoint())
        else:
            raise UserError("downstream_model_dir나 downstream_model_checkpoint_fpath 가운데 하나를 지정하세요.")

    @property
    def model_name_or_dir(self) -> str:
        """Where config and tokenizer are: beside the checkpoint, or, as ratsnlp 1.0.53 left none there, under the model's name."""
        if RunFolder(self.downstream_model_dir).config.is_file():
            return self.downstream_model_dir
        if self.pretrained_model_name is None:
            raise UserError(f"{self.downstream_model_dir}에 config.json이 없습니다. --pretrained_model_name으로 어느 모델인지 알려 주세요.")
        return self.pretrained_model_name
