"""Object keypoint similarity of pycocotools' annotations and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detmetrics.compat.pycocotools.results import Ann
from detmetrics.overlap.keypoint_sigmas import KeypointSigmas
from detmetrics.overlap.keypoints import KeypointSimilarity
from detmetrics.overlap.similarity import Overlaps


def keypoint_overlaps(
    detections: Sequence[Ann],
    targets: Sequence[Ann],
    boxes: Tensor,
    areas: Tensor,
    candidates: tuple[Tensor, Tensor],
    sigmas: Sequence[float],
    floor: float,
) -> Overlaps:
    """The similarities of at least ``floor`` and above 0.

    Args:
        detections: N results with ``keypoints``, those of a cell side by side.
        targets: M annotations with ``keypoints``.
        boxes: ``(M, 4)`` float64 xywh, of the targets.
        areas: ``(M,)`` float64, of the targets.
        candidates: The first detection in the cell of each target, and how many there are.
        sigmas: K numbers.
        floor: The smallest similarity that is kept.

    Raises:
        KeyError: if there are no keypoints.
        ValueError: if there are not K of them.
    """
    similarity = KeypointSimilarity(KeypointSigmas((tuple(float(sigma) for sigma in sigmas),)), "xywh")
    found, own = (_points(anns, len(sigmas)) for anns in (detections, targets))  # (N, 3 K), (M, 3 K)
    nothing = torch.zeros((len(found), 6), dtype=torch.float64)
    rest = torch.cat([boxes, areas[:, None], torch.zeros_like(areas)[:, None]], dim=1)
    rows = torch.cat([found, nothing], dim=1), torch.cat([own, rest], dim=1)
    return similarity.find(*rows, torch.zeros(len(own), dtype=torch.bool), *candidates, floor)


def _points(anns: Sequence[Ann], num: int) -> Tensor:
    """All x, then all y, then all visibilities, ``(n, 3 K)`` float64."""
    flat = np.zeros((len(anns), 3 * num))
    for row, ann in zip(flat, anns, strict=True):
        values = _keypoints(ann)
        if len(values) != 3 * num:
            expected = f'"keypoints" of the annotation {ann["id"]!r}: expected {3 * num} numbers, as of {num} keypoints'
            raise ValueError(f"{expected} in kpt_oks_sigmas, got {len(values)}")
        row[:] = values
    return torch.from_numpy(flat).view(-1, num, 3).transpose(1, 2).reshape(-1, 3 * num)


def _keypoints(ann: Ann) -> Any:
    if "keypoints" not in ann:
        where = f"the annotation {ann['id']!r} of image_id {ann['image_id']!r}"
        raise KeyError(f"'keypoints': expected it in every annotation, got none in {where}")
    return ann["keypoints"]
