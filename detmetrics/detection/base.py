"""The class under every detection metric: one state, filled by ``update()`` and read by any metric."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.detection.instances import (
    DETECTION_COLUMNS,
    IMAGE_COLUMNS,
    LABEL,
    NO_SCORES,
    TARGET_COLUMNS,
    Instances,
    Items,
    pack,
)
from detmetrics.detection.masks import measure
from detmetrics.detection.matches import AreaRange, Matches, count_targets, match
from detmetrics.detection.settle import settle
from detmetrics.detection.table import WIDTHS, Rows, Table, observed, read
from detmetrics.metric import Metric
from detmetrics.ops.boxes import BOX_FORMATS
from detmetrics.ops.masks import MASK_BUDGET
from detmetrics.ops.overlaps import Overlaps

DEFAULT_FLOOR = 0.1
IOU_TYPES = ("bbox", "segm", "boundary")
SETTLE_AT = {"cpu": 1 << 16, "cuda": 1 << 20}  # waiting rows after which overlaps are found


class DetectionMetric(Metric):
    """Accumulates images, detections, targets and their overlaps; what to ask is left to ``compute()``.

    ``update()`` checks and copies a batch, and reads nothing back from a GPU. Overlaps are found for many waiting
    images together, at the latest when anything asks for the state; that reads 11 sizes back, however many images wait.
    ``compute()`` reads some 30 (F1, say) to 90 (mean average precision), however many images there are.

    Args:
        floor: The smallest overlap that is kept.
        pairs: ``"same"`` to keep overlaps within a class, ``"all"`` for those between classes too. None: what the
            metric itself asks about.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.
        iou_type: ``"bbox"``, ``"segm"`` for masks, ``"boundary"`` for the smaller of the overlaps of masks and of their
            boundaries, or several of them, with a state for each, if the metric takes several.
        class_names: The declared classes: a list, or a dict from label to name. None: the observed labels.
        class_agnostic: Treat all labels as one class.
        num_classes: Declares the classes 0 to ``num_classes`` - 1, without names.
        mask_budget: Bytes that the temporaries of mask overlaps may take.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    takes_several_iou_types = False
    needs_scores = True  # False where the order of the predictions can stand for their scores

    def __init__(
        self,
        floor: float,
        pairs: str | None,
        box_format: str,
        iou_type: str | Sequence[str],
        class_names: Sequence[str] | Mapping[int, str] | None,
        class_agnostic: bool,
        *,
        num_classes: int | None = None,
        mask_budget: int = MASK_BUDGET,
        **kwargs: Any,
    ) -> None:
        checks.check_choice("box_format", box_format, BOX_FORMATS)
        iou_types = checks.check_iou_types(iou_type, IOU_TYPES, several=self.takes_several_iou_types)
        checks.check_bool("class_agnostic", class_agnostic)
        pairs = pairs or ("all" if class_agnostic else "same")
        checks.check_choice("pairs", pairs, ("all",) if class_agnostic else ("same", "all"))
        super().__init__(f"{pairs}_{floor!r}_{box_format}", **kwargs)
        self.floor, self.pairs, self.box_format, self.iou_types = floor, pairs, box_format, iou_types
        (self.mask_budget,) = checks.check_limits("mask_budget", [mask_budget])
        self.class_names = checks.check_classes(class_names, num_classes)
        self.has_names = class_names is not None and not class_agnostic  # so that results can be called by them
        self.class_agnostic = class_agnostic
        self.num_images = self.num_duplicates = 0  # as of the last compute()
        self.classes = torch.empty(0, dtype=torch.int64)  # as of the last compute()
        for iou_type, (name, width) in itertools.product(iou_types, WIDTHS.items()):
            self.add_rows(f"{iou_type}_{name}", width, keyed=name == "images")
        if "bbox" in iou_types:
            self.add_rows("waiting_images", IMAGE_COLUMNS)
            self.add_rows("waiting_detections", DETECTION_COLUMNS)
            self.add_rows("waiting_targets", TARGET_COLUMNS)

    def update(self, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
        """Add a batch of images.

        Args:
            preds: One dict an image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,); of masks ``masks`` instead of
                ``boxes``: (N, H, W) or (N, 1, H, W), bool, integer (anything but 0) or float (.5 or more), or a list of
                N run-length encodings, dicts of ``size`` and ``counts``.
            target: One dict an image: ``boxes`` (M, 4) or ``masks``, likewise, and ``labels`` (M,); optionally
                ``iscrowd`` (M,), ``area`` (M,) in pixels, ``ignore`` (M,), and ``image_id``, a non-negative int, for
                all images or for none.

        Raises:
            ValueError: if a batch does not fit; nothing is changed. On a GPU, values (not finite, negative sizes) are
                found later, and every ``compute()`` raises until ``reset()``.
        """
        batches = {iou_type: self._pack_batch(iou_type, preds, target) for iou_type in self.iou_types}
        settled = {
            iou_type: self._settle_batch(iou_type, batch, overlaps)
            for iou_type, (batch, overlaps) in batches.items()
            if overlaps is not None
        }
        for iou_type, rows in settled.items():
            self._append(f"{iou_type}_", rows)
        if "bbox" in batches:
            self._append("waiting_", batches["bbox"][0])
            waiting = sum(self.num_rows(f"waiting_{name}") for name in Instances._fields)
            if waiting >= SETTLE_AT.get(self.device.type, SETTLE_AT["cuda"]):
                self.settle()

    def settle(self) -> None:
        """Find the overlaps of the images that wait."""
        if "bbox" not in self.iou_types or not self.num_rows("waiting_images"):
            return
        batch = Instances(*(self.rows(f"waiting_{name}") for name in Instances._fields))
        rows = self._settle_batch("bbox", batch)
        for name in Instances._fields:
            self.take_rows(f"waiting_{name}")
        self._append("bbox_", rows)

    def _pack_batch(self, iou_type: str, preds: Items, target: Items) -> tuple[Instances, Overlaps | None]:
        """A checked batch, and its overlaps if they are those of masks, which do not wait."""
        check_values = not checks.defers_value_checks(self.device)
        options = (self.device, check_values, self.needs_scores)
        if iou_type == "bbox":
            batch, overlaps = pack(preds, target, self.box_format, *options), None
        else:
            boundary = iou_type == "boundary"
            measured = measure(preds, target, boundary, self.pairs, self.floor, self.device, self.mask_budget)
            batch = pack(measured.preds, measured.target, "xyxy", *options, measured.areas)
            overlaps = measured.overlaps
        if check_values and self.class_names is not None:
            checks.check_declared(observed(batch.detections[:, LABEL], batch.targets[:, LABEL]), self.class_names)
        return batch, overlaps

    def _settle_batch(self, iou_type: str, batch: Instances, overlaps: Overlaps | None = None) -> Rows:
        values_checked = not checks.defers_value_checks(self.device)
        num_before = self.num_rows(f"{iou_type}_images")
        return settle(batch, num_before, self.pairs, self.floor, values_checked, overlaps)

    def _append(self, prefix: str, parts: Instances | Rows) -> None:
        for name, rows in parts._asdict().items():
            self.append(prefix + name, rows)

    def _read(self, across_classes: bool = False, iou_type: str | None = None) -> Table:
        """The accumulated images as a table; the classes are ``self.classes`` from here on.

        Overlaps between classes are left out, unless they are asked for or all labels count as one class.
        """
        prefix = iou_type or self.iou_types[0]
        table = read(Rows(*(self.rows(f"{prefix}_{name}") for name in Rows._fields)))
        if self.needs_scores and bool((table.score_dtype == NO_SCORES).any()):
            raise ValueError(f"{type(self).__name__}: expected preds with scores, got images without 'scores'")
        if self.class_agnostic:
            table = table.merged
        elif self.pairs == "all" and not across_classes:
            table = table.same_class
        self.num_images, self.num_duplicates = len(table.keys), table.num_duplicates
        if self.class_agnostic:
            self.classes = torch.zeros(1, dtype=torch.int64, device=self.device)
        elif self.class_names is None:
            self.classes = table.classes.clone()  # the user may change it
        else:
            checks.check_declared(table.classes, self.class_names)
            self.classes = torch.tensor(list(self.class_names), device=self.device)
        return table

    def _match(self, table: Table, iou_thresholds: Sequence[float], area_ranges: Sequence[AreaRange]) -> Matches:
        """The matches of a table; thresholds below the floor raise, since overlaps there were not kept."""
        if min(iou_thresholds) < self.floor:
            raise ValueError(
                f"iou_thresholds: expected {self.floor} or more, got {min(iou_thresholds)}; overlaps below were not "
                "kept: give the metric its smallest threshold when it is made"
            )
        return match(table, iou_thresholds, area_ranges)

    def _targets_by_class(self, area_range: AreaRange, iou_type: str | None = None) -> dict[str, int]:
        """The number of counted targets of each class, by its name."""
        with self.synced():
            (counted,) = count_targets(self._read(iou_type=iou_type), self.classes, [area_range])  # (C,)
        return dict(zip(self._called(self.classes), counted.tolist(), strict=True))

    def _called(self, classes: Tensor) -> list[str]:
        """The names of classes (C,) in pictures: those declared, else their labels."""
        names = {0: "all labels"} if self.class_agnostic else self.class_names or {}
        return [names.get(label, str(label)) for label in classes.tolist()]
