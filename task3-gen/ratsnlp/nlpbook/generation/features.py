"""Texts as the model sees them: token ids in one flat array, looked at in windows."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Dataset

CHUNK = 10_000  # texts tokenized at a time: keeps the tokenizer's Python objects few
CHUNK_CHARACTERS = 2_000_000  # characters tokenized at a time, however long the texts are


@dataclass
class GenerationExample:
    """A text, and what was put before it: the control word and a space.

    ``book_text`` is the text as ratsnlp 1.0.53 read it, where that differs; the recipe ``book`` learns from it.
    """

    text: str
    control: str = ""
    book_text: str | None = None

    @property
    def own_text(self) -> str:
        """The text without its control word."""
        return self.text.removeprefix(self.control)


@dataclass
class GenerationFeatures:
    """What the book calls features: four lists of ``max_seq_length`` integers.

    The last two are for ``val_bits_per_char`` alone: tokens of the control word,
    and characters that the other tokens cover.
    """

    input_ids: list[int]
    attention_mask: list[int] | None = None
    token_type_ids: list[int] | None = None
    labels: list[int] | None = None
    control_tokens: int = field(default=0, repr=False)
    characters: int = field(default=0, repr=False)


class TokenStore(Dataset):
    """Texts as token ids, one after another in one flat array; ``self[i]`` is a window of them,
    padded with eos to ``width`` tokens.

    Truncated texts have one window each. Else a text without a control word begins with eos, or with the bos that the
    tokenizer puts there, so that its first token is learnt too, and a text longer than ``width`` continues in a next
    window, which begins with the last token of the one before: each token, and an eos after the text, is predicted
    once. ``book_fields`` adds the lists that only the book's task reads.

    Shapes, for N texts with T tokens in all and W windows: ``ids`` (T,), ``offsets`` (N + 1,), ``control_tokens`` and
    ``characters`` (N,), ``document`` and ``start`` (W,). ``controls`` has the number of tokens of each control word.
    """

    def __init__(self, examples: Iterable[GenerationExample], tokenizer, width: int, truncate: bool,
                 book_fields: bool = False):
        self.tokenizer, self.width, self.book_fields = tokenizer, width, book_fields
        self.controls = {}
        dtype = np.uint16 if len(tokenizer) <= 2**16 else np.int32
        # they grow in place
        flat, ends, characters, control_tokens = bytearray(), array("q", [0]), array("i"), array("i")
        backend = _without_truncation(tokenizer.backend_tokenizer)
        for chunk in _chunks(examples):
            # without offsets, which take thrice the time
            encodings = backend.encode_batch_fast([example.text for example in chunk])
            for example, encoding in zip(chunk, encodings, strict=True):
                ids, upto, word = encoding.ids, len(example.text), example.control.rstrip()
                if word not in self.controls:
                    self.controls[word] = (
                        len(backend.encode(word).ids) if word else 0 if truncate else 1)  # the eos before it
                if truncate and len(ids) > width:
                    ids, upto = ids[:width], backend.encode(example.text).offsets[width - 1][1]
                elif not truncate and not word and ids[:1] != [tokenizer.bos_token_id]:
                    ids = [tokenizer.eos_token_id, *ids]
                flat += np.asarray(ids, dtype=dtype).tobytes()
                ends.append(ends[-1] + len(ids))
                characters.append(max(upto - len(example.control), 0))
                control_tokens.append(self.controls[word])
        self.ids, self.offsets = np.frombuffer(flat, dtype=dtype), np.asarray(ends)
        self.characters, self.control_tokens = np.asarray(characters), np.asarray(control_tokens)
        step = width if truncate else width - 1
        windows = np.maximum(-(-np.diff(self.offsets) // step), 1 if truncate else 0)
        self.document = np.repeat(np.arange(len(windows)), windows)
        self.start = (np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)) * step

    def __len__(self):
        return len(self.start)

    @property
    def prompts(self) -> list[str]:
        """What the texts begin with: their control words, or nothing."""
        return [word for word in self.controls if word] or [""]

    @property
    def lengths(self) -> np.ndarray:
        """Real tokens of each window, without padding: (W,)."""
        return np.minimum(np.diff(self.offsets)[self.document] - self.start, self.width)

    def narrow(self) -> None:
        """Pad no wider than the longest window and an eos: a model may have far more positions than any text."""
        self.width = min(self.width, int(self.lengths.max()) + 1)

    def __getitem__(self, index) -> GenerationFeatures:
        index = range(len(self))[index]  # counts from the end below 0, raises IndexError beyond
        document, start = self.document[index], int(self.start[index])
        first, last = self.offsets[document], self.offsets[document + 1]
        ids = self.ids[first + start : min(first + start + self.width, last)].tolist()
        padding = self.width - len(ids)
        input_ids = ids + [self.tokenizer.eos_token_id] * padding
        # The text's characters, shared out among its windows by the tokens that each predicts.
        shares = (start, start + len(ids) - 1) if len(ids) < last - first else (0, last - first - 1)
        upto = [round(int(self.characters[document]) * share / max(int(last - first) - 1, 1)) for share in shares]
        return GenerationFeatures(
            input_ids=input_ids, attention_mask=[1] * len(ids) + [0] * padding,
            token_type_ids=[0] * self.width if self.book_fields else None,
            labels=input_ids if self.book_fields else None,
            control_tokens=int(self.control_tokens[document]) if start == 0 else 0, characters=int(upto[1] - upto[0]))


def _without_truncation(backend):
    """``backend``, or a copy where it truncates or pads: that setting is the caller's."""
    if backend.truncation is None and backend.padding is None:
        return backend
    copy = type(backend).from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _chunks(examples: Iterable[GenerationExample]) -> Iterator[list[GenerationExample]]:
    chunk, characters = [], 0
    for example in examples:
        chunk.append(example)
        characters += len(example.text)
        if len(chunk) == CHUNK or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def convert_examples_to_features(examples: list[GenerationExample], tokenizer, args) -> TokenStore:
    """Tokenize and truncate to ``args.max_seq_length``; padding is eos. A truncated text has no eos, since it has no
    end to learn."""
    return TokenStore(examples, tokenizer, args.max_seq_length, truncate=True, book_fields=True)
