"""The reader of curves against the score, best thresholds, and average precision in four definitions."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.count.outcomes import Outcome, decide, kept_detections
from detmetrics.detection.classes import by_class, class_labels, results_by_class
from detmetrics.detection.operating_point import outcomes_from
from detmetrics.detection.settings import RECALL_POINTS, CurvesSettings, OneThresholdSettings, VOCSettings
from detmetrics.match.coco import count_targets, counted_targets
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.match.voc import match_voc
from detmetrics.ragged import descending_key, lexsort, occurrences, run_starts
from detmetrics.reduce import areas, curves, formulas
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.curves import ScoreCounts, ScoreCurves

VOC_POINTS = [i * 0.1 for i in range(11)]  # numpy.arange(0, 1.1, .1), to the last bit


def score_curves(data: EvaluationData, settings: CurvesSettings) -> ScoreCurves:
    """The curves of evaluation data; see the ``compute()`` of :class:`DetectionCurves`.

    Args:
        data: What was read from a state.
        settings: The IoU threshold, area range, limit, classes and beta.
    """
    labels = class_labels(data, settings)
    outcome, data = outcomes_from(data, settings, -torch.inf), by_class(data, settings)
    per_class = count_targets(data, labels, [settings.area_bounds])[0]
    num_targets = torch.cat([per_class, per_class.sum(dim=0, keepdim=True)])  # (C + 1,)
    group, values, hit = _ranking(data, outcome, labels)
    counts = curves.count_by_score(group, values, hit, len(num_targets))
    fn = num_targets.index_select(0, counts.group) - counts.tp
    f_beta = formulas.f_beta(counts.tp, counts.fp, fn, beta=settings.beta)
    best, threshold = curves.best_step(f_beta, counts)
    best = torch.where((num_targets > 0) & best.isnan(), 0.0, best)  # targets, and not one detection
    best_macro, macro_threshold = _best_macro(f_beta, counts, num_targets)
    raw = areas.area_under_steps(counts, num_targets)
    coco, voc11, voc = _interpolated(data, settings, labels, areas.hit_curve(group, hit, num_targets), num_targets)
    undefined = settings.zero_division
    return ScoreCurves(
        classes=labels,
        offsets=counts.offsets,
        scores=counts.scores,
        precision=formulas.precision(counts.tp, counts.fp, fn),
        recall=formulas.recall(counts.tp, counts.fp, fn).nan_to_num(undefined),
        f_beta=f_beta,
        best_f_beta=best.nan_to_num(undefined),
        best_score_threshold=threshold,
        best_macro_f_beta=best_macro.nan_to_num(undefined),
        best_macro_score_threshold=macro_threshold,
        average_precision=raw.nan_to_num(undefined),
        average_precision_coco=coco.nan_to_num(undefined),
        average_precision_voc11=voc11.nan_to_num(undefined),
        average_precision_voc=voc.nan_to_num(undefined),
        beta=torch.tensor(settings.beta, dtype=torch.float64, device=labels.device),
        true_positives=counts.tp,
        false_positives=counts.fp,
        num_targets=num_targets,
        num_images=torch.tensor(len(data.keys), device=labels.device),
    )


def _interpolated(
    data: EvaluationData, settings: CurvesSettings, labels: Tensor, coco: areas.HitCurve, num_targets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Average precision (C + 1,) each as COCO defines it, as VOC did until 2009, and as VOC does since 2010."""
    points = torch.tensor(RECALL_POINTS, dtype=torch.float64, device=labels.device)
    voc = _voc_curve(data, settings, labels, num_targets)
    return (
        areas.interpolated_average(coco, num_targets, points),
        _voc_average(voc, num_targets, "07"),
        _voc_average(voc, num_targets, "area"),
    )


def _voc_curve(
    data: EvaluationData, settings: OneThresholdSettings, labels: Tensor, num_targets: Tensor
) -> areas.HitCurve:
    """The true positives of C classes and of all pooled, by VOC's matches."""
    kept = kept_detections(data, -torch.inf, settings.max_detections)
    matches = match_voc(data, settings.iou_threshold, settings.area_bounds)
    group, _, hit = _ranking(data, decide(data, matches, kept, settings.area_bounds), labels)
    return areas.hit_curve(group, hit, num_targets)


def _voc_average(curve: areas.HitCurve, num_targets: Tensor, style: str) -> Tensor:
    """The average precision of each class: at eleven recalls, or the area under the curve."""
    if style == "area":
        return areas.area_under_envelope(curve, num_targets)
    points = torch.tensor(VOC_POINTS, dtype=torch.float64, device=num_targets.device)
    return areas.interpolated_average(curve, num_targets, points)


def voc_average_precision_of(data: EvaluationData, settings: VOCSettings) -> dict[str, Tensor]:
    """The numbers of evaluation data; see the ``compute()`` of :class:`VOCAveragePrecision`.

    Args:
        data: What was read from a state.
        settings: The IoU threshold, the style, area range, limit and classes.
    """
    labels, data = class_labels(data, settings), by_class(data, settings)
    per_class = count_targets(data, labels, [settings.area_bounds])[0]
    num_targets = torch.cat([per_class, per_class.new_zeros(1)])  # the last: all classes pooled
    curve = _voc_curve(data, settings, labels, num_targets)
    values = _voc_average(curve, num_targets, settings.style)[:-1].nan_to_num(settings.zero_division)  # (C,)
    results = {"map": defined_mean(values, zero_division=settings.zero_division)}
    return results | (results_by_class({"map": values}, labels, settings) if settings.class_metrics else {})


def _ranking(data: EvaluationData, outcome: Outcome, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Class, score and whether it hits, of the counted detections: by class and score, then all pooled; (2 K,)."""
    hit = torch.zeros_like(data.labels, dtype=torch.bool).index_fill_(0, outcome.detection, True)
    counted = hit.index_fill(0, outcome.wrong, True).nonzero().squeeze(1)  # (K,) in canonical order
    by_score = descending_key(data.scores.index_select(0, counted))
    group = torch.searchsorted(labels, data.labels.index_select(0, counted))
    by_label = lexsort(group, by_score)
    order = counted.index_select(0, torch.cat([by_label, lexsort(by_score)]))  # (2 K,)
    group = torch.cat([group.index_select(0, by_label), torch.full_like(group, len(labels))])
    return group, data.scores.index_select(0, order), hit.index_select(0, order)


def afroc(data: EvaluationData, settings: CurvesSettings) -> Tensor:
    """The areas of evaluation data; see the ``afroc()`` of :class:`DetectionCurves`.

    Args:
        data: What was read from a state.
        settings: The IoU threshold, area range, limit and classes.
    """
    labels = class_labels(data, settings)
    outcome, data = outcomes_from(data, settings, -torch.inf), by_class(data, settings)
    counted = counted_targets(data, [settings.area_bounds])[0].nonzero().squeeze(1)
    image = [x.index_select(0, at) for x, at in ((data.image, outcome.wrong), (data.target_image, counted))]
    label = [x.index_select(0, at) for x, at in ((data.labels, outcome.wrong), (data.target_labels, counted))]
    group = [torch.searchsorted(labels, own) for own in label]
    size = len(labels)
    # All classes pooled are one more class, of every false positive and every target.
    image, group = ([torch.cat([x, x]) for x in image], [torch.cat([x, torch.full_like(x, size)]) for x in group])
    wrong, found = (torch.cat([x, x]) for x in (outcome.wrong, outcome.detection))
    hit_group = torch.searchsorted(labels, data.labels.index_select(0, outcome.detection))
    hit_group = torch.cat([hit_group, torch.full_like(hit_group, size)])
    occupied, cell = (image[i] * (size + 1) + group[i] for i in (1, 0))
    normal = len(data.keys) - occurrences(occupied.unique() % (size + 1), size + 1)  # (C + 1,) images without targets
    kept = (~torch.isin(cell, occupied)).nonzero().squeeze(1)
    scores = data.scores.index_select(0, wrong.index_select(0, kept))
    order = lexsort(cell.index_select(0, kept), descending_key(scores))
    worst = order[run_starts(cell.index_select(0, kept).index_select(0, order))]  # the best false positive of each
    return areas.area_of_pairs(
        scores.index_select(0, worst),
        group[0].index_select(0, kept).index_select(0, worst),
        normal,
        data.scores.index_select(0, found),
        hit_group,
        occurrences(group[1], size + 1),
    ).nan_to_num(settings.zero_division)


def _best_macro(f_beta: Tensor, counts: ScoreCounts, num_targets: Tensor) -> tuple[Tensor, Tensor]:
    """The best mean F over the classes with targets that one threshold can reach, and that threshold; 0-d each."""
    has_targets = num_targets > 0
    has_targets[-1] = False  # all classes pooled
    rows = has_targets.index_select(0, counts.group).nonzero().squeeze(1)
    columns = (column.index_select(0, rows) for column in counts[1:])
    threshold = curves.best_shared_score(f_beta.index_select(0, rows), ScoreCounts(counts.offsets, *columns))
    at_best = curves.values_at(threshold, f_beta, counts)
    return defined_mean(at_best.masked_fill(~has_targets, torch.nan)), threshold
