"""Training on several devices: each process learns its share of a batch, and one of them writes."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from ..errors import UserError

if TYPE_CHECKING:
    from pytorch_lightning.strategies import Strategy

# How PyTorch's messages say that another process has ended, or has not answered in time.
_ENDED = ("Connection closed by peer", "Connection reset by peer", "Socket closed", "NCCL", "ncclRemoteError")
_ADVICE = "그 프로세스의 오류를 먼저 확인하고, 같은 명령에 --resume을 붙여 이어서 하세요."
_OTHER_ENDED = f"다른 프로세스가 끝나서 모두 멈췄습니다. {_ADVICE}"
_SILENT = ("Timed out", "timed out", "timeout")


def strategy_of(args, on_gpu: bool) -> Strategy | str:
    """Lightning's strategy for ``args``: ``auto`` where one device learns."""
    if args.world_size == 1:
        return "auto"
    joined = {"process_group_backend": "nccl" if on_gpu else "gloo", "timeout": timedelta(seconds=args.ddp_timeout)}
    if args.strategy == "fsdp":
        from .sharded_strategy import ShardedStrategy

        return ShardedStrategy(args.world_size, tensor_parallel_size=1, save_distributed_checkpoint=False, **joined)
    from pytorch_lightning.strategies import DDPStrategy

    return DDPStrategy(**joined)


def is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def world() -> tuple[int, int]:
    """The number of this process, and how many learn together."""
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if is_distributed() else (0, 1)


def mean_of_all(total: torch.Tensor, count: int) -> torch.Tensor:
    """The sum of ``total`` over all processes by that of ``count``: a scalar, which none waits for a gradient of."""
    if not is_distributed():
        return total.detach() / count
    pair = torch.stack([total.detach().float(), total.new_tensor(count, dtype=torch.float32)])
    torch.distributed.all_reduce(pair)
    return pair[0] / pair[1]


def gathered(mine: dict) -> dict:
    """The entries that the processes have, together."""
    if not is_distributed():
        return mine
    parts = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return {key: value for part in parts for key, value in part.items()}


def any_of_all(flag: bool, device: torch.device) -> bool:
    """Whether it is true in any process."""
    if not is_distributed():
        return flag
    told = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
    return bool(told)


@contextmanager
def explained_ends(args, strategy: Strategy) -> Iterator[None]:
    """Raises UserError where another process has ended, or does not answer, while it lasts; those that were begun here
    are ended too."""
    launcher = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")
    launcher.setLevel(logging.INFO)
    launcher.addFilter(_tell_end)
    hook = sys.excepthook  # which PyTorch, where processes are joined, wraps so that what ours has told is lost
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        silent, ended = (any(told in text for told in words) for words in (_SILENT, _ENDED))
        if args.world_size == 1 or not (silent or ended):
            raise
        if strategy.launcher is not None:  # one that is stopped does not take less
            strategy.launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))
        raise UserError(f"ddp_timeout: 다른 프로세스가 {args.ddp_timeout}초 동안 응답하지 않아 멈췄습니다. {_ADVICE}"
                        if silent else f"devices: {_OTHER_ENDED}") from error
    finally:
        sys.excepthook = hook
        launcher.removeFilter(_tell_end)


def _tell_end(record: logging.LogRecord) -> bool:
    """Say in Korean what Lightning says before it kills all processes because one has ended."""
    if "terminated with code" not in record.getMessage():
        return True
    print(f"오류: devices: {_OTHER_ENDED}", file=sys.stderr, flush=True)
    return False
