"""The Lightning trainer: the precision that suits the machine, checkpoints and logs."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from .callbacks import ProgressBar, RunRecord, WholeFileCheckpointIO
from .errors import UserError

logger = logging.getLogger("ratsnlp")


class Trainer(pl.Trainer):
    """Lightning's, which also takes ``train_dataloader``: what ``fit`` called its loader when the book's notebooks were written."""

    def fit(self, model, train_dataloaders=None, val_dataloaders=None, *more, train_dataloader=None, **named):
        loader = train_dataloader if train_dataloaders is None else train_dataloaders
        return super().fit(model, loader, val_dataloaders, *more, **named)


def get_trainer(args, return_trainer_only=True):
    """A ``Trainer`` for :class:`~ratsnlp.nlpbook.generation.GenerationTask`, on the GPU where there is one.

    Under ``args.downstream_model_dir`` it leaves the best checkpoints (``epoch=E-val_loss=V.ckpt``, weights only), the model's config
    and tokenizer, the best weights as a plain ``save_pretrained`` folder (``huggingface/``), the record of the run
    (``train_record.json``) and TensorBoard's logs. With ``return_trainer_only=False`` it returns ``(checkpoint_callback, trainer)``.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advertisements; what matters is told below
    for needless in ("LeafSpec", "does not have many workers", "exists and is not empty", "smaller than the logging interval"):
        warnings.filterwarnings("ignore", message=f".*{needless}")
    if not args.test_mode:
        try:
            Path(args.downstream_model_dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:  # the book's /gdrive outside Colab
            raise UserError(f"downstream_model_dir: {args.downstream_model_dir} 폴더를 만들 수 없습니다({error.strerror}).") from error
    mode, monitor = args.monitor.split()
    checkpoint_callback = ModelCheckpoint(
        dirpath=args.downstream_model_dir, filename="{epoch}-{val_loss:.2f}", monitor=monitor, mode=mode,
        save_top_k=args.save_top_k, save_weights_only=True)
    trainer = Trainer(
        max_epochs=args.epochs, fast_dev_run=args.test_mode, accelerator="auto", devices=1,
        precision=best_precision(args.fp16, args.recipe), callbacks=[checkpoint_callback, ProgressBar(), RunRecord(args)],
        plugins=[WholeFileCheckpointIO()], logger=TensorBoardLogger(args.downstream_model_dir, name="tensorboard"),
        log_every_n_steps=10, enable_model_summary=False)
    logger.info("장치: %s, 정밀도: %s", torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU", trainer.precision)
    if args.tpu_cores:
        logger.info("tpu_cores: TPU는 쓰지 않습니다. 위의 장치로 학습합니다.")
    return trainer if return_trainer_only else (checkpoint_callback, trainer)


def best_precision(fp16: bool = False, recipe: str = "standard") -> str:
    """Lightning's name of the precision that this machine computes fastest without losing quality; for ``book`` the book's."""
    if recipe == "book":
        return "16-mixed" if fp16 else "32-true"
    if torch.cuda.is_available():
        return "16-mixed" if fp16 or not torch.cuda.is_bf16_supported(including_emulation=False) else "bf16-mixed"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"
