"""Which of two models is better, and how sure that is: differences of results on the same images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics.analysis.intervals import Interval, Sampler, Values, check_arguments, intervals_of, one_of
from detmetrics.detection.metric import DetectionMetric
from detmetrics.detection.operating_point import outcomes
from detmetrics.detection.settings import OperatingPointSettings
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.segmentation.counting import COUNTS, ImageCounts
from detmetrics.state.metric import Metric


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` returns: by how much the second metric is above the first.

    Attributes:
        differences: An interval for each floating-point result, by its key.
        p_values: How likely a difference at least as large, in either direction, is if there is none: float64 of the
            shape of the result.
        corrected: The p values of classes after Holm's correction for as many comparisons as there are classes, of
            results by class alone: those with keys such as ``map/cat``, and those of shape ``(C,)``.
        images: Of each image ``image_id``, ``first`` and ``second``, its score by each metric, and ``difference``,
            ``(B,)`` each: sort it to find what got better and worse. None for metrics without ``per_image()``.
        objects: Of each image how many targets were found by ``both``, ``only_first``, ``only_second`` and ``neither``,
            ``(B,)`` int64 each. None for metrics without an operating point.
    """

    differences: dict[str, Interval]
    p_values: Values
    corrected: Values
    images: Values | None
    objects: Values | None

    def __str__(self) -> str:
        lines = [
            f"{key}: {interval}, p = {self.p_values[key]:.3g}"
            for key, interval in self.differences.items()
            if not interval.value.ndim
        ]
        return "\n".join(lines)


def compare(
    first: Metric,
    second: Metric,
    num_samples: int = 1000,
    confidence: float = 0.95,
    *,
    seed: int = 0,
    groups: Mapping[int, Hashable] | None = None,
    method: str = "bca",
) -> Comparison:
    """Compare two models on the same images.

    Images are drawn with replacement, the same ones for both metrics, so that what makes an image hard for both is no
    part of the difference. Under ``torch.distributed`` all ranks must call it.

    Args:
        first: A metric that has seen the images and the predictions of a model.
        second: A metric of the same class and settings that has seen the same images and another model's predictions.
        num_samples: How many samples are drawn.
        confidence: How often an interval should hold the true difference, in (0, 1).
        seed: Equal seeds give equal comparisons, with any number of ranks and threads.
        groups: What images belong to by ``image_id``, such as videos or patients: groups are drawn, with all their
            images. None: each image is a group.
        method: ``"bca"``, which corrects for bias and skewness, or ``"percentile"``, the quantiles of the samples.

    Returns:
        Differences, second minus first, with intervals and p values; what changed on which image.

    Raises:
        ValueError: if an argument does not fit, or if classes, settings, images or targets differ.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), for intervals and p values; Holm, A simple
    sequentially rejective multiple test procedure (1979).

    Example:
        >>> from detmetrics import DetectionF1Score, demo
        >>> preds, target = demo.generate(num_images=50, num_detections=20, num_classes=3)
        >>> half = [{key: value[::2] for key, value in image.items()} for image in preds]
        >>> first, second = (DetectionF1Score(score_threshold=0.2) for _ in range(2))
        >>> first.update(half, target)
        >>> second.update(preds, target)
        >>> found = compare(first, second, num_samples=200)
        >>> print(found)
        DetectionF1Score: 0.1683 [0.1315, 0.2000], p = 0.00995
        >>> {name: int(count.sum()) for name, count in found.objects.items()}
        {'both': 125, 'only_first': 0, 'only_second': 86, 'neither': 90}
    """
    if type(first) is not type(second) or first.settings != second.settings:
        raise ValueError(
            f"second: expected a {type(first).__name__} with the settings of the first, got a {type(second).__name__}"
            + (" with others" if type(first) is type(second) else "")
        )
    check_arguments(num_samples, confidence, method)
    _check_same_images(first.read(), second.read())
    samplers = [Sampler(metric, seed, groups) for metric in (first, second)]
    value = _difference(*(sampler.value for sampler in samplers))
    samples = _difference(*(sampler.values(sampler.draws(num_samples)) for sampler in samplers))
    left_out = None
    if method == "bca":
        left_out = _difference(*(sampler.values(sampler.without_blocks()) for sampler in samplers))
    p_values = {key: _p_value(own) for key, own in samples.items()}
    return Comparison(
        intervals_of(value, samples, left_out, confidence),
        p_values,
        _corrected_by_class(p_values),
        _image_scores(first, second),
        _found_objects(first, second),
    )


def _difference(first: Values, second: Values) -> Values:
    """Second minus first, of the results that both have in one shape."""
    return {key: second[key] - own for key, own in first.items() if key in second and second[key].shape == own.shape}


def _check_same_images(first: Any, second: Any) -> None:
    """Raise unless two readings are of the same images and targets."""
    sides = [one_of(reading) for reading in (first, second)]
    keys = [side.keys.tolist() for side in sides]
    if keys[0] != keys[1]:
        others = sorted(set(keys[0]) ^ set(keys[1]))
        raise ValueError(
            f"second: expected the images of the first, got {len(keys[1])} and not {len(keys[0])}, of which "
            f"{len(others)} are in one alone, such as image_id {others[0] if others else keys[1][0]}"
        )
    columns = [_target_columns(side) for side in sides]
    same = all(x.shape == y.shape and bool((x == y).all()) for x, y in zip(*columns, strict=True))
    if not same:
        raise ValueError("second: expected the targets of the first, got others for the same images")


def _target_columns(side: Any) -> tuple[Tensor, ...]:
    """What a reading tells about targets alone."""
    if isinstance(side, EvaluationData):
        return side.target_image, side.target_labels, side.target_flags, side.target_areas
    if isinstance(side, ImageCounts) and side.by_image.dtype == torch.int64 and side.by_image.shape[-1] == COUNTS:
        return (side.by_image[..., 0] + side.by_image[..., 2],)  # tp + fn
    return ()


def _p_value(samples: Tensor) -> Tensor:
    """Two-sided, from differences ``(S, ...)``: twice the share on the other side of 0, which is never 0 itself."""
    count = (~samples.isnan()).sum(dim=0)
    tails = torch.stack([(samples <= 0).sum(dim=0), (samples >= 0).sum(dim=0)]).amin(dim=0)
    return (2 * (tails + 1).double() / (count + 1)).clamp(max=1.0).where(count > 0, torch.nan)


def _corrected_by_class(p_values: Values) -> Values:
    """Holm's correction within each family of results by class."""
    corrected = {key: holm(own) for key, own in p_values.items() if own.ndim == 1}
    families: dict[str, list[str]] = {}
    for key, own in p_values.items():
        if not own.ndim and "/" in key:
            families.setdefault(key.partition("/")[0], []).append(key)
    for keys in families.values():
        corrected |= dict(zip(keys, holm(torch.stack([p_values[key] for key in keys])).unbind(), strict=True))
    return corrected


def holm(p_values: Tensor) -> Tensor:
    """P values ``(C,)`` corrected for the number of those that are defined.

    Example:
        >>> holm(torch.tensor([0.01, 0.04, 0.03, torch.nan])).tolist()
        [0.029999999329447746, 0.05999999865889549, 0.05999999865889549, nan]
    """
    order = p_values.argsort(stable=True)  # NaN comes last
    count = (~p_values.isnan()).sum()
    factors = (count - torch.arange(len(p_values))).clamp(min=1)
    stepped = (p_values[order] * factors).clamp(max=1.0).nan_to_num(0.0).cummax(0).values
    corrected = torch.empty_like(p_values).index_copy_(0, order, stepped)
    return corrected.where(~p_values.isnan(), torch.nan)


def _image_scores(first: Any, second: Any) -> Values | None:
    """The score of each image by both metrics."""
    if not hasattr(first, "per_image"):
        return None
    tables = [metric.per_image() for metric in (first, second)]
    name = next((key for key in reversed(tables[0]) if tables[0][key].is_floating_point()), None)
    if name is None or tables[0][name].ndim != 1:
        return None
    scores = [table[name] for table in tables]
    return {
        "image_id": tables[0]["image_id"],
        "first": scores[0],
        "second": scores[1],
        "difference": scores[1] - scores[0],
    }


def _found_objects(first: Metric, second: Metric) -> Values | None:
    """How many targets of each image were found by both, one or none."""
    if not isinstance(first, DetectionMetric) or not isinstance(first.settings, OperatingPointSettings):
        return None
    assert isinstance(second, DetectionMetric)
    data = first.data()
    found = []
    missed = torch.zeros_like(data.target_labels, dtype=torch.bool)
    for own in (data, second.data()):
        outcome = outcomes(own, first.settings)
        found.append(torch.zeros_like(missed).index_fill(0, outcome.target, True))
        missed = missed.index_fill(0, outcome.missed, True)
    a, b = found
    counts = {"both": a & b, "only_first": a & ~b, "only_second": b & ~a, "neither": ~a & ~b & missed}
    none = torch.zeros_like(data.keys)
    return {name: none.index_add(0, data.target_image, own.long()) for name, own in counts.items()}
