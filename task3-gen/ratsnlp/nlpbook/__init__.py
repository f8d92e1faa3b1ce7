"""What all tasks of the book share: seed, log, arguments, corpus files, batches, trainer."""

from typing import TYPE_CHECKING

from .lazy import lazy_names

if TYPE_CHECKING:
    from .arguments import load_arguments as load_arguments
    from .data_utils import LengthGroupedSampler as LengthGroupedSampler
    from .data_utils import data_collator as data_collator
    from .data_utils import fetch_corpus as fetch_corpus
    from .data_utils import read_documents as read_documents
    from .errors import UserError as UserError
    from .paths import BUNDLED_DATA as BUNDLED_DATA
    from .paths import OUTPUT as OUTPUT
    from .training.model_files import save_model as save_model
    from .training.resume import resumed_tokenizer as resumed_tokenizer
    from .training.trainer import get_trainer as get_trainer
    from .utils import set_logger as set_logger
    from .utils import set_seed as set_seed

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
