"""Dialogue summarization: fine-tune a model of encoder and decoder, summarize with it, evaluate it."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..evaluation.summaries import baselines as baselines
    from ..evaluation.summaries import metrics_table as metrics_table
    from ..evaluation.summaries import summary_metrics as summary_metrics
    from ..training.adapters import add_adapter as add_adapter
    from .arguments import SummarizationInferArguments as SummarizationInferArguments
    from .arguments import SummarizationTrainArguments as SummarizationTrainArguments
    from .dialogue_generator import made_dialogues as made_dialogues
    from .dialogues import DialogueCorpus as DialogueCorpus
    from .dialogues import DialogueExample as DialogueExample
    from .dialogues import fetch_dialogues as fetch_dialogues
    from .dialogues import read_dialogues as read_dialogues
    from .dialogues import write_dialogues as write_dialogues
    from .features import DialogueDataset as DialogueDataset
    from .models import load_model as load_model
    from .models import load_tokenizer as load_tokenizer
    from .output import SummaryOutput as SummaryOutput
    from .output import read_input as read_input
    from .predictor import Predictor as Predictor
    from .task import SummarizationTask as SummarizationTask
    from .tokenizer import character_tokenizer as character_tokenizer

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
