"""Models and tokenizers by name, fine-tuned ones from their checkpoint, and what can be wrong with either."""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..devices import resolve_device
from ..errors import UserError
from ..pretrained import (
    ADAPTER_CONFIG,
    add_rows,
    add_to_tokenizer,
    check_length,
    load_config,
    load_generation_config,
    load_model,
    load_tokenizer,
    load_weights,
    new_model,
    use_special_tokens,
)
from ..run_folder import MODEL_PREFIX, RunFolder
from ..training.adapters import ADAPTER, add_adapter, load_adapter_folder, merge
from .arguments import GenerationDeployArguments, GenerationInferArguments
from .chat import use_format

# Buffers that GPT-2 had in transformers 4 and that ratsnlp 1.0.53's checkpoints hold;
# today's GPT-2 makes them on the way.
_OLD_BUFFERS = re.compile(r"transformer\.h\.\d+\.attn\.(bias|masked_bias)$")

_BROKEN = "체크포인트가 아니거나, 잘렸거나 깨졌습니다. 다른 체크포인트를 지정하거나 다시 학습하세요."


def load_model_and_tokenizer(args):
    """``(model, tokenizer)`` of ``args.model_type`` on ``args.device``, with ``args.special_tokens`` added
    where they are not known yet.

    Prints the device, the sizes before and after (:func:`~ratsnlp.nlpbook.pretrained.add_rows`), and the number of
    parameters.

    Raises:
        UserError: as :func:`load_tokenizer` and :func:`load_model` do.
    """
    check_length(load_config(args.model_type), args.block_size, "block_size")
    tokenizer = load_tokenizer(args.model_type)
    if args.special_tokens:
        add_to_tokenizer(tokenizer, args.special_tokens)
    new_tokens = [*args.special_tokens, *(use_format(tokenizer, args.format) if args.has_conversations else [])]
    model = load_to_train(args, args.model_type, tokenizer, new_tokens)
    model = model.to(resolve_device(args.device))
    every = sum(parameter.numel() for parameter in model.parameters())
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"모델: {args.model_type}, 장치: {model.device}, 매개변수: {every:,}개(그중 학습 {trainable:,}개)")
    return model, tokenizer


def load_to_train(args, name: str, tokenizer, new_tokens: list[str]):
    """The model of this ``name``, with a row of the embedding for each of the tokenizer's ``new_tokens``, and an
    adapter where ``args`` ask for one. (For ``args.qlora`` it is read in the dtype of its file, half as large.)

    Raises:
        UserError: as :func:`load_model` and :func:`add_adapter` do.
    """
    model = load_weights(name, "auto" if args.qlora else "float32")
    if new_tokens:
        add_rows(model, tokenizer)
    use_special_tokens(model, tokenizer)
    add_adapter(model, tokenizer, args, new_tokens=new_tokens)
    return model


def load_checkpoint(fpath: str | Path, model) -> dict[str, torch.Tensor]:
    """The ``state_dict`` of a Lightning checkpoint, its names prefixed ``model.`` as in the file,
    checked to fit ``model``. One that holds a LoRA gives that of its base with the LoRA merged in.

    ``weights_only=True``: a file that holds code is refused and nothing of it runs. The buffers of ratsnlp 1.0.53's
    checkpoints that today's GPT-2 has no place for are passed over; everything else has to fit.

    Raises:
        UserError: not a whole checkpoint, one that holds code, or one of another model, or of a LoRA whose base is not
            there or is another one.
    """
    try:
        checkpoint = torch.load(fpath, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "global" in str(error):
            raise UserError(
                f"{fpath}: 가중치 외에 코드도 든 체크포인트라 열지 않았습니다. "
                "train_gen-N.py로 만든 것을 쓰세요.") from error
        raise UserError(f"{fpath}: {_BROKEN}") from error
    except (RuntimeError, EOFError, OSError) as error:
        raise UserError(f"{fpath}: {_BROKEN}") from error
    state_dict = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state_dict, dict):
        raise UserError(f"{fpath}: state_dict가 없습니다. train_gen-N.py로 만든 체크포인트가 아닙니다.")
    if ADAPTER in checkpoint:
        state_dict = _merged(fpath, checkpoint[ADAPTER], state_dict)
    state_dict = {name: tensor for name, tensor in state_dict.items() if not _OLD_BUFFERS.search(name)}
    expected = {f"{MODEL_PREFIX}{name}": tensor.shape for name, tensor in model.state_dict().items()}
    wrong = sorted(state_dict.keys() ^ expected.keys())
    wrong += [name for name, shape in expected.items() if name in state_dict and state_dict[name].shape != shape]
    if wrong:
        places = f"{wrong[0]} 등 {len(wrong)}곳이 맞지 않음"
        raise UserError(f"{fpath}: 다른 모델의 체크포인트입니다({places}). --pretrained_model_name을 확인하세요.")
    return state_dict


def _merged(fpath: str | Path, told: dict, state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a checkpoint that holds the ``state_dict`` of an adapter would hold of the whole model, learnt as it is."""
    folder = Path(fpath).parent
    tokens = len(load_tokenizer(str(folder))) if (folder / "tokenizer.json").is_file() else told["base"]["tokens"]
    if tokens != told["base"]["tokens"]:
        raise UserError(f"{fpath}: 토큰이 {told['base']['tokens']:,}개인 토크나이저로 학습한 어댑터인데 {folder}의 "
                        f"토크나이저에는 {tokens:,}개가 있습니다. 학습할 때의 토크나이저가 있어야 합니다.")
    weights = {name.removeprefix(MODEL_PREFIX): tensor for name, tensor in state_dict.items()}
    merged = merge(told, weights, fpath).state_dict()
    return {MODEL_PREFIX + name: tensor for name, tensor in merged.items()}


def load_pretrained(name: str, eos_token: str | None = None):
    """``(model, tokenizer)`` of a hub name, a folder, or ``kogpt-mini``, ready to generate; of a folder with a LoRA,
    its base with the LoRA merged in."""
    tokenizer = load_tokenizer(name, eos_token)
    if (Path(name) / ADAPTER_CONFIG).is_file():
        return use_special_tokens(load_adapter_folder(Path(name)), tokenizer).eval(), tokenizer
    return load_model(name, tokenizer).eval(), tokenizer


def load_finetuned(folder: str | Path, pretrained_model_name: str | None = None):
    """``(model, tokenizer)`` of the best checkpoint in ``folder``, ready to generate.

    ``pretrained_model_name`` is needed only where config and tokenizer are not in the folder.
    """
    args = GenerationDeployArguments(pretrained_model_name=pretrained_model_name, downstream_model_dir=str(folder))
    tokenizer = load_tokenizer(args.model_name_or_dir)
    model = new_model(load_config(args.model_name_or_dir))
    model.generation_config = load_generation_config(args.model_name_or_dir) or model.generation_config
    checkpoint = load_checkpoint(args.downstream_model_checkpoint_fpath, model)
    model.load_state_dict({name.removeprefix(MODEL_PREFIX): tensor for name, tensor in checkpoint.items()})
    return use_special_tokens(model, tokenizer).eval(), tokenizer


def load_for_inference(args: GenerationInferArguments, eos_token: str | None = None):
    """``(model, tokenizer)``: the fine-tuned one if ``args`` names its folder, else the pretrained one;
    on ``args.device``, or where that is not among them, on the GPU where there is one."""
    if args.downstream_model_dir is not None:
        model, tokenizer = load_finetuned(args.downstream_model_dir, args.pretrained_model_name)
    else:
        model, tokenizer = load_pretrained(args.pretrained_model_name, eos_token)
    if model.config.is_encoder_decoder:
        raise UserError(f"pretrained_model_name: 인코더가 있는 모델({model.config.model_type})은 문장을 이어 쓰지 "
                        "않습니다. 요약이라면 infer_sum-N.py를 쓰세요.")
    return model.to(resolve_device(getattr(args, "device", "auto"))), tokenizer


def load_by_name(name: str, device: str = "auto"):
    """``(model, tokenizer)`` of a run's folder, by its best checkpoint, else of a model's folder or hub name;
    on ``device``."""
    if RunFolder(Path(name).expanduser()).checkpoints():
        model, tokenizer = load_finetuned(Path(name).expanduser())
    else:
        model, tokenizer = load_pretrained(name)
    return model.to(resolve_device(device)), tokenizer


@contextmanager
def seeded(model: torch.nn.Module, seed: int) -> Iterator[None]:
    """While it lasts, random numbers on the CPU and on the model's device begin at ``seed``; then they go on as they
    would have."""
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def in_eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Without dropout while it lasts; then each part is in the mode in which it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
