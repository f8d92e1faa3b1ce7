"""The Lightning trainer: the precision that suits the machine, checkpoints, logs, and going on after a break."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from .callbacks import ProgressBar, RunRecord, WholeFileCheckpointIO
from .errors import UserError
from .monitoring import LossWatch, SampleTexts
from .resume import LAST, LastCheckpoint, begin, order_by_epoch

logger = logging.getLogger("ratsnlp")


class Trainer(pl.Trainer):
    """Lightning's, which goes on where a run was broken off, and takes ``train_dataloader``, as the book's notebooks call the loader."""

    def fit(self, model, train_dataloaders=None, val_dataloaders=None, *more, train_dataloader=None, **named) -> None:
        loader = train_dataloader if train_dataloaders is None else train_dataloaders
        if self.fast_dev_run:
            super().fit(model, loader, val_dataloaders, *more, **named)
            return
        args = model.args
        begins, checkpoint = begin(args, loader.dataset)
        if begins == "finished":
            return
        epoch = batches_done = 0
        if begins == "resumed":
            epoch, batches_done = checkpoint["epoch"], checkpoint["callbacks"]["LastCheckpoint"]["batches_done"]
            epoch += batches_done == 0  # written at the end of its epoch
            named.update(ckpt_path=Path(args.downstream_model_dir) / LAST, weights_only=True)
        order_by_epoch(loader, args.seed or 0, epoch, batches_done)
        order_by_epoch(val_dataloaders, args.seed or 0)
        super().fit(model, loader, val_dataloaders, *more, **named)
        for callback in self.callbacks:
            if isinstance(callback, RunRecord):
                callback.finish(self, model, loader.dataset.tokenizer)


def get_trainer(args, return_trainer_only=True):
    """A ``Trainer`` for :class:`~ratsnlp.nlpbook.generation.GenerationTask`, on ``args.device``.

    Under ``args.downstream_model_dir`` it leaves the best checkpoints (``epoch=E-val_loss=V.ckpt``, weights only), what a run needs to
    go on (``last.ckpt``), the model's config and tokenizer, the best weights as a plain ``save_pretrained`` folder (``huggingface/``), the
    record of the run (``train_record.json``), the curve of its losses (``loss.png``) and TensorBoard's logs. With
    ``return_trainer_only=False`` it returns ``(checkpoint_callback, trainer)``.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advertisements; what matters is told below
    for needless in ("LeafSpec", "does not have many workers", "exists and is not empty", "smaller than the logging interval",
                     "your dataloader is not resumable"):
        warnings.filterwarnings("ignore", message=f".*{needless}")
    folder = Path(args.downstream_model_dir)
    if not args.test_mode:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # the book's /gdrive outside Colab
            raise UserError(f"downstream_model_dir: {folder} 폴더를 만들 수 없습니다({error.strerror}).") from error
    mode, monitor = args.monitor.split()
    checkpoint_callback = ModelCheckpoint(
        dirpath=folder, filename="{epoch}-{val_loss:.2f}", monitor=monitor, mode=mode, save_top_k=args.save_top_k, save_weights_only=True,
        enable_version_counter=not args.resume)  # an epoch that is done again after a kill writes the same file again
    early = [EarlyStopping(monitor, mode=mode, patience=args.patience, check_on_train_epoch_end=True)] if args.patience else []
    accelerator, _, number = args.device.replace("cuda", "gpu").partition(":")
    trainer = Trainer(
        max_epochs=args.epochs, fast_dev_run=args.test_mode, accelerator=accelerator, devices=[int(number)] if number else 1,
        precision=best_precision(args.fp16, args.recipe, args.device), accumulate_grad_batches=args.gradient_accumulation_steps,
        callbacks=[checkpoint_callback, LastCheckpoint(args), ProgressBar(), LossWatch(args), SampleTexts(), RunRecord(args), *early],
        plugins=[WholeFileCheckpointIO()], logger=False if args.test_mode else get_loggers(args), log_every_n_steps=args.logging_steps,
        enable_model_summary=False)
    where = torch.cuda.get_device_name(trainer.strategy.root_device) if trainer.strategy.root_device.type == "cuda" else "CPU"
    logger.info("장치: %s, 정밀도: %s", where, trainer.precision)
    if args.tpu_cores:
        logger.info("tpu_cores: TPU는 쓰지 않습니다. 위의 장치로 학습합니다.")
    return trainer if return_trainer_only else (checkpoint_callback, trainer)


def get_loggers(args) -> list:
    """TensorBoard's logger, and that of Weights & Biases where a project is named (``WANDB_MODE=offline`` keeps it off the network).

    Raises:
        UserError: ``args.wandb`` without the package.
    """
    folder = Path(args.logging_dir or Path(args.downstream_model_dir) / "tensorboard").expanduser()
    loggers = [TensorBoardLogger(folder.parent, name=folder.name)]
    if args.wandb:
        try:
            from pytorch_lightning.loggers import WandbLogger

            loggers.append(WandbLogger(project=args.wandb, save_dir=args.downstream_model_dir))
        except ModuleNotFoundError as error:
            raise UserError("wandb: wandb가 설치되어 있지 않습니다. python -m pip install wandb로 설치하세요.") from error
    return loggers


def best_precision(fp16: bool = False, recipe: str = "standard", device: str = "auto") -> str:
    """Lightning's name of the precision that this machine computes fastest without losing quality; for ``book`` the book's."""
    if recipe == "book":
        return "16-mixed" if fp16 else "32-true"
    if torch.cuda.is_available() and device != "cpu":
        return "16-mixed" if fp16 or not torch.cuda.is_bf16_supported(including_emulation=False) else "bf16-mixed"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"
