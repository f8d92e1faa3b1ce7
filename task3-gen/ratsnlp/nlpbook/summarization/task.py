"""The training task: what a batch costs, what the model writes after each epoch, and how good that is."""

import logging
from dataclasses import asdict

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule

from ..errors import UserError
from ..evaluation.summaries import baselines, metrics_table, summary_metrics
from ..generation.loss import IGNORED, has_plain_head, head_losses
from ..generation.models import in_eval_mode
from ..pretrained import check_architecture, check_length
from ..training.adapters import check_adapter, check_added, has_adapter, keep_adapter, load_adapter
from ..training.distributed import gathered, mean_of_all, world
from ..training.optimizers import can_fuse, scheduled_optimizer
from ..training.order import weight_of
from ..training.samples import show_samples
from ..training.shards import shard
from .predictor import summary_text

logger = logging.getLogger("ratsnlp")


class SummarizationTask(LightningModule):
    """Teaches a model of encoder and decoder to write the summaries of batches of
    :meth:`~ratsnlp.nlpbook.summarization.DialogueDataset.collate`; after each epoch it writes those of the validation
    data, and their metrics (:func:`~ratsnlp.nlpbook.evaluation.summaries.summary_metrics`) are logged.

    Raises:
        UserError: ``model`` has no encoder, fewer positions than ``args`` ask for, or no adapter although
            ``args.lora_r`` is set.
    """

    SHOWN = 2  # summaries, in the log

    def __init__(self, model, args):
        super().__init__()
        if not model.config.is_encoder_decoder:
            raise UserError("pretrained_model_name: 인코더와 디코더가 있는 모델(BART, T5)이어야 하는데 "
                            f"{model.config.model_type}입니다.")
        check_length(model.config, args.encoder_max_len, "encoder_max_len")
        check_length(model.config, args.decoder_max_len, "decoder_max_len")
        check_architecture(model)
        check_added(model, args)
        self.model, self.args = model, args
        self.plain_head = has_plain_head(model)
        self.written, self.baselines = {}, None
        self.save_hyperparameters(asdict(args))

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
        self.train()  # from_pretrained leaves the model in eval mode, that is without dropout

    def training_step(self, batch, batch_idx):
        losses, weight = self._losses(batch), weight_of(self, batch_idx)
        self.log("loss", mean_of_all(losses.sum() * weight, losses.numel() * weight), prog_bar=True)
        # so that each token of an epoch weighs the same; gradients are averaged over the processes
        return losses.sum() / self.tokens_per_step * weight * world()[1]

    def validation_step(self, batch, batch_idx):
        losses = self._losses(batch)
        times = world()[1] * weight_of(self, batch_idx)
        self.log("val_loss", losses.mean(), prog_bar=True, batch_size=len(losses) * times, sync_dist=True)
        dataset = self.trainer.val_dataloaders.dataset
        with in_eval_mode(self.model):
            written = self.model.generate(
                batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=self.args.decoder_max_len,
                num_beams=self.args.eval_num_beams, do_sample=False, forced_eos_token_id=None,
                eos_token_id=dataset.tokenizer.eos_token_id)
        for index, ids in zip(batch["index"].tolist(), written[:, 1:].tolist(), strict=True):
            self.written[index] = summary_text(dataset.tokenizer, ids)[0]

    def on_validation_epoch_end(self):
        written, self.written = gathered(self.written), {}
        if self.trainer.sanity_checking:
            return
        dataset = self.trainer.val_dataloaders.dataset
        examples = [dataset.examples[index] for index in written]
        references = [example.references for example in examples]
        metrics = summary_metrics(list(written.values()), references)
        self.log_dict(metrics, sync_dist=True)  # they are the same in each process
        if self.baselines is None:
            self.baselines = baselines([example.dialogue for example in examples], references)
        logger.info("에폭 %d의 요약 %d개:\n%s", self.current_epoch + 1, len(written),
                    metrics_table({"model": metrics, **self.baselines}))
        show_samples(self.trainer, "모델의 요약", [
            f"{written[index][:200]} (사람: {dataset.examples[index].references[0]})"
            for index in sorted(written)[: self.SHOWN]])

    def largest_loss(self, model, input_ids):
        """The loss of a step on ``input_ids`` (N, W) with summaries as long as they may be, for an estimate of the
        memory."""
        labels = input_ids.new_zeros(len(input_ids), self.args.decoder_max_len)
        chosen = torch.arange(labels.numel(), device=labels.device)
        return self._losses_at(model, input_ids, torch.ones_like(input_ids), labels, chosen).sum()

    def configure_optimizers(self):
        total_steps = int(self.trainer.estimated_stepping_batches)  # which also makes the trainer know its data
        lengths = self.trainer.train_dataloader.dataset.label_lengths
        self.tokens_per_step = float(self.args.batch_size * lengths.mean())
        return scheduled_optimizer(self.args, self.model, total_steps, can_fuse(self))

    def optimizer_step(self, *arguments, **named):
        super().optimizer_step(*arguments, **named)
        self.optimizers().zero_grad()  # Lightning would keep them beside the activations of the next step

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        if self.args.max_grad_norm:  # by hand, because Lightning's own refuses a fused optimizer under bf16-mixed
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.args.max_grad_norm)

    def _losses(self, batch) -> torch.Tensor:
        """Negative log-likelihood of each of the batch's T tokens of summaries, eos among them, in nats: (T,)."""
        labels = batch["labels"]
        chosen = (labels != IGNORED).flatten().nonzero().squeeze(1)
        return self._losses_at(self.model, batch["input_ids"], batch["attention_mask"], labels, chosen)

    def _losses_at(self, model, input_ids, attention_mask, labels, chosen) -> torch.Tensor:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False,
                  "decoder_input_ids": model.prepare_decoder_input_ids_from_labels(labels)}
        targets = labels.flatten().index_select(0, chosen)
        if not self.plain_head:
            logits = model(**inputs).logits.flatten(0, 1).index_select(0, chosen)
            return F.cross_entropy(logits.float(), targets, reduction="none")
        return head_losses(model, model.base_model(**inputs).last_hidden_state, chosen, targets)
