"""The servers as an instructor starts them, and as they end."""

import json
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from helpers import HUB_NAMES, Served, post, run_script, user_error

from course import ServiceStepArguments, model_folder
from ratsnlp.nlpbook.generation import load_pretrained, save_tokenizer

LONG = {"prompt": "긍정", "min_length": 200, "max_length": 200}


@pytest.fixture
def folder(tmp_path):
    """A run's folder with kogpt-mini itself as the checkpoint: a text takes it long enough to be disturbed."""
    model, tokenizer = load_pretrained("kogpt-mini")
    folder = tmp_path / "학습한 것"
    model.config.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in model.state_dict().items()}},
               folder / "epoch=0-val_loss=4.00.ckpt")
    return folder


def stream(port, body) -> list[str]:
    """The lines of the whole answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/stream", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read().decode().splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows에는 SIGTERM이 없습니다.")
def test_sigterm_under_load_finishes_what_is_under_way(folder):
    with Served("serve_gen-0.py", "--downstream_model_dir", folder) as served, ThreadPoolExecutor(24) as pool:
        whole = [pool.submit(post, served.port, LONG) for _ in range(12)]
        streams = [pool.submit(stream, served.port, LONG) for _ in range(12)]
        time.sleep(1.0)
        assert not all(each.done() for each in streams)
        served.process.send_signal(signal.SIGTERM)
        assert {each.result()[0] for each in whole} == {200}
        assert {each.result()[-3] for each in streams} == {"event: done"}
        assert served.process.wait(timeout=20) == 0


def test_a_checkpoint_that_is_replaced_changes_nothing_until_a_restart(folder):
    greedy = {"prompt": "긍정", "temperature": 0, "max_length": 30}
    with Served("serve_gen-0.py", "--downstream_model_dir", folder) as served:
        before = post(served.port, greedy)
        for file in folder.iterdir():
            if file.is_dir():
                shutil.rmtree(file)
            else:
                file.write_bytes(b"other")
        assert post(served.port, greedy)[1]["result"] == before[1]["result"]


def test_the_books_way_is_a_function_of_eight_arguments_one_request_at_a_time(folder):
    with Served("serve_gen-0.py", "--downstream_model_dir", folder, "--engine", "book") as served:
        status, answer = post(served.port, {"prompt": "긍정", "temperature": 0, "max_length": 20})
        assert (status, list(answer)) == (200, ["result"])
        assert post(served.port, {"prompt": "긍정", "seed": 3})[1]["error"].startswith("seed: 없는 이름입니다.")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            stream(served.port, {"prompt": "긍정"})
    with Served("serve_gen-0.py", "--downstream_model_dir", folder) as served:
        _, other = post(served.port, {"prompt": "긍정", "temperature": 0, "max_length": 20})
        assert other["result"] == answer["result"]


def test_ctranslate2_serves_as_well(folder):
    pytest.importorskip("ctranslate2", reason="ctranslate2가 없습니다: pip install -r requirements-ctranslate2.txt")
    with Served("serve_gen-0.py", "--downstream_model_dir", folder, "--engine", "ctranslate2") as served:
        status, answer = post(served.port, {"prompt": "긍정", "max_new_tokens": 12})
        assert (status, "seed" in answer) == (200, False)
        assert 1 <= answer["tokens"] <= 12  # unseeded samples: some end before the limit
        assert stream(served.port, LONG)[-3] == "event: done"
        assert post(served.port, {"prompt": "긍정", "seed": 1})[0] == 400


def test_step_5_serves_what_step_4_has_left(folder, tmp_path):
    folder.rename(model_folder(ServiceStepArguments(output_dir=str(tmp_path))))
    with Served("solutions/step5_solution.py", "--output_dir", tmp_path, "--open", "false") as served:
        assert post(served.port, {"prompt": "긍정", "max_length": 12})[0] == 200
        assert post(served.port, {"prompt": "긍정", "top_p": 7})[0] == 400


def test_step_5_without_a_checkpoint_says_what_to_do(tmp_path):
    done = run_script("solutions/step5_solution.py", "--output_dir", tmp_path, "--model", HUB_NAMES[1])
    told = user_error(done)
    assert "step4-by-kogpt2-base-v2에 체크포인트가 없습니다. 4단계를 먼저" in told
    assert "check.py --start 5" in told
    assert done.stderr.count("\n") == 1


def test_step_5_listens_where_the_script_of_its_model_does():
    assert [ServiceStepArguments(model=name).port for name in (None, "kogpt-mini", *HUB_NAMES.values())] == [
        9000, 9000, 9001, 9002, 9003]
