"""The Lightning trainer: checkpoints, logs, and going on after a break."""

import copy
import logging
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from ..devices import resolve_device
from ..errors import UserError
from ..run_folder import RunFolder, checkpoint_name
from ..utils import is_first
from .adapters import whole_bytes
from .best_checkpoints import BestCheckpoints, Patience
from .checkpoint_io import WholeFileCheckpointIO
from .distributed import explained_ends, strategy_of
from .footprint import GradientCheckpointing, HalfBase
from .last_checkpoint import LastCheckpoint
from .loss_watch import LossWatch
from .memory_check import MemoryCheck
from .model_files import ModelFiles, check_same_model, export_best
from .order import order_by_epoch
from .precision import precision_of, tell_precision
from .progress import ProgressBar
from .record import RunRecord
from .resume import begin

logger = logging.getLogger("ratsnlp")


class Trainer(pl.Trainer):
    """Lightning's, which goes on where a run was broken off, and takes ``train_dataloader``,
    as the book's notebooks call the loader."""

    def fit(self, model, train_dataloaders=None, val_dataloaders=None, *more, train_dataloader=None, **named) -> None:
        loader = train_dataloader if train_dataloaders is None else train_dataloaders
        if self.fast_dev_run:
            super().fit(model, loader, val_dataloaders, *more, **named)
            return
        args, folder = model.args, RunFolder(model.args.downstream_model_dir)
        first = is_first(args)
        with folder.held() if first else nullcontext():
            beginning = begin(args, loader.dataset)
            if beginning.kind == "finished":
                return
            epoch = batches_done = 0
            if beginning.kind == "resumed":
                epoch, batches_done = beginning.progress.epoch, beginning.progress.batches_done
                named.update(ckpt_path=folder.last, weights_only=True)
            if first:
                folder.check_own()
                check_same_model(folder, model.model, loader.dataset.tokenizer)
                folder.check_room(sum(tensor.nbytes for tensor in model.parameters() if tensor.requires_grad),
                                  max(args.save_top_k, 1), whole_bytes(model.model))
            memory = MemoryCheck(model, loader.dataset, self.precision)
            memory.tell()
            if beginning.kind == "new" and not args.resume and first:
                aside = folder.last_aside if beginning.unfinished else None
                if aside:
                    print(f"중단된 학습의 {folder.last.name}를 {aside.name}로 옮기고 처음부터 학습합니다. "
                          "이어서 하려면 이름을 되돌리고 --resume을 붙이세요.", file=sys.stderr)
                folder.begin_anew(aside)
            if first:
                folder.remove_unfinished()
            order_by_epoch(loader, args.seed or 0, epoch, batches_done, args.world_size)
            order_by_epoch(val_dataloaders, args.seed or 0, processes=args.world_size)
            with memory.explained(), explained_ends(args, self.strategy):
                super().fit(model, loader, val_dataloaders, *more, **named)
            if first:
                self._finish(model, loader.dataset.tokenizer)

    def _finish(self, module, tokenizer) -> None:
        best = self.checkpoint_callback.best_model_path
        (record,) = (callback for callback in self.callbacks if isinstance(callback, RunRecord))
        if best:
            export_best(record.folder, module.model, tokenizer, Path(best))
            record.finish(Path(best))


def get_trainer(args, return_trainer_only=True):
    """A ``Trainer`` for a task of this library
    (:class:`~ratsnlp.nlpbook.generation.GenerationTask`), on ``args.device``.

    What it leaves under ``args.downstream_model_dir`` is told by :class:`~ratsnlp.nlpbook.run_folder.RunFolder`. With
    ``return_trainer_only=False`` it returns ``(checkpoint_callback, trainer)``.
    """
    for name in ("pytorch_lightning", "lightning_fabric"):  # their advertisements; what matters is told below
        logging.getLogger(name).setLevel(logging.WARNING)
    for needless in (
            "LeafSpec", "does not have many workers", "exists and is not empty", "smaller than the logging interval",
            "your dataloader is not resumable", "gradient_checkpointing_(en|dis)able. is deprecated"):
        warnings.filterwarnings("ignore", message=f".*{needless}")
    folder = RunFolder(args.downstream_model_dir)
    if not args.test_mode and is_first(args):
        folder.make()
    mode, monitor = args.monitor.split()
    checkpoint_callback = BestCheckpoints(
        dirpath=folder.path, filename=checkpoint_name(args.monitor), monitor=monitor, mode=mode,
        save_top_k=args.save_top_k, save_weights_only=True,
        enable_version_counter=not args.resume)  # an epoch that is done again after a kill writes the same file again
    kept = args
    if args.strategy == "fsdp" and args.save_total_limit:
        kept = copy.copy(args)
        kept.save_total_limit = 0
        logger.warning("save_total_limit: fsdp에서는 checkpoint-스텝 폴더를 저장하지 않습니다. "
                       "last.ckpt와 가장 좋은 체크포인트는 저장합니다.")
    accelerator, _, number = args.device.replace("cuda", "gpu").partition(":")
    trainer = Trainer(
        max_epochs=args.epochs, fast_dev_run=args.test_mode, accelerator=accelerator,
        devices=[int(number)] if number else args.devices, num_nodes=args.num_nodes,
        strategy=strategy_of(args, resolve_device(args.device) != "cpu"),
        use_distributed_sampler=False,  # whose order would be another, and like lengths apart: EpochOrder has a share
        precision=precision_of(args),
        accumulate_grad_batches=args.gradient_accumulation_steps,
        callbacks=[
            checkpoint_callback, LastCheckpoint(args), ProgressBar(), LossWatch(args), RunRecord(args),
            ModelFiles(kept), Patience(monitor, mode, args.patience),
            *([GradientCheckpointing()] if args.gradient_checkpointing else []),
            *([HalfBase()] if args.lora_r else [])],
        plugins=[WholeFileCheckpointIO()], logger=False if args.test_mode else get_loggers(args),
        log_every_n_steps=args.logging_steps, enable_model_summary=False)
    where = (torch.cuda.get_device_name(trainer.strategy.root_device)
             if trainer.strategy.root_device.type == "cuda" else "CPU")
    logger.info("장치: %s, 정밀도: %s", where, trainer.precision)
    tell_precision(args, trainer.precision, where != "CPU")
    if args.tpu_cores:
        logger.info("tpu_cores: TPU는 쓰지 않습니다. 위의 장치로 학습합니다.")
    return trainer if return_trainer_only else (checkpoint_callback, trainer)


def get_loggers(args) -> list:
    """TensorBoard's logger, and that of Weights & Biases where a project is named (``WANDB_MODE=offline``
    keeps it off the network).

    Raises:
        UserError: ``args.wandb`` without the package.
    """
    folder = Path(args.logging_dir or RunFolder(args.downstream_model_dir).logs).expanduser()
    loggers = [TensorBoardLogger(folder.parent, name=folder.name)]
    if args.wandb:
        try:
            from pytorch_lightning.loggers import WandbLogger

            loggers.append(WandbLogger(name=args.run_name, project=args.wandb, entity=args.wandb_entity,
                                       tags=list(args.wandb_tags), save_dir=args.downstream_model_dir))
        except ModuleNotFoundError as error:
            raise UserError(
                "wandb: wandb가 설치되어 있지 않습니다. python -m pip install wandb로 설치하세요.") from error
    return loggers
