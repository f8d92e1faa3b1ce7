"""Training on several devices: the same batches, the same losses, one who writes, and an end for all where one ends."""

import itertools
import json
import re
import time
from types import SimpleNamespace

import pytest
import torch
from distributed_runs import ON_CPU, Pair, curve_of
from helpers import killable, last_checkpoint, run_script
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from ratsnlp.nlpbook import UserError
from ratsnlp.nlpbook.training import order
from ratsnlp.nlpbook.training.order import EpochOrder, order_by_epoch, weight_of


@pytest.fixture
def processes(monkeypatch):
    """Let the order think that it is asked in process ``rank`` of ``count``."""
    def think(rank: int, count: int):
        monkeypatch.setattr(order, "world", lambda: (rank, count))
    return think


@pytest.mark.parametrize(("rows", "batch_size", "count"), [(64, 8, 2), (61, 8, 4), (10, 4, 4), (7, 6, 3), (3, 8, 8)])
def test_each_process_has_its_share_of_the_batches_of_one(rows, batch_size, count, processes):
    whole = [batch for batch in BatchSampler(EpochOrder(RandomSampler(range(rows)), 7, 1), batch_size, False)]
    shares = []
    for rank in range(count):
        processes(rank, count)
        mine = EpochOrder(RandomSampler(range(rows)), 7, 1, batch_size=batch_size)
        shares.append(list(BatchSampler(mine, batch_size // count, False)))
        assert len(mine) == sum(map(len, shares[-1]))
        assert len(shares[-1]) == len(whole)
    for number, batch in enumerate(whole):
        together = [row for share in shares for row in share[number]]
        assert set(together) == set(batch)
        assert len(together) == max(len(batch), count)  # a last row is seen twice rather than waited for


def test_a_row_that_another_process_has_too_does_not_count(processes):
    for rows in (64, 61, 57):
        counted = []
        for rank in range(4):
            processes(rank, 4)
            loader = DataLoader(range(rows), batch_size=8)
            order_by_epoch(loader, 7, processes=4)
            task = SimpleNamespace(trainer=SimpleNamespace(training=True, train_dataloader=loader))
            counted += [int(row) for number, batch in enumerate(loader) if weight_of(task, number) for row in batch]
        assert sorted(counted) == list(range(rows))


def test_a_run_goes_on_after_the_batches_that_are_done_with_any_number_of_processes(processes):
    for rank, count in itertools.chain(((0, 1),), ((rank, 4) for rank in range(4))):
        processes(rank, count)
        whole, rest = (list(EpochOrder(SequentialSampler(range(40)), 7, 0, done, 8)) for done in (0, 16))
        assert rest == whole[len(whole) * 2 // 5 :]


@pytest.mark.parametrize(("changes", "told"), [
    ({"devices": 3}, "batch_size: 장치의 수(3)의 배수여야 하는데 8입니다."),
    ({"devices": 2, "num_nodes": 8}, "batch_size: 장치의 수(16)의 배수여야 하는데 8입니다."),
    ({"devices": 2, "recipe": "book"}, "devices: --recipe book은 장치 하나로만 학습하는데 2입니다."),
    ({"strategy": "fsdp"}, "strategy: fsdp는 장치가 둘 이상일 때 쓰는데 하나입니다. --devices 2처럼 함께 적으세요."),
    ({"strategy": "fsdp", "devices": 2, "qlora": True}, "strategy: fsdp는 4비트 행렬을 나누지 못해 qlora와 함께 쓸 수 "
     "없습니다. --lora_r만 적거나 --strategy ddp로 학습하세요."),
    ({"strategy": "fsdp", "devices": 2, "precision": "16"}, "strategy: fsdp는 float16으로 학습하지 못해 precision 16과 "
     "함께 쓸 수 없습니다. --precision bf16이나 32로 학습하세요.")])
def test_what_cannot_be_shared_out_is_told(make_args, changes, told):
    with pytest.raises(UserError) as error:
        make_args(**changes)
    assert str(error.value) == told


def test_torchrun_and_slurm_say_how_many_there_are(make_args, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "8")
    args = make_args()
    assert (args.devices, args.num_nodes, args.world_size) == (4, 2, 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    for name, value in (("SLURM_NTASKS", "8"), ("SLURM_NNODES", "4")):
        monkeypatch.setenv(name, value)
    args = make_args()
    assert (args.devices, args.num_nodes) == (2, 4)
    with pytest.raises(UserError, match="force_download: .* 말뭉치 파일을 지우고"):
        make_args(force_download=True)


def test_two_processes_learn_as_one(command, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    alone = run_script("train_gen-0.py", *command, *ON_CPU, "--epochs", "2", "--downstream_model_dir", one)
    assert alone.returncode == 0, alone.stderr[-3000:]
    both = run_script("train_gen-0.py", *command, *ON_CPU, "--epochs", "2", "--downstream_model_dir", two,
                      "--devices", "2", forked=False)
    assert both.returncode == 0, both.stderr[-3000:]
    assert len(curve_of(two)) == 12
    assert curve_of(two) == pytest.approx(curve_of(one), abs=1e-4)
    records = [json.loads((folder / "train_record.json").read_text(encoding="utf-8")) for folder in (one, two)]
    for of_one, of_two in zip(*(record["epochs"] for record in records), strict=True):
        for name in ("val_loss", "val_bits_per_char"):
            assert of_two[name] == pytest.approx(of_one[name], abs=2e-4)
    assert records[0]["best_checkpoint"] == records[1]["best_checkpoint"]
    weights = [torch.load(folder / record["best_checkpoint"], weights_only=True)["state_dict"]
               for folder, record in zip((one, two), records, strict=True)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-3) for name in weights[0])

    def lines(text: str) -> list[str]:
        """What is told, without figures."""
        return re.findall(r"(?:INFO|WARNING) ([^\d:]+)", text)

    assert lines(both.stderr) == lines(alone.stderr)  # by one process for both
    assert both.stdout == alone.stdout


@killable
def test_where_one_process_is_killed_the_other_ends_and_one_goes_on_alone(command, tmp_path):
    pair = Pair(command, tmp_path / "out")
    pair.second.kill()
    assert pair.ends(30).startswith("오류: devices: 다른 프로세스가 끝나서 모두 멈췄습니다.")
    steps = last_checkpoint(pair.folder)["global_step"]
    done = run_script("train_gen-0.py", *command, *ON_CPU, "--epochs", "400", "--save_steps", "3",
                      "--downstream_model_dir", pair.folder, "--resume", "--patience", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"last.ckpt: {steps}스텝부터 이어서 합니다." in done.stderr


@killable
def test_where_one_process_is_stuck_the_other_ends_it(command, tmp_path):
    pair = Pair(command, tmp_path / "out", "--ddp_timeout", "20")
    pair.second.suspend()
    started = time.monotonic()
    assert pair.ends(60).startswith("오류: ddp_timeout: 다른 프로세스가 20초 동안 응답하지 않아 멈췄습니다.")
    assert time.monotonic() - started > 10


def test_a_number_that_another_program_has_left_in_the_environment_silences_nobody(command, tmp_path):
    done = run_script("train_gen-0.py", *command, *ON_CPU, "--epochs", "1", "--downstream_model_dir", tmp_path / "out",
                      env={"RANK": "1", "NODE_RANK": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "가장 좋은 체크포인트: " in done.stderr
    assert (tmp_path / "out" / "train_record.json").is_file()
