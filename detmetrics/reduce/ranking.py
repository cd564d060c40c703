"""All detections by class and score, and the matches among them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.match.coco import BITS, Matches, select_bits
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.match.images import Images
from detmetrics.ragged import constants, descending_key, from_zero, invert, lexsort, rank_in_run, run_starts


class Ranking(NamedTuple):
    """Where the classes are among all detections, which are by class, then by score, descending."""

    first: Tensor  # (C,) int64, index of the best detection of each class
    best_score: Tensor  # (C,) float64, its score; 0 for a class without detections


class Matched(NamedTuple):
    """The n ranked detections that any setting of A area ranges and T thresholds matches, in the order of the ranking.

    Setting ``a * T + t`` is area range a with threshold t.
    """

    position: Tensor  # (n,) int64, index into the ranking
    rank: Tensor  # (n,) int64, number of detections of the same image and class above each
    label: Tensor  # (n,) int64, index of the class
    scores: Tensor  # (n,) float64
    countable: Tensor  # (A, n) bool: would be a false positive if it were not matched
    hits: Tensor  # (A * T, n) bool, matched to a counted target: a true positive
    ignored: Tensor  # (A * T, n) bool, matched to an ignored target: not counted at all

    @property
    def num_thresholds(self) -> int:
        """T."""
        return len(self.hits) // len(self.countable)


class Accumulated(NamedTuple):
    """The matches under one limit in A area ranges, as the functions of ``reduce.interpolation`` take them."""

    ranking: Ranking
    matched: Matched
    countable: Tensor  # (A, N) bool: the detections that are false positives where they stay unmatched
    num_targets: Tensor  # (A, C) int64


class Ranked(NamedTuple):
    """All detections by class and score, and the matches among them in that order."""

    order: Tensor  # (N,) int64, index of each ranked detection into the data
    rank: Tensor  # (N,) int64, number of ranked detections of the same image and class above each
    ranking: Ranking
    matched_rank: Tensor  # (n,) int64, rank of the matched detections
    position: Tensor  # (n,) int64, index of the matched detections into the ranking
    label: Tensor  # (n,) int64, index of their class
    scores: Tensor  # (n,) float64, their scores
    hits: Tensor  # (W, n) int64 words
    ignored: Tensor  # (W, n) int64 words

    def carried_to(self, taken: Images) -> Ranked:
        """The ranking of the images that were taken, without another sort.

        Copies of a detection are neighbours. Only where an image has several detections of one class and score, all of
        its first copy come before those of its second.
        """
        ties, image = taken.data.ties, taken.data.image.index_select(0, self.order)
        start = from_zero(taken.times.index_select(0, image).cumsum(0))  # (N + 1,), where copies of a detection go

        def place(ranked: Tensor, number: Tensor) -> Tensor:
            """The places of copies of ranked detections."""
            if ties is None:
                return start.index_select(0, ranked) + number
            before, count = (column.index_select(0, self.order.index_select(0, ranked)) for column in ties)
            return start.index_select(0, ranked - before) + number * count + before

        ranked, number = taken.copies(image)
        row, copy = taken.copies(image.index_select(0, self.position))
        detection, position = self.order.index_select(0, ranked), place(self.position.index_select(0, row), copy)
        order = taken.renumbered_detections(detection, taken.place(image.index_select(0, ranked), number))
        of_order = self.rank.index_select(0, ranked)
        if ties is not None:
            places, by_position = place(ranked, number), position.argsort()
            order, of_order = (torch.empty_like(x).index_copy_(0, places, x) for x in (order, of_order))
            row, position = row.index_select(0, by_position), position.index_select(0, by_position)
        first = start.index_select(0, self.ranking.first)
        return Ranked(
            order=order,
            rank=of_order,
            ranking=_ranking(first, torch.cat([first[1:], start[-1:]]), detection, taken.data.scores),
            matched_rank=self.matched_rank.index_select(0, row),
            position=position,
            label=self.label.index_select(0, row),
            scores=self.scores.index_select(0, row),
            hits=self.hits.index_select(1, row),
            ignored=self.ignored.index_select(1, row),
        )

    def limited(self, limit: int) -> Ranked:
        """The matches among the best ``limit`` detections of an image and class.

        Nothing needs to be matched anew: what the first detections take does not depend on those below.
        """
        kept = (self.matched_rank < limit).nonzero().squeeze(1)
        if len(kept) == len(self.matched_rank):
            return self
        return self._replace(
            matched_rank=self.matched_rank.index_select(0, kept),
            position=self.position.index_select(0, kept),
            label=self.label.index_select(0, kept),
            scores=self.scores.index_select(0, kept),
            hits=self.hits.index_select(1, kept),
            ignored=self.ignored.index_select(1, kept),
        )

    def matched(self, settings: range, countable: Tensor) -> Matched:
        """The matches that matter under some settings.

        Args:
            settings: Those of A area ranges, T for each.
            countable: ``(A, N)`` bool: the ranked detections that are false positives where they stay unmatched.
        """
        own = countable.index_select(1, self.position)  # (A, n)
        masks = _masks(settings, len(countable), len(self.hits), self.hits.device)
        hit, ignored = (((words & masks) != 0).any(1) for words in (self.hits, self.ignored))  # (A, n)
        kept = (hit | (ignored & own)).any(0).nonzero().squeeze(1)
        return Matched(
            position=self.position.index_select(0, kept),
            rank=self.matched_rank.index_select(0, kept),
            label=self.label.index_select(0, kept),
            scores=self.scores.index_select(0, kept),
            countable=own.index_select(1, kept),
            hits=select_bits(self.hits.index_select(1, kept), settings),
            ignored=select_bits(self.ignored.index_select(1, kept), settings),
        )


def _masks(settings: range, num_areas: int, num_words: int, device: torch.device) -> Tensor:
    """The bits of the settings of each area range, ``(A, W, 1)`` int64 words."""
    masks = [[0] * num_words for _ in range(num_areas)]
    for i, setting in enumerate(settings):
        masks[i * num_areas // len(settings)][setting // BITS] |= 1 << setting % BITS
    return constants(masks, device)[:, :, None]


def rank(data: EvaluationData, classes: Tensor, matches: Matches) -> Ranked:
    """Rank all detections within their class: by score, then by image key, then by their order in the image.

    Args:
        data: N detections.
        classes: ``(C,)`` int64, ascending, all labels that occur among them.
        matches: The n matches among them.
    """
    order = lexsort(data.labels, descending_key(data.scores))  # stable, and the data is in canonical order
    in_image = rank_in_run(run_starts(data.image, data.labels))  # the data goes by image, label, score
    labels, position = data.labels.index_select(0, order), invert(order)
    first, end = torch.searchsorted(labels, classes), torch.searchsorted(labels, classes, right=True)
    by_position = position.index_select(0, matches.detection).sort(stable=True)
    detection = matches.detection.index_select(0, by_position.indices)
    return Ranked(
        order=order,
        rank=in_image.index_select(0, order),
        ranking=_ranking(first, end, order, data.scores),
        matched_rank=in_image.index_select(0, detection),
        position=by_position.values,
        label=torch.searchsorted(classes, data.labels.index_select(0, detection)),
        scores=data.scores.index_select(0, detection),
        hits=matches.hits.index_select(1, by_position.indices),
        ignored=matches.ignored.index_select(1, by_position.indices),
    )


def _ranking(first: Tensor, end: Tensor, order: Tensor, scores: Tensor) -> Ranking:
    """Where classes (C,) start and end in a ranking, ``order`` (N,) of which are the indices of its scores."""
    padded = torch.cat([order, order.new_zeros(1)])  # a last class without detections starts behind the end
    best_score = torch.where(end > first, scores[padded[first]] if len(order) else 0.0, 0.0)
    return Ranking(first, best_score)
