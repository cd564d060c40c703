"""Counts from each score on, the best of them, and the curves that are made of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import descending_key, from_zero, lexsort, occurrences, run_starts


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
