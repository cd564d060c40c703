"""The page that ``--html`` writes: one file that needs no network, with numbers, curves and the worst images."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree

import torch
from torch import Tensor

from detmetrics import __version__, checks, plot
from detmetrics.coco import CocoData
from detmetrics.detection.base import DetectionMetric
from detmetrics.detection.confusion import DetectionConfusionMatrix
from detmetrics.detection.curves import DetectionCurves, ScoreCurves
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.operating_point import OperatingPointMetric
from detmetrics.detection.outcome import Counts, Outcome
from detmetrics.detection.report import FORMULAS
from detmetrics.ops import scores
from detmetrics.ops.scores import defined_mean
from detmetrics.report import TITLES, headlines

try:
    import matplotlib as mpl
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from detmetrics.thumbnails import Thumbnail, marks, thumbnail
except ImportError as error:
    raise ImportError(f'a page needs {error.name}: pip install "detmetrics[html]"') from error

M = TypeVar("M", bound=DetectionMetric)

MOST_IN_MATRIX = 200  # classes; the picture of more could not be read
MOST_CONFUSIONS = 15


def render(
    metric: MeanAveragePrecision,
    *,
    title: str = "Detection results",
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
    worst: int = 12,
    data: CocoData | None = None,
    images: str | os.PathLike[str] | None = None,
) -> str:
    """The results of a metric as one HTML page that loads nothing; equal results give equal bytes.

    It shows COCO's numbers, the best score thresholds, curves, a row a class to sort by, the confusion matrix if the
    metric keeps overlaps between classes (``pairs="all"``), and the worst images by F1. Under ``torch.distributed``
    all ranks must call it, and each returns the page of all images.

    Args:
        metric: What has seen the images: of one ``iou_type``, and not ``class_agnostic``.
        title: What the page is about.
        iou_threshold: The overlap that a match needs; COCO's numbers have their own.
        score_threshold: The operating point, for whatever counts detections. None: where F1 is best, all classes
            pooled.
        worst: How many images to show.
        data: What the metric has seen, for file names and for what is drawn on images.
        images: The folder with the files that ``data.file_names`` names, to show the images themselves. Where one
            cannot be read, the page says so.

    Returns:
        The page: 0.2 MB for a few classes, 0.7 MB for COCO, and some 40 kB an image.

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
    if len(metric.iou_types) > 1 or metric.class_agnostic:
        raise ValueError(
            "metric: expected one iou_type and class_agnostic=False, got "
            f"{metric.iou_types} and class_agnostic={metric.class_agnostic}"
        )
    if images is not None and not Path(images).is_dir():
        raise NotADirectoryError(f"images: expected a folder, got {os.fspath(images)!r}")
    if images is not None and data is None:
        raise ValueError("images: expected data with them, which have the names of the files and the boxes")
    if data is not None and metric.box_format != "xywh":
        raise ValueError(f"metric: expected box_format='xywh', that of the data, got {metric.box_format!r}")
    (iou_threshold,) = checks.check_fractions("iou_threshold", [iou_threshold])
    if iou_threshold < metric.floor:
        raise ValueError(f"iou_threshold: expected {metric.floor} or more, what the metric keeps, got {iou_threshold}")
    if score_threshold is not None:
        score_threshold = checks.check_number("score_threshold", score_threshold)
    if not isinstance(worst, int) or worst < 0:
        raise ValueError(f"worst: expected an int of 0 or more, got {worst!r}")
    readers = _Readers(metric)
    numbers = _numbers(readers, iou_threshold, score_threshold)
    rows = _worst_images(numbers.per_image, worst, {} if data is None else data.file_names)
    shown = [] if images is None or data is None else _show(rows, readers, numbers, data, Path(images))
    environment = Environment(
        loader=PackageLoader("detmetrics"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values = {name: value.item() for name, value in numbers.results.items() if value.ndim == 0}
    return environment.get_template("report.html").render(
        title=title,
        version=__version__,
        iou_type=metric.iou_types[0],
        numbers=numbers,
        coco=headlines(values, metric.iou_thresholds),
        titles=TITLES,
        scalars={name: value.item() for name, value in numbers.curves.scalars().items()},
        micro={name: scores.average(f, numbers.counts, average="micro").item() for name, f in FORMULAS.items()},
        counts=[int(part.sum()) for part in numbers.counts],
        classes=_class_rows(numbers),
        figures=_figures(metric, numbers, values),
        confusions=_confusions(numbers),
        rows=rows,
        shown=shown,
    )


class _Numbers(NamedTuple):
    """What the page shows."""

    num_images: int
    num_duplicates: int
    names: list[str]  # of C classes
    results: dict[str, Tensor]  # of MeanAveragePrecision, with its arrays
    iou_threshold: float  # for all that follows
    score_threshold: float  # for all that counts
    average_precision: Tensor  # (C,)
    curves: ScoreCurves
    counts: Counts  # (C,) each
    per_image: dict[str, Tensor]
    matrix: Tensor | None  # (C + 1, C + 1)


class _ClassCounts(OperatingPointMetric):
    """True positives, false positives and false negatives of each class."""

    def compute(self) -> Counts:
        table = self._read()
        return self._count_classes(table, self._outcome(table))


class _Fates(OperatingPointMetric):
    """What became of each detection and each target."""

    def compute(self) -> Outcome:
        return self._outcome(self._read())


class _Readers:
    """Metrics of other kinds that read the state of one metric, gathered from all ranks."""

    def __init__(self, metric: MeanAveragePrecision) -> None:
        self.metric, self.names = metric, metric.class_names
        with metric.synced():
            metric._read()  # joins the rows, so that all readers share what is read from them
            self.state = metric.metric_state
        if self.names is None:
            self.names = {label: str(label) for label in metric.classes.tolist()} or None

    def empty(self, kind: type[M], **attributes: Any) -> M:
        """A metric of the same configuration, which has seen nothing."""
        floor = self.metric.floor  # with this as its threshold a metric keeps the same overlaps; then it asks otherwise
        lowest = {"iou_thresholds": [floor]} if issubclass(kind, MeanAveragePrecision) else {"iou_threshold": floor}
        reader = kind(
            **lowest,
            pairs=self.metric.pairs,
            box_format=self.metric.box_format,
            iou_type=self.metric.iou_types[0],
            class_names=self.names,
            sync_on_compute=False,
        ).to(self.metric.device)
        for name, value in attributes.items():
            setattr(reader, name, value)
        return reader

    def filled(self, kind: type[M], **attributes: Any) -> M:
        """The same, which has seen what the metric has."""
        reader = self.empty(kind, **attributes)
        reader.merge_state(self.state)
        return reader


def _numbers(readers: _Readers, iou_threshold: float, score_threshold: float | None) -> _Numbers:
    metric = readers.metric
    asked = {
        name: getattr(metric, name)
        for name in ("iou_thresholds", "rec_thresholds", "max_detection_thresholds", "area_ranges", "zero_division")
    }
    coco = readers.filled(MeanAveragePrecision, extended_summary=True, **asked)
    at_one = {**asked, "iou_thresholds": [iou_threshold], "zero_division": torch.nan}
    precision = readers.filled(MeanAveragePrecision, extended_summary=True, **at_one).compute()["precision"]
    curves = readers.filled(DetectionCurves, iou_threshold=iou_threshold).compute()
    if score_threshold is None:
        score_threshold = curves.best_score_threshold[-1].nan_to_num(0.0).item()  # without detections none is better
    point = {"iou_threshold": iou_threshold, "score_threshold": score_threshold}
    counter = readers.filled(_ClassCounts, **point)
    has_matrix = metric.pairs == "all" and readers.names is not None
    return _Numbers(
        results=coco.compute(),
        num_images=coco.num_images,
        num_duplicates=coco.num_duplicates,
        names=list((readers.names or {}).values()),
        **point,
        average_precision=_class_means(precision),
        curves=curves,
        counts=counter.compute(),
        per_image=counter.per_image(),
        matrix=readers.filled(DetectionConfusionMatrix, **point).compute() if has_matrix else None,
    )


def _class_means(precision: Tensor) -> Tensor:
    """Average precision of each class (C,), from pycocotools' array (T, R, C, A, M)."""
    return defined_mean(precision[..., 0, -1].flatten(0, 1), dim=0)


# ---------------------------------------------------------------------------------------------------------- the tables


class _ClassRow(NamedTuple):
    name: str
    average_precision: float
    average_precision_at: float
    precision: float
    recall: float
    f1: float
    best_f1: float
    best_score_threshold: float
    targets: int
    predictions: int


def _class_rows(numbers: _Numbers) -> list[_ClassRow]:
    tp, fp, fn = numbers.counts
    columns = (
        _class_means(numbers.results["precision"]),
        numbers.average_precision,
        *(scores.average(formula, numbers.counts, average="none") for formula in FORMULAS.values()),
        numbers.curves.best_f_beta[:-1],
        numbers.curves.best_score_threshold[:-1],
        tp + fn,
        tp + fp,
    )
    rows = zip(numbers.names, *(column.tolist() for column in columns), strict=True)
    return [_ClassRow(*row) for row in rows]


class _Confusion(NamedTuple):
    target: str
    prediction: str
    times: int
    share: float  # of the targets of the class


def _confusions(numbers: _Numbers) -> list[_Confusion]:
    """The pairs of classes that are taken for one another most often."""
    if numbers.matrix is None:
        return []
    between = numbers.matrix[:-1, :-1].clone().fill_diagonal_(0)
    counts, cells = between.flatten().sort(descending=True, stable=True)
    targets, found = numbers.matrix.sum(dim=1).tolist(), []
    for count, cell in zip(counts[:MOST_CONFUSIONS].tolist(), cells.tolist(), strict=False):
        if count:
            row, column = divmod(cell, len(between))
            found.append(_Confusion(numbers.names[row], numbers.names[column], count, count / targets[row]))
    return found


class _ImageRow(NamedTuple):
    image_id: int
    file_name: str
    tp: int
    fp: int
    fn: int
    f1: float


def _worst_images(per_image: Mapping[str, Tensor], count: int, file_names: Mapping[int, str]) -> list[_ImageRow]:
    """The images with errors, the lowest F1 first and among equals those with the most errors."""
    image_ids, *columns = (column.tolist() for column in per_image.values())
    names = (file_names.get(image_id, "") for image_id in image_ids)
    rows = [_ImageRow(*row) for row in zip(image_ids, names, *columns, strict=True)]
    return sorted((row for row in rows if row.fp + row.fn), key=lambda row: (row.f1, -row.fp - row.fn))[:count]


# -------------------------------------------------------------------------------------------------------- the pictures


def _show(
    rows: list[_ImageRow], readers: _Readers, numbers: _Numbers, data: CocoData, folder: Path
) -> list[Thumbnail | str]:
    """The images, or what stands in their place."""
    position = {item["image_id"]: i for i, item in enumerate(data.target)}
    shown: list[Thumbnail | str] = []
    for row in rows:
        if row.image_id not in position or not row.file_name:
            shown.append("The annotations have no file_name for this image.")
            continue
        path = Path(os.path.normpath(folder / row.file_name))
        if not path.is_relative_to(os.path.normpath(folder)):  # a page that is passed on must not hold other files
            shown.append(f"{row.file_name}: not in the folder of the images")
            continue
        preds, target = data.preds[position[row.image_id]], data.target[position[row.image_id]]
        fates = readers.empty(_Fates, iou_threshold=numbers.iou_threshold, score_threshold=numbers.score_threshold)
        fates.update([preds], [target])
        try:
            shown.append(thumbnail(path, marks(preds, target, fates.compute(), data.categories)))
        except OSError as error:
            shown.append(f"{row.file_name}: {error.strerror or error}")
    return shown


def _figures(metric: MeanAveragePrecision, numbers: _Numbers, values: Mapping[str, float]) -> dict[str, Markup]:
    """Pictures of the numbers, as elements of the page."""
    names, curves = numbers.names, numbers.curves
    figures = {
        "sizes": _picture("sizes", "Average precision and recall by size", lambda ax: plot.size_bars(values, ax=ax)),
        "fan": _picture(
            "fan",
            "Precision against recall at each IoU threshold",
            lambda ax: plot.iou_fan(numbers.results["precision"], metric.iou_thresholds, metric.rec_thresholds, ax=ax),
        ),
        "precision_recall": _picture(
            "precision_recall",
            "Precision against recall of each class",
            lambda ax: plot.precision_recall(curves, names=names, ax=ax),
        ),
        "scores": _picture(
            "scores",
            "Precision, recall and F1 against the score threshold",
            lambda ax: plot.score_curves(curves, names=names, ax=ax),
        ),
    }
    matrix = numbers.matrix
    if matrix is not None and len(names) <= MOST_IN_MATRIX:
        side = min(3.5 + 0.4 * len(names), 13.0)
        figures["matrix"] = _picture(
            "matrix", "Confusion matrix", lambda ax: plot.confusion_matrix(matrix, names, ax=ax), (side + 1, side)
        )
    return figures


def _picture(
    key: str, description: str, draw: Callable[[Any], object], size: tuple[float, float] = (6.0, 3.8)
) -> Markup:
    """An SVG element whose ids begin with ``key``, so that pictures do not meet on the page."""
    buffer = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # the user's settings would change the bytes
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": key, "path.simplify_threshold": 0.5})
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):  # a style would hold for the whole page
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML needs no namespaces
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            local = name.rpartition("}")[2]
            if local == "d":  # a path: a hundredth of a point is enough
                value = re.sub(r"(\.\d\d)\d+", r"\1", value)
            prefix = {"id": "^", "href": "^#"}.get(local, r"url\(#")
            element.set(local, re.sub(f"({prefix})", rf"\1{key}-", value))
    for name in ("width", "height", "version"):
        del root.attrib[name]
    root.set("style", f"max-width: {size[0] * 1.2:.1f}in")  # letters a fifth larger than matplotlib's, and no more
    root.set("role", "img")
    root.set("aria-label", description)
    return Markup(ElementTree.tostring(root, encoding="unicode"))
