"""How label maps, scores and masks become counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics.count.pixels import count_labels, count_masks, counts_of
from detmetrics.segmentation import inputs

TASKS = ("multiclass", "binary", "multilabel")
COUNTS = 4  # tp, fp, fn, tn


class Counted(NamedTuple):
    """The counts of a batch."""

    counts: Tensor  # (B, ...) int64 per image, or (...) over all images
    invalid: Tensor  # (2,) int64: not 0 if the predictions hold invalid values, and if the target does


@dataclass(frozen=True)
class ImageCounts:
    """What readers read: the counts of all images so far, repeated images once."""

    total: Tensor  # (C, 4) tp, fp, fn, tn or (C + 1, C) confusion matrix, int64: over all images
    by_image: Tensor  # (B, ...) int64: of the images that were kept as rows, in the order of their keys
    num_images: int
    num_duplicates: int  # repeated images that were left out
    keys: Tensor  # (B,) int64: of the images that were kept as rows, ascending: ids, or the order of arrival
    pooled: Callable[[Tensor], Tensor]  # from by_image to total

    def at_images(self, images: Tensor) -> Any:
        """The counts of images ``(n,)``, indices; an image that comes twice counts twice.

        Raises:
            ValueError: if there are images without a row.
        """
        if self.num_images != len(self.keys):
            remedy = "give update() image_ids, or the metric another aggregate than 'dataset'"
            raise ValueError(f"expected a state that tells images apart, got counts of all images together; {remedy}")
        by_image = self.by_image.index_select(0, images)
        total = self.pooled(by_image).to(self.total.device)
        keys = self.keys.index_select(0, images)
        return dataclasses.replace(self, total=total, by_image=by_image, num_images=len(images), keys=keys)


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Turns inputs into counts: checks their form, counts, and says what is wrong with their values.

    It is the configuration of a state of counts: all that the meaning of its rows depends on, and nothing else.
    """

    task: str
    num_classes: int  # C
    ignore_index: tuple[int, ...]  # values of the target whose pixels are not counted
    duplicates: str = "drop"  # what becomes of images whose id came before
    threshold: float = 0.5  # of masks; label maps have none, so that it never tells their states apart
    from_logits: bool = False  # of masks
    matrices: bool = False  # count confusion matrices, rather than tp, fp, fn, tn of each class
    per_image: bool = False  # keep a row for every image, rather than only for those that have an id

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the counts of an image."""
        return (self.num_classes + 1, self.num_classes) if self.matrices else (self.num_classes, COUNTS)

    @property
    def has_label_maps(self) -> bool:
        """Whether targets are labels, rather than masks."""
        return self.task == "multiclass"

    def prepare(self, preds: Tensor, target: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """The inputs in the form that is counted; raises a ``ValueError`` unless the task takes the form they have."""
        inputs.check_tensors(preds, target, device)
        if self.has_label_maps:
            inputs.check_label_maps(preds, target, self.num_classes)
        else:
            inputs.check_masks(preds, target, self.num_classes if self.task == "multilabel" else None)
        return preds, target

    def count(self, preds: Tensor, target: Tensor, *, per_image: bool) -> Counted:
        """The counts of prepared inputs: (B, ...), or (...) if not ``per_image``."""
        if self.has_label_maps:
            found = count_labels(preds, target, self.num_classes, self.ignore_index, per_image=per_image)
            return Counted(found.confusion if self.matrices else counts_of(found.confusion), found.invalid)
        if self.task == "binary":
            preds, target = preds[:, None], target[:, None]  # (B, 1, ...)
        counts, invalid = count_masks(preds, target, self.ignore_index, self.cut, self.bounds)
        return Counted(counts if per_image else counts.sum(dim=0), invalid)

    def num_dims(self, target: Tensor) -> int:
        """The number of dimensions of an image, from a prepared target."""
        return target.ndim - 1 - (self.task == "multilabel")

    def pooled(self, by_image: Tensor) -> Tensor:
        """The counts of several images (B, ...) together, (...)."""
        return by_image.sum(dim=0)

    def explain(self, preds: Tensor, target: Tensor) -> None:
        """Raise a ``ValueError`` that names the first invalid value, if there is one."""
        num_labels = self.num_classes if self.has_label_maps else 2
        masks = not self.has_label_maps
        inputs.check_label_values("target", target, num_labels, self.ignore_index, masks)
        if self.has_label_maps and preds.ndim > target.ndim:
            inputs.check_scores(preds, -math.inf, math.inf)
        elif not self.has_label_maps and preds.is_floating_point():
            inputs.check_scores(preds, *self.bounds)
        else:
            inputs.check_not_one_hot(preds, target, num_labels)
            inputs.check_label_values("preds", preds, num_labels, (), masks)

    @property
    def cut(self) -> float:
        """The score from which on a pixel counts as 1: the threshold, or its logit."""
        if not self.from_logits:
            return self.threshold
        if self.threshold in (0, 1):
            return math.inf if self.threshold else -math.inf
        return math.log(self.threshold) - math.log1p(-self.threshold)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest valid score."""
        return (-math.inf, math.inf) if self.from_logits else (0.0, 1.0)
