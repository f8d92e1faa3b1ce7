"""The data sets of the scripts: NSMC's reviews, and one's own text."""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from ..argument_groups import debug_rows
from ..errors import UserError
from ..experiments import DEBUG_ROWS
from ..pretrained import check_eos_token
from .features import GenerationExample, GenerationFeatures, TokenStore, convert_examples_to_features
from .recipes import recipe_of
from .texts import read_texts

logger = logging.getLogger("ratsnlp")


class GenerationDataset(Dataset):
    """``ratings_{mode}.txt`` of ``args.downstream_corpus_root_dir/args.downstream_corpus_name`` as features;
    ``self[i]`` is a :class:`GenerationFeatures`. The first example to learn is logged as the book shows it,
    the next ones in a line each.

    Raises:
        UserError: a malformed corpus, or an ``eos_token`` that is not in the tokenizer's vocabulary.
    """

    def __init__(self, args, tokenizer, corpus, mode="train",
                 convert_examples_to_features_fn=convert_examples_to_features):
        check_eos_token(tokenizer)
        if mode not in ("train", "val", "test"):
            raise UserError(f"mode: train, val, test 가운데 하나여야 하는데 {mode!r}입니다.")
        if args.overwrite_cache:
            logger.info("overwrite_cache: 여기에는 피처 캐시가 없어, 언제나 새로 토큰화합니다.")
        self.tokenizer = tokenizer
        self.source = Path(args.downstream_corpus_root_dir) / args.downstream_corpus_name
        examples = debug_rows(corpus.get_examples(self.source, mode), args, mode)
        recipe = recipe_of(args)
        examples = [replace(example, text=recipe.text(example)) for example in examples]
        logger.info("%s: 리뷰 %s개를 토큰으로 나눕니다…", mode, f"{len(examples):,}")
        started = time.time()
        self.features = convert_examples_to_features_fn(examples, tokenizer, args)
        # what its texts begin with
        self.prompts = list(dict.fromkeys(example.control.rstrip() for example in examples))
        logger.info("토큰으로 나누기까지 %.1f초", time.time() - started)
        for number, (example, features) in enumerate(zip(examples[:5], self.features, strict=False), start=1):
            if mode == "train" and number == 1:
                logger.info("*** Example ***")
                logger.info("sentence: %s", example.text)
                logger.info("tokens: %s", " ".join(tokenizer.convert_ids_to_tokens(features.input_ids)))
                logger.info("features: %s", features)
            else:
                begin = example.text if len(example.text) <= 40 else f"{example.text[:40]}…"
                logger.info("%s 예시 %d: %s (토큰 %d개)", mode, number, begin, sum(features.attention_mask))

    def __len__(self):
        return len(self.features)

    def __getitem__(self, index) -> GenerationFeatures:
        return self.features[index]

    @property
    def lengths(self) -> np.ndarray:
        """Real tokens of each text, without padding: (N,)."""
        if isinstance(self.features, TokenStore):
            return self.features.lengths
        return np.asarray([sum(features.attention_mask) for features in self.features])

    @property
    def ids(self) -> np.ndarray:
        """All token ids, one text after another."""
        if isinstance(self.features, TokenStore):
            return self.features.ids
        return np.asarray([features.input_ids for features in self.features])


class TextDataset(TokenStore):
    """Texts of any length as windows of at most ``args.max_seq_length`` tokens,
    nothing cut off: see :class:`TokenStore`. With ``args.debug`` only the first texts."""

    def __init__(self, args, tokenizer, examples: Iterable[GenerationExample], source: str | Path):
        check_eos_token(tokenizer)
        if args.debug:
            examples = islice(examples, sum(DEBUG_ROWS.values()))
        super().__init__(examples, tokenizer, args.max_seq_length, truncate=False)
        self.source = Path(source)

    def leave_out_eos(self, every: int) -> None:
        """Drop the eos before the text in one of ``every`` windows."""
        self.start[every - 1 :: every] = self.start[every - 1 :: every].clip(min=1)

    def split(self, share: float, seed: int) -> tuple["TextDataset", "TextDataset"]:
        """Two datasets over the same ids: the first without, the second with ``share`` of the texts (of a
        single text: of its windows).

        Raises:
            UserError: there is nothing to split.
        """
        many = len(self.offsets) > 2
        units = len(self.offsets) - 1 if many else len(self)
        if units < 2:
            raise UserError(
                f"{self.source}: 텍스트가 둘 이상이어야 학습용과 평가용으로 나눌 수 있는데 "
                f"{len(self.offsets) - 1}개입니다.")
        held_out = np.zeros(units, dtype=bool)
        held_out[np.random.default_rng(seed).permutation(units)[: max(round(units * share), 1)]] = True
        in_second = held_out[self.document] if many else held_out
        return self._part(~in_second), self._part(in_second)

    def _part(self, chosen: np.ndarray | slice) -> "TextDataset":
        part = object.__new__(TextDataset)
        part.__dict__.update(self.__dict__, document=self.document[chosen], start=self.start[chosen])
        return part


def load_text_datasets(args, tokenizer) -> tuple[TextDataset, TextDataset]:
    """The texts of ``args.dataset_path`` to learn, and those that are held out (``args.validation_split``). Prints how
    many tokens they take.

    Raises:
        UserError: as :func:`read_texts` and :meth:`TextDataset.split` do.
    """
    examples = read_texts(args.dataset_path, args.text_column, args.label_column)
    dataset = TextDataset(args.training(), tokenizer, examples, args.dataset_path)
    longest = max(dataset.controls, key=dataset.controls.get, default="")
    if dataset.controls.get(longest, 0) >= args.block_size - 1:  # a token of the text and its eos have to follow it
        raise UserError(
            f"label_column: 제어 단어는 block_size({args.block_size})보다 두 토큰 이상 짧아야 하는데 "
            f"{longest[:30]!r} 값이 {dataset.controls[longest]}토큰입니다. "
            "block_size를 늘리거나 다른 열을 고르세요.")
    share = DEBUG_ROWS["test"] / sum(DEBUG_ROWS.values()) if args.debug else args.validation_split
    train, validation = dataset.split(share, args.seed)
    if args.debug:
        train, validation = train._part(slice(DEBUG_ROWS["train"])), validation._part(slice(DEBUG_ROWS["test"]))
    characters = max(int(dataset.characters.sum()), 1)
    rate = (len(dataset.ids) - int(dataset.control_tokens.sum())) / characters
    print(f"텍스트 {len(dataset.offsets) - 1:,}개, 토큰 {len(dataset.ids):,}개, 글자당 토큰 {rate:.2f}개: "
          f"블록 {len(train):,}개로 학습하고 {len(validation):,}개로 평가합니다.")
    if rate > 1:
        print(f"이 토크나이저는 한글을 바이트로 쪼개어 글자당 토큰 {rate:.2f}개를 씁니다. "
              "한국어 토크나이저(--model_type kogpt-mini로 비교해 보세요)보다 느리고, "
              "같은 토큰 수에 담기는 텍스트가 짧습니다.")
    return train, validation
