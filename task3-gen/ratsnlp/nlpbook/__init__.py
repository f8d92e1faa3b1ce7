"""What all tasks of the book share: seed, log, arguments, corpus files, batches, trainer."""

from .arguments import load_arguments
from .data_utils import LengthGroupedSampler, data_collator, fetch_corpus, read_documents
from .errors import UserError
from .utils import set_logger, set_seed

__all__ = [
    "LengthGroupedSampler", "UserError", "data_collator", "fetch_corpus", "get_trainer", "load_arguments", "read_documents",
    "resumed_tokenizer", "set_logger", "set_seed",
]


def get_trainer(args, return_trainer_only=True):
    """See :func:`ratsnlp.nlpbook.trainer.get_trainer`; Lightning is imported only when training asks for it."""
    from .trainer import get_trainer

    return get_trainer(args, return_trainer_only)


def resumed_tokenizer(args):
    """See :func:`ratsnlp.nlpbook.resume.resumed_tokenizer`."""
    from .resume import resumed_tokenizer

    return resumed_tokenizer(args)
