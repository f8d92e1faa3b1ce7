"""train_gen-0.py, killed as processes are, ends as if it had not been; ../test_resume.py kills at every step."""

import random
import signal
import subprocess
import sys
import time

import pytest
from helpers import SCRIPTS, assert_same_run, run_script, user_error


@pytest.mark.skipif(sys.platform == "win32", reason="Windows에는 이 신호가 없습니다.")
@pytest.mark.parametrize("kind", [[], ["--lora_r", "4"]], ids=["whole", "lora"])
def test_killed_at_random_moments_and_resumed(command, tmp_path, kind):
    """Real processes: SIGKILL, Ctrl-C, SIGTERM. The same command line stands in a loop until it ends with 0."""
    command = [*command, "--batch_size", "4", "--save_steps", "3", "--epochs", "8", *kind]
    whole = run_script("train_gen-0.py", *command, "--downstream_model_dir", tmp_path / "whole", "--resume")
    assert whole.returncode == 0
    assert "last.ckpt가 없어 처음부터" in whole.stderr
    chance, codes, folder = random.Random(7), [], tmp_path / "broken"
    started = [SCRIPTS / "train_gen-0.py", *command, "--downstream_model_dir", folder, "--resume"]
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, None):
        process = subprocess.Popen(
            [sys.executable, *map(str, started)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if number is not None:
            written = folder / "last.ckpt"
            before, deadline = written.stat().st_mtime_ns if written.exists() else 0, time.monotonic() + 120
            while not written.exists() or written.stat().st_mtime_ns == before:  # until it is further than the last one
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            process.send_signal(number)
        stderr = process.communicate(timeout=120)[1]
        codes.append(process.returncode)
        assert "Traceback" not in stderr, stderr
    assert codes == [-signal.SIGKILL, 130, 143, 0]
    assert_same_run(folder, tmp_path / "whole")
    again = run_script("train_gen-0.py", *command, "--downstream_model_dir", folder, "--resume")
    assert again.returncode == 0
    assert "이미 끝난 학습입니다" in again.stderr
    other = user_error(run_script(
        "train_gen-0.py", *command, "--downstream_model_dir", folder, "--resume", "--learning_rate", "0.01"))
    assert f"learning_rate: 이 폴더의 학습은 {0.005 if kind else 0.0005}" in other
    assert "지금은 0.01" in other
