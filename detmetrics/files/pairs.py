"""Folders of predictions and of targets whose files belong together by their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detmetrics.files.label_maps import suffix_of

MOST_NAMED = 3  # files that an error lists


class Pair(NamedTuple):
    """A prediction and its target."""

    name: str  # the id of the image: what the names of both files begin with
    pred: str  # paths
    target: str


def find_pairs(
    target_folder: str | os.PathLike[str],
    preds_folder: str | os.PathLike[str],
    *,
    target_suffix: str | None = None,
    preds_suffix: str | None = None,
    by: str = "path",
) -> list[Pair]:
    """The label maps of two folders, also in folders within them, in the order of their names.

    Args:
        target_folder: Where the targets are.
        preds_folder: Where the predictions are.
        target_suffix: What the name of a target ends in behind the part that it shares with its prediction, such as
            ``"_gtFine_labelIds.png"``; other files are passed over. None: any ending that tells a format.
        preds_suffix: The same of predictions.
        by: ``"path"`` (paths from the folders on), or ``"name"`` (names alone, whatever folders they are in).

    Raises:
        OSError: if a folder cannot be read.
        ValueError: if a file has no partner or two, or there are none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for file in ("gt/a.png", "pred/a.npy"):
        ...         Path(folder, file).parent.mkdir()
        ...         Path(folder, file).touch()
        ...     [pair.name for pair in find_pairs(f"{folder}/gt", f"{folder}/pred")]
        ['a']
    """
    targets = _files(Path(target_folder), target_suffix, by)
    preds = _files(Path(preds_folder), preds_suffix, by)
    lone = sorted(targets.keys() - preds.keys()), sorted(preds.keys() - targets.keys())
    for names, own, other in ((lone[0], targets, preds_folder), (lone[1], preds, target_folder)):
        if names:
            raise ValueError(f"{own[names[0]]}: expected a partner in {os.fspath(other)}, got none{_more(names)}")
    return [Pair(name, preds[name], targets[name]) for name in sorted(targets)]


def _more(names: Sequence[str]) -> str:
    if len(names) == 1:
        return ""
    also = ", ".join(names[1 : 1 + MOST_NAMED]) + (", ..." if len(names) > 1 + MOST_NAMED else "")
    return f"; {len(names)} files have none, also {also}"


def _files(folder: Path, suffix: str | None, by: str) -> dict[str, str]:
    """Paths of label maps by the name that a pair shares."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder")
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        ending = suffix_of(path.name) if suffix is None else suffix
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not ending or not path.name.lower().endswith(ending.lower()) or not path.is_file():
            continue
        relative = Path(path.name) if by == "name" else path.relative_to(folder)
        name = relative.as_posix()[: -len(ending)]
        if name in found:
            raise ValueError(f"{path}: expected one file for {name!r}, got {found[name]} too")
        found[name] = str(path)
    if not found:
        endings = "that end in .png, .tif, .npy, .npz or .nii" if suffix is None else f"that end in {suffix}"
        raise ValueError(f"{folder}: expected label maps, got no files {endings}")
    return found
