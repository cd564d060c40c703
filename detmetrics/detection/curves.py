"""Precision, recall and F-score against the score, the best thresholds, and average precision in four definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.count.outcomes import Outcome, decide, kept_detections
from detmetrics.detection.classes import by_class, class_labels
from detmetrics.detection.metric import DetectionMetric
from detmetrics.detection.operating_point import outcomes_from
from detmetrics.detection.settings import RECALL_POINTS, CurvesSettings
from detmetrics.match.coco import count_targets
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.match.voc import match_voc
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.ragged import descending_key, lexsort
from detmetrics.reduce import areas, curves, formulas
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.curves import ScoreCounts, ScoreCurves
from detmetrics.settings import Setting

VOC_POINTS = [i * 0.1 for i in range(11)]  # numpy.arange(0, 1.1, .1), to the last bit


class DetectionCurves(DetectionMetric):
    """Precision, recall and F-beta against the score, for each class and for all classes pooled.

    Detections are matched greedily by score, as in COCO, and equal scores are one step: a curve says what
    :class:`detmetrics.DetectionPrecision`, ``DetectionRecall`` and ``DetectionFBetaScore`` give at each threshold.
    VOC's average precision has matches of its own: a detection looks only at the target it overlaps most, which must be
    by more than ``iou_threshold``; ``ignore`` is its ``difficult``, and a target that is taken makes a false positive.

    The state is that of :class:`detmetrics.MeanAveragePrecision`. The function is
    :func:`detmetrics.functional.detection_curves`.

    Args:
        beta: How much recall weighs in the F-score, above 0; 1 gives F1.
        iou_threshold: The overlap that a match needs, in [0, 1].
        max_detections: How many detections per class and image take part, the best first; None for all.
        area_range: ``"all"``, ``"small"``, ``"medium"``, ``"large"`` as in COCO, or inclusive bounds in square pixels.
            Targets outside and unmatched detections outside are ignored.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        num_classes: Declares the classes 0 to ``num_classes`` - 1.
        class_names: The declared classes: a list, or a dict from label to name. Other labels raise. None: the observed
            labels are the classes.
        class_agnostic: Whether to treat all labels as one class, as pycocotools with ``useCats=0``.
        pairs: Which overlaps the state keeps: ``"same"``, those within a class, or ``"all"``, to share it with metrics
            that ask about pairs of other classes, such as the confusion matrix. None: what this metric needs.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: The similarity: ``"bbox"`` for boxes, ``"segm"`` for masks, ``"boundary"`` for the smaller of the
            overlaps of masks and of their boundaries.
        mask_budget: Bytes that the overlaps of masks may take while they are found, if a pair of masks fits.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: pycocotools ``COCOeval``; VOC development kit, ``VOCevaldet.m``; scikit-learn ``average_precision_score``.

    Example:
        >>> import torch
        >>> boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])
        >>> preds = [dict(boxes=boxes, scores=torch.tensor([0.75, 0.5]), labels=torch.tensor([0, 0]))]
        >>> metric = DetectionCurves()
        >>> metric.update(preds, [dict(boxes=boxes[:1], labels=torch.tensor([0]))])
        >>> curves = metric.compute()
        >>> curves.precision[curves.offsets[0] : curves.offsets[1]].tolist()
        [1.0, 0.5]
        >>> {name: value.item() for name, value in curves.scalars().items() if "macro" not in name}
        {'best_f1': 1.0, 'best_score_threshold': 0.75}
    """

    higher_is_better = None

    beta = Setting()
    iou_threshold = Setting()
    max_detections = Setting()
    area_range = Setting()

    def __init__(
        self,
        *,
        beta: float = 1.0,
        iou_threshold: float = 0.5,
        max_detections: int | None = None,
        area_range: str | tuple[float, float] = "all",
        zero_division: float = float("nan"),
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        class_agnostic: bool = False,
        pairs: str | None = None,
        box_format: str = "xyxy",
        iou_type: str = "bbox",
        mask_budget: int = MASK_BUDGET,
        **kwargs: Any,
    ) -> None:
        settings = CurvesSettings(
            beta=beta,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            area_range=area_range,
            zero_division=zero_division,
            num_classes=num_classes,
            class_names=class_names,  # type: ignore[arg-type]
            class_agnostic=class_agnostic,
        )
        super().__init__(
            settings, iou_type=iou_type, pairs=pairs, box_format=box_format, mask_budget=mask_budget, **kwargs
        )

    def compute(self) -> ScoreCurves:
        """The curves of all images so far.

        Returns:
            :class:`detmetrics.reduce.curves.ScoreCurves`, float64 in [0, 1] but for scores, ``classes`` and
            ``offsets``. Undefined are recall and average precision without targets, a best F with neither targets nor
            detections, and a best threshold without detections; ``zero_division`` stands for them, but for a
            threshold always NaN.

        Raises:
            ValueError: if predictions came without scores.
        """
        return score_curves(self.data(), self.settings)

    def scalars(self) -> dict[str, Tensor]:
        """``compute().scalars()``, for ``self.log_dict``."""
        return self.compute().scalars()

    def plot(
        self, val: Any = None, ax: Any = None, *, kind: str = "precision_recall", name: str | None = None
    ) -> tuple[Any, Any]:
        """Draw the curves of a result, or over several results the average precision or the best F-score.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.
            kind: ``"precision_recall"``: a line per class and one for all. ``"score"``: precision, recall and F-score
                against the score threshold, with the best point. Over several results: the average precision (the area
                below the lines) of each class, or the best F-score and its threshold.
            name: The class that ``kind="score"`` is about; None for all classes pooled.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if an argument does not fit.

        Example:
            >>> from detmetrics.demo import generate
            >>> metric = DetectionCurves(class_names=["cat", "dog"])
            >>> metric.update(*generate(num_images=5, num_detections=10, num_classes=2))
            >>> fig, ax = metric.plot(kind="score", name="dog")
            >>> ax.get_xlabel()
            'Score threshold (confidence)'
        """
        from detmetrics.show.plot import pictures

        arguments.choice("kind", kind, ("precision_recall", "score"))
        if name is not None and kind != "score":
            raise ValueError(f"name: expected None with kind={kind!r}, which draws every class, got {name!r}")
        return pictures.draw(pictures.Curves(kind, name, self.class_titles), val, self.compute, ax)


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
    )


def _interpolated(
    data: EvaluationData, settings: CurvesSettings, labels: Tensor, coco: areas.HitCurve, num_targets: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Average precision (C + 1,) each as COCO defines it, as VOC did until 2009, and as VOC does since 2010."""
    kept = kept_detections(data, -torch.inf, settings.max_detections)
    matches = match_voc(data, settings.iou_threshold, settings.area_bounds)
    group, _, hit = _ranking(data, decide(data, matches, kept, settings.area_bounds), labels)
    voc = areas.hit_curve(group, hit, num_targets)
    points, voc_points = (
        torch.tensor(listed, dtype=torch.float64, device=labels.device) for listed in (RECALL_POINTS, VOC_POINTS)
    )
    return (
        areas.interpolated_average(coco, num_targets, points),
        areas.interpolated_average(voc, num_targets, voc_points),
        areas.area_under_envelope(voc, num_targets),
    )


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


def _best_macro(f_beta: Tensor, counts: ScoreCounts, num_targets: Tensor) -> tuple[Tensor, Tensor]:
    """The best mean F over the classes with targets that one threshold can reach, and that threshold; 0-d each."""
    has_targets = num_targets > 0
    has_targets[-1] = False  # all classes pooled
    rows = has_targets.index_select(0, counts.group).nonzero().squeeze(1)
    columns = (column.index_select(0, rows) for column in counts[1:])
    threshold = curves.best_shared_score(f_beta.index_select(0, rows), ScoreCounts(counts.offsets, *columns))
    at_best = curves.values_at(threshold, f_beta, counts)
    return defined_mean(at_best.masked_fill(~has_targets, torch.nan)), threshold
