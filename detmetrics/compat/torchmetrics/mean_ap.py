"""Mean average precision with torchmetrics' whole contract."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.prints import rank_zero_warn

from detmetrics.arguments import choice
from detmetrics.compat.torchmetrics import arguments, coco_files, inputs
from detmetrics.compat.torchmetrics.inputs import BOX, CROWD, LABEL, SCORE, Given
from detmetrics.compat.torchmetrics.results import Asked, results
from detmetrics.files.coco_masks import encode
from detmetrics.overlap.similarity import Items
from detmetrics.state.metric import Metric


class MeanAveragePrecision(Metric):
    """``torchmetrics.detection.MeanAveragePrecision`` over this package's engine: the same arguments, keys and shapes.

    Every key is always there, -1 where a value is undefined; results are float32, classes int32, one value is 0-d. The
    attributes of torchmetrics' states (``detection_box``, ``groundtruth_labels`` and so on) are views of what was
    given, one tensor per image. :class:`detmetrics.MeanAveragePrecision` is the one to begin with: it takes less memory
    and more settings.

    The state holds 56 bytes per detection, 64 per target, 40 per image and 16 per run of a mask. The function is
    :func:`detmetrics.compat.torchmetrics.mean_average_precision`.

    Args:
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        iou_type: ``"bbox"`` for boxes, ``"segm"`` for masks, or a tuple of both, whose results are then called
            ``bbox_map``, ``segm_map`` and so on.
        iou_thresholds: A list of numbers above 0 and at most 1; None for .5, .55, ..., .95.
        rec_thresholds: A list of recall points in [0, 1]; None for 0, .01, ..., 1.
        max_detection_thresholds: A list of three limits on the detections per class and image; None for 1, 10, 100.
        class_metrics: Whether ``map_per_class`` and ``mar_<limit>_per_class`` have a value per class.
        extended_summary: Whether to add ``ious``, ``precision``, ``recall`` and ``scores``.
        average: ``"macro"``, or ``"micro"`` to match and count all labels as one class; results per class are the same
            in both.
        backend: ``"pycocotools"`` or ``"faster_coco_eval"``; neither is needed. With the first, ``map`` and
            ``map_per_class`` are at 100 detections, and -1 if 100 is none of the limits; with the second at the largest
            limit.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: ``torchmetrics.detection.mean_ap`` 1.9; pycocotools ``COCOeval``.

    Example:
        >>> boxes, labels = torch.tensor([[258.0, 41.0, 606.0, 285.0]]), torch.tensor([0])
        >>> metric = MeanAveragePrecision()
        >>> metric.update(
        ...     [dict(boxes=boxes, scores=torch.tensor([0.54]), labels=labels)],
        ...     [dict(boxes=boxes - torch.tensor([44.0, 0.0, 44.0, 0.0]), labels=labels)],
        ... )
        >>> result = metric.compute()
        >>> result["map"], result["map_small"]
        (tensor(0.6000), tensor(-1.))
    """

    warn_on_many_detections = True

    def __init__(
        self,
        box_format: str = "xyxy",
        iou_type: str | tuple[str, ...] = "bbox",
        iou_thresholds: list[float] | None = None,
        rec_thresholds: list[float] | None = None,
        max_detection_thresholds: list[int] | None = None,
        class_metrics: bool = False,
        extended_summary: bool = False,
        average: str = "macro",
        backend: str = "pycocotools",
        **kwargs: Any,
    ) -> None:
        checked = arguments.mean_average_precision(
            box_format,
            iou_type,
            iou_thresholds,
            rec_thresholds,
            max_detection_thresholds,
            class_metrics,
            extended_summary,
            average,
            backend,
        )
        super().__init__(("torchmetrics", *checked["iou_type"]), **kwargs)
        self.iou_type: tuple[str, ...] = checked["iou_type"]
        self.max_detection_thresholds: list[int] = checked["max_detection_thresholds"]
        for name, value in checked.items():  # plain attributes, which may be assigned, as in torchmetrics
            setattr(self, name, value)
        for name, width in inputs.WIDTHS.items():
            self.add_rows(f"given_{name}", width, keyed=name == "images")

    def update(self, preds: Items, target: Items) -> None:
        """Add a batch of images.

        Args:
            preds: One dict per image: ``boxes`` (N, 4) or ``masks`` (N, H, W), ``scores`` (N,), ``labels`` (N,).
            target: One dict per image: ``boxes`` (M, 4) or ``masks`` (M, H, W), ``labels`` (M,); optionally ``iscrowd``
                (M,) and ``area`` (M,), where 0 means that it is not given. ``image_id`` is not read: every image
                counts.

        Raises:
            ValueError: if a batch does not fit; nothing is changed.
        """
        given = inputs.given_rows(preds, target, self.iou_type, self.box_format, self.device)  # type: ignore[arg-type]
        limit = self.max_detection_thresholds[-1]
        if self.warn_on_many_detections and any(len(item["labels"]) > limit for item in preds):
            rank_zero_warn(  # begins with torchmetrics' words, by which projects filter it
                f"Encountered more than {limit} detections in a single image; those "
                "with the lowest scores do not count. Raise max_detection_thresholds, or set "
                "warn_on_many_detections=False",
                UserWarning,
            )
        for name, rows in given._asdict().items():
            self.append(f"given_{name}", rows)

    def compute(self) -> dict[str, Any]:
        """The results for all images so far.

        Returns:
            ``map``, ``map_50``, ``map_75``, ``map_small``, ``map_medium``, ``map_large``, ``mar_<limit>`` for three
            limits, ``mar_small``, ``mar_medium``, ``mar_large``: 0-d float32; ``map_per_class``,
            ``mar_<largest limit>_per_class``: (C,) float32, 0-d without ``class_metrics``; ``classes`` (C,) int32. All
            that has one element is 0-d. With ``extended_summary``: ``precision`` (T, R, C, A, M), ``recall`` (T, C, A,
            M), ``scores`` (T, R, C, A, M) float64, and ``ious``, a dict by image and class of (n, m) float32 for n
            detections, by score, and m targets, or an empty list where there are no pairs.
        """
        found: dict[str, Any] = squeezed(results(self.read(), self.asked()), deep=True)
        return found

    def version(self) -> tuple[Any, ...]:
        """Equal as long as the state and the attributes that results depend on are the same."""
        return *super().version(), self.asked()

    def description(self) -> dict[str, str]:
        """What must agree between the ranks: the attributes too."""
        return super().description() | {"attributes": repr(self.asked())}

    def read_state(self) -> Given:
        """What was given, in order, without invalid values."""
        rows = Given(*(self.rows(f"given_{name}") for name in inputs.WIDTHS))
        return inputs.without_invalid(inputs.in_order(rows))

    def asked(self) -> Asked:
        """What the attributes ask now."""
        return as_asked({name: getattr(self, name) for name in Asked.ATTRIBUTES})

    # ------------------------------------------------------------------------------------------------- what was given

    @property
    def detection_box(self) -> list[Tensor]:
        """The boxes of each image's detections, ``(N, 4)`` float32 xywh."""
        return self._view(0, BOX, torch.float64)

    @property
    def detection_scores(self) -> list[Tensor]:
        """The scores of each image's detections, ``(N,)`` float32."""
        return self._view(0, SCORE, torch.float64)

    @property
    def detection_labels(self) -> list[Tensor]:
        """The labels of each image's detections, ``(N,)`` int64."""
        return self._view(0, LABEL)

    @property
    def detection_mask(self) -> list[tuple[Any, ...]]:
        """The masks of each image's detections, each as its size and COCO's characters; needs pycocotools."""
        return self._masks(0)

    @property
    def groundtruth_box(self) -> list[Tensor]:
        """The boxes of each image's targets, ``(M, 4)`` float32 xywh."""
        return self._view(1, BOX, torch.float64)

    @property
    def groundtruth_labels(self) -> list[Tensor]:
        """The labels of each image's targets, ``(M,)`` int64."""
        return self._view(1, LABEL)

    @property
    def groundtruth_crowds(self) -> list[Tensor]:
        """Whether each image's targets are crowds, ``(M,)`` int64."""
        return self._view(1, CROWD)

    @property
    def groundtruth_area(self) -> list[Tensor]:
        """The areas that were given for each image's targets, ``(M,)`` float32; 0 where none was."""
        return self._view(1, inputs.AREA, torch.float64)

    @property
    def groundtruth_mask(self) -> list[tuple[Any, ...]]:
        """The masks of each image's targets, each as its size and COCO's characters; needs pycocotools."""
        return self._masks(1)

    def _view(self, side: int, column: Any, dtype: torch.dtype = torch.int64) -> list[Tensor]:
        if column == BOX and "bbox" not in self.iou_type:
            return []
        parts = inputs.split(self.read_once(), side, column, dtype)
        return [part.float() if dtype.is_floating_point else part for part in parts]

    def _masks(self, side: int) -> list[tuple[Any, ...]]:
        if "segm" not in self.iou_type:
            return []
        images = (encode({"masks": masks}) for masks in inputs.encoded_masks(self.read_once(), side))
        return [tuple((tuple(mask["size"]), mask["counts"].encode()) for mask in masks) for masks in images]

    # ---------------------------------------------------------------------------------------------------------- files

    def tm_to_coco(self, name: str = "tm_map_input") -> None:
        """Write what was given as COCO's files ``<name>_preds.json`` and ``<name>_target.json``.

        Args:
            name: What both names begin with, a path.

        Raises:
            ImportError: if there are masks and pycocotools is missing.
        """
        coco_files.write(self.read_once(), name, self.iou_type)

    def coco_to_tm(
        self,
        coco_preds: str | os.PathLike[str],
        coco_target: str | os.PathLike[str],
        iou_type: str | tuple[str, ...] = ("bbox",),
        backend: str = "pycocotools",
    ) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
        """Read COCO's files into what ``update()`` takes, with boxes in xywh.

        Args:
            coco_preds: The path of the results.
            coco_target: The path of the annotations.
            iou_type: ``"bbox"`` for boxes, ``"segm"`` for masks, or a tuple of both.
            backend: ``"pycocotools"`` or ``"faster_coco_eval"``; it changes nothing.

        Returns:
            The predictions and the targets of the images that have targets, in ascending order of image ids: float32
            boxes, scores and areas, int32 labels and crowds, uint8 masks.

        Raises:
            ValueError: if an argument or a file does not fit.
            ImportError: if there are polygons and pycocotools is missing.
        """
        names = arguments.similarities(iou_type)
        choice("backend", backend, arguments.BACKENDS)
        found: tuple[Any, Any] = coco_files.read(coco_preds, coco_target, names)
        return found


def as_asked(values: dict[str, Any]) -> Asked:
    """What is asked, from the attributes of a metric or the arguments of the function."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    renamed: dict[str, Any] = {field: plain[name] for name, field in Asked.ATTRIBUTES.items()}
    return Asked(**renamed)


def squeezed(value: Any, deep: bool) -> Any:
    """Tensors of one element as 0-d, those in dicts too if ``deep``."""
    if isinstance(value, dict):
        return {key: squeezed(x, deep) if deep or isinstance(x, Tensor) else x for key, x in value.items()}
    return value.squeeze() if isinstance(value, Tensor) and value.numel() == 1 else value
