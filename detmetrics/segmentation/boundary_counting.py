"""How masks become counts of the pixels at their boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detmetrics.count.pixels import count_labels, counts_of
from detmetrics.count.surfaces import has_pixels, surface_distances, surface_of
from detmetrics.count.trimap import boundary_band
from detmetrics.overlap.boundary import map_boundary
from detmetrics.overlap.run_boundary import boundary_distance
from detmetrics.segmentation.counting import Counted, Counting
from detmetrics.segmentation.planes import Planes


@dataclass(frozen=True, kw_only=True)
class BoundaryBase(Counting):
    """Counts pixels near boundaries, image by image, in place of all pixels."""

    def prepare(self, preds: Tensor, target: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """The inputs in the form that is counted, if images have two dimensions."""
        preds, target = super().prepare(preds, target, device)
        dims = self.num_dims(target)
        if dims != 2:
            raise ValueError(f"target: expected images of 2 dimensions, got {dims}")
        return preds, target

    def count(self, preds: Tensor, target: Tensor, *, per_image: bool) -> Counted:
        """The counts of prepared inputs: (B, C, 4), or (C, 4) if not ``per_image``."""
        found, invalid = super().count(preds, target, per_image=True)
        planes = Planes.of(self, preds, target)
        counts = self.near(planes, found)
        return Counted(counts if per_image else counts.sum(dim=0), invalid)

    def near(self, planes: Planes, counts: Tensor) -> Tensor:
        """The counts of the pixels near boundaries, (B, C, 4) int64, from the masks and the counts of all pixels."""
        raise NotImplementedError

    def of_maps(self, preds: Tensor, target: Tensor, shape: torch.Size) -> Tensor:
        """tp, fp, fn, tn of label maps (N, H, W) in which the label after the last class is none of them."""
        num_classes = self.num_classes if self.has_label_maps else 1
        confusion = count_labels(preds, target, num_classes + 1, per_image=True).confusion
        return counts_of(confusion)[:, :num_classes].reshape(shape)


@dataclass(frozen=True, kw_only=True)
class BoundaryCounting(BoundaryBase):
    """Counts the pixels of each mask that are near its own outline."""

    dilation_ratio: float

    def near(self, planes: Planes, counts: Tensor) -> Tensor:
        """The counts of the boundaries of masks."""
        none = self.num_classes if self.has_label_maps else 1
        sides = []
        for maps in planes.label_maps(self.num_classes):
            at = [map_boundary(labels, dilation_ratio=self.dilation_ratio) for labels in maps]
            sides.append(maps.where(torch.stack(at), none) if at else maps)
        return self.of_maps(sides[0], sides[1], counts.shape)


@dataclass(frozen=True, kw_only=True)
class TrimapCounting(BoundaryBase):
    """Counts all pixels that are near a boundary between classes of the target."""

    width_px: int

    def near(self, planes: Planes, counts: Tensor) -> Tensor:
        """The counts within the band."""
        preds, target = planes.label_maps(self.num_classes)
        kept = None if planes.kept is None else planes.kept.view(target.shape)
        bands = [
            boundary_band(labels, None if kept is None else kept[i], self.width_px) for i, labels in enumerate(target)
        ]
        band = torch.stack(bands) if bands else torch.zeros_like(target, dtype=torch.bool)
        band = band if kept is None else band & kept
        none = self.num_classes if self.has_label_maps else 1
        outside = -1  # ignored, unlike pixels of no class
        found = count_labels(preds, target.where(band, outside), none + 1, (outside,), per_image=True).confusion
        return counts_of(found)[:, : self.num_classes if self.has_label_maps else 1].reshape(counts.shape)


@dataclass(frozen=True, kw_only=True)
class ContourCounting(BoundaryBase):
    """Counts the pixels of two contours that are near the other: hits of the target, misses of both, hits of preds."""

    dilation_ratio: float

    def near(self, planes: Planes, counts: Tensor) -> Tensor:
        """The counts of contours, in the columns of tp, fp, fn, tn: so tp + fn is the contour of the target."""
        found = torch.zeros_like(counts)
        height, width = planes.target.shape[-2:]
        distance = boundary_distance(height, width, self.dilation_ratio)
        support, predicted = counts[..., 0] + counts[..., 2], counts[..., 0] + counts[..., 1]  # (B, C) each
        for image, label in (support + predicted).nonzero().tolist():
            found[image, label] = self._contours(*planes.masks(image, label), distance)
        return found

    def _contours(self, preds: Tensor, target: Tensor, distance: int) -> Tensor:
        if has_pixels(preds, target):
            between = surface_distances(preds, target, (1.0, 1.0))
            near_target, near_preds = between.target <= distance, between.preds <= distance
        else:  # nothing is near
            near_target, near_preds = (
                torch.zeros_like(surface_of(mask, (1.0, 1.0)).areas, dtype=torch.bool) for mask in (target, preds)
            )
        return torch.stack([near_target.sum(), (~near_preds).sum(), (~near_target).sum(), near_preds.sum()])
