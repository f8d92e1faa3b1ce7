"""Experiments: settings in YAML, where each comes from, runs under a name with their logs, --debug, runs compared."""

import importlib.util
import io
import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from helpers import REPOSITORY, SCRIPTS, run_script, user_error, write_corpus

from ratsnlp import nlpbook
from ratsnlp.nlpbook import UserError, experiments
from ratsnlp.nlpbook.display import width
from ratsnlp.nlpbook.evaluation.runs import compare_runs
from ratsnlp.nlpbook.generation import (
    GenerationDataset,
    GenerationDeployArguments,
    GenerationEvalArguments,
    GenerationTextArguments,
    GenerationTrainArguments,
    NsmcCorpus,
    load_text_datasets,
)
from ratsnlp.nlpbook.settings_file import read_settings
from ratsnlp.nlpbook.terminal_log import Screen, TerminalLog

EXPERIMENTS = SCRIPTS / "experiments"


@pytest.fixture
def load(monkeypatch, tmp_path):
    """What a script of ``argument_class`` makes of a command line, begun in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def load(*argv, argument_class=GenerationTrainArguments, **defaults):
        monkeypatch.setattr(sys, "argv", ["script.py", *map(str, argv)])
        return nlpbook.load_arguments(argument_class, **defaults)

    return load


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


# Files that extend one another


def test_a_chain_of_files_sections_and_what_wins(load):
    write("base/base.yaml", "training:\n  seed: 1\n  epochs: 5\n  batch_size: 2\n")
    write("base/middle.yml", "extends: base.yaml\n다른 이름:\n  epochs: 6\nlearning_rate: 5e-4\nresume: on\n")
    write("x.yaml", "extends: base/middle.yml\nwandb:\n  wandb: 내 프로젝트\n  wandb_tags: [가, 나]\nbatch_size: 3\n")
    args = load("x.yaml", "--batch_size", 4, max_seq_length=96, epochs=9)
    assert (args.seed, args.epochs, args.batch_size, args.max_seq_length) == (1, 6, 4, 96)
    assert (args.learning_rate, args.resume) == (0.0005, True)
    assert (args.wandb, args.wandb_tags) == ("내 프로젝트", ("가", "나"))


def test_one_setting_may_be_another(load):
    write("base.yaml", "training:\n  seed: ${epochs}\n  downstream_task_name: '\\${그대로}'\n")
    write("x.yaml", "extends: base.yaml\nmodel:\n  epochs: 4\nwandb: p\nwandb_tags: ['${epochs}에폭']\n"
                    "downstream_model_dir: ${OUTPUT}/x\n")
    args = load("x.yaml")
    assert (args.seed, args.wandb_tags, args.downstream_task_name) == (4, ("4에폭",), "${그대로}")
    assert args.downstream_model_dir == f"{nlpbook.OUTPUT}/x"


@pytest.mark.parametrize(("text", "message"), [
    ("training:\n  epohcs: 1\n", "x.yaml: training.epohcs: 없는 이름입니다. 혹시 epochs인가요?"),
    ("training:\n  epochs: 셋\n", "x.yaml: training.epochs: 정수여야 하는데 '셋'입니다."),
    ("training:\n  epochs: 0\n", "x.yaml: training.epochs: 1 이상이어야 하는데 0입니다."),
    ("epochs:\n", "x.yaml: epochs: 정수여야 하는데 비어 있습니다."),
    ("training:\n", "x.yaml: training: 없는 이름입니다. 섹션이라면"),
    ("on: 3\n", "x.yaml: True: 없는 이름입니다."),
    ("downstream_corpus_name: no\n", "문자열이어야 하는데 False입니다. yes, no, on, off도 따옴표로 감싸세요."),
    ("precision: 16\n", "x.yaml: precision: 문자열이어야 하는데 16입니다. 따옴표로 감싸세요."),
    ("lora:\n  lora_alpha: 3\n", "x.yaml: lora.lora_alpha: LoRA를 쓸 때의 설정인데"),
    ("w:\n  wandb_tags: [가]\n", "x.yaml: w.wandb_tags: wandb가 없으면"),
    ("run_name: 'a/b'\n", "x.yaml: run_name: 폴더 이름에 쓸 수 없는 문자"),
    ("epochs: 1\nseed: 2\nepochs: 2\n", "x.yaml 3번째 줄: epochs: 같은 이름이 두 번"),
    ("a:\n  epochs: 1\nb:\n  epochs: 2\n", "x.yaml: b.epochs: a.epochs에도 있습니다."),
    ("a:\n  epochs: 1\nepochs: 2\n", "x.yaml: epochs: a.epochs에도 있습니다."),
    ("a:\n  b:\n    epochs: 1\n", "x.yaml: a.b: 섹션 안에는 섹션을"),
    ("", "x.yaml: 설정이 하나도 없습니다."), ("# 주석\n", "x.yaml: 설정이 하나도 없습니다."),
    ("- epochs\n", "x.yaml: 목록이 아니라"), ("3\n", "x.yaml: YAML 설정으로 읽을 수 없습니다"),
    ("training:\n\tepochs: 1\n", "x.yaml 2번째 줄: YAML에서는 탭으로"),
    ("seed: 1\ndownstream_task_name: 가: 나\n", "x.yaml 2번째 줄: YAML로 읽을 수 없습니다"),
    ('downstream_model_dir: "C:\\Users"\n', "x.yaml 1번째 줄: .*경로의 .는 /로"),
    ("seed: ${epohcs}\n", "x.yaml: seed: '${epohcs}' 값을 구할 수 없습니다"),
    ("seed: ${none:1}\n", "x.yaml: seed: .* 값을 구할 수 없습니다"),
    ("a:\n  seed: ${없음:1}\n", "x.yaml: a.seed: YAML 설정으로 읽을 수 없습니다"),
    ("seed: ${\n", "x.yaml: seed: YAML 설정으로 읽을 수 없습니다"),
    ("seed: !!python/object/apply:os.system ['touch ran']\n", "x.yaml 1번째 줄: YAML로 읽을 수 없습니다"),
    ("extends: x.yaml\n", "x.yaml: extends: 파일들이 서로를 가리켜 끝나지 않습니다: x.yaml → x.yaml"),
    ("extends: ../base.yaml\n", r"x.yaml: extends: \S+base.yaml: 설정 파일을 읽을 수 없습니다"),
    ("extends: [a.yaml]\n", "x.yaml: extends: base.yaml처럼"),
])
def test_a_wrong_file_is_one_line_with_file_and_key(load, text, message):
    write("x.yaml", text)
    with pytest.raises(UserError, match=re.sub(r"([$?(){}])", r"\\\1", message)) as caught:
        load("x.yaml")
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()


def test_a_loop_names_the_files_on_its_way(load):
    write("x.yaml", "extends: in/a.yaml\n")
    write("in/a.yaml", "extends: b.yaml\n")
    write("in/b.yaml", "extends: ../x.yaml\n")
    with pytest.raises(UserError, match=r"b.yaml: extends: .* x.yaml → \S+a.yaml → \S+b.yaml → \S+x.yaml$"):
        load("x.yaml")


def test_another_encoding_is_told(load):
    for encoding in ("cp949", "utf-16"):
        Path("x.yaml").write_bytes("downstream_task_name: 가\n".encode(encoding))
        with pytest.raises(UserError, match="x.yaml: UTF-8이 아닙니다"):
            load("x.yaml")
    Path("x.yaml").write_bytes("epochs: 2\n".encode("utf-8-sig"))
    assert load("x.yaml").epochs == 2


def test_a_json_file_is_named_with_its_key_and_a_flag_is_not(load):
    write("a.json", '{"epochs": 0, "seed": 1}')
    with pytest.raises(UserError, match="^a.json: epochs: 1 이상이어야 하는데 0입니다.$"):
        load("a.json")
    with pytest.raises(UserError, match="^seed: 0 이상이어야"):
        load("a.json", "--epochs", 1, "--seed", -1)
    write("a.json", '{"epoch": 0}')
    with pytest.raises(UserError, match="^a.json: epoch: 없는 이름입니다. 혹시 epochs인가요"):
        load("a.json")


def test_lora_by_flag_takes_ten_times_the_rate_of_the_file(load):
    write("whole.yaml", "learning_rate: 1e-5\n")
    write("lora.yaml", "extends: whole.yaml\nlora_r: 4\nlearning_rate: 3e-4\n")
    assert load("whole.yaml", "--lora_r", 8, learning_rate=1e-3).learning_rate == pytest.approx(1e-4)
    assert load("lora.yaml").learning_rate == 3e-4
    assert load("lora.yaml", "--lora_r", 8).learning_rate == 3e-4


@pytest.fixture(scope="module")
def asked():
    """docs/flags.py's: the class of the arguments of a script, and its own settings."""
    spec = importlib.util.spec_from_file_location("flags", REPOSITORY / "docs" / "flags.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.asked


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("script", [
    "train_gen-0", "train_gen-1", "train_gen-2", "train_gen-3", "train_sum-0", "train_sum-1", "train_sum-2",
    "train_sum-3", "infer_sum-1", "infer_sum-2", "infer_sum-3"])
def test_the_file_of_a_script_has_exactly_its_settings(asked, monkeypatch, script, gpu):
    argument_class, own = asked(f"{script}.py", gpu)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    file = EXPERIMENTS / f"{script}.yaml"
    settings = read_settings(file, [spec.name for spec in fields(argument_class)])
    assert {name: setting.value for name, setting in settings.items()} == {
        name: os.fspath(value) if isinstance(value, Path) else value for name, value in own.items()}
    command = file.read_text(encoding="utf-8").splitlines()[0]
    assert command.startswith(f"# python task3-gen/{script}.py task3-gen/experiments/{file.name}")


@pytest.mark.parametrize("file", sorted(EXPERIMENTS.glob("train_*.yaml")), ids=lambda file: file.name)
def test_each_file_is_taken_by_the_script_in_its_comment(asked, load, file):
    script, named = re.search(r"^# python task3-gen/(\S+) task3-gen/experiments/(\S+)$",
                              file.read_text(encoding="utf-8"), re.MULTILINE).groups()
    argument_class, own = asked(script, False)
    assert named == file.name
    args = load(file, argument_class=argument_class, **own)
    assert args.lora_r == (16 if "lora:" in file.read_text(encoding="utf-8") else 0)


def test_a_mistake_in_a_file_ends_a_script_before_anything_is_loaded(tmp_path):
    (tmp_path / "x.yaml").write_text("extends: y.yaml\n", encoding="utf-8")
    (tmp_path / "y.yaml").write_text("training:\n  epohcs: 1\n", encoding="utf-8")
    for script in ("train_gen-0.py", "infer_gen-1.py", "serve_gen-2.py", "check.py"):
        line = user_error(run_script(script, "x.yaml", cwd=tmp_path))
        assert line.startswith("오류: y.yaml: training.epohcs: 없는 이름입니다."), script


# Where each setting comes from


def test_print_config_tells_each_setting_and_its_source_and_can_be_read_again(load, capsys):
    write("base.yaml", "seed: 3\n")
    write("x.yaml", "extends: base.yaml\nwandb:\n  wandb: 'on'\n"
                    "  wandb_tags: ['a: b', '#', 가, '\\${x}', '1e3', \"\\n\"]\n")
    argv = ["x.yaml", "--qlora", "--downstream_task_name", "??? \\ '\" ${epochs} 끝 "]
    with pytest.raises(SystemExit) as end:
        load(*argv, "--print_config", epochs=2, downstream_model_dir=Path("여기 저기"))
    assert not end.value.code
    text = capsys.readouterr().out
    sources = dict(re.findall(r"^  (\w+): .*  # (.*)$", text, re.MULTILINE))
    assert sources.keys() == {spec.name for spec in fields(GenerationTrainArguments)}
    told = {"seed": "base.yaml", "wandb": "x.yaml", "qlora": "플래그", "epochs": "스크립트",
            "downstream_model_dir": "스크립트", "batch_size": "클래스 기본값", "lora_r": "다른 설정에 따라",
            "learning_rate": "다른 설정에 따라"}
    assert {name: sources[name] for name in told} == told
    assert re.findall(r"^(\S.*):$", text, re.MULTILINE)[:3] == ["모델", "학습", "데이터"]
    values = [line[: line.rindex("  # ")] for line in text.splitlines() if line.startswith("  ")]
    assert len({max(width(value), 80) for value in values}) <= 2  # a column, but for what is longer
    assert len({re.match(r"  \w+: +", value).end() for value in values}) == 1
    write("again.yaml", text)
    assert load("again.yaml") == load(*argv, epochs=2, downstream_model_dir=Path("여기 저기"))


def test_print_config_shows_no_secret(load, capsys, finetuned_folder):
    write("x.yaml", f"token: 비밀\ndownstream_model_dir: {json.dumps(str(finetuned_folder))}\n")
    for flag in ("--print_config", "--help"):
        with pytest.raises(SystemExit):
            load("x.yaml", flag, argument_class=GenerationDeployArguments)
        text = capsys.readouterr().out
        assert "비밀" not in text
        assert "token" in text


def test_print_config_needs_no_value_and_nothing_that_is_loaded(tmp_path):
    done = run_script("train_gen-1.py", EXPERIMENTS / "train_gen-1.yaml", "--print_config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  pretrained_model_name: +skt/kogpt2-base-v2 +# .*train_gen-1.yaml$", done.stdout, re.MULTILINE)
    assert "  --print_config" in run_script("infer_gen-0.py", "--help").stdout.partition("\n도움말:")[2]
    assert "--print_config: 뒤에 값을 적지 않습니다." in user_error(run_script("train_gen-0.py", "--print_config=1"))


# What a terminal shows, in a file


@pytest.mark.parametrize(("written", "lines"), [
    (["가나\n", "다"], ["가나", "다"]),
    (["\r 10%", "\r 20%", "\r100%\n", "끝\n"], ["100%", "끝"]),
    (["\r긴 막대 그림", "\r짧다\n"], ["짧다 대 그림"]),  # as a terminal leaves it
    (["\r막대", "\r    \r", "다음\n"], ["다음"]),
    (["\r위 1", "\n\r아래 1", "\x1b[A", "\r위 2", "\n\r아래 2\x1b[A", "\n\r      \x1b[A", "\r위 3\n", "\n끝\n"],
     ["위 3", "끝"]),
    (["\x1b[31m빨강\x1b[0m\n", "가\r\n", "\n", "나\n"], ["빨강", "가", "", "나"]),
])
def test_of_text_written_over_only_what_finally_stands(written, lines):
    screen = Screen()
    assert [line for text in written for line in screen.write(text)] + screen.settle() == lines


def test_the_streams_stay_the_same_and_are_given_back(tmp_path, capsys):
    from tqdm import tqdm

    streams = sys.stdout, sys.stderr
    writes = [stream.write for stream in streams]
    log = TerminalLog(tmp_path / "train.log")
    assert (sys.stdout, sys.stderr) == streams
    print("처음")
    for _ in tqdm(range(3), desc="바깥", file=sys.stdout, ncols=60, mininterval=0):
        for _ in tqdm(range(2), desc="안", file=sys.stdout, ncols=60, mininterval=0, leave=False):
            pass
    print("기록", file=sys.stderr)
    print("끝나지 않은 줄", end="")
    log.close()
    print("나중")
    assert [stream.write for stream in streams] == writes
    first, bar, *rest = (tmp_path / "train.log").read_text(encoding="utf-8").splitlines()
    assert (first, rest) == ("처음", ["기록", "끝나지 않은 줄"])
    assert bar.startswith("바깥: 100%|")
    assert "나중" in capsys.readouterr().out


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    log = TerminalLog(tmp_path / "train.log")
    log.file.close()
    log.file = open("/dev/full", "w", buffering=1) if os.path.exists("/dev/full") else io.StringIO()  # noqa: SIM115
    print("그래도")
    log.close()
    assert "그래도" in capsys.readouterr().out


# Runs under a name


@pytest.fixture
def own_log():
    """Leaves the library's log as it was."""
    logger = logging.getLogger("ratsnlp")
    handlers, propagate, level = list(logger.handlers), logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture
def output(monkeypatch, tmp_path) -> Path:
    """Where experiments go, instead of the repository's ``output``."""
    monkeypatch.setattr(experiments, "OUTPUT", tmp_path / "output")
    yield tmp_path / "output" / "experiments"
    experiments.end_run()


def elsewhere(tmp_path: Path, script: str) -> Path:
    """A script that is ``script``, but for the folder to which its experiments go."""
    file = tmp_path / f"elsewhere_{script}"
    file.write_text(
        f"import runpy, sys; sys.path.insert(0, {str(SCRIPTS)!r}); from pathlib import Path\n"
        "from ratsnlp.nlpbook import experiments\n"
        f"experiments.OUTPUT = Path({str(tmp_path / 'output')!r}); sys.argv[0] = {str(SCRIPTS / script)!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n", encoding="utf-8")
    return file


def latest(output: Path) -> Path:
    return output / (output / "latest.txt").read_text(encoding="utf-8").strip()


def test_runs_of_one_name_that_begin_at_once_have_a_folder_each(tmp_path):
    code = (f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); from pathlib import Path\n"
            f"from ratsnlp.nlpbook import experiments; experiments.OUTPUT = Path({str(tmp_path)!r})\n"
            "sys.stdin.readline(); print(experiments.begin_run('같은 이름'))\n"
            "import warnings; warnings.warn('다른 라이브러리의 경고'); 1 / 0\n")
    processes = [subprocess.Popen(
        [sys.executable, "-c", code], text=True, encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "utf-8"}) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    folders = []
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        folders.append(Path(out.strip()))
        log = (folders[-1] / "train.log").read_text(encoding="utf-8")
        assert sorted(log.splitlines()) == sorted([*errors.splitlines(), out.strip()])
        assert "다른 라이브러리의 경고" in log
        assert "ZeroDivisionError" in log
    assert len(set(folders)) == 4
    for folder in folders:
        assert re.fullmatch(r"\d{8}_\d{6}(-\d)?_같은 이름", folder.name)
        assert folder.parent == tmp_path / "experiments" / folder.name[:8]
    assert latest(tmp_path / "experiments") in folders


def test_the_newest_run_of_a_name_is_gone_on_with(output):
    first = experiments.begin_run("가")
    print("첫째")
    other = experiments.begin_run("가_2")
    second = experiments.begin_run("가")
    assert first != second
    assert latest(output) == second
    experiments.begin_run("가_2")
    assert experiments.begin_run("가", resume=True) == second
    assert latest(output) == second
    print("이어서")
    experiments.end_run()
    log = (second / "train.log").read_text(encoding="utf-8").splitlines()
    assert [line for line in log if line == "이어서"]
    assert len([line for line in log if line.startswith("실험: ")]) == 2
    assert "첫째" in (first / "train.log").read_text(encoding="utf-8")
    assert other.name.endswith("_가_2")
    with pytest.raises(UserError, match="run_name: 이어서 할 '나' 실험이 .* 없습니다"):
        experiments.begin_run("나", resume=True)


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a:b", "a?", "", " a", "a ", "a.", "줄\n", "가" * 61])
def test_a_name_that_is_none_of_a_folder(name):
    with pytest.raises(UserError, match="^run_name: "):
        GenerationTrainArguments(run_name=name)


def test_a_name_takes_the_place_of_a_folder_but_not_of_a_flags(load):
    write("x.yaml", "run_name: 가\ndownstream_model_dir: 나\n")
    assert load("x.yaml").run_name == "가"
    assert load("--run_name", "가", downstream_model_dir="나").run_name == "가"
    for argv in (["x.yaml", "--downstream_model_dir", "나"], ["--run_name", "가", "--downstream_model_dir", "나"]):
        with pytest.raises(UserError, match="run_name: --downstream_model_dir 옵션과 함께"):
            load(*argv)
    write("a.txt", "가")
    with pytest.raises(UserError, match="run_name: --output_dir 옵션과 함께"):
        load("--dataset_path", "a.txt", "--run_name", "가", "--output_dir", "나",
             argument_class=GenerationTextArguments)


def test_a_named_debug_run_of_a_script_and_its_resumption(command, tmp_path):
    script, output = elsewhere(tmp_path, "train_gen-0.py"), tmp_path / "output/experiments"
    write_corpus(tmp_path, train=60, test=15, name="더 큰")
    flags = [*command, "--downstream_corpus_name", "더 큰", "--run_name", "첫 실험", "--debug", "--epochs", "3"]
    done = run_script(script, *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = latest(output)
    assert folder.name.endswith("_첫 실험-debug")
    record = json.loads((folder / "train_record.json").read_text(encoding="utf-8"))
    assert record["state"] == "finished"
    assert len(record["epochs"]) == 1
    assert record["arguments"]["downstream_model_dir"] == str(folder)
    log = (folder / "train.log").read_text(encoding="utf-8")
    assert sorted(log.splitlines()) == sorted([*done.stdout.splitlines(), *done.stderr.splitlines()])
    assert "--debug: 학습 데이터 50개, 검증 데이터 10개, epochs 1, batch_size 2로" in log
    assert "train: 리뷰 50개를" in log
    assert "test: 리뷰 10개를" in log
    again = run_script(script, *flags, "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    added = (folder / "train.log").read_text(encoding="utf-8").removeprefix(log)
    assert sorted(added.splitlines()) == sorted([*again.stdout.splitlines(), *again.stderr.splitlines()])
    assert "이미 끝난 학습입니다" in again.stderr
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert "이어서 할 '둘' 실험이" in user_error(run_script(script, *command, "--run_name", "둘", "--resume"))


def test_a_named_debug_run_on_ones_own_text(tiny_folder, tmp_path):
    script, output = elsewhere(tmp_path, "train.py"), tmp_path / "output/experiments"
    (tmp_path / "my.txt").write_text("재미있는 영화\n지루한 영화\n" * 50, encoding="utf-8")
    flags = ["--dataset_path", tmp_path / "my.txt", "--model_type", tiny_folder, "--block_size", 32,
             "--run_name", "내 글", "--debug"]
    shown = run_script(script, *flags)
    assert shown.returncode == 0, shown.stderr[-3000:]
    assert not output.exists()
    done = run_script(script, *flags, "--do_train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "블록 50개로 학습하고 10개로 평가합니다" in done.stdout
    record = json.loads((latest(output) / "train_record.json").read_text(encoding="utf-8"))
    assert (record["state"], record["arguments"]["batch_size"]) == ("finished", 2)
    assert (latest(output) / "huggingface/model.safetensors").is_file()


# --debug


def test_debug_wins_over_what_it_names_and_keeps_its_results_apart(load, capsys, own_log):
    args = load("--debug", "--epochs", 3, "--batch_size", 8, "--wandb", "p", "--wandb_tags", "가",
                "--downstream_model_dir", "결과/")
    assert (args.epochs, args.batch_size, args.wandb, args.wandb_entity, args.wandb_tags) == (1, 2, None, None, ())
    assert args.downstream_model_dir == "결과-debug"
    assert GenerationTrainArguments(**asdict(args)) == args
    nlpbook.set_logger(args)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("--debug")]
    assert len(told) == 1
    assert told[0].endswith("결과: 결과-debug")
    write("a.txt", "가\n나\n")
    text_args = GenerationTextArguments(dataset_path="a.txt", output_dir="결과", debug=True)
    assert text_args.output_dir == text_args.training().downstream_model_dir == "결과-debug"
    assert (text_args.num_train_epochs, text_args.training().epochs) == (1, 1)


def test_debug_cuts_the_rows_where_a_dataset_is_made(make_args, tokenizer, tmp_path):
    write_corpus(tmp_path, train=60, test=15, name="더 큰")
    args = make_args(debug=True, downstream_corpus_name="더 큰")
    assert [len(GenerationDataset(args, tokenizer, NsmcCorpus(), mode)) for mode in ("train", "test")] == [50, 10]
    one_text = tmp_path / "하나.txt"
    one_text.write_text("재미있는 영화 " * 3000, encoding="utf-8")
    parts = load_text_datasets(
        GenerationTextArguments(dataset_path=str(one_text), block_size=16, debug=True), tokenizer)
    assert [len(part) for part in parts] == [50, 10]


# Weights & Biases, in a folder of its own


def test_the_entity_and_tags_of_wandb(make_args, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from ratsnlp.nlpbook.training.trainer import get_loggers

    monkeypatch.setenv("WANDB_MODE", "offline")
    for name, value in (("wandb_entity", "팀"), ("wandb_tags", ("가",))):
        with pytest.raises(UserError, match=f"^{name}: wandb가 없으면 쓰이지 않습니다"):
            make_args(**{name: value})
    args = make_args(wandb="p", wandb_entity="team", wandb_tags=("가", "b"), run_name="실험")
    _, logger = get_loggers(args)
    given = logger._wandb_init
    assert (given["project"], given["entity"], given["tags"], given["name"]) == ("p", "team", ["가", "b"], "실험")


# Runs side by side


def recorded(folder: Path, epochs: int, state: str = "finished", **arguments) -> str:
    folder.mkdir(parents=True)
    told = asdict(GenerationTrainArguments(**arguments))
    losses = [{"epoch": number, "seconds": 10.0 * (number + 1), "val_loss": 5.0 - number % 2, "loss": 1.23456789}
              for number in range(epochs)]
    record = {"state": state, "arguments": told, "epochs": losses}
    (folder / "train_record.json").write_text(
        json.dumps(record | ({"seconds": 99.5} if state == "finished" else {})), encoding="utf-8")
    return str(folder)


def test_runs_are_compared_by_what_differs_and_what_came_of_it(tmp_path):
    folders = (recorded(tmp_path / "하나", 3, learning_rate=5e-4, run_name="하나"),
               recorded(tmp_path / "둘", 0, "interrupted", lora_r=8, downstream_model_dir="x"),
               recorded(tmp_path / "셋", 1, lora_r=8, monitor="max val_loss", wandb="p", wandb_tags=("가", "나")))
    report = {"bits_per_char": 2.5, "control": {"둘 다": {"accuracy": 0.875}}}
    (tmp_path / "둘/report.json").write_text(json.dumps(report), encoding="utf-8")
    head, rule, *rows = compare_runs(folders).splitlines()
    assert {width(row) for row in rows} == {width(rule)}
    assert head.split() == ["하나", "둘", "셋"]
    split = rows.index(rule)
    assert {row.split()[0]: row.split()[1:] for row in rows[:split]} == {
        "learning_rate": ["0.0005", "5e-05", "5e-05"], "lora_r": ["0", "8", "8"], "wandb": ["-", "-", "p"],
        "monitor": ["min", "val_loss", "min", "val_loss", "max", "val_loss"], "wandb_tags": ["가", "나"]}
    figures = {name: values for name, *values in (re.split("  +", row) for row in rows[split + 1 :])}
    assert figures == {
        "상태": ["끝남", "중단함", "끝남"], "마친 에폭": ["3", "0", "1"], "시간(초)": ["99.5", "-", "99.5"],
        "가장 좋은 에폭": ["2", "-", "1"], "val_loss": ["4", "-", "5"], "loss": ["1.23457", "-", "1.23457"],
        "글자당 비트(report.json)": ["-", "2.5", "-"], "제어 단어 일치율(report.json)": ["-", "0.875", "-"]}


def test_what_cannot_be_compared_is_one_line(tmp_path):
    good = recorded(tmp_path / "하나", 1)
    with pytest.raises(UserError, match="compare: .*없는.train_record.json 파일이 없거나"):
        compare_runs((good, str(tmp_path / "없는")))
    line = user_error(run_script("eval_gen.py", "--compare"))
    assert "compare: 비교할 폴더가 없습니다." in line
    done = run_script("eval_gen.py", "--compare", good, good)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "하나") in done.stdout.splitlines()[0]  # two of one name: their paths
    assert GenerationEvalArguments(compare=("가",)).compare == ("가",)
