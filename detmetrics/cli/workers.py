"""Work on many files in several processes: torch's data loader hands it out and brings it back in order."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from torch.utils.data import DataLoader, Dataset

from detmetrics.cli.ranks import problem

T = TypeVar("T")
R = TypeVar("R")

MOST_WORKERS = 16  # unless more are asked for
START = "fork" if sys.platform == "linux" else None  # others would import torch again in every process
AHEAD = 2  # results of each worker that wait to be taken


class _Failure(NamedTuple):
    """What a user is told about an error in a worker."""

    message: str


class _Work(Dataset[Any], Generic[T, R]):
    """Items, and what is made of each."""

    def __init__(self, function: Callable[[T], R], items: Sequence[T]) -> None:
        self.function, self.items = function, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> R | _Failure:
        try:
            return self.function(self.items[index])
        except Exception as error:
            message = problem(error)
            if message is None:
                raise
            return _Failure(message)


def _as_it_is(item: Any) -> Any:
    return item


def num_workers(asked: int | None, num_items: int) -> int:
    """How many processes to start for some items; 1 for none but this one.

    Args:
        asked: What the user says; None for one a CPU, shared with the other ranks of this machine.
        num_items: How many items there are.
    """
    if asked is None:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        ranks = os.environ.get("LOCAL_WORLD_SIZE", "1")
        asked = min(max(cpus // (int(ranks) if ranks.isdecimal() and int(ranks) else 1), 1), MOST_WORKERS)
    return max(min(asked, num_items), 1)


def in_order(function: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """What the function makes of each item, in their order.

    Args:
        function: A function of a module, or a ``partial`` of one. What it returns goes through a pipe.
        items: Few and small: every worker has all of them.
        workers: Processes; 1 for this one alone.

    Raises:
        ValueError: for the first item, in order, whose function failed because of a file, an argument or the machine.
    """
    if workers == 1 or not items:
        yield from map(function, items)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more workers than CPUs are what was asked for
        loader: DataLoader[Any] = DataLoader(
            _Work(function, items),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD,
            collate_fn=_as_it_is,
            multiprocessing_context=START,
        )
        results = iter(loader)
    try:
        for result in results:
            if isinstance(result, _Failure):
                raise ValueError(result.message)
            yield result
    except RuntimeError as error:
        if "exited unexpectedly" not in str(error) and "killed by signal" not in str(error):
            raise
        raise ValueError("a worker was ended from outside, perhaps for want of memory: try fewer --workers") from error
