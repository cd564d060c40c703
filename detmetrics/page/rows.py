"""The rows of the tables on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from detmetrics.files.coco import CocoData
from detmetrics.files.ids import Id
from detmetrics.page.numbers import FORMULAS, Numbers, class_means
from detmetrics.reduce.averages import average

MOST_CONFUSIONS = 15


class ClassRow(NamedTuple):
    """The scores of a class."""

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


def class_rows(numbers: Numbers) -> list[ClassRow]:
    """One row per class."""
    tp, fp, fn = numbers.counts
    columns = (
        class_means(numbers.results["precision"]),
        numbers.average_precision,
        *(average(formula, numbers.counts, average="none") for formula in FORMULAS.values()),
        numbers.curves.best_f_beta[:-1],
        numbers.curves.best_score_threshold[:-1],
        tp + fn,
        tp + fp,
    )
    rows = zip(numbers.names, *(column.tolist() for column in columns), strict=True)
    return [ClassRow(*row) for row in rows]


class Confusion(NamedTuple):
    """How often the targets of a class were taken for another."""

    target: str
    prediction: str
    times: int
    share: float  # of the targets of the class


def confusions(numbers: Numbers) -> list[Confusion]:
    """The pairs of classes that are taken for one another most often."""
    return [] if numbers.matrix is None else most_confused(numbers.matrix, numbers.names)


def most_confused(matrix: Tensor, names: list[str]) -> list[Confusion]:
    """The largest cells off the diagonal of a confusion matrix (C, C), or with a background (C + 1, C + 1)."""
    size = len(names)
    between = matrix[:size, :size].clone().fill_diagonal_(0)
    counts, cells = between.flatten().sort(descending=True, stable=True)
    targets, found = matrix.sum(dim=1).tolist(), []
    for count, cell in zip(counts[:MOST_CONFUSIONS].tolist(), cells.tolist(), strict=False):
        if count:
            row, column = divmod(cell, size)
            found.append(Confusion(names[row], names[column], count, count / targets[row]))
    return found


class ImageRow(NamedTuple):
    """What was found in an image."""

    position: int  # among the images of the metric
    title: str  # its id in the file, or its order of arrival
    image_id: int  # -1 for an image without an id
    arrival: int  # the place of an image without an id in the order of arrival; else -1
    file_name: str
    tp: int
    fp: int
    fn: int
    f1: float


def worst_images(rows: Sequence[ImageRow], count: int) -> list[ImageRow]:
    """The images with errors, the lowest F1 first and among equals those with the most errors, at most ``count``."""
    return sorted((row for row in rows if row.fp + row.fn), key=lambda row: (row.f1, -row.fp - row.fn))[:count]


def image_rows(per_image: Mapping[str, Tensor], data: CocoData | None, image_ids: Mapping[int, Id]) -> list[ImageRow]:
    """A row for each image, in the order of the data.

    Args:
        per_image: The columns of a table of images.
        data: What has their file names and ids.
        image_ids: Their ids without data, where these are not the numbers in the table.
    """
    ids, arrivals, *columns = (column.tolist() for column in per_image.values())
    given: Mapping[int, Id]
    given, file_names = (image_ids, {}) if data is None else (data.image_ids, data.file_names)
    titles = [
        str(given.get(image_id, image_id)) if image_id >= 0 else f"{arrival} in order of arrival"
        for image_id, arrival in zip(ids, arrivals, strict=True)
    ]
    names = (file_names.get(image_id, "") for image_id in ids)
    return [ImageRow(*row) for row in zip(range(len(ids)), titles, ids, arrivals, names, *columns, strict=True)]
