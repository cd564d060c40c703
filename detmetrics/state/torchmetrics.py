"""Between our metrics and ``torchmetrics.Metric``: this file, and that of the collection, name its private parts."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torchmetrics
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors
from torchmetrics.utilities.exceptions import TorchMetricsUserError
from torchmetrics.utilities.prints import rank_zero_warn

from detmetrics.settings import Settings
from detmetrics.state import checkpoint
from detmetrics.state.devices import map_tensors, no_autocast
from detmetrics.state.rows import Chunks, Layout, undone_on_error
from detmetrics.state.sync import State, sync_together
from detmetrics.state.threads import one_thread


class Adapter(torchmetrics.Metric):
    """``update``, ``compute``, ``forward``, ``reset``, ``sync``, checkpoints and casts for states of rows and totals.

    What the states are, and how they are read and merged, is left to :class:`detmetrics.Metric`.

    Args:
        settings: What readers of the state are asked.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better: bool | None = True
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0
    reads_pixels = False  # whether an update reads so much that several threads gain more than they wait

    def __init__(self, settings: Settings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self.layouts: dict[str, Layout] = {}  # what each state holds
        self.configuration: Any = None
        self.base_names: set[str] = set()  # of the states, without the digest of the configuration
        self._lock = threading.RLock()
        self._computed_for: Any = None  # the version and the settings of the result that is kept
        self._gathered: tuple[Any, Any] | None = None  # a version of this rank's state, what was read of all ranks
        self.local_version: Any = None  # of this rank's state while the metric is synced

    def settle(self) -> None:
        """Turn pending work into final rows. Called before anything reads, moves or compares the state."""

    def version(self) -> Any:
        """Equal as long as the state is the same."""
        raise NotImplementedError

    def chunks(self, state: str) -> Chunks:
        """The chunks of a state of rows."""
        raise NotImplementedError

    def checked_states(self, incoming: Mapping[str, Any]) -> State:
        """States from elsewhere, on this device; raises if they do not fit."""
        raise NotImplementedError

    def add_states(self, incoming: State) -> None:
        """Add checked states to those of the metric."""
        raise NotImplementedError

    def description(self) -> dict[str, str]:
        """What must agree between the ranks."""
        raise NotImplementedError

    def set_states(self, states: Mapping[str, Any]) -> None:
        """Assign states, which are neither modules nor parameters."""
        self.__dict__.update(states)

    def count_updates(self, count: int) -> None:
        """Say that the states have what further updates added."""
        self._update_count += count

    def row_states(self) -> list[str]:
        """The names of the states that hold rows."""
        return [state for state, layout in self.layouts.items() if layout.width is not None]

    # ---------------------------------------------------------------------------------- update, compute, forward, reset

    def _wrap_update(self, update: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(update)
        def wrapped(*args: Any, **kwargs: Any) -> None:
            self.refuse_when_synced("update", self)
            threads = nullcontext() if self.reads_pixels else one_thread()
            with self._lock, torch.no_grad(), no_autocast(self.device), undone_on_error(self), threads:
                update(*args, **kwargs)
                self._update_count += 1
                if self.compute_on_cpu:
                    self.set_states({s: Chunks(c.cpu() for c in self.chunks(s)) for s in self.row_states()})

        return wrapped

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(compute)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._lock, one_thread():
                if not self.update_called:
                    rank_zero_warn(f"{type(self).__name__}: compute() was called before update()", UserWarning)
                if not self._has_result():
                    ready = self._is_synced or not self.waits_for_ranks() or self.is_gathered()
                    with self._prepared() if ready else self.synced():
                        result = compute(*args, **kwargs)
                    self._computed = map_tensors(lambda x: x.to(self.device), result)
                    self._computed_for = self._question()
                return map_tensors(torch.clone, self._computed)

        return wrapped

    def _has_result(self) -> bool:
        """Whether the result that is kept answers for this state and these settings."""
        return self.compute_with_cache and self._computed is not None and self._computed_for == self._question()

    def _question(self) -> Any:
        """The version of this rank's state, and what it is asked."""
        return (self.local_version if self._is_synced else self.version()), self._settings

    @torch.jit.unused
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """``update()``, and the value of this batch alone; the cost does not grow with what was accumulated."""
        self.refuse_when_synced("forward", self)
        with self._lock:
            self.settle()
            history, count = self.metric_state, self._update_count
            self.reset()
            self._to_sync = self.dist_sync_on_step
            try:
                self.update(*args, **kwargs)
                value = self.compute()
                batch = {state: getattr(self, state) for state in self.layouts}
            finally:
                self._to_sync = self.sync_on_compute
                self.set_states(history)
                self._update_count, self._computed = count, None
            self.add_states(batch)
            self._update_count += 1
            self._forward_cache = value
            return value

    def reset(self) -> None:
        """Forget everything that was accumulated."""
        with self._lock:
            for state, layout in self.layouts.items():
                zeros = torch.zeros(layout.shape, dtype=torch.int64, device=self.device)
                self.set_states({state: zeros if layout.width is None else Chunks()})
            self._update_count = 0
            self._computed = self._forward_cache = self._cache = self._computed_for = self._gathered = None
            self._is_synced = False

    def _copy_state_dict(self) -> Any:
        for state in self.row_states():
            self.chunks(state)  # a plain list would get another version when it is restored
        return self.metric_state  # references: a state tensor is never changed in place

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        """Add states that a wrapper, such as ``Running``, has kept."""
        self.add_states(self.checked_states(incoming_state))

    # ------------------------------------------------------------------------------------------------------- reading

    def read_once(self) -> Any:
        """What was read from this version of the states that the metric has now."""
        raise NotImplementedError

    @one_thread()
    def read(self) -> Any:
        """What :meth:`read_state` makes of the states of all ranks, once for each version of this rank's state.

        All ranks must call it, unless a ``compute()`` since the last update has read the states before.
        """
        if self._is_synced or not self.waits_for_ranks():
            reading = self.read_once()
            if self._is_synced:
                self._gathered = self.local_version, reading
            return reading
        if not self.is_gathered():
            with self.synced():
                return self.read()
        return self._gathered[1] if self._gathered else None

    def waits_for_ranks(self) -> bool:
        """Whether reading needs the states of other ranks."""
        return bool(self._to_sync and self.distributed_available_fn and self.distributed_available_fn())

    def is_gathered(self) -> bool:
        """Whether all ranks were read since the last change of this rank's state."""
        return self._gathered is not None and self._gathered[0] == self.version()

    @staticmethod
    def refuse_when_synced(operation: str, metric: torchmetrics.Metric) -> None:
        """Raise if the states of the metric are those of all ranks now."""
        if metric._is_synced:
            raise TorchMetricsUserError(f"{operation}: {type(metric).__name__} is synced; call unsync() first")

    # ------------------------------------------------------------------------------------------------- synchronising

    @contextmanager
    def _prepared(self) -> Generator[None, None, None]:
        with torch.no_grad(), no_autocast(self.device):
            self.settle()
            yield

    @contextmanager
    def synced(self) -> Generator[None, None, None]:
        """The settled states of all ranks within the block, for whatever reads them."""
        with self.sync_context(self.dist_sync_fn, None, self._to_sync, self._should_unsync), self._prepared():
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

    def _sync_dist(self, dist_sync_fn: Any = gather_all_tensors, process_group: Any = None) -> None:
        """Gather the states of all ranks, and assign them when all have arrived."""
        sync_together([self], [self], dist_sync_fn, process_group)

    # --------------------------------------------------------------------------------------------- checkpoints, casts

    def state_dict(  # type: ignore[override]
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """As in torchmetrics: the states are there after ``persistent(True)``, and with them the rank that saves."""
        self.settle()
        destination = super().state_dict(destination, prefix, keep_vars)
        if any(self._persistent.values()):
            destination[prefix + checkpoint.SAVED_BY] = torch.tensor(self._rank() or 0)
        return destination

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Replace the state by the one in ``state_dict``, if it has one of this configuration.

        A checkpoint is written by one rank and read by all. What a rank did not save itself it must not count again.
        """
        name = type(self).__name__
        incoming, saved_by = checkpoint.taken_from(state_dict, prefix, self.layouts)
        if incoming:
            checked = self.checked_states(incoming)
            self.reset()
            if checkpoint.is_own(name, saved_by, self._rank()):
                self.set_states(checked)
                self.count_updates(1)
        if strict and checkpoint.has_other_states(state_dict, prefix, self.base_names):
            error_msgs.append(f"{name}: expected a state of {self.configuration!r}, got that of another configuration")
        others = strict, missing_keys, unexpected_keys, error_msgs
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def _rank(self) -> int | None:
        """The rank within the group that synchronises; None if there is only this process."""
        return torch.distributed.get_rank(self.process_group) if self.distributed_available_fn() else None

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return {**super().__getstate__(), "_lock": None, "_gathered": None, "_computed_for": None, "_computed": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._lock = threading.RLock()

    def set_dtype(self, dst_type: str | torch.dtype) -> Adapter:
        """Do nothing: states are int64 and results float64, whatever the precision of the model."""
        return self

    def _apply(  # type: ignore[override]
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "", recurse: bool = True
    ) -> torch.nn.Module:
        self._computed = self._forward_cache = self._gathered = None  # a cast must not round them
        moved = super()._apply(fn, exclude_state)
        self._copy_state_dict()
        return moved
