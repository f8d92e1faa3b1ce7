"""What all tasks of the book share: seed, log, arguments, corpus files, batches, trainer."""

from .arguments import load_arguments
from .data_utils import LengthGroupedSampler, data_collator, fetch_corpus, read_documents
from .errors import UserError
from .paths import BUNDLED_DATA, OUTPUT
from .utils import set_logger, set_seed

__all__ = [
    "BUNDLED_DATA", "LengthGroupedSampler", "OUTPUT", "UserError", "data_collator", "fetch_corpus", "get_trainer", "load_arguments",
    "read_documents",
    "resumed_tokenizer", "set_logger", "set_seed",
]


def get_trainer(args, return_trainer_only=True):
    """See :func:`ratsnlp.nlpbook.training.trainer.get_trainer`; Lightning is imported only when training asks for it."""
    from .training.trainer import get_trainer

    return get_trainer(args, return_trainer_only)


def resumed_tokenizer(args):
    """See :func:`ratsnlp.nlpbook.training.resume.resumed_tokenizer`."""
    from .training.resume import resumed_tokenizer

    return resumed_tokenizer(args)
