"""A Korean tokenizer from scratch: tokens that are readable, and bytes to fall back on."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>"]  # in KoGPT2's order: its ids are 0 … 6
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train_tokenizer(texts: list[str], vocab_size: int, words: tuple[str, ...] = (),
                    kind: str = "unigram") -> PreTrainedTokenizerFast:
    """Learn ``vocab_size`` tokens, the special ones and 256 bytes among them. ``words`` are learnt as one token each.

    A space is written ``▁`` and starts the word after it. Rare characters, emoji for instance, become their UTF-8
    bytes, so no text encodes to ``<unk>``, and decoding gives the text back. ``kind`` is ``bpe`` or ``unigram``.
    Sources: Sennrich et al. (2016), "Neural machine translation of rare words with subword units"; Kudo (2018),
    "Subword regularization"; byte fallback and ``▁`` as in SentencePiece (Kudo and Richardson, 2018).
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE() if kind == "bpe" else models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁+[^▁]*"), "isolated")
    learn = _learn_bpe if kind == "bpe" else _learn_unigram
    learn(tokenizer, texts, vocab_size - len(SPECIAL_TOKENS) - len(BYTES), words)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        mask_token="<mask>")


def _learn_bpe(tokenizer: Tokenizer, texts: list[str], size: int, words: tuple[str, ...]) -> None:
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=size // 4, max_token_length=16, show_progress=False)
    tokenizer.train_from_iterator(itertools.chain(texts, words * (len(texts) // 10)), trainer)
    state = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(state["vocab"], key=state["vocab"].get)
    vocab = {token: index for index, token in enumerate(SPECIAL_TOKENS + BYTES + pieces)}
    merges = [tuple(pair) for pair in state["merges"]]
    tokenizer.model = models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>")


def _learn_unigram(tokenizer: Tokenizer, texts: list[str], size: int, words: tuple[str, ...]) -> None:
    counts = Counter(itertools.chain.from_iterable(texts))
    # the trainer keeps them all
    rare = dict.fromkeys((ord(character) for character, _ in counts.most_common()[size // 4 :]), " ")
    # Parted from what follows it, a "<" never begins the token of a byte, which a text may have written out.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([tokenizer.pre_tokenizer, pre_tokenizers.Split("<", "isolated")])
    trainer = trainers.UnigramTrainer(vocab_size=size, max_piece_length=16, show_progress=False)
    tokenizer.train_from_iterator((text.translate(rare) for text in texts), trainer)
    learnt = dict(json.loads(tokenizer.to_str())["model"]["vocab"])  # from the likeliest down
    scores = {**dict.fromkeys(SPECIAL_TOKENS + BYTES, 0.0), **{f"▁{word}": 0.0 for word in words}}
    pieces = [piece for piece in learnt if piece not in scores][: size - len(words)]
    scores.update((piece, learnt[piece]) for piece in pieces)
    tokenizer.model = models.Unigram(list(scores.items()), unk_id=SPECIAL_TOKENS.index("<unk>"), byte_fallback=True)
