"""Files of accumulated states: written by separate machines, and added up by one that has the files."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from detmetrics.detection.lvis import LVISAveragePrecision
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.open_images import OpenImagesAveragePrecision
from detmetrics.files.bounded import MAX_BYTES, in_bytes, too_much
from detmetrics.files.ids import Id, as_text, from_text, not_the_numbers, numbered
from detmetrics.files.json_table import shown
from detmetrics.files.label_map_scores import LabelMapScores
from detmetrics.panoptic.quality import PanopticQuality

FORMAT = "detmetrics state"
VERSION = 4  # 3 added the checksum, 4 the ids of images; older ones had "detmetrics state 2" and the like as format

State = dict[str, list[Tensor] | Tensor]
PathLike = str | os.PathLike[str]


class Evaluation(Protocol):
    """What is saved: a metric, or several that are updated together."""

    image_ids: Mapping[int, Id]

    @property
    def layouts(self) -> dict[str, Any]:
        """What the states hold, by name."""

    @property
    def metric_state(self) -> Any:
        """The states by name."""

    def synced(self) -> AbstractContextManager[Any]:
        """The states of all ranks within a block."""

    def checked_states(self, incoming: Mapping[str, Any]) -> Any:
        """States from elsewhere, or a ``ValueError``."""

    def merge_state(self, incoming_state: Any) -> None:
        """Add states."""


# By the name of the class; a file without one is of the first.
_KINDS = (MeanAveragePrecision, LVISAveragePrecision, OpenImagesAveragePrecision, LabelMapScores, PanopticQuality)
KINDS: dict[str, Any] = {kind.__name__: kind for kind in _KINDS}
FIRST_KIND = next(iter(KINDS))


class Saved(NamedTuple):
    """What a file holds."""

    settings: dict[str, Any]  # the constructor's arguments
    state: State
    image_ids: dict[int, Id]  # by the numbers in the state; empty where these are the ids
    kind: str = FIRST_KIND


def save(path: PathLike, metric: Evaluation, settings: dict[str, Any]) -> None:
    """Write the state of a metric. On several ranks all must call it, and rank 0 writes what all of them have.

    The file has the format's name and version, the name of the metric's class, the settings, the state, the ids of
    images that are no numbers of 0 or more, and a SHA-256 of all of these.

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
        image_ids = as_text(metric.image_ids)
        kind = type(metric).__name__
        signed = {"metric": kind, "image_ids": image_ids, "checksum": checksum(settings, state, image_ids, kind)}
        with Path(path).open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, "settings": settings, "state": state, **signed}, file)


def load(path: PathLike, max_bytes: int = MAX_BYTES) -> Saved:
    """The settings, the state and the ids of a file; nothing but data is unpickled.

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
    image_ids, kind = document.get("image_ids"), document.get("metric", FIRST_KIND)
    if document.get("checksum") != checksum(settings, state, image_ids, str(kind)):
        raise ValueError(f"{name}: expected the content that was saved, got other: its checksum does not fit")
    try:
        return Saved(settings, state, from_text(image_ids), str(kind))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def merge(paths: Sequence[PathLike], max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], Any]:
    """The settings of the first file, and a metric made with them that has the states of all files.

    Images are the same if their ids in the evaluated files were, whatever numbers stood for these in each state.

    Args:
        paths: The files, at least one.
        max_bytes: How much each file may unpack to, if that is more than the file itself has.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file is no state, or of another configuration or other classes than the first.
    """
    files = {os.fspath(path): load(path, max_bytes) for path in paths}
    first, settings = os.fspath(paths[0]), files[os.fspath(paths[0])].settings
    kind = files[first].kind
    metric = _metric(first, kind, settings)
    for name, saved in files.items():
        if saved.kind != kind:
            raise ValueError(f"{name}: expected a state of {kind} as in {first}, got one of {shown(saved.kind)}")
        if saved.settings.get("class_names") != settings.get("class_names"):
            raise ValueError(f"{name}: expected the categories of {first}, got others")
        _check(name, metric, saved.state)
    if any(saved.image_ids for saved in files.values()):
        metric.image_ids = _number_together(files, [state for state, kind in metric.layouts.items() if kind.keyed])
    for path in paths:
        metric.merge_state(files[os.fspath(path)].state)
    return settings, metric


def checksum(settings: dict[str, Any], state: State, image_ids: Any, kind: str = FIRST_KIND) -> str:
    """A SHA-256 of settings, of ids as text, and of names, shapes and values of a state, in hexadecimal."""
    head = [settings, image_ids] if kind == FIRST_KIND else [settings, image_ids, kind]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True, default=repr).encode())
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


def _metric(name: str, kind: str, settings: dict[str, Any]) -> Any:
    """A metric with settings from a file."""
    if kind not in KINDS:
        raise ValueError(f"{name}: expected a state of {', '.join(KINDS)}, got one of {shown(kind)}")
    known = inspect.signature(KINDS[kind]).parameters
    if not settings.keys() <= known.keys():
        raise ValueError(f"{name}: settings: expected arguments of {kind}, got {sorted(settings)}")
    try:
        return KINDS[kind](**settings)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{name}: settings: {error}") from error


def _check(name: str, metric: Evaluation, state: State) -> None:
    """Raise unless a state from a file can be merged; it must not have pending rows."""
    try:
        checked = metric.checked_states(state)
        if any(len(chunk) for key in checked if "_pending_" in key for chunk in checked[key]):
            raise ValueError("expected a settled state, got pending rows")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _number_together(files: dict[str, Saved], keyed: list[str]) -> dict[int, Id]:
    """Let one number stand for an id in all states, in place, and return the ids by these numbers."""
    ids = {}
    for name, saved in files.items():
        keys = torch.cat([chunk[:, 0] for state in keyed for chunk in saved.state[state]] or [torch.zeros(0)])
        own = {key: key for key in keys.unique().tolist() if key >= 0}
        ids[name] = saved.image_ids or own
        if not own.keys() <= ids[name].keys():
            lacking = min(own.keys() - ids[name].keys())
            raise ValueError(f"{name}: image_ids: expected ids of all images, got none for the number {lacking}")
    numbers = numbered(i for own in ids.values() for i in own.values())
    for name, saved in files.items():
        old = torch.tensor(sorted(ids[name]), dtype=torch.int64)
        new = torch.tensor([numbers[ids[name][number]] for number in old.tolist()], dtype=torch.int64)
        for state in keyed:
            saved.state[state] = [_renumbered(chunk, old, new) for chunk in saved.state[state]]
    return not_the_numbers({number: i for i, number in numbers.items()})


def _renumbered(rows: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Rows of images whose keys are new numbers for old ones, ascending; images without an id stay as they are."""
    keys = rows[:, 0]
    has_id = keys >= 0
    found = keys.clone()
    found[has_id] = new[torch.searchsorted(old, keys[has_id])]
    return torch.cat([found[:, None], rows[:, 1:]], dim=1)


def _on_cpu(value: Any) -> Any:
    """The rows of a state as a plain list, or its totals, on the CPU."""
    return [chunk.cpu() for chunk in value] if isinstance(value, list) else value.cpu()
