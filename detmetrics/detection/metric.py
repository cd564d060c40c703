"""The base of every detection metric: one state, filled by ``update()`` and read by any metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.count import repeats
from detmetrics.detection import rows
from detmetrics.detection.classes import by_class, class_labels, class_titles
from detmetrics.detection.inputs import IMAGE_COLUMNS, OTHER_COLUMNS, Batch, check_labels, pack
from detmetrics.detection.row_checks import check_rows
from detmetrics.detection.rows import Rows
from detmetrics.detection.settings import ClassSettings
from detmetrics.detection.settle import settle
from detmetrics.match.coco import AreaRange, count_targets
from detmetrics.match.evaluation_data import NO_SCORES, EvaluationData
from detmetrics.overlap.boxes import BOX_FORMATS
from detmetrics.overlap.similarity import Items, Overlaps, Request, Similarity, check_names, similarity
from detmetrics.settings import Fixed, Setting
from detmetrics.state import devices
from detmetrics.state.metric import Metric
from detmetrics.state.sync import State

DEFAULT_FLOOR = 0.1
SETTLE_AT = {"cpu": 1 << 16, "cuda": 1 << 20}  # pending rows of boxes after which overlaps are found
BOX_COLUMNS = 7  # int64 numbers of such a row


@dataclass(frozen=True)
class StateConfiguration:
    """All that the meaning of the rows depends on."""

    floor: float  # the smallest overlap that is kept
    pairs: str  # "same": overlaps within a class; "all": also those between classes
    similarities: tuple[tuple[Any, ...], ...]  # name and own configuration of each
    duplicates: str = "drop"  # what becomes of images whose id came before
    keeps_order: bool = False  # whether the place of each detection in its image is kept


class DetectionMetric(Metric):
    """Accumulates images, detections, targets and their overlaps; what to ask is left to ``compute()``.

    ``update()`` checks and copies a batch, and reads nothing back from a GPU. Overlaps of boxes are found for many
    pending images together, at the latest when anything asks for the state; that reads 11 sizes back, however many
    images there are. ``compute()`` reads some 30 (F1, say) to 90 (mean average precision).

    Args:
        settings: What readers are asked.
        iou_type: A similarity, or several with a state for each.
        pairs: ``"same"``, ``"all"``, or None for what the metric itself asks about.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.
        mask_budget: Bytes that the temporaries of mask overlaps may take.
        duplicates: What becomes of repeated images: ``"drop"``, ``"error"`` or ``"keep"``.
        keypoint_sigmas: How far annotators of keypoints are apart.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    takes_several_iou_types = False
    needs_scores = True  # False where the order of the predictions can stand for their scores
    needs_pairs = "same"  # which overlaps the metric asks about
    keeps_order = False  # whether it asks how the detections of an image were ordered, across classes

    num_classes = Setting()
    class_names = Setting()
    class_agnostic = Setting()
    zero_division = Setting()
    iou_types = Fixed()
    pairs = Fixed()
    box_format = Fixed()
    mask_budget = Fixed()
    duplicates = Fixed()
    keypoint_sigmas = Fixed()
    floor = Fixed()

    def __init__(
        self,
        settings: Any,
        *,
        iou_type: str | Sequence[str],
        pairs: str | None,
        box_format: str,
        mask_budget: int,
        duplicates: str,
        keypoint_sigmas: Any = None,
        **kwargs: Any,
    ) -> None:
        arguments.choice("box_format", box_format, BOX_FORMATS)
        arguments.choice("pairs", pairs, (None, "same", "all"))
        arguments.choice("duplicates", duplicates, repeats.DUPLICATES)
        mask_budget = arguments.limit("mask_budget", mask_budget)
        names = check_names(iou_type, self.takes_several_iou_types)
        if keypoint_sigmas is not None and "keypoints" not in names:
            raise arguments.fail("keypoint_sigmas", "None without iou_type='keypoints'", keypoint_sigmas)
        self._similarities: dict[str, Similarity] = {}
        similarities = {name: similarity(name, box_format, mask_budget, keypoint_sigmas) for name in names}
        floor = min(DEFAULT_FLOOR, settings.lowest_overlap)
        pairs = pairs or self._pairs_for(settings)
        own = tuple((name, *kind.configuration()) for name, kind in similarities.items())
        super().__init__(StateConfiguration(floor, pairs, own, duplicates, self.keeps_order), settings, **kwargs)
        self._similarities = similarities
        self.reads_pixels = not all(kind.waits for kind in similarities.values())
        self.fixed = {
            "iou_types": names,
            "pairs": pairs,
            "box_format": box_format,
            "mask_budget": mask_budget,
            "duplicates": duplicates,
            "keypoint_sigmas": keypoint_sigmas,
            "floor": floor,
        }
        self.check_settings(settings)
        self.num_images = self.num_duplicates = 0  # as of the last compute()
        self.image_ids: repeats.Ids = {}  # what messages call images, where it is not the image_id of update()
        self.classes = torch.empty(0, dtype=torch.int64)  # as of the last compute()
        for name, kind in similarities.items():
            for part, width in self._widths.items():
                self.add_rows(f"{name}_{part}", width, keyed=part == "images")
            if kind.waits:
                widths = (IMAGE_COLUMNS, kind.columns + OTHER_COLUMNS, kind.columns + OTHER_COLUMNS)
                for part, width in zip(Batch._fields, widths, strict=True):
                    self.add_rows(f"{name}_pending_{part}", width)

    def _pairs_for(self, settings: ClassSettings) -> str:
        return "all" if settings.class_agnostic else self.needs_pairs

    def check_settings(self, settings: Any) -> None:
        """Raise a ``ValueError`` if the overlaps that the settings ask about were not kept."""
        if settings.lowest_overlap < self.floor:
            names = [
                name for name in ("background_threshold", "iou_threshold", "iou_thresholds") if hasattr(settings, name)
            ]
            raise ValueError(
                f"{names[0]}: expected {self.floor} or more, got {settings.lowest_overlap}; overlaps below were not "
                "kept: give the metric its smallest threshold when it is made"
            )
        needed = self._pairs_for(settings)
        if needed == "all" and self.pairs != "all":
            why = "class_agnostic=True" if settings.class_agnostic else type(self).__name__
            raise ValueError(f"pairs: expected 'all', which {why} asks about, got {self.pairs!r}")

    def update(self, preds: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]) -> None:
        """Add a batch of images.

        Args:
            preds: One dict per image: ``boxes`` (N, 4), ``scores`` (N,), ``labels`` (N,); for masks ``masks`` instead
                of ``boxes``: (N, H, W) or (N, 1, H, W), bool, integer (anything but 0) or float (.5 or more), or a list
                of N run-length encodings, dicts of ``size`` and ``counts``; for keypoints ``keypoints`` (N, K, 2 or 3),
                of which x and y are read, with ``boxes`` or without (the area is that of the boxes, else that of the
                extents of the keypoints).
            target: One dict per image: ``boxes`` (M, 4) or ``masks`` in the same forms, and ``labels`` (M,); optionally
                ``iscrowd`` (M,), ``area`` (M,) in pixels, ``ignore`` (M,), and ``image_id``, a non-negative int, for
                all images or for none. For keypoints ``keypoints`` (M, K, 3), x, y and visibility (labelled above 0),
                ``boxes``, and optionally ``num_keypoints`` (M,), by default the number of labelled ones: targets with 0
                are ignored. The area is by default .53 times that of the box. For facts about the classes of an image
                see :class:`detmetrics.LVISAveragePrecision`, for groups :class:`detmetrics.OpenImagesAveragePrecision`.

        Raises:
            ValueError: if a batch does not fit; nothing is changed. On a GPU, values (not finite, negative sizes) are
                found later, and every ``compute()`` raises until ``reset()``.
        """
        packed = {name: self._pack(kind, preds, target) for name, kind in self._similarities.items()}
        # Everything that can fail comes before the first change of the state.
        waiting = {name for name, kind in self._similarities.items() if kind.waits and not self._is_full(name, packed)}
        settled = {
            name: self._settled(name, *self._with_pending(name, *batch))
            for name, batch in packed.items()
            if name not in waiting
        }
        for name, found in settled.items():
            self._commit(name, found)
        for name in waiting:
            for part, chunk in packed[name][0]._asdict().items():
                self.append(f"{name}_pending_{part}", chunk)

    def settle(self) -> None:
        """Find the overlaps of the pending images."""
        for name, kind in self._similarities.items():
            if kind.waits and self.num_rows(f"{name}_pending_images"):
                self._commit(name, self._settled(name, self._pending(name), None))

    def _pack(self, kind: Similarity, preds: Items, target: Items) -> tuple[Batch, Overlaps | None]:
        """A checked batch, and its overlaps if they are found at once."""
        check_values = not devices.defers_value_checks(self.device)
        batch, overlaps = pack(preds, target, kind, self._request, check_values, self.needs_scores)
        if check_values and self.settings.declared is not None:
            check_labels(batch, self.settings.declared)
        return batch, overlaps

    @property
    def _request(self) -> Request:
        return Request(self.device, self.pairs, self.floor, self.keeps_order, keeps_facts=True)

    @property
    def _widths(self) -> dict[str, int]:
        return rows.ORDERED_WIDTHS if self.keeps_order else rows.WIDTHS

    def _is_full(self, name: str, packed: Mapping[str, tuple[Batch, Any]]) -> bool:
        """Whether enough rows are pending, with those of the batch, to find their overlaps."""
        pending = sum(self.num_rows(f"{name}_pending_{part}") for part in Batch._fields)
        pending += sum(len(part) for part in packed[name][0])
        columns = max(self._similarities[name].columns + OTHER_COLUMNS, BOX_COLUMNS)
        return pending * columns >= SETTLE_AT.get(self.device.type, SETTLE_AT["cuda"]) * BOX_COLUMNS

    def _pending(self, name: str) -> Batch:
        return Batch(*(self.rows(f"{name}_pending_{part}") for part in Batch._fields))

    def _with_pending(self, name: str, batch: Batch, overlaps: Overlaps | None) -> tuple[Batch, Overlaps | None]:
        """The pending images and a batch, as one batch."""
        if not self._similarities[name].waits:
            return batch, overlaps
        states = (self.state_name(f"{name}_pending_{part}") for part in Batch._fields)
        return Batch(*(torch.cat([*self.chunks(s), part]) for s, part in zip(states, batch, strict=True))), None

    def _settled(self, name: str, batch: Batch, overlaps: Overlaps | None) -> Rows:
        values_checked = not devices.defers_value_checks(self.device)
        num_before = self.num_rows(f"{name}_images")
        return settle(batch, num_before, self._similarities[name], self._request, values_checked, overlaps)

    def _commit(self, name: str, found: Rows) -> None:
        """Add final rows, and remove the pending ones that they were made of."""
        if self._similarities[name].waits:
            for part in Batch._fields:
                self.clear_rows(f"{name}_pending_{part}")
        for part, chunk in found._asdict().items():
            self.append(f"{name}_{part}", chunk)

    def rows_of_images(self) -> dict[str, dict[str, int]]:
        """The images of each similarity, with the columns that count their detections, targets and overlaps."""
        return {f"{name}_images": {f"{name}_{part}": at for part, at in rows.COUNTS.items()} for name in self.iou_types}

    def checked_states(self, incoming: Mapping[str, Any]) -> State:
        """States from elsewhere, on this device, if no reader can go astray because of them."""
        checked = super().checked_states(incoming)
        for name in self._similarities:
            parts = {part: checked[self.state_name(f"{name}_{part}")] for part in Rows._fields}
            try:
                check_rows(Rows(*(chunks.joined(self._widths[part], self.device) for part, chunks in parts.items())))
            except ValueError as error:
                raise ValueError(f"{type(self).__name__}: state of {name!r}: {error}") from error
        return checked

    # ------------------------------------------------------------------------------------------------------- reading

    def read_state(self) -> dict[str, EvaluationData]:
        """What readers read, by ``iou_type``; warns about the images that were left out."""
        across = self.pairs == "all"
        found, left_out = {}, []
        for name, kind in self._similarities.items():
            state = Rows(*(self.rows(f"{name}_{part}") for part in Rows._fields))
            data, repeated = rows.read(state, kind, self.duplicates, self.image_ids)
            found[name] = dataclasses.replace(data, across_classes=across)
            left_out.append(repeated)
        repeats.tell(repeats.joined(*left_out), self.duplicates, "target['image_id']", self.image_ids)
        return found

    def data(self, iou_type: str | None = None) -> EvaluationData:
        """The images of all ranks, for readers: ``reader(metric.data(), metric.settings)``.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Args:
            iou_type: One of several; the first by default.

        Raises:
            ValueError: if predictions came without scores and the metric needs them, if a label is not declared, or if
                an image is invalid.
        """
        data: EvaluationData = self.read()[iou_type or self.iou_types[0]]
        if self.needs_scores and bool((data.score_dtype == NO_SCORES).any()):
            raise ValueError(f"{type(self).__name__}: expected preds with scores, got images without 'scores'")
        self.num_images, self.num_duplicates = len(data.keys), data.num_duplicates
        self.classes = class_labels(data, self.settings)
        return data

    def targets_by_class(self, area_range: AreaRange, iou_type: str | None = None) -> dict[str, int]:
        """The number of counted targets of each class, by its name."""
        data = self.data(iou_type)
        (counted,) = count_targets(by_class(data, self.settings), self.classes, [area_range])  # (C,)
        return dict(zip(class_titles(self.classes, self.settings), counted.tolist(), strict=True))

    def class_titles(self, labels: Tensor) -> list[str]:
        """What classes (C,) are called in pictures."""
        return class_titles(labels, self.settings)


def evaluated(metric: Any, preds: Items, target: Items) -> Any:
    """The result of a new metric for all images, on the device of the predictions, without waiting for other ranks."""
    first = preds[0] if isinstance(preds, Sequence) and preds else None
    tensors = [value for value in first.values() if isinstance(value, Tensor)] if isinstance(first, Mapping) else []
    if tensors:
        metric = metric.to(tensors[0].device)
    metric.update(preds, target)
    return metric.compute()
