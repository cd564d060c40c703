"""How sure a result is: intervals by the bootstrap over images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.state.devices import no_autocast
from detmetrics.state.metric import Metric
from detmetrics.state.threads import one_thread

METHODS = ("bca", "percentile")
BLOCKS = 100  # parts of the images, each of which is left out once, for the acceleration of BCa

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Interval:
    """A result and how sure it is. All are float64 of the shape of the result, on the CPU; NaN where undefined.

    Attributes:
        value: The result for all images.
        low: The lower end of the interval.
        high: The upper end.
        standard_error: The standard deviation over the samples.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    standard_error: Tensor

    def __str__(self) -> str:
        if self.value.ndim:
            return f"{self.value.tolist()} in {self.low.tolist()} to {self.high.tolist()}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(
    metric: Metric,
    num_samples: int = 1000,
    confidence: float = 0.95,
    *,
    seed: int = 0,
    groups: Mapping[int, Hashable] | None = None,
    method: str = "bca",
) -> dict[str, Interval]:
    """Intervals for every number of a result, by drawing images with replacement.

    Nothing is matched again: a sample takes the images of the state, some several times and some never, and the metric
    answers for them as if these were the data set. So it works for every metric whose state tells images apart, and
    the result of a sample has the bits of a metric that was fed with it. Under ``torch.distributed`` all ranks must
    call it, and each returns the intervals of all images.

    Args:
        metric: A metric that has seen the images; it stays as it is.
        num_samples: How many samples are drawn.
        confidence: How often an interval should hold the true value, in (0, 1).
        seed: Equal seeds give equal intervals, with any number of ranks and threads.
        groups: What images belong to by ``image_id``, such as videos or patients: groups are drawn, with all their
            images. None: each image is a group.
        method: ``"bca"``, which corrects for bias and skewness, or ``"percentile"``, the quantiles of the samples.

    Returns:
        An :class:`Interval` for each floating-point result: by the key of ``compute()``, or by the name of the class of
        a metric with one result.

    Raises:
        ValueError: if an argument does not fit, the state does not tell images apart, or an image has no group.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14. The acceleration is that
    of a jackknife over 100 blocks of groups.

    Example:
        >>> from detmetrics import MeanAveragePrecision, demo
        >>> metric = MeanAveragePrecision()
        >>> metric.update(*demo.generate(num_images=50, num_detections=20, num_classes=3))
        >>> print(bootstrap(metric, num_samples=200)["map"])
        0.4543 [0.3975, 0.4888]
    """
    check_arguments(num_samples, confidence, method)
    sampler = Sampler(metric, seed, groups)
    samples = sampler.values(sampler.draws(num_samples))
    left_out = sampler.values(sampler.without_blocks()) if method == "bca" else None
    return intervals_of(sampler.value, samples, left_out, confidence)


def check_arguments(num_samples: int, confidence: float, method: str) -> None:
    """Raise a ``ValueError`` unless the arguments of a bootstrap fit."""
    arguments.limit("num_samples", num_samples)
    arguments.choice("method", method, METHODS)
    if not 0 < confidence < 1:
        raise arguments.fail("confidence", "a number between 0 and 1", confidence)


def intervals_of(value: Values, samples: Values, left_out: Values | None, confidence: float) -> dict[str, Interval]:
    """Intervals from the results of samples.

    Args:
        value: The results for all images, ``(...)`` each.
        samples: Those of S samples, ``(S, ...)`` each.
        left_out: Those without each block of images, for BCa; None for the quantiles of the samples.
        confidence: How often an interval should hold the true value.
    """
    tail = (1 - confidence) / 2
    found = {}
    for key, own in value.items():
        levels = [torch.full_like(own, tail), torch.full_like(own, 1 - tail)]
        if left_out is not None:
            levels = [_corrected(level, own, samples[key], left_out[key]) for level in levels]
        low, high = (_quantile(samples[key], level) for level in levels)
        found[key] = Interval(own, low, high, _deviation(samples[key]))
    return found


class Sampler:
    """Answers of a metric for other multisets of its images.

    Args:
        metric: A metric that has seen the images.
        seed: Of what is drawn.
        groups: As for :func:`bootstrap`.
    """

    def __init__(self, metric: Metric, seed: int, groups: Mapping[int, Hashable] | None) -> None:
        self._metric, self._reading = metric, metric.read()
        first = one_of(self._reading)
        keys = getattr(first, "keys", None)
        if not isinstance(keys, Tensor):
            raise ValueError(f"metric: expected one whose state tells images apart, got {type(metric).__name__}")
        if not getattr(first, "num_images", len(keys)):
            raise ValueError("metric: expected one that has seen images, got none")
        _at_images(self._reading, keys.new_empty(0))  # raises if images are not told apart
        self._group = _groups_of(keys, groups)  # (B,)
        self.num_groups = int(self._group.max()) + 1
        self._generator = torch.Generator().manual_seed(seed)
        # What the metric works out for all images is carried over to every sample.
        self.value = self._asked_about(metric)(self._reading)

    def draws(self, num_samples: int) -> Iterator[Tensor]:
        """How often each group is drawn, ``(G,)`` int64, for each sample."""
        for _ in range(num_samples):
            drawn = torch.randint(self.num_groups, (self.num_groups,), generator=self._generator)
            yield torch.bincount(drawn, minlength=self.num_groups)

    def without_blocks(self) -> Iterator[Tensor]:
        """Every group once but for those of a block."""
        blocks = min(BLOCKS, self.num_groups)
        block = torch.randperm(self.num_groups, generator=self._generator) % blocks
        for left_out in range(blocks):
            yield (block != left_out).long()

    def values(self, times: Iterator[Tensor]) -> Values:
        """The results, ``(S, ...)`` each, where groups are taken that often, S times.

        On a CPU as many samples are worked on at once as torch has threads.
        """
        workers = torch.get_num_threads() if self._metric.device.type == "cpu" else 1
        answers = [self.answer_of(self._metric) for _ in range(workers)]
        found: list[Values] = []
        with ThreadPoolExecutor(workers) as pool:
            while together := list(itertools.islice(times, workers)):
                found.extend(pool.map(lambda answer, own: answer(own), answers, together))
        return {key: torch.stack([own[key] for own in found]) for key in self.value}

    def answer_of(self, metric: Metric) -> Callable[[Tensor], Values]:
        """A function from how often each group is taken to the results. It may be called in another thread."""
        ask = self._asked_about(metric)

        def answer(times: Tensor) -> Values:
            images = torch.arange(len(self._group)).repeat_interleave(times[self._group]).to(metric.device)
            with one_thread():
                return ask(_at_images(self._reading, images))

        return answer

    @staticmethod
    def _asked_about(metric: Metric) -> Callable[[Any], Values]:
        """A function from what a metric could have read to its results; the metric stays as it is."""
        view: Any = metric.clone()
        view.reset()
        view._to_sync = False
        owner = next(view.chunks(state) for state in view.row_states())

        def ask(reading: Any) -> Values:
            with torch.no_grad(), no_autocast(view.device), one_thread():
                owner.reading = view.version(), reading
                return _numbers(type(view).compute(view), type(metric).__name__)

        return ask


def one_of(reading: Any) -> Any:
    """What a metric has read of its images, for one similarity where it has several."""
    return next(iter(reading.values())) if isinstance(reading, dict) else reading


def _at_images(reading: Any, images: Tensor) -> Any:
    """What a metric has read of the images ``(n,)``, indices; some have a reading for each similarity."""
    if isinstance(reading, dict):
        return {name: own.at_images(images) for name, own in reading.items()}
    return reading.at_images(images)


def _groups_of(keys: Tensor, groups: Mapping[int, Hashable] | None) -> Tensor:
    """The number of the group of each image, ``(B,)`` int64."""
    if groups is None:
        return torch.arange(len(keys))
    ids = keys.tolist()
    missing = [key for key in ids if key not in groups]
    if missing:
        got = "images without ids" if missing[0] < 0 else f"none for image_id {missing[0]}"
        raise ValueError(f"groups: expected a group for every image, got {got}")
    number: dict[Hashable, int] = {}
    return torch.tensor([number.setdefault(groups[key], len(number)) for key in ids])


def _numbers(result: Any, name: str) -> Values:
    """The floating-point results, in float64 on the CPU."""
    named = result._asdict() if hasattr(result, "_asdict") else result
    named = named if isinstance(named, Mapping) else {name: named}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    return {key: value.double().cpu() for key, value in tensors.items() if value.is_floating_point()}


def _quantile(samples: Tensor, level: Tensor) -> Tensor:
    """The quantiles of samples ``(S, ...)`` that are defined, at levels ``(...)``; NaN where none is."""
    ordered = samples.sort(dim=0).values  # NaN comes last
    count = (~samples.isnan()).sum(dim=0)
    place = level.nan_to_num(0.5) * (count - 1).clamp(min=0)
    low = place.floor().long()
    ends = [ordered.gather(0, at[None])[0] for at in (low, torch.minimum(low + 1, (count - 1).clamp(min=0)))]
    return torch.lerp(ends[0], ends[1], place - low)


def _corrected(level: Tensor, value: Tensor, samples: Tensor, left_out: Tensor) -> Tensor:
    """The level at which BCa reads the quantile; the level itself where all samples are equal."""
    defined = (~samples.isnan()).sum(dim=0)
    below = ((samples < value).sum(dim=0) + (samples == value).sum(dim=0).double() / 2) / defined
    bias = torch.special.ndtri(below)
    away = (left_out.nanmean(dim=0) - left_out).nan_to_num(0.0)
    skew = away.pow(3).sum(dim=0) / (6 * away.square().sum(dim=0).pow(1.5))
    wanted = bias + torch.special.ndtri(level)
    corrected = torch.special.ndtr(bias + wanted / (1 - skew.nan_to_num(0.0) * wanted))
    return torch.where(corrected.isfinite() & bias.isfinite(), corrected, level)


def _deviation(samples: Tensor) -> Tensor:
    """The standard deviation of samples ``(S, ...)`` that are defined."""
    mean = samples.nanmean(dim=0)
    count = (~samples.isnan()).sum(dim=0)
    return ((samples - mean).square().nansum(dim=0) / (count - 1).clamp(min=1)).sqrt().where(count > 0, torch.nan)
