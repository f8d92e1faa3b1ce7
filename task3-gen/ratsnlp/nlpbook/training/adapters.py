"""LoRA: small matrices that learn beside the frozen ones of a base model: added, kept, and merged into it at the end.

Sources: Hu et al. (2021), "LoRA: Low-rank adaptation of large language models"; Dettmers et al. (2023), "QLoRA:
Efficient finetuning of quantized LLMs", section 3 (NF4 with double quantization).
"""

import json
import logging
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch

from ..devices import resolve_device
from ..errors import UserError
from ..files import whole_folder
from ..paths import BUNDLED_MODELS
from ..pretrained import ADAPTER_CONFIG, load_config, load_weights, save_tokenizer
from ..run_folder import MODEL_FILES, MODEL_PREFIX
from .precision import half_dtype, precision_of
from .shards import parts_like

ADAPTER = "adapter"  # under which a checkpoint tells of it
NAME = "default"  # peft's of the only adapter that a model has
WEIGHTS = "adapter_model.safetensors"
KEPT = ("r", "lora_alpha", "target_modules", "fan_in_fan_out", "trainable_token_indices", "task_type")
_PEFT_PREFIX = "base_model.model."  # before each name in peft's files
_SAMPLE = 1000  # values of each matrix that tell it from another


@dataclass(frozen=True)
class Base:
    """What tells the model that an adapter has learnt on from others: ``rows`` of its embedding, and a hash of values
    within its layers; and how many ``tokens`` the tokenizer has, with those that were added."""

    name: str
    sha256: str
    rows: int
    tokens: int

    @classmethod
    def of(cls, model, tokens: int) -> "Base":
        """Of a whole ``model`` in float32, before an adapter is in it; its embeddings may have changed.

        Raises:
            UserError: it was not read from a name or folder.
        """
        name = model.config.name_or_path
        if not name:
            raise UserError(
                "lora_r: 모델의 이름을 알 수 없어 LoRA만 저장할 수 없습니다. load_model로 읽은 모델을 쓰세요.")
        if Path(name).is_dir():
            bundled = {folder.resolve(): short for short, folder in BUNDLED_MODELS.items()}
            name = bundled.get(Path(name).resolve(), str(Path(name).resolve()))
        embeddings = {id(each.weight) for each in (model.get_input_embeddings(), model.get_output_embeddings())}
        digest = sha256()
        for parameter in model.parameters():
            if id(parameter) not in embeddings:
                values = parameter.detach().flatten()
                digest.update(str(tuple(parameter.shape)).encode())
                digest.update(values[:: max(len(values) // _SAMPLE, 1)].float().cpu().contiguous().numpy())
        return cls(name, digest.hexdigest(), load_config(name).get_text_config().vocab_size, tokens)


def add_adapter(model, tokenizer, args, words: Iterable[str] = (), new_tokens: Iterable[str] = ()) -> None:
    """Freeze ``model`` and put a LoRA of ``args.lora_r`` into it, where that is not 0; ``args.qlora`` keeps the frozen
    matrices in 4 bits.

    ``words`` that are one token have a row of the input embedding that learns too, and so have ``new_tokens``, with
    one of the output embedding.

    Raises:
        UserError: ``args.lora_target_modules`` names none of its layers, or what ``args.qlora`` needs is missing.
    """
    if not args.lora_r:
        return
    base = Base.of(model, len(tokenizer))
    encoded = [tokenizer.encode(word, add_special_tokens=False) for word in words]
    read = {ids[0] for ids in encoded if len(ids) == 1}
    written = set(tokenizer.convert_tokens_to_ids(list(new_tokens)))
    config = lora_config(model, args, read, written)
    if args.qlora:
        quantize(model, half_dtype(precision_of(args)) or torch.float32, resolve_device(args.device))
    inject(model, config)
    for parameter in model.parameters():
        if parameter.requires_grad or args.qlora and parameter.is_floating_point():
            parameter.data = parameter.data.float()  # beside 4 bits peft makes it what these compute in
    model.adapter_base = base


def _peft():
    """peft, without what it says about a property of transformers, and what bitsandbytes, which it imports where that
    is installed, says about kernels that a CPU could have."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing. is deprecated")
    import peft

    return peft


def lora_config(model, args, read: Iterable[int] = (), written: Iterable[int] = ()):
    """peft's ``LoraConfig`` of ``args`` for ``model``; the rows of the input embedding for the tokens ``read`` and
    ``written`` learn too, and those of the output embedding for the latter."""
    from transformers.pytorch_utils import Conv1D

    names = {id(module): name for name, module in model.named_modules()}
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    rows = {names[id(inputs)]: sorted({*read, *written})}
    if inputs.weight is not outputs.weight and written:  # else peft keeps the two in step
        if getattr(outputs, "bias", None) is not None:  # which peft's layer would leave out
            raise UserError(f"special_tokens: 출력층에 bias가 있는 모델({model.config.model_type})에는 LoRA와 함께 "
                            "추가할 수 없습니다. --lora_r 0으로 학습하세요.")
        rows[names[id(outputs)]] = sorted(written)
    return _peft().LoraConfig(
        r=args.lora_r, lora_alpha=args.lora_alpha or 2 * args.lora_r, lora_dropout=args.lora_dropout,
        target_modules="all-linear" if "all-linear" in args.lora_target_modules else list(args.lora_target_modules),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
        trainable_token_indices={name: ids for name, ids in rows.items() if ids} or None)


def inject(model, config):
    """Put the adapter of ``config`` into ``model``, which stays what it is; returns peft's tuner, which can merge it.

    Raises:
        UserError: none of the layers has such a name, or peft cannot adapt this kind of model.
    """
    layers = sorted({name.rpartition(".")[2] for name, module in model.named_modules() if getattr(
        getattr(module, "weight", None), "ndim", 0) == 2 and not isinstance(module, torch.nn.Embedding)})
    try:
        return _peft().LoraModel(model, config, NAME)
    except ValueError as error:
        raise UserError(
            f"lora_target_modules: {config.target_modules} 층에 LoRA를 넣을 수 없습니다. all-linear나 이 모델의 층 "
            f"이름이어야 합니다: {', '.join(layers)} ({str(error).partition(chr(10))[0][:200]})") from error


def quantize(model, compute_dtype: torch.dtype, device: str) -> None:
    """Keep the matrices inside the layers of ``model`` as NF4 with double quantization, which is computed on ``device``
    one by one (of 3 billion weights a CPU takes a minute or more); what they compute, they compute in
    ``compute_dtype``. They stay where they are.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    try:
        import bitsandbytes
    except ImportError as error:
        raise UserError("qlora: bitsandbytes가 설치되어 있지 않습니다. "
                        "python -m pip install -r requirements-qlora.txt로 설치하세요.") from error
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if layer is head or not isinstance(layer, (torch.nn.Linear, Conv1D)):
                continue
            weight = layer.weight.data.T.contiguous() if isinstance(layer, Conv1D) else layer.weight.data
            small = bitsandbytes.nn.Linear4bit(
                weight.shape[1], weight.shape[0], bias=layer.bias is not None, compute_dtype=compute_dtype,
                quant_type="nf4", device="meta")
            small.weight = bitsandbytes.nn.Params4bit(
                weight, requires_grad=False, quant_type="nf4", module=small).to(device).to(weight.device)
            small.bias = layer.bias
            small.support_avx512bf16_for_cpu = False  # else it repacks itself in a validation, and learns no more
            setattr(parent, name, small.train(layer.training))
    model.is_loaded_in_4bit = True  # so that peft knows its layers


def whole_bytes(model) -> int:
    """What ``model`` takes in float32, whatever it is kept in now; a byte of NF4 holds two weights."""
    return sum((8 if each.dtype == torch.uint8 else 4) * each.numel() for each in model.parameters())


def weights_of(model, state_dict: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """The weights of the adapter in ``model``, or in the ``state_dict`` of it, under peft's names."""
    return _peft().get_peft_model_state_dict(model, state_dict, save_embedding_layers=False)


def set_weights(model, weights: dict[str, torch.Tensor], source) -> None:
    """Give the adapter in ``model`` the ``weights`` that :func:`weights_of` gave of another.

    Raises:
        UserError: they are not of such an adapter (naming the ``source``).
    """
    there = weights_of(model)
    if {name: each.shape for name, each in there.items()} != {name: each.shape for name, each in weights.items()}:
        raise UserError(f"{source}: 다른 어댑터의 가중치입니다(LoRA를 넣은 층이나 r이 다릅니다).")
    _peft().set_peft_model_state_dict(model, parts_like(there, weights))


def unwrapped(embedding: torch.nn.Module) -> torch.nn.Module:
    """The frozen layer where peft has wrapped an ``embedding``, some rows of which learn."""
    return getattr(embedding, "original_module", embedding)


def has_adapter(model) -> bool:
    return hasattr(model, "adapter_base")


def check_added(model, args) -> None:
    """Raises UserError where ``args`` ask for an adapter and there is none in ``model``."""
    if args.lora_r and not has_adapter(model):
        raise UserError(f"lora_r: {args.lora_r}인데 모델에 LoRA가 없습니다. "
                        "먼저 add_adapter(model, tokenizer, args)를 호출하세요.")


def describe(model) -> dict:
    """What a checkpoint has to tell of the adapter in ``model`` besides its weights, in plain values."""
    config = model.peft_config[NAME]
    kept = {name: getattr(config, name) for name in KEPT}
    return {"base": asdict(model.adapter_base),
            "config": {**kept, "target_modules": sorted(config.target_modules)}}  # a set


def keep_adapter(checkpoint: dict, model) -> None:
    """Leave of ``model``, where there is an adapter in it, only that in a Lightning ``checkpoint``."""
    if has_adapter(model):
        whole = {name.removeprefix(MODEL_PREFIX): each for name, each in checkpoint["state_dict"].items()}
        checkpoint["state_dict"] = {MODEL_PREFIX + name: each for name, each in weights_of(model, whole).items()}
        checkpoint[ADAPTER] = describe(model)


def check_adapter(checkpoint: dict, model) -> None:
    """Raises UserError where a run would go on from ``checkpoint`` with an adapter of another base."""
    told = checkpoint[ADAPTER]["base"] if ADAPTER in checkpoint else None
    if has_adapter(model) and told != asdict(model.adapter_base):
        raise UserError(
            f"pretrained_model_name: 이 폴더의 LoRA를 학습하던 기반 모델과 {model.adapter_base.name}의 가중치나 어휘가 "
            "다릅니다. 그때의 모델로 하거나, 다른 폴더에서 새로 시작하세요.")


def load_adapter(model, state_dict: dict[str, torch.Tensor]) -> None:
    """Give the adapter in ``model`` the weights that :func:`keep_adapter` has kept."""
    set_weights(model, {name.removeprefix(MODEL_PREFIX): tensor for name, tensor in state_dict.items()}, "last.ckpt")


def merge(told: dict, weights: dict[str, torch.Tensor], source):
    """The base, read anew in float32, with an adapter merged in: what :func:`describe` has ``told`` of it and its
    ``weights``. (Merged into 4-bit weights, it would be rounded to what these can hold.)

    Raises:
        UserError: the base cannot be read, or is not the one that the adapter has learnt on (naming the ``source``).
    """
    base = Base(**told["base"])
    try:
        model = load_weights(base.name)
    except UserError as error:
        raise UserError(
            f"{source}: LoRA만 든 체크포인트라 기반 모델이 있어야 합니다. {error} 학습이 끝난 폴더라면 그 안의 "
            "huggingface는 합쳐 둔 모델이라 기반 모델 없이도 쓸 수 있습니다.") from error
    found = Base.of(model, base.tokens)
    if found.rows != base.rows:
        raise UserError(f"{source}: 어휘가 {base.rows:,}개인 기반 모델에서 학습한 LoRA인데 {base.name}의 어휘는 "
                        f"{found.rows:,}개입니다. 학습할 때의 기반 모델이 그 자리에 있어야 합니다.")
    if found.sha256 != base.sha256:
        raise UserError(f"{source}: {base.name}의 가중치가 이 LoRA를 학습할 때와 다릅니다. "
                        "학습할 때의 기반 모델이 그 자리에 있어야 합니다.")
    if base.tokens > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(base.tokens)
    tuner = inject(model, _peft().LoraConfig(**told["config"]))
    set_weights(model, weights, source)
    return tuner.merge_and_unload().requires_grad_(True)


def save_adapter(folder: Path, told: dict, weights: dict[str, torch.Tensor], tokenizer) -> None:
    """Write an adapter as peft, and what knows its format, reads it; whole or not at all, with the tokenizer beside."""
    from safetensors.torch import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder, MODEL_FILES) as unfinished:
        config = _peft().LoraConfig(
            **told["config"], base_model_name_or_path=told["base"]["name"], inference_mode=True)
        config.save_pretrained(unfinished)
        save_file({_PEFT_PREFIX + name: tensor.contiguous() for name, tensor in weights.items()}, unfinished / WEIGHTS,
                  metadata={"format": "pt", **{name: str(value) for name, value in told["base"].items()}})
        save_tokenizer(tokenizer, unfinished)


def load_adapter_folder(folder: Path):
    """The base of an adapter with the adapter merged in, of a ``folder`` that :func:`save_adapter` wrote.

    Raises:
        UserError: the folder is not whole or was written by something else, or the base is not there or another one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            told = file.metadata() or {}
            weights = {name.removeprefix(_PEFT_PREFIX): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder} 폴더의 LoRA를 읽을 수 없습니다: {str(error).partition(chr(10))[0]}") from error
    if not {"name", "sha256", "rows", "tokens"} <= told.keys():
        raise UserError(f"{folder}: 어느 기반 모델의 LoRA인지 확인할 수 없습니다. "
                        "peft의 merge_and_unload로 합쳐 저장한 폴더를 쓰세요.")
    base = {"name": told["name"], "sha256": told["sha256"], "rows": int(told["rows"]), "tokens": int(told["tokens"])}
    return merge({"base": base, "config": {name: config[name] for name in KEPT}}, weights, folder)
