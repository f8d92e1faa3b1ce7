"""Small helpers of the book: a fixed seed, and the log."""

import logging
import random
import sys
from dataclasses import asdict


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


def set_logger(args) -> None:
    """Let the library's log appear on standard error, and log the arguments."""
    logger = logging.getLogger("ratsnlp")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.info("설정: %s", asdict(args))
