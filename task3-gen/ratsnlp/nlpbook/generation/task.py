"""The training task: what a batch costs, and how the weights move."""

import logging
import math
from dataclasses import asdict

import torch
from pytorch_lightning import LightningModule

from ..devices import resolve_device
from ..errors import UserError
from ..pretrained import check_architecture, check_length
from ..training.adapters import check_adapter, check_added, has_adapter, keep_adapter, load_adapter
from ..training.distributed import mean_of_all, world
from ..training.optimizers import can_fuse
from ..training.order import weight_of
from ..training.shards import shard
from .loss import has_plain_head, largest_loss, token_losses
from .prompts import quiet_false_alarm
from .recipes import recipe_of
from .sample_callback import SampleTexts

logger = logging.getLogger("ratsnlp")


class GenerationTask(LightningModule):
    """Fine-tunes a causal language model on batches of :func:`ratsnlp.nlpbook.data_collator` by ``args.recipe``
    (:mod:`~ratsnlp.nlpbook.generation.recipes`).

    Raises:
        UserError: ``args.max_seq_length`` is beyond the model's positions, or ``model`` is of another
            architecture than its weights, or there is no adapter in it although ``args.lora_r`` is set.
    """

    def __init__(self, model, args):
        super().__init__()
        check_length(model.config, args.max_seq_length, "max_seq_length")
        check_architecture(model)
        if model.config.is_encoder_decoder:
            raise UserError("pretrained_model_name: 인코더가 있는 모델은 문장을 이어 쓰지 않습니다. "
                            "요약이라면 train_sum-N.py로 학습하세요.")
        check_added(model, args)
        # transformers 5 keeps the file's, the book's 4 made float32 of it
        if model.dtype in (torch.float16, torch.bfloat16):
            logger.info("모델의 가중치가 %s이라 float32로 바꾸어 학습합니다.", str(model.dtype).removeprefix("torch."))
            model = model.float()
        self.model, self.args, self.recipe = model, args, recipe_of(args)
        quiet_false_alarm()
        self.plain_head = has_plain_head(model)
        self.save_hyperparameters(asdict(args))  # a plain dict: weights_only=True can read it

    def configure_callbacks(self):
        return [SampleTexts(), *self.recipe.callbacks()]

    def configure_model(self):
        shard(self)

    def on_save_checkpoint(self, checkpoint):
        keep_adapter(checkpoint, self.model)

    def on_load_checkpoint(self, checkpoint):
        check_adapter(checkpoint, self.model)

    def load_state_dict(self, state_dict, *more, **named):
        if has_adapter(self.model):
            load_adapter(self.model, state_dict)
        else:
            super().load_state_dict(state_dict, *more, **named)

    def on_fit_start(self):
        # from_pretrained leaves the model in eval mode, that is without dropout, and Lightning keeps the mode it finds
        self.train()

    def training_step(self, batch, batch_idx):
        loss, losses = self.recipe.training_loss(self.model, batch, self.plain_head)
        weight = weight_of(self, batch_idx)
        self.log("loss", mean_of_all(losses.sum() * weight, losses.numel() * weight), prog_bar=True)
        return loss * weight * world()[1]  # over whose processes gradients are averaged

    def validation_step(self, batch, batch_idx):
        # Lightning averages over batches by batch_size: by tokens and by characters these are the
        # means over all of the data.
        losses, own = token_losses(self.model, batch, self.plain_head)
        # It divides sums of whole numbers by the number of processes, and drops the rest: so they are multiples of it.
        times = world()[1] * weight_of(self, batch_idx)
        val_loss, weight = self.recipe.val_loss(self.model, batch, losses)
        self.log("val_loss", val_loss, prog_bar=True, batch_size=weight * times, sync_dist=True)
        characters = max(int(batch["characters"].sum()), 1)
        self.log("val_bits_per_char", losses[own].sum() / (math.log(2) * characters),
                 batch_size=characters * times, sync_dist=True)

    def largest_loss(self, model, input_ids):
        """The loss of a step on ``input_ids`` (N, W) in which every token counts, or as many as an answer may have, for
        an estimate of the memory."""
        return largest_loss(model, input_ids, self.plain_head, self.args.recipe, resolve_device(self.args.device),
                            getattr(self.args, "decoder_max_len", None))

    def configure_optimizers(self):
        total_steps = int(self.trainer.estimated_stepping_batches)
        return self.recipe.optimizer(self.model, self.trainer.train_dataloader.dataset, total_steps, can_fuse(self))

    def optimizer_step(self, *arguments, **named):
        super().optimizer_step(*arguments, **named)
        self.optimizers().zero_grad()  # Lightning would keep them beside the activations of the next step

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.recipe.clip(self.parameters())
