"""Causal language models that are told what to do, and their tokenizers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UserError
from ..generation.chat import use_format
from ..generation.models import load_to_train
from ..pretrained import add_to_tokenizer, check_length, load_config
from ..pretrained import load_tokenizer as load_by_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load_tokenizer(args) -> PreTrainedTokenizerFast:
    """The tokenizer of ``args.pretrained_model_name`` with ``args.special_tokens``, which stay in what is decoded, and
    with the template of ``args.format`` and the tokens that this needs.

    Raises:
        UserError: as :func:`~ratsnlp.nlpbook.generation.chat.use_format` does, or the model has an encoder, or fewer
            positions than ``args`` ask for.
    """
    config = load_config(args.pretrained_model_name)
    if config.is_encoder_decoder:
        raise UserError(f"pretrained_model_name: 인코더가 있는 모델({config.model_type})은 지시를 따르도록 학습하지 "
                        "않습니다. train_sum-0.py나 train_sum-1.py로 학습하세요.")
    for name in ("encoder_max_len", "decoder_max_len"):
        check_length(config, getattr(args, name), name)
    check_length(config, args.max_seq_length, "encoder_max_len + decoder_max_len")
    tokenizer = load_by_name(args.pretrained_model_name)
    add_to_tokenizer(tokenizer, args.special_tokens, special=False)
    use_format(tokenizer, args.format)
    return tokenizer


def load_model(args, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """The model of ``args.pretrained_model_name``, with a row of the embedding for each token, and an adapter where
    ``args`` ask for one; rows of tokens that its own tokenizer lacks are learnt beside the adapter.

    Raises:
        UserError: as :func:`~ratsnlp.nlpbook.generation.models.load_to_train` does.
    """
    known = load_by_name(args.pretrained_model_name).get_vocab()
    return load_to_train(args, args.pretrained_model_name, tokenizer, sorted(tokenizer.get_vocab().keys() - known))
