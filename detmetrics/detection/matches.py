"""From overlaps to matches: COCO's rules for thresholds, area ranges, crowds and ignored targets."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.instances import CROWD
from detmetrics.detection.table import Table, keep_overlaps
from detmetrics.ops.curves import Matched, Ranking
from detmetrics.ops.matching import BITS, greedy_match
from detmetrics.ops.ragged import descending_key, invert, lexsort, rank_in_run, run_starts

AreaRange = tuple[float, float]


class Matches(NamedTuple):
    """The overlaps that are a match under any setting; for one setting a detection occurs at most once.

    Setting ``a * T + t`` (area range a, threshold t) is bit ``setting % BITS`` of word ``setting // BITS``.
    """

    detection: Tensor  # (n,) int64, index into the table's detections
    target: Tensor  # (n,) int64, index into its targets
    hits: Tensor  # (W, n) int64 words: a match with a counted target
    ignored: Tensor  # (W, n) int64 words: a match with a crowd, an ignored target or one outside the area range

    def at(self, setting: int) -> Matches:
        """The matches under one setting, which becomes setting 0."""
        hits, ignored = (select_bits(words, [setting]) for words in (self.hits, self.ignored))
        at = (hits | ignored)[0].nonzero().squeeze(1)
        return Matches(self.detection[at], self.target[at], hits[:, at].long(), ignored[:, at].long())


def select_bits(words: Tensor, settings: Iterable[int]) -> Tensor:
    """The bits of some settings, ``(settings, n)`` bool, from words ``(W, n)``."""
    return torch.stack([words[s // BITS] & (1 << s % BITS) != 0 for s in settings])


def within(areas: Tensor, area_range: AreaRange) -> Tensor:
    """Whether an area lies in a range, bounds included."""
    low, high = area_range
    return (areas >= low) & (areas <= high)


def counted_targets(table: Table, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The targets that a detector should find, ``(A, M)`` bool."""
    wanted = table.target_flags == 0
    return torch.stack([wanted & within(table.target_areas, area_range) for area_range in area_ranges])


def match(table: Table, iou_thresholds: Sequence[float], area_ranges: Sequence[AreaRange]) -> Matches:
    """Match detections to targets for every area range and threshold at once; see also :func:`known_matches`.

    Args:
        table: The overlaps among others, down to the smallest threshold.
        iou_thresholds: T numbers in [0, 1]; as in COCO an overlap of 1 - 1e-10 reaches any.
        area_ranges: A pairs of inclusive bounds, in square pixels.

    Returns:
        The matches of all A * T settings.

    Source: pycocotools ``COCOeval.evaluateImg``.
    """
    chosen = keep_overlaps(table, table.iou >= min(*iou_thresholds, 1 - 1e-10))  # none of the others is ever a match
    detection, target = chosen.overlap_detection, chosen.overlap_target
    crowd = (table.target_flags & CROWD != 0).index_select(0, target)
    passes = [chosen.iou >= min(threshold, 1 - 1e-10) for threshold in iou_thresholds]  # T of (E,)
    counts = [counted.index_select(0, target) for counted in counted_targets(table, area_ranges)]  # A of (E,)
    settings = list(itertools.product(counts, passes))
    hits, ignored = [], []
    for start in range(0, len(settings), BITS):
        counted, suffices = torch.zeros((2, len(detection)), dtype=torch.int64, device=detection.device)
        for bit, (count, passed) in enumerate(settings[start : start + BITS]):
            suffices |= passed.long() << bit
            counted |= (passed & count).long() << bit
        taken = greedy_match(detection, target, chosen.iou, counted, suffices & ~counted, crowd)
        hits.append(taken & counted)
        ignored.append(taken & ~counted)
    words = torch.stack([*hits, *ignored])  # (2 W, E)
    kept = (words != 0).any(0).nonzero().squeeze(1)
    words = words.index_select(1, kept).view(2, len(hits), -1)
    matches = Matches(detection.index_select(0, kept), target.index_select(0, kept), *words)
    table.keep(("matches", tuple(iou_thresholds), tuple(map(tuple, area_ranges))), matches)
    return matches


def known_matches(table: Table, iou_threshold: float, area_range: AreaRange) -> Matches | None:
    """The matches of one setting, if this table was asked for them before."""
    for (kind, *settings), answer in table.answers.items():
        if kind == "matches" and iou_threshold in settings[0] and tuple(area_range) in settings[1]:
            thresholds, area_ranges = settings
            matches: Matches = answer
            return matches.at(area_ranges.index(tuple(area_range)) * len(thresholds) + thresholds.index(iou_threshold))
    return None


class Ranked(NamedTuple):
    """All detections by class and score, and the matches among them in that order."""

    order: Tensor  # (N,) int64, index of each ranked detection into the table
    rank: Tensor  # (N,) int64, ranked detections of the same image and class above each
    ranking: Ranking
    matched_rank: Tensor  # (n,) int64, rank of the matched detections
    position: Tensor  # (n,) int64, index of the matched detections into the ranking
    label: Tensor  # (n,) int64, index of their class
    scores: Tensor  # (n,) float64, their scores
    hits: Tensor  # (W, n) int64 words
    ignored: Tensor  # (W, n) int64 words

    def limited(self, limit: int) -> Ranked:
        """The matches among the best ``limit`` detections of an image and class.

        Nothing needs to be matched anew: what the first detections take does not depend on those below.
        """
        kept = (self.matched_rank < limit).nonzero().squeeze(1)
        return self._replace(
            matched_rank=self.matched_rank.index_select(0, kept),
            position=self.position.index_select(0, kept),
            label=self.label.index_select(0, kept),
            scores=self.scores.index_select(0, kept),
            hits=self.hits.index_select(1, kept),
            ignored=self.ignored.index_select(1, kept),
        )

    def matched(self, settings: Sequence[int], in_play: Tensor) -> Matched:
        """The matches that matter under some settings, where ``in_play`` (N,) says which detections take part."""
        masks = [0] * len(self.hits)
        for setting in settings:
            masks[setting // BITS] |= 1 << setting % BITS
        mask = torch.tensor(masks, device=self.hits.device)[:, None]
        playing = in_play.index_select(0, self.position)
        kept = ((self.hits & mask) != 0) | (((self.ignored & mask) != 0) & playing)
        kept = kept.any(0).nonzero().squeeze(1)
        return Matched(
            self.position.index_select(0, kept),
            self.label.index_select(0, kept),
            self.scores.index_select(0, kept),
            playing.index_select(0, kept),
            select_bits(self.hits.index_select(1, kept), settings),
            select_bits(self.ignored.index_select(1, kept), settings),
        )


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
    is_present = torch.searchsorted(labels, classes, right=True) > first
    padded = torch.cat([order, order.new_zeros(1)])  # a last class without detections starts behind the end
    best_score = torch.where(is_present, table.scores[padded[first]] if len(order) else 0.0, 0.0)
    in_image = rank_in_run(run_starts(table.image, table.labels))  # the table goes by image, label, score
    position = invert(order)
    by_position = position.index_select(0, matches.detection).sort(stable=True)
    detection = matches.detection.index_select(0, by_position.indices)
    return Ranked(
        order=order,
        rank=in_image.index_select(0, order),
        ranking=Ranking(first, best_score),
        matched_rank=in_image.index_select(0, detection),
        position=by_position.values,
        label=torch.searchsorted(classes, table.labels.index_select(0, detection)),
        scores=table.scores.index_select(0, detection),
        hits=matches.hits.index_select(1, by_position.indices),
        ignored=matches.ignored.index_select(1, by_position.indices),
    )


def count_targets(table: Table, classes: Tensor, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The counted targets of each class, ``(A, C)`` int64."""
    label = torch.searchsorted(classes, table.target_labels)
    counted = counted_targets(table, area_ranges)
    return torch.stack([torch.bincount(label[part], minlength=len(classes)) for part in counted])
