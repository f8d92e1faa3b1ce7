"""A Korean tokenizer from scratch: BPE whose tokens are readable and which has bytes to fall back on."""

import itertools
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>"]  # in KoGPT2's order: its ids are 0 … 6
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train_tokenizer(texts: list[str], vocab_size: int, words: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Learn ``vocab_size`` tokens, the special ones and 256 bytes among them. ``words`` are learnt as one token each.

    A space is written ``▁`` and starts the word after it. Rare characters, emoji for instance, become their UTF-8 bytes, so no text
    encodes to ``<unk>``, and decoding gives the text back. Source: Sennrich et al. (2016), "Neural machine translation of rare words
    with subword units"; byte fallback and ``▁`` as in SentencePiece (Kudo and Richardson, 2018).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁+[^▁]*"), "isolated")
    learnt = vocab_size - len(SPECIAL_TOKENS) - len(BYTES)
    trainer = trainers.BpeTrainer(vocab_size=learnt, limit_alphabet=learnt // 4, max_token_length=16, show_progress=False)
    tokenizer.train_from_iterator(itertools.chain(texts, words * (len(texts) // 10)), trainer)

    state = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(state["vocab"], key=state["vocab"].get)
    vocab = {token: index for index, token in enumerate(SPECIAL_TOKENS + BYTES + pieces)}
    merges = [tuple(pair) for pair in state["merges"]]
    tokenizer.model = models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder) -> None:
    """``save_pretrained``, naming the class under which programs that use ``AutoTokenizer`` load it right."""
    config_file = tokenizer.save_pretrained(folder)[0]
    with open(config_file, encoding="utf-8") as file:
        config = json.load(file)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    with open(config_file, "w", encoding="utf-8") as file:
        json.dump(config, file, ensure_ascii=False, indent=2)
