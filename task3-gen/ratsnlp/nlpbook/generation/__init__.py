"""Sentence generation: fine-tune a causal language model, decode with it, evaluate it, serve it."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..comparison.next_tokens import next_token_bars as next_token_bars
    from ..comparison.tour import Tour as Tour
    from ..evaluation.agreement import agreement as agreement
    from ..evaluation.agreement import combined_agreement as combined_agreement
    from ..evaluation.agreement import reviews_by_word as reviews_by_word
    from ..evaluation.bits import bits_per_character as bits_per_character
    from ..evaluation.metrics import diversity as diversity
    from ..evaluation.report import report_table as report_table
    from ..evaluation.report import write_report as write_report
    from ..pictures import draw_next_token as draw_next_token
    from ..pretrained import load_config as load_config
    from ..pretrained import load_model as load_model
    from ..pretrained import load_tokenizer as load_tokenizer
    from ..pretrained import save_tokenizer as save_tokenizer
    from ..pretrained import use_special_tokens as use_special_tokens
    from ..serving.app import get_web_service_app as get_web_service_app
    from ..serving.server import run_web_service as run_web_service
    from ..serving.service import GenerationService as GenerationService
    from ..training.adapters import add_adapter as add_adapter
    from .arguments import GenerationCompareArguments as GenerationCompareArguments
    from .arguments import GenerationDeployArguments as GenerationDeployArguments
    from .arguments import GenerationEvalArguments as GenerationEvalArguments
    from .arguments import GenerationGenerateArguments as GenerationGenerateArguments
    from .arguments import GenerationInferArguments as GenerationInferArguments
    from .arguments import GenerationPretrainArguments as GenerationPretrainArguments
    from .arguments import GenerationTextArguments as GenerationTextArguments
    from .arguments import GenerationTrainArguments as GenerationTrainArguments
    from .control_words import blank_control_words as blank_control_words
    from .control_words import initialize_control_words as initialize_control_words
    from .datasets import GenerationDataset as GenerationDataset
    from .datasets import TextDataset as TextDataset
    from .datasets import load_text_datasets as load_text_datasets
    from .features import GenerationExample as GenerationExample
    from .features import GenerationFeatures as GenerationFeatures
    from .judge import PolarityJudge as PolarityJudge
    from .models import load_checkpoint as load_checkpoint
    from .models import load_finetuned as load_finetuned
    from .models import load_for_inference as load_for_inference
    from .models import load_model_and_tokenizer as load_model_and_tokenizer
    from .models import load_pretrained as load_pretrained
    from .nsmc import NsmcCorpus as NsmcCorpus
    from .options import DecodingOptions as DecodingOptions
    from .predictor import Predictor as Predictor
    from .prompts import encode_prompt as encode_prompt
    from .prompts import read_prompts as read_prompts
    from .prompts import readable as readable
    from .recipes import training_sampler as training_sampler
    from .samples import sample_texts as sample_texts
    from .settings import ALL_SETTINGS as ALL_SETTINGS
    from .settings import BEYOND as BEYOND
    from .settings import SETTINGS as SETTINGS
    from .task import GenerationTask as GenerationTask
    from .terminal_chat import TerminalChat as TerminalChat
    from .text_output import TextOutput as TextOutput
    from .texts import read_texts as read_texts
    from .tokenizer import train_tokenizer as train_tokenizer
    from .trace import traced as traced

_OLD_NAMES = {
    "begin_as": "initialize_control_words",
    "markdown": "report_table",
    "pooled": "combined_agreement",
}
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__, _OLD_NAMES)
