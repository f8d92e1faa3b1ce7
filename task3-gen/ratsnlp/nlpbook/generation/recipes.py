"""How a batch becomes a step: the recipe of this library, one that sees the control words, and the book's, each with
its loss, optimizer, order, precision and clipping."""

import torch
from torch.utils.data import RandomSampler, Sampler

from ..data_utils import LengthGroupedSampler
from ..errors import UserError
from ..training.optimizers import BookAdamW, scheduled_optimizer
from .features import GenerationExample
from .loss import book_loss, control_losses, token_losses


class StandardRecipe:
    """Real tokens and one eos count in the loss and nothing else, summed over the step; no ``token_type_ids`` (GPT-2
    would add the embedding of token 0 to every position); the learning rate warms up and decays, gradients are clipped,
    like lengths share a batch."""

    fixed_precision = None  # what the machine does well

    def __init__(self, args):
        self.args = args

    def text(self, example: GenerationExample) -> str:
        return example.text

    def callbacks(self) -> list:
        from ..training.fast_layers import FastLayers  # and Lightning, for which a script's --help does not wait

        return [FastLayers(self.args.max_seq_length)]

    def sampler(self, dataset) -> Sampler:
        return LengthGroupedSampler(dataset, self.args)

    def training_loss(self, model, batch, plain_head: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss to minimize, a scalar, and the losses of the tokens (nats), of which the mean is shown.

        The loss is a sum, so that each token of an epoch weighs the same: like lengths share a batch, and the mean over
        a batch of short reviews would give their tokens several times the weight of a long review's. Its divisor is one
        number for the whole run.
        """
        losses, _ = token_losses(model, batch, plain_head)
        return losses.sum() / self.tokens_per_step, losses.detach()

    def val_loss(self, model, batch, losses: torch.Tensor) -> tuple[torch.Tensor, int]:
        """The mean of ``losses`` (nats, those of the batch's tokens), and how much the batch weighs in the
        mean over all batches."""
        return losses.mean(), len(losses)

    def optimizer(self, model, dataset, total_steps: int, fused: bool) -> dict | torch.optim.Optimizer:
        lengths = getattr(dataset, "label_lengths", dataset.lengths)  # where only some of its tokens are learnt
        self.tokens_per_step = float(self.args.batch_size * lengths.mean())
        return scheduled_optimizer(self.args, model, total_steps, fused)

    def clip(self, parameters) -> None:
        """By hand, because Lightning's own refuses a fused optimizer under bf16-mixed."""
        if self.args.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(parameters, self.args.max_grad_norm)


class ContrastRecipe(StandardRecipe):
    """The standard recipe with a loss that also sees the control words: a review is to be likelier after its own than
    after any other. Half of it is the loss of the review's tokens, half that of telling the word from the review
    (:func:`~.loss.control_losses`). With K words a step takes K times as long."""

    def training_loss(self, model, batch, plain_head: bool) -> tuple[torch.Tensor, torch.Tensor]:
        losses, of_words = control_losses(model, batch, self.control_words, plain_head)
        loss = losses.sum() / self.tokens_per_step + of_words.sum() / self.args.batch_size
        return loss, losses.detach()

    def optimizer(self, model, dataset, total_steps: int, fused: bool) -> dict | torch.optim.Optimizer:
        self.control_words = _control_words(dataset)
        return super().optimizer(model, dataset, total_steps, fused)


def _control_words(dataset) -> torch.Tensor:
    """The token ids of the control words that the texts of ``dataset`` begin with: (K, tokens of a word).

    Raises:
        UserError: there are fewer than two, or they differ in length.
    """
    words = [word for word in dataset.prompts if word]
    ids = [dataset.tokenizer.encode(word) for word in words]  # with the bos of tokenizers that have one
    if len(ids) < 2 or len({len(word) for word in ids}) > 1:
        counts = ", ".join(f"{word} {len(tokens)}개" for word, tokens in zip(words, ids, strict=True))
        raise UserError(
            "recipe: contrast에는 토큰 수가 같은 제어 단어가 둘 이상 있어야 하는데 "
            f"{counts or '하나도 없습니다'}. --recipe standard로 학습하세요.")
    return torch.tensor(ids)


class BookRecipe:
    """What ratsnlp 1.0.53 computed: padding counts, ``token_type_ids`` of zeros are fed, the learning rate is constant,
    gradients are not clipped, the order is random."""

    def __init__(self, args):
        self.args = args
        self.fixed_precision = "16-mixed" if args.fp16 else "32-true"

    def text(self, example: GenerationExample) -> str:
        return example.book_text or example.text

    def callbacks(self) -> list:
        return []

    def sampler(self, dataset) -> Sampler:
        return RandomSampler(dataset)

    def training_loss(self, model, batch, plain_head: bool) -> tuple[torch.Tensor, torch.Tensor]:
        loss = book_loss(model, batch)
        return loss, loss.detach()

    def val_loss(self, model, batch, losses: torch.Tensor) -> tuple[torch.Tensor, int]:
        return book_loss(model, batch), len(batch["input_ids"])

    def optimizer(self, model, dataset, total_steps: int, fused: bool) -> dict | torch.optim.Optimizer:
        return BookAdamW(model.parameters(), lr=self.args.learning_rate, weight_decay=0.0)

    def clip(self, parameters) -> None:
        pass


def recipe_of(args) -> StandardRecipe | BookRecipe:
    return {"standard": StandardRecipe, "contrast": ContrastRecipe, "book": BookRecipe}[args.recipe](args)


def training_sampler(dataset, args) -> Sampler:
    """The order in which ``args.recipe`` learns ``dataset``: like lengths together, or, in the book's, random."""
    return recipe_of(args).sampler(dataset)
