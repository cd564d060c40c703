"""How far scores are from what they promise: means within bins of the score, and the temperature that would help."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import constants, occurrences
from detmetrics.reduce.averages import defined_mean, ordered_sum
from detmetrics.reduce.exact_sums import overlap_sums
from detmetrics.reduce.formulas import divide

HOTTEST = 100.0  # temperatures between 1 / HOTTEST and HOTTEST are tried
HALVINGS = 50  # of their logarithms


class Calibration(NamedTuple):
    """The calibration of C classes, then of all pooled, in J bins of the score; NaN where there are no detections."""

    classes: Tensor  # (C,) int64, the labels
    edges: Tensor  # (J + 1,) float64, from 0 to 1; a bin has its lower edge, the last one both
    counts: Tensor  # (C + 1, J) int64, detections
    mean_score: Tensor  # (C + 1, J) float64
    precision: Tensor  # (C + 1, J) float64
    mean_iou: Tensor  # (C + 1, J) float64, that of false positives being 0
    d_ece: Tensor  # (C + 1,) float64, detection expected calibration error
    la_ece: Tensor  # (C + 1,) float64, the same of mean_iou
    brier: Tensor  # (C + 1,) float64, the mean of (score - true positive)²
    temperature: Tensor  # 0-d float64, of all classes pooled: logits divided by it fit best
    d_ece_at_temperature: Tensor  # 0-d float64, what would then be left
    brier_at_temperature: Tensor  # 0-d float64

    def scalars(self) -> dict[str, Tensor]:
        """What to log.

        Returns:
            A dict of 0-d float64 tensors: ``d_ece``, ``la_ece`` and ``brier`` of all classes pooled, ``mean_d_ece`` and
            ``mean_la_ece``, the means over classes, ``temperature``, ``d_ece_at_temperature`` and
            ``brier_at_temperature``.
        """
        pooled = {name: getattr(self, name)[-1] for name in ("d_ece", "la_ece", "brier")}
        means = {f"mean_{name}": defined_mean(getattr(self, name)[:-1]) for name in ("d_ece", "la_ece")}
        names = ("temperature", "d_ece_at_temperature", "brier_at_temperature")
        return pooled | means | {name: getattr(self, name) for name in names}


class Bins(NamedTuple):
    """Means of the members of G groups in J bins, and how many there are."""

    counts: Tensor  # (G, J) int64
    mean_score: Tensor  # (G, J) float64
    mean_hit: Tensor  # (G, J) float64
    mean_iou: Tensor  # (G, J) float64


def bin_edges(num_bins: int, device: torch.device) -> Tensor:
    """The edges of bins of equal width, ``(J + 1,)`` float64, as ``numpy.linspace`` gives them."""
    return constants([*(i * (1 / num_bins) for i in range(num_bins)), 1.0], device, torch.float64)


def bins(scores: Tensor, hit: Tensor, iou: Tensor, group: Tensor, num_groups: int, edges: Tensor) -> Bins:
    """Means within bins, whatever the order of the rows.

    Args:
        scores: ``(n,)`` float64 in [0, 1].
        hit: ``(n,)`` bool.
        iou: ``(n,)`` float64 in [0, 1].
        group: ``(n,)`` int64 in [0, G).
        num_groups: G.
        edges: ``(J + 1,)`` float64.
    """
    size = len(edges) - 1
    cell = group * size + torch.searchsorted(edges[1:-1].contiguous(), scores, right=True)
    shape = num_groups, size
    counts = occurrences(cell, num_groups * size).view(shape)
    means = [divide(overlap_sums(x.double(), cell, counts.numel()).view(shape), counts) for x in (scores, hit, iou)]
    return Bins(counts, *means)


def expected_error(mean_score: Tensor, mean_outcome: Tensor, counts: Tensor) -> Tensor:
    """The mean distance of scores and outcomes over bins, weighted by their counts, ``(G,)`` from ``(G, J)`` each."""
    share = divide(counts, counts.sum(-1, keepdim=True), 0.0)
    error = ordered_sum((mean_score - mean_outcome).abs().nan_to_num(0.0) * share)
    return error.masked_fill(counts.sum(-1) == 0, torch.nan)


def best_temperature(scores: Tensor, hit: Tensor) -> Tensor:
    """The temperature by which logits are divided so that the likelihood of hits is largest; 0-d float64.

    NaN where none is best: without detections, or where the likelihood rises on to the ends of what is tried.

    Args:
        scores: ``(n,)`` float64 in [0, 1].
        hit: ``(n,)`` bool.

    Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (ICML 2017), section 4.2.
    """
    logits, hit = to_logits(scores), hit.double()

    def slope(log_factor: Tensor) -> Tensor:  # of the loss, which is convex in the factor
        return ordered_sum(logits * ((logits * log_factor.exp()).sigmoid() - hit))

    low = scores.new_tensor(HOTTEST, dtype=torch.float64).log().neg()
    high = -low
    defined = (slope(low) < 0) & (slope(high) > 0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        falls = slope(middle) < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    return (-(low + high) / 2).exp().where(defined, torch.nan)


def to_logits(scores: Tensor) -> Tensor:
    """The logits of probabilities, those of 0 and 1 finite."""
    least = torch.finfo(torch.float64).eps
    return scores.clamp(least, 1 - least).logit()
