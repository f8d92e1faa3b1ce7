"""Engines that write faster than transformers: CTranslate2, where its arguments mean the same."""

import json
import logging
import re
import tempfile
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import torch

from ..errors import UserError
from ..files import check_writable, whole_folder, write_json
from ..paths import BUNDLED_MODELS, OUTPUT
from ..training.fingerprints import weights_sha256
from .options import HIDDEN_TOP_K, SAMPLING, DecodingOptions

COMPUTE_TYPES = ("float32", "int8")
_FOLDER = "ctranslate2"  # beside the model
_OWN = re.compile(r"model\.bin|config\.json|vocabulary\.(json|txt)|weights\.json")

# Why a knob cannot be used, where transformers gives it another meaning or CTranslate2 has none.
_PROMPT = "CTranslate2는 프롬프트에 나온 토큰을 세지 않아 뜻이 다릅니다"
_REFUSED = {
    "repetition_penalty": (1.0, _PROMPT), "no_repeat_ngram_size": (0, _PROMPT),
    "num_beams": (1, "CTranslate2는 빔 서치를 끝내는 때가 달라 다른 텍스트가 됩니다"),
    "length_penalty": (None, "CTranslate2는 빔 서치를 끝내는 때가 달라 다른 텍스트가 됩니다"),
}
_KNOWN = {"do_sample", "temperature", "top_k", "top_p", "min_length", "max_length", "min_new_tokens", "max_new_tokens"}


class Ctranslate2:
    """``model`` in CTranslate2, which writes what transformers does under greedy search in float32, and sooner.

    It is converted into ``folder`` once, and again when the weights change. ``compute_type`` is ``float32`` or ``int8``
    (the matrices; a text may differ). Sampling starts from ``seed`` once in the life of the object: the library cannot
    be reseeded. With ``parallel``, calls from that many threads run at a time, each on one core; without it, a call
    runs on half of the cores.

    Raises:
        UserError: ctranslate2 is not installed, or it knows no such architecture.
    """

    def __init__(self, model, tokenizer, folder: Path, compute_type: str = "float32", seed: int | None = None,
                 parallel: int | None = None):
        try:
            import ctranslate2
        except ImportError as error:
            raise UserError(
                "engine: ctranslate2가 설치되어 있지 않습니다. "
                "python -m pip install -r requirements-ctranslate2.txt로 설치하세요.") from error
        self.tokenizer = tokenizer
        _check_own_settings(model)
        _convert(model, tokenizer, folder)
        if seed is not None:
            ctranslate2.set_random_seed(seed)  # counts for what is made after it alone
        # Half of the threads: with both of two cores, beside PyTorch's own, int8 was seven times slower than with one.
        threads = {"inter_threads": parallel, "intra_threads": 1} if parallel else {
            "intra_threads": max(1, torch.get_num_threads() // 2)}
        self.generator = ctranslate2.Generator(
            str(folder), device=model.device.type, compute_type=compute_type, **threads)

    @staticmethod
    def check(options: DecodingOptions) -> None:
        """Raises UserError where CTranslate2 has no such knob, or one that means something else."""
        for name, value in options.named().items():
            unnamed = DecodingOptions.specs([name])[0].metadata["unnamed"]
            off, reason = _REFUSED.get(name, (unnamed, "CTranslate2에 없는 방법입니다"))
            if name not in _KNOWN and value != off:
                raise UserError(f"{name}: {reason}. --engine transformers로 실행하세요.")

    def generate(self, prompts: list[list[int]], options: DecodingOptions) -> list[list[int]]:
        """The token ids that follow each of N prompts, up to and with eos if there is one. ``options`` counts new
        tokens (``max_new_tokens``, ``min_new_tokens``)."""
        self.check(options)
        sampling, written = _sampling(options), {}
        # In a batch of different lengths CTranslate2 takes the longer prompts' last tokens for new ones.
        for _, rows in groupby(sorted(range(len(prompts)), key=lambda row: len(prompts[row])),
                               key=lambda row: len(prompts[row])):
            rows = list(rows)
            results = self.generator.generate_batch(
                [self.tokenizer.convert_ids_to_tokens(prompts[row]) for row in rows],
                max_length=options.max_new_tokens, min_length=options.min_new_tokens or 0, return_end_token=True,
                include_prompt_in_result=False, **sampling)
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
            min_length=max(min_length - first, 0), return_end_token=True, include_prompt_in_result=False, callback=told,
            **_sampling(options))


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


def _check_own_settings(model) -> None:
    """Raises UserError where the model comes with decoding settings of its own, which only transformers would take."""
    own = model.generation_config.to_diff_dict()
    for name in ("do_sample", "repetition_penalty", "no_repeat_ngram_size", "num_beams", *SAMPLING):
        unnamed = False if name == "do_sample" else DecodingOptions.specs([name])[0].metadata["unnamed"]
        if own.get(name) not in (None, unnamed):
            raise UserError(
                f"engine: 이 모델의 generation_config.json에 {name}={own[name]} 설정이 있어 ctranslate2로는 다른 "
                "텍스트가 됩니다. --engine transformers로 실행하세요.")


def _convert(model, tokenizer, folder: Path) -> None:
    weights = {"sha256": weights_sha256(model)}
    record = folder / "weights.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == weights:
        return
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):
        """Converts a model that is already loaded; the path that it is given holds only the configuration."""

        def load_model(self, model_class, model_name_or_path, **_):
            return _as_it_was(model)

        def load_tokenizer(self, tokenizer_class, model_name_or_path, **_):
            tokens = tokenizer.get_vocab()
            rows = model.get_input_embeddings().num_embeddings
            return SimpleNamespace(
                get_vocab=lambda: tokens | {f"<extra_id_{row}>": row for row in range(len(tokens), rows)},
                bos_token=tokenizer.bos_token or tokenizer.eos_token, eos_token=tokenizer.eos_token,
                unk_token=tokenizer.unk_token or tokenizer.eos_token)

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


def _as_it_was(model):
    """``model`` with the attribute names that CTranslate2 4.8 reads and transformers 5 has dropped for GPT-NeoX."""
    if model.config.model_type != "gpt_neox":
        return model
    rope = model.config.rope_parameters
    if rope["rope_theta"] != 10_000 or rope["rope_type"] != "default":  # CTranslate2 would take these, and say nothing
        raise ValueError(f"rope_parameters={rope}")
    config = SimpleNamespace(**model.config.to_dict() | {"rotary_pct": rope["partial_rotary_factor"]})
    return SimpleNamespace(config=config, gpt_neox=model.gpt_neox, embed_out=model.lm_head)
