"""export.py as its user runs it, with the engines that are installed here."""

import importlib.util
import os

import pytest
from helpers import check_help, run_script, user_error
from safetensors.torch import load_file, save_file

ENGINES = {"transformers": "transformers", "transformers-serve": "fastapi", "ctranslate2": "ctranslate2",
           "lm-eval": "lm_eval", "generate": "transformers"}


def rows(done) -> dict[str, str]:
    """What stands behind each engine's name."""
    found = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line.split(" ")[0] in (*ENGINES, "vllm")]
    return dict(found)


@pytest.fixture(scope="module")
def export(finetuned_folder, tmp_path_factory):
    """The folder and what was said when it was written and compared."""
    out = tmp_path_factory.mktemp("export") / "내보낸 것"
    return out, run_script("export.py", finetuned_folder, "--output", out, "--check", "--only", *ENGINES)


def test_every_engine_that_is_installed_writes_the_same(export):
    out, done = export
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"내보낸 폴더: {out} (float32)" in done.stdout
    assert list(rows(done)) == list(ENGINES)
    for engine, module in ENGINES.items():
        installed = importlib.util.find_spec(module) or engine == "lm-eval" and "LM_EVAL_PYTHON" in os.environ
        assert rows(done)[engine].startswith("같음 " if installed else "없음 "), engine


def test_a_folder_that_was_spoiled_on_its_way_is_another(export):
    out, _ = export
    weights = load_file(out / "model.safetensors")
    weights["transformer.wte.weight"] = weights["transformer.wte.weight"].flip(0)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    done = run_script("export.py", out, "--check", "--only", "transformers")
    assert done.returncode == 1, done.stderr[-3000:]
    assert rows(done)["transformers"].startswith("다름 ")
    ours, theirs = done.stdout.splitlines()[-2:]
    assert ours.startswith("    여기: ")
    assert theirs.startswith("    엔진: ")


def test_vllm_writes_the_same(tmp_path):
    if "VLLM_PYTHON" not in os.environ:
        pytest.skip("VLLM_PYTHON이 vLLM이 설치된 파이썬을 가리키면 테스트합니다(docs/export.md).")
    done = run_script("export.py", "kogpt-mini", "--output", tmp_path / "out", "--check", "--only", "vllm")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert rows(done)["vllm"].startswith("같음 ")


@pytest.mark.parametrize(("flags", "told"), [
    ((), "model_name_or_path: 내보낼 폴더나 허브 이름을 적으세요: python task3-gen/export.py"),
    (("x", "--dtype", "int8"), "dtype: float32, float16, bfloat16 가운데 하나여야 하는데 'int8'입니다."),
    (("x", "--only", "llama.cpp"), "only: transformers, transformers-serve, ctranslate2, lm-eval, vllm, generate"),
    (("x", "--vllm", "nowhere/python"), "vllm: nowhere/python 파일이 없습니다."),
    (("x", "--lm_eval", "nowhere/python"), "lm_eval: nowhere/python 파일이 없습니다. lm-eval이 설치된 환경의"),
])
def test_a_mistake_is_one_line(flags, told):
    assert told in user_error(run_script("export.py", *flags))


def test_its_help_is_korean():
    check_help("export.py", "그리디 서치", "--vllm", "--lm_eval", "--check")
