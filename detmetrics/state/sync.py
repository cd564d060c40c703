"""One gather: the states of one or of several metrics in one vector, and the vectors of all ranks joined."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from detmetrics.state.rows import Chunks, Layout, renumbered

State = dict[str, Any]  # Chunks of rows, or a tensor of totals
Layouts = Mapping[str, Layout]
Gather = Callable[[Tensor], "list[Tensor]"]  # a vector of this rank into those of all ranks

FAILED = -1  # stands in the header of a rank that could not pack its states


def synchronise(
    prepare: Callable[[], Sequence[State]],
    layouts: Sequence[Layouts],
    description: Mapping[str, str],
    gather: Gather,
    device: torch.device,
) -> list[State]:
    """Gather the states of all ranks and join them.

    Args:
        prepare: Gives the states of this rank, one for each of ``layouts``. If it raises, all ranks raise.
        layouts: What the states hold.
        description: What must agree between the ranks: an attribute and its value as text.
        gather: Collects a vector of every rank, in the order of ranks.
        device: Where the vector is made.

    Returns:
        The joined states: rows one rank after the other, totals added. Image j in order of arrival on rank r of W is
        image ``r + j * W`` of the joined rows, the order in which samplers deal images out.

    Raises:
        RuntimeError: on all ranks, if one of them failed, or if the ranks differ in an attribute.
    """
    failure: Exception | None = None
    digest = zlib.crc32(repr(sorted(description.items())).encode())
    try:
        packed = _pack(prepare(), layouts, digest, device)
    except Exception as error:  # the other ranks wait in the gather: tell them, then raise
        failure, packed = error, torch.tensor([FAILED], device=device)
    vectors = gather(packed)
    if failure is not None:
        raise failure
    heads = [int(vector[0]) for vector in vectors]
    if FAILED in heads:
        raise RuntimeError(f"rank {heads.index(FAILED)} could not contribute its state; see its error")
    if any(head != digest for head in heads):
        _raise_difference(description, gather, device)
    ranks = [_unpack(vector, layouts) for vector in vectors]
    return [_joined(states, own) for states, own in zip(zip(*ranks, strict=True), layouts, strict=True)]


class Syncable(Protocol):
    """What a metric offers to be synchronised."""

    layouts: dict[str, Layout]
    local_version: Any  # of this rank's state while the metric is synced
    dist_sync_fn: Any
    process_group: Any

    @property
    def device(self) -> Any:
        """Where the states are."""

    @property
    def metric_state(self) -> Any:
        """The states by name."""

    def version(self) -> Any:
        """Equal as long as the state is the same; pending work is settled."""

    def description(self) -> dict[str, str]:
        """What must agree between the ranks."""

    def set_states(self, states: Mapping[str, Any]) -> None:
        """Assign states."""


def sync_together(
    leaders: Sequence[Syncable],
    metrics: Sequence[Syncable],
    dist_sync_fn: Callable[..., list[Tensor]] | None = None,
    process_group: Any = None,
) -> None:
    """Give metrics the states of all ranks, in one gather.

    Args:
        leaders: One metric for each state that is shared.
        metrics: All metrics; each shares its states with one of the leaders.
        dist_sync_fn: Gathers a tensor from all ranks; torchmetrics' by default.
        process_group: The group of ranks; None for that of the first leader.

    Raises:
        RuntimeError: if this rank is not in the group, or as in :func:`synchronise`.
    """
    first = leaders[0]
    group = process_group or first.process_group
    function = dist_sync_fn or first.dist_sync_fn or gather_all_tensors
    if function is gather_all_tensors:
        _check_member(type(first).__name__, group)
    gather = functools.partial(function, group=group)

    def prepare() -> list[State]:
        for metric in leaders:
            metric.local_version = metric.version()
        return [dict(metric.metric_state) for metric in leaders]

    description = {f"{i}: {key}": text for i, m in enumerate(metrics) for key, text in m.description().items()}
    layouts = [metric.layouts for metric in leaders]
    joined = synchronise(prepare, layouts, description, gather, first.device)
    by_states = {tuple(metric.layouts): i for i, metric in enumerate(leaders)}
    for metric in metrics:
        leader = by_states[tuple(metric.layouts)]
        metric.local_version = leaders[leader].local_version
        metric.set_states(joined[leader])


def _check_member(name: str, group: Any) -> None:
    """Raise if this rank is not in a group of ``torch.distributed``, where nothing could be gathered from it."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if group is None or not distributed or torch.distributed.get_rank(group) >= 0:
        return
    rank, is_group = torch.distributed.get_rank(), isinstance(group, torch.distributed.ProcessGroup)
    shown = repr(group) if is_group else "what new_group() returns to ranks outside of a group"
    raise RuntimeError(
        f"{name}: process_group: expected a group with rank {rank}, got {shown}; call compute() and sync() "
        "on the ranks of the group alone, or make the metric with sync_on_compute=False on the others"
    )


def _pack(states: Sequence[State], layouts: Sequence[Layouts], digest: int, device: torch.device) -> Tensor:
    """``[digest, number of rows of each list of rows, every row and total]``, (L,) int64."""
    header, body = [digest], []
    for state, own in zip(states, layouts, strict=True):
        for name, layout in own.items():
            value = state[name]
            if layout.width is not None:
                value = value.joined(layout.width, device) if isinstance(value, Chunks) else value
                header.append(len(value))
            body.append(value.to(device).flatten())
    return torch.cat([torch.tensor(header, device=device), *body])


def _unpack(vector: Tensor, layouts: Sequence[Layouts]) -> list[dict[str, Tensor]]:
    at = 1 + sum(layout.width is not None for own in layouts for layout in own.values())
    num_rows = iter(vector[1:at].tolist())
    states: list[dict[str, Tensor]] = []
    for own in layouts:
        states.append({})
        for name, layout in own.items():
            shape = layout.shape if layout.width is None else (next(num_rows), layout.width)
            end = at + torch.Size(shape).numel()
            states[-1][name], at = vector[at:end].view(shape), end
    return states


def _joined(ranks: Sequence[Mapping[str, Tensor]], layouts: Layouts) -> State:
    joined: State = {}
    for name, layout in layouts.items():
        parts = [rank[name] for rank in ranks]
        if layout.width is None:
            joined[name] = torch.stack(parts).sum(dim=0)
        else:
            strides = range(len(ranks))
            joined[name] = Chunks(
                renumbered(part, r, len(ranks)) if layout.keyed else part
                for r, part in zip(strides, parts, strict=True)
            )
    return joined


def _raise_difference(description: Mapping[str, str], gather: Gather, device: torch.device) -> None:
    """Raise an error that says which attribute differs between which ranks; every rank comes here."""
    text = "\0".join(part for item in description.items() for part in item).encode()
    texts = [bytes(vector.tolist()).decode() for vector in gather(torch.tensor(list(text), device=device))]
    ranks = [dict(zip(parts[::2], parts[1::2], strict=True)) for parts in (text.split("\0") for text in texts)]
    for rank, other in enumerate(ranks):
        for name in {**ranks[0], **other}:
            values = ranks[0].get(name, "nothing"), other.get(name, "nothing")
            if values[0] != values[1]:
                raise RuntimeError(
                    f"{name}: expected the same on all ranks, got {values[0]} on rank 0 and {values[1]} on rank {rank}"
                )
    raise RuntimeError("expected the same metrics on all ranks")
