"""Models, configurations and tokenizers by name: from the bundled folder, the local cache, a folder, or the hub.

transformers is imported by the functions that need it: a script's ``--help`` does not wait for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from .errors import UserError
from .files import write_json
from .paths import BUNDLED_MODELS

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

ADAPTER_CONFIG = "adapter_config.json"  # peft's name of the file that makes a folder a LoRA's
# what models end a text with: KoGPT2 and Trinity; Polyglot-Ko and English GPT-2s; Kakao's KoGPT
EOS_TOKENS = ("</s>", "<|endoftext|>", "[EOS]")
HIDDEN_TOP_K = 50  # what transformers samples with where nobody names a top-k; other engines do not cut


@contextmanager
def without_bars() -> Iterator[None]:
    """While it lasts, transformers shows no bars of its own (``Loading weights``); those of a download stay."""
    from transformers.utils import logging

    set_hook = getattr(logging, "set_tqdm_hook", lambda hook: None)  # the first versions 5 have none
    before = set_hook(lambda bar, args, options: bar(*args, **{**options, "disable": True}))
    try:
        yield
    finally:
        set_hook(before)


def _from_pretrained(loader, name: str, **options):
    """``loader.from_pretrained``: from the bundled folder or the local cache if it is there, else from the hub."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    source = str(BUNDLED_MODELS.get(name, name))
    try:
        with without_bars():
            return loader.from_pretrained(source, local_files_only=True, **options)
    except StrictDataclassError as error:
        raise UserError(
            f"모델 {name!r}: transformers가 이 설정(config.json)을 받지 않습니다: {error.__cause__}") from error
    except (OSError, ValueError, SafetensorError) as error:
        if Path(source).is_dir():
            raise UserError(
                f"{source} 폴더의 모델을 읽을 수 없습니다: {str(error).strip().partition(chr(10))[0]}") from error
    _ask_hub(name)
    try:
        with without_bars():
            return loader.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"모델 {name!r}: 내려받지 못했습니다: {str(error).strip().partition(chr(10))[0]}") from error


def _ask_hub(name: str) -> None:
    """One question whether the hub has the model; ``from_pretrained`` itself retries each of its files for
    minutes without a network.

    Raises:
        UserError: the hub is out of reach, or has no such model.
    """
    from huggingface_hub import constants, get_session
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import build_hf_headers

    advice = "인터넷 없이 해 보려면 --pretrained_model_name kogpt-mini를 쓰세요(요약이라면 kobart-mini)."
    try:
        url = f"{constants.ENDPOINT}/{quote(name)}/resolve/main/config.json"
        answer = get_session().head(url, headers=build_hf_headers(), timeout=10, follow_redirects=True)
    except (HTTPError, OfflineModeIsEnabled) as error:
        reason = "이 컴퓨터에 없고, 허깅페이스 허브에 연결할 수 없습니다"
        raise UserError(f"모델 {name!r}: {reason}. 이름과 인터넷 연결을 확인하세요. {advice}") from error
    if answer.status_code >= 400:
        raise UserError(
            f"모델 {name!r}: 허깅페이스 허브에 그런 이름이 없거나 공개되어 있지 않습니다({answer.status_code}). "
            f"{advice}")


def check_eos_token(tokenizer: PreTrainedTokenizerFast) -> None:
    """Raises UserError where the tokenizer's eos is no token of its own vocabulary.

    ``from_pretrained(..., eos_token="</s>")`` silently adds an unknown one as a new row,
    which the model has not learnt or has not at all.
    """
    if tokenizer.eos_token is None:
        raise UserError('토크나이저에 eos_token이 없습니다. from_pretrained(…, eos_token="</s>")처럼 지정하세요.')
    vocab, eos = tokenizer.get_vocab(), tokenizer.eos_token
    number = vocab.get(eos, len(tokenizer))
    # Llama's and Qwen's stand behind the vocabulary too, but not last, or in their chat template.
    template = str(tokenizer.chat_template)
    is_last = number >= len(tokenizer) - 1 and not (eos in vocab and (eos in template or "eos_token" in template))
    if number >= tokenizer.vocab_size and is_last:
        known = [token for token in EOS_TOKENS if vocab.get(token, tokenizer.vocab_size) < tokenizer.vocab_size]
        hint = f' 이 모델의 끝 토큰은 {known[0]}입니다: eos_token="{known[0]}"' if known else ""
        raise UserError(f"eos_token: {tokenizer.eos_token!r} 토큰은 이 토크나이저의 어휘에 없습니다.{hint}")


def load_tokenizer(name: str, eos_token: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a hub name, a folder, or ``kogpt-mini``.

    ``PreTrainedTokenizerFast`` on purpose: ``AutoTokenizer`` rebuilds KoGPT2's as another kind that encodes to nothing.
    Without ``eos_token`` it keeps the one that it declares; KoGPT2's family declares none and has ``</s>``, OpenAI's
    GPT-2 neither and has ``<|endoftext|>``.

    Raises:
        UserError: no such model, the hub is out of reach, or ``eos_token`` is not in the vocabulary.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = _from_pretrained(PreTrainedTokenizerFast, name)
    if eos_token or tokenizer.eos_token is None:
        known = [token for token in EOS_TOKENS if token in tokenizer.get_vocab()]
        tokenizer.eos_token = eos_token or (known or EOS_TOKENS)[0]
    check_eos_token(tokenizer)
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: str | Path) -> None:
    """``save_pretrained``, naming the class under which programs that use ``AutoTokenizer`` load it right."""
    config_file = Path(tokenizer.save_pretrained(folder)[0])
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    for name in ("is_local", "local_files_only"):  # how it was read here, which transformers writes down as well
        config.pop(name, None)
    config_file.write_text(json.dumps(config, ensure_ascii=False, indent=2), encoding="utf-8")


def name_for_engines(folder: Path) -> None:
    """Name in the files that ``save_pretrained`` has written to ``folder`` what transformers takes for granted and
    other engines do not: what a GPT-2 is not (vLLM's wants each said), its length under the name that llama.cpp reads,
    and the top-k to sample with. Weights may be read by whoever may read the configuration."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] == "gpt2":
        flags = ("add_cross_attention", "reorder_and_upcast_attn", "scale_attn_by_inverse_layer_idx")
        write_json(folder / "config.json", {"n_ctx": config["n_positions"], **dict.fromkeys(flags, False), **config})
    file = folder / "generation_config.json"
    if file.is_file():
        write_json(file, {"top_k": HIDDEN_TOP_K, **json.loads(file.read_text(encoding="utf-8"))})
    for weights in folder.glob("*.safetensors"):  # which are written for their owner alone
        shutil.copymode(folder / "config.json", weights)


def load_config(name: str) -> PretrainedConfig:
    """The model configuration of a hub name, a folder, or ``kogpt-mini``. Raises UserError
    as :func:`load_tokenizer` does."""
    from transformers import AutoConfig

    return _from_pretrained(AutoConfig, name)


def max_positions(config: PretrainedConfig) -> int | None:
    """How many positions a model of this configuration has been made for; None where it
    tells of none (Bloom, Mamba)."""
    names = ("max_position_embeddings", "max_seq_len", "seq_length")  # MPT's and old Bloom's own words for it
    return next((found for name in names if (found := getattr(config, name, None))), None)


def check_length(config: PretrainedConfig, length: int, name: str) -> None:
    """Raises UserError where the field ``name`` asks for more tokens than a model
    of this configuration has positions."""
    positions = max_positions(config)
    if positions is not None and length > positions:
        raise UserError(
            f"{name}: 이 모델의 최대 길이는 {positions}토큰이라 {positions} 이하여야 하는데 {length}입니다.")


def load_model(name: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """The language model in float32 (Polyglot-Ko's file holds float16, which cannot be trained), causal or, as its
    configuration has it, of encoder and decoder; with the tokenizer's eos.

    Raises:
        UserError: no such model, the hub is out of reach, or the tokenizer has more tokens than the model has rows.
    """
    return use_special_tokens(load_weights(name), tokenizer)


def load_weights(name: str, dtype: str = "float32") -> PreTrainedModel:
    """:func:`load_model` with the special tokens as they are published, in the ``dtype`` that torch calls so; ``auto``
    is that of the file. A folder with a LoRA alone is refused:
    transformers would put it into its base, unmerged, and tell nobody."""
    if (Path(name) / ADAPTER_CONFIG).is_file():
        raise UserError(f"모델 {name!r}: LoRA만 든 폴더입니다. 기반 모델에 합쳐 둔 huggingface 폴더를 쓰세요.")
    return _from_pretrained(model_class(load_config(name)), name, dtype=dtype)


def model_class(config: PretrainedConfig):
    """The Auto class of a model of this configuration. (``AutoModelForCausalLM`` would read the decoder alone of one
    that has an encoder too, and leave the rest out without a word.)"""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def new_model(config: PretrainedConfig, **more) -> PreTrainedModel:
    """A model of this configuration in float32 with random weights."""
    import torch

    return model_class(config).from_config(config, dtype=torch.float32, **more)


def load_generation_config(name: str) -> GenerationConfig | None:
    """How the model of a hub name or folder is said to write; None where it comes with no such file."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(BUNDLED_MODELS.get(name, name), local_files_only=True)
    except OSError:
        return None


def add_to_tokenizer(tokenizer: PreTrainedTokenizerFast, tokens: Iterable[str], special: bool = True) -> None:
    """Add to the tokenizer those ``tokens`` that it does not know, and print how many it had and has. What is not
    ``special`` stays in texts that are decoded without special tokens."""
    from tokenizers import AddedToken

    before, tokens = len(tokenizer), list(tokens)
    added = tokenizer.add_tokens([AddedToken(token, normalized=False, special=special) for token in tokens],
                                 special_tokens=special)
    if tokens:
        print(f"특수 토큰 {len(tokens)}개 가운데 {added}개를 추가했습니다: 토큰 {before:,} → {len(tokenizer):,}개")


def add_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give ``model`` a row of the embedding for each token, where it has fewer, and print the sizes before and after.

    New rows are drawn around the mean of the old ones (Hewitt, 2021, "Initializing new word embeddings for pretrained
    language models"); rows that a model has to spare are used first.
    """
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer))
    print(f"임베딩: {rows:,} → {model.get_input_embeddings().num_embeddings:,}행")


def use_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Give ``model`` the tokenizer's special tokens, which are right where the published configuration is
    not (Trinity's eos is 8).

    Raises:
        UserError: the tokenizer has more tokens than the model has rows.
    """
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise UserError(
            f"토크나이저의 토큰은 {len(tokenizer):,}개인데 모델의 임베딩은 {rows:,}행입니다. "
            "서로 다른 모델에서 온 것입니다.")
    pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    several = model.generation_config.eos_token_id  # a chat model's: the end of an answer, and that of a text
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, pad_token_id
    if isinstance(several, list) and tokenizer.eos_token_id in several:
        model.generation_config.eos_token_id = several
    return model


def check_architecture(model: PreTrainedModel) -> None:
    """Raises UserError where a class has read another architecture's file: ``GPT2LMHeadModel.from_pretrained`` of
    Polyglot-Ko, a GPT-NeoX, does not fail and leaves random weights."""
    import transformers

    named = (model.config.architectures or [""])[0]
    config_class = getattr(getattr(transformers, named, None), "config_class", None)
    if config_class is not None and not isinstance(model.config, config_class):
        raise UserError(
            f"모델: {model.config.name_or_path}의 가중치는 {named}의 것인데 {type(model).__name__} 클래스로 읽어 "
            "무작위 가중치가 되었습니다. load_model로 읽으세요.")
