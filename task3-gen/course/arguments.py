"""The arguments of the course's steps, and how a step that is not finished ends."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ratsnlp import nlpbook
from ratsnlp.nlpbook.argument_groups import CorpusArguments, SeedArguments
from ratsnlp.nlpbook.arguments import Arguments, argument, flags_by_heading, like
from ratsnlp.nlpbook.errors import UserError
from ratsnlp.nlpbook.generation import GenerationDeployArguments, GenerationTextArguments, GenerationTrainArguments
from ratsnlp.nlpbook.paths import BUNDLED_DATA, OUTPUT
from ratsnlp.nlpbook.run_folder import best_checkpoint

from .gaps import install_hook
from .runner import MEMORY
from .students import prompt_of, seed_of


@dataclass
class StepArguments(SeedArguments, Arguments):
    """What each step takes: the model, a prompt, a seed, and the folder for its pictures and models."""

    heading: ClassVar[str] = "실습"

    model: str | None = argument(
        None, "빈칸에 적은 모델 대신 쓸 모델: 허브 이름이나 폴더(skt/kogpt2-base-v2처럼)")
    prompt: str = argument("오늘 점심 먹으면서", "이어 쓸 문장", text=True)
    output_dir: str = argument(str(OUTPUT / "course"), "그림과 모델을 저장할 폴더", path=True, writes=True)
    student: int | None = argument(
        None, "내 번호(출석 번호처럼). 프롬프트와 시드가 번호에 따라 정해집니다. 없으면 모두 같습니다", minimum=0)


def load_arguments(argument_class, **defaults):
    """:func:`ratsnlp.nlpbook.load_arguments`; from here on a blank that is not filled ends the script with one line,
    which tells the TODO and a hint, and exit code 1. The number of a student gives prompt and seed.

    Raises:
        UserError: besides the number there is a prompt or a seed.
    """
    args = nlpbook.load_arguments(argument_class, **defaults)
    if args.student is not None:
        for name in ("prompt", "seed"):
            usual = defaults.get(name, argument_class.__dataclass_fields__[name].default)
            if getattr(args, name) != usual or any(word.partition("=")[0] == f"--{name}" for word in sys.argv[1:]):
                raise UserError(f"student: {args.student}번의 {name}는 번호로 정해집니다. --student와 --{name} 가운데 "
                                "하나만 적으세요.")
        args.prompt, args.seed = prompt_of(args.student), seed_of(args.student)
        print(f"학생 {args.student}: 프롬프트 {args.prompt!r}, 시드 {args.seed}")
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
        UserError: a step that there is not, or flags that contradict each other.
    """

    heading: ClassVar[str] = "채점"
    other_names: ClassVar[dict[str, str]] = {"class_dir": "class"}

    steps: tuple[str, ...] = argument(
        (), "채점할 단계: 1에서 5까지, 수업 전날의 확인은 0. 없으면 아직 통과하지 않은 단계들(--class에서는 모두)")
    hint: bool = argument(False, "채점 결과 대신, 막힌 TODO의 다음 힌트를 보여 줍니다")
    start: int | None = argument(
        None, "이 단계부터 시작하도록 앞 단계들을 완성해 둡니다. 쓰던 파일은 output/course/mine에 남깁니다",
        minimum=1, maximum=5)
    student: int | None = argument(
        None, "내 번호(출석 번호처럼). 번호에 따라 정해지는 프롬프트와 시드로 채점합니다", minimum=0)
    json: bool = argument(
        False, "한 단계의 결과를 다른 프로그램이 읽을 JSON(Exercism의 results.json, 버전 3)으로만 출력합니다")
    seconds: int | None = argument(
        None, "한 단계를 몇 초까지 기다릴지(없으면 3분에서 10분, --class에서는 1분에서 2분)", minimum=1)
    memory: float = argument(MEMORY, "파일 하나가 메모리를 몇 GB까지 쓸 수 있는지", above=0)
    class_dir: str | None = argument(
        None, "학생들의 폴더나 zip이 든 폴더, 또는 그것을 모은 zip. 모두 채점해 표로 만듭니다. 모두 채점했으면, "
        "통과하지 못한 학생이 있어도 종료 코드는 0입니다", flag="class", path=True, group="수업")
    report_dir: str | None = argument(
        None, "표(index.html, class.csv)를 저장할 폴더. 없으면 output/course/class", path=True, group="수업")
    jobs: int | None = argument(
        None, "한 번에 채점할 파일의 수. 없으면 CPU 코어와 남은 메모리에 따라", minimum=1, group="수업")
    anonymous: bool = argument(
        False, "index.html에 이름을 적지 않고 번호만 적습니다(class.csv에는 적습니다)", group="수업")

    def __post_init__(self):
        super().__post_init__()
        for word in self.steps:
            if word not in ("0", "1", "2", "3", "4", "5"):
                raise UserError(f"steps: 단계는 0에서 5까지인데 {word!r}입니다.")
        if "0" in self.steps and len(self.steps) > 1:
            raise UserError(f"steps: 0은 혼자 적어야 하는데 {' '.join(self.steps)}입니다.")
        rehearsal = self.numbers == [0]
        given = {"--class": self.class_dir is not None, "--json": self.json, "--hint": self.hint,
                 "--start": self.start is not None, "0": rehearsal, "--student": self.student is not None}
        apart = {"--class": ("--json", "--hint", "--start", "0", "--student"), "--json": ("--hint", "--start", "0"),
                 "--start": ("--student",), "0": ("--student",)}
        for one, others in apart.items():
            for other in others:
                if given[one] and given[other]:
                    raise UserError(f"{one}, {other}: 함께 쓸 수 없습니다.")
        if self.json and len(self.numbers) != 1:
            raise UserError("json: 단계를 하나만 적으세요. check.py 1 --json처럼요.")
        if not given["--class"]:
            for name in ("report_dir", "jobs", "anonymous"):
                if getattr(self, name):
                    raise UserError(f"{name}: --class와 함께 쓰는 옵션입니다.")

    @property
    def numbers(self) -> list[int]:
        return sorted(set(map(int, self.steps)))


def with_steps_named(argv: list[str]) -> list[str]:
    """A command line of ``check.py`` with its bare numbers behind ``--steps``: ``1 --hint`` is ``--hint --steps 1``."""
    valued = {f"--{flag.name}" for flags in flags_by_heading(CheckArguments, {}).values() for flag in flags
              if flag.kind is not bool}
    bare, others = [], []
    for before, word in zip(["", *argv], argv, strict=False):
        (bare if word.isdigit() and before not in valued else others).append(word)
    return [*others, "--steps", *bare] if bare else argv
