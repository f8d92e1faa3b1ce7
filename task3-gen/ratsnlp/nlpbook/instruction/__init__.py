"""Instructions and conversations: fine-tune a causal language model to answer, summarize with it."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..generation.chat import use_format as use_format
    from ..summarization.dialogues import DialogueCorpus as DialogueCorpus
    from ..summarization.dialogues import fetch_dialogues as fetch_dialogues
    from ..summarization.output import SummaryOutput as SummaryOutput
    from ..summarization.output import read_input as read_input
    from .arguments import InstructionInferArguments as InstructionInferArguments
    from .arguments import InstructionTrainArguments as InstructionTrainArguments
    from .conversations import Conversation as Conversation
    from .conversations import conversation as conversation
    from .conversations import read_conversations as read_conversations
    from .datasets import load_conversation_datasets as load_conversation_datasets
    from .dialogues import WORDINGS as WORDINGS
    from .dialogues import InstructionDataset as InstructionDataset
    from .features import ConversationDataset as ConversationDataset
    from .features import Limits as Limits
    from .models import load_model as load_model
    from .models import load_tokenizer as load_tokenizer
    from .predictor import Predictor as Predictor

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
