"""The best checkpoints of a run, and when it has gone on long enough without a better one."""

import logging
import re
import sys
from pathlib import Path

from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

logger = logging.getLogger("ratsnlp")


class BestCheckpoints(ModelCheckpoint):
    """Lightning's, which knows its files again where the folder was moved or copied,
    and does without those that are gone."""

    def on_train_epoch_end(self, trainer, module):
        before = set(self.best_k_models)
        super().on_train_epoch_end(trainer, module)
        for path in self.best_k_models.keys() - before:  # its name counts epochs from 0, people from 1
            logger.info("에폭 %d의 체크포인트: %s", trainer.current_epoch + 1, Path(path).name)

    def load_state_dict(self, state_dict):
        here = {}
        for path, score in state_dict["best_k_models"].items():
            file = Path(self.dirpath) / re.split(r"[/\\]", path)[-1]
            if file.is_file():
                here[str(file)] = score
            else:
                logger.warning("앞서 저장한 체크포인트가 없어 남은 것으로 이어서 합니다: %s", file)
        order = sorted(here, key=here.get, reverse=self.mode == "max")
        best, worst = (order[0], order[-1]) if order else ("", "")
        super().load_state_dict({
            **state_dict, "dirpath": self.dirpath, "best_k_models": here, "last_model_path": "",
            "best_model_path": best, "best_model_score": here.get(best),
            "kth_best_model_path": worst, "kth_value": here.get(worst, state_dict["kth_value"])})


class Patience(EarlyStopping):
    """Lightning's, with the patience that is given now, not the one from before the run was broken off.

    With a ``patience`` of 0 it waits to the end; it still counts, so that a run may go on with less.
    """

    def __init__(self, monitor: str, mode: str, patience: int):
        super().__init__(
            monitor, mode=mode, patience=patience or sys.maxsize, check_on_train_epoch_end=True, strict=patience > 0)

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "patience": self.patience})
