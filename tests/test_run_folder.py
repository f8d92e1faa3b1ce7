"""A run owns what has its names, and nothing else of the folder."""

import re
import shutil

import pytest
from helpers import run_fit

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.files import check_writable
from ratsnlp.nlpbook.generation import GenerationTextArguments
from ratsnlp.nlpbook.run_folder import RunFolder


@pytest.fixture
def out(tmp_path):
    """A folder with what its user has put there, under names that look like ours."""
    folder = tmp_path / "out"
    (folder / "x.tmp").mkdir(parents=True)
    (folder / "x.tmp/in").write_text("mine")
    for name in ("checkpoint-8-good", "checkpoint-", ".unfinished-notes", "huggingface/.git"):
        (folder / name).mkdir(parents=True)
        (folder / name / "mine").write_text("mine")
    for name in ("mine.tmp", ".mine.tmp", "mine.ckpt", "best.ckpt", "huggingface/README.md", "epoch=best.ckpt"):
        (folder / name).write_text("mine")
    return folder


def of_the_user(folder) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*")
            if path.is_file() and path.suffix not in (".safetensors", ".png") and "events." not in path.name
            and path.stat().st_size < 10 and path.read_text() == "mine"}


def test_training_leaves_the_users_files_alone(out, make_args):
    before = of_the_user(out)
    assert len(before) == 11
    run_fit(make_args(epochs=1, save_steps=2, save_total_limit=1))
    run_fit(make_args(epochs=1, save_steps=2, save_total_limit=1))
    assert of_the_user(out) == before
    assert (out / "huggingface/model.safetensors").is_file()
    assert [path.name for path in RunFolder(out).steps()] == ["checkpoint-6"]


def test_what_a_kill_left_half_written_is_removed_by_its_whole_name(out, make_args):
    left = [".unfinished-a1b2c3_d", ".last.ckpt.tmp", ".train_record.json.tmp", ".epoch=0-val_loss=1.00.ckpt.tmp"]
    (out / left[0]).mkdir()
    for name in left[1:]:
        (out / name).write_text("half")
    run_fit(make_args(epochs=1))
    assert not [name for name in left if (out / name).exists()]


def test_overwriting_removes_results_alone(out, make_args, tmp_path):
    run_fit(make_args(epochs=1, save_steps=3, save_total_limit=1))
    before = of_the_user(out)
    (out / "checkpoint-6/notes").write_text("mine")
    (tmp_path / "a.txt").write_text("글")
    args = GenerationTextArguments(dataset_path=str(tmp_path / "a.txt"), output_dir=str(out), overwrite_output_dir=True)
    args.prepare_output_dir()
    assert of_the_user(out) == before | {"checkpoint-6/notes": "mine"}
    assert not (out / "last.ckpt").exists()
    assert not (out / "huggingface/model.safetensors").exists()
    assert RunFolder(out).checkpoints() == []


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path):
    with (RunFolder(tmp_path).held(), pytest.raises(UserError, match="폴더에서 다른 학습이 돌고 있습니다"),
          RunFolder(tmp_path).held()):
        pass
    with RunFolder(tmp_path).held():
        pass


def test_a_disk_that_is_too_small_is_told_before_the_first_step(make_args, monkeypatch, tmp_path):
    from collections import namedtuple

    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("usage", "free")(1_000_000))
    with pytest.raises(UserError, match=r"^downstream_model_dir: .*GB가 있어야 하는데 0.0GB 남았습니다"):
        run_fit(make_args())
    assert not list((tmp_path / "out").glob("*.ckpt"))


@pytest.mark.parametrize(("name", "message"), [
    ("file", "폴더에 쓸 수 없습니다"), ("file/in", "폴더를 만들 수 없습니다"),
])
def test_what_is_no_folder_cannot_be_written_to(tmp_path, name, message):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=f"^report_dir: {re.escape(str(tmp_path / name))} {message}"):
        check_writable(tmp_path / name, "report_dir")


def test_a_model_folder_is_told_the_flag_that_takes_it(tiny_folder):
    with pytest.raises(UserError, match=f"모델 폴더입니다.*--pretrained_model_name {re.escape(str(tiny_folder))}"):
        RunFolder(tiny_folder).best_checkpoint()


def test_a_model_that_no_run_has_put_there_is_not_written_over(tiny_folder, make_args, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match="^downstream_model_dir: .*학습으로 생기지 않은 config.json"):
        run_fit(make_args(epochs=1))
    left = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert {name: left[name] for name in before} == before


def test_what_was_set_aside_before_is_kept(make_args, tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.last_aside.name == "last.ckpt.old"
    folder.last_aside.write_text("first")
    folder.last.write_text("second")
    folder.begin_anew(folder.last_aside)
    assert (tmp_path / "last.ckpt.old").read_text() == "first"
    assert (tmp_path / "last.ckpt.old2").read_text() == "second"
    assert not folder.last.exists()


def test_a_run_at_work_is_not_overwritten(make_args, tmp_path):
    run_fit(make_args(epochs=1))
    (tmp_path / "a.txt").write_text("글")
    args = GenerationTextArguments(
        dataset_path=str(tmp_path / "a.txt"), output_dir=str(tmp_path / "out"), overwrite_output_dir=True)
    with RunFolder(tmp_path / "out").held(), pytest.raises(UserError, match="다른 학습이 돌고 있습니다"):
        args.prepare_output_dir()
    assert (tmp_path / "out/last.ckpt").is_file()
