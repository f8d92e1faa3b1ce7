"""Scripts under the habits of their users: pipes, terminals, dashes, settings files,
other Pythons, accounts without a home."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from helpers import SCRIPTS, Served, last_checkpoint, run_script, user_error

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX 시스템의 습관입니다.")


@pytest.mark.parametrize("value", ["-_-;;", "---", "-1", "--;;"])
def test_a_value_may_begin_with_a_dash(tiny_folder, value):
    done = run_script(
        "infer_gen-0.py", "--pretrained_model_name", tiny_folder, "--only", "1", "--input_sentence", value)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"│ {value}" in done.stdout


def test_a_flag_after_a_flag_is_no_value():
    line = user_error(run_script("infer_gen-0.py", "--input_sentence", "--sed", "3"))
    assert "--sed: 없는 옵션입니다. 혹시 --seed인가요?" in line


def test_flags_after_a_settings_file_win(tiny_folder, tmp_path):
    (tmp_path / "a.JSON").write_text(json.dumps({"pretrained_model_name": str(tiny_folder), "input_sentence": "파일"}))
    done = run_script("infer_gen-0.py", tmp_path / "a.JSON", "--input_sentence", "깃발", "--only", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "깃발" in done.stdout
    assert "파일" not in done.stdout


@pytest.mark.parametrize(("text", "message"), [
    (r'{"downstream_model_dir": "C:\Users\kim"}', r"a.json: JSON이 아닙니다"),
    (r'{"downstream_model_dir": "C:\Users\kim"}', r"경로의 \는 /나 \\로 적으세요."),
    (r'{"downstream_model_dir": "C:\temp\new"}', r"downstream_model_dir: 경로에 탭이나 줄바꿈이 들어 있습니다"),
    (r'{"pretrained_model_name": "\ud83d"}', "pretrained_model_name: 올바른 유니코드 텍스트가 아닙니다"),
])
def test_a_settings_file_of_windows_is_told_what_to_write(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert message in user_error(run_script("infer_gen-0.py", tmp_path / "a.json"))


def test_a_settings_file_that_is_no_utf8_is_told(tmp_path):
    (tmp_path / "a.json").write_bytes('{"input_sentence": "가"}'.encode("cp949"))
    assert "UTF-8로 저장하세요" in user_error(run_script("infer_gen-0.py", tmp_path / "a.json"))


@posix
def test_a_reader_that_goes_away_is_no_error(tiny_folder):
    """As in ``infer_gen-0.py | head -3``, and for what is written at the very end."""
    for script, *flags in (["infer_gen-0.py", "--pretrained_model_name", str(tiny_folder)],
                           ["infer_gen-0.py", "--help"], ["solutions/step1_solution.py"]):
        process = subprocess.Popen([sys.executable, SCRIPTS / script, *flags], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, encoding="utf-8")
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)
        assert "Traceback" not in errors
        assert "Exception" not in errors
        assert "오류" not in errors
        assert "멈췄습니다" not in errors


@contextmanager
def started(script: str, *flags, **named):
    """A script that runs until it is told to end, and no longer than the test."""
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / script, *map(str, flags)], text=True, encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"}, **named)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@posix
def test_a_closed_terminal_is_as_sigterm(command, tmp_path):
    out = tmp_path / "out"
    endless = (*command, "--downstream_model_dir", out, "--epochs", "100000", "--save_steps", "0")
    ours = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored there too
    with started("train_gen-0.py", *endless, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGHUP, ours)
        deadline = time.monotonic() + 120
        while not (out / "last.ckpt").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # A second run finds the folder held, and is told.
        assert "다른 학습이 돌고 있습니다" in user_error(run_script("train_gen-0.py", *endless))
        process.send_signal(signal.SIGHUP)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGHUP
    assert "Traceback" not in errors
    assert json.loads((out / "train_record.json").read_text(encoding="utf-8"))["state"] == "interrupted"
    assert last_checkpoint(out)["global_step"] > 0


def test_another_python_is_told_which_is_the_right_one():
    done = subprocess.run(
        [sys.executable, "-S", SCRIPTS / "train_gen-0.py"], capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": ""}, check=False)
    assert "에는 torch 패키지가 없습니다." in user_error(done)


@posix
@pytest.mark.skipif(not shutil.which("setpriv") or not hasattr(os, "geteuid") or os.geteuid() != 0,
                    reason="다른 사용자로 실행할 수 있어야 테스트합니다.")
@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_without_a_home_a_name_and_utf8(tiny_folder, tmp_path, locale):
    for folder in (tmp_path, *tmp_path.parents[:2], tiny_folder, *tiny_folder.parents[:1]):
        os.chmod(folder, 0o777)
    command = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "env", "-i",
               f"PATH={os.environ['PATH']}", f"LC_ALL={locale}", "HF_HUB_OFFLINE=1", sys.executable]
    if subprocess.run([*command, "-c", "import torch"], capture_output=True, check=False).returncode:
        pytest.skip("다른 사용자는 이 파이썬을 쓸 수 없습니다.")
    done = subprocess.run([*command, SCRIPTS / "infer_gen-0.py", "--pretrained_model_name", tiny_folder], cwd=tmp_path,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
    told = subprocess.run([*command, SCRIPTS / "train_gen-1.py", "--downstream_model_dir", tmp_path / "out"],
                          cwd=tmp_path, capture_output=True, check=False)
    assert told.returncode == 2
    assert b"Traceback" not in told.stderr


def test_a_server_lets_its_checkpoint_go(finetuned_folder):
    with Served("serve_gen-0.py", "--downstream_model_dir", finetuned_folder) as served:
        maps = f"/proc/{served.process.pid}/maps"
        if not os.path.exists(maps):
            pytest.skip(f"{maps}가 없습니다.")
        with open(maps) as file:
            assert not [line for line in file if ".ckpt" in line]


@pytest.mark.parametrize(("host", "address"), [
    ("::1", r"http://\[::1\]:\d+"), ("127.0.0.1", r"http://127\.0\.0\.1:\d+"),
])
def test_the_address_is_one_that_a_browser_opens(finetuned_folder, host, address):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} 주소가 없습니다.")
    flags = ("--downstream_model_dir", finetuned_folder, "--port", "0", "--host", host)
    with started("serve_gen-0.py", *flags, stdout=subprocess.PIPE) as process:
        assert re.search(f"웹 페이지: {address}", process.stdout.readline())
