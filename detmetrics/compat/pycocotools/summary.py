"""The headline numbers of COCO and the lines that pycocotools prints."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detmetrics.compat.pycocotools.params import Params

Array = npt.NDArray[Any]


class Line(NamedTuple):
    """Which cells of the arrays a number is the mean of."""

    is_precision: bool
    limit: int | None  # position in ``maxDets``; None for a limit of ``fixed``, wherever it is
    threshold: float | None = None  # None for all
    area: str = "all"
    fixed: int = 100


AREAS = ("small", "medium", "large")
LINES = (
    Line(True, None),
    Line(True, 2, 0.5),
    Line(True, 2, 0.75),
    *(Line(True, 2, area=name) for name in AREAS),
    *(Line(False, limit) for limit in range(3)),
    *(Line(False, 2, area=name) for name in AREAS),
)
KEYPOINT_LINES = tuple(
    Line(is_precision, None, **at, fixed=20)
    for is_precision in (True, False)
    for at in ({}, {"threshold": 0.5}, {"threshold": 0.75}, {"area": "medium"}, {"area": "large"})
)


def summarize(precision: Array, recall: Array, params: Params) -> Array:
    """Print 12 lines, of keypoints 10, and return their numbers; -1 where nothing is defined.

    Args:
        precision: ``(T, R, K, A, M)``.
        recall: ``(T, K, A, M)``.
        params: Those of the arrays, with at least three limits but for keypoints.

    Raises:
        IndexError: if there are fewer limits.

    Source: pycocotools ``COCOeval.summarize``.
    """
    is_of_keypoints = params.iouType == "keypoints"
    if len(params.maxDets) < 3 and not is_of_keypoints:
        raise IndexError(f"maxDets: expected three limits for a summary, got {params.maxDets}")
    lines = KEYPOINT_LINES if is_of_keypoints else LINES
    return np.array([_print(line, precision if line.is_precision else recall, params) for line in lines])


def _print(line: Line, values: Array, params: Params) -> float:
    limit = line.fixed if line.limit is None else params.maxDets[line.limit]
    areas = [index for index, name in enumerate(params.areaRngLbl) if name == line.area]
    limits = [index for index, own in enumerate(params.maxDets) if own == limit]
    if line.threshold is not None:
        values = values[np.asarray(params.iouThrs) == line.threshold]
    cells = values[..., areas, limits]
    defined = cells[cells > -1]
    mean = float(np.mean(defined)) if len(defined) else -1.0
    title, short = ("Average Precision", "(AP)") if line.is_precision else ("Average Recall", "(AR)")
    ious = f"{params.iouThrs[0]:0.2f}:{params.iouThrs[-1]:0.2f}" if line.threshold is None else f"{line.threshold:0.2f}"
    print(f" {title:<18} {short} @[ IoU={ious:<9} | area={line.area:>6s} | maxDets={limit:>3d} ] = {mean:0.3f}")
    return mean
