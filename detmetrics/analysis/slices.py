"""A metric on parts of its images, side by side: by attributes of images, by the size of objects, by crowding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.prints import rank_zero_warn

from detmetrics import arguments
from detmetrics.analysis.intervals import Interval, bootstrap, one_of
from detmetrics.match.coco import counted_targets
from detmetrics.ragged import occurrences
from detmetrics.state.metric import Metric

MOST_TARGETS = (0, 1, 5, 20)  # in an image, of the parts of by_crowding()
SIZES = ("small", "medium", "large")
ALL = "all"

Attributes = Mapping[str, Mapping[str, "Iterable[int] | Tensor"]]


@dataclass(frozen=True)
class Slice:
    """What a metric says about a part of its images.

    Attributes:
        result: What ``compute()`` returns for it.
        num_images: How many of its images were seen.
        num_missing: How many should be in it, and were not seen.
        is_small: Whether it has fewer images than were asked for, so that the result may be noise.
        intervals: What :func:`detmetrics.bootstrap` returns for it, if samples were asked for.
    """

    result: Any
    num_images: int
    num_missing: int
    is_small: bool
    intervals: dict[str, Interval] | None = None

    @property
    def note(self) -> str:
        """What to know before trusting the result; empty if there is nothing."""
        said = ["no images"] if not self.num_images else ["few images"] if self.is_small else []
        said += [f"{self.num_missing} missing"] if self.num_missing else []
        return ", ".join(said)


def evaluate_slices(
    metric: Metric,
    attributes: Attributes,
    *,
    min_images: int = 30,
    num_samples: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Slice]:
    """The results of a metric on parts of its images, beside those on all of them.

    Each part is :meth:`detmetrics.Metric.slice`. Nothing is averaged over parts: they may overlap, miss images and be
    small, which is said. Under ``torch.distributed`` all ranks must call it, with the same attributes.

    Args:
        metric: A metric that has seen the images, with ids.
        attributes: For each attribute the ids of the images that have each value:
            ``{"weather": {"rain": [1, 5], "sun": [2, 3]}}``.
        min_images: With fewer images a part is called small.
        num_samples: How many bootstrap samples of each part are drawn for intervals; 0 for no intervals.
        confidence: Of the intervals, see :func:`detmetrics.bootstrap`.
        seed: Of what is drawn.

    Returns:
        A :class:`Slice` for ``"all"`` and for each ``<attribute>/<value>``.

    Raises:
        ValueError: if an argument does not fit, or the state does not tell images apart.

    Warns:
        UserWarning: for an attribute that does not say anything about some images.

    Example:
        >>> from detmetrics import DetectionF1Score, demo
        >>> metric = DetectionF1Score()
        >>> metric.update(*demo.generate(num_images=50, num_detections=20, num_classes=3))  # with ids 1, 2, ...
        >>> parts = evaluate_slices(metric, {"weather": {"rain": range(1, 11), "sun": range(11, 61)}})
        >>> [(name, f"{part.result:.2f}", part.note) for name, part in parts.items()]
        [('all', '0.60', ''), ('weather/rain', '0.59', 'few images'), ('weather/sun', '0.60', '10 missing')]
    """
    min_images = arguments.integer("min_images", min_images, least=0)
    num_samples = arguments.integer("num_samples", num_samples, least=0)
    wanted = _checked(attributes)

    def part_of(own: Any, size: int | None) -> Slice:
        result, seen = own.compute(), int(own.num_images)
        intervals = bootstrap(own, num_samples, confidence, seed=seed) if num_samples and seen else None
        return Slice(result, seen, 0 if size is None else size - seen, seen < min_images, intervals)

    found = {ALL: part_of(metric, None)}
    for attribute, values in wanted.items():
        for value, ids in values.items():
            found[f"{attribute}/{value}"] = part_of(metric.slice(ids), len(ids))
        listed = torch.tensor(sorted(set().union(*values.values())), dtype=torch.int64)
        total = found[ALL].num_images
        left = total - int(torch.isin(one_of(metric.read()).keys.cpu(), listed).sum())
        if left:
            rank_zero_warn(f"attributes[{attribute!r}]: {left} of {total} images have no value", UserWarning)
    return found


def _checked(attributes: Any) -> dict[str, dict[str, set[int]]]:
    """The distinct ids of each value of each attribute."""
    expected = "a dict of attributes, each a dict from value to ids of images"
    if not isinstance(attributes, Mapping):
        raise arguments.fail("attributes", expected, attributes)
    checked: dict[str, dict[str, set[int]]] = {}
    for attribute, values in attributes.items():
        if not isinstance(values, Mapping):
            raise arguments.fail(f"attributes[{attribute!r}]", "a dict from value to ids of images", values)
        checked[str(attribute)] = {}
        for value, ids in values.items():
            name = f"attributes[{attribute!r}][{value!r}]"
            listed = ids.flatten().tolist() if isinstance(ids, Tensor) else ids
            if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
                raise arguments.fail(name, "ids of images", ids)
            checked[str(attribute)][str(value)] = {arguments.count(name, one) for one in listed}
    return checked


def by_size(metric: Any, sizes: Sequence[str | tuple[float, float]] = SIZES) -> dict[str, Any]:
    """The results of a detection metric on objects of some sizes alone, by ``size/<name>``.

    Targets of other sizes, and unmatched detections of other sizes, are ignored as in COCO.

    Args:
        metric: A detection metric with the setting ``area_range``; it stays as it is.
        sizes: Area ranges: names as in COCO, or inclusive bounds in square pixels.

    Raises:
        ValueError: if the metric has no such setting: :class:`detmetrics.MeanAveragePrecision` has ``area_ranges``.

    Example:
        >>> from detmetrics import DetectionRecall, demo
        >>> metric = DetectionRecall()
        >>> metric.update(*demo.generate(num_images=50, num_detections=20, num_classes=3))
        >>> {name: f"{value:.2f}" for name, value in by_size(metric).items()}
        {'size/small': '0.43', 'size/medium': '0.42', 'size/large': '0.59'}
    """
    if not hasattr(metric.settings, "area_range"):
        raise ValueError(f"metric: expected one with the setting area_range, got {type(metric).__name__}")
    before, found = metric.settings, {}
    try:
        for size in sizes:
            metric.settings = before.replace(area_range=size)
            name = size if isinstance(size, str) else "{}-{}".format(*size)
            found[f"size/{name}"] = metric.compute()
    finally:
        metric.settings = before
    return found


def by_crowding(metric: Any, most: Sequence[int] = MOST_TARGETS) -> dict[str, dict[str, list[int]]]:
    """Attributes for :func:`evaluate_slices`: how many counted targets, of any class and size, an image has.

    All ranks must call it, unless ``compute()`` was called since the last update.

    Args:
        metric: A detection metric that has seen the images, with ids.
        most: The largest number of each part but the last, ascending.

    Example:
        >>> from detmetrics import DetectionRecall, demo
        >>> metric = DetectionRecall()
        >>> metric.update(*demo.generate(num_images=50, num_detections=20, num_classes=3))
        >>> {value: len(ids) for value, ids in by_crowding(metric)["targets"].items()}
        {'0': 5, '1': 5, '2-5': 20, '6-20': 18, '21 or more': 2}
    """
    data = metric.data()
    counted = counted_targets(data, [(0.0, float("inf"))])[0]
    number = occurrences(data.target_image[counted], len(data.keys))  # (B,)
    part = torch.searchsorted(torch.tensor(list(most), device=number.device), number)
    lows = [0, *(top + 1 for top in most)]
    names = [str(low) if low == top else f"{low}-{top}" for low, top in zip(lows, most, strict=False)]
    names.append(f"{lows[-1]} or more")
    return {"targets": {name: data.keys[part == i].tolist() for i, name in enumerate(names)}}
