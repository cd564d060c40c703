"""The protocol that every similarity of a detection and a target meets, and the register of those there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from detmetrics.overlap.mask_words import MASK_BUDGET

Items = Sequence[Mapping[str, Any]]


class Overlaps(NamedTuple):
    """Pairs of detection and target at or above a floor, by target, then by detection."""

    detection: Tensor  # (E,) int64, index of the detection
    target: Tensor  # (E,) int64, index of the target
    iou: Tensor  # (E,) float64, above 0


class Request(NamedTuple):
    """What a state asks of a similarity."""

    device: torch.device  # where the inputs must be, and where results go
    pairs: str  # "same" for overlaps within a class, "all" for those between classes too
    floor: float  # the smallest overlap that is kept, in [0, 1]
    keeps_order: bool = False  # whether the place of each detection in its image is kept, too
    keeps_facts: bool = False  # whether what is known of classes in images is kept, behind the targets


class Shapes(NamedTuple):
    """The instances of one side of a batch, those of all images joined."""

    geometry: Tensor  # (n, G) float64: what find() needs, and what tells targets apart
    area: Tensor  # (n,) float64, pixels
    counts: list[int]  # instances per image
    ignore: Tensor | None = None  # (n,) bool, targets that do not count; None for none


class Measured(NamedTuple):
    """Both sides of a batch, and their overlaps unless these wait for :meth:`Similarity.find`."""

    detections: Shapes
    targets: Shapes
    overlaps: Overlaps | None  # indices into the detections and targets of the batch


class ValueRule(NamedTuple):
    """What is expected of some columns of the geometry: finite values of at least ``least``."""

    expected: str  # as errors say it
    columns: slice
    least: float = -math.inf
    key: str | None = None  # where the values come from; None for the key of the instances


class Options(NamedTuple):
    """The arguments of a metric that similarities are made from."""

    box_format: str = "xyxy"
    mask_budget: int = MASK_BUDGET
    keypoint_sigmas: Any = None  # as the user gave them


class Similarity(Protocol):
    """How much a detection and a target overlap, in [0, 1].

    A similarity either waits, so that :meth:`find` works on many images together, or has found the overlaps when
    :meth:`measure` returns. A new one is a class in a file of its own and a call of :func:`register`.
    """

    @property
    def name(self) -> str:
        """What ``iou_type`` calls it."""
        ...

    @property
    def key(self) -> str:
        """The key of its instances in the dicts: ``"boxes"``, ``"masks"``."""
        ...

    @property
    def columns(self) -> int:
        """G: float64 numbers kept for each instance until the overlaps are found.

        Those of targets are hashed, so that two images with the same id and other targets are noticed.
        """
        ...

    @property
    def waits(self) -> bool:
        """Whether overlaps are found later, by :meth:`find`."""
        ...

    @property
    def rules(self) -> Sequence[ValueRule]:
        """What is checked of the geometry: at once on a CPU, and on a GPU when the overlaps are found."""
        ...

    def configuration(self) -> tuple[Any, ...]:
        """What the meaning of an update depends on beside the name; metrics share a state only if it is equal."""
        ...

    def measure(self, preds: Items, target: Items, request: Request) -> Measured:
        """Read the instances of a batch. Unless the similarity has to look at them for overlaps, no value is read.

        Args:
            preds: One dict per image.
            target: One dict per image, as many.
            request: What to find, and on which device.

        Returns:
            New tensors: the caller may change the inputs afterwards.

        Raises:
            ValueError: if the form does not fit, naming the key and the image.
        """
        ...

    def find(
        self, detections: Tensor, targets: Tensor, iscrowd: Tensor, first: Tensor, count: Tensor, floor: float
    ) -> Overlaps:
        """The overlaps of at least ``floor``, and above 0, between each target and its own range of detections.

        Args:
            detections: ``(N, G)`` float64, sorted so that the candidates of a target are neighbours.
            targets: ``(M, G)`` float64.
            iscrowd: ``(M,)`` bool.
            first: ``(M,)`` int64, the first candidate of each target.
            count: ``(M,)`` int64, the number of its candidates.
            floor: The smallest overlap that is kept.
        """
        ...


Maker = Callable[[Options], Similarity]
_makers: dict[str, Maker] = {}


def register(name: str, make: Maker) -> None:
    """Make a similarity known as an ``iou_type``.

    Args:
        name: What ``iou_type`` calls it; an earlier one of that name is replaced.
        make: Makes it from the :class:`Options` of a metric.
    """
    _makers[name] = make


def similarity(
    name: str, box_format: str = "xyxy", mask_budget: int = MASK_BUDGET, keypoint_sigmas: Any = None
) -> Similarity:
    """The similarity of a name.

    Args:
        name: One of :func:`similarity_names`.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, for those that read boxes.
        mask_budget: Bytes that temporaries may take, for those that read masks.
        keypoint_sigmas: The spread of each keypoint, for those that read keypoints.

    Raises:
        ValueError: if there is none of that name, or an argument does not fit.

    Example:
        >>> similarity("bbox", box_format="xywh").configuration()
        ('xywh',)
    """
    if name not in _makers:
        raise ValueError(f"iou_type: expected one of {similarity_names()}, got {name!r}")
    return _makers[name](Options(box_format, mask_budget, keypoint_sigmas))


def similarity_names() -> tuple[str, ...]:
    """The names of all similarities, those of the package first."""
    return tuple(_makers)


def check_names(iou_type: Any, several: bool) -> tuple[str, ...]:
    """The names of the similarities: one, or several distinct ones where the metric takes several."""
    names = tuple(iou_type) if isinstance(iou_type, list | tuple) else (iou_type,)
    choices = similarity_names()
    known = bool(names) and all(name in choices for name in names)
    if not known or len(set(names)) < len(names) or (not several and len(names) > 1):
        or_several = " or several distinct ones" if several else ""
        raise ValueError(f"iou_type: expected one of {choices}{or_several}, got {iou_type!r}")
    return names
