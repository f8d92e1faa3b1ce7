"""A tokenizer whose tokens are characters: with it a small model learns to copy names that it has never seen."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from ..generation.tokenizer import BYTES, SPECIAL_TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def character_tokenizer(texts: Iterable[str], vocab_size: int, words: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """The most frequent characters of ``texts`` as tokens, a space written ``▁``, so many that they make ``vocab_size``
    with the special tokens, 256 bytes and the ``words``. Other characters become their UTF-8 bytes; ``words``
    (``#Person1#``) are one token each wherever they stand."""
    from transformers import PreTrainedTokenizerFast

    words = list(words)
    counts = Counter(itertools.chain.from_iterable(text.replace(" ", "▁") for text in texts))
    room = vocab_size - len(SPECIAL_TOKENS) - len(BYTES) - len(words)
    tokens = [*SPECIAL_TOKENS, *BYTES, *(character for character, _ in counts.most_common(room))]
    tokenizer = Tokenizer(models.BPE(
        vocab={token: number for number, token in enumerate(tokens)}, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        mask_token="<mask>")
