"""COCO's panoptic format: JSON files of segments, and PNG files whose colours are segment ids."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detmetrics.files.bounded import MAX_BYTES, in_bytes, too_much
from detmetrics.files.ids import Id
from detmetrics.files.json_table import FLAG, ID, TEXT, Kind, read, shown, whole

LABEL = Kind("an integer below 2**63", lambda value: type(value) is int and -(2**63) <= value < 2**63, whole)
SEGMENT = Kind("an integer from 1 to 2**24 - 1", lambda value: type(value) is int and 0 < value < 1 << 24, whole)


class Side(NamedTuple):
    """The segments of an image, and where their pixels are."""

    path: str
    segments: list[dict[str, int]]  # id, category_id, iscrowd


class PanopticImage(NamedTuple):
    """What is known of an image."""

    image_id: Id
    pred: Side
    target: Side


@dataclass(frozen=True)
class PanopticFiles:
    """What two JSON files say.

    Attributes:
        things: Labels of the classes of things.
        stuffs: Labels of those of stuff.
        class_names: A distinct name for each label.
        images: In the order of their ids.
    """

    things: list[int]
    stuffs: list[int]
    class_names: dict[int, str]
    images: list[PanopticImage]


def read_panoptic(
    target: str | os.PathLike[str],
    preds: str | os.PathLike[str],
    *,
    target_folder: str | os.PathLike[str] | None = None,
    preds_folder: str | os.PathLike[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> PanopticFiles:
    """Read the JSON files of COCO's panoptic format; no PNG file is read.

    Args:
        target: The path of the targets: ``categories`` (``id``, ``name``, ``isthing``) and ``annotations``
            (``image_id``, ``file_name``, ``segments_info``).
        preds: The path of the predictions: ``annotations``.
        target_folder: Where the PNG files of the targets are; None for the path without its ending, as in panopticapi.
        preds_folder: The same of the predictions.
        max_bytes: How much a gzipped file may unpack to.

    Raises:
        OSError: if a file or folder cannot be read.
        ValueError: if a file has another form, or a target has no prediction; one line that names the file.
    """
    document = _document(target, max_bytes)
    classes = _categories(str(target), document)
    wanted = _annotations(str(target), document, _folder(target, target_folder), classes)
    found = _annotations(str(preds), _document(preds, max_bytes), _folder(preds, preds_folder), classes)
    missing = [image_id for image_id in wanted if image_id not in found]
    if missing:
        also = f"; {len(missing)} images have none" if len(missing) > 1 else ""
        raise ValueError(f"{preds}: annotations: expected one for image_id {missing[0]!r}, got none{also}")
    unknown = [image_id for image_id in found if image_id not in wanted]
    if unknown:
        warnings.warn(
            f"{preds}: annotations: {len(unknown)} are of images that {target} does not have, such as image_id "
            f"{unknown[0]!r}: left out",
            stacklevel=2,
        )
    order = sorted(wanted, key=lambda image_id: (isinstance(image_id, str), image_id))
    return PanopticFiles(
        things=[label for label, (_, isthing) in classes.items() if isthing],
        stuffs=[label for label, (_, isthing) in classes.items() if not isthing],
        class_names={label: name for label, (name, _) in classes.items()},
        images=[PanopticImage(image_id, found[image_id], wanted[image_id]) for image_id in order],
    )


def read_segment_ids(path: str, max_bytes: int = MAX_BYTES) -> NDArray[np.int32]:
    """The segment ids of a PNG file, (H, W): R + 256 G + 65536 B.

    Raises:
        ImportError: if Pillow is missing.
        OSError: if the file cannot be read.
        ValueError: if it is damaged, too large or has no colours.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('PNG files need pillow: pip install "detmetrics[cli]"') from error
    with Path(path).open("rb"):  # an OSError if it cannot be read
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about metadata and about sizes that are bounded here
            with Image.open(path, formats=["PNG"]) as image:
                if image.mode not in ("RGB", "RGBA"):
                    raise ValueError(f"{path}: expected colours, R + 256 G + 65536 B, got mode {image.mode}")
                size = image.size[0] * image.size[1] * 4
                if size > max(max_bytes, Path(path).stat().st_size):
                    raise too_much(path, max_bytes, in_bytes(size))
                colours = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make Pillow raise anything
        text = str(error) or type(error).__name__
        raise ValueError(text if text.startswith(path) else f"{path}: cannot read it: {text}") from error
    ids = colours[..., 0].astype(np.int32)
    ids += colours[..., 1].astype(np.int32) << 8
    ids += colours[..., 2].astype(np.int32) << 16
    return ids


def _document(path: str | os.PathLike[str], max_bytes: int) -> Mapping[str, Any]:
    name, document = read(path, "", max_bytes)
    if not isinstance(document, dict):
        raise ValueError(f"{name}: expected an object with annotations, got {shown(document)}")
    return document


def _folder(path: str | os.PathLike[str], folder: str | os.PathLike[str] | None) -> Path:
    name = os.fspath(path)
    chosen = Path(name.removesuffix(".gz").removesuffix(".json") if folder is None else folder)
    if not chosen.is_dir():
        raise NotADirectoryError(f"{chosen}: expected the folder with the PNG files of {name}")
    return chosen.resolve()


def _entries(where: str, parent: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = parent.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{where}: expected a list of objects as {key!r}, got {shown(entries)}")
    return entries


def _value(where: str, entry: Mapping[str, Any], key: str, kind: Kind, default: Any = None) -> Any:
    if key not in entry and default is None:
        raise ValueError(f"{where}: expected {kind.expected} as {key!r}, got no such key")
    value = kind.plain(entry.get(key, default))
    if not kind.accepts(value):
        raise ValueError(f"{where}: expected {kind.expected} as {key!r}, got {shown(value)}")
    return value


def _categories(name: str, document: Mapping[str, Any]) -> dict[int, tuple[str, bool]]:
    """The name of each label, distinct, and whether it is a thing."""
    classes: dict[int, tuple[str, bool]] = {}
    taken: set[str] = set()
    for i, entry in enumerate(_entries(name, document, "categories")):
        where = f"{name}: categories: entry {i}"
        label = _value(where, entry, "id", LABEL)
        if label in classes:
            raise ValueError(f"{where}: expected distinct ids, got {label} twice")
        title = _value(where, entry, "name", TEXT)
        title = f"{title} ({label})" if title in taken else title
        taken.add(title)
        classes[label] = title, bool(_value(where, entry, "isthing", FLAG))
    if not classes:
        raise ValueError(f"{name}: categories: expected some, got none")
    return dict(sorted(classes.items()))


def _annotations(name: str, document: Mapping[str, Any], folder: Path, classes: Mapping[int, Any]) -> dict[Id, Side]:
    found: dict[Id, Side] = {}
    for i, entry in enumerate(_entries(name, document, "annotations")):
        where = f"{name}: annotations: entry {i}"
        image_id = _value(where, entry, "image_id", ID)
        if image_id in found:
            raise ValueError(f"{where}: expected one annotation for each image, got image_id {image_id!r} again")
        path = folder / _value(where, entry, "file_name", TEXT)
        if not path.resolve().is_relative_to(folder):
            raise ValueError(f"{where}: expected a file_name within {folder}, got {shown(entry['file_name'])}")
        found[image_id] = Side(str(path), [_segment(where, j, s, classes) for j, s in _numbered(where, entry)])
    return found


def _numbered(where: str, entry: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    return list(enumerate(_entries(where, entry, "segments_info")))


def _segment(where: str, number: int, entry: Mapping[str, Any], classes: Mapping[int, Any]) -> dict[str, int]:
    where = f"{where}: segments_info: entry {number}"
    segment = {
        "id": _value(where, entry, "id", SEGMENT),
        "category_id": _value(where, entry, "category_id", LABEL),
        "iscrowd": int(_value(where, entry, "iscrowd", FLAG, 0)),
    }
    if segment["category_id"] not in classes:
        raise ValueError(f"{where}: expected a category_id of the categories, got {segment['category_id']}")
    return segment
