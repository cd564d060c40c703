"""Some images of evaluation data, in their order, and each as often as one likes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from detmetrics.ragged import exclusive_cumsum, occurrences, owners, rows_at

if TYPE_CHECKING:
    from detmetrics.match.evaluation_data import EvaluationData


class Taken(NamedTuple):
    """The rows of images that were taken, image after image."""

    at: Tensor  # (n,) int64, indices into the rows that there were
    image: Tensor  # (n,) int64, the place of the image of each among those that were taken


class Copies(NamedTuple):
    """Rows in any order, each as often as its image was taken, the copies side by side."""

    at: Tensor  # (n,) int64, indices into the rows that there were
    number: Tensor  # (n,) int64, 0 for the first copy of a row, 1 for the second


class Images:
    """Images that are taken from evaluation data.

    Args:
        data: B images.
        images: ``(n,)`` int64, ascending indices, some of them several times or never.
    """

    def __init__(self, data: EvaluationData, images: Tensor) -> None:
        self.data, self.images = data, images
        self.times = occurrences(images, len(data.keys))  # (B,), how often each is taken
        self._first = exclusive_cumsum(self.times)  # (B,), the first place of each among those taken

    def rows(self, image: Tensor) -> Taken:
        """The rows of these images; ``image`` (n,) int64 is the image of each row, ascending."""
        return Taken(*rows_at(self.images, image, len(self.times)))

    @functools.cached_property
    def detections(self) -> Taken:
        """The detections of these images."""
        return self.rows(self.data.image)

    @functools.cached_property
    def targets(self) -> Taken:
        """The targets of these images."""
        return self.rows(self.data.target_image)

    @functools.cached_property
    def _detection_shift(self) -> Tensor:
        return self._shift(self.data.image)

    @functools.cached_property
    def _target_shift(self) -> Tensor:
        return self._shift(self.data.target_image)

    def _shift(self, image: Tensor) -> Tensor:
        """What is added to the index of a row in each image that was taken, ``(n,)``."""
        count = occurrences(image, len(self.times))
        own, start = (x.index_select(0, self.images) for x in (count, exclusive_cumsum(count)))
        return exclusive_cumsum(own) - start

    def renumbered_detections(self, detection: Tensor, image: Tensor) -> Tensor:
        """The new indices of detections ``(n,)`` in the images that were taken ``image`` (n,)."""
        return detection + self._detection_shift.index_select(0, image)

    def renumbered_targets(self, target: Tensor, image: Tensor) -> Tensor:
        """The new indices of targets ``(n,)`` in the images that were taken ``image`` (n,)."""
        return target + self._target_shift.index_select(0, image)

    def copies(self, image: Tensor) -> Copies:
        """Rows in any order, repeated; ``image`` (n,) int64 is the image of each row."""
        times = self.times.index_select(0, image)
        total = int(times.sum())
        index = owners(times, total)
        number = torch.arange(total, device=image.device) - exclusive_cumsum(times).index_select(0, index)
        return Copies(index, number)

    def place(self, image: Tensor, number: Tensor) -> Tensor:
        """The place among the images that were taken of the copies ``number`` (n,) of the images ``image`` (n,)."""
        return self._first.index_select(0, image) + number
