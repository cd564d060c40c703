"""From matches to counts: what became of each detection and each target at an operating point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.detection.instances import SCORE_DTYPES
from detmetrics.detection.matches import AreaRange, Matches, counted_targets, match, within
from detmetrics.detection.table import Table
from detmetrics.ops.ragged import descending_key, invert, lexsort, rank_in_run, run_starts

Counts = tuple[Tensor, Tensor, Tensor]  # tp, fp, fn: int64 of one shape
Cell = Callable[[Tensor, Tensor], Tensor]  # from images and labels, (n,) each, to what is counted by


class Outcome(NamedTuple):
    """Right, wrong and missed, as indices into a table. Whatever is ignored is in none of them."""

    detection: Tensor  # (n,) int64, the true positives
    target: Tensor  # (n,) int64, what each of them found
    wrong: Tensor  # (K,) int64, detections: the false positives
    missed: Tensor  # (F,) int64, targets: the false negatives


def kept_detections(table: Table, score_threshold: float, max_detections: int | None) -> Tensor:
    """Whether a detection takes part, ``(N,)`` bool.

    Args:
        table: N detections.
        score_threshold: The smallest score that does; rounded to the dtype that the scores of an image had.
        max_detections: How many of a class in an image do, the best first; None for all.
    """
    rounded = [torch.tensor(score_threshold, dtype=dtype).item() for dtype in SCORE_DTYPES]
    least = torch.tensor([*rounded, -torch.inf], dtype=torch.float64, device=table.scores.device)  # last: NO_SCORES
    kept = table.scores >= least[table.score_dtype].index_select(0, table.image)
    if max_detections is not None:
        kept &= rank_in_run(run_starts(table.image, table.labels)) < max_detections
    return kept


def decide(table: Table, matches: Matches, kept: Tensor, area_range: AreaRange) -> Outcome:
    """The outcome where only some detections take part.

    What a detection takes does not depend on those scored below it, so that a cut by score needs no other matches.

    Args:
        table: N detections, M targets.
        matches: Those of one threshold and area range.
        kept: ``(N,)`` bool: who takes part.
        area_range: Unmatched detections outside it are ignored.
    """
    hit = (matches.hits[0] != 0) & kept.index_select(0, matches.detection)
    detection, target = matches.detection[hit], matches.target[hit]
    wrong = (kept & within(table.areas, area_range)).index_fill(0, matches.detection, False)
    missed = counted_targets(table, [area_range])[0].index_fill(0, target, False)
    return Outcome(detection, target, wrong.nonzero().squeeze(1), missed.nonzero().squeeze(1))


def count(table: Table, outcome: Outcome, cell: Cell, num_cells: int) -> Counts:
    """True positives, false positives and false negatives of each cell, ``(num_cells,)`` int64 each.

    Args:
        table: What the outcome is about.
        outcome: What to count.
        cell: Gives the cells, in 0 to ``num_cells`` - 1, of images and labels; a true positive counts for its target.
        num_cells: How many cells there are.
    """
    wrong = cell(table.image[outcome.wrong], table.labels[outcome.wrong])
    found, missed = (cell(table.target_image[at], table.target_labels[at]) for at in (outcome.target, outcome.missed))
    tp, fp, fn = (torch.bincount(cells, minlength=num_cells) for cells in (found, wrong, missed))
    return tp, fp, fn


def match_across_classes(table: Table, iou_threshold: float, area_range: AreaRange) -> Matches:
    """As :func:`match`, whatever the labels: the detections of an image choose in order of score.

    Detections of equal score choose in the order of the table. Only those that overlap a target are put in order.
    """
    involved, at = table.overlap_detection.unique(return_inverse=True)  # ascending
    scores, image = table.scores.index_select(0, involved), table.image.index_select(0, involved)
    order = lexsort(image, descending_key(scores))
    matches = match(replace(table, overlap_detection=invert(order)[at]), [iou_threshold], [area_range])
    return matches._replace(detection=involved[order[matches.detection]])


def match_voc(table: Table, iou_threshold: float, area_range: AreaRange) -> Matches:
    """PASCAL VOC's own rule: a detection looks only at the target it overlaps most, taken and difficult ones included.

    That overlap must be larger than the threshold. An ignored target (VOC: difficult) makes the detection ignored; one
    that a better detection has taken makes it a false positive. Of equal overlaps the first target counts.

    Source: ``VOCevaldet.m`` of the VOC development kit.
    """
    detection, target, iou = table.overlap_detection, table.overlap_target, table.iou
    by_choice = lexsort(detection, descending_key(iou), target)
    best = by_choice[run_starts(detection.index_select(0, by_choice))]
    best = best[iou.index_select(0, best) > iou_threshold]
    detection, target = detection.index_select(0, best), target.index_select(0, best)
    by_target = lexsort(target, detection)
    is_first = torch.empty_like(best, dtype=torch.bool)
    is_first[by_target] = run_starts(target.index_select(0, by_target))
    counted = counted_targets(table, [area_range])[0].index_select(0, target)
    settled = is_first | ~counted
    hits = counted[settled].long()[None]  # one word
    return Matches(detection[settled], target[settled], hits, 1 - hits)
