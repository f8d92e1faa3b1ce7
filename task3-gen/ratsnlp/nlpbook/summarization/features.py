"""Dialogues and summaries as the model sees them."""

import logging
import re
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ..argument_groups import debug_rows
from ..errors import UserError
from ..generation.loss import IGNORED
from ..pretrained import check_eos_token
from .dialogues import DialogueCorpus, DialogueExample

logger = logging.getLogger("ratsnlp")

MULTIPLE = 8  # widths are multiples of it: a CPU keeps a compiled kernel for each shape that it meets


def check_hangul(tokenizer) -> None:
    """Raises UserError where nothing of Hangul is left once the tokenizer has read it: ``AutoTokenizer`` rebuilds a
    KoBART's as another kind, which knows no such character and tells nobody."""
    ids = tokenizer.encode("이 대화를 요약하면 다음과 같다.", add_special_tokens=False)
    if not re.search("[가-힣]", tokenizer.decode(ids)):
        raise UserError("토크나이저: 한글을 읽지 못합니다. AutoTokenizer 대신 load_tokenizer나 "
                        "PreTrainedTokenizerFast로 불러오고, 토크나이저 파일이 이 모델의 것인지 확인하세요.")


def dialogue_ids(tokenizer, dialogue: str) -> list[int]:
    """``[bos] + tokens + [eos]``, as BART was pretrained (``<s>`` where no bos is declared); the turns are parted by a
    space where the tokenizer has no line break."""
    if "\n" not in tokenizer.decode(tokenizer.encode("\n", add_special_tokens=False)):
        dialogue = dialogue.replace("\n", " ")
    ids = tokenizer.encode(dialogue, add_special_tokens=False)
    bos = tokenizer.backend_tokenizer.token_to_id(tokenizer.bos_token or "<s>")
    return [*([] if bos is None else [bos]), *ids, tokenizer.eos_token_id]


def summary_ids(tokenizer, summary: str) -> list[int]:
    """``tokens + [eos]``; what the decoder begins with, the model puts before them."""
    return [*tokenizer.encode(summary, add_special_tokens=False), tokenizer.eos_token_id]


def fit(name: str, encoded: list[list[int]], examples: list[DialogueExample], limit: int, truncate: bool) -> None:
    """Cut the ``encoded`` to ``limit`` tokens, the last of them as it was (eos), and say how much is lost.

    Raises:
        UserError: one has no tokens of its own; or one is longer, and ``truncate`` is false.
    """
    for ids, example in zip(encoded, examples, strict=True):
        if len(ids) < (3 if name == "encoder_max_len" else 2):
            raise UserError(f"{example.place}: 이 토크나이저로는 토큰이 하나도 나오지 않습니다. 토크나이저 파일이 "
                            "이 모델의 것인지 확인하세요.")
    long = [(ids, example) for ids, example in zip(encoded, examples, strict=True) if len(ids) > limit]
    if not long:
        return
    lost = sum(len(ids) - limit for ids, _ in long)
    longest = max(len(ids) for ids, _ in long)
    what = "대화" if name == "encoder_max_len" else "요약"
    told = (f"{name}: {long[0][1].place} 등 {what} {len(long):,}개가 {limit}토큰보다 깁니다"
            f"(가장 긴 것은 {longest:,}토큰). 자르면 모두 {lost:,}토큰을 잃습니다.")
    if not truncate:
        raise UserError(f"{told} {name}을 늘리거나, 잘라도 된다면 --truncate를 붙이세요.")
    logger.warning("%s", told)
    for ids, _ in long:
        del ids[limit - 1 : -1]


class DialogueDataset(Dataset):
    """The dialogues of ``args.downstream_corpus_root_dir/args.downstream_corpus_name``, of ``mode`` ``train`` or
    ``val``, as token ids: ``self[i]`` has ``input_ids`` and ``labels`` (of the first reference) and its ``index``.

    Raises:
        UserError: as :func:`~.dialogues.read_dialogues` and :func:`fit` do.
    """

    def __init__(self, args, tokenizer, corpus: DialogueCorpus, mode: str = "train"):
        check_eos_token(tokenizer)
        check_hangul(tokenizer)
        self.args, self.tokenizer = args, tokenizer
        self.source = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
        self.examples = debug_rows(corpus.get_examples(self.source, mode), args, mode)
        if mode == "val" and args.max_eval_samples:
            self.examples = self.examples[: args.max_eval_samples]
        self.inputs = [dialogue_ids(tokenizer, example.dialogue) for example in self.examples]
        self.labels = [summary_ids(tokenizer, example.references[0]) for example in self.examples]
        fit("encoder_max_len", self.inputs, self.examples, args.encoder_max_len, args.truncate)
        fit("decoder_max_len", self.labels, self.examples, args.decoder_max_len, args.truncate)
        logger.info("%s: 대화 %s개, 대화당 %.0f토큰, 요약당 %.0f토큰", mode, f"{len(self):,}", self.lengths.mean(),
                    self.label_lengths.mean())
        if mode == "train":
            example = self.examples[0]
            logger.info("*** Example ***")
            logger.info("dialogue: %s", example.dialogue.replace("\n", " "))
            logger.info("summary: %s", example.references[0])
            for name, ids in (("tokens", self.inputs[0]), ("labels", self.labels[0])):
                logger.info("%s: %s", name, " ".join(tokenizer.convert_ids_to_tokens(ids)).replace("\n", "\\n"))

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index: int) -> dict:
        return {"input_ids": self.inputs[index], "labels": self.labels[index], "index": index}

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each dialogue: (N,)."""
        return np.asarray([len(ids) for ids in self.inputs])

    @property
    def label_lengths(self) -> np.ndarray:
        """Tokens of each summary, with its eos: (N,)."""
        return np.asarray([len(ids) for ids in self.labels])

    @property
    def ids(self) -> np.ndarray:
        """All token ids, each dialogue and then its summary."""
        return np.concatenate([np.asarray([*ids, *labels])
                               for ids, labels in zip(self.inputs, self.labels, strict=True)])

    def collate(self, features: list[dict]) -> dict[str, torch.Tensor]:
        """N features as a batch: ``input_ids`` and ``attention_mask`` (N, W), ``labels`` (N, L), those of padding
        ``IGNORED``, and ``index`` (N,)."""
        pad = self.tokenizer.eos_token_id if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        inputs = _padded([feature["input_ids"] for feature in features], pad, self.args.encoder_max_len)
        lengths = torch.tensor([len(feature["input_ids"]) for feature in features])
        return {
            "input_ids": inputs, "attention_mask": (torch.arange(inputs.shape[1]) < lengths[:, None]).long(),
            "labels": _padded([feature["labels"] for feature in features], IGNORED, self.args.decoder_max_len),
            "index": torch.tensor([feature["index"] for feature in features])}


def _padded(rows: list[list[int]], value: int, limit: int) -> torch.Tensor:
    width = max(map(len, rows))
    width = min(width + -width % MULTIPLE, limit)  # a model may have no more positions
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
