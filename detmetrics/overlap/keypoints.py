"""Keypoints of detections and targets: how they are read, and which of them count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics.overlap.boxes import NOT_NEGATIVE, BoxSimilarity
from detmetrics.overlap.keypoint_sigmas import PRESETS, KeypointSigmas
from detmetrics.overlap.oks import Wanted, bounds_of, find_oks
from detmetrics.overlap.sides import MISFITS, Side, check_real, get_tensor
from detmetrics.overlap.similarity import Items, Measured, Overlaps, Request, Shapes, ValueRule

AREA_FACTOR = 0.53  # of the box of a target without an area, as CrowdPose has it


@dataclass(frozen=True)
class KeypointSimilarity:
    """Object keypoint similarity (OKS): ``iou_type="keypoints"``.

    The geometry is x of K points, y of K points and their visibility, then of targets the box (x, y, width, height),
    the area and the index of the class's set of sigmas.

    Args:
        sigmas: How far annotators are apart, for each point.
        box_format: That of ``boxes``.

    Source: pycocotools ``COCOeval.computeOks``.
    """

    sigmas: KeypointSigmas
    box_format: str = "xyxy"
    name = "keypoints"
    key = "keypoints"
    waits = True

    @property
    def columns(self) -> int:
        """Three for each point, four of the box, the area, the set."""
        return 3 * self.sigmas.num_keypoints + 6

    @property
    def rules(self) -> tuple[ValueRule, ...]:
        """What is checked of the columns."""
        num = self.sigmas.num_keypoints
        return (
            ValueRule("finite coordinates", slice(0, 2 * num)),
            ValueRule("finite visibilities of 0 or more", slice(2 * num, 3 * num), least=0.0),
            ValueRule("finite coordinates", slice(-6, -2), key="boxes"),
            ValueRule(NOT_NEGATIVE, slice(-4, -2), least=0.0, key="boxes"),
            ValueRule("labels that keypoint_sigmas names", slice(-1, None), least=0.0, key="labels"),
        )

    def configuration(self) -> tuple[Any, ...]:
        """The sigmas and the box format."""
        return (self.sigmas.sets, self.sigmas.labels, self.box_format)

    def measure(self, preds: Items, target: Items, request: Request) -> Measured:
        """Points, boxes, areas and sets of a batch."""
        return Measured(self._detections(preds, request), self._targets(target, request), None)

    def _detections(self, preds: Items, request: Request) -> Shapes:
        """The area is that of the box if an image has ``boxes``, else that of the extent of the points."""
        points = _join("preds", preds, self.sigmas.num_keypoints, (2, 3), request.device)
        side = Side("preds", preds, points.counts, self.key, request.device)
        labels = side.column("labels", integer=True)
        own = self._own_points(labels)  # (N, K)
        area = _extent(points.x, own) * _extent(points.y, own)
        boxed = [isinstance(item, Mapping) and item.get("boxes") is not None for item in preds]
        if any(boxed):
            given = [item if has else _no_boxes(request) for item, has in zip(preds, boxed, strict=True)]
            shapes = (
                BoxSimilarity(self.box_format).measure(given, [_no_boxes(request)] * len(given), request).detections
            )
            wanted = [count if has else 0 for count, has in zip(points.counts, boxed, strict=True)]
            _check_counts("preds", wanted, shapes.counts)
            parts = zip(area.split(points.counts), shapes.area.split(shapes.counts), strict=True)
            area = torch.cat([own[1] if has else own[0] for own, has in zip(parts, boxed, strict=True)])
        zeros = torch.zeros_like(points.x)
        rest = zeros.new_zeros((len(zeros), 6))
        return Shapes(torch.cat([points.x, points.y, zeros, rest], dim=1), area, points.counts)

    def _targets(self, target: Items, request: Request) -> Shapes:
        points = _join("target", target, self.sigmas.num_keypoints, (3,), request.device)
        side = Side("target", target, points.counts, self.key, request.device)
        nothing = [_no_boxes(request)] * len(target)
        boxes = BoxSimilarity(self.box_format).measure(nothing, target, request).targets
        _check_counts("target", points.counts, boxes.counts)
        given = side.optional("area", boxes.area * AREA_FACTOR)
        area = boxes.area * AREA_FACTOR if given is None else given
        labels = side.column("labels", integer=True)
        labelled = ((points.visibility > 0) & self._own_points(labels)).sum(dim=1)
        counted = side.optional("num_keypoints", labelled.double())
        ignore = (labelled if counted is None else counted) == 0
        last = torch.stack([area, self.sigmas.set_of(labels).double()], dim=1)
        geometry = torch.cat([points.x, points.y, points.visibility, boxes.geometry, last], dim=1)
        return Shapes(geometry, area, points.counts, ignore)

    def _own_points(self, labels: Tensor) -> Tensor:
        """Which points the class of each label has, ``(n, K)`` bool; all where no set is its own."""
        sets = self.sigmas.set_of(labels)
        has = ~self.sigmas.variances(labels.device).isnan()
        return has.index_select(0, sets.clamp(min=0)) | (sets < 0)[:, None]

    def find(
        self, detections: Tensor, targets: Tensor, iscrowd: Tensor, first: Tensor, count: Tensor, floor: float
    ) -> Overlaps:
        """See :func:`find_oks`; crowd regions are no exception."""
        num = self.sigmas.num_keypoints
        sets = targets[:, -1].long()
        variances = self.sigmas.variances(targets.device)
        own = torch.where(targets[:, 2 * num : 3 * num] > 0, variances.index_select(0, sets), torch.nan)
        everywhere = variances.index_select(0, sets)
        unlabelled = own.isnan().all(dim=1, keepdim=True)
        bounds = bounds_of(targets[:, : 2 * num].view(-1, 2, num), targets[:, -6:-2], unlabelled)
        wanted = Wanted(*bounds, torch.where(unlabelled, everywhere, own), targets[:, -2])
        return find_oks(detections[:, : 2 * num].reshape(-1, 2, num), wanted, first, count, floor)


def _no_boxes(request: Request) -> dict[str, Tensor]:
    return {"boxes": torch.empty((0, 4), device=request.device)}


def _check_counts(side: str, wanted: list[int], counts: list[int]) -> None:
    """Raise unless there are as many boxes as sets of keypoints."""
    for i, (expected, got) in enumerate(zip(wanted, counts, strict=True)):
        if expected != got:
            raise ValueError(f"{side}[{i}]['boxes']: expected one for each of {expected} keypoints, got {got}")


def _extent(values: Tensor, own: Tensor) -> Tensor:
    """The largest of the points ``own`` in a row ``(n, K)`` less the smallest, ``(n,)``."""
    return values.where(own, -torch.inf).amax(dim=1) - values.where(own, torch.inf).amin(dim=1)


class _Points(NamedTuple):
    """The points of one side of a batch."""

    x: Tensor  # (n, K) float64
    y: Tensor  # (n, K) float64
    visibility: Tensor  # (n, K) float64; of detections whatever the third column is, zeros without one
    counts: list[int]  # instances per image


def _join(side: str, items: Items, num: int, widths: tuple[int, ...], device: torch.device) -> _Points:
    """The keypoints of all images, ``(n, num, width)`` each, where the width may be one of several."""
    tensors: list[Any] = []
    try:
        tensors = [item["keypoints"] for item in items]
        values = torch.cat(tensors)
        fits = values.ndim == 3 and values.shape[1] == num and values.shape[2] in widths
        fits = fits and values.device.type == device.type and not values.is_complex()
    except MISFITS:
        fits = False
    if not fits:
        tensors = [_examined(f"{side}[{i}]", item, num, widths, device) for i, item in enumerate(items)]
        width = min((x.shape[2] for x in tensors), default=widths[0])
        values = torch.cat([torch.empty((0, num, width), device=device), *(x[..., :width] for x in tensors)])
    x, y, *rest = (column.to(torch.float64, copy=True) for column in values.as_subclass(Tensor).unbind(2))
    return _Points(x, y, rest[0] if rest else torch.zeros_like(x), [len(x) for x in tensors])


def _examined(where: str, item: Any, num: int, widths: tuple[int, ...], device: torch.device) -> Tensor:
    values = get_tensor(where, item, "keypoints")
    if values.numel() == 0:
        return torch.empty((0, num, widths[-1]), device=device)
    if values.ndim != 3 or values.shape[1] != num or values.shape[2] not in widths:
        expected = f"shape (N, {num}, {' or '.join(map(str, widths))})"
        other = values.ndim == 3 and values.shape[1] != num
        remedy = f"; for {values.shape[1]} keypoints make the metric with keypoint_sigmas=" if other else ""
        named = {len(sigmas): repr(name) for name, sigmas in PRESETS.items()}
        remedy = remedy and remedy + named.get(values.shape[1], "[...], a number for each")
        raise ValueError(f"{where}['keypoints']: expected {expected}, got {tuple(values.shape)}{remedy}")
    check_real(where, "keypoints", values, device)
    return values
