"""The kinds of errors on a page: how many there are, what each costs, and the images that have most of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from detmetrics.count.outcomes import Outcome
from detmetrics.detection.analysis_settings import ErrorSettings
from detmetrics.detection.error_costs import FIXES, summarize_errors
from detmetrics.detection.error_kinds import KINDS, MISSED, errors_per_image, find_errors
from detmetrics.files.coco import CocoData
from detmetrics.page.images import show_images
from detmetrics.page.numbers import Numbers
from detmetrics.page.rows import ImageRow
from detmetrics.page.thumbnails import Thumbnail

MOST_IMAGES = 3  # of each kind


class ErrorRow(NamedTuple):
    """What is said about a kind of errors."""

    name: str
    total: int | None  # None for several kinds together
    cost: float  # in average precision
    images: list[tuple[ImageRow, int]]  # with most of them, and how many


class ShownError(NamedTuple):
    """An image with errors of one kind alone drawn on it."""

    name: str
    row: ImageRow
    total: int
    image: Thumbnail | str


class ErrorSection(NamedTuple):
    """What the page shows of errors."""

    values: Mapping[str, Tensor]  # of DetectionErrors
    rows: list[ErrorRow]
    shown: list[ShownError]


def error_section(
    numbers: Numbers, images: Sequence[ImageRow], data: CocoData | None, folder: Path | None
) -> ErrorSection:
    """The errors at the IoU threshold of the page, whatever the score.

    Args:
        numbers: What the page shows.
        images: A row for every image, in the order of the data.
        data: Boxes and names of files, if images are shown.
        folder: Where the files are; None to show none.

    Raises:
        ValueError: if the metric did not keep overlaps between classes, or none as small as needed.
    """
    if not numbers.data.across_classes:
        raise ValueError("errors: expected a metric with pairs='all', which keeps overlaps between classes")
    settings = ErrorSettings(iou_threshold=numbers.iou_threshold, class_names=numbers.point.class_names)
    values = summarize_errors(numbers.data, settings)
    columns = errors_per_image(numbers.data, settings)
    rows, shown = [], []
    for number, fix in enumerate(FIXES):
        worst: list[tuple[ImageRow, int]] = []
        if fix in KINDS:
            counts = columns[fix].tolist()
            ranked = sorted((row for row in images if counts[row.position]), key=lambda row: -counts[row.position])
            worst = [(row, counts[row.position]) for row in ranked[:MOST_IMAGES]]
        name = fix if fix in KINDS else f"all {fix.replace('_', ' ')}s"
        total = int(values[f"num_{fix}"]) if fix in KINDS else None
        rows.append(ErrorRow(name, total, values[f"dap_{fix}"].item(), worst))
        if worst and data is not None and folder is not None:
            (image,) = show_images([worst[0][0]], numbers.data, of_kind(numbers, settings, number), data, folder)
            shown.append(ShownError(name, *worst[0], image))
    return ErrorSection(values, rows, shown)


def of_kind(numbers: Numbers, settings: ErrorSettings, kind: int) -> Outcome:
    """All targets, found and missed, and of the detections those with one kind of error."""
    errors = find_errors(numbers.data, settings)
    outcome = errors.outcome
    wrong = errors.detection[errors.kind == kind]
    if kind != MISSED:
        return outcome._replace(detection=outcome.detection[:0], wrong=wrong)
    return outcome._replace(detection=outcome.detection[:0], wrong=wrong, missed=errors.missed)
