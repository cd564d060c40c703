"""The reader of calibration: do scores say how often detections are right, and how well they are placed?"""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.detection.analysis_settings import CalibrationSettings
from detmetrics.detection.classes import by_class, class_labels
from detmetrics.detection.operating_point import outcomes
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import occurrences
from detmetrics.reduce.calibration import Calibration, best_temperature, bin_edges, bins, expected_error, to_logits
from detmetrics.reduce.exact_sums import overlap_sums
from detmetrics.reduce.formulas import divide


def calibration(data: EvaluationData, settings: CalibrationSettings) -> Calibration:
    """The calibration of evaluation data; see the ``compute()`` of :class:`DetectionCalibration`.

    Args:
        data: What was read from a state.
        settings: The operating point, the classes and the bins.

    Raises:
        ValueError: if a score is no probability.
    """
    labels, outcome = class_labels(data, settings), outcomes(data, settings)
    data = by_class(data, settings)
    at = torch.cat([outcome.detection, outcome.wrong]).sort().values  # (K,) in canonical order
    scores = data.scores.index_select(0, at)
    _check_probabilities(scores)
    iou = torch.zeros_like(data.scores).index_copy_(0, outcome.detection, outcome.iou).index_select(0, at)
    hit = torch.zeros_like(data.labels, dtype=torch.bool).index_fill_(0, outcome.detection, True).index_select(0, at)
    group = torch.searchsorted(labels, data.labels.index_select(0, at))
    size = len(labels) + 1
    edges = bin_edges(settings.num_bins, labels.device)
    # All classes pooled are one more class.
    both = torch.cat([group, torch.full_like(group, size - 1)])
    scores2, hit2, iou2 = (torch.cat([x, x]) for x in (scores, hit, iou))
    found = bins(scores2, hit2, iou2, both, size, edges)
    temperature = best_temperature(scores, hit)
    cooled = (to_logits(scores) / temperature).sigmoid().where(~temperature.isnan(), 0.0)
    after = bins(cooled, hit, iou, torch.zeros_like(group), 1, edges)
    undefined = temperature.isnan()
    return Calibration(
        classes=labels,
        edges=edges,
        counts=found.counts,
        mean_score=found.mean_score,
        precision=found.mean_hit,
        mean_iou=found.mean_iou,
        d_ece=expected_error(found.mean_score, found.mean_hit, found.counts),
        la_ece=expected_error(found.mean_score, found.mean_iou, found.counts),
        brier=_brier(scores2, hit2, both, size),
        temperature=temperature,
        d_ece_at_temperature=expected_error(*after[1:3], after.counts)[0].masked_fill(undefined, torch.nan),
        brier_at_temperature=_brier(cooled, hit, torch.zeros_like(group), 1)[0].masked_fill(undefined, torch.nan),
    )


def _brier(scores: Tensor, hit: Tensor, group: Tensor, size: int) -> Tensor:
    return divide(overlap_sums((scores - hit.double()).square(), group, size), occurrences(group, size))


def _check_probabilities(scores: Tensor) -> None:
    outside = (scores < 0) | (scores > 1)
    if bool(outside.any()):
        first = scores[outside][0].item()
        raise ValueError(f"preds['scores']: expected probabilities in [0, 1], got {first}; apply a sigmoid to logits")
