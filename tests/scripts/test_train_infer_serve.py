"""The scripts as a user runs them: subprocesses, from any folder, Hangul and spaces in the paths."""

import io
import json
import re

import pytest
import torch
from genuine import record
from helpers import HUB_NAMES, SCRIPTS, Mischief, Served, post, run_script, taken_port, user_error, write_corpus

from ratsnlp.nlpbook.generation import readable

SHORT = {0: "kogpt-mini", 1: "kogpt2", 2: "kogpt-trinity", 3: "polyglot-ko-1.3b"}


@pytest.fixture
def place(tmp_path):
    """A folder with Hangul and a space in its name, with a slice of the bundled corpus."""
    folder = tmp_path / "새 폴더"
    write_corpus(folder)
    return folder


def training(place, number, *flags):
    return (f"train_gen-{number}.py", "--downstream_corpus_root_dir", place, "--downstream_corpus_name", "slice",
            "--downstream_model_dir", place / "결과 1", "--epochs", "1", "--batch_size", "16", *flags)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_train_then_infer_then_serve(place, number, request):
    if number:
        request.getfixturevalue("hub")
    trained = run_script(*training(place, number), cwd=place, forked=number > 0)
    assert trained.returncode == 0, trained.stderr[-3000:]
    for expected in ("설정: {", "*** Example ***", "sentence: ", "tokens: ", "features: GenerationFeatures(",
                     "가장 좋은 체크포인트"):
        assert expected in trained.stderr, expected
    for expected in (r"에폭 1/1: 100%\(\d+/\d+\), samples/s=\d+, 남은 시간=[\d:]+, loss=[\d.]+, val_loss=[\d.]+\n",
                     r"에폭 1의 체크포인트: epoch=0-val_loss=[\d.]+\.ckpt\n"):
        assert re.search(expected, trained.stderr), expected
    assert len(list((place / "결과 1").glob("epoch=0-val_loss=*.ckpt"))) == 1

    inferred = run_script(
        f"infer_gen-{number}.py", "--downstream_model_dir", "결과 1", "--input_sentence", "긍정",
        "--only", "1", "9", "16", cwd=place, forked=number > 0)
    assert inferred.returncode == 0, inferred.stderr[-3000:]
    assert re.findall(r"^\[(\d+)\]", inferred.stdout, re.MULTILINE) == ["1", "9", "16"]
    assert not re.search(r"</s>|<pad>|<\|endoftext\|>|[\u1100-\u11ff]", inferred.stdout)

    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(place / "빈 허브")}  # serving needs no hub
    with Served(f"serve_gen-{number}.py", "--downstream_model_dir", "결과 1", cwd=place, env=env) as served:
        greedy = {"prompt": "긍정", "temperature": 0, "max_length": 20}
        status, answer = post(served.port, greedy)
        assert status == 200
        assert answer["result"].startswith("긍정")
        assert post(served.port, greedy)[1]["result"] == answer["result"]
        status, answer = post(served.port, {"prompt": "긍정", "max_length": 2048, "min_length": 1, "top_k": -1})
        assert status == 400
        assert answer["error"].startswith("top_k")
        status, answer = post(served.port, {"prompt": "가" * 3000, "max_length": 100})
        assert status == 400
        assert "자리가 없습니다" in answer["error"]


def test_where_results_go_by_default():
    for number, short in SHORT.items():
        source = (SCRIPTS / f"train_gen-{number}.py").read_text(encoding="utf-8")
        assert f'nlpbook.OUTPUT / "nsmc-gen/train_gen-by-{short}"' in source
        served = (SCRIPTS / f"serve_gen-{number}.py").read_text(encoding="utf-8")
        assert f'nlpbook.OUTPUT / "nsmc-gen/train_gen-by-{short}"' in served
        assert f"port={9000 + number}" in served
        name = {0: "kogpt-mini", **HUB_NAMES}[number]
        eos = "<|endoftext|>" if number == 3 else "</s>"
        assert f'eos_token="{eos}"' in source
        for script in (source, served):
            assert f'pretrained_model_name="{name}"' in script


@pytest.mark.parametrize("kind", ["train", "infer", "serve"])
def test_the_four_scripts_of_a_kind_differ_only_in_settings(kind):
    def steps(number):
        lines = (SCRIPTS / f"{kind}_gen-{number}.py").read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
        setting = re.compile(r"^        \w+=|^import torch$|eos_token=|load_arguments\(GenerationInfer")
        return [line for line in lines if not setting.search(line) and line.strip()]

    assert steps(1) == steps(2) == steps(3)
    assert [line for line in steps(0) if line not in steps(1)] == []
    assert all(25 <= len((SCRIPTS / f"{kind}_gen-{n}.py").read_text(encoding="utf-8").splitlines()) <= 70
               for n in range(4))


@pytest.mark.parametrize("script", [
    "train_gen-0.py", "infer_gen-1.py", "serve_gen-2.py", "pretrain_gen-0.py", "train.py"])
def test_help_is_korean_and_complete(script):
    done = run_script(script, "--help")
    assert done.returncode == 0
    assert "사용법: " in done.stdout
    assert "배우는 것" in done.stdout
    assert not re.search(r"usage:|options:|show this help", done.stdout)
    assert ("--model_type" if script == "train.py" else "--pretrained_model_name") in done.stdout
    assert "기본값" in done.stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (("train_gen-0.py", "--epoch", "1"), "혹시 --epochs인가요"),
    (("train_gen-1.py", "--batch_size", "0"), "batch_size: 1 이상이어야 하는데 0"),
    (("train_gen-0.py", "--max_seq_length", "300"),
     "max_seq_length: 이 모델의 최대 길이는 256토큰이라 256 이하여야 하는데 300"),
    (("train_gen-1.py", "--fp16"), "fp16: float16으로 학습하려면 CUDA GPU가 있어야"),
    (("train_gen-0.py", "--downstream_corpus_name", "none"), "ratings_train.txt"),
    (("infer_gen-0.py", "--input_sentence", ""), "input_sentence"),
    (("infer_gen-0.py", "--input_sentence", "가 나 " * 60), "자리가 없습니다"),
    (("infer_gen-1.py",), "'skt/kogpt2-base-v2': 이 컴퓨터에 없고, 허깅페이스 허브에 연결할 수 없습니다"),
    (("infer_gen-0.py", "--pretrained_model_name", "no/such"), "'no/such': 이 컴퓨터에 없고"),
    (("infer_gen-0.py", "--downstream_model_dir", "/없는 폴더"), "체크포인트(…val_loss=….ckpt)가 없습니다"),
    (("serve_gen-0.py", "--downstream_model_dir", "/없는 폴더"), "먼저 train_gen-N.py로 학습하세요"),
    (("serve_gen-0.py", "--port", "70000"), "port: 65535 이하여야"), (("pretrain_gen-0.py",), "corpus_path"),
])
def test_a_users_mistake_is_one_line(arguments, message, tmp_path):
    if arguments == ("train_gen-1.py", "--fp16") and torch.cuda.is_available():
        pytest.skip("GPU가 있어 fp16이 잘못이 아닙니다.")
    empty = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    line = user_error(run_script(*arguments, cwd=tmp_path, env=empty if "이 컴퓨터에 없고" in message else None))
    assert message in line
    assert [path.name for path in tmp_path.iterdir() if path.name != "hf"] == []


def test_a_malformed_line_and_no_network_leave_nothing_behind(place):
    file = place / "slice" / "ratings_train.txt"
    file.write_text(file.read_text(encoding="utf-8").replace("\t1\n", "\t좋음\n", 1), encoding="utf-8")
    assert re.search(r"ratings_train.txt \d+번째 줄: 라벨은 0", user_error(run_script(*training(place, 0))))
    line = user_error(run_script(
        "train_gen-0.py", "--downstream_corpus_root_dir", place / "말뭉치", "--downstream_corpus_name", "nsmc",
        "--downstream_model_dir", place / "결과 1", env={"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}))
    assert "nsmc를 내려받지 못했습니다" in line
    assert f"{place / '말뭉치' / 'nsmc'} 폴더에 넣으세요" in line
    assert sorted(path.name for path in place.iterdir()) == ["slice"]


def test_bad_checkpoints_are_not_served(finetuned_folder, tmp_path):
    good = next(finetuned_folder.glob("epoch=*.ckpt"))
    code = io.BytesIO()
    torch.save({"state_dict": Mischief(tmp_path / "ran")}, code)
    for message, content in {"깨졌습니다": good.read_bytes()[:5000], "코드도 든": code.getvalue()}.items():
        file = tmp_path / "epoch=0-val_loss=1.00.ckpt"
        file.write_bytes(content)
        assert message in user_error(run_script("serve_gen-0.py", "--downstream_model_checkpoint_fpath", file))
    assert not (tmp_path / "ran").exists()
    other = tmp_path / "epoch=0-val_loss=2.00.ckpt"
    other.write_bytes(good.read_bytes())  # no config.json beside it: taken for kogpt-mini, which it is not
    line = user_error(run_script("serve_gen-0.py", "--downstream_model_checkpoint_fpath", other))
    assert "다른 모델의 체크포인트" in line


def test_a_genuine_checkpoint_is_served(figures, genuine_folder):
    flags = ("--downstream_model_dir", genuine_folder / "checkpoints",
             "--pretrained_model_name", genuine_folder / "model")
    with Served("serve_gen-1.py", *flags) as served:
        status, answer = post(served.port, {"prompt": record.PROMPT, "temperature": 0})
    assert (status, answer["result"]) == (200, readable(record.build_tokenizer(), figures["greedy"]))


def test_a_port_in_use(finetuned_folder):
    with taken_port() as port:
        done = run_script("serve_gen-0.py", "--downstream_model_dir", finetuned_folder, "--port", port)
    assert f"포트 {port}: 이미 쓰이고 있습니다" in user_error(done)


def test_settings_from_a_json_file(place):
    settings = {"downstream_corpus_root_dir": str(place), "downstream_corpus_name": "slice",
                "downstream_model_dir": str(place / "출력"), "epochs": 1, "batch_size": 24, "save_top_k": 1}
    (place / "설정.json").write_text(json.dumps(settings), encoding="utf-8")
    done = run_script("train_gen-0.py", "설정.json", cwd=place)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((place / "출력/train_record.json").read_text(encoding="utf-8"))["arguments"]["batch_size"] == 24
