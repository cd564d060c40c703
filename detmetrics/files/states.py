"""Files of accumulated states: written by separate machines, and added up by one that has the files."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.files.bounded import MAX_BYTES, in_bytes, too_much
from detmetrics.files.json_table import shown

FORMAT = "detmetrics state"
VERSION = 3  # 3 added the checksum; older ones had "detmetrics state 2" and the like as their format

State = dict[str, list[Tensor] | Tensor]
PathLike = str | os.PathLike[str]


def save(path: PathLike, metric: MeanAveragePrecision, settings: dict[str, Any]) -> None:
    """Write the state of a metric. On several ranks all must call it, and rank 0 writes what all of them have.

    The file has the format's name and version, the settings, the state and a SHA-256 of settings and state.

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
        content = {"settings": settings, "state": state, "checksum": checksum(settings, state)}
        with Path(path).open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **content}, file)


def load(path: PathLike, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], State]:
    """The settings and the state of a file; nothing but data is unpickled.

    Args:
        path: The file.
        max_bytes: How much a file may unpack to, if that is more than the file itself has.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no such file, is damaged, or unpacks to too much.
    """
    name = os.fspath(path)
    document = _document(name, max_bytes)
    if not isinstance(document, dict) or not str(document.get("format")).startswith(FORMAT):
        raise _no_state(name)
    version = document.get("version", document["format"])
    if not isinstance(version, int) or version != VERSION:
        raise ValueError(f"{name}: expected format version {VERSION}, got {shown(version)}; save it with this version")
    settings: Any = document.get("settings")
    state: Any = document.get("state")
    if not _is_settings(settings) or not _is_state(state):
        raise ValueError(f"{name}: expected a dict of settings and a dict of int64 states, got others")
    if document.get("checksum") != checksum(settings, state):
        raise ValueError(f"{name}: expected the content that was saved, got other: its checksum does not fit")
    return settings, state


def merge(paths: Sequence[PathLike], max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], MeanAveragePrecision]:
    """The settings of the first file, and a metric made with them that has the states of all files.

    Args:
        paths: The files, at least one.
        max_bytes: How much each file may unpack to, if that is more than the file itself has.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file is no state, or of another configuration or other classes than the first.
    """
    settings, state = load(paths[0], max_bytes)
    metric = _metric(os.fspath(paths[0]), settings)
    _add(os.fspath(paths[0]), metric, state)
    for path in paths[1:]:
        others, state = load(path, max_bytes)
        if others.get("class_names") != settings.get("class_names"):
            raise ValueError(f"{os.fspath(path)}: expected the categories of {os.fspath(paths[0])}, got others")
        _add(os.fspath(path), metric, state)
    return settings, metric


def checksum(settings: dict[str, Any], state: State) -> str:
    """A SHA-256 of settings and of names, shapes and values of a state, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=repr).encode())
    for name, value in sorted(state.items()):
        for chunk in value if isinstance(value, list) else [value]:
            digest.update(f"{name!r} {chunk.dtype} {tuple(chunk.shape)}".encode())
            digest.update(chunk.contiguous().view(-1).numpy().data)
    return digest.hexdigest()


def _document(name: str, max_bytes: int) -> Any:
    """What torch reads from a file, after a look at how much that is."""
    with Path(name).open("rb"):  # an OSError if it cannot be read
        pass
    _check_size(name, max_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's words about pickles
            return torch.load(name, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # damaged files raise errors of a dozen types in torch, zipfile and pickle
        raise _no_state(name) from error


def _check_size(name: str, max_bytes: int) -> None:
    try:
        with zipfile.ZipFile(name) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise _no_state(name) from error
    if unpacked > max(max_bytes, Path(name).stat().st_size):
        raise too_much(name, max_bytes, in_bytes(unpacked))


def _no_state(name: str) -> ValueError:
    return ValueError(f"{name}: expected a file written by --save-state")


def _is_settings(settings: Any) -> bool:
    return isinstance(settings, dict) and all(isinstance(name, str) for name in settings)


def _is_state(state: Any) -> bool:
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        return False
    tensors = [x for value in state.values() for x in (value if isinstance(value, list) else [value])]
    # A view of a small storage may claim any shape: what torch.save writes is whole.
    return all(isinstance(x, Tensor) and _is_plain(x) for x in tensors)


def _is_plain(tensor: Tensor) -> bool:
    if tensor.dtype != torch.int64 or tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _metric(name: str, settings: dict[str, Any]) -> MeanAveragePrecision:
    """A metric with settings from a file."""
    known = inspect.signature(MeanAveragePrecision).parameters
    if not settings.keys() <= known.keys():
        raise ValueError(f"{name}: settings: expected arguments of MeanAveragePrecision, got {sorted(settings)}")
    try:
        return MeanAveragePrecision(**settings)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{name}: settings: {error}") from error


def _add(name: str, metric: MeanAveragePrecision, state: State) -> None:
    """Merge a state from a file, which must not have pending rows."""
    try:
        checked = metric.checked_states(state)
        if any(len(chunk) for key in checked if "_pending_" in key for chunk in checked[key]):
            raise ValueError("expected a settled state, got pending rows")
        metric.merge_state(state)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _on_cpu(value: Any) -> Any:
    """The rows of a state as a plain list, or its totals, on the CPU."""
    return [chunk.cpu() for chunk in value] if isinstance(value, list) else value.cpu()
