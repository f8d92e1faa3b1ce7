"""Texts for many prompts: in batches, each prompt's text the one that it gets alone."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import fields, replace
from difflib import get_close_matches
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from ..argument_groups import MAX_SEED
from ..devices import check_device, resolve_device
from ..display import shows_bars
from ..errors import UserError
from ..files import whole_file
from ..pretrained import max_positions
from ..text_files import compose
from ..training.fingerprints import weights_sha256
from .chat import Message, chat_ids, ends_of, without_oldest
from .models import in_eval_mode, load_by_name, seeded
from .options import DecodingOptions
from .prompts import continuation, cut_to_sentence, prompt_ids, quiet_false_alarm, readable
from .replicas import Replicas, each, load_replicas
from .samples import Sample, batch_seed
from .settings import Setting
from .text_output import check_new

if TYPE_CHECKING:
    from pandas import DataFrame

    from .engines import Ctranslate2
    from .streamer import SyllableStreamer

logger = logging.getLogger("ratsnlp")

NEW_TOKENS = 50  # where no length is named
ANSWER_TOKENS = 256  # of an answer in a conversation
Batch = list[tuple[int, int, Sample]]  # number of the prompt, number of the text among the prompt's, the text


class Predictor:
    """Lets ``model`` write after prompts, on ``device`` where one is named.

    ``**generation`` are the fields of :class:`DecodingOptions`. A text is what the model wrote, without the prompt and
    with the space that parts it from that; ``with_prompt`` puts the prompt before it. ``whole_sentences`` leaves off
    the last sentence of a text that the model did not end by itself. The same ``seed`` gives the same texts, in batches
    of the same size, and leaves the global random state as it is; None draws from that. ``model`` may be
    :class:`~.replicas.Replicas`, which share the batches out: the texts are the same.

    Raises:
        UserError: an option that is not known, or a prompt that is empty or leaves no room (naming which).
    """

    always_named: ClassVar[tuple[str, ...]] = ()  # the options that every call has, whatever the model's own settings
    # what the columns of a table are called, where a call does not say
    prompts_called: ClassVar[str] = "prompt"
    texts_called: ClassVar[str] = "generated"
    rows_called: ClassVar[str] = "id"

    def __init__(self, model, tokenizer, device: str | None = None, engine: Ctranslate2 | None = None):
        if device is not None:
            check_device(device)
            model = model.to(resolve_device(device))
        self.model, self.tokenizer, self.engine = model, tokenizer, engine
        self.from_encoder = model.config.is_encoder_decoder  # what it writes does not hold the prompt
        self.pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.eos = ends_of(model, tokenizer)
        self.early_stopping = model.generation_config.early_stopping  # of a beam search

    @classmethod
    def from_pretrained(cls, name: str, device: str = "auto", engine: str = "transformers",
                        compute_type: str = "float32", seed: int | None = None, devices: int = 1) -> Predictor:
        """Of a run's folder, by its best checkpoint, of a model's folder, or of a hub name; with ``engine``
        ``ctranslate2`` as :class:`~.engines.Ctranslate2` takes the others. More than one of ``devices`` are
        :class:`~.replicas.Replicas`, which want a script to have its work under ``if __name__ == "__main__":``."""
        predictor = cls(*load_replicas(partial(load_by_name, name, device), device, devices, engine))
        if engine == "ctranslate2":
            from .engines import Ctranslate2, Translator, engine_folder

            predictor.engine = (Translator if predictor.from_encoder else Ctranslate2)(
                predictor.model, predictor.tokenizer, engine_folder(name), compute_type, seed,
                always_named=cls.always_named)
        return predictor

    def fingerprint(self) -> dict[str, str]:
        """What tells whether another predictor writes the same texts: its weights, and the kind of its device."""
        ((weights, kind),) = each(self.model, self.tokenizer, _fingerprint, [()])
        return {"weights": weights, "device": kind}

    def predict_single(self, prompt: str | list[int], *, with_prompt: bool = False, whole_sentences: bool = False,
                       seed: int | None = None, write: Callable[[str], None] | None = None, **generation) -> str:
        """What the model writes after ``prompt``, a text or token ids; as ``model.generate`` does after
        ``torch.manual_seed(seed)``.

        ``write`` is called with each part of the text as soon as no later token can change it.
        """
        options = self._options(generation, with_prompt)
        if write and (whole_sentences or options.penalty_alpha or (options.num_beams or 1) > 1):
            raise UserError("write: whole_sentences, penalty_alpha, num_beams와 함께 쓸 수 없습니다.")
        if write and self.engine:
            raise UserError("write: ctranslate2로는 쓸 수 없습니다. --engine transformers로 실행하세요.")
        if write and isinstance(self.model, Replicas):
            raise UserError(f"write: devices가 1이어야 하는데 {self.model.devices}입니다.")
        ids = self._encode(prompt, options)
        streamer = write and self._streamer(ids, write)
        ((sample,),) = self._written(seed, [(0, [prompt], [ids])], options, 1, whole_sentences, streamer)
        return sample.with_prompt if with_prompt else sample.text

    def predict_chat(self, messages: Sequence[Message], *, seed: int | None = None,
                     write: Callable[[str], None] | None = None, **generation) -> str:
        """The answer to ``messages``, without white space around it, as :meth:`predict_single` writes a text. Where no
        length is named, it has room for ``ANSWER_TOKENS``; the oldest questions and answers are left off where there
        would be none, which is logged.

        Raises:
            UserError: there is no chat template; or as :func:`~.chat.render` and :meth:`predict_single` do.
        """
        positions = max_positions(self.model.config) or math.inf
        ids, shown = chat_ids(self.tokenizer, messages), messages
        asked = generation.get("max_new_tokens") or min(ANSWER_TOKENS, positions // 4)
        while len(ids) + asked > positions and (shorter := without_oldest(shown)):
            ids, shown = chat_ids(self.tokenizer, shorter), shorter
        if shown is not messages:
            logger.warning("대화가 모델의 최대 길이(%d토큰)를 넘어, 앞의 메시지 %d개를 빼고 답합니다.", positions,
                           len(messages) - len(shown))
        if generation.get("max_length") is None and generation.get("max_new_tokens") is None:
            generation["max_new_tokens"] = max(min(ANSWER_TOKENS, positions - len(ids)), 1)
        return self.predict_single(ids, seed=seed, write=write, **generation).strip()

    def predict_batch(self, prompts: Sequence[str], batch_size: int = 32, show_progress: bool = True, *,
                      with_prompt: bool = False, whole_sentences: bool = False, seed: int | None = None,
                      **generation) -> list[str]:
        """What the model writes after each of ``prompts``, in their order; with a bar on standard error."""
        self._options(generation, with_prompt)
        texts = [""] * len(prompts)
        for batch in self.batches(prompts, batch_size, whole_sentences=whole_sentences, seed=seed,
                                  show_progress=show_progress, **generation):
            for number, _, sample in batch:
                texts[number] = sample.with_prompt if with_prompt else sample.text
        return texts

    def predict_dataframe(self, df: DataFrame, batch_size: int = 32, show_progress: bool = True, *,
                          prompt_column: str | None = None, column: str | None = None, **generation) -> DataFrame:
        """A copy of ``df`` with the texts for its ``prompt_column`` (``prompts_called``) in a new ``column``
        (``texts_called``)."""
        prompt_column, column = prompt_column or self.prompts_called, column or self.texts_called
        _check_columns(df, prompt_column=prompt_column)
        if column in df.columns:
            raise UserError(f"column: {column!r} 열이 이미 있습니다. column에 다른 이름을 쓰세요.")
        return df.assign(**{column: self.predict_batch(list(df[prompt_column]), batch_size, show_progress,
                                                       **generation)})

    def create_submission(self, test_df: DataFrame, output_path: str | Path, batch_size: int = 32,
                          show_progress: bool = True, *, prompt_column: str | None = None, column: str | None = None,
                          id_column: str | None = None, **generation) -> DataFrame:
        """:meth:`predict_dataframe`, of which ``id_column`` (``rows_called``) and ``column`` are written to a new CSV
        file, in UTF-8 as Excel knows it. Returns what was written."""
        prompt_column, column = prompt_column or self.prompts_called, column or self.texts_called
        id_column = id_column or self.rows_called
        _check_columns(test_df, prompt_column=prompt_column, id_column=id_column)
        file = Path(output_path).expanduser()
        check_new(file, "output_path")
        predicted = self.predict_dataframe(
            test_df, batch_size, show_progress, prompt_column=prompt_column, column=column, **generation)
        submission = predicted[[id_column, column]]
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as unfinished:
            submission.to_csv(unfinished, index=False, encoding="utf-8-sig")
        return submission

    def batches(self, prompts: Sequence[str], batch_size: int = 32, num_return_sequences: int = 1, *,
                whole_sentences: bool = False, seed: int | None = None, start: int = 0, show_progress: bool = True,
                **generation) -> Iterator[Batch]:
        """The texts in batches of prompts of about the same length, the longest first, from batch ``start`` on.

        Each batch has a seed of its own, so that one may go on where another call broke off. Several texts of a prompt
        (``num_return_sequences``) are drawn one by one, or are the best of a beam search.
        """
        from tqdm import tqdm

        options = self._options(generation)
        if isinstance(prompts, str):
            raise UserError("prompts: 프롬프트의 목록이어야 합니다. 하나라면 predict_single을 쓰세요.")
        prompts = list(prompts)
        if batch_size < 1:
            raise UserError(f"batch_size: 1 이상이어야 하는데 {batch_size}입니다.")
        encoded = [self._encode(prompt, options, number) for number, prompt in enumerate(prompts, start=1)]
        copies, best = (1, num_return_sequences) if (options.num_beams or 1) > 1 else (num_return_sequences, 1)
        jobs = [(number, copy) for number in range(len(prompts)) for copy in range(copies)]
        planned = self._plan(jobs, encoded, 1 if options.penalty_alpha else batch_size, options)
        with tqdm(total=len(jobs) * best, initial=sum(map(len, planned[:start])) * best, unit="개", desc="생성",
                  disable=not (show_progress and shows_bars(sys.stderr))) as bar:
            texts = ((number, [prompts[prompt] for prompt, _ in batch], [encoded[prompt] for prompt, _ in batch])
                     for number, batch in enumerate(planned[start:], start=start))
            for batch, samples in zip(
                    planned[start:], self._written(seed, texts, options, best, whole_sentences), strict=True):
                bar.update(len(samples))
                places = [(prompt, copy + place) for prompt, copy in batch for place in range(best)]
                yield [(*place, sample) for place, sample in zip(places, samples, strict=True)]

    def _options(self, generation: dict, with_prompt: bool = False) -> DecodingOptions:
        known = [spec.name for spec in fields(DecodingOptions)]
        for name in generation:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"혹시 {close[0]}인가요?" if close else f"쓸 수 있는 이름: {', '.join(known)}"
                raise UserError(f"{name}: 없는 옵션입니다. {hint}")
        if with_prompt and self.from_encoder:
            raise UserError("with_prompt: 인코더-디코더 모델이 쓰는 텍스트는 프롬프트에 이어지지 않습니다.")
        options = DecodingOptions(**generation)
        if self.engine:
            self.engine.check(options, self.early_stopping)
        return options

    def _encode(self, prompt, options: DecodingOptions, number: int | None = None) -> list[int]:
        place = "prompt" if number is None else f"prompts {number}번째"
        if not isinstance(prompt, (str, list)):
            raise UserError(f"{place}: 문자열이어야 하는데 {prompt!r}입니다.")
        try:
            new = None if self._counts_prompt(options) else options.max_new_tokens or self._new_tokens
            return prompt_ids(self.model.config, self.tokenizer, prompt, options.max_length, new)
        except UserError as error:
            raise error if number is None else UserError(f"{place}: {error}") from None

    @property
    def _new_tokens(self) -> int:
        return min(NEW_TOKENS, (max_positions(self.model.config) or NEW_TOKENS + 1) - 1)

    @staticmethod
    def _counts_prompt(options: DecodingOptions) -> bool:
        return options.max_new_tokens is None and options.max_length is not None

    def _plan(self, jobs: list[tuple[int, int]], encoded: list[list[int]], size: int,
              options: DecodingOptions) -> list[list[tuple[int, int]]]:
        """The batches. A knob that would see the padding (a length that counts the prompt, a ban on n-grams) needs
        prompts of equal length in a batch."""

        def length(job) -> int:
            return len(encoded[job[0]])

        sees_padding = not self.from_encoder and (
            self._counts_prompt(options) or options.min_new_tokens is None and options.min_length is not None
            or options.no_repeat_ngram_size == 1
            or options.no_repeat_ngram_size and any(self.pad in ids for ids in encoded))
        jobs = sorted(jobs, key=length, reverse=True)
        groups = [list(group) for _, group in groupby(jobs, key=length)] if sees_padding else [jobs]
        return [group[first : first + size] for group in groups for first in range(0, len(group), size)]

    def _counted(self, options: DecodingOptions, prompt_length: int) -> DecodingOptions:
        """``options`` with lengths that count the new tokens alone."""
        own = 1 if self.from_encoder else prompt_length
        most = options.max_length - own if self._counts_prompt(options) else options.max_new_tokens or self._new_tokens
        least = max((options.min_length or 0) - own, 0) if options.min_new_tokens is None else options.min_new_tokens
        return replace(options, min_length=None, max_length=None, max_new_tokens=most,
                       min_new_tokens=min(least, most) or None)

    def _written(self, seed: int | None, batches: Iterable[tuple[int, list, list[list[int]]]],
                 *how) -> Iterator[list[Sample]]:
        """The texts of each of ``batches``: its number, the prompts, and these encoded. ``how`` is what :meth:`_write`
        takes besides."""
        if not isinstance(self.model, Replicas):
            return (_write_batch(self.model, self.tokenizer, self, seed, *batch, *how) for batch in batches)
        if seed is None:  # the processes' own random states are all the same
            seed = int(torch.randint(MAX_SEED + 1, ()))
        bare = copy(self)
        bare.model = bare.tokenizer = None
        return self.model.map(_write_batch, ((bare, seed, *batch, *how) for batch in batches))

    @contextmanager
    def _random_state(self, seed: int | None, number: int) -> Iterator[None]:
        """While it lasts, what is drawn for batch ``number`` begins at ``seed``; the first one's as torch's own."""
        if seed is None:
            yield
            return
        if not 0 <= seed <= MAX_SEED:
            raise UserError(f"seed: 0 이상 {MAX_SEED} 이하여야 하는데 {seed}입니다.")
        with seeded(self.model, batch_seed(seed, number)):
            yield

    def _streamer(self, ids: list[int], write: Callable[[str], None]) -> SyllableStreamer:
        from .streamer import SyllableStreamer

        return SyllableStreamer(self.tokenizer, [] if self.from_encoder else ids, write)

    def _write(self, prompts: list[str], encoded: list[list[int]], options: DecodingOptions, best: int = 1,
               whole_sentences: bool = False, streamer: SyllableStreamer | None = None) -> list[Sample]:
        """``best`` texts for each prompt, one prompt after the other."""
        new = self._generate(encoded, self._counted(options, max(map(len, encoded))), best, streamer)
        ends = torch.isin(new, torch.tensor(self.eos))
        return [
            self._sample(prompts[row // best], encoded[row // best], ids[: end.index(True)] if any(end) else ids,
                         any(end), whole_sentences)
            for row, (ids, end) in enumerate(zip(new.tolist(), ends.tolist(), strict=True))]

    def _generate(self, encoded: list[list[int]], options: DecodingOptions, best: int,
                  streamer: SyllableStreamer | None) -> torch.Tensor:
        """The new token ids of ``best`` texts for each of N prompts: (N * ``best``, T)."""
        if self.engine:
            written = map(torch.tensor, self.engine.generate(encoded, options, best, self.early_stopping))
            return torch.nn.utils.rnn.pad_sequence(list(written), batch_first=True, padding_value=self.pad)
        quiet_false_alarm()
        width = max(map(len, encoded))
        padding = [[self.pad] * (width - len(ids)) for ids in encoded]
        rows = [pad + ids for pad, ids in zip(padding, encoded, strict=True)]
        mask = [[0] * len(pad) + [1] * len(ids) for pad, ids in zip(padding, encoded, strict=True)]
        if self.from_encoder:  # which counts its positions from the first token, padding or not
            rows = [ids + pad for pad, ids in zip(padding, encoded, strict=True)]
            mask = [row[::-1] for row in mask]
        with in_eval_mode(self.model):
            written = self.model.generate(
                input_ids=torch.tensor(rows, device=self.model.device),
                attention_mask=torch.tensor(mask, device=self.model.device), num_return_sequences=best,
                pad_token_id=self.pad, eos_token_id=self.eos, streamer=streamer, **self._arguments(options))
        return written[:, 1 if self.from_encoder else width :].cpu()

    def _arguments(self, options: DecodingOptions) -> dict:
        """``options`` as ``model.generate`` takes them."""
        arguments = Setting("", options).fit(self.model, self.tokenizer)
        if self.from_encoder:  # an eos that is forced upon the last place does not tell whether the text has ended
            arguments["forced_eos_token_id"] = None
        return arguments

    def _sample(self, prompt: str, before: list[int], new: list[int], ended: bool, whole_sentences: bool) -> Sample:
        if self.from_encoder:
            prompt, text = "", readable(self.tokenizer, new).strip()
        else:
            prompt = compose(prompt).rstrip() if isinstance(prompt, str) else readable(self.tokenizer, prompt)
            text = continuation(self.tokenizer, before + new, len(before))
        text = cut_to_sentence(text) if whole_sentences and not ended else text
        return Sample(text, ended, prompt + text)


def _write_batch(model, tokenizer, predictor: Predictor, seed: int | None, number: int, *what) -> list[Sample]:
    """Let ``predictor`` write batch ``number`` with ``model``, its own or the one of this process."""
    predictor.model, predictor.tokenizer = model, tokenizer
    with predictor._random_state(seed, number):
        return predictor._write(*what)


def _fingerprint(model, tokenizer) -> tuple[str, str]:
    return weights_sha256(model), model.device.type


def _check_columns(df: DataFrame, **columns: str) -> None:
    for option, name in columns.items():
        if name not in df.columns:
            raise UserError(f"{option}: {name!r} 열이 없습니다. 있는 것: {', '.join(map(str, df.columns))}")
