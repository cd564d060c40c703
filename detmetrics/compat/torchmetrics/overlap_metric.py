"""The base of mean overlaps: what was given, and the mean over the pairs that count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.arguments import choice
from detmetrics.compat.torchmetrics import arguments, inputs
from detmetrics.compat.torchmetrics.functional import overlap_matrix
from detmetrics.compat.torchmetrics.inputs import BOX, LABEL, Given
from detmetrics.overlap.boxes import BOX_FORMATS
from detmetrics.overlap.similarity import Items
from detmetrics.reduce.averages import defined_mean
from detmetrics.state.metric import Metric

UNSET = float("nan")  # in a matrix: the pair does not count


class MeanOverlap(Metric):
    """Accumulates boxes and labels; the mean over the pairs that count is left to ``compute()``.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.
        iou_threshold: Pairs that overlap less do not count.
        class_metrics: Whether to add a mean per class.
        respect_labels: Whether only pairs of one label count.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    key = "iou"
    formula: Callable[[Tensor, Tensor], Tensor]  # the overlaps (N, M) of (N, 4) and (M, 4) xyxy boxes
    invalid_value = -1.0  # stands for a pair that does not count in ``iou_matrix``

    def __init__(
        self, box_format: str, iou_threshold: float | None, class_metrics: bool, respect_labels: bool, **kwargs: Any
    ) -> None:
        super().__init__(("torchmetrics", self.key), **kwargs)
        self.box_format = choice("box_format", box_format, BOX_FORMATS)
        self.iou_threshold = iou_threshold
        self.class_metrics = arguments.switch("class_metrics", class_metrics)
        self.respect_labels = arguments.switch("respect_labels", respect_labels)
        for name, width in inputs.WIDTHS.items():
            self.add_rows(f"given_{name}", width, keyed=name == "images")

    def update(self, preds: Items, target: Items) -> None:
        """Add a batch of images.

        Args:
            preds: One dict per image: ``boxes`` (N, 4), ``labels`` (N,).
            target: One dict per image: ``boxes`` (M, 4), ``labels`` (M,).

        Raises:
            ValueError: if a batch does not fit; nothing is changed.
        """
        given = inputs.given_rows(preds, target, ("bbox",), self.box_format, self.device, needs_scores=False)
        for name, rows in given._asdict().items():
            self.append(f"given_{name}", rows)

    def compute(self) -> dict[str, Tensor]:
        """The mean over all pairs that count, of all images.

        Returns:
            A dict of 0-d float32 tensors: the mean under the name of the overlap, and with ``class_metrics`` for each
            label that occurs ``<name>/cl_<label>``, the mean over the pairs whose target has it. 0 where no pair
            counts. A side without boxes gives each box of the other an overlap of 0, as in torchmetrics.
        """
        given = self.read()
        matrices = self._matrices(given)
        means = {self.key: _mean(matrices)}
        if self.class_metrics:
            labels = torch.cat([given.detections[:, LABEL], given.targets[:, LABEL]]).unique().tolist()
            own = inputs.split(given, 1, LABEL)
            pairs = [(x, label) for x, label in zip(matrices, own, strict=True) if len(label)]
            means |= {f"{self.key}/cl_{c}": _mean([x[:, label == c] for x, label in pairs]) for c in labels}
        return {key: mean.to(self.device) for key, mean in means.items()}

    def version(self) -> tuple[Any, ...]:
        """Equal as long as the state and the attributes that results depend on are the same."""
        return *super().version(), self._asked()

    def description(self) -> dict[str, str]:
        """What must agree between the ranks: the attributes too."""
        return super().description() | {"attributes": repr(self._asked())}

    def read_state(self) -> Given:
        """What was given, in order, without invalid values."""
        rows = Given(*(self.rows(f"given_{name}") for name in inputs.WIDTHS))
        return inputs.without_invalid(inputs.in_order(rows))

    def _asked(self) -> tuple[Any, ...]:
        return self.iou_threshold, self.class_metrics, self.respect_labels

    def _matrices(self, given: Given) -> list[Tensor]:
        """The overlaps of each image ``(N, M)`` float64, NaN where a pair does not count."""
        sides = [
            zip(inputs.split(given, side, BOX, torch.float64), inputs.split(given, side, LABEL), strict=True)
            for side in (0, 1)
        ]
        return [self._matrix(*detections, *targets) for detections, targets in zip(*sides, strict=True)]

    def _matrix(self, boxes: Tensor, labels: Tensor, target_boxes: Tensor, target_labels: Tensor) -> Tensor:
        overlaps = overlap_matrix(_corners(boxes), _corners(target_boxes), self.formula, self.iou_threshold, UNSET)
        if not self.respect_labels:
            return overlaps
        counts = torch.eye(len(overlaps), dtype=torch.bool, device=overlaps.device)
        if len(labels) and len(target_labels):
            counts = labels[:, None] == target_labels
        return torch.where(counts, overlaps, UNSET)

    @property
    def pred_labels(self) -> list[Tensor]:
        """The labels of each image's predictions, ``(N,)`` int64."""
        return list(inputs.split(self.read_once(), 0, LABEL))

    @property
    def groundtruth_labels(self) -> list[Tensor]:
        """The labels of each image's targets, ``(M,)`` int64."""
        return list(inputs.split(self.read_once(), 1, LABEL))

    @property
    def iou_matrix(self) -> list[Tensor]:
        """The overlaps of each image, ``(N, M)`` float32; ``invalid_value`` where a pair does not count."""
        return [x.nan_to_num(self.invalid_value).float() for x in self._matrices(self.read_once())]


def _corners(boxes: Tensor) -> Tensor:
    """Xywh boxes ``(n, 4)`` as xyxy."""
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)


def _mean(matrices: Sequence[Tensor]) -> Tensor:
    """The mean over all pairs that count, 0-d float32; 0 without any. Values are sorted: no order of images matters."""
    values = torch.cat([torch.zeros(0), *(matrix[~matrix.isnan()].cpu() for matrix in matrices)])
    return defined_mean(values.double().sort().values, zero_division=0.0).float()
