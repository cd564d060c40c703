"""pycocotools' ``evalImgs`` and ``ious`` from matches and overlaps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from detmetrics.compat.pycocotools.params import Params
from detmetrics.compat.pycocotools.problem import Problem, Side
from detmetrics.match.coco import Matches, counted_targets, select_bits, within
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import lexsort

Array = npt.NDArray[Any]
Entry = dict[str, Any]


class Cells(NamedTuple):
    """The cells that have detections or targets."""

    number: Tensor  # (n,) int64, ascending
    starts: list[tuple[int, int]]  # where the detections and the targets of each start
    ends: list[tuple[int, int]]


def filled_cells(problem: Problem) -> Cells:
    """The cells that are not empty."""
    sides = problem.detections.cell, problem.targets.cell
    number = torch.cat(sides).unique()
    starts, ends = (
        list(zip(*(torch.searchsorted(side, number, right=right).tolist() for side in sides), strict=True))
        for right in (False, True)
    )
    return Cells(number, starts, ends)


def make_ious(problem: Problem, cells: Cells) -> dict[tuple[Any, Any], Any]:
    """Overlaps by image id and category id: ``(D, G)`` arrays, by score and as given; [] where there is no pair."""
    overlaps = problem.overlaps(0.0)
    found: dict[tuple[Any, Any], Any] = {(i, k): [] for i in problem.images for k in problem.classes}
    all_starts, ends = (torch.tensor(x, dtype=torch.int64).view(-1, 2) for x in (cells.starts, cells.ends))
    shapes = ends - all_starts  # (n, 2): D, G
    sizes = shapes.prod(1)
    first = sizes.cumsum(0) - sizes
    cell = torch.searchsorted(cells.number, problem.targets.cell.index_select(0, overlaps.target))
    starts = all_starts[cell]  # (E, 2)
    detection, target = overlaps.detection - starts[:, 0], overlaps.target - starts[:, 1]
    flat = np.zeros(int(sizes.sum()))
    flat[(first[cell] + detection * shapes[cell, 1] + target).numpy()] = overlaps.iou.numpy()
    for number, start, (rows, columns) in zip(cells.number.tolist(), first.tolist(), shapes.tolist(), strict=True):
        if rows and columns and problem.compares:
            image, label = divmod(number, len(problem.classes))
            own = flat[start : start + rows * columns].reshape(rows, columns)
            found[problem.images[image], problem.classes[label]] = own
    return found


def make_entries(
    problem: Problem, cells: Cells, data: EvaluationData, matches: Matches, params: Params
) -> list[Entry | None]:
    """``evalImgs``: by category, area range and image, None for an empty cell."""
    num_images, num_areas, num_classes = len(problem.images), len(problem.areas), len(problem.classes)
    entries: list[Entry | None] = [None] * (num_images * num_areas * num_classes)
    for area in range(num_areas):
        columns = _columns(problem, data, matches, area)
        for number, starts, ends in zip(cells.number.tolist(), cells.starts, cells.ends, strict=True):
            image, label = divmod(number, num_classes)
            entries[(label * num_areas + area) * num_images + image] = {
                "image_id": problem.images[image],
                "category_id": problem.classes[label],
                "aRng": params.areaRng[area],
                "maxDet": params.maxDets[-1],
                **columns.between(slice(starts[0], ends[0]), slice(starts[1], ends[1])),
            }
    return entries


class _Columns(NamedTuple):
    """What the entries of one area range hold; within a cell, ignored targets stand last."""

    detection_ids: list[Any]  # N
    target_ids: list[Any]  # M
    detection_matches: Array  # (T, N) float64: the id of the target, 0 for none
    target_matches: Array  # (T, M) float64: the id of the last detection, 0 for none
    scores: list[Any]  # N
    target_ignored: Array  # (M,) int64
    detection_ignored: Array  # (T, N) bool

    def between(self, own: slice, targets: slice) -> Entry:
        """The part of an entry that is about a range of detections and of targets."""
        return {
            "dtIds": self.detection_ids[own],
            "gtIds": self.target_ids[targets],
            "dtMatches": self.detection_matches[:, own],
            "gtMatches": self.target_matches[:, targets],
            "dtScores": self.scores[own],
            "gtIgnore": self.target_ignored[targets],
            "dtIgnore": self.detection_ignored[:, own],
        }


def _columns(problem: Problem, data: EvaluationData, matches: Matches, area: int) -> _Columns:
    num_thresholds = len(problem.thresholds)
    settings = range(area * num_thresholds, (area + 1) * num_thresholds)
    hits, ignored = (select_bits(words, settings).numpy() for words in (matches.hits, matches.ignored))  # (T, n)
    detection, target = matches.detection.numpy(), matches.target.numpy()
    detection_ids, target_ids = _ids(problem.detections), _ids(problem.targets)
    threshold, row = (hits | ignored).nonzero()
    detection_matches = np.zeros((num_thresholds, len(detection_ids)))
    detection_matches[threshold, detection[row]] = target_ids[target[row]]
    target_matches = np.zeros((num_thresholds, len(target_ids)))
    # Matches go by target, then by detection: the last of a crowd region is what stays.
    target_matches[threshold, target[row]] = detection_ids[detection[row]]
    detection_ignored = np.tile(~within(data.areas, [problem.areas[area]])[0].numpy(), (num_thresholds, 1))
    detection_ignored[threshold, detection[row]] = ignored[threshold, row]
    target_ignored = (~counted_targets(data, [problem.areas[area]])[0]).long()
    order = lexsort(problem.targets.cell, target_ignored)
    return _Columns(
        [ann["id"] for ann in problem.detections.anns],
        [problem.targets.anns[i]["id"] for i in order.tolist()],
        detection_matches,
        target_matches[:, order.numpy()],
        [ann["score"] for ann in problem.detections.anns],
        target_ignored[order].numpy(),
        detection_ignored,
    )


def _ids(side: Side) -> Array:
    return np.array([ann["id"] for ann in side.anns], dtype=np.float64)
