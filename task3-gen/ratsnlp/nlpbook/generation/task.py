"""The training task: what a batch costs, and how the weights move."""

import logging
import math
from dataclasses import asdict

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from transformers import get_linear_schedule_with_warmup

from ..errors import UserError
from ..pretrained import check_architecture, max_positions
from ..training.layers import keep_freed_memory, use_byte_eager, use_fast_layers
from ..training.optimizers import BookAdamW, MuonAdamW, parameter_groups
from .loss import has_plain_head, linear_cross_entropy
from .samples import SampleTexts

logger = logging.getLogger("ratsnlp")


class GenerationTask(LightningModule):
    """Fine-tunes a causal language model on batches of :func:`ratsnlp.nlpbook.data_collator`.

    The ``standard`` recipe trims a batch to its longest text, counts real tokens and one eos in the loss and nothing else, and
    feeds no ``token_type_ids`` (GPT-2 would add the embedding of token 0 to every position). ``book`` computes what ratsnlp 1.0.53
    computed: padding counts, ``token_type_ids`` of zeros are fed, the learning rate is constant, gradients are not clipped.

    Raises:
        UserError: ``args.max_seq_length`` is beyond the model's positions, or ``model`` is of another architecture than its weights.
    """

    def __init__(self, model, args):
        super().__init__()
        positions = max_positions(model.config)
        if positions is not None and args.max_seq_length > positions:
            raise UserError(f"max_seq_length: 이 모델의 위치는 {positions}개라 {positions} 이하여야 하는데 {args.max_seq_length}입니다.")
        check_architecture(model)
        if model.dtype in (torch.float16, torch.bfloat16):  # transformers 5 keeps the file's, the book's 4 made float32 of it
            logger.info("모델의 가중치가 %s이라 float32로 바꾸어 학습합니다.", str(model.dtype).removeprefix("torch."))
            model = model.float()
        self.model, self.args = model if args.recipe == "book" else use_fast_layers(model), args
        self.plain_head = has_plain_head(model)
        self.save_hyperparameters(asdict(args))  # a plain dict: weights_only=True can read it

    def configure_callbacks(self):
        return [SampleTexts()]

    def on_fit_start(self):
        self.train()  # from_pretrained leaves the model in eval mode, that is without dropout, and Lightning keeps the mode it finds
        if self.device.type == "cpu" and self.args.recipe == "standard":
            keep_freed_memory()
            if self.args.max_seq_length <= 256:  # up to there PyTorch's fused attention takes a CPU longer than its parts one by one
                use_byte_eager(self.model)

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
        own = (position >= batch["control_tokens"][:, None])[counts]
        if not self.plain_head:
            logits = self.model(input_ids[:, :-1], use_cache=False).logits
            return F.cross_entropy(logits[counts].float(), input_ids[:, 1:][counts], reduction="none"), own
        # Padding is on the right, where causal attention does not look: no mask is needed.
        hidden = self.model.base_model(input_ids[:, :-1], use_cache=False).last_hidden_state
        chosen = counts.flatten().nonzero().squeeze(1)  # index_select's gradient is quicker than a mask's
        states, targets = hidden.flatten(0, 1).index_select(0, chosen), input_ids[:, 1:][counts]
        total = len(targets)
        # A CPU keeps a compiled kernel for each shape that it meets: widths go in fours and rows of logits in 64s, so that they are few.
        states, targets = F.pad(states, (0, 0, 0, -total % 64)), F.pad(targets, (0, -total % 64))
        # The vocabulary is wide: no logits for positions that do not count.
        losses = linear_cross_entropy(states, self.model.get_output_embeddings().weight, targets)[:total]
        return losses, own

    def book_loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The mean over all ``batch_size × (max_seq_length - 1)`` positions, padding among them, in nats: a scalar."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        logits = self.model(**inputs, use_cache=False).logits[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten())

    def training_step(self, batch, batch_idx):
        if self.args.recipe == "book":
            loss = self.book_loss(batch)
            self.log("loss", loss.detach(), prog_bar=True)
            return loss
        losses, _ = self.token_losses(batch)
        self.log("loss", losses.mean().detach(), prog_bar=True)
        # A sum, so that each token of an epoch weighs the same: like lengths share a batch, and the mean over a batch of short reviews
        # would give their tokens several times the weight of a long review's. The divisor is one number for the whole run.
        return losses.sum() / self.tokens_per_step

    def validation_step(self, batch, batch_idx):
        losses, own = self.token_losses(batch)
        # Lightning averages over batches by batch_size: by tokens and by characters these are the means over all of the data.
        if self.args.recipe == "book":
            self.log("val_loss", self.book_loss(batch), prog_bar=True, batch_size=len(batch["input_ids"]), sync_dist=True)
        else:
            self.log("val_loss", losses.mean(), prog_bar=True, batch_size=len(losses), sync_dist=True)
        characters = max(int(batch["characters"].sum()), 1)
        bits_per_char = losses[own].sum() / (math.log(2) * characters)
        self.log("val_bits_per_char", bits_per_char, batch_size=characters, sync_dist=True)

    def configure_optimizers(self):
        if self.args.recipe == "book":
            return BookAdamW(self.parameters(), lr=self.args.learning_rate, weight_decay=0.0)
        total_steps = int(self.trainer.estimated_stepping_batches)
        self.tokens_per_step = float(self.args.batch_size * self.trainer.train_dataloader.dataset.lengths.mean())
        fused = self.trainer.precision != "16-mixed" and self.device.type in ("cpu", "cuda")
        settings = {"lr": self.args.learning_rate, "eps": self.args.adam_epsilon, "fused": fused}
        kind = MuonAdamW if self.args.optimizer == "muon" else torch.optim.AdamW
        optimizer = kind(parameter_groups(self.model, self.args.weight_decay), **settings)
        warmup_steps = self.args.warmup_steps or round(self.args.warmup_ratio * total_steps)
        scheduler = get_linear_schedule_with_warmup(optimizer, warmup_steps, total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        # Here, because Lightning's own refuses a fused optimizer under bf16-mixed.
        if self.args.recipe == "standard" and self.args.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.args.max_grad_norm)
