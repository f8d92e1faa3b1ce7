"""The memory that a training needs, told before it begins: by a step on tensors that have a shape and no values."""

import copy
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ..argument_groups import LORA_R
from ..pretrained import new_model
from .adapters import inject, lora_config
from .fast_layers import FastLayers
from .footprint import HalfBase
from .heap import KEPT, Heap
from .layers import blocks_of
from .optimizers import MuonAdamW, parameter_groups
from .precision import half_dtype

GB = 1e9
# NF4 of bitsandbytes: 4 bits, and for each block of 64 a scale of 8, and for each 256 of those one of 32.
BITS_PER_WEIGHT = 4 + 8 / 64 + 32 / (64 * 256)

Loss = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]  # of a model and input_ids (N, W): a scalar


def amount(size: float) -> str:
    """So many bytes, as people say it."""
    return f"{size / GB:.1f}GB" if size >= GB else f"{size / 1e6:.0f}MB"


@dataclass(frozen=True)
class MemoryEstimate:
    """What a training step holds at its peak, in bytes."""

    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, spec.name) for spec in fields(self))

    @property
    def certain(self) -> int:
        """The bytes that no batch size changes."""
        return self.weights + self.gradients + self.optimizer

    def describe(self, free: int) -> str:
        """One Korean line, beside the bytes that are ``free``."""
        names = {"weights": "가중치", "gradients": "그래디언트", "optimizer": "옵티마이저", "activations": "활성값",
                 "logits": "로짓"}
        parts = ", ".join(f"{korean} {amount(getattr(self, name))}" for name, korean in names.items())
        return f"메모리: {amount(self.total)}쯤 필요합니다({parts}). 남은 것: {amount(free)}"


class _Ledger(TorchDispatchMode):
    """Keeps the live bytes of every storage made while it lasts, by kind, and those of their peak.

    A storage is of the kind of the moment (:meth:`making`), else ``logits`` where the vocabulary is one of its
    dimensions, else ``activations``. Pieces of less than ``kept`` bytes are in a heap; what it has reached and the
    peak of the others add up.
    """

    def __init__(self, vocabulary: int, kept: int = 0):
        super().__init__()
        self.vocabulary, self.kept, self.kind = vocabulary, kept, None
        self.kinds, self.places, self.heap = {}, {}, Heap()
        self.live, self.peaks = (Counter(), Counter()), [Counter(), Counter()]  # of large ones, of those in the heap

    @contextmanager
    def making(self, kind: str) -> Iterator[None]:
        self.kind = kind
        try:
            yield
        finally:
            self.kind = None

    def peak(self) -> MemoryEstimate:
        """Gaps in the heap count as activations, which leave them."""
        large, small = self.peaks
        return MemoryEstimate(**(large + small + Counter(activations=self.heap.reached - small.total())))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._enter, outputs)
        for small, live in enumerate(self.live):
            if live.total() > self.peaks[small].total():
                self.peaks[small] = live.copy()
        return outputs

    def _enter(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.kinds:
            self.kinds[key] = self.kind or ("logits" if self.vocabulary in tensor.shape else "activations")
            self.live[size < self.kept][self.kinds[key]] += size
            if size < self.kept:
                self.places[key] = self.heap.take(size)
            weakref.finalize(storage, self._leave, key, size)

    def _leave(self, key: int, size: int) -> None:
        self.live[size < self.kept][self.kinds.pop(key)] -= size
        if size < self.kept:
            self.heap.give_back(self.places.pop(key), size)

    def recount(self, tensor: torch.Tensor, kind: str) -> None:
        """What ``tensor`` holds is of this ``kind`` from now on."""
        storage = tensor.untyped_storage()
        live = self.live[storage.nbytes() < self.kept]
        live[self.kinds[storage._cdata]] -= storage.nbytes()
        live[kind] += storage.nbytes()
        self.kinds[storage._cdata] = kind


def estimate(config, args, loss: Loss, device: str, precision: str, rows: Iterable[int] = ()) -> MemoryEstimate:
    """The memory of a training of a model of ``config`` by ``args`` on ``device`` in ``precision`` (Lightning's name),
    on batches as long as ``args.max_seq_length`` allows. Nothing is computed and nothing allocated.

    ``rows`` of the input embedding learn beside a LoRA (:func:`~.adapters.lora_config`).
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    kind = torch.device(device).type
    kept = KEPT if kind == "cpu" else 0
    with torch.device("meta"):
        model = _model(config, args, kind, precision, rows)
    with FakeTensorMode(), _Ledger(config.get_text_config().vocab_size, kept) as ledger:
        with ledger.making("weights"):
            _place(model)
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in learning:
            parameter.register_post_accumulate_grad_hook(lambda learnt: ledger.recount(learnt.grad, "gradients"))
        with ledger.making("gradients"):
            for parameter in learning:
                parameter.grad = torch.empty_like(parameter)
        optimizer = _optimizer(model, args, kind, precision)
        with ledger.making("optimizer"):
            optimizer.step()
        optimizer.zero_grad()
        input_ids = torch.zeros(args.batch_size, args.max_seq_length, dtype=torch.long)
        for _ in range(2 if kept else 1):  # gaps come with time
            for _ in range(min(args.gradient_accumulation_steps, 2)):
                with torch.autocast("cpu", half_dtype(precision), enabled=half_dtype(precision) is not None):
                    value = loss(model, input_ids)
                value.backward()
                del value
            optimizer.zero_grad()
        needed = ledger.peak()
        if getattr(args, "strategy", None) == "fsdp":
            needed = _shared_out(needed, model, args.world_size)
        # A model is read in float32 before its frozen matrices shrink; a GPU sees only what has shrunk.
        read = 4 * sum(each.numel() for each in model.parameters()) if kept else 0
        return needed if needed.total >= read else MemoryEstimate(weights=read)


def _model(config, args, kind: str, precision: str, rows: Iterable[int]) -> torch.nn.Module:
    """A model of ``config`` as the training on a ``kind`` of device has it."""
    config = copy.deepcopy(config)
    if kind != "cpu":  # whose fused attention keeps no probabilities, as a CPU's does not without dropout
        for name in ("attn_pdrop", "attention_dropout"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
    try:
        model = new_model(config, attn_implementation="sdpa").train()
    except ValueError:  # GPT-J has only the one that is written out
        model = new_model(config, attn_implementation="eager").train()
    if args.lora_r:
        inject(model, lora_config(model, args, rows))
        if args.qlora:
            _quantize(model, half_dtype(precision) or torch.float32)
        HalfBase().setup(SimpleNamespace(precision=precision), SimpleNamespace(model=model), "fit")
    if args.gradient_checkpointing:  # the state of the random numbers, which has none here
        model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    if args.recipe != "book":
        FastLayers(args.max_seq_length).on_fit_start(None, SimpleNamespace(model=model, device=torch.device(kind)))
    if kind != "cpu":
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, torch.nn.Dropout):
                    setattr(module, name, _MaskDropout(child.p))
    return model


def _shared_out(needs: MemoryEstimate, model, processes: int) -> MemoryEstimate:
    """What one of so many ``processes`` needs of it where each has its part of the ``model`` (FSDP2) and, whole, two of
    its layers, that which is computed and that which comes next, and what is in none of them."""
    layers = [list(block.parameters()) for block in blocks_of(model)]
    inside = {id(parameter) for layer in layers for parameter in layer}
    whole = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    whole += [parameter for layer in sorted(layers, key=_bytes)[-2:] for parameter in layer]
    return replace(
        needs, weights=needs.weights // processes + _bytes(whole), optimizer=needs.optimizer // processes,
        gradients=needs.gradients // processes + (_bytes([each for each in whole if each.requires_grad])
                                                  if needs.gradients else 0))


def _bytes(parameters: Iterable[torch.nn.Parameter]) -> int:
    return sum(parameter.nbytes for parameter in parameters)


def _place(model) -> None:
    """Let each weight of ``model`` be on the CPU: as a fake tensor, in whose mode this is called."""
    placed = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    if id(tensor) not in placed:  # tied ones stay so
                        fake = torch.empty(tensor.shape, dtype=tensor.dtype)
                        learns = isinstance(tensor, torch.nn.Parameter)
                        placed[id(tensor)] = torch.nn.Parameter(fake, tensor.requires_grad) if learns else fake
                    tensors[name] = placed[id(tensor)]


def _quantize(model, dtype: torch.dtype) -> None:
    """What :func:`~.adapters.quantize` does, after the adapter is in."""
    from transformers.pytorch_utils import Conv1D

    for module in list(model.modules()):
        if hasattr(module, "lora_A"):
            module.base_layer = _FourBit(module.base_layer, isinstance(module.base_layer, Conv1D), dtype)


class _MaskDropout(torch.nn.Dropout):
    """Dropout that keeps a byte for an element, as a GPU's does."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return torch.native_dropout(states, self.p, True)[0]


class _FourBit(torch.nn.Module):
    """Takes the memory of a ``Linear4bit`` of bitsandbytes: the matrix is there as a whole only while it multiplies."""

    def __init__(self, layer: torch.nn.Module, transposed: bool, dtype: torch.dtype):
        super().__init__()
        size = math.ceil(layer.weight.numel() * BITS_PER_WEIGHT / 8)
        self.weight = torch.nn.Parameter(torch.empty(size, dtype=torch.uint8), requires_grad=False)
        self.bias, self.dtype = layer.bias, dtype
        self.shape = layer.weight.shape if transposed else layer.weight.shape[::-1]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        outputs = _FourBitProduct.apply(states.to(self.dtype), self.shape)
        if self.bias is not None:
            outputs = outputs + self.bias.to(self.dtype)
        return outputs.to(states.dtype).clone()  # the clone is peft's


class _FourBitProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, shape):
        ctx.shape = shape
        return states @ states.new_empty(shape)

    @staticmethod
    def backward(ctx, gradients):
        return gradients @ gradients.new_empty(ctx.shape).T, None


def _optimizer(model, args, kind: str, precision: str) -> torch.optim.Optimizer:
    """The optimizer of the recipe of ``args``."""
    groups = parameter_groups(model, args.weight_decay)
    if args.recipe == "book":  # PyTorch's default: all parameters at once, on a GPU
        return torch.optim.AdamW(groups, foreach=kind != "cpu", fused=False)
    fused = precision != "16-mixed"
    if args.optimizer == "muon":
        return MuonAdamW(groups, lr=args.learning_rate, eps=args.adam_epsilon, fused=fused)
    return torch.optim.AdamW(groups, fused=fused)


class Way(NamedTuple):
    """Changes of the arguments, and what the training needs then."""

    changes: dict
    needs: MemoryEstimate

    def __str__(self):
        flags = " ".join(f"--{name}" if value is True else f"--{name} {value}" for name, value in self.changes.items())
        return f"{flags}: {amount(self.needs.total)}"


def ways_to_fit(config, args, loss: Loss, device: str, precision: str, free: int,
                rows: Iterable[int] = ()) -> Iterator[Way]:
    """How to train in ``free`` bytes, each with the largest batch that fits, or, where none does, with a batch of one;
    those that change the result least come first. A smaller batch is accumulated to the same step.
    """
    def way(changes: dict, size: int) -> Way:
        if size < args.batch_size:
            steps = args.gradient_accumulation_steps * (args.batch_size // size)
            changes = {"batch_size": size, "gradient_accumulation_steps": steps, **changes}
        changed = copy.copy(args)
        vars(changed).update(changes)
        return Way(changes, estimate(config, changed, loss, device, precision, rows))

    lora = {} if args.lora_r else {"lora_r": LORA_R}
    on_gpu = torch.device(device).type == "cuda"  # a CPU holds the whole model before it is quantized
    frozen = [{}, lora]
    if on_gpu and not args.qlora and args.optimizer != "muon":
        frozen.append(lora | {"qlora": True})
    sizes = [args.batch_size]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2 if sizes[-1] % 2 == 0 else 1)
    for changes in [frozen[0], *(each for each in frozen[1:] if each)]:
        for more in ({}, {"gradient_checkpointing": True})[: 1 if args.gradient_checkpointing else 2]:
            least = way(more | changes, 1)
            fits = (way(more | changes, size) for size in sizes[:-1]) if least.needs.total <= free else ()
            yield next((each for each in fits if each.needs.total <= free), least)


def advice(config, args, loss: Loss, device: str, precision: str, free: int, rows: Iterable[int] = ()) -> str:
    """One Korean line: the flags with which the training fits into ``free`` bytes, or how little it can need."""
    ways = []
    for way in ways_to_fit(config, args, loss, device, precision, free, rows):
        ways.append(way)
        fits = [way for way in ways if way.needs.total <= free]
        if len(fits) == 2:  # the first costs time, the second more
            break
    if fits:
        return f"다음과 같이 하면 됩니다. {', '.join(map(str, fits))}"
    return f"가장 적게 쓰는 설정으로도 부족합니다. {min(ways, key=lambda way: way.needs.total)}"
