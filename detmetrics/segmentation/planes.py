"""The masks of single classes: where an image has a class, in the prediction and in the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detmetrics.count.label_codes import as_integers, encode_scores
from detmetrics.segmentation.counting import Counting


class Planes:
    """Masks ``(...)`` by image and class, from inputs in any form.

    Pixels that the target ignores are in no mask.

    Args:
        preds: Labels ``(B, ...)`` or scores ``(B, C, ...)`` of label maps; masks or scores ``(B, C, ...)`` of masks.
        target: Labels ``(B, ...)`` of label maps; masks ``(B, C, ...)``.
        ignored: Values of the target that are ignored.
        cut: Scores of masks from which on a pixel is inside; None for label maps.
    """

    def __init__(self, preds: Tensor, target: Tensor, ignored: Sequence[int], cut: float | None) -> None:
        self.has_label_maps = cut is None
        self.target = target if target.is_floating_point() else as_integers(target)
        self.kept = None
        for value in ignored:
            others = self.target != value
            self.kept = others if self.kept is None else self.kept & others
        if cut is None and preds.ndim > target.ndim:
            self.preds = encode_scores(preds.flatten(2), torch.int32).view(target.shape)
        elif cut is not None and preds.is_floating_point():
            self.preds = (preds >= cut).view(torch.uint8)
        else:
            self.preds = preds if preds.is_floating_point() else as_integers(preds)

    @classmethod
    def of(cls, counting: Counting, preds: Tensor, target: Tensor) -> Planes:
        """The masks of inputs that ``counting`` has prepared; those of binary inputs are one class."""
        if counting.task == "binary":
            preds, target = preds[:, None], target[:, None]  # (B, 1, ...)
        return cls(preds, target, counting.ignore_index, None if counting.has_label_maps else counting.cut)

    def masks(self, image: int, label: int) -> tuple[Tensor, Tensor]:
        """The masks of a class in an image, bool: the predicted one and that of the target."""
        place = (image,) if self.has_label_maps else (image, label)
        wanted = label if self.has_label_maps else 1
        preds, target = self.preds[place] == wanted, self.target[place] == wanted
        if self.kept is not None:
            kept = self.kept[place]
            preds, target = preds & kept, target & kept
        return preds, target

    def label_maps(self, num_classes: int) -> tuple[Tensor, Tensor]:
        """Labels of the prediction and of the target with ``num_classes`` for none of them, (N, ...) int32 each.

        Of label maps N is B, and ignored pixels have none of the classes. Of masks, each is a map of one class.
        """
        if self.has_label_maps:
            maps = self.preds.int(), self.target.int()
        else:
            maps = (self.preds != 1).int().flatten(0, 1), (self.target != 1).int().flatten(0, 1)
        if self.kept is None:
            return maps
        kept = self.kept.view(maps[0].shape)
        none = num_classes if self.has_label_maps else 1
        return maps[0].where(kept, none), maps[1].where(kept, none)
