"""All detections by class and score, and the matches among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.match.coco import BITS, Matches, select_bits
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import descending_key, invert, lexsort, rank_in_run, run_starts


class Ranking(NamedTuple):
    """Where the classes are among all detections, which are by class, then by score, descending."""

    first: Tensor  # (C,) int64, index of the best detection of each class
    best_score: Tensor  # (C,) float64, its score; 0 for a class without detections


class Matched(NamedTuple):
    """The n ranked detections that any of T settings matches, in the order of the ranking."""

    position: Tensor  # (n,) int64, index into the ranking
    label: Tensor  # (n,) int64, index of the class
    scores: Tensor  # (n,) float64
    countable: Tensor  # (n,) bool: would be a false positive if it were not matched
    hits: Tensor  # (T, n) bool, matched to a counted target: a true positive
    ignored: Tensor  # (T, n) bool, matched to an ignored target: not counted at all


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

    def matched(self, settings: Sequence[int], countable: Tensor) -> Matched:
        """The matches that matter under some settings.

        Args:
            settings: Those of one area range.
            countable: ``(N,)`` bool: the ranked detections that are false positives where they stay unmatched.
        """
        masks = [0] * len(self.hits)
        for setting in settings:
            masks[setting // BITS] |= 1 << setting % BITS
        mask = torch.tensor(masks, device=self.hits.device)[:, None]
        own = countable.index_select(0, self.position)
        kept = ((self.hits & mask) != 0) | (((self.ignored & mask) != 0) & own)
        kept = kept.any(0).nonzero().squeeze(1)
        return Matched(
            self.position.index_select(0, kept),
            self.label.index_select(0, kept),
            self.scores.index_select(0, kept),
            own.index_select(0, kept),
            select_bits(self.hits.index_select(1, kept), settings),
            select_bits(self.ignored.index_select(1, kept), settings),
        )


def rank(data: EvaluationData, classes: Tensor, matches: Matches) -> Ranked:
    """Rank all detections within their class: by score, then by image key, then by their order in the image.

    Args:
        data: N detections.
        classes: ``(C,)`` int64, ascending, all labels that occur among them.
        matches: The n matches among them.
    """
    order = lexsort(data.labels, descending_key(data.scores))  # stable, and the data is in canonical order
    in_image = rank_in_run(run_starts(data.image, data.labels))  # the data goes by image, label, score
    position = invert(order)
    by_position = position.index_select(0, matches.detection).sort(stable=True)
    detection = matches.detection.index_select(0, by_position.indices)
    return Ranked(
        order=order,
        rank=in_image.index_select(0, order),
        ranking=_ranking(data, classes, order),
        matched_rank=in_image.index_select(0, detection),
        position=by_position.values,
        label=torch.searchsorted(classes, data.labels.index_select(0, detection)),
        scores=data.scores.index_select(0, detection),
        hits=matches.hits.index_select(1, by_position.indices),
        ignored=matches.ignored.index_select(1, by_position.indices),
    )


def _ranking(data: EvaluationData, classes: Tensor, order: Tensor) -> Ranking:
    labels = data.labels.index_select(0, order)
    first = torch.searchsorted(labels, classes)
    is_present = torch.searchsorted(labels, classes, right=True) > first
    padded = torch.cat([order, order.new_zeros(1)])  # a last class without detections starts behind the end
    best_score = torch.where(is_present, data.scores[padded[first]] if len(order) else 0.0, 0.0)
    return Ranking(first, best_score)
