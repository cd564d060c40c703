"""The class under every detection metric: one state, filled by ``update()`` and read by any metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.detection.instances import DETECTION_COLUMNS, IMAGE_COLUMNS, NO_SCORES, TARGET_COLUMNS, Instances, pack
from detmetrics.detection.matches import AreaRange, Matches, match
from detmetrics.detection.table import WIDTHS, Rows, Table, merge_classes, read, same_class, settle
from detmetrics.metric import Metric
from detmetrics.ops.boxes import BOX_FORMATS

DEFAULT_FLOOR = 0.1
SETTLE_AT = {"cpu": 1 << 16, "cuda": 1 << 20}  # waiting rows after which overlaps are found


class DetectionMetric(Metric):
    """Accumulates images, detections, targets and their overlaps; what to ask is left to ``compute()``.

    ``update()`` checks and copies a batch, and reads nothing back from a GPU. Overlaps are found for many waiting
    images together, at the latest when anything asks for the state.

    Args:
        floor: The smallest overlap that is kept.
        pairs: ``"same"`` to keep overlaps within a class, ``"all"`` for those between classes too. None: what the metric
            itself asks about.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.
        iou_type: ``"bbox"``.
        class_names: The declared classes: a list, or a dict from label to name. None: the observed labels.
        class_agnostic: Treat all labels as one class.
        num_classes: Declares the classes 0 to ``num_classes`` - 1, without names.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    needs_scores = True  # False where the order of the predictions can stand for their scores

    def __init__(
        self,
        floor: float,
        pairs: str | None,
        box_format: str,
        iou_type: str,
        class_names: Sequence[str] | Mapping[int, str] | None,
        class_agnostic: bool,
        *,
        num_classes: int | None = None,
        **kwargs: Any,
    ) -> None:
        checks.check_choice("box_format", box_format, BOX_FORMATS)
        checks.check_choice("iou_type", iou_type, ("bbox",))
        checks.check_bool("class_agnostic", class_agnostic)
        pairs = pairs or ("all" if class_agnostic else "same")
        checks.check_choice("pairs", pairs, ("all",) if class_agnostic else ("same", "all"))
        super().__init__(f"{iou_type}_{pairs}_{floor!r}_{box_format}", **kwargs)
        self.floor, self.pairs, self.box_format, self.iou_type = floor, pairs, box_format, iou_type
        self.class_names = checks.check_classes(class_names, num_classes)
        self.has_names = class_names is not None and not class_agnostic  # so that results can be called by them
        self.class_agnostic = class_agnostic
        self.num_images = self.num_duplicates = 0  # as of the last compute()
        self.classes = torch.empty(0, dtype=torch.int64)  # as of the last compute()
        for name, width in WIDTHS.items():
            self.add_rows(name, width, keyed=name == "images")
        self.add_rows("waiting_images", IMAGE_COLUMNS)
        self.add_rows("waiting_detections", DETECTION_COLUMNS)
        self.add_rows("waiting_targets", TARGET_COLUMNS)

    def update(self, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
        """Add a batch of images.

        Args:
            preds: One dict an image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
            target: One dict an image: ``boxes`` (M, 4), ``labels`` (M,); optionally ``iscrowd`` (M,), ``area`` (M,) in
                pixels, ``ignore`` (M,), and ``image_id``, a non-negative int, for all images or for none.

        Raises:
            ValueError: if a batch does not fit; nothing is changed. On a GPU, values (not finite, negative sizes) are
                found later, and every ``compute()`` raises until ``reset()``.
        """
        check_values = not checks.defers_value_checks(self.device)
        batch = pack(preds, target, self.box_format, self.device, check_values, self.needs_scores)
        if check_values:
            self._check_labels(batch.detections[:, 5], batch.targets[:, 5])
        for name, rows in batch._asdict().items():
            self.append(f"waiting_{name}", rows)
        waiting = sum(self.num_rows(f"waiting_{name}") for name in Instances._fields)
        if waiting >= SETTLE_AT.get(self.device.type, SETTLE_AT["cuda"]):
            self.settle()

    def settle(self) -> None:
        """Find the overlaps of the images that wait."""
        if not self.num_rows("waiting_images"):
            return
        batch = Instances(*(self.rows(f"waiting_{name}") for name in Instances._fields))
        checked = not checks.defers_value_checks(self.device)
        rows = settle(batch, self.num_rows("images"), self.pairs, self.floor, checked)
        for name in Instances._fields:
            self.take_rows(f"waiting_{name}")
        for name, chunk in rows._asdict().items():
            self.append(name, chunk)

    def _read(self, across_classes: bool = False) -> Table:
        """The accumulated images as a table; the classes are ``self.classes`` from here on.

        Overlaps between classes are left out, unless they are asked for or all labels count as one class.
        """
        table = read(Rows(*(self.rows(name) for name in Rows._fields)))
        if self.needs_scores and bool((table.score_dtype == NO_SCORES).any()):
            raise ValueError(f"{type(self).__name__}: expected preds with scores, got images without 'scores'")
        if self.class_agnostic:
            table = merge_classes(table)
        elif self.pairs == "all" and not across_classes:
            table = same_class(table)
        self.num_images, self.num_duplicates = len(table.keys), table.num_duplicates
        if self.class_names is None or self.class_agnostic:
            self.classes = _observed(table.labels, table.target_labels)
        else:
            self._check_labels(table.labels, table.target_labels)
            self.classes = torch.tensor(list(self.class_names), device=self.device)
        return table

    def _match(self, table: Table, iou_thresholds: Sequence[float], area_ranges: Sequence[AreaRange]) -> Matches:
        """The matches of a table; thresholds below the floor raise, since overlaps there were not kept."""
        if min(iou_thresholds) < self.floor:
            raise ValueError(
                f"iou_thresholds: expected {self.floor} or more, got {min(iou_thresholds)}; overlaps below were not kept: "
                "give the metric its smallest threshold when it is made"
            )
        return match(table, iou_thresholds, area_ranges)

    def _check_labels(self, *labels: Tensor) -> None:
        if self.class_names is not None:
            checks.check_declared(_observed(*labels), self.class_names)


def _observed(*labels: Tensor) -> Tensor:
    """The labels that occur, ascending (C,)."""
    observed: Tensor = torch.cat([part.unique_consecutive() for part in labels]).unique()
    return observed
