"""What is computed of two folders of label maps: several metrics that are updated, merged and saved as one."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.count.pixels import counts_of
from detmetrics.count.repeats import Ids
from detmetrics.reduce import averages
from detmetrics.reduce.averages import AGGREGATES
from detmetrics.reduce.formulas import Formula, divide
from detmetrics.segmentation.average_surface_distance import AverageSurfaceDistance
from detmetrics.segmentation.confusion import SegmentationConfusionMatrix, confusion_matrix
from detmetrics.segmentation.counting import ImageCounts
from detmetrics.segmentation.hausdorff import HausdorffDistance
from detmetrics.segmentation.metric import CountingMetric
from detmetrics.segmentation.report import COLUMNS, SegmentationReport
from detmetrics.segmentation.scores import excluded_mask
from detmetrics.segmentation.surface_dice import SurfaceDice
from detmetrics.segmentation.surface_scores import surface_score
from detmetrics.state.metric import Metric
from detmetrics.state.torchmetrics_collection import sync_collection

VOID = "(void)"  # the class behind the others: pixels that a label map sends to no class
SURFACES = ("hd95", "surface_dice", "assd")


class LabelMapScores:
    """Counts of each image and class, the confusion matrix, and distances of surfaces if asked.

    It offers what files of states need of a metric. The state is a matrix of ``8 C (C + 1)`` bytes and rows of ``16 +
    32 C`` bytes per image, with surfaces three rows of ``16 + 24 C`` bytes more.

    Args:
        class_names: The names of the C classes.
        void: Whether there is a class more, the last label, for pixels that belong to none: of targets they are
            ignored, of predictions they are wrong.
        ignore_index: Values of the target whose pixels are left out of everything.
        exclude_classes: Labels that averages leave out.
        zero_division: What stands for 0/0; NaN is left out of means.
        aggregate: Over what scores are taken, see :class:`detmetrics.SegmentationIoU`.
        only_present: Whether a class counts only in images whose target has it, as MONAI's ``ignore_empty`` has it.
        surface: The settings of surfaces: ``definition``, ``spacing`` and ``tolerance``; None for no surfaces.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str] | Mapping[int, str],
        void: bool = False,
        ignore_index: Sequence[int] = (),
        exclude_classes: Sequence[int] = (),
        zero_division: float = float("nan"),
        aggregate: str = "dataset",
        only_present: bool = False,
        surface: Mapping[str, Any] | None = None,
    ) -> None:
        names = list(class_names.values()) if isinstance(class_names, Mapping) else list(class_names)
        if aggregate not in AGGREGATES:
            raise ValueError(f"aggregate: expected one of {tuple(AGGREGATES)}, got {aggregate!r}")
        self.class_names, self.void = names, void
        self.aggregate, self.only_present, self.zero_division = aggregate, only_present, zero_division
        shared: dict[str, Any] = {
            "class_names": [*names, VOID] if void else names,
            "ignore_index": [*ignore_index, len(names)] if void else list(ignore_index),
            "zero_division": zero_division,
        }
        self.report = SegmentationReport(**shared, exclude_classes=list(exclude_classes))
        self.matrix = SegmentationConfusionMatrix(**shared)
        self.surfaces: dict[str, CountingMetric] = {}
        if surface is not None:
            self._add_surfaces({**shared, "exclude_classes": list(exclude_classes)}, dict(surface))
        self._ids: Ids = {}

    def _add_surfaces(self, shared: dict[str, Any], surface: dict[str, Any]) -> None:
        tolerance = surface.pop("tolerance", 1.0)
        by_image = "classwise" if self.aggregate == "dataset" else self.aggregate  # distances cannot be pooled
        shared = {**shared, **surface, "aggregate": by_image}
        kinds: list[CountingMetric] = [
            HausdorffDistance(percentile=95, **shared),
            SurfaceDice(tolerance=tolerance, **shared),
            AverageSurfaceDistance(**shared),
        ]
        self.surfaces = dict(zip(SURFACES, kinds, strict=True))
        self._measuring = {name: metric.configuration for name, metric in self.surfaces.items()}

    # ------------------------------------------------------------------------------ what files of states need

    @property
    def metrics(self) -> list[Metric]:
        """All of them."""
        return [self.report, self.matrix, *self.surfaces.values()]

    @property
    def layouts(self) -> dict[str, Any]:
        """What the states hold, by name; names differ as configurations do."""
        return {name: layout for metric in self.metrics for name, layout in metric.layouts.items()}

    @property
    def metric_state(self) -> dict[str, Any]:
        """The states by name."""
        return {name: value for metric in self.metrics for name, value in metric.metric_state.items()}

    @property
    def image_ids(self) -> Ids:
        """The names of images by the numbers that stand for them."""
        return self._ids

    @image_ids.setter
    def image_ids(self, ids: Ids) -> None:
        self._ids = ids
        for metric in (self.report, *self.surfaces.values()):
            metric.image_ids = ids

    @contextlib.contextmanager
    def synced(self) -> Iterator[None]:
        """The states of all ranks within the block."""
        with contextlib.ExitStack() as stack:
            for metric in self.metrics:
                stack.enter_context(metric.synced())
            yield

    def checked_states(self, incoming: Mapping[str, Any]) -> dict[str, Any]:
        """States from elsewhere, if every metric can take its own."""
        if incoming.keys() != self.layouts.keys():
            raise ValueError(f"expected the states {sorted(self.layouts)}, got {sorted(incoming)}")
        checked: dict[str, Any] = {}
        for metric in self.metrics:
            checked |= metric.checked_states({name: incoming[name] for name in metric.layouts})
        return checked

    def merge_state(self, incoming: Mapping[str, Any]) -> None:
        """Add the states of others."""
        for metric in self.metrics:
            metric.merge_state({name: incoming[name] for name in metric.layouts})

    def to(self, device: torch.device) -> LabelMapScores:
        """Move to a device."""
        for metric in self.metrics:
            metric.to(device)
        return self

    # ------------------------------------------------------------------------------------------------ updating

    def update(self, pred: Tensor, target: Tensor, image_id: int, spacing: Sequence[float] | None = None) -> None:
        """Add an image.

        Args:
            pred: Labels ``(...)``.
            target: Labels ``(...)``.
            image_id: 0 or more.
            spacing: Of this image, where the settings have none.
        """
        preds, targets = pred[None], target[None]
        self._count(preds, targets, image_id)
        for name, metric in self.surfaces.items():
            own = self._measuring[name]
            if spacing is not None and own.spacing is None:  # what comes out is in the unit of the spacing
                metric.configuration = dataclasses.replace(own, spacing=tuple(spacing))
            try:
                metric.update(preds, targets, [image_id])
            finally:
                metric.configuration = own

    def _count(self, preds: Tensor, targets: Tensor, image_id: int) -> None:
        """Count pixels once for the report and the matrix."""
        counting = self.matrix.configuration
        preds, targets = counting.prepare(preds, targets, self.report.device)
        confusion, invalid = counting.count(preds, targets, per_image=True)  # (1, C + 1, C)
        if bool(invalid.any()):  # on a GPU it would be found late, and nobody could tell in which file
            counting.explain(preds, targets)
        ids = torch.tensor([image_id], device=self.report.device)
        with torch.no_grad():
            self.report.commit(preds, targets, ids, counts_of(confusion), invalid)
            self.matrix.commit(preds, targets, None, confusion[0], invalid)

    # ------------------------------------------------------------------------------------------------- reading

    @contextlib.contextmanager
    def _gathered(self) -> Iterator[None]:
        """Within the block what is read is that of all ranks, gathered at once unless it was before."""
        synced = sync_collection(self.metrics)
        try:
            yield
        finally:
            for metric in synced:
                metric.unsync()

    def data(self) -> ImageCounts:
        """The counts of the images of all ranks."""
        found: ImageCounts = self.report.data()
        return found

    @property
    def num_images(self) -> int:
        """Distinct images as of the last ``compute()``."""
        return self.report.num_images

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images, 0-d float64 tensors by name; all ranks must call it.

        ``mean_iou``, ``mean_f1``, ``mean_precision``, ``mean_recall``, ``frequency_weighted_iou``, ``pixel_accuracy``
        (the last two over all pixels), ``hd95``, ``surface_dice`` and ``assd`` with surfaces; then ``<score>/<name>``
        of each class, and its pixels as ``support/<name>``.
        """
        with self._gathered():
            counts, _ = self.data(), self.matrix.data()  # so that all is gathered at once
            over_all = {
                f"mean_{column}": self._score(f, counts, "macro", self.aggregate) for column, f in COLUMNS.items()
            }
            over_all["frequency_weighted_iou"] = self._score(COLUMNS["iou"], counts, "weighted", "dataset")
            over_all["pixel_accuracy"] = self._score(COLUMNS["recall"], counts, "micro", "dataset")
            by_class = {column: self._score(f, counts, "none", self.aggregate) for column, f in COLUMNS.items()}
            for name, metric in self.surfaces.items():
                over_all[name] = self._surface(name, metric, "macro")
                by_class[name] = self._surface(name, metric, "none")
        by_class["support"] = (counts.total[:, 0] + counts.total[:, 2]).double()
        return over_all | {
            f"{column}/{name}": value
            for column, values in by_class.items()
            for name, value in zip(self.class_names, values.unbind(), strict=False)  # the void class has no line
        }

    def _score(self, formula: Formula, counts: ImageCounts, average: str, aggregate: str) -> Tensor:
        table = counts.total if aggregate == "dataset" else self._present(counts.by_image)
        return averages.average(
            formula,
            table.unbind(dim=-1),
            average=average,
            aggregate=aggregate,
            zero_division=self.zero_division,
            excluded=excluded_mask(self.report.settings, counts.total),
        )

    def _present(self, by_image: Tensor) -> Tensor:
        """The counts (B, C, 4) that scores are taken of: without those of classes that the target lacks, if so set."""
        if not self.only_present:
            return by_image
        tp, _, fn, _ = by_image.unbind(dim=-1)
        return by_image * (tp + fn > 0)[..., None]

    def _surface(self, name: str, metric: CountingMetric, average: str) -> Tensor:
        settings = metric.settings.replace(average=average, class_names=None)
        value = surface_score(name, metric.data(), settings)
        assert isinstance(value, Tensor)  # there are no names
        return value

    def confusion(self) -> Tensor | None:
        """The pixels of each class by predicted class, (C, C) int64; None if images came more than once."""
        with self._gathered():
            if self.data().num_duplicates:
                return None
            return confusion_matrix(self.matrix.data(), self.matrix.settings)

    def per_image(self) -> dict[str, Tensor]:
        """For each image ``image_id`` and ``wrong`` pixels, int64, ``mean_iou`` and ``pixel_accuracy``, ``(B,)``."""
        with self._gathered():
            counts = self.data()
        tp, fp, fn, _ = counts.by_image.unbind(dim=-1)  # (B, C) each
        excluded = excluded_mask(self.report.settings, counts.total)
        return {
            "image_id": counts.keys,
            "wrong": fn.sum(dim=1),
            "mean_iou": averages.defined_mean(COLUMNS["iou"](tp, fp, fn).masked_fill(excluded, torch.nan)),
            "pixel_accuracy": divide(tp.sum(dim=1), (tp + fn).sum(dim=1)),
        }
