"""From matches to counts: what became of each detection and each target at an operating point."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.match.coco import AreaRange, Matches, counted_targets, within
from detmetrics.match.evaluation_data import SCORE_DTYPES, EvaluationData
from detmetrics.match.images import Images
from detmetrics.ragged import occurrences, rank_in_run, run_starts

Counts = tuple[Tensor, Tensor, Tensor]  # tp, fp, fn: int64 of one shape
Cell = Callable[[Tensor, Tensor], Tensor]  # from images and labels, (n,) each, to the cell that is counted in


class Outcome(NamedTuple):
    """Right, wrong and missed, as indices into evaluation data. Whatever is ignored is in none of them."""

    detection: Tensor  # (n,) int64, the true positives
    target: Tensor  # (n,) int64, what each of them found
    iou: Tensor  # (n,) float64, how much they overlap
    wrong: Tensor  # (K,) int64, detections: the false positives
    missed: Tensor  # (F,) int64, targets: the false negatives

    def carried_to(self, taken: Images) -> Outcome:
        """The outcome in the images that were taken."""
        own, wrong = (taken.rows(taken.data.image.index_select(0, x)) for x in (self.detection, self.wrong))
        missed = taken.rows(taken.data.target_image.index_select(0, self.missed))
        return Outcome(
            taken.renumbered_detections(self.detection.index_select(0, own.at), own.image),
            taken.renumbered_targets(self.target.index_select(0, own.at), own.image),
            self.iou.index_select(0, own.at),
            taken.renumbered_detections(self.wrong.index_select(0, wrong.at), wrong.image),
            taken.renumbered_targets(self.missed.index_select(0, missed.at), missed.image),
        )


def kept_detections(data: EvaluationData, score_threshold: float, max_detections: int | None) -> Tensor:
    """Whether a detection takes part, ``(N,)`` bool.

    Args:
        data: N detections.
        score_threshold: The smallest score that does; rounded to the dtype that the scores of an image had.
        max_detections: How many of a class in an image do, the best first; None for all.
    """
    rounded = [torch.tensor(score_threshold, dtype=dtype).item() for dtype in SCORE_DTYPES]
    least = torch.tensor([*rounded, -torch.inf], dtype=torch.float64, device=data.scores.device)  # last: NO_SCORES
    kept = data.scores >= least[data.score_dtype].index_select(0, data.image)
    if max_detections is not None:
        kept &= rank_in_run(run_starts(data.image, data.labels)) < max_detections
    return kept


def decide(data: EvaluationData, matches: Matches, kept: Tensor, area_range: AreaRange) -> Outcome:
    """The outcome where only some detections take part.

    What a detection takes does not depend on those scored below it, so that a cut by score needs no other matches.

    Args:
        data: N detections, M targets.
        matches: Those of one threshold and area range.
        kept: ``(N,)`` bool: the detections that take part.
        area_range: Unmatched detections outside it are ignored.
    """
    hit = (matches.hits[0] != 0) & kept.index_select(0, matches.detection)
    hits = hit.nonzero().squeeze(1)
    detection, target, iou = (column.index_select(0, hits) for column in matches[:3])
    wrong = (kept & within(data.areas, [area_range])[0]).index_fill(0, matches.detection, False)
    missed = counted_targets(data, [area_range])[0].index_fill(0, target, False)
    return Outcome(detection, target, iou, wrong.nonzero().squeeze(1), missed.nonzero().squeeze(1))


def count(data: EvaluationData, outcome: Outcome, cell: Cell, num_cells: int) -> Counts:
    """True positives, false positives and false negatives of each cell, ``(num_cells,)`` int64 each.

    Args:
        data: What the outcome is about.
        outcome: What to count.
        cell: Gives the cells, in 0 to ``num_cells`` - 1, of images and labels; a true positive counts for its target.
        num_cells: How many cells there are.
    """
    wrong = cell(data.image[outcome.wrong], data.labels[outcome.wrong])
    found, missed = (cell(data.target_image[at], data.target_labels[at]) for at in (outcome.target, outcome.missed))
    tp, fp, fn = (occurrences(cells, num_cells) for cells in (found, wrong, missed))
    return tp, fp, fn
