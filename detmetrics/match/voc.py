"""PASCAL VOC's own rule of matching."""

from __future__ import annotations

import torch

from detmetrics.match.coco import AreaRange, Matches, counted_targets
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import descending_key, lexsort, run_starts


def match_voc(data: EvaluationData, iou_threshold: float, area_range: AreaRange) -> Matches:
    """A detection looks only at the target it overlaps most, taken and difficult ones included.

    That overlap must be larger than the threshold. An ignored target (VOC: difficult) makes the detection ignored; one
    that a better detection has taken makes it a false positive. Of equal overlaps the first target counts.

    Source: ``VOCevaldet.m`` of the VOC development kit.
    """
    detection, target, iou = data.overlap_detection, data.overlap_target, data.iou
    by_choice = lexsort(detection, descending_key(iou), target)
    best = by_choice[run_starts(detection.index_select(0, by_choice))]  # the first choice of each detection
    best = best[iou.index_select(0, best) > iou_threshold]
    detection, target, iou = (column.index_select(0, best) for column in (detection, target, iou))
    by_target = lexsort(target, detection)
    is_first = torch.empty_like(best, dtype=torch.bool)
    is_first[by_target] = run_starts(target.index_select(0, by_target))
    counted = counted_targets(data, [area_range])[0].index_select(0, target)
    settled = is_first | ~counted  # ignored targets are never used up
    hits = counted[settled].long()[None]  # one word
    return Matches(detection[settled], target[settled], iou[settled], hits, 1 - hits)
