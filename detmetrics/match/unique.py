"""Matches of segments that do not overlap one another: above an IoU of .5 a segment has one partner at most.

At exactly .5 it may have two, each of which is half of it or in half of it: the first by number is taken, and any
other choice gives as many matches.

Source: Kirillov et al., Panoptic Segmentation (CVPR 2019), and ``pq_compute_single_core`` of panopticapi.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import descending_key, group_sums, lexsort, run_starts

HAS_TARGET, HAS_PRED, MATCHED = 1, 2, 4  # flags of an outcome: what it is if it does not match, and whether it may


class Segments(NamedTuple):
    """The segments of one side of a batch."""

    image: Tensor  # (S,) int64
    label: Tensor  # (S,) int64
    iscrowd: Tensor  # (S,) bool


class Overlap(NamedTuple):
    """The pixels that pairs of segments share. The number -1 stands for void, and for no prediction."""

    target: Tensor  # (K,) int64, numbers of target segments, or -1
    pred: Tensor  # (K,) int64, numbers of predicted segments, or -1
    both: Tensor  # (K,) int64, pixels in both
    in_target: Tensor  # (K,) int64, those that count for the area of the target
    in_pred: Tensor  # (K,) int64, those that count for the area of the prediction


class Outcomes(NamedTuple):
    """The outcomes of a batch, by image: one per target that is no crowd, one per prediction without a match.

    A target has the pixels of its match, or else of the prediction that it overlaps best: intersection and union, 0 and
    its area if it meets none of its class. A prediction has 0 and its area outside of void, 0 and 0 if it is the best
    of a target. So the sums of intersections and unions are those of the aggregated Jaccard index.
    """

    image: Tensor  # (n,) int64
    rows: Tensor  # (n, 4) int64: label, flags, intersection, union


class Pairs(NamedTuple):
    """The E pairs of overlapping segments of one class, by target and prediction."""

    target: Tensor  # (E,) int64
    pred: Tensor  # (E,) int64
    intersection: Tensor  # (E,) int64
    union: Tensor  # (E,) int64

    def select(self, at: Tensor) -> Pairs:
        """Some of them."""
        return Pairs(*(column.index_select(0, at) for column in self))


def match_segments(
    overlaps: list[Overlap], targets: Segments, preds: Segments, void_on_both_sides: bool = False
) -> Outcomes:
    """Match segments of one class whose IoU is .5 or more.

    Void pixels leave the union. Crowds are no targets. A prediction more than half of which is void or a crowd of its
    class has no ``HAS_PRED``: it is no false positive if it is not matched.

    Args:
        overlaps: The pixels of pairs, each pair once. Of several overlaps of the same pairs the smallest IoU counts.
        targets: The segments of the targets.
        preds: The predicted segments.
        void_on_both_sides: Whether pixels without a prediction leave the union as well, and a target that more than
            half consists of them is no false negative.
    """
    pixels = overlaps[0]
    if void_on_both_sides:
        overlaps = [each._replace(in_target=each.in_target * (each.pred >= 0)) for each in overlaps]
    alike = _are_of_one_class(pixels, targets, preds)
    in_crowd = alike & _of(targets.iscrowd, pixels.target)
    areas = [_areas(each, len(targets.label), len(preds.label)) for each in overlaps]
    at = (alike & ~in_crowd).nonzero().squeeze(1)
    best = _best_of_targets(_smallest([_pairs(*each, at) for each in zip(overlaps, areas, strict=True)]))
    matched = best.select(_matches(best))
    if void_on_both_sides:
        matched = matched.select((2 * matched.intersection > matched.union).nonzero().squeeze(1))
    counted = _counted_predictions(pixels, in_crowd, len(preds.label))
    flags = HAS_TARGET + MATCHED + HAS_PRED * counted.index_select(0, matched.pred)
    of_targets = (
        targets.image,
        targets.label,
        torch.full_like(targets.label, HAS_TARGET).index_copy_(0, matched.target, flags),
        torch.zeros_like(targets.label).index_copy_(0, best.target, best.intersection),
        areas[0][0].index_copy(0, best.target, best.union),
    )
    of_preds = (
        preds.image,
        preds.label,
        torch.full_like(preds.label, HAS_PRED),
        torch.zeros_like(preds.label),
        areas[0][1].index_fill(0, best.pred, 0),
    )
    missed = ~targets.iscrowd
    if void_on_both_sides:
        missed &= _mostly_predicted(pixels, len(targets.label)).index_fill(0, matched.target, True)
    alone = counted.index_fill(0, matched.pred, False)
    parts = [[x[missed] for x in of_targets], [x[alone] for x in of_preds]]
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    order = lexsort(*columns)  # a canonical order, so that equal images have equal rows
    image, *rest = (column.index_select(0, order) for column in columns)
    return Outcomes(image, torch.stack(rest, dim=1))


def _are_of_one_class(pixels: Overlap, targets: Segments, preds: Segments) -> Tensor:
    """Which rows are pairs of segments of one class, ``(K,)`` bool."""
    there = (pixels.target >= 0) & (pixels.pred >= 0)
    return there & (_of(targets.label, pixels.target) == _of(preds.label, pixels.pred))


def _areas(pixels: Overlap, num_targets: int, num_preds: int) -> tuple[Tensor, Tensor]:
    """The areas of targets ``(M,)``, and of predictions without void ``(P,)``."""
    outside_void = pixels.in_pred * (pixels.target >= 0)
    return group_sums(pixels.in_target, pixels.target, num_targets), group_sums(outside_void, pixels.pred, num_preds)


def _pairs(pixels: Overlap, areas: tuple[Tensor, Tensor], at: Tensor) -> Pairs:
    target, pred, both = (x.index_select(0, at) for x in pixels[:3])
    return Pairs(target, pred, both, areas[0].index_select(0, target) + areas[1].index_select(0, pred) - both)


def _smallest(measured: list[Pairs]) -> Pairs:
    """Of several intersections and unions of the same pairs those with the smallest quotient."""
    least = measured[0]
    for other in measured[1:]:
        smaller = other.intersection.double() / other.union < least.intersection.double() / least.union
        least = Pairs(*least[:2], *(b.where(smaller, a) for a, b in zip(least[2:], other[2:], strict=True)))
    return least


def _best_of_targets(pairs: Pairs) -> Pairs:
    """The pair with the largest IoU of each target that has one, of equal ones the first."""
    order = lexsort(pairs.target, descending_key(pairs.intersection.double() / pairs.union))
    ordered = pairs.select(order)
    return ordered.select(run_starts(ordered.target).nonzero().squeeze(1))


def _matches(best: Pairs) -> Tensor:
    """Which best pairs are matches, indices: an IoU of .5 or more, and the first target of its prediction."""
    hits = (2 * best.intersection >= best.union).nonzero().squeeze(1)
    ordered = hits.index_select(0, best.pred.index_select(0, hits).sort(stable=True).indices)
    return ordered[run_starts(best.pred.index_select(0, ordered))]


def _counted_predictions(pixels: Overlap, in_crowd: Tensor, num_preds: int) -> Tensor:
    """The predictions at most half of which is void or a crowd of their class, ``(P,)`` bool."""
    outside = pixels.both * ((pixels.target < 0) | in_crowd)
    return 2 * group_sums(outside, pixels.pred, num_preds) <= group_sums(pixels.both, pixels.pred, num_preds)


def _mostly_predicted(pixels: Overlap, num_targets: int) -> Tensor:
    """The targets at most half of which has no prediction, ``(M,)`` bool."""
    void = pixels.both * (pixels.pred < 0)
    return 2 * group_sums(void, pixels.target, num_targets) <= group_sums(pixels.both, pixels.target, num_targets)


def _of(values: Tensor, number: Tensor) -> Tensor:
    """The values of segments by number; those of the number -1 are 0."""
    return torch.cat([values.new_zeros(1), values]).index_select(0, number + 1)
