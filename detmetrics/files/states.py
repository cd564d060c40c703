"""Files of accumulated states: written by separate machines, and added up by one that has the files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from detmetrics.detection.mean_ap import MeanAveragePrecision

FORMAT = "detmetrics state 2"

State = dict[str, list[Tensor] | Tensor]


def save(path: str | os.PathLike[str], metric: MeanAveragePrecision, settings: dict[str, Any]) -> None:
    """Write the state of a metric. On several ranks all must call it, and rank 0 writes what all of them have.

    Args:
        path: The file to write.
        metric: The metric whose state is saved.
        settings: The constructor's arguments that made the metric: numbers, strings, lists and dicts of them.

    Raises:
        OSError: if the file cannot be written.
    """
    with metric.synced():
        state = {name: _on_cpu(value) for name, value in metric.metric_state.items()}
    if not (dist.is_available() and dist.is_initialized() and dist.get_rank() > 0):
        with Path(path).open("wb") as file:
            torch.save({"format": FORMAT, "settings": settings, "state": state}, file)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], State]:
    """The settings and the state of a file; nothing but data is unpickled.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no such file.
    """
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)}: expected a file written by --save-state") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{os.fspath(path)}: expected a file written by --save-state ({FORMAT!r})")
    return document["settings"], document["state"]


def merge(paths: Sequence[str | os.PathLike[str]]) -> tuple[dict[str, Any], MeanAveragePrecision]:
    """The settings of the first file, and a metric made with them that has the states of all files.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file is no state, or of another configuration or other classes than the first.
    """
    settings, state = load(paths[0])
    metric = MeanAveragePrecision(**settings)
    metric.merge_state(state)
    for path in paths[1:]:
        others, state = load(path)
        if others.get("class_names") != settings.get("class_names"):
            raise ValueError(f"{os.fspath(path)}: expected the categories of {os.fspath(paths[0])}, got others")
        try:
            metric.merge_state(state)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error
    return settings, metric


def _on_cpu(value: Any) -> Any:
    """The rows of a state as a plain list, or its totals, on the CPU."""
    return [chunk.cpu() for chunk in value] if isinstance(value, list) else value.cpu()
