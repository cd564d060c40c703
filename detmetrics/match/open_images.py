"""The rule of matching of Open Images."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.match.coco import Matches
from detmetrics.match.evaluation_data import CROWD, IGNORE, EvaluationData
from detmetrics.ragged import descending_key, lexsort, run_starts


def match_open_images(data: EvaluationData, iou_threshold: float) -> Matches:
    """Detections are matched to single objects first, and those left over to groups.

    A detection looks only at the object it overlaps most, of equal overlaps the first, taken ones included; that must
    be at the threshold or above. An ignored object makes it ignored; one that a better detection has taken leaves it
    over. What is left over looks in the same way at the group of which it covers most, by the share of its own area.
    The best detection in a group is right, and the others are ignored.

    Args:
        data: Groups are targets whose overlap is intersection over the area of the detection.
        iou_threshold: The overlap that a match needs.

    Source: ``PerImageEvaluation`` of TensorFlow's object detection API.
    """
    is_group = (data.target_flags & CROWD != 0).index_select(0, data.overlap_target)
    suffices = data.iou >= iou_threshold
    objects, first = _choices(data, suffices & ~is_group)
    ignored = _is_ignored(data, objects)
    single = objects[first | ignored]
    settled = torch.zeros_like(data.labels, dtype=torch.bool)
    settled[data.overlap_detection.index_select(0, single)] = True
    groups, first_in_group = _choices(data, suffices & is_group & ~settled.index_select(0, data.overlap_detection))
    at = torch.cat([single, groups])
    hits = torch.cat([~ignored[first | ignored], first_in_group & ~_is_ignored(data, groups)]).long()[None]  # one word
    detection, target, iou = (x.index_select(0, at) for x in (data.overlap_detection, data.overlap_target, data.iou))
    return Matches(detection, target, iou, hits, 1 - hits)


def _choices(data: EvaluationData, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The largest overlap of each detection among candidates ``(E,)`` bool, and whether no better one has its target.

    Indices into the overlaps, and bool, ``(n,)`` each. Of equal overlaps it is that with the first target.
    """
    at = candidates.nonzero().squeeze(1)
    detection, target, iou = (x.index_select(0, at) for x in (data.overlap_detection, data.overlap_target, data.iou))
    order = lexsort(detection, descending_key(iou), target)
    best = order[run_starts(detection.index_select(0, order))]
    detection, target = detection.index_select(0, best), target.index_select(0, best)
    by_target = lexsort(target, detection)
    first = torch.empty_like(best, dtype=torch.bool)
    first[by_target] = run_starts(target.index_select(0, by_target))
    return at.index_select(0, best), first


def _is_ignored(data: EvaluationData, overlaps: Tensor) -> Tensor:
    """Whether the targets of overlaps are ignored."""
    target = data.overlap_target.index_select(0, overlaps)
    return (data.target_flags & IGNORE != 0).index_select(0, target)
