"""From overlaps to matches: COCO's rules for thresholds, area ranges, crowds and ignored targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.instances import CROWD
from detmetrics.detection.table import Table
from detmetrics.ops.curves import Matched, Ranking
from detmetrics.ops.matching import BITS, greedy_match
from detmetrics.ops.ragged import descending_key, lexsort, rank_in_run, run_starts

AreaRange = tuple[float, float]


class Matches(NamedTuple):
    """The overlaps that are a match under any setting; for one setting a detection occurs at most once."""

    detection: Tensor  # (n,) int64, index into the table's detections
    target: Tensor  # (n,) int64, index into its targets
    hits: Tensor  # (A, T, n) bool, a match with a counted target
    ignored: Tensor  # (A, T, n) bool, a match with a crowd, an ignored target or one outside the area range


def within(areas: Tensor, area_range: AreaRange) -> Tensor:
    """Whether an area lies in a range, bounds included."""
    low, high = area_range
    return (areas >= low) & (areas <= high)


def counted_targets(table: Table, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The targets that a detector should find, ``(A, M)`` bool."""
    wanted = table.target_flags == 0
    return torch.stack([wanted & within(table.target_areas, area_range) for area_range in area_ranges])


def match(table: Table, iou_thresholds: Sequence[float], area_ranges: Sequence[AreaRange]) -> Matches:
    """Match detections to targets for every area range and threshold at once.

    Args:
        table: The overlaps among others, down to the smallest threshold.
        iou_thresholds: T numbers in [0, 1]; as in COCO an overlap of 1 - 1e-10 reaches any.
        area_ranges: A pairs of inclusive bounds, in square pixels.

    Returns:
        The matches of all A * T settings.

    Source: pycocotools ``COCOeval.evaluateImg``.
    """
    counts = counted_targets(table, area_ranges)
    settled = [
        torch.cat([_match_word(table, part, counted) for counted in counts.split(BITS // len(part))], dim=1)
        for part in _chunks(iou_thresholds, BITS)
    ]
    hits, ignored = torch.cat(settled, dim=2)  # (A, T, E) each
    kept = (hits | ignored).flatten(0, 1).any(0).nonzero().squeeze(1)
    return Matches(
        table.overlap_detection.index_select(0, kept),
        table.overlap_target.index_select(0, kept),
        hits.index_select(2, kept),
        ignored.index_select(2, kept),
    )


class Ranked(NamedTuple):
    """All detections by class and score, and the matches among them in that order."""

    order: Tensor  # (N,) int64, index of each ranked detection into the table
    rank: Tensor  # (N,) int64, ranked detections of the same image and class above each
    ranking: Ranking
    matched_rank: Tensor  # (n,) int64, rank of the matched detections
    position: Tensor  # (n,) int64, index of the matched detections into the ranking
    label: Tensor  # (n,) int64, index of their class
    hits: Tensor  # (A, T, n) bool
    ignored: Tensor  # (A, T, n) bool

    def limited(self, limit: int) -> Callable[[int], Matched]:
        """The matches in an area range among the best ``limit`` detections of an image and class.

        Nothing needs to be matched anew: what the first detections take does not depend on those below.
        """
        kept = (self.matched_rank < limit).nonzero().squeeze(1)
        position, label = self.position.index_select(0, kept), self.label.index_select(0, kept)
        hits, ignored = self.hits.index_select(2, kept), self.ignored.index_select(2, kept)
        return lambda area: Matched(position, label, hits[area], ignored[area])


def rank(table: Table, classes: Tensor, matches: Matches) -> Ranked:
    """Rank all detections within their class: by score, then by image key, then by their order in the image.

    Args:
        table: N detections.
        classes: ``(C,)`` int64, ascending, all labels that occur among them.
        matches: The n matches among them.
    """
    order = lexsort(table.labels, descending_key(table.scores))  # stable, and the table is in canonical order
    labels = table.labels.index_select(0, order)
    first = torch.searchsorted(labels, classes)
    ranking = Ranking(
        table.scores.index_select(0, order), first, torch.searchsorted(labels, classes, right=True) - first
    )
    in_image = rank_in_run(run_starts(table.image, table.labels))  # the table goes by image, label, score
    position = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))
    by_position = position.index_select(0, matches.detection).sort(stable=True)
    detection = matches.detection.index_select(0, by_position.indices)
    return Ranked(
        order=order,
        rank=in_image.index_select(0, order),
        ranking=ranking,
        matched_rank=in_image.index_select(0, detection),
        position=by_position.values,
        label=torch.searchsorted(classes, table.labels.index_select(0, detection)),
        hits=matches.hits.index_select(2, by_position.indices),
        ignored=matches.ignored.index_select(2, by_position.indices),
    )


def count_targets(table: Table, classes: Tensor, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The counted targets of each class, ``(A, C)`` int64."""
    label = torch.searchsorted(classes, table.target_labels)
    counted = counted_targets(table, area_ranges)
    return torch.stack([torch.bincount(label[part], minlength=len(classes)) for part in counted])


def _match_word(table: Table, iou_thresholds: Sequence[float], counts: Tensor) -> Tensor:
    """The matches of the settings that fit into one word: hits, then ignored matches ``(2, A, T, E)`` bool."""
    passes = torch.zeros_like(table.overlap_detection)
    for bit, threshold in enumerate(iou_thresholds):
        passes |= (table.iou >= min(threshold, 1 - 1e-10)).long() << bit
    counts = counts.index_select(1, table.overlap_target)  # (A, E)
    shift = torch.arange(len(counts), device=passes.device)[:, None] * len(iou_thresholds)  # (A, 1)
    words = passes << shift  # (A, E)
    counted = torch.where(counts, words, 0).sum(0)  # the bits of the areas do not meet: the sum is their OR
    crowd = (table.target_flags & CROWD != 0).index_select(0, table.overlap_target)
    taken = greedy_match(
        table.overlap_detection, table.overlap_target, table.iou, counted, words.sum(0) & ~counted, crowd
    )
    setting = shift[:, :, None] + torch.arange(len(iou_thresholds), device=passes.device)[:, None]  # (A, T, 1)
    return torch.stack([(taken & part) >> setting & 1 for part in (counted, ~counted)]).bool()


def _chunks(items: Sequence[float], size: int) -> list[Sequence[float]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
