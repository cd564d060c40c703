"""The report of keypoints as a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.detection.keypoint_report import KeypointReport
from detmetrics.detection.metric import evaluated
from detmetrics.overlap.similarity import Items


def keypoint_report(
    preds: Items,
    target: Items,
    *,
    threshold: float | None = None,
    normalizer: str = "box",
    torso: tuple[int, int] | None = None,
    match: str = "oks",
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    keypoint_names: Sequence[str] | None = None,
    keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
    zero_division: float = float("nan"),
    box_format: str = "xyxy",
    duplicates: str = "drop",
) -> dict[str, Tensor]:
    """PCK and mean error of each joint over a whole data set; see :class:`detmetrics.KeypointReport`.

    Args:
        preds: One dict per image, as in :meth:`detmetrics.KeypointReport.update`.
        target: One dict per image, as in :meth:`detmetrics.KeypointReport.update`.
        threshold: The largest error of a correct keypoint. None for the usual one: .2 with box and torso, .5 with head.
        normalizer: What errors are divided by: ``"box"``, the larger side of the target's box; ``"head"``, the number
            that targets have under ``head_size``, such as MPII's, .6 times the diagonal of the head's box (PCKh);
            ``"torso"``, the distance between two keypoints of the target, which does not count if they are not
            labelled.
        torso: These two, counted from 0. None for COCO's left shoulder and right hip, (5, 12).
        match: ``"oks"``: detections are matched to targets by object keypoint similarity, as for
            :class:`detmetrics.DetectionF1Score`. ``"given"``: the i-th prediction of an image is that of its i-th
            target, as from models that are given the boxes; they need no ``labels`` and ``scores`` then.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        keypoint_names: What the joints are called. None for COCO's names if there are 17, else for numbers.
        keypoint_sigmas: How far annotators are apart at each keypoint: ``"coco"`` (17 keypoints), ``"crowdpose"``
            (14), ``"wholebody"`` (133), a number for each keypoint, or a dict of label to either, one entry a class.
            None: COCO's.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        The dict of :meth:`detmetrics.KeypointReport.compute`.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import keypoint_report
        >>> points, labels = torch.ones(1, 17, 3), torch.tensor([0])
        >>> target = [dict(keypoints=points, boxes=torch.tensor([[0.0, 0.0, 9.0, 9.0]]), labels=labels)]
        >>> preds = [dict(keypoints=points, scores=torch.tensor([0.9]), labels=labels)]
        >>> keypoint_report(preds, target)["pck/nose"].item()
        1.0
    """
    metric = KeypointReport(
        threshold=threshold,
        normalizer=normalizer,
        torso=torso,
        match=match,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        keypoint_names=keypoint_names,
        keypoint_sigmas=keypoint_sigmas,
        zero_division=zero_division,
        box_format=box_format,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: dict[str, Tensor] = evaluated(metric, preds, target)
    return result
