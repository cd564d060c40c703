"""The base of every metric: a state that is a value, merges in any order and synchronises in one gather."""

from __future__ import annotations

import functools
import itertools
import warnings
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torchmetrics
from lightning_utilities import apply_to_collection
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors
from torchmetrics.utilities.exceptions import TorchMetricsUserError
from torchmetrics.utilities.prints import rank_zero_warn

from detmetrics import plot

State = dict[str, "list[Tensor] | Tensor"]

FIRST_ARRIVAL = torch.iinfo(torch.int64).min
_SAVED_BY = "saved_by_rank"  # key in a state_dict
_COUNTERS = ("_computed", "_update_count")
_FAILED = -1  # stands in the header of a rank that could not pack its state


def _no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    if not torch.amp.is_autocast_available(device.type):  # meta, for one
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class Metric(torchmetrics.Metric):
    """A ``torchmetrics.Metric`` whose state consists of int64 rows and int64 totals, and of nothing else.

    Rows concatenate and totals add, so the same numbers come out for any batch size, number of ranks and order of
    merging. Everything is int64 (floats travel as their bits), so that no dtype cast can touch it, and a state tensor
    is never changed in place, so that keeping an old state costs a reference.

    A subclass declares its state with :meth:`add_rows` and :meth:`add_totals`, then writes ``update()`` (check,
    compute, and commit with :meth:`append` and :meth:`add` as the last thing), ``compute()``, and :meth:`settle` if
    some work is put off. Rows are *keyed* when their first column names the image: a non-negative id that the user
    gave, or the order of arrival counted from ``FIRST_ARRIVAL``, which is renumbered when states meet.

    Args:
        configuration: What the meaning of the state depends on. It becomes part of the names of the states, so that
            ``MetricCollection`` lets two metrics share a state exactly when their configurations agree.
        kwargs: The keyword arguments of ``torchmetrics.Metric``, all of them honoured.

    Raises:
        ValueError: if a keyword argument is unknown.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better: bool | None = True
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0

    def __init__(self, configuration: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._configuration = configuration.replace(".", "p")  # a dot would read as a submodule in a state_dict
        self._widths: dict[str, int] = {}
        self._keyed: set[str] = set()
        self._counted: dict[str, tuple[int, Tensor, int]] = {}  # number of chunks, the last of them, rows in all

    # ------------------------------------------------------------------------------------------- declaring the state

    def add_rows(self, name: str, width: int, *, keyed: bool = False) -> None:
        """Declare rows of ``width`` int64 columns: a list of ``(n, width)`` chunks that concatenate."""
        state = self._new_state_name(name)
        self.add_state(state, [], dist_reduce_fx="cat")
        self._widths[state] = width
        if keyed:
            self._keyed.add(state)

    def add_totals(self, name: str, shape: Sequence[int]) -> None:
        """Declare int64 totals of a fixed shape, which add."""
        self.add_state(self._new_state_name(name), torch.zeros(tuple(shape), dtype=torch.int64), dist_reduce_fx="sum")

    def rows(self, name: str) -> Tensor:
        """All rows of a state, ``(n, width)`` int64 in order of arrival; they are one chunk from here on."""
        state = self._state_name(name)
        chunks = getattr(self, state)
        if isinstance(chunks, Tensor):
            return chunks
        before = list(chunks)  # another thread may append
        joined = self._concatenated(state, before)
        if len(before) > 1:
            chunks[: len(before)] = [joined]  # for every metric of a collection that shares them
        return joined

    def num_rows(self, name: str) -> int:
        """How many rows a state has; known to the host without reading the device."""
        return self._count_rows(self._state_name(name))

    def _count_rows(self, state: str) -> int:
        """The same, in a time that does not grow with the number of chunks: those counted before are recognised."""
        chunks: list[Tensor] = getattr(self, state)
        number, last, total = self._counted.get(state, (0, None, 0))
        if len(chunks) < number or (number and chunks[number - 1] is not last):
            number = total = 0
        if len(chunks) > number:
            total += sum(chunk.shape[0] for chunk in itertools.islice(chunks, number, None))
            self._counted[state] = (len(chunks), chunks[-1], total)
        return total

    def totals(self, name: str) -> Tensor:
        """The totals of a state, int64."""
        value: Tensor = getattr(self, self._state_name(name))
        return value

    def append(self, name: str, chunk: Tensor) -> None:
        """Add a chunk ``(n, width)`` of rows."""
        getattr(self, self._state_name(name)).append(chunk)

    def add(self, name: str, amount: Tensor) -> None:
        """Add to the totals, without changing the old tensor."""
        state = self._state_name(name)
        setattr(self, state, getattr(self, state) + amount)

    def take_rows(self, name: str) -> Tensor:
        """Remove and return all rows of a state, for every metric of a collection that shares it."""
        taken = self.rows(name)
        getattr(self, self._state_name(name)).clear()
        return taken

    def settle(self) -> None:
        """Turn what waits into final rows. Called before anything reads, moves or compares the state."""

    def _new_state_name(self, name: str) -> str:
        state = self._state_name(name)
        if hasattr(self, state):
            raise ValueError(f"{type(self).__name__}: expected a name for a state, got {name!r}, which is taken")
        return state

    def _state_name(self, name: str) -> str:
        return f"{name}_{self._configuration}" if self._configuration else name

    def _concatenated(self, state: str, chunks: list[Tensor] | Tensor) -> Tensor:
        if isinstance(chunks, Tensor):
            return chunks
        if len(chunks) == 1:
            return chunks[0]
        if not chunks:
            return torch.empty((0, self._widths[state]), dtype=torch.int64, device=self.device)
        return torch.cat(chunks)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. The cached result goes, since it may depend on any argument of the metric."""
        if name in _COUNTERS or name in self.__dict__.get("_defaults", ()):
            # Neither a module nor a parameter. A collection sets dozens of these in every update().
            self.__dict__[name] = value
            return
        super().__setattr__(name, value)
        if not name.startswith("_"):
            self.__dict__["_computed"] = None

    # ----------------------------------------------------------------------------------------------------- merging

    def merge_state(self, incoming_state: dict[str, Any] | torchmetrics.Metric) -> None:
        """Add the state of another metric, or a ``metric_state`` kept from one.

        Args:
            incoming_state: A metric of this class and configuration, or the ``metric_state`` of one.

        Raises:
            ValueError: if it is this very metric, another class, or a state of another configuration.
            TorchMetricsUserError: if either metric is synced.
        """
        count = 1
        if isinstance(incoming_state, torchmetrics.Metric):
            if incoming_state is self:
                raise ValueError("merge_state: expected another metric, got the metric itself")
            if type(incoming_state) is not type(self):
                raise ValueError(
                    f"merge_state: expected an instance of {type(self).__name__}, got {type(incoming_state).__name__}"
                )
            self._refuse_when_synced("merge_state", incoming_state)
            count = incoming_state.update_count
            incoming_state = incoming_state.metric_state
        elif not isinstance(incoming_state, Mapping):
            raise ValueError(f"merge_state: expected a metric or a dict, got {type(incoming_state).__name__}")
        self._refuse_when_synced("merge_state", self)
        self._merge(self._checked(incoming_state), count)

    def _merge(self, incoming: State, count: int) -> None:
        self.settle()
        for state, value in incoming.items():
            mine = getattr(self, state)
            if isinstance(mine, list):
                start = self._count_rows(state) if state in self._keyed else 0
                chunks = value if isinstance(value, list) else [value]
                setattr(self, state, mine + [self._renumbered(state, chunk, start, 1) for chunk in chunks])
            else:
                setattr(self, state, mine + value)
        self._computed = None
        self._update_count += count

    def _renumbered(self, state: str, rows: Tensor, start: int, stride: int) -> Tensor:
        """Arrival j becomes arrival ``start + j * stride``; keys that the user gave stay."""
        if state not in self._keyed or (start, stride) == (0, 1):
            return rows
        keys = rows[:, 0]
        arrival = FIRST_ARRIVAL + start + (keys - FIRST_ARRIVAL) * stride
        return torch.cat([torch.where(keys < 0, arrival, keys)[:, None], rows[:, 1:]], dim=1)

    def _checked(self, incoming: Mapping[str, Any]) -> State:
        """The states of ``incoming`` on this device, or a ``ValueError`` that says what does not fit."""
        if incoming.keys() != self._defaults.keys():
            raise ValueError(
                f"{type(self).__name__}: expected the states {sorted(self._defaults)}, got {sorted(incoming)}; "
                "only states of one configuration add up"
            )
        checked: State = {}
        for state, default in self._defaults.items():
            value = incoming[state]
            shape = (-1, self._widths[state]) if isinstance(default, list) else tuple(default.shape)
            for chunk in value if isinstance(value, list) else [value]:
                fits = isinstance(chunk, Tensor) and chunk.dtype == torch.int64 and chunk.ndim == len(shape)
                if not fits or any(e not in (-1, n) for e, n in zip(shape, chunk.shape, strict=True)):
                    got = f"{chunk.dtype} {tuple(chunk.shape)}" if isinstance(chunk, Tensor) else repr(chunk)
                    raise ValueError(f"{type(self).__name__}: state {state!r}: expected int64 {shape}, got {got}")
            checked[state] = apply_to_collection(value, Tensor, lambda chunk: chunk.to(self.device))
        return checked

    @staticmethod
    def _refuse_when_synced(operation: str, metric: torchmetrics.Metric) -> None:
        if metric._is_synced:
            raise TorchMetricsUserError(f"{operation}: {type(metric).__name__} is synced; call unsync() first")

    # ---------------------------------------------------------------------------------- update, compute, forward, reset

    def _wrap_update(self, update: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(update)
        def wrapped(*args: Any, **kwargs: Any) -> None:
            self._refuse_when_synced("update", self)
            with torch.no_grad(), _no_autocast(self.device):
                update(*args, **kwargs)
            self._computed = None
            self._update_count += 1
            if self.compute_on_cpu:
                self._move_list_states_to_cpu()

        return wrapped

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(compute)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not self.update_called:
                rank_zero_warn(f"{type(self).__name__}: compute() was called before update()", UserWarning)
            if self._computed is None or not self.compute_with_cache:
                with self.synced():
                    self._computed = apply_to_collection(compute(*args, **kwargs), Tensor, lambda x: x.to(self.device))
            return apply_to_collection(self._computed, Tensor, torch.clone)

        return wrapped

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """``update()``, and the value of this batch alone; the cost does not grow with what was accumulated."""
        self._refuse_when_synced("forward", self)
        self.settle()
        history, counted, count = self.metric_state, dict(self._counted), self._update_count
        self.reset()
        self._to_sync = self.dist_sync_on_step
        try:
            self.update(*args, **kwargs)
            value = self.compute()
            batch = self.metric_state
        except BaseException:
            self._set_states(history)
            self._update_count = count
            raise
        finally:
            self._to_sync = self.sync_on_compute
            self._computed = None
        self._set_states(history)
        self._counted, self._update_count = counted, count
        self._merge(batch, 1)
        self._forward_cache = value
        return value

    def reset(self) -> None:
        """Forget everything that was accumulated."""
        for state, default in self._defaults.items():
            setattr(self, state, [] if isinstance(default, list) else default.detach().clone().to(self.device))
        self._counted.clear()
        self._update_count = 0
        self._computed = self._forward_cache = self._cache = None
        self._is_synced = False

    def _set_states(self, states: Mapping[str, Any]) -> None:
        for state, value in states.items():
            setattr(self, state, value)

    def _copy_state_dict(self) -> State:
        return self.metric_state  # references: a state tensor is never changed in place

    # ------------------------------------------------------------------------------------------------- synchronising

    @contextmanager
    def synced(self) -> Generator[None, None, None]:
        """The settled states of all ranks within the block, for whatever reads them."""
        synced = self.sync_context(self.dist_sync_fn, None, self._to_sync, self._should_unsync)
        with synced, torch.no_grad(), _no_autocast(self.device):
            self.settle()
            yield

    @contextmanager
    def sync_context(
        self,
        dist_sync_fn: Callable[..., list[Tensor]] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        should_unsync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> Generator[None, None, None]:
        """The states of all ranks within the block; the local ones after it, also when the block raises."""
        self.sync(dist_sync_fn, process_group, should_sync, distributed_available)
        try:
            yield
        finally:
            self.unsync(should_unsync=self._is_synced and should_unsync)

    def _sync_dist(
        self, dist_sync_fn: Callable[..., list[Tensor]] = gather_all_tensors, process_group: Any = None
    ) -> None:
        """Gather the states of all ranks, packed into one vector a rank, and assign them when all have arrived."""
        failure: Exception | None = None
        try:
            self.settle()
            packed = self._pack()
        except Exception as error:  # the other ranks wait in the gather: tell them, then raise
            failure, packed = error, torch.tensor([_FAILED], device=self.device)
        gathered = dist_sync_fn(packed, group=process_group or self.process_group)
        if failure is not None:
            raise failure
        self._set_states(self._joined([self._unpack(vector, rank) for rank, vector in enumerate(gathered)]))

    def _pack(self) -> Tensor:
        """``[fingerprint, number of rows of each list state, every row and total]``, (L,) int64."""
        header, body = [self._fingerprint()], []
        for state in self._defaults:
            value = getattr(self, state)
            if not isinstance(value, Tensor):
                value = self._concatenated(state, value)
                header.append(len(value))
            body.append(value.to(self.device).flatten())
        return torch.cat([torch.tensor(header, device=self.device), *body])

    def _unpack(self, vector: Tensor, rank: int) -> dict[str, Tensor]:
        head = 1 + len(self._widths)
        fingerprint, *num_rows = vector[:head].tolist()
        if fingerprint == _FAILED:
            raise RuntimeError(f"{type(self).__name__}: rank {rank} could not contribute its state; see its error")
        if fingerprint != self._fingerprint():
            raise RuntimeError(f"{type(self).__name__}: rank {rank} synchronises a metric of another configuration")
        shapes = iter(num_rows)
        states, at = {}, head
        for state, default in self._defaults.items():
            shape = (next(shapes), self._widths[state]) if isinstance(default, list) else tuple(default.shape)
            end = at + torch.Size(shape).numel()
            states[state], at = vector[at:end].view(shape), end
        return states

    def _joined(self, ranks: list[dict[str, Tensor]]) -> State:
        """Rows one rank after the other, totals added; arrival j of rank r of W becomes arrival ``r + j * W``."""
        joined: State = {}
        for state, default in self._defaults.items():
            parts = [part[state] for part in ranks]
            if isinstance(default, Tensor):
                joined[state] = torch.stack(parts).sum(dim=0)
            else:
                joined[state] = [self._renumbered(state, part, r, len(ranks)) for r, part in enumerate(parts)]
        return joined

    def _fingerprint(self) -> int:
        layout = [(state, self._widths.get(state), getattr(d, "shape", None)) for state, d in self._defaults.items()]
        return zlib.crc32(repr((type(self).__name__, layout)).encode())

    # ----------------------------------------------------------------------------------- plotting, checkpoints, casts

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw a result, or a list of results over time, as in torchmetrics.

        The figure is kept by pyplot only where pyplot can show it, so that a picture an epoch does not add up.

        Args:
            val: What ``compute()`` or ``forward()`` has returned, or a list of such results, one an epoch. None for
                ``compute()`` now, on all ranks.
            ax: A matplotlib axis to draw on.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` has nothing that can be drawn.
        """
        return self._show(val, ax)

    def _show(self, val: Any, ax: Any, **choice: Any) -> tuple[Any, Any]:
        """A history of several results, or the picture of one; ``choice`` says which of a metric's pictures."""
        if isinstance(val, list | tuple) and not hasattr(val, "_fields"):  # a NamedTuple is one result
            followed = [self._followed(result, **choice) for result in val]
            return plot.history(followed, self._plot_label(**choice), ax)
        return self._draw(val, ax, **choice)

    def _followed(self, result: Any, **choice: Any) -> Any:
        """The number or the numbers of a result that a history follows."""
        return plot.numbers(result)

    def _plot_label(self, **choice: Any) -> str:
        """What the numbers are called on an axis."""
        return type(self).__name__

    def _draw(self, val: Any, ax: Any, **choice: Any) -> tuple[Any, Any]:
        """The picture of one result, or of what the metric has now if that is None."""
        return plot.history([self._followed(self.compute() if val is None else val)], self._plot_label(), ax)

    def state_dict(  # type: ignore[override]
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """As in torchmetrics: the states are there after ``persistent(True)``, and with them the rank that saves."""
        self.settle()
        destination = super().state_dict(destination, prefix, keep_vars)
        if any(self._persistent.values()):
            destination[prefix + _SAVED_BY] = torch.tensor(self._rank() or 0)
        return destination

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Replace the state by the one in ``state_dict``, if it has one of this configuration.

        A checkpoint is written by one rank and read by all. What a rank did not save itself it must not count again.
        """
        incoming = {state: state_dict.pop(prefix + state) for state in self._defaults if prefix + state in state_dict}
        saved_by = int(state_dict.pop(prefix + _SAVED_BY, torch.tensor(0)))
        if incoming:
            checked = self._checked(incoming)
            self.reset()
            if self._rank() in (None, saved_by):
                self._set_states(checked)
                self._update_count = 1
            else:
                warnings.warn(
                    f"{type(self).__name__}: rank {saved_by} saved this state, and only that rank goes on with it; "
                    f"rank {self._rank()} starts empty",
                    stacklevel=2,
                )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _rank(self) -> int | None:
        """The rank within the group that synchronises; None if there is only this process."""
        if not self.distributed_available_fn():
            return None
        return torch.distributed.get_rank(self.process_group)

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return super().__getstate__()

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """Do nothing: states are int64 and results float64, whatever the precision of the model."""
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        self._computed = self._forward_cache = None  # a cast must not round them
        return super()._apply(fn, exclude_state)
