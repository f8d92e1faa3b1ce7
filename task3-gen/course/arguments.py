"""The arguments of the course's steps, and how a step that is not finished ends."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ratsnlp import nlpbook
from ratsnlp.nlpbook.argument_groups import CorpusArguments, SeedArguments
from ratsnlp.nlpbook.arguments import Arguments, argument, like
from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.generation import GenerationDeployArguments, GenerationTextArguments, GenerationTrainArguments
from ratsnlp.nlpbook.paths import BUNDLED_DATA, OUTPUT
from ratsnlp.nlpbook.run_folder import best_checkpoint

from .gaps import install_hook


@dataclass
class StepArguments(SeedArguments, Arguments):
    """What each step takes: the model, a prompt, a seed, and the folder for its pictures and models."""

    heading: ClassVar[str] = "실습"

    model: str | None = argument(
        None, "빈칸에 적은 모델 대신 쓸 모델: 허브 이름이나 폴더(skt/kogpt2-base-v2처럼)")
    prompt: str = argument("오늘 점심 먹으면서", "이어 쓸 문장", text=True)
    output_dir: str = argument(str(OUTPUT / "course"), "그림과 모델을 저장할 폴더", path=True, writes=True)


def load_arguments(argument_class, **defaults):
    """:func:`ratsnlp.nlpbook.load_arguments`; from here on a blank that is not filled ends the script with one line,
    which tells the TODO and a hint, and exit code 1."""
    args = nlpbook.load_arguments(argument_class, **defaults)
    install_hook()
    return args


@dataclass
class TrainingStepArguments(CorpusArguments, StepArguments):
    """What step 4 takes besides: reviews or one's own text, and settings to use instead of those in the blanks.

    One's own text is a corpus as well: the file's folder and name.

    Raises:
        UserError: there is no such text.
    """

    downstream_corpus_root_dir: str = like(CorpusArguments, "downstream_corpus_root_dir", str(BUNDLED_DATA))
    downstream_corpus_name: str = like(
        CorpusArguments, "downstream_corpus_name", "mini",
        help="말뭉치 이름: 저장소에 든 작은 mini, 또는 nsmc(폴더는 ~/Korpora)")
    dataset_path: str | None = like(
        GenerationTextArguments, "dataset_path", None,
        help="영화 리뷰 대신 학습할 내 텍스트: UTF-8 .txt(한 줄에 하나), .jsonl, .csv, .tsv 파일이나 .txt들이 든 폴더. "
        "하나하나는 앞의 96토큰까지(긴 텍스트를 전부 학습하는 것은 train.py)")
    text_column: str = like(GenerationTextArguments, "text_column")
    label_column: str | None = like(GenerationTextArguments, "label_column")
    learning_rate: float | None = like(
        GenerationTrainArguments, "learning_rate", None, help="빈칸에 적은 학습률 대신 쓸 값", group="학습")
    epochs: int | None = like(
        GenerationTrainArguments, "epochs", None, help="빈칸에 적은 에폭 대신 쓸 값", group="학습")
    batch_size: int = like(GenerationTrainArguments, "batch_size", 64, group="학습")
    recipe: str | None = like(
        GenerationTrainArguments, "recipe", None, group="학습",
        help="학습 방법: 제어 단어를 더 잘 따르게 하는 contrast(시간은 두 배)나 standard. 없으면 영화 리뷰는 contrast, "
        "내 텍스트는 standard")
    resume: bool = like(GenerationTrainArguments, "resume", group="학습")

    def __post_init__(self):
        super().__post_init__()
        if self.recipe is None:
            self.recipe = "contrast" if self.dataset_path is None else "standard"
        if self.dataset_path is not None:
            path = Path(self.dataset_path).resolve()
            if not path.exists():
                raise UserError(f"dataset_path: {self.dataset_path!r} 파일이나 폴더가 없습니다. "
                                "--dataset_path my.txt처럼 지정하세요.")
            self.downstream_corpus_root_dir, self.downstream_corpus_name = str(path.parent), path.name


@dataclass
class ServiceStepArguments(StepArguments):
    """What step 5 takes besides: where it listens, by default where the script of the same model does, and whether the
    page is opened."""

    ports: ClassVar[dict[str, int]] = {
        "skt/kogpt2-base-v2": 9001, "skt/ko-gpt-trinity-1.2B-v0.5": 9002, "EleutherAI/polyglot-ko-1.3b": 9003}

    host: str = like(GenerationDeployArguments, "host")
    port: int | None = like(
        GenerationDeployArguments, "port", None,
        help="요청을 받을 포트. 없으면 9000, KoGPT2는 9001, Ko-GPT-Trinity는 9002, Polyglot-Ko는 9003")
    open: bool = argument(True, "웹 페이지를 브라우저에서 열지", group="서버")

    def __post_init__(self):
        super().__post_init__()
        if self.port is None:
            self.port = self.ports.get(self.model, 9000)


def model_folder(args: StepArguments) -> Path:
    """Where step 4 puts the model that it trains, and step 5 looks for it."""
    return Path(args.output_dir) / f"step4-by-{Path(args.model or 'kogpt-mini').name}"


def is_trained(args: StepArguments) -> bool:
    """Whether step 4 has left a checkpoint of this model."""
    try:
        best_checkpoint(model_folder(args))
    except UserError:
        return False
    return True


def trained_folder(args: StepArguments) -> Path:
    """The folder in which step 4 has left a checkpoint of this model.

    Raises:
        UserError: there is none.
    """
    if not is_trained(args):
        raise UserError(f"{model_folder(args)}에 체크포인트가 없습니다. 4단계를 먼저 하거나, python task3-gen/check.py "
                        "--start 5로 4단계까지 마친 상태를 만드세요.")
    return model_folder(args)


@dataclass
class CheckArguments(Arguments):
    """The flags of ``check.py``. Numbers that follow no flag are steps: ``check.py 1 2`` is ``--steps 1 2``.

    Raises:
        UserError: a step that there is not, or one that is named with others though it stands alone.
    """

    heading: ClassVar[str] = "채점"

    steps: tuple[str, ...] = argument(
        (), "채점할 단계: 1에서 5까지, 수업 전날의 확인은 0. 없으면 아직 통과하지 않은 단계들")
    hint: bool = argument(False, "채점 결과 대신, 막힌 TODO의 다음 힌트를 보여 줍니다")
    start: int | None = argument(
        None, "이 단계부터 시작하도록 앞 단계들을 완성해 둡니다. 쓰던 파일은 output/course/mine에 남깁니다",
        minimum=1, maximum=5)
    seconds: int | None = argument(
        None, "한 단계를 몇 초까지 기다릴지(없으면 3분에서 10분)", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        for word in self.steps:
            if word not in ("0", "1", "2", "3", "4", "5"):
                raise UserError(f"steps: 단계는 0에서 5까지인데 {word!r}입니다.")
        if "0" in self.steps and len(self.steps) > 1:
            raise UserError(f"steps: 0은 혼자 적어야 하는데 {' '.join(self.steps)}입니다.")

    @property
    def numbers(self) -> list[int]:
        return sorted(set(map(int, self.steps)))


def with_steps_named(argv: list[str]) -> list[str]:
    """A command line of ``check.py`` with its bare numbers behind ``--steps``: ``1 --hint`` is ``--hint --steps 1``."""
    bare, others = [], []
    for before, word in zip(["", *argv], argv, strict=False):
        (bare if word.isdigit() and before not in ("--start", "--seconds", "--steps") else others).append(word)
    return [*others, "--steps", *bare] if bare else argv
