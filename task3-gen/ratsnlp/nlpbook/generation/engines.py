"""Engines that write faster than transformers: CTranslate2, where its arguments mean the same."""

import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterable
from copy import copy
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import torch

from ..errors import UserError
from ..files import check_writable, whole_folder, write_json
from ..paths import BUNDLED_MODELS, OUTPUT
from ..training.fingerprints import weights_sha256
from .chat import ends_of
from .options import HIDDEN_TOP_K, SAMPLING, DecodingOptions

COMPUTE_TYPES = ("float32", "int8")
_FOLDER = "ctranslate2"  # beside the model
_OWN = re.compile(r"model\.bin|config\.json|(shared_)?vocabulary\.(json|txt)|weights\.json")

# Why a knob cannot be used, where transformers gives it another meaning or CTranslate2 has none.
_PROMPT = "CTranslate2는 프롬프트에 나온 토큰을 세지 않아 뜻이 다릅니다"
_REFUSED = {
    "repetition_penalty": (1.0, _PROMPT), "no_repeat_ngram_size": (0, _PROMPT),
    "num_beams": (1, "CTranslate2는 빔 서치를 끝내는 때가 달라 다른 텍스트가 됩니다"),
    "length_penalty": (None, "CTranslate2는 빔 서치를 끝내는 때가 달라 다른 텍스트가 됩니다"),
}
_KNOWN = {"do_sample", "temperature", "top_k", "top_p", "min_length", "max_length", "min_new_tokens", "max_new_tokens"}
_NONE = "CTranslate2에 없는 방법입니다"

# The same for encoder-decoders: transformers counts what the decoder begins with (eos, in BART) among the tokens
# written. In a beam search it forbids and penalizes log-probabilities, CTranslate2 the logits under them.
_START = "CTranslate2는 디코더의 시작 토큰을 세지 않아 뜻이 다릅니다"
_BEAMS = "빔 서치에서 CTranslate2는 금지한 토큰을 빼고 확률을 다시 계산해 다른 텍스트가 됩니다"

# What a model's own settings can ask of an encoder-decoder besides, and its value where that changes nothing.
_OWN_OF_ENCODERS = {
    "length_penalty": 1.0, "min_length": 0, "min_new_tokens": 0, "forced_bos_token_id": None, "bad_words_ids": None,
    "suppress_tokens": None, "begin_suppress_tokens": None, "sequence_bias": None, "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0, "exponential_decay_length_penalty": None, "renormalize_logits": False}


class Ctranslate2:
    """``model`` in CTranslate2, which writes what transformers does under greedy search in float32, and sooner.

    It is converted into ``folder`` once, and again when the weights change. ``compute_type`` is ``float32`` or ``int8``
    (the matrices; a text may differ). Sampling starts from ``seed`` once in the life of the object: the library cannot
    be reseeded. With ``parallel``, calls from that many threads run at a time, each on one core; without it, a call
    runs on half of the cores.

    A model's own decoding settings are refused, but for those of the names that every call names (``always_named``).

    Raises:
        UserError: ctranslate2 is not installed, or it knows no such architecture.
    """

    kind = "Generator"  # ctranslate2's class

    def __init__(self, model, tokenizer, folder: Path, compute_type: str = "float32", seed: int | None = None,
                 parallel: int | None = None, always_named: Iterable[str] = ()):
        try:
            import ctranslate2
        except ImportError as error:
            raise UserError(
                "engine: ctranslate2가 설치되어 있지 않습니다. "
                "python -m pip install -r requirements-ctranslate2.txt로 설치하세요.") from error
        self.tokenizer, self.ids, self.ends = tokenizer, _vocabulary(model, tokenizer), ends_of(model, tokenizer)
        _check_own_settings(model, always_named)
        _convert(model, tokenizer, folder)
        if seed is not None:
            ctranslate2.set_random_seed(seed)  # counts for what is made after it alone
        # Half of the threads: with both of two cores, beside PyTorch's own, int8 was seven times slower than with one.
        threads = {"inter_threads": parallel, "intra_threads": 1} if parallel else {
            "intra_threads": max(1, torch.get_num_threads() // 2)}
        self.generator = getattr(ctranslate2, self.kind)(
            str(folder), device=model.device.type, compute_type=compute_type, **threads)

    @staticmethod
    def check(options: DecodingOptions, early_stopping: bool | str | None = None) -> None:
        """Raises UserError where CTranslate2 has no such knob, or one that means something else. ``early_stopping``
        is as transformers takes it (None: false)."""
        for name, value in options.named().items():
            unnamed = DecodingOptions.specs([name])[0].metadata["unnamed"]
            off, reason = _REFUSED.get(name, (unnamed, _NONE))
            if name not in _KNOWN and value != off:
                raise UserError(f"{name}: {reason}. --engine transformers로 실행하세요.")

    def generate(self, prompts: list[list[int]], options: DecodingOptions, best: int = 1,
                 early_stopping: bool | str | None = None) -> list[list[int]]:
        """The token ids that follow each of N prompts, up to and with eos if there is one. ``options`` counts new
        tokens (``max_new_tokens``, ``min_new_tokens``). The others are a beam search's: see :class:`Translator`."""
        self.check(options)
        sampling, written = _sampling(options), {}
        # In a batch of different lengths CTranslate2 takes the longer prompts' last tokens for new ones.
        for _, rows in groupby(sorted(range(len(prompts)), key=lambda row: len(prompts[row])),
                               key=lambda row: len(prompts[row])):
            rows = list(rows)
            results = self.generator.generate_batch(
                [self.tokenizer.convert_ids_to_tokens(prompts[row]) for row in rows],
                max_length=options.max_new_tokens, min_length=options.min_new_tokens or 0, return_end_token=True,
                end_token=self.ends, include_prompt_in_result=False, **sampling)
            written |= {row: result.sequences_ids[0] for row, result in zip(rows, results, strict=True)}
        return [written[row] for row in range(len(prompts))]

    def continue_batch(self, prompts: list[list[int]], options: DecodingOptions, min_length: int, max_length: int,
                       put: Callable[[int, int], bool]) -> None:
        """Continue N prompts of any lengths side by side. ``put(row, token id)`` is given each new token, eos too, and
        ends its row where it returns True. The lengths count the prompt's tokens. (CTranslate2 begins
        behind the shortest prompt; the rest of the others comes back as if it were new, and is passed over.)"""
        first = min(map(len, prompts))

        def told(result) -> bool:
            place = first + result.step
            return place >= len(prompts[result.batch_id]) and put(result.batch_id, result.token_id)

        self.generator.generate_batch(
            list(map(self.tokenizer.convert_ids_to_tokens, prompts)), max_length=max_length - first,
            min_length=max(min_length - first, 0), return_end_token=True, end_token=self.ends,
            include_prompt_in_result=False, callback=told, **_sampling(options))


class Translator(Ctranslate2):
    """The same for a model of encoder and decoder (BART, T5). It has a beam search too, which ends where that of
    transformers does with ``early_stopping=True``."""

    kind = "Translator"

    @staticmethod
    def check(options: DecodingOptions, early_stopping: bool | str | None = None) -> None:
        named, beams = options.named(), (options.num_beams or 1) > 1
        changes, reasons = {}, []  # the value with which each would mean the same, and why it does not
        for name, value in named.items():
            off = DecodingOptions.specs([name])[0].metadata["unnamed"]
            known = name in _KNOWN or name in ("num_beams", "length_penalty", "no_repeat_ngram_size")
            if not known and value != off:
                changes[name] = off
                reasons.append(_START if name == "repetition_penalty" else _NONE)
        ngram = named.get("no_repeat_ngram_size", 0)
        if ngram and (beams or ngram == 1):
            changes["no_repeat_ngram_size"] = 0
            reasons.append(_BEAMS if beams else _START)
        shortest = "min_length" if options.min_new_tokens is None else "min_new_tokens"
        if beams and named.get(shortest, 0) > (nothing := int(shortest == "min_length")):  # which counts the start
            changes[shortest] = nothing
            reasons.append(_BEAMS)
        if beams and early_stopping is not True:
            changes["early_stopping"] = "true"
            reasons.append("CTranslate2의 빔 서치는 빔의 수만큼 끝나면 멈추어 다른 텍스트가 됩니다")
        if beams and options.draws:
            changes["num_beams"] = 1
            reasons.append("CTranslate2에는 뽑는 빔 서치가 없습니다")
        if changes:
            flags = " ".join(f"--{name} {value}" for name, value in changes.items())
            raise UserError(f"{next(iter(changes))}: {reasons[0]}. --engine transformers로 실행하거나 다음처럼 "
                            f"바꾸세요: {flags}")

    def generate(self, prompts: list[list[int]], options: DecodingOptions, best: int = 1,
                 early_stopping: bool | str | None = None) -> list[list[int]]:
        """The token ids of the ``best`` texts for each of N inputs, up to and with eos if there is one; without what
        the decoder begins with."""
        self.check(options, early_stopping)
        beams = options.num_beams or 1
        # With a length penalty of 0 it would stop at the first text that ends, whatever ``best``.
        penalty = 1.0 if options.length_penalty is None else options.length_penalty or 1e-9
        results = self.generator.translate_batch(
            list(map(self.tokenizer.convert_ids_to_tokens, prompts)), beam_size=beams, num_hypotheses=best,
            length_penalty=penalty, no_repeat_ngram_size=options.no_repeat_ngram_size or 0, max_input_length=0,
            max_decoding_length=options.max_new_tokens, min_decoding_length=options.min_new_tokens or 0,
            return_end_token=True, **({} if beams > 1 else _sampling(options)))
        return [[self.ids[token] for token in tokens] for result in results for tokens in result.hypotheses]


def _sampling(options: DecodingOptions) -> dict:
    if not options.draws:
        return {"sampling_topk": 1}
    return {"sampling_topk": HIDDEN_TOP_K if options.top_k is None else options.top_k,
            "sampling_topp": options.top_p or 1.0, "sampling_temperature": options.temperature or 1.0}


def engine_folder(name: str) -> Path:
    """Where the converted model of this name is kept: in the model's own folder, and under ``output/`` for one of the
    hub or of this repository."""
    folder = Path(name).expanduser()
    if folder.is_dir() and folder.resolve() not in BUNDLED_MODELS.values():
        return folder / _FOLDER
    return OUTPUT / _FOLDER / (folder.name if folder.is_dir() else name.replace("/", "--"))


def _check_own_settings(model, always_named: Iterable[str]) -> None:
    """Raises UserError where the model comes with decoding settings of its own, which only transformers would take."""
    own = model.generation_config.to_diff_dict()
    specs = DecodingOptions.specs(["repetition_penalty", "no_repeat_ngram_size", "num_beams", *SAMPLING])
    off = {"do_sample": False, **{spec.name: spec.metadata["unnamed"] for spec in specs},
           **(_OWN_OF_ENCODERS if model.config.is_encoder_decoder else {})}
    for name, unnamed in off.items():
        if name not in always_named and own.get(name) not in (None, unnamed):
            raise UserError(
                f"engine: 이 모델의 generation_config.json에 {name}={own[name]} 설정이 있어 ctranslate2로는 다른 "
                "텍스트가 됩니다. --engine transformers로 실행하세요.")


def _convert(model, tokenizer, folder: Path) -> None:
    weights = {"sha256": weights_sha256(model)}
    if model.config.is_encoder_decoder:
        weights["decoder_start"] = _decoder_start(model)
    record = folder / "weights.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == weights:
        return
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):
        """Converts a model that is already loaded; the path that it is given holds only the configuration."""

        def load_model(self, model_class, model_name_or_path, **_):
            return _as_it_was(model)

        def load_tokenizer(self, tokenizer_class, model_name_or_path, **_):
            eos = tokenizer.eos_token
            return SimpleNamespace(
                get_vocab=lambda: _vocabulary(model, tokenizer), bos_token=tokenizer.bos_token or eos, eos_token=eos,
                pad_token=tokenizer.pad_token or eos, unk_token=tokenizer.unk_token or eos,
                convert_ids_to_tokens=tokenizer.convert_ids_to_tokens)

    logging.getLogger(__name__).warning("CTranslate2로 변환해 %s에 둡니다(가중치가 바뀔 때까지 한 번).", folder)
    check_writable(folder, "engine")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as configuration, whole_folder(folder, _OWN) as unfinished:
        model.config.save_pretrained(configuration)
        try:
            Converter(configuration).convert(str(unfinished), force=True)
        except (ValueError, AttributeError, NotImplementedError) as error:
            raise UserError(
                f"engine: CTranslate2가 모르는 모델입니다({model.config.model_type}: {error}). "
                "--engine transformers로 실행하세요.") from error
        write_json(unfinished / "weights.json", weights)


def _vocabulary(model, tokenizer) -> dict[str, int]:
    """The row of each token; those that the model has to spare are named too."""
    tokens = tokenizer.get_vocab()
    rows = model.get_input_embeddings().num_embeddings
    return tokens | {f"<extra_id_{row}>": row for row in range(len(tokens), rows)}


def _decoder_start(model) -> int:
    """The token id that ``model.generate`` lets the decoder begin with."""
    own = model.generation_config
    return own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id


def _as_it_was(model):
    """``model`` with the attribute names that CTranslate2 4.8 reads and transformers 5 has dropped or given another
    meaning, for GPT-NeoX, BART and T5; the model itself and its configuration stay as they are."""
    config = copy(model.config)
    if config.model_type == "gpt_neox":
        rope = config.rope_parameters
        if rope["rope_theta"] != 10_000 or rope["rope_type"] != "default":  # CTranslate2 would say nothing
            raise ValueError(f"rope_parameters={rope}")
        config.rotary_pct = rope["partial_rotary_factor"]
        return SimpleNamespace(config=config, gpt_neox=model.gpt_neox, embed_out=model.lm_head)
    if not config.is_encoder_decoder:
        return model
    config.decoder_start_token_id = _decoder_start(model)
    if config.model_type == "bart":
        config.normalize_before, config.normalize_embedding = False, True
        return SimpleNamespace(config=config, model=model.model, lm_head=model.lm_head,
                               final_logits_bias=model.final_logits_bias)
    if config.model_type in ("t5", "mt5"):
        # CTranslate2 scales what the decoder gives where these are tied; mT5 never does.
        config.tie_word_embeddings = getattr(config, "scale_decoder_outputs", False)
        return SimpleNamespace(config=config, encoder=model.encoder, decoder=model.decoder, lm_head=model.lm_head)
    raise ValueError("BART, T5가 아닙니다")
