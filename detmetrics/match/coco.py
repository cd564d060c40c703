"""COCO's rules: thresholds, area ranges, crowds and ignored targets become bits, and bits become matches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.match.evaluation_data import CROWD, EvaluationData
from detmetrics.match.greedy import BITS as BITS
from detmetrics.match.greedy import greedy_match
from detmetrics.ragged import rank_in_run, run_starts

AreaRange = tuple[float, float]
SUFFICIENT = 1 - 1e-10  # an overlap that reaches any threshold, as in COCO


class Matches(NamedTuple):
    """The overlaps that are a match under any setting; under one setting a detection occurs at most once.

    Setting ``a * T + t`` (area range a, threshold t) is bit ``setting % BITS`` of word ``setting // BITS``.
    """

    detection: Tensor  # (n,) int64, index of the detection in the data
    target: Tensor  # (n,) int64, index of the target
    iou: Tensor  # (n,) float64, their overlap
    hits: Tensor  # (W, n) int64 words: a match with a counted target
    ignored: Tensor  # (W, n) int64 words: a match with a crowd, an ignored target or one outside the area range

    def at(self, setting: int) -> Matches:
        """The matches under one setting, which becomes setting 0."""
        hits, ignored = (select_bits(words, [setting]) for words in (self.hits, self.ignored))
        at = (hits | ignored)[0].nonzero().squeeze(1)
        own = self.detection[at], self.target[at], self.iou[at]
        return Matches(*own, hits[:, at].long(), ignored[:, at].long())


def select_bits(words: Tensor, settings: Iterable[int]) -> Tensor:
    """The bits of some settings, ``(settings, n)`` bool, from words ``(W, n)``."""
    return torch.stack([words[s // BITS] & (1 << s % BITS) != 0 for s in settings])


def within(areas: Tensor, area_range: AreaRange) -> Tensor:
    """Whether an area lies in a range, bounds included."""
    low, high = area_range
    return (areas >= low) & (areas <= high)


def counted_targets(data: EvaluationData, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The targets that a detector should find, ``(A, M)`` bool."""
    wanted = data.target_flags == 0
    return torch.stack([wanted & within(data.target_areas, area_range) for area_range in area_ranges])


def count_targets(data: EvaluationData, classes: Tensor, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The number of counted targets of each class, ``(A, C)`` int64."""
    label = torch.searchsorted(classes, data.target_labels)
    counted = counted_targets(data, area_ranges)
    return torch.stack([torch.bincount(label[part], minlength=len(classes)) for part in counted])


def match(data: EvaluationData, iou_thresholds: Sequence[float], area_ranges: Sequence[AreaRange]) -> Matches:
    """Match detections to targets for every area range and threshold at once.

    Args:
        data: The overlaps among others, down to the smallest threshold.
        iou_thresholds: T numbers in [0, 1]; as in COCO an overlap of 1 - 1e-10 reaches any.
        area_ranges: A pairs of inclusive bounds, in square pixels.

    Returns:
        The matches of all A * T settings.

    Source: pycocotools ``COCOeval.evaluateImg``.
    """
    chosen = data.with_overlaps(data.iou >= min(*iou_thresholds, SUFFICIENT))  # none of the others is ever a match
    detection, target = chosen.overlap_detection, chosen.overlap_target
    crowd = (data.target_flags & CROWD != 0).index_select(0, target)
    passes = [chosen.iou >= min(threshold, SUFFICIENT) for threshold in iou_thresholds]  # T of (E,)
    counts = [counted.index_select(0, target) for counted in counted_targets(data, area_ranges)]  # A of (E,)
    settings = list(itertools.product(counts, passes))
    hits, ignored = [], []
    for start in range(0, len(settings), BITS):
        counted, ignorable = _words(settings[start : start + BITS], detection)
        taken = greedy_match(detection, target, chosen.iou, counted, ignorable, crowd)
        hits.append(taken & counted)
        ignored.append(taken & ~counted)
    words = torch.stack([*hits, *ignored])  # (2 W, E)
    kept = (words != 0).any(0).nonzero().squeeze(1)
    words = words.index_select(1, kept).view(2, len(hits), -1)
    return Matches(*(column.index_select(0, kept) for column in (detection, target, chosen.iou)), *words)


def _words(settings: Sequence[tuple[Tensor, Tensor]], like: Tensor) -> tuple[Tensor, Tensor]:
    """The bits under which an overlap suffices and its target counts, and those under which the target is ignored."""
    counted, suffices = torch.zeros((2, len(like)), dtype=torch.int64, device=like.device)
    for bit, (counts, passes) in enumerate(settings):
        suffices |= passes.long() << bit
        counted |= (passes & counts).long() << bit
    return counted, suffices & ~counted


def match_all(
    data: EvaluationData,
    iou_thresholds: tuple[float, ...],
    area_ranges: tuple[AreaRange, ...],
    max_detections: int | None = None,
) -> Matches:
    """:func:`match`, worked out once for all metrics that read the same data.

    Args:
        data: The overlaps among others.
        iou_thresholds: T numbers in [0, 1].
        area_ranges: A pairs of inclusive bounds.
        max_detections: Only the best so many detections per class and image are asked about. What they take does not
            depend on those below, which are left out: of thousands of overlapping detections few are looked at.
    """
    asked = data if max_detections is None else _among_best(data, max_detections)
    limit = None if asked is data else max_detections
    return data.memo.answer(
        ("matches", iou_thresholds, area_ranges, limit), lambda: match(asked, iou_thresholds, area_ranges)
    )


def _among_best(data: EvaluationData, limit: int) -> EvaluationData:
    """The data without the overlaps of detections beyond a limit; the very same data if there are none."""
    rank = rank_in_run(run_starts(data.image, data.labels)).index_select(0, data.overlap_detection)
    kept = rank < limit
    return data if bool(kept.all()) else data.with_overlaps(kept)


def known_matches(
    data: EvaluationData, iou_threshold: float, area_range: AreaRange, max_detections: int | None
) -> Matches | None:
    """The matches under one setting, if :func:`match_all` was called for it, and for as many detections."""
    for question, answer in data.memo.answers.items():
        if isinstance(question, tuple) and question[0] == "matches":
            _, thresholds, area_ranges, limit = question
            enough = limit is None or (max_detections is not None and max_detections <= limit)
            if enough and iou_threshold in thresholds and area_range in area_ranges:
                matches: Matches = answer
                return matches.at(area_ranges.index(area_range) * len(thresholds) + thresholds.index(iou_threshold))
    return None
