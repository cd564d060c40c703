"""The worst images themselves, with what became of their targets and predictions."""

from __future__ import annotations

import stat
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from detmetrics.count.outcomes import Outcome
from detmetrics.files.coco import CocoData
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.page.poses import pose_path
from detmetrics.page.rows import ImageRow
from detmetrics.page.thumbnails import Mark, Size, Thumbnail, thumbnail
from detmetrics.ragged import descending_key, lexsort


def show_images(
    rows: Sequence[ImageRow], seen: EvaluationData, outcome: Outcome, data: CocoData, folder: Path
) -> list[Thumbnail | str]:
    """The images of some rows, or a text in the place of one that cannot be shown.

    Args:
        rows: Which images.
        seen: What the metric has seen.
        outcome: What became of it, to be drawn.
        data: Their boxes and the names of their files.
        folder: Where the files are.
    """
    given = {item["image_id"]: i for i, item in enumerate(data.target)}
    shown: list[Thumbnail | str] = []
    for row in rows:
        at = given.get(row.image_id)
        if at is None or not row.file_name:
            shown.append("The annotations have no file_name for this image.")
            continue
        preds, target = data.preds[at], data.target[at]
        if not _agrees(seen, row.position, preds, target):
            shown.append(f"{row.file_name}: the data have other boxes than the metric has seen")
            continue
        own = outcome_of_image(seen, outcome, row.position)
        height_width = data.sizes.get(row.image_id)
        declared = None if height_width is None else height_width[::-1]
        shown.append(_show(folder, row.file_name, marks(preds, target, own, data), declared))
    return shown


def _show(folder: Path, file_name: str, drawn: list[Mark], declared: Size | None) -> Thumbnail | str:
    try:
        return thumbnail(_find(folder.resolve(), file_name), drawn, declared)
    except OSError as error:
        return f"{file_name}: {error.strerror or error}"
    except (ValueError, RuntimeError) as error:  # a name that no file can have, or links in a circle
        return f"{file_name}: {error}"


def _find(folder: Path, file_name: str) -> Path:
    """The regular file that is meant, within the folder also after links were followed.

    Names written on Windows have backslashes, and those of a Mac may have letters and accents apart.

    Raises:
        OSError: if there is none.
    """
    slashed = file_name.replace("\\", "/")
    spellings = [unicodedata.normalize(form, name) for name in (file_name, slashed) for form in ("NFC", "NFD")]
    paths = [(folder / spelling).resolve() for spelling in (file_name, *spellings)]
    inside = [path for path in paths if path.is_relative_to(folder)]
    if not inside:  # a page that is passed on must not hold other files
        raise OSError("not in the folder of the images")
    path = next((path for path in inside if path.exists()), inside[0])
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes to it
        raise OSError("not a regular file")
    return path


def _agrees(data: EvaluationData, index: int, preds: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    """Whether an image has the labels that the metric has seen in it."""
    seen = data.labels[data.image == index], data.target_labels[data.target_image == index]
    given = preds["labels"], target["labels"]
    return all(ours.tolist() == sorted(theirs.tolist()) for ours, theirs in zip(seen, given, strict=True))


def outcome_of_image(data: EvaluationData, outcome: Outcome, index: int) -> Outcome:
    """The part of an outcome that is about one image, as indices into its own detections and targets.

    The rows of an image follow one another, so that the index of its first row is the number of rows before it.
    """

    def own(rows: Tensor, image: Tensor) -> Tensor:
        return rows[image.index_select(0, rows) == index] - (image < index).sum()

    found = data.target_image.index_select(0, outcome.target) == index
    return Outcome(
        detection=own(outcome.detection, data.image),
        target=own(outcome.target, data.target_image),
        iou=outcome.iou[found],
        wrong=own(outcome.wrong, data.image),
        missed=own(outcome.missed, data.target_image),
    )


def marks(preds: Mapping[str, Any], target: Mapping[str, Any], outcome: Outcome, data: CocoData) -> list[Mark]:
    """The boxes to draw on an image: its targets, then the predictions that count.

    Args:
        preds: ``boxes`` ``(N, 4)`` xywh pixels, ``scores`` and ``labels``, ``(N,)`` each; maybe ``keypoints``.
        target: ``boxes`` ``(M, 4)`` and ``labels`` ``(M,)``; maybe ``keypoints``.
        outcome: That of this image alone.
        data: The names of the labels, and their skeletons.
    """
    # Evaluation data have detections by label and score, and targets by label, otherwise in the order given.
    pred_order = lexsort(preds["labels"], descending_key(preds["scores"].double()))
    target_order = lexsort(target["labels"])
    target_kinds = _kinds(target_order, {"found": outcome.target, "missed": outcome.missed})
    pred_kinds = _kinds(pred_order, {"right": outcome.detection, "wrong": outcome.wrong})
    scores, drawn = preds["scores"].tolist(), []
    for i, (box, name, path) in enumerate(_shapes(target, data)):
        kind = target_kinds.get(i, "ignored")
        drawn.append(Mark(kind, box, f"target: {name}, {kind}", path))
    found = _shapes(preds, data, all_points=True)
    for i, kind in sorted(pred_kinds.items()):
        box, name, path = found[i]
        drawn.append(Mark(kind, box, f"prediction: {name} {scores[i]:.2f}, {kind}", path))
    return drawn


def _shapes(item: Mapping[str, Any], data: CocoData, all_points: bool = False) -> list[tuple[list[float], str, str]]:
    """The box of each instance, the name of its class, and the path of its keypoints; all of them, or the labelled."""
    boxes, labels = item["boxes"].tolist(), item["labels"].tolist()
    paths = [""] * len(boxes)
    if "keypoints" in item:
        points = item["keypoints"].clone()
        points[..., 2] = points[..., 2] if not all_points else 1
        lines = [data.skeletons.get(label, []) for label in labels]
        paths = [pose_path(*own) for own in zip(points.tolist(), lines, boxes, strict=True)]
    names = (data.categories[label] for label in labels)
    return list(zip(boxes, names, paths, strict=True))


def _kinds(order: Tensor, rows: Mapping[str, Tensor]) -> dict[int, str]:
    """What became of the boxes of an image, by their index in it, from rows in the order of evaluation data."""
    listed = order.tolist()
    return {listed[row]: kind for kind, which in rows.items() for row in which.tolist()}
