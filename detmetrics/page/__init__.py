"""The page that ``--html`` writes: one file that needs no network, with numbers, curves and the worst images."""

from __future__ import annotations

import os
from pathlib import Path

from detmetrics import __version__, arguments
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.operating_point import outcomes
from detmetrics.files.coco import CocoData
from detmetrics.reduce.averages import average
from detmetrics.show.tables import TITLES, headlines

try:
    from detmetrics.page.environment import environment
    from detmetrics.page.errors import error_section
    from detmetrics.page.figures import draw_figures, errors_picture
    from detmetrics.page.images import show_images
except ImportError as error:
    raise ImportError(f'a page needs {error.name}: pip install "detmetrics[html]"') from error

from detmetrics.page.numbers import FORMULAS, read_numbers
from detmetrics.page.rows import class_rows, confusions, image_rows, worst_images

__all__ = ["render"]


def render(
    metric: MeanAveragePrecision,
    *,
    title: str = "Detection results",
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
    worst: int = 12,
    data: CocoData | None = None,
    images: str | os.PathLike[str] | None = None,
    errors: bool = False,
) -> str:
    """The results of a metric as one HTML page that loads nothing; equal results give equal bytes.

    It shows COCO's numbers, the best score thresholds, curves, a sortable table of the classes, the confusion matrix if
    the metric keeps overlaps between classes (``pairs="all"``), and the worst images by F1. Under
    ``torch.distributed`` all ranks must call it, and each returns the page of all images.

    Args:
        metric: A metric that has seen the images, of one ``iou_type`` and not ``class_agnostic``.
        title: The heading of the page.
        iou_threshold: The overlap that a match needs; COCO's numbers have their own.
        score_threshold: The operating point: detections that score at least as much are counted. None: where F1 is
            best, all classes pooled.
        worst: How many images to show.
        data: What the metric has seen, for file names and for what is drawn on images.
        images: The folder with the regular files that ``data.file_names`` names, to show the images themselves, turned
            and scaled to the sizes that ``data.sizes`` declares. Links out of the folder are not followed. Where a file
            cannot be read, or has another shape than is declared, the page says so.
        errors: Whether to show the kinds of errors (see :class:`detmetrics.DetectionErrors`), what each costs, and the
            images that have most of it; the metric must keep overlaps between classes (``pairs="all"``).

    Returns:
        The page: 0.2 MB for a few classes, 0.7 MB for COCO, and some 40 kB per image.

    Raises:
        NotADirectoryError: if ``images`` is no folder.
        ValueError: if the metric or another argument does not fit, or there are ``images`` without ``data``.

    Example:
        >>> from detmetrics import demo
        >>> metric = MeanAveragePrecision(class_names=["cat", "dog"], pairs="all")
        >>> metric.update(*demo.generate(num_images=4, num_detections=8, num_classes=2))
        >>> page = render(metric, title="Cats & dogs")
        >>> "<h1>Cats &amp; dogs</h1>" in page, "http://" in page
        (True, False)
    """
    _check_metric(metric, data)
    _check_images(images, data)
    iou_threshold = _checked_iou_threshold(iou_threshold, metric)
    if score_threshold is not None:
        score_threshold = arguments.number("score_threshold", score_threshold)
    if not isinstance(worst, int) or worst < 0:
        raise ValueError(f"worst: expected an int of 0 or more, got {worst!r}")

    numbers = read_numbers(metric, iou_threshold, score_threshold)
    every = image_rows(numbers.per_image, data, metric.image_ids)
    rows = worst_images(every, worst)
    folder = None if images is None else Path(images)
    section = error_section(numbers, every, data, folder) if errors else None
    outcome = outcomes(numbers.data, numbers.point)
    values = {name: value.item() for name, value in numbers.results.items() if value.ndim == 0}
    return (
        environment()
        .get_template("report.html")
        .render(
            title=title,
            version=__version__,
            iou_type=metric.iou_types[0],
            numbers=numbers,
            coco=headlines(values, numbers.iou_thresholds),
            titles=TITLES,
            scalars={name: value.item() for name, value in numbers.curves.scalars().items()},
            micro={name: average(f, numbers.counts, average="micro").item() for name, f in FORMULAS.items()},
            counts=[int(part.sum()) for part in numbers.counts],
            classes=class_rows(numbers),
            figures=draw_figures(numbers, values) | ({} if section is None else errors_picture(section.values)),
            errors=section,
            confusions=confusions(numbers),
            rows=rows,
            shown=[] if folder is None or data is None else show_images(rows, numbers.data, outcome, data, folder),
        )
    )


def _check_metric(metric: MeanAveragePrecision, data: CocoData | None) -> None:
    if len(metric.iou_types) > 1 or metric.class_agnostic:
        raise ValueError(
            "metric: expected one iou_type and class_agnostic=False, got "
            f"{metric.iou_types} and class_agnostic={metric.class_agnostic}"
        )
    if data is not None and metric.box_format != "xywh":
        raise ValueError(f"metric: expected box_format='xywh', that of the data, got {metric.box_format!r}")


def _check_images(images: str | os.PathLike[str] | None, data: CocoData | None) -> None:
    if images is not None and not Path(images).is_dir():
        raise NotADirectoryError(f"images: expected a folder, got {os.fspath(images)!r}")
    if images is not None and data is None:
        raise ValueError("images: expected data with them, which have the names of the files and the boxes")


def _checked_iou_threshold(iou_threshold: float, metric: MeanAveragePrecision) -> float:
    iou_threshold = arguments.overlap_threshold("iou_threshold", iou_threshold)
    if iou_threshold < metric.floor:
        raise ValueError(f"iou_threshold: expected {metric.floor} or more, what the metric keeps, got {iou_threshold}")
    return iou_threshold
