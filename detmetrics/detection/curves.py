"""Precision, recall and F-score against the score, the best thresholds, and average precision in four definitions."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks, plot
from detmetrics.detection.matches import count_targets
from detmetrics.detection.mean_ap import RECALL_POINTS
from detmetrics.detection.operating_point import OneThresholdMetric
from detmetrics.detection.outcome import Outcome, decide, kept_detections, match_voc
from detmetrics.detection.table import Table
from detmetrics.ops import curves, scores
from detmetrics.ops.curves import ScoreCounts
from detmetrics.ops.ragged import descending_key, lexsort
from detmetrics.plot.drawing import shorten

VOC_POINTS = [i * 0.1 for i in range(11)]  # numpy.arange(0, 1.1, .1), to the last bit


class ScoreCurves(NamedTuple):
    """Curves of C classes, then of all pooled: curve i is ``offsets[i]`` to ``offsets[i + 1]`` of the flat ones."""

    classes: Tensor  # (C,) int64, the labels
    offsets: Tensor  # (C + 2,) int64
    scores: Tensor  # (P,) float64, descending within a curve: every score that a counted detection has
    precision: Tensor  # (P,) float64, of the detections that score at least as much
    recall: Tensor  # (P,) float64
    f_beta: Tensor  # (P,) float64
    best_f_beta: Tensor  # (C + 1,) float64
    best_score_threshold: Tensor  # (C + 1,) float64, the highest score that has the best F
    best_macro_f_beta: Tensor  # 0-d float64, the mean over classes with targets, at one threshold for all
    best_macro_score_threshold: Tensor  # 0-d float64
    average_precision: Tensor  # (C + 1,) float64, of the raw curve: precision times gain in recall, summed
    average_precision_coco: Tensor  # (C + 1,) float64, COCO's mean over 101 recall points
    average_precision_voc11: Tensor  # (C + 1,) float64, VOC's until 2009: its own matches, 11 recall points
    average_precision_voc: Tensor  # (C + 1,) float64, VOC's since 2010: its own matches, the area under the envelope
    beta: Tensor  # 0-d float64

    def scalars(self) -> dict[str, Tensor]:
        """What to log: the best pooled F and its threshold, the best macro F and its threshold.

        Returns:
            A dict of 0-d float64 tensors: ``best_f1``, ``best_score_threshold``, ``best_macro_f1`` and
            ``best_macro_score_threshold``; with another beta than 1 ``f_beta`` in place of ``f1``.
        """
        name = "f1" if self.beta == 1 else "f_beta"
        return {
            f"best_{name}": self.best_f_beta[-1],
            "best_score_threshold": self.best_score_threshold[-1],
            f"best_macro_{name}": self.best_macro_f_beta,
            "best_macro_score_threshold": self.best_macro_score_threshold,
        }


class DetectionCurves(OneThresholdMetric):
    """Precision, recall and F-beta against the score, for each class and for all classes pooled.

    Detections are matched greedily by score, as in COCO, and equal scores are one step: a curve says what
    :class:`detmetrics.DetectionPrecision`, ``DetectionRecall`` and ``DetectionFBetaScore`` give at each threshold.
    VOC's average precision has matches of its own: a detection looks only at the target it overlaps most, which must be
    by more than ``iou_threshold``; ``ignore`` is its ``difficult``, and a target that is taken makes a false positive.

    The other arguments and the state are those of :class:`detmetrics.detection.operating_point.OneThresholdMetric`. The
    function is :func:`detmetrics.functional.detection_curves`.

    Args:
        beta: How much recall weighs in the F-score; above 0.
        kwargs: ``iou_threshold``, ``max_detections``, ``area_range``, ``zero_division``, ``num_classes``,
            ``class_names``, ``class_agnostic``, ``pairs``, ``box_format``, ``iou_type``, and the keyword arguments of
            ``torchmetrics.Metric``.

    Returns of ``compute()``:
        :class:`ScoreCurves`, float64 in [0, 1] but for scores, ``classes`` and ``offsets``. Undefined are recall and
        average precision without targets, a best F with neither targets nor detections, and a best threshold
        without detections; ``zero_division`` stands for them, but for a threshold always NaN.

    Raises:
        ValueError: if an argument does not fit, or predictions came without scores.

    Source: pycocotools ``COCOeval``; VOC development kit, ``VOCevaldet.m``; scikit-learn ``average_precision_score``.

    Example:
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

    def __init__(self, *, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta = checks.check_number("beta", beta, above=0.0)

    def compute(self) -> ScoreCurves:
        """The curves of all images so far; see the class."""
        table = self._read()
        kept = kept_detections(table, -torch.inf, self.max_detections)
        per_class = count_targets(table, self.classes, [self.area_bounds])[0]
        num_targets = torch.cat([per_class, per_class.sum(dim=0, keepdim=True)])  # (C + 1,)

        group, values, hit = self._ranking(table, self._outcome_from(table, -torch.inf))
        counts = curves.count_by_score(group, values, hit, len(num_targets))
        fn = num_targets.index_select(0, counts.group) - counts.tp
        f_beta = scores.f_beta(counts.tp, counts.fp, fn, beta=self.beta)
        best, threshold = curves.best_step(f_beta, counts)
        best = torch.where((num_targets > 0) & best.isnan(), 0.0, best)  # targets, and not one detection
        best_macro, macro_threshold = _best_macro(f_beta, counts, num_targets)
        coco = curves.hit_curve(group, hit, num_targets)

        voc_matches = match_voc(table, self.iou_threshold, self.area_bounds)
        group, _, hit = self._ranking(table, decide(table, voc_matches, kept, self.area_bounds))
        voc = curves.hit_curve(group, hit, num_targets)
        points, voc_points = (
            torch.tensor(listed, dtype=torch.float64, device=self.device) for listed in (RECALL_POINTS, VOC_POINTS)
        )
        undefined = self.zero_division
        return ScoreCurves(
            classes=self.classes,
            offsets=counts.offsets,
            scores=counts.scores,
            precision=scores.precision(counts.tp, counts.fp, fn),
            recall=scores.recall(counts.tp, counts.fp, fn).nan_to_num(undefined),
            f_beta=f_beta,
            best_f_beta=best.nan_to_num(undefined),
            best_score_threshold=threshold,
            best_macro_f_beta=best_macro.nan_to_num(undefined),
            best_macro_score_threshold=macro_threshold,
            average_precision=curves.area_under_steps(counts, num_targets).nan_to_num(undefined),
            average_precision_coco=curves.interpolated_average(coco, num_targets, points).nan_to_num(undefined),
            average_precision_voc11=curves.interpolated_average(voc, num_targets, voc_points).nan_to_num(undefined),
            average_precision_voc=curves.area_under_envelope(voc, num_targets).nan_to_num(undefined),
            beta=torch.tensor(self.beta, dtype=torch.float64, device=self.device),
        )

    def scalars(self) -> dict[str, Tensor]:
        """``compute().scalars()``, for ``self.log_dict``."""
        return self.compute().scalars()

    def plot(
        self, val: Any = None, ax: Any = None, *, kind: str = "precision_recall", name: str | None = None
    ) -> tuple[Any, Any]:
        """Draw the curves of a result, or over several results the average precision or the best F-score.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one an epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.
            kind: ``"precision_recall"``: a line a class and one for all. ``"score"``: precision, recall and F-score
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
        checks.check_choice("kind", kind, ("precision_recall", "score"))
        if name is not None and kind != "score":
            raise ValueError(f"name: expected None with kind={kind!r}, which draws every class, got {name!r}")
        return self._show(val, ax, kind=kind, name=name)

    def _draw(self, val: Any, ax: Any, *, kind: str, name: str | None) -> tuple[Any, Any]:  # type: ignore[override]
        result = _checked_curves(self.compute() if val is None else val)
        names = self._called(result.classes)
        if kind == "score":
            return plot.score_curves(result, name, names, ax)
        return plot.precision_recall(result, names, ax)

    def _followed(self, result: Any, *, kind: str, name: str | None) -> Any:  # type: ignore[override]
        result = _checked_curves(result)
        names = self._called(result.classes)
        if kind == "precision_recall":
            pooled = plot.POOLED if plot.POOLED not in names else f"{plot.POOLED} (pooled)"
            return dict(zip([*names, pooled], result.average_precision, strict=True))
        if name is None:
            return result.scalars()
        checks.check_choice("name", name, names)
        i = names.index(name)
        best_f = next(iter(result.scalars()))
        return {best_f: result.best_f_beta[i], "best_score_threshold": result.best_score_threshold[i]}

    def _plot_label(self, *, kind: str, name: str | None) -> str:  # type: ignore[override]
        if kind == "precision_recall":
            return "Average precision"
        return "Best F-score and threshold" + (f", {shorten(name)}" if name else "")

    def _ranking(self, table: Table, outcome: Outcome) -> tuple[Tensor, Tensor, Tensor]:
        """Class, score and whether it hits, of the counted detections: by class and score, then all pooled; (2 K,)."""
        hit = torch.zeros_like(table.labels, dtype=torch.bool).index_fill_(0, outcome.detection, True)
        counted = hit.index_fill(0, outcome.wrong, True).nonzero().squeeze(1)  # (K,) in canonical order
        by_score = descending_key(table.scores.index_select(0, counted))
        group = self._class_index(table.labels.index_select(0, counted))
        by_class = lexsort(group, by_score)
        order = counted.index_select(0, torch.cat([by_class, lexsort(by_score)]))  # (2 K,)
        group = torch.cat([group.index_select(0, by_class), torch.full_like(group, len(self.classes))])
        return group, table.scores.index_select(0, order), hit.index_select(0, order)


def _checked_curves(result: Any) -> ScoreCurves:
    if not isinstance(result, ScoreCurves):
        raise ValueError(f"val: expected ScoreCurves, as compute() returns them, got {type(result).__name__}")
    return result


def _best_macro(f_beta: Tensor, counts: ScoreCounts, num_targets: Tensor) -> tuple[Tensor, Tensor]:
    """The best mean F over the classes with targets that one threshold can reach, and that threshold; 0-d each."""
    has_targets = num_targets > 0
    has_targets[-1] = False  # all classes pooled
    rows = has_targets.index_select(0, counts.group).nonzero().squeeze(1)
    columns = (column.index_select(0, rows) for column in counts[1:])
    threshold = curves.best_shared_score(f_beta.index_select(0, rows), ScoreCounts(counts.offsets, *columns))
    at_best = curves.values_at(threshold, f_beta, counts)
    return scores.defined_mean(at_best.masked_fill(~has_targets, torch.nan)), threshold
