"""One's own text: read piece by piece, kept as token ids alone, and seen in windows that lose nothing of it."""

import csv
import json
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from ..errors import UserError
from ..pretrained import check_eos_token
from .corpus import CHUNK, GenerationExample, GenerationFeatures

CHUNK_CHARACTERS = 2_000_000  # characters tokenized at a time, however long the texts are


def read_texts(path: str | Path, text_column: str = "text", label_column: str | None = None) -> Iterator[GenerationExample]:
    """The texts of a UTF-8 file or folder, one after another; white space around them is left off, empty ones are passed over.

    A ``.jsonl`` file has an object a line, ``.csv`` and ``.tsv`` a header line (in ``.tsv`` a quote is a character), a folder one
    text in each ``.txt`` file; any other file has one text a line. With ``label_column`` its value and a space come before the text.

    Raises:
        UserError: not UTF-8, or a line without the columns that were asked for (naming file, line number and what was expected).
    """
    path = Path(path)
    wanted = [name for name in (text_column, label_column) if name is not None]
    if path.is_dir():
        rows = _folder(path)
    elif path.suffix == ".jsonl":
        rows = _json_lines(path, wanted)
    elif path.suffix in (".csv", ".tsv"):
        rows = _table(path, wanted)
    else:
        rows = ((text,) for _, text in _lines(path))
    if label_column is not None and (path.is_dir() or path.suffix not in (".jsonl", ".csv", ".tsv")):
        raise UserError(f"label_column: {path}에는 열이 없습니다. .jsonl이나 .csv, .tsv 파일에 씁니다.")
    for text, *labels in rows:
        if text.strip():
            control = "".join(f"{label.strip()} " for label in labels)
            yield GenerationExample(control + text.strip(), control)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """``(place, line)`` of a file: the place for an error message, the line without its end."""
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                place = f"{path} {number}번째 줄"
                try:
                    yield place, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise UserError(f"{place}: UTF-8이 아닙니다. 파일을 UTF-8로 저장하세요.") from None
    except OSError as error:
        raise UserError(f"{path}을(를) 읽을 수 없습니다({error.strerror}).") from error


def _folder(path: Path) -> Iterator[tuple[str]]:
    files = sorted(path.rglob("*.txt"))
    if not files:
        raise UserError(f"dataset_path: {path} 폴더에 .txt 파일이 없습니다.")
    for file in files:
        yield ("\n".join(line for _, line in _lines(file)),)


def _json_lines(path: Path, wanted: list[str]) -> Iterator[list[str]]:
    for place, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{place}: JSON이 아닙니다({error}).") from None
        if not isinstance(row, dict):
            raise UserError(f'{place}: {{"{wanted[0]}": "…"}}처럼 이름과 값의 짝이어야 합니다.')
        _check_columns(place, wanted, row)
        values = [row[name] for name in wanted]
        if not isinstance(values[0], str):
            raise UserError(f"{place}: {wanted[0]}은(는) 글이어야 하는데 {values[0]!r}입니다.")
        yield [str(value) for value in values]


def _table(path: Path, wanted: list[str]) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)  # its 131,072 characters are fewer than a long document has
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".tsv" else {"strict": True}
    rows = csv.reader((f"{line}\n" for _, line in _lines(path)), **dialect)
    header = None
    try:
        for row in rows:
            place = f"{path} {rows.line_num}번째 줄"
            if header is None:
                header = row
                _check_columns(place, wanted, header)
                columns = [header.index(name) for name in wanted]
            elif row:
                if len(row) != len(header):
                    raise UserError(f"{place}: 첫 줄처럼 {len(header)}칸이어야 하는데 {len(row)}칸입니다.")
                yield [row[column] for column in columns]
    except csv.Error as error:
        raise UserError(f"{path} {rows.line_num}번째 줄: CSV로 읽을 수 없습니다({error}). 따옴표가 닫혔는지 보세요.") from error


def _check_columns(place: str, wanted: list[str], there) -> None:
    for option, name in zip(("text_column", "label_column"), wanted, strict=False):
        if name not in there:
            raise UserError(f"{option}: {place}에 {name!r}이(가) 없습니다. 있는 것: {', '.join(map(str, there))}")


def _chunks(examples: Iterator[GenerationExample]) -> Iterator[list[GenerationExample]]:
    chunk, characters = [], 0
    for example in examples:
        chunk.append(example)
        characters += len(example.text)
        if len(chunk) == CHUNK or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


class TextDataset(Dataset):
    """Texts as windows of at most ``width`` tokens; ``self[i]`` is a :class:`GenerationFeatures`.

    A text without a control word begins with eos, so that its first token is learnt too, and each text is followed by eos. A
    longer text continues in a next window that begins with the last token of the one before: each token is predicted once. Of all
    texts only the ids are kept, in one flat array.

    Shapes, for N texts with T tokens in all and W windows: ``ids`` (T,), ``offsets`` (N + 1,), ``document`` and ``start`` (W,).
    """

    def __init__(self, args, tokenizer, examples: Iterator[GenerationExample], source: str | Path):
        check_eos_token(tokenizer)
        self.tokenizer, self.source, self.width = tokenizer, Path(source), args.max_seq_length
        dtype = np.uint16 if len(tokenizer) <= 2**16 else np.int32
        self.controls = {"": 1}  # tokens of each control word; the eos that a text without one begins with
        flat, ends, characters, control_tokens = bytearray(), array("q", [0]), array("i"), array("i")  # they grow in place
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        for chunk in _chunks(examples):
            encodings = backend.encode_batch_fast([example.text for example in chunk])  # without offsets, which take thrice the time
            for example, encoding in zip(chunk, encodings, strict=True):
                word = example.control.rstrip()
                if word not in self.controls:
                    self.controls[word] = len(backend.encode(word).ids)
                ids = encoding.ids if word else [tokenizer.eos_token_id, *encoding.ids]
                flat += np.asarray(ids, dtype=dtype).tobytes()
                ends.append(ends[-1] + len(ids))
                characters.append(len(example.text) - len(example.control))
                control_tokens.append(self.controls[word])
        self.ids, self.offsets = np.frombuffer(flat, dtype=dtype), np.asarray(ends)
        self.characters, self.control_tokens = np.asarray(characters), np.asarray(control_tokens)
        step = self.width - 1
        windows = -(-np.diff(self.offsets) // step)
        self.document = np.repeat(np.arange(len(windows)), windows)
        self.start = (np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)) * step

    def split(self, share: float, seed: int) -> tuple["TextDataset", "TextDataset"]:
        """Two datasets over the same ids: the first without, the second with ``share`` of the texts (of a single text: of its windows).

        Raises:
            UserError: there is nothing to split.
        """
        many = len(self.offsets) > 2
        units = len(self.offsets) - 1 if many else len(self)
        if units < 2:
            raise UserError(f"{self.source}: 글이 둘 이상이어야 배울 것과 잴 것으로 나눌 수 있는데 {len(self.offsets) - 1}개입니다.")
        held_out = np.zeros(units, dtype=bool)
        held_out[np.random.default_rng(seed).permutation(units)[: max(round(units * share), 1)]] = True
        in_second = held_out[self.document] if many else held_out
        return self._part(~in_second), self._part(in_second)

    def _part(self, chosen: np.ndarray) -> "TextDataset":
        part = object.__new__(TextDataset)
        part.__dict__.update(self.__dict__, document=self.document[chosen], start=self.start[chosen])
        return part

    def __len__(self):
        return len(self.start)

    @property
    def prompts(self) -> list[str]:
        """What the texts begin with: their control words, or nothing."""
        return [word for word in self.controls if word] or [""]

    @property
    def tokens(self) -> np.ndarray:
        """Tokens of each window's text, (W,)."""
        return np.diff(self.offsets)[self.document]

    @property
    def lengths(self) -> np.ndarray:
        """Real tokens of each window, without padding: (W,)."""
        return np.minimum(self.tokens - self.start, self.width)

    def __getitem__(self, index) -> GenerationFeatures:
        index = range(len(self))[index]
        document, start = self.document[index], int(self.start[index])
        first, last = self.offsets[document], self.offsets[document + 1]
        ids = self.ids[first + start : min(first + start + self.width, last)].tolist()
        padding = self.width - len(ids)
        # The text's characters, shared out among its windows by the tokens that each predicts.
        upto = [round(int(self.characters[document]) * token / max(last - first - 1, 1)) for token in (start, start + len(ids) - 1)]
        return GenerationFeatures(
            input_ids=ids + [self.tokenizer.eos_token_id] * padding, attention_mask=[1] * len(ids) + [0] * padding,
            control_tokens=int(self.control_tokens[document]) if start == 0 else 0, characters=int(upto[1] - upto[0]))


def load_text_datasets(args, tokenizer) -> tuple[TextDataset, TextDataset]:
    """What ``args.dataset_path`` has to learn and what is held out of it (``args.validation_split``); says how the tokenizer fares with it.

    Raises:
        UserError: as :func:`read_texts` and :meth:`TextDataset.split` do.
    """
    examples = read_texts(args.dataset_path, args.text_column, args.label_column)
    dataset = TextDataset(args.training(), tokenizer, examples, args.dataset_path)
    train, validation = dataset.split(args.validation_split, args.seed)
    characters = max(int(dataset.characters.sum()), 1)
    rate = len(dataset.ids) / characters
    print(f"글 {len(dataset.offsets) - 1:,}개, 토큰 {len(dataset.ids):,}개, 글자마다 토큰 {rate:.2f}개: "
          f"창 {len(train):,}개를 배우고 {len(validation):,}개로 잽니다.")
    if rate > 1:
        print(f"이 토크나이저는 한글을 바이트로 쪼개어 한 글자에 토큰 {rate:.2f}개를 씁니다. 한국어 토크나이저(kogpt-mini는 이 글에서 "
              "얼마인지 --model_type kogpt-mini로 볼 수 있습니다)보다 느리고, 같은 길이에 담기는 글이 짧습니다.")
    return train, validation
