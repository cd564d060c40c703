"""Counts from each score on, the best of them, and the curves that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.ragged import descending_key, from_zero, lexsort, occurrences, owners, run_starts
from detmetrics.reduce.averages import ordered_sum
from detmetrics.reduce.formulas import divide
from detmetrics.reduce.operating_points import (
    FROC_RATES,
    MISS_RATES,
    OperatingPoints,
    best_allowed,
    log_average,
    recalls_at_rates,
)


class ScoreCurves(NamedTuple):
    """Curves of C classes, then of all pooled: curve i is ``offsets[i]`` to ``offsets[i + 1]`` of the flat ones."""

    classes: Tensor  # (C,) int64, the labels
    offsets: Tensor  # (C + 2,) int64
    scores: Tensor  # (P,) float64, descending within a curve: every score that a counted detection has
    precision: Tensor  # (P,) float64, of the detections that score at least as much
    recall: Tensor  # (P,) float64
    f_beta: Tensor  # (P,) float64
    best_f_beta: Tensor  # (C + 1,) float64
    best_score_threshold: Tensor  # (C + 1,) float64, the highest score that has the best F
    best_macro_f_beta: Tensor  # 0-d float64, the mean over classes with targets, at one threshold for all
    best_macro_score_threshold: Tensor  # 0-d float64
    average_precision: Tensor  # (C + 1,) float64, of the raw curve: precision times gain in recall, summed
    average_precision_coco: Tensor  # (C + 1,) float64, COCO's mean over 101 recall points
    average_precision_voc11: Tensor  # (C + 1,) float64, VOC's until 2009: its own matches, 11 recall points
    average_precision_voc: Tensor  # (C + 1,) float64, VOC's since 2010: its own matches, the area under the envelope
    beta: Tensor  # 0-d float64
    true_positives: Tensor  # (P,) int64
    false_positives: Tensor  # (P,) int64
    num_targets: Tensor  # (C + 1,) int64
    num_images: Tensor  # 0-d int64

    def highest_recall(self, *, precision: float) -> OperatingPoints:
        """The score threshold of each class with the highest recall among those with at least this precision.

        Args:
            precision: The least precision, in [0, 1].

        Returns:
            A NamedTuple of float64 tensors ``(C + 1,)``, all classes pooled last: ``score_threshold``, ``precision``,
            ``recall``, ``false_positives_per_image``; NaN where no threshold will do.
        """
        allowed = self.precision >= arguments.fraction("precision", precision)
        return self._points(best_allowed(allowed, self.true_positives.double(), self._group, self._num_curves, True))

    def highest_precision(self, *, recall: float) -> OperatingPoints:
        """The score threshold of each class with the highest precision among those with at least this recall.

        Of equal precisions the one with the highest recall.

        Args:
            recall: The least recall, in [0, 1].

        Returns:
            What :meth:`highest_recall` returns.
        """
        allowed = (self._recall >= arguments.fraction("recall", recall)) & (self._targets > 0)
        return self._points(best_allowed(allowed, self.precision, self._group, self._num_curves, False))

    def within_budget(self, *, false_positives_per_image: float) -> OperatingPoints:
        """The score threshold of each class with the highest recall within a budget of false positives.

        Args:
            false_positives_per_image: How many there may be on average, 0 or more.

        Returns:
            What :meth:`highest_recall` returns.
        """
        budget = arguments.not_negative("false_positives_per_image", false_positives_per_image)
        allowed = self._rate <= budget
        return self._points(best_allowed(allowed, self.true_positives.double(), self._group, self._num_curves, True))

    def froc(self, rates: Sequence[float] = FROC_RATES) -> tuple[Tensor, Tensor]:
        """Recall at numbers of false positives an image, and its mean over them: the FROC score.

        Between the steps of a curve the recall is that of a straight line, from nothing at all on.

        Args:
            rates: False positives an image, 0 or more.

        Returns:
            ``(R, C + 1)`` and ``(C + 1,)`` float64, all classes pooled last; NaN without targets.

        Source: LUNA16 (Setio et al. 2017), with 1/8, ..., 8; CAMELYON16 takes 1/4, ..., 8; MONAI
        ``compute_froc_score``.
        """
        checked = _checked_rates(rates)
        found = recalls_at_rates(self._recall, self._rate, self._group, self.num_targets, checked, True)
        return found, ordered_sum(found, 0) / len(checked)

    def miss_rate(self, rates: Sequence[float] = MISS_RATES) -> Tensor:
        """The log-average miss rate: the geometric mean of 1 - recall at numbers of false positives an image.

        At nine numbers from .01 to 1 it is the MR-2 of pedestrian detection. What is missed with no false positive too
        many counts as it is, with no line to the next step.

        Args:
            rates: False positives an image, 0 or more.

        Returns:
            ``(C + 1,)`` float64, all classes pooled last; NaN without targets.

        Source: Dollar, Wojek, Schiele and Perona, Pedestrian Detection: An Evaluation of the State of the Art (2012).
        """
        checked = _checked_rates(rates)
        return log_average(
            1 - recalls_at_rates(self._recall, self._rate, self._group, self.num_targets, checked, False)
        )

    @property
    def _num_curves(self) -> int:
        return len(self.num_targets)

    @property
    def _group(self) -> Tensor:
        return owners(self.offsets.diff(), len(self.scores))

    @property
    def _targets(self) -> Tensor:
        return self.num_targets.index_select(0, self._group)

    @property
    def _recall(self) -> Tensor:
        return divide(self.true_positives, self._targets, 0.0)  # whatever stands for 0/0 in the results

    @property
    def _rate(self) -> Tensor:
        return divide(self.false_positives, self.num_images.expand(len(self.scores)))

    def _points(self, at: Tensor) -> OperatingPoints:
        columns = (self.scores, self.precision, self.recall, self._rate)
        padded = (torch.nn.functional.pad(column, (0, 1), value=torch.nan) for column in columns)
        return OperatingPoints(*(column.index_select(0, at) for column in padded))

    def scalars(self) -> dict[str, Tensor]:
        """What to log: the best pooled F and its threshold, the best macro F and its threshold.

        Returns:
            A dict of 0-d float64 tensors: ``best_f1``, ``best_score_threshold``, ``best_macro_f1`` and
            ``best_macro_score_threshold``; with another beta than 1 ``f_beta`` in place of ``f1``.
        """
        name = "f1" if self.beta == 1 else "f_beta"
        return {
            f"best_{name}": self.best_f_beta[-1],
            "best_score_threshold": self.best_score_threshold[-1],
            f"best_macro_{name}": self.best_macro_f_beta,
            "best_macro_score_threshold": self.best_macro_score_threshold,
        }


def _checked_rates(rates: Any) -> list[float]:
    """At least one number of false positives an image."""
    listed = arguments.listing("rates", rates, "numbers of false positives an image")
    return [arguments.not_negative("rates", rate) for rate in listed]


class ScoreCounts(NamedTuple):
    """True and false positives from each score on, for G groups one after the other; equal scores are one step."""

    offsets: Tensor  # (G + 1,) int64, where each group begins and ends
    group: Tensor  # (P,) int64
    scores: Tensor  # (P,) float64, descending within a group
    tp: Tensor  # (P,) int64
    fp: Tensor  # (P,) int64


def count_by_score(group: Tensor, scores: Tensor, hit: Tensor, num_groups: int) -> ScoreCounts:
    """Counts of the detections that score at least as much, for every score that occurs.

    Args:
        group: ``(K,)`` int64 in [0, G), ascending.
        scores: ``(K,)`` float64, descending within a group.
        hit: ``(K,)`` bool: true positives; the others are false positives.
        num_groups: G.
    """
    groups = torch.arange(num_groups + 1, device=group.device)
    last = run_starts(group, scores).roll(-1).nonzero().squeeze(1)  # (P,), the last row of each step
    at = group.index_select(0, last)
    first = torch.searchsorted(group, groups).index_select(0, at)
    hits = from_zero(hit.cumsum(0))
    tp = hits.index_select(0, last + 1) - hits.index_select(0, first)
    offsets = torch.searchsorted(at, groups)
    return ScoreCounts(offsets, at, scores.index_select(0, last), tp, last + 1 - first - tp)


def best_step(values: Tensor, counts: ScoreCounts) -> tuple[Tensor, Tensor]:
    """The largest of the values ``(P,)`` of each group, and the highest score that has it; NaN for an empty group."""
    num_groups = len(counts.offsets) - 1
    best = values.new_full((num_groups,), -torch.inf).scatter_reduce_(0, counts.group, values, "amax")
    scores = counts.scores.where(values == best.index_select(0, counts.group), -torch.inf)
    score = scores.new_full((num_groups,), -torch.inf).scatter_reduce_(0, counts.group, scores, "amax")
    empty = counts.offsets.diff() == 0
    return best.masked_fill(empty, torch.nan), score.masked_fill(empty, torch.nan)


def best_shared_score(values: Tensor, counts: ScoreCounts) -> Tensor:
    """The score at which the sum over groups is largest; of several the highest; 0-d float64, NaN without any step.

    Args:
        values: ``(P,)`` in [0, 1], the value of each group from that score down to its next step; 0 above its first.
        counts: The steps.
    """
    if not len(values):
        return values.new_full((), torch.nan)
    # In integers the sum of changes is exact, in whatever order a device adds.
    fixed = (values * 2**48).round().long()
    before = torch.where(run_starts(counts.group), 0, fixed.roll(1))
    order = lexsort(descending_key(counts.scores))
    scores = counts.scores.index_select(0, order)
    last = run_starts(scores).roll(-1).nonzero().squeeze(1)
    total = (fixed - before).index_select(0, order).cumsum(0).index_select(0, last)
    return scores[last[(total == total.max()).nonzero()[0, 0]]]


def values_at(score: Tensor, values: Tensor, counts: ScoreCounts) -> Tensor:
    """What each group has at a score, ``(G,)``; 0 where all its scores are lower."""
    reached = counts.group[counts.scores >= score]
    steps = occurrences(reached, len(counts.offsets) - 1)
    at = (counts.offsets[:-1] + steps - 1).clamp(min=0)
    padded = torch.cat([values, values.new_zeros(1)])
    return torch.where(steps > 0, padded.index_select(0, at), 0.0)
