"""Rows of int64 in chunks: they concatenate, and remember what was read from them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

FIRST_ARRIVAL = torch.iinfo(torch.int64).min
FEW = 64  # chunks that are joined at a time, so that a list of them stays short however many updates there are

_versions = itertools.count(1)


class Layout(NamedTuple):
    """What a state holds: rows of ``width`` columns, or totals of a fixed shape."""

    width: int | None = None  # of rows; None for totals
    keyed: bool = False  # whether the first column of rows is the key of an image
    shape: tuple[int, ...] = ()  # of totals

    @property
    def expected(self) -> tuple[int, ...]:
        """The shape of a tensor of this state, -1 where it may have any size."""
        return self.shape if self.width is None else (-1, self.width)


class Chunks(list[Tensor]):
    """The rows of a state as ``(n, width)`` chunks in order of arrival: a list, as torchmetrics wants it.

    Every change gives it a new version number. ``reading`` is the one cache of a state: what was read from this version
    of it, with which it goes.

    Args:
        chunks: ``(n, width)`` int64 each.
        num_rows: The sum of n, if it is known.
        compacted: How many of the first chunks are joined ones.
    """

    def __init__(self, chunks: Iterable[Tensor] = (), num_rows: int | None = None, compacted: int = 0) -> None:
        super().__init__(chunks)
        self.num_rows = sum(chunk.shape[0] for chunk in self) if num_rows is None else num_rows
        self.compacted = compacted
        self.version = next(_versions)
        self.reading: tuple[Any, Any] | None = None  # (versions of all states of the metric, what was read)

    def append(self, chunk: Tensor) -> None:
        """Add a chunk. Of every ``FEW`` chunks one is made, and of every ``FEW`` of these."""
        super().append(chunk)
        self.num_rows += chunk.shape[0]
        self._changed()
        if len(self) - self.compacted >= FEW:
            self[self.compacted :] = [torch.cat(self[self.compacted :])]
            self.compacted += 1
        if self.compacted >= FEW:
            self[:] = [torch.cat(self)]
            self.compacted = 1

    def extended(self, chunks: Sequence[Tensor]) -> Chunks:
        """A new list with further chunks."""
        longer = Chunks(self, self.num_rows, self.compacted)
        for chunk in chunks:
            longer.append(chunk)
        return longer

    def clear(self) -> None:
        """Remove all rows."""
        super().clear()
        self.num_rows = self.compacted = 0
        self._changed()

    def joined(self, width: int, device: torch.device) -> Tensor:
        """All rows as one tensor, which is the only chunk from here on. The version stays: the rows are the same."""
        if not self:
            return torch.empty((0, width), dtype=torch.int64, device=device)
        if len(self) > 1:
            before = list(self)
            self[: len(before)] = [torch.cat(before)]
            self.compacted = 1
        return self[0]

    def kept(self) -> dict[str, Any]:
        """What :meth:`restore` takes, by references."""
        return {**vars(self), "chunks": list(self)}

    def restore(self, kept: dict[str, Any]) -> None:
        """Become what this was, with its version and what was read from it."""
        self[:] = kept.pop("chunks")
        vars(self).update(kept)

    def _changed(self) -> None:
        self.version = next(_versions)
        self.reading = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Chunks:
        """A list of its own of the same tensors: state tensors are never changed in place."""
        copied = Chunks(self, self.num_rows, self.compacted)
        copied.version, copied.reading = self.version, self.reading
        return copied

    def __reduce__(self) -> Any:
        return Chunks, (list(self), self.num_rows, self.compacted)


def ids_and_arrivals(keys: Tensor) -> tuple[Tensor, Tensor]:
    """What keys of images stand for: the id, -1 without one, and the place in the order of arrival of those without.

    Args:
        keys: ``(B,)`` int64.

    Returns:
        ``(B,)`` int64 each; the place of an image with an id is -1.
    """
    return keys.clamp(min=-1), torch.where(keys < 0, keys - FIRST_ARRIVAL, -1)


@contextlib.contextmanager
def undone_on_error(metric: Any) -> Iterator[None]:
    """Give a metric the states back that it had if the block raises, whatever was changed until then.

    States are replaced and chunks are added, but no tensor is changed in place: this keeps references alone.

    Args:
        metric: What has ``row_states``, ``chunks``, ``metric_state`` and ``set_states``.
    """
    chunks = [metric.chunks(state) for state in metric.row_states()]
    before = metric.metric_state, [own.kept() for own in chunks]
    try:
        yield
    except BaseException:  # also when the user interrupts
        for own, kept in zip(chunks, before[1], strict=True):
            own.restore(kept)
        metric.set_states(before[0])
        raise


@dataclass(frozen=True, eq=False)
class TotalsVersion:
    """Which totals these are: equal only to themselves, unchanged."""

    totals: Tensor
    edits: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TotalsVersion) and self.totals is other.totals and self.edits == other.edits

    def __hash__(self) -> int:
        return hash((id(self.totals), self.edits))


def edits(tensor: Tensor) -> int:
    """How often a tensor was changed in place; torch does not count that for tensors of ``inference_mode``."""
    return 0 if tensor.is_inference() else tensor._version


def renumbered(rows: Tensor, start: int, stride: int) -> Tensor:
    """Keyed rows after arrival j has become arrival ``start + j * stride``; keys that the user gave stay."""
    if (start, stride) == (0, 1):
        return rows
    keys = rows[:, 0]
    arrival = FIRST_ARRIVAL + start + (keys - FIRST_ARRIVAL) * stride
    return torch.cat([torch.where(keys < 0, arrival, keys)[:, None], rows[:, 1:]], dim=1)


def check_tensor(name: str, chunk: Any, layout: Layout) -> None:
    """Raise a ``ValueError`` unless a tensor fits the layout of a state."""
    shape = layout.expected
    fits = isinstance(chunk, Tensor) and chunk.dtype == torch.int64 and chunk.ndim == len(shape)
    if not fits or any(size not in (-1, n) for size, n in zip(shape, chunk.shape, strict=True)):
        got = f"{chunk.dtype} {tuple(chunk.shape)}" if isinstance(chunk, Tensor) else repr(chunk)
        raise ValueError(f"{name}: expected int64 {shape}, got {got}")
