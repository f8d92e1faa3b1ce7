"""How the weights move: the book's AdamW, and Muon for the matrices inside the layers."""

import logging
import math
from functools import partial

import torch
from torch.optim.lr_scheduler import LambdaLR

from .adapters import unwrapped
from .precision import best_precision
from .shards import part_like, whole_of

logger = logging.getLogger("ratsnlp")


class BookAdamW(torch.optim.AdamW):
    """The AdamW of transformers 4 with its eps of 1e-6, which it adds before the bias correction
    and PyTorch adds after it.

    Source: ``transformers/optimization.py`` of 4.28; Kingma & Ba (2015), the remark on efficiency
    at the end of section 2.
    """

    def step(self, closure=None):
        step = next((int(state["step"]) for state in self.state.values()), 0) + 1
        for group in self.param_groups:
            group["eps"] = 1e-6 / math.sqrt(1 - group["betas"][1] ** step)
        return super().step(closure)


AT_A_TIME = 2**20  # values of small matrices of one shape that are made orthogonal together


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """About the orthogonal matrix nearest to each of ``matrices`` (N, A, B): its singular values become 0.7 to 1.2.

    In bfloat16 where the machine computes it fast, else in float32 (where it does not, bfloat16 takes 40 times as
    long). Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks": five Newton-Schulz
    iterations and their coefficients.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    fast = best_precision(device=matrices.device.type) == "bf16-mixed"
    near = matrices.to(torch.bfloat16 if fast else torch.float32)
    tall = near.shape[1] > near.shape[2]
    near = near.mT if tall else near
    near = near / near.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = near @ near.mT
        near = torch.baddbmm(near, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), near, beta=a)
    return near.mT if tall else near


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, so that no direction of a matrix outweighs the others; scaled to the size of AdamW's
    updates, it takes AdamW's rate.

    It does as ``torch.optim.Muon(adjust_lr_fn="match_rms_adamw")``, which computes in bfloat16 on any machine, and each
    matrix on its own. Sources: Jordan et al. (2024), as above; Liu et al. (2025), "Muon is scalable for LLM training",
    section 2.2.
    """

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.95):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            learnt = [matrix for matrix in group["params"] if matrix.grad is not None]
            for shape in dict.fromkeys(matrix.shape for matrix in learnt):
                alike = [matrix for matrix in learnt if matrix.shape == shape]
                many = max(AT_A_TIME // shape.numel(), 1)
                for start in range(0, len(alike), many):
                    self._move(alike[start : start + many], group)

    def _move(self, matrices: list[torch.Tensor], group: dict) -> None:
        """Move ``matrices`` of one shape by the settings of their ``group``."""
        wanted = []
        for matrix in matrices:
            state = self.state[matrix]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            average = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
            wanted.append(whole_of(matrix.grad.lerp(average, group["momentum"])))  # Nesterov's
        updates = orthogonalize(torch.stack(wanted))
        for matrix, update in zip(matrices, updates, strict=True):
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(part_like(matrix, update), alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


class MuonAdamW(torch.optim.Optimizer):
    """:class:`Muon` for the groups that are marked ``hidden``, AdamW for the rest; both at the same learning rate."""

    def __init__(self, groups: list[dict], lr: float, eps: float, fused: bool):
        hidden, others = ([group for group in groups if group["hidden"] is kind] for kind in (True, False))
        self.parts = [Muon(hidden, lr=lr), torch.optim.AdamW(others, lr=lr, eps=eps, fused=fused)]
        super().__init__([group for part in self.parts for group in part.param_groups], {"lr": lr})

    def step(self, closure=None):
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self):
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict):
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def paged_adamw(groups: list[dict], lr: float, eps: float) -> torch.optim.Optimizer:
    """AdamW whose moments a GPU that runs out of memory puts into the computer's; on a CPU they are there already.

    Source: Dettmers et al. (2023), "QLoRA: Efficient finetuning of quantized LLMs", section 3.
    """
    from bitsandbytes.optim import AdamW32bit, PagedAdamW32bit

    on_cpu = any(parameter.device.type == "cpu" for group in groups for parameter in group["params"])
    return (AdamW32bit if on_cpu else PagedAdamW32bit)(groups, lr=lr, eps=eps)


def scheduled_optimizer(args, model: torch.nn.Module, total_steps: int, fused: bool) -> dict:
    """The optimizer of ``args`` for ``model``, and its schedule over ``total_steps``, as Lightning takes both."""
    groups = parameter_groups(model, args.weight_decay)
    if args.qlora:
        optimizer = paged_adamw(groups, lr=args.learning_rate, eps=args.adam_epsilon)
    else:
        kind = MuonAdamW if args.optimizer == "muon" else torch.optim.AdamW
        optimizer = kind(groups, lr=args.learning_rate, eps=args.adam_epsilon, fused=fused)
    warmup_steps = args.warmup_steps or round(args.warmup_ratio * total_steps)
    if warmup_steps >= total_steps:
        logger.warning("warmup_steps: 전체 스텝(%d)이 워밍업(%d)보다 짧아 학습률이 %g까지 오르지 않습니다. "
                       "warmup_steps를 줄이거나 더 학습하세요.", total_steps, warmup_steps, args.learning_rate)
    schedule = warm_up_and_decay(optimizer, args.lr_scheduler_type, warmup_steps, total_steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def can_fuse(module) -> bool:
    """Whether the optimizer of a Lightning ``module`` may compute all that it does in one kernel."""
    return module.trainer.precision != "16-mixed" and module.device.type in ("cpu", "cuda")


def warm_up_and_decay(optimizer: torch.optim.Optimizer, kind: str, warmup: int, total: int) -> LambdaLR:
    """The learning rate rises for ``warmup`` of ``total`` steps, then falls to zero: ``linear``, or along a ``cosine``.

    It does as transformers' ``get_scheduler``, whose import takes a second, and peft's and accelerate's with it.
    """
    return LambdaLR(optimizer, partial(_factor, kind=kind, warmup=warmup, total=total))


def _factor(step: int, kind: str, warmup: int, total: int) -> float:
    if step < warmup:
        return step / max(1, warmup)
    left = max(0.0, (total - step) / max(1, total - warmup))
    return left if kind == "linear" else max(0.0, 0.5 * (1 + math.cos(math.pi * (1 - left))))


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict]:
    """The parameters of ``model`` that learn, in three groups: matrices inside the layers (``hidden``), embeddings, or
    the rows of them that learn beside an adapter, and vectors, which do not decay."""
    embeddings = [module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    embeddings.append(unwrapped(model.get_output_embeddings()).weight)
    embeddings += [rows for name, rows in model.named_parameters() if "trainable_tokens_delta" in name]
    embedded = {id(parameter) for parameter in embeddings}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in learning if parameter.dim() >= 2]
    return [
        {"params": [matrix for matrix in matrices if id(matrix) not in embedded],
         "weight_decay": weight_decay, "hidden": True},
        {"params": [matrix for matrix in matrices if id(matrix) in embedded],
         "weight_decay": weight_decay, "hidden": False},
        {"params": [parameter for parameter in learning if parameter.dim() < 2],
         "weight_decay": 0.0, "hidden": False}]
