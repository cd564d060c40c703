"""The base of every metric: a state that is a value, merges in any order and is read once."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torchmetrics
from torch import Tensor

from detmetrics.settings import Settings
from detmetrics.state.devices import no_autocast
from detmetrics.state.rows import Chunks, Layout, TotalsVersion, check_tensor, edits, renumbered
from detmetrics.state.slices import slice_state
from detmetrics.state.sync import State
from detmetrics.state.torchmetrics import Adapter


class Metric(Adapter):
    """A ``torchmetrics.Metric`` whose state consists of int64 rows and int64 totals, and of nothing else.

    Rows concatenate and totals add, so the same numbers come out for any batch size, number of ranks and order of
    merging. Everything is int64 (floats travel as their bits), so that no dtype cast can touch it, and a state tensor
    is never changed in place, so that keeping an old state costs a reference. A lock lets several threads update.

    A subclass declares its state with :meth:`add_rows` and :meth:`add_totals`, then writes ``update()`` (check,
    compute, and commit with :meth:`append` and :meth:`add` as the last thing), ``compute()``, and :meth:`settle` if
    some work is put off. Rows are *keyed* when their first column names the image: a non-negative id that the user
    gave, or the order of arrival counted from ``FIRST_ARRIVAL``, which is renumbered when states meet.

    A result is kept for the version of the state and the settings that gave it, and what :meth:`read_state` made of a
    state is kept beside it for all metrics of a collection that share the state.

    Args:
        configuration: A value, such as a frozen dataclass, of all that the meaning of the state depends on. A digest of
            it is part of the names of the states, so that ``MetricCollection`` lets two metrics share a state exactly
            when their configurations agree.
        settings: What readers of the state are asked; see :class:`detmetrics.settings.Settings`.
        kwargs: The keyword arguments of ``torchmetrics.Metric``, all of them honoured.

    Raises:
        ValueError: if a keyword argument is unknown.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep TorchScript, which compiles all properties of a module, from those of a metric."""
        super().__init_subclass__(**kwargs)
        cls.__jit_unused_properties__ = [name for name in dir(cls) if isinstance(getattr(cls, name, None), property)]

    def __init__(self, configuration: Any = None, settings: Settings | None = None, **kwargs: Any) -> None:
        super().__init__(Settings() if settings is None else settings, **kwargs)
        self.configuration = configuration
        self._digest = "" if configuration is None else f"_{zlib.crc32(repr(configuration).encode()):08x}"

    @property
    def settings(self) -> Any:
        """What readers of the state are asked. Attributes of the metric show its fields; assigning them replaces it."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.check_settings(settings)
        self._settings = settings

    def check_settings(self, settings: Settings) -> None:
        """Raise a ``ValueError`` if this state cannot answer what the settings ask.

        Args:
            settings: The new settings.
        """

    def description(self) -> dict[str, str]:
        """What must agree between the ranks: the class, the configuration and the settings, as text."""
        fields = {field.name: getattr(self._settings, field.name) for field in dataclasses.fields(self._settings)}
        own = {"class": type(self).__name__, "configuration": self.configuration, "states": self.layouts, **fields}
        return {f"{type(self).__name__}.{name}": repr(value) for name, value in own.items()}

    # ------------------------------------------------------------------------------------------- declaring the state

    def add_rows(self, name: str, width: int, *, keyed: bool = False) -> None:
        """Declare rows of ``width`` int64 columns: a list of ``(n, width)`` chunks that concatenate.

        Args:
            name: What this class calls the state.
            width: The number of columns.
            keyed: Whether the first column is the key of an image.
        """
        self._add(name, Layout(width, keyed), [], "cat")

    def add_totals(self, name: str, shape: Sequence[int]) -> None:
        """Declare int64 totals of a fixed shape, which add.

        Args:
            name: What this class calls the state.
            shape: The shape of the totals.
        """
        layout = Layout(shape=tuple(shape))
        self._add(name, layout, torch.zeros(layout.shape, dtype=torch.int64), "sum")

    def _add(self, name: str, layout: Layout, default: Any, reduction: str) -> None:
        state = self.state_name(name)
        if hasattr(self, state):
            raise ValueError(f"{type(self).__name__}: expected a name for a state, got {name!r}, which is taken")
        self.add_state(state, default, dist_reduce_fx=reduction)
        self.layouts[state] = layout
        self.base_names.add(name)
        if layout.width is not None:
            self.set_states({state: Chunks()})

    def state_name(self, name: str) -> str:
        """The name of a state with a digest of the configuration, as torchmetrics knows it.

        Args:
            name: What this class calls the state.
        """
        return name + self._digest

    def rows(self, name: str) -> Tensor:
        """All rows of a state, ``(n, width)`` int64 in order of arrival; they are one chunk from here on.

        Args:
            name: What this class calls the state.
        """
        return self._joined(self.state_name(name))

    def num_rows(self, name: str) -> int:
        """How many rows a state has; known to the host without reading the device.

        Args:
            name: What this class calls the state.
        """
        return self.chunks(self.state_name(name)).num_rows

    def totals(self, name: str) -> Tensor:
        """The totals of a state, int64.

        Args:
            name: What this class calls the state.
        """
        value: Tensor = getattr(self, self.state_name(name))
        return value

    def append(self, name: str, chunk: Tensor) -> None:
        """Add a chunk ``(n, width)`` of rows.

        Args:
            name: What this class calls the state.
            chunk: ``(n, width)`` int64 on the metric's device.
        """
        self.chunks(self.state_name(name)).append(chunk)

    def add(self, name: str, amount: Tensor) -> None:
        """Add to the totals, without changing the old tensor.

        Args:
            name: What this class calls the state.
            amount: int64 of the shape of the totals.
        """
        self.set_states({self.state_name(name): self.totals(name) + amount})

    def clear_rows(self, name: str) -> None:
        """Remove all rows of a state, for every metric of a collection that shares it.

        Args:
            name: What this class calls the state.
        """
        self.chunks(self.state_name(name)).clear()

    def chunks(self, state: str) -> Chunks:
        """The chunks of a state of rows, ready to be shared.

        Args:
            state: What torchmetrics calls the state; see :meth:`state_name`.
        """
        chunks = getattr(self, state)
        if not isinstance(chunks, Chunks):  # set by torchmetrics
            chunks = Chunks([chunks] if isinstance(chunks, Tensor) else chunks)
            self.set_states({state: chunks})
        return chunks

    def _joined(self, state: str) -> Tensor:
        return self.chunks(state).joined(self.layouts[state].width or 0, self.device)

    # ------------------------------------------------------------------------------------------------------- reading

    def version(self) -> tuple[Any, ...]:
        """Equal as long as the state is the same; rows that wait are settled, and rows become one chunk each.

        A state is read-only to its users, but a row or total that is edited in place all the same is noticed.
        """
        self.settle()
        return tuple(
            TotalsVersion(getattr(self, state), edits(getattr(self, state)))
            if layout.width is None
            else (self.chunks(state).version, edits(self._joined(state)))
            for state, layout in self.layouts.items()
        )

    def read_state(self) -> Any:
        """What readers read, from the states as they are now; a subclass defines it."""
        raise NotImplementedError

    def read_once(self) -> Any:
        """What was read from this version of the state, by whichever metric that shares it came first."""
        owner = next((self.chunks(s) for s, layout in self.layouts.items() if layout.width is not None), Chunks())
        version = self.version()
        if owner.reading is None or owner.reading[0] != version:
            with torch.no_grad(), no_autocast(self.device):
                owner.reading = version, self.read_state()
        return owner.reading[1]

    # ------------------------------------------------------------------------------------------- slicing and merging

    slice = slice_state

    def rows_of_images(self) -> dict[str, dict[str, int]]:
        """The keyed states, and for each those with further rows of its images, with the column that counts them.

        Those rows are image after image, in the order of the keyed ones.
        """
        return {name: {} for name in self.base_names if self.layouts[self.state_name(name)].keyed}

    def merge_state(self, incoming_state: dict[str, Any] | torchmetrics.Metric) -> None:
        """Add the state of another metric, or a ``metric_state`` kept from one.

        Args:
            incoming_state: A metric of this class, configuration and classes, or the ``metric_state`` of one.

        Raises:
            ValueError: if it is this very metric, another class, or a state of another configuration.
            TorchMetricsUserError: if either metric is synced.
        """
        count = 1
        if isinstance(incoming_state, torchmetrics.Metric):
            self._check_mergeable(incoming_state)
            self.refuse_when_synced("merge_state", incoming_state)
            count = incoming_state.update_count
            incoming_state = incoming_state.metric_state
        elif not isinstance(incoming_state, Mapping):
            raise ValueError(f"merge_state: expected a metric or a dict, got {type(incoming_state).__name__}")
        self.refuse_when_synced("merge_state", self)
        with self._lock:
            self.add_states(self.checked_states(incoming_state))
            self.count_updates(count)

    def _check_mergeable(self, other: torchmetrics.Metric) -> None:
        if other is self:
            raise ValueError("merge_state: expected another metric, got the metric itself")
        if type(other) is not type(self):
            raise ValueError(f"merge_state: expected an instance of {type(self).__name__}, got {type(other).__name__}")
        for name in ("class_names", "num_classes"):
            mine, others = (getattr(metric.settings, name, None) for metric in (self, other))
            if mine != others:
                raise ValueError(f"merge_state: {name}: expected {mine}, got {others}; only equal classes add up")

    def add_states(self, incoming: State) -> None:
        """Add checked states to those of the metric.

        Args:
            incoming: What :meth:`checked_states` returned.
        """
        self.settle()
        merged: State = {}
        for state, value in incoming.items():
            if not isinstance(value, Chunks):
                merged[state] = getattr(self, state) + value
                continue
            mine = self.chunks(state)
            if self.layouts[state].keyed:
                value = Chunks(renumbered(chunk, mine.num_rows, 1) for chunk in value)
            merged[state] = mine.extended(value)
        self.set_states(merged)

    def checked_states(self, incoming: Mapping[str, Any]) -> State:
        """The states of ``incoming`` on this device, or a ``ValueError`` that says what does not fit.

        Args:
            incoming: Tensors, or lists of them, by what torchmetrics calls the states.
        """
        if incoming.keys() != self.layouts.keys():
            raise ValueError(
                f"{type(self).__name__}: expected the states {sorted(self.layouts)}, got {sorted(incoming)}; "
                "only states of one configuration add up"
            )
        checked: State = {}
        for state, layout in self.layouts.items():
            value = incoming[state]
            chunks = value if isinstance(value, list) else [value]
            for chunk in chunks:
                check_tensor(f"{type(self).__name__}: state {state!r}", chunk, layout)
            moved = [chunk.to(self.device) for chunk in chunks]
            checked[state] = moved[0] if layout.width is None else Chunks(moved)
        return checked

    # ------------------------------------------------------------------------------------------------------- drawing

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the 0-d numbers of a result, or of several results over time.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` has nothing that can be drawn.
        """
        from detmetrics.show.plot import histories, pictures

        return pictures.draw(histories.Numbers(type(self).__name__), val, self.compute, ax)
