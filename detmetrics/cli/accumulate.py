"""Images in files, read and counted by workers: each makes states of some of them, and states add up."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from detmetrics.cli.evaluate import device_of
from detmetrics.cli.output import tell, with_progress
from detmetrics.cli.ranks import num_ranks, on_all_ranks, rank
from detmetrics.cli.workers import in_order, num_workers
from detmetrics.state.threads import one_thread

MOST_TOGETHER = 8  # images whose states a worker sends at once
TURNS = 4  # of a worker at least, so that all of them end at about the same time

Item = Any  # what names an image
Content = Any  # what its files hold


def accumulate(
    scores: Any,
    make: Callable[[], Any],
    read: Callable[[Item], Content],
    add: Callable[[Any, Item, Content], None],
    items: Sequence[Item],
    arguments: argparse.Namespace,
) -> None:
    """Add the images of this shard, each rank its own part of them.

    On a CPU workers read and count, so that no pixel leaves them; for another device they read alone.

    Args:
        scores: What they are added to.
        make: Makes empty scores in a worker.
        read: Reads the files of an image.
        add: Adds an image to scores.
        items: The images.
        arguments: ``shard``, ``workers``, ``device`` and ``quiet``.
    """
    index, count = arguments.shard
    shard = items[index::count]
    if not shard:
        tell(f"warning: shard {index}/{count} has none of the {len(items)} images; its numbers are undefined")
    own = shard[rank() :: num_ranks()]
    on_all_ranks(lambda: _add_all(scores, make, read, add, own, arguments))


def _add_all(scores: Any, make: Any, read: Any, add: Any, items: Sequence[Item], arguments: argparse.Namespace) -> None:
    for _ in with_progress(
        _added(scores, make, read, add, items, arguments), len(items), arguments.quiet or rank() > 0
    ):
        pass


def _added(
    scores: Any, make: Any, read: Any, add: Any, items: Sequence[Item], arguments: argparse.Namespace
) -> Iterator[int]:
    """Add images; how many at a time."""
    workers = num_workers(arguments.workers, len(items))
    if device_of(arguments).type == "cpu":
        together = max(min(MOST_TOGETHER, len(items) // (TURNS * workers)), 1)
        groups = [items[at : at + together] for at in range(0, len(items), together)]
        states = in_order(functools.partial(_state, make, read, add), groups, workers)
        for group, state in zip(groups, states, strict=True):
            scores.merge_state({name: _tensors(value) for name, value in state.items()})
            yield len(group)
        return
    contents = in_order(read, items, workers)
    for item, content in zip(items, contents, strict=True):
        add(scores, item, content)
        yield 1


def _state(make: Any, read: Any, add: Any, group: Sequence[Item]) -> dict[str, Any]:
    """The state of some images, as arrays: tensors would keep a file open each until they are taken."""
    scores = make()
    with one_thread():  # the time is that of reading, and other processes read too
        for item in group:
            add(scores, item, read(item))
    return {
        name: [chunk.numpy() for chunk in value] if isinstance(value, list) else value.numpy()
        for name, value in scores.metric_state.items()
    }


def _tensors(value: Any) -> Any:
    return [torch.from_numpy(chunk) for chunk in value] if isinstance(value, list) else torch.from_numpy(value)
