"""Between our collection and ``torchmetrics.MetricCollection``, with its private parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torchmetrics

from detmetrics.state.sync import sync_together
from detmetrics.state.torchmetrics import Adapter


def share_states(collection: torchmetrics.MetricCollection) -> None:
    """Let the metrics of a collection share a state whose layouts, ranks and settings of synchronising agree.

    A metric that has seen data keeps its own state.
    """
    if not collection._enable_compute_groups:
        return
    groups: dict[Any, list[str]] = {}
    for name, metric in collection._modules.items():
        own: Any = name
        if isinstance(metric, Adapter) and metric.layouts and not metric.update_called:
            own = (*metric.layouts, metric.sync_on_compute, metric.process_group, metric.dist_sync_fn)
        groups.setdefault(own, []).append(name)
    collection._groups = dict(enumerate(groups.values()))
    collection._groups_checked = True


def update_groups(collection: torchmetrics.MetricCollection, *args: Any, **kwargs: Any) -> None:
    """Update one metric for each state, and give its states to those that share them."""
    groups = collection._groups.values() if collection._groups else [[name] for name in collection._modules]
    for names in groups:
        members: list[Any] = [collection._modules[name] for name in names]
        leader, *others = members
        leader.update(*args, **leader._filter_kwargs(**kwargs))
        for metric in others:
            metric.set_states(leader.metric_state)
            metric._update_count = leader._update_count
    collection._state_is_copy = False


def sync_collection(metrics: Sequence[Adapter]) -> list[Adapter]:
    """Sync the metrics of a collection in one gather, unless all results are known; those that are synced now."""
    waiting = [metric for metric in metrics if metric.waits_for_ranks() and not metric._is_synced]
    if all(metric._has_result() or metric.is_gathered() for metric in waiting):
        return []
    for metric in waiting:
        metric._cache = metric._copy_state_dict()
    leaders = {tuple(metric.layouts): metric for metric in reversed(waiting)}  # the first one of each state
    sync_together(list(leaders.values()), waiting)
    for metric in waiting:
        metric._is_synced = True
    return waiting


def flat_name(collection: torchmetrics.MetricCollection, name: str) -> str:
    """A key of a result with the collection's prefix and postfix."""
    return collection._set_name(name)
