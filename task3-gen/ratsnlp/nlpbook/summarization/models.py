"""Models that summarize, and their tokenizers, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers.pre_tokenizers import Metaspace

from .. import pretrained
from ..errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def load_tokenizer(args) -> PreTrainedTokenizerFast:
    """The tokenizer of ``args.pretrained_model_name`` with ``args.special_tokens``, which stay in what is decoded.

    Special tokens that its files do not declare are KoBART's, where it has them: the model's configuration does not
    tell (KoBART's has eos for bos).
    """
    name = args.pretrained_model_name
    tokenizer, config = pretrained.load_tokenizer(name), pretrained.load_config(name)
    if not config.is_encoder_decoder:
        raise UserError(f"pretrained_model_name: 인코더와 디코더가 있는 모델(BART, T5)이어야 하는데 {name!r} 모델은 "
                        f"{config.model_type}입니다.")
    for kind, token in (("bos", "<s>"), ("pad", "<pad>"), ("unk", "<unk>")):
        if getattr(tokenizer, f"{kind}_token") is None and token in tokenizer.get_vocab():
            setattr(tokenizer, f"{kind}_token", token)
    words = tokenizer.backend_tokenizer.pre_tokenizer
    if isinstance(words, Metaspace) and words.prepend_scheme == "always":  # "#Person1#은" would become "#Person1# 은"
        words.prepend_scheme = "first"
    pretrained.add_to_tokenizer(tokenizer, args.special_tokens, special=False)
    return tokenizer


def load_model(args, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """The model of ``args.pretrained_model_name`` in float32, or with ``args.from_scratch`` one of its configuration
    with random weights; with a row of the embedding for each token. Prints the sizes before and after.

    Raises:
        UserError: as :func:`ratsnlp.nlpbook.pretrained.load_model` does.
    """
    name = args.pretrained_model_name
    if args.from_scratch:
        model = pretrained.new_model(pretrained.load_config(name))
        model.generation_config = pretrained.load_generation_config(name) or model.generation_config
    else:
        model = pretrained.load_weights(name)
    pretrained.add_rows(model, tokenizer)
    return pretrained.use_special_tokens(model, tokenizer)
