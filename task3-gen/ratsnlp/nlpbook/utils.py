"""Small helpers of the book: a fixed seed, and the log."""

import logging
import os
import random
import sys
from dataclasses import asdict

from .experiments import DEBUG_ROWS, begin_run, newest_run

RUN_FOLDER = "NLPBOOK_RUN_FOLDER"  # for the processes that Lightning begins: where the first one writes


def set_seed(args, quiet: bool = False) -> None:
    """Seed Python, NumPy and PyTorch with ``args.seed``; None leaves them as they are. Says which, unless ``quiet``."""
    if args.seed is not None:
        import numpy as np
        import torch

        random.seed(args.seed)
        np.random.seed(args.seed)
        torch.manual_seed(args.seed)  # and the GPUs
    if not quiet:
        print("시드를 고정하지 않습니다: 실행할 때마다 결과가 다릅니다." if args.seed is None
              else f"시드를 고정합니다: {args.seed}")


def is_first(args) -> bool:
    """Whether this process is the one that tells and writes: where several learn together, number 0 of them."""
    return getattr(args, "world_size", 1) == 1 or _rank() == 0


def _rank() -> int:
    """The number of this process, as torchrun, SLURM or Lightning have told it."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"])
    if int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        return int(os.environ.get("SLURM_PROCID", 0))
    return int(os.environ.get("NODE_RANK", 0)) or int(os.environ.get("LOCAL_RANK", 0))


def set_logger(args) -> None:
    """Let the library's log appear on standard error, and log the arguments.

    With ``args.run_name`` the run has a folder of its own, which ``args.downstream_model_dir`` is from here on, and
    what the terminal shows goes to a log in it too, to the end of the process or
    :func:`ratsnlp.nlpbook.experiments.end_run`.

    Raises:
        UserError: no run of that name is there to ``resume``, or no folder can be made.
    """
    if not is_first(args):  # which tells for all
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        logging.getLogger("ratsnlp").setLevel(logging.ERROR)
        if RUN_FOLDER in os.environ:
            args.downstream_model_dir = os.environ[RUN_FOLDER]
        elif getattr(args, "run_name", None) and args.resume:  # torchrun's: it reads what the first one reads
            args.downstream_model_dir = str(newest_run(args.run_name))
        return
    if getattr(args, "run_name", None):
        args.downstream_model_dir = os.environ[RUN_FOLDER] = str(begin_run(args.run_name, args.resume))
    if getattr(args, "debug", False):
        rows = f"학습 데이터 {DEBUG_ROWS['train']}개, 검증 데이터 {DEBUG_ROWS['test']}개"
        print(f"--debug: {rows}, epochs {args.epochs}, batch_size {args.batch_size}로(따로 적은 값은 쓰지 않습니다), "
              "W&B 없이 실행합니다. "
              f"결과: {args.downstream_model_dir}", file=sys.stderr)
    logger = logging.getLogger("ratsnlp")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.info("설정: %s", asdict(args))
