"""Whether a training fits into the memory: said before it begins, and again, with the figures, when it did not."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..devices import resolve_device
from ..errors import UserError, is_out_of_memory
from .adapters import NAME, has_adapter
from .free_memory import free_memory
from .memory import advice, amount, estimate

logger = logging.getLogger("ratsnlp")


class MemoryCheck:
    """Of the training of ``module`` on ``dataset`` in ``precision`` (Lightning's name): its estimate, for a batch of
    the longest texts."""

    def __init__(self, module, dataset, precision: str):
        model, args = module.model, copy.copy(module.args)
        args.max_seq_length = min(args.max_seq_length, int(dataset.lengths.max()) + 4)  # widths go in fours
        args.batch_size = -(-args.batch_size // args.world_size)
        device = resolve_device(args.device)
        rows = (model.peft_config[NAME].trainable_token_indices if has_adapter(model) else None) or {}
        self.question = (model.config, args, module.largest_loss, device, precision)
        self.rows = next(iter(rows.values()), ())
        self.needs = estimate(*self.question, rows=self.rows)
        self.free, self.all = free_memory(device)
        if device == "cpu":  # the weights are there already
            self.free += sum(parameter.nbytes for parameter in model.parameters())

    def tell(self) -> None:
        """Say how much is needed and free, and where that is too little what to do.

        Raises:
            UserError: weights, gradients and optimizer alone are more than the machine has.
        """
        needs, told = self.needs, self.needs.describe(self.free)
        if needs.total <= self.free:
            logger.info("%s", told)
        elif needs.certain > self.all:
            raise UserError(f"{told}, 모두 {amount(self.all)}. {self._advice()}")
        else:
            logger.warning("%s. 도중에 메모리가 부족해질 수 있습니다. %s", told, self._advice())

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raises UserError, with the figures and what to do, where the memory runs out while it lasts."""
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                f"메모리가 부족해 학습을 멈췄습니다. {self.needs.describe(self.free)}. {self._advice()}") from error

    def _advice(self) -> str:
        return advice(*self.question, self.free, rows=self.rows)
