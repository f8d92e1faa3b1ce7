"""The training task: what a batch costs, and how the weights move."""

import math
from dataclasses import asdict

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from transformers import get_linear_schedule_with_warmup

from ..errors import UserError


class GenerationTask(LightningModule):
    """Fine-tunes a causal language model on batches of :func:`ratsnlp.nlpbook.data_collator`.

    The ``standard`` recipe trims a batch to its longest text, counts real tokens and one eos in the loss and nothing else, and
    feeds no ``token_type_ids`` (GPT-2 would add the embedding of token 0 to every position).

    Raises:
        UserError: ``args.max_seq_length`` is beyond the model's positions.
    """

    def __init__(self, model, args):
        super().__init__()
        positions = model.config.max_position_embeddings
        if args.max_seq_length > positions:
            raise UserError(f"max_seq_length: 이 모델의 위치는 {positions}개라 {positions} 이하여야 하는데 {args.max_seq_length}입니다.")
        self.model, self.args = model, args
        self.save_hyperparameters(asdict(args))  # a plain dict: weights_only=True can read it

    def on_fit_start(self):
        self.train()  # from_pretrained leaves the model in eval mode, that is without dropout, and Lightning keeps the mode it finds

    def token_losses(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood of each of the batch's T tokens that count, in nats (T,), and whether each is the review's own (T,).

        Those that count are all real tokens but the first, and one eos after each text that was not truncated. A token is the
        review's own unless it belongs to the control word; eos is.
        """
        lengths = batch["attention_mask"].sum(dim=1, keepdim=True)
        width = int(lengths.max())
        input_ids = batch["input_ids"][:, : width + -width % 4 + 1]
        position = torch.arange(1, input_ids.shape[1], device=input_ids.device)
        counts = position <= lengths
        # Padding is on the right, where causal attention does not look: no mask is needed, and the fast kernel is used.
        hidden = self.model.base_model(input_ids[:, :-1], use_cache=False).last_hidden_state
        states, targets = hidden[counts], input_ids[:, 1:][counts]
        total = len(targets)
        # A CPU keeps a compiled kernel for each shape that it meets: widths go in fours and rows of logits in 64s, so that they are few.
        states, targets = F.pad(states, (0, 0, 0, -total % 64)), F.pad(targets, (0, -total % 64))
        # The vocabulary is wide: no logits for positions that do not count, and 512 rows of them at a time. A tensor of 100 MB is given
        # back to the system and asked for again in each step, which takes as long as computing it.
        project = self.model.get_output_embeddings()
        rows = zip(states.split(512), targets.split(512), strict=True)
        losses = torch.cat([F.cross_entropy(project(some).float(), goal, reduction="none") for some, goal in rows])[:total]
        return losses, (position >= batch["control_tokens"][:, None])[counts]

    def training_step(self, batch, batch_idx):
        losses, _ = self.token_losses(batch)
        self.log("loss", losses.mean().detach(), prog_bar=True)
        # A sum, so that each token of an epoch weighs the same: like lengths share a batch, and the mean over a batch of short reviews
        # would give their tokens several times the weight of a long review's. The divisor is one number for the whole run.
        return losses.sum() / self.tokens_per_step

    def validation_step(self, batch, batch_idx):
        losses, own = self.token_losses(batch)
        # Lightning averages over batches by batch_size: by tokens and by characters these are the means over all of the data.
        self.log("val_loss", losses.mean(), prog_bar=True, batch_size=len(losses), sync_dist=True)
        characters = max(int(batch["characters"].sum()), 1)
        bits_per_char = losses[own].sum() / (math.log(2) * characters)
        self.log("val_bits_per_char", bits_per_char, batch_size=characters, sync_dist=True)

    def configure_optimizers(self):
        total_steps = int(self.trainer.estimated_stepping_batches)
        self.tokens_per_step = float(self.args.batch_size * self.trainer.train_dataloader.dataset.lengths.mean())
        matrices = [parameter for parameter in self.parameters() if parameter.dim() >= 2]
        others = [parameter for parameter in self.parameters() if parameter.dim() < 2]
        optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": self.args.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.args.learning_rate, fused=self.trainer.precision != "16-mixed" and self.device.type in ("cpu", "cuda"))
        scheduler = get_linear_schedule_with_warmup(optimizer, round(self.args.warmup_ratio * total_steps), total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        # Here, because Lightning's own refuses a fused optimizer under bf16-mixed.
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
