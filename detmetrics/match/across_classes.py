"""COCO's greedy matching, whatever the labels of detections and targets."""

from __future__ import annotations

import dataclasses

from detmetrics.match.coco import AreaRange, Matches, match
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import descending_key, invert, lexsort


def match_across_classes(data: EvaluationData, iou_threshold: float, area_range: AreaRange) -> Matches:
    """As :func:`detmetrics.match.coco.match`, but the detections of an image choose in order of score alone.

    Detections of equal score choose in the order of the data. Only those that overlap a target are put in order.
    """
    involved, at = data.overlap_detection.unique(return_inverse=True)  # ascending
    scores, image = data.scores.index_select(0, involved), data.image.index_select(0, involved)
    order = lexsort(image, descending_key(scores))
    matches = match(dataclasses.replace(data, overlap_detection=invert(order)[at]), [iou_threshold], [area_range])
    return matches._replace(detection=involved[order[matches.detection]])
