"""How masks become statistics of their surfaces: a row of them per image, a ratio per class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics.count.surfaces import SurfaceDistances, has_pixels, surface_distances, surface_of
from detmetrics.reduce.averages import ordered_sum
from detmetrics.segmentation.counting import Counted, Counting
from detmetrics.segmentation.planes import Planes

DEFINITIONS = ("deepmind", "monai", "medpy")
EMPTY = ("inf", "nan", "diagonal")
AREA_BITS = 31  # of the largest area in an image, so that sums of areas are exact and the same on every device
SUPPORT, NUMERATOR, DENOMINATOR = range(3)  # columns: pixels of the target, then the bits of two float64
Ratio = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class SurfaceCounting(Counting):
    """Measures the surfaces of each image and class: a numerator and a denominator, whose ratio is the score."""

    definition: str = DEFINITIONS[0]
    spacing: Any = None  # a number, a number for each axis, or None
    per_image: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the statistics of an image."""
        return (self.num_classes, 3)

    def prepare(self, preds: Tensor, target: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """The inputs in the form that is counted, if they have as many dimensions as the definition and the spacing."""
        preds, target = super().prepare(preds, target, device)
        dims = self.num_dims(target)
        if self.definition == "deepmind" and dims not in (2, 3):
            raise ValueError(
                f"target: expected images of 2 or 3 dimensions with definition='deepmind', got {dims}; "
                "definition='monai' takes any number"
            )
        if dims == 0:
            raise ValueError("target: expected images of a dimension or more, got none")
        if isinstance(self.spacing, tuple) and len(self.spacing) != dims:
            raise ValueError(f"spacing: expected {dims} numbers for images of {dims} dimensions, got {self.spacing}")
        return preds, target

    def count(self, preds: Tensor, target: Tensor, *, per_image: bool) -> Counted:
        """The statistics of prepared inputs, (B, C, 3) int64. Classes without a pixel are not looked at."""
        counts, invalid = super().count(preds, target, per_image=True)
        support, predicted = counts[..., 0] + counts[..., 2], counts[..., 0] + counts[..., 1]  # (B, C) each
        planes = Planes.of(self, preds, target)
        ratios = torch.zeros((*support.shape, 2), dtype=torch.float64, device=target.device)
        for image, label in (support + predicted).nonzero().tolist():
            ratios[image, label] = self._measure(*planes.masks(image, label), label)
        return Counted(torch.cat([support[..., None], ratios.view(torch.int64)], dim=-1), invalid)

    def _spacing(self, dims: int) -> tuple[float, ...]:
        if isinstance(self.spacing, tuple):
            return self.spacing
        return (1.0 if self.spacing is None else self.spacing,) * dims

    def _measure(self, preds: Tensor, target: Tensor, label: int) -> Tensor:
        """The numerator and the denominator of a class in an image, (2,)."""
        spacing, with_areas = self._spacing(preds.ndim), self.definition == "deepmind"
        if has_pixels(preds, target):
            distances = surface_distances(preds, target, spacing, with_areas=with_areas)
            return torch.stack(self.ratio(distances, label))
        area = ordered_sum(surface_of(preds | target, spacing, with_areas=with_areas).areas)
        diagonal = math.hypot(*(length * s for length, s in zip(preds.shape, spacing, strict=True)))
        return torch.stack(self.missed(area, diagonal))

    def ratio(self, distances: SurfaceDistances, label: int) -> Ratio:
        """The numerator and the denominator of a class that has both masks, 0-d."""
        raise NotImplementedError

    def missed(self, area: Tensor, diagonal: float) -> Ratio:
        """The same of a class that has one mask alone.

        Args:
            area: Of the surface of that mask.
            diagonal: The length of the diagonal of the image.
        """
        raise NotImplementedError

    def pooled(self, by_image: Tensor) -> Tensor:
        """The pixels of the targets of all images; what is in bits does not add up."""
        total = torch.zeros_like(by_image[:1]).sum(dim=0)
        total[:, SUPPORT] = by_image[..., SUPPORT].sum(dim=0)
        return total


@dataclass(frozen=True, kw_only=True)
class HausdorffCounting(SurfaceCounting):
    """The Hausdorff distance of each image and class."""

    percentile: float | None = None
    directed: bool = False
    empty: str = EMPTY[0]

    def ratio(self, distances: SurfaceDistances, label: int) -> Ratio:
        """The distance and 1."""
        share = 1.0 if self.percentile is None else self.percentile / 100
        values, areas = (sides[: 1 if self.directed else 2] for sides in (distances[:2], distances[2:]))
        if self.definition == "deepmind":
            sides = [weighted_quantile(*side, share) for side in zip(values, areas, strict=True)]
        elif self.definition == "monai":
            sides = [quantile(side, share) for side in values]
        else:
            sides = [quantile(torch.cat(values), share)]
        return torch.stack(sides).amax(), torch.ones_like(sides[0])

    def missed(self, area: Tensor, diagonal: float) -> Ratio:
        """What stands for the distance."""
        return distance_of_nothing(self.empty, torch.ones_like(area), diagonal)


@dataclass(frozen=True, kw_only=True)
class SurfaceDiceCounting(SurfaceCounting):
    """The area of the surfaces that are within the tolerance of the other one, and all of it."""

    tolerance: Any = 1.0  # a number, or one for each class

    def ratio(self, distances: SurfaceDistances, label: int) -> Ratio:
        """Area within the tolerance, and area."""
        tolerance = self.tolerance[label] if isinstance(self.tolerance, tuple) else self.tolerance
        areas = torch.cat(distances[2:])
        return ordered_sum(areas * (torch.cat(distances[:2]) <= tolerance)), ordered_sum(areas)

    def missed(self, area: Tensor, diagonal: float) -> Ratio:
        """Nothing is near."""
        return torch.zeros_like(area), area


@dataclass(frozen=True, kw_only=True)
class AverageDistanceCounting(SurfaceCounting):
    """The sum of distances, weighted by areas, and that of areas."""

    symmetric: bool = True
    empty: str = EMPTY[0]

    def ratio(self, distances: SurfaceDistances, label: int) -> Ratio:
        """Distance times area, and area."""
        if self.symmetric:
            values, areas = torch.cat(distances[:2]), torch.cat(distances[2:])
        else:
            values, areas = distances.preds, distances.preds_areas
        return ordered_sum(values * areas), ordered_sum(areas)

    def missed(self, area: Tensor, diagonal: float) -> Ratio:
        """What stands for the distance, over all of the surface."""
        return distance_of_nothing(self.empty, area, diagonal)


def distance_of_nothing(empty: str, weight: Tensor, diagonal: float) -> Ratio:
    """The distance to a mask without a pixel, times a weight, and that weight; 0 and 0 where it is undefined."""
    if empty == "nan":
        return torch.zeros_like(weight), torch.zeros_like(weight)
    return weight * (math.inf if empty == "inf" else diagonal), weight


def weighted_quantile(values: Tensor, areas: Tensor, share: float) -> Tensor:
    """The least value up to which the areas are a share of their sum, 0-d."""
    values, order = values.sort(stable=True)
    whole = (areas / areas.max() * (1 << AREA_BITS)).round().long()[order].cumsum(0)
    at = torch.searchsorted(whole.double() / whole[-1].double(), share)
    return values[at.clamp(max=len(values) - 1)]


def quantile(values: Tensor, share: float) -> Tensor:
    """The quantile of values, interpolated between neighbours as ``numpy.percentile`` does by default, 0-d."""
    values = values.sort().values
    rank = share * (len(values) - 1)
    low = min(int(rank), len(values) - 1)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (rank - low)
