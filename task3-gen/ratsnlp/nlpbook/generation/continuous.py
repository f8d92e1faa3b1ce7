"""Continuous batching: texts written side by side, each of which joins and leaves while the others go on."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

from ..errors import UserError
from ..pretrained import max_positions
from .gpt2 import hidden_states, is_plain_gpt2

CACHE_BYTES = 2**30  # of the keys and values of all rows together; one row alone may have more


class Row(Protocol):
    """A text that is being written: its token ids so far, the prompt's first, and how long it may become."""

    ids: list[int]
    max_length: int


class ContinuousBatch:
    """The rows that a causal language model continues, and their keys and values.

    Each row has a slot of a buffer that stays where it is: joining copies nothing but the prompt's own keys and values,
    leaving one row's, and a step allocates none. Source: Yu et al. (2022), "Orca: a distributed serving system for
    transformer-based generative models", section 4.1 (iteration-level scheduling).

    Raises:
        UserError: a model whose layers do not attend to all that came before.
    """

    def __init__(self, model):
        self.model, self.rows = model, []
        layers = DynamicCache(config=model.config).layers
        self._slots, self._is_gpt2 = _Slots(), is_plain_gpt2(model)
        self._cache = Cache(layers=[_SlotLayer(self._slots) for _ in layers])
        if not layers or any(type(layer) is not DynamicLayer for layer in layers) or not self._agrees():
            raise UserError(
                f"engine: {model.config.model_type} 모델은 여러 요청을 한 배치로 처리할 수 없습니다. "
                "--engine book으로 실행하세요.")

    def fit(self, rows: Sequence[Row]) -> bool:
        """Whether the keys and values of ``rows`` may be there together, at their full lengths."""
        return len(rows) == 1 or len(rows) * max(row.max_length for row in rows) * self._bytes_per_token <= CACHE_BYTES

    @torch.inference_mode()
    def join(self, rows: Sequence[Row]) -> None:
        """Take in N rows: all of their tokens but the last, which the next step reads, are read here."""
        first = len(self.rows)
        rows = sorted(rows, key=lambda row: len(row.ids))
        self._slots.reserve(first + len(rows), max(row.max_length for row in [*self.rows, *rows]))
        for _, alike in groupby(rows, key=lambda row: (len(row.ids) - 1).bit_length()):  # little of it is padding
            alike = list(alike)
            self._read(alike, first)
            first += len(alike)
        self.rows += rows

    @torch.inference_mode()
    def step(self) -> torch.Tensor:
        """The logits (N, V) of what follows each of :attr:`rows`, in float32."""
        device = self.model.device
        last = torch.tensor([row.ids[-1] for row in self.rows], device=device)
        places = torch.tensor([len(row.ids) - 1 for row in self.rows], device=device)
        width = max(len(row.ids) for row in self.rows)
        self._slots.at(0, len(self.rows), width, places)
        mask = self._mask((torch.arange(width, device=device) <= places[:, None])[:, None, None])
        if self._is_gpt2:
            states = hidden_states(self.model, last[:, None], places[:, None], mask, self._cache)[:, 0]
            return (self.model.lm_head.weight @ states.T).T.float()  # on a CPU sooner than the other way round
        return self.model(**self._inputs(last[:, None], places[:, None], mask)).logits[:, -1].float()

    @torch.inference_mode()
    def leave(self, row: Row) -> None:
        """Give the slot of ``row`` to the last one."""
        slot = self.rows.index(row)
        last = self.rows.pop()
        if last is not row:
            self.rows[slot] = last
            for layer in self._cache.layers:
                layer.move(len(self.rows), slot, len(last.ids))

    def clear(self) -> None:
        """Let all rows go, and the memory of their keys and values."""
        self.rows.clear()
        self._slots.clear()
        for layer in self._cache.layers:
            layer.reset()

    def _read(self, rows: Sequence[Row], first: int) -> None:
        lengths = torch.tensor([len(row.ids) - 1 for row in rows], device=self.model.device)
        width = int(lengths.max())
        if not width:
            return
        padded = torch.tensor([row.ids[:-1] + [0] * (width - len(row.ids) + 1) for row in rows],
                              device=self.model.device)
        columns = torch.arange(width, device=self.model.device)
        seen = (columns <= columns[:, None]) & (columns < lengths[:, None, None])
        self._slots.at(first, len(rows), width, None)
        positions, mask = columns.expand(len(rows), -1), self._mask(seen[:, None])
        if self._is_gpt2:
            hidden_states(self.model, padded, positions, mask, self._cache)
        else:
            self.model.base_model(**self._inputs(padded, positions, mask))

    def _mask(self, seen: torch.Tensor) -> torch.Tensor:
        """What is added to the scores; ``seen`` (N, 1, T, width) tells the keys that each token attends to."""
        return torch.where(seen, 0.0, torch.finfo(self.model.dtype).min).to(self.model.dtype)

    def _inputs(self, ids, positions, mask) -> dict:
        return {"input_ids": ids, "position_ids": positions, "attention_mask": mask, "past_key_values": self._cache,
                "use_cache": True}

    @torch.inference_mode()
    def _agrees(self) -> bool:
        """Whether rows of different lengths get the logits that the model gives each alone: an architecture that takes
        its positions from elsewhere would silently write nonsense. This is also the first call, which is slow."""
        length = min(6, (max_positions(self.model.config) or 6) - 1)
        rows = [_Probe(list(range(3, 3 + count))) for count in (1, length)]
        for row in rows:
            row.ids = [token % self.model.get_input_embeddings().num_embeddings for token in row.ids]
        self.join(rows[1:])
        self.join(rows[:1])
        apart = self.step()
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.1
        for row, ours in zip(self.rows, apart, strict=True):
            ids = torch.tensor([row.ids], device=self.model.device)
            alone = self.model(ids, attention_mask=torch.ones_like(ids)).logits[0, -1].float()
            if not torch.allclose(ours, alone, rtol=tolerance, atol=tolerance):
                return False
        self._bytes_per_token = sum(layer.bytes_per_token for layer in self._cache.layers)
        self.rows.clear()
        return True


class _Probe:
    def __init__(self, ids: list[int]):
        self.ids, self.max_length = ids, len(ids) + 1


class _Slots:
    """Where the layers read and write: rows ``first`` to ``first + count``, columns up to ``width``; each row at its
    own of ``places`` (N,), or, where it is None, all from column 0 on."""

    def __init__(self):
        self.clear()

    def clear(self) -> None:
        self.most_rows = self.most_columns = 0

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for so many rows and columns; where it has to grow, for twice as many rows."""
        if rows > self.most_rows:
            self.most_rows = max(rows, 2 ** math.ceil(math.log2(rows)))
        if columns > self.most_columns:
            self.most_columns = max(columns, 64)

    def at(self, first: int, count: int, width: int, places: torch.Tensor | None) -> None:
        self.rows, self.width, self.places = slice(first, first + count), width, places
        if places is not None:
            self.numbers = torch.arange(first, first + count, device=places.device)


class _SlotLayer(CacheLayerMixin):
    """Keys and values of one layer: (rows, heads, columns, width of a head) each."""

    is_sliding = False

    def __init__(self, slots: _Slots):
        super().__init__()
        self.slots = slots

    @property
    def bytes_per_token(self) -> int:
        return sum(each.shape[1] * each.shape[3] * each.element_size() for each in (self.keys, self.values))

    def lazy_initialization(self, key_states, value_states) -> None:
        self.keys, self.values = self._empty(key_states), self._empty(value_states)
        self.is_initialized = True

    def update(self, key_states, value_states, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.keys.shape[0] < self.slots.most_rows or self.keys.shape[2] < self.slots.most_columns:
            self.keys, self.values = self._grown(self.keys), self._grown(self.values)
        return self._written(self.keys, key_states), self._written(self.values, value_states)

    def move(self, source: int, target: int, length: int) -> None:
        for buffer in (self.keys, self.values):
            buffer[target, :, :length] = buffer[source, :, :length]

    def _written(self, buffer: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        slots = self.slots
        if slots.places is None:
            buffer[slots.rows, :, : slots.width] = states
        else:
            buffer[slots.numbers, :, slots.places] = states[:, :, 0]
        return buffer[slots.rows, :, : slots.width]

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        """Zeros, since what is masked still takes part in a sum, where a NaN would stay one."""
        return like.new_zeros((self.slots.most_rows, like.shape[1], self.slots.most_columns, like.shape[3]))

    def _grown(self, buffer: torch.Tensor) -> torch.Tensor:
        larger = self._empty(buffer)
        larger[: buffer.shape[0], :, : buffer.shape[2]] = buffer
        return larger

    def reset(self) -> None:
        self.keys = self.values = None
        self.is_initialized = False

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.slots.width, 0

    def get_seq_length(self) -> int:
        return self.slots.width

    def get_max_length(self) -> int:
        return -1
