"""Surfaces of masks, and the distances between two of them.

A surface is a set of elements at points of a grid, each with an area. Outside of an image there is no mask, so that a
mask that touches the border has a surface there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from detmetrics.count.nearest import nearest_squared, square_roots
from detmetrics.count.surface_areas import area_table


class Surface(NamedTuple):
    """The elements of a surface, in raster order."""

    points: Tensor  # (n, d) int64 indices into the grid
    areas: Tensor  # (n,) float64


class SurfaceDistances(NamedTuple):
    """How far each element of a surface is from the other surface, and its area."""

    preds: Tensor  # (n,) float64: from elements of the prediction to the target
    target: Tensor  # (m,) float64: from elements of the target to the prediction
    preds_areas: Tensor  # (n,) float64
    target_areas: Tensor  # (m,) float64


def surface_distances(
    preds: Tensor, target: Tensor, spacing: Sequence[float], *, with_areas: bool = False
) -> SurfaceDistances:
    """The distances between the surfaces of two masks, neither of them empty.

    Args:
        preds: ``(...)`` bool of d dimensions.
        target: The same.
        spacing: The distance of neighbouring pixels along each of the d axes.
        with_areas: Whether elements are where cells of 2 x 2 or 2 x 2 x 2 pixels are partly inside, with the area of
            the surface there. Else they are the pixels of the mask that are next to one outside of it, all alike.

    Example:
        >>> a, b = torch.zeros(2, 1, 9, dtype=torch.bool)
        >>> a[0, 2:4], b[0, 2:8] = True, True
        >>> surface_distances(a, b, [1.0, 0.5]).target.tolist()
        [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]
    """
    box = bounding_box(preds | target)
    first, second = (surface_of(mask[box], spacing, with_areas=with_areas) for mask in (preds, target))
    return SurfaceDistances(
        square_roots(nearest_squared(first.points, second.points, spacing)),
        square_roots(nearest_squared(second.points, first.points, spacing)),
        first.areas,
        second.areas,
    )


def surface_of(mask: Tensor, spacing: Sequence[float], *, with_areas: bool = False) -> Surface:
    """The surface of a mask ``(...)``; see :func:`surface_distances`."""
    return corner_surface(mask, spacing) if with_areas else pixel_surface(mask)


def has_pixels(*masks: Tensor) -> bool:
    """Whether each of some masks has a pixel; reads the device. As uint8 they are reduced faster than as bool."""
    return all(mask.numel() and bool(mask.view(torch.uint8).amax()) for mask in masks)


def bounding_box(mask: Tensor) -> tuple[slice, ...]:
    """The smallest box with all of a mask, which is not empty; reads the device once."""
    bounds = []
    pixels = mask.view(torch.uint8)  # in which reductions are fast
    for axis, length in enumerate(mask.shape):
        others = [other for other in range(mask.ndim) if other != axis]
        used = pixels.amax(others) if others else pixels
        bounds += [used.argmax(), length - used.flip(0).argmax()]
    ends = iter(torch.stack(bounds).tolist())
    return tuple(slice(start, next(ends)) for start in ends)


def pixel_surface(mask: Tensor) -> Surface:
    """The pixels of a mask that have a neighbour along an axis outside of it.

    Source: a mask without its ``scipy.ndimage.binary_erosion``, the surface of MedPy and MONAI.
    """
    inner = mask.clone()
    for axis in range(mask.ndim):
        before, after = (torch.zeros_like(mask) for _ in range(2))
        length = mask.shape[axis] - 1
        before.narrow(axis, 1, length).copy_(mask.narrow(axis, 0, length))
        after.narrow(axis, 0, length).copy_(mask.narrow(axis, 1, length))
        inner &= before & after
    points = (mask & ~inner).nonzero()
    return Surface(points, torch.ones(len(points), dtype=torch.float64, device=mask.device))


def corner_surface(mask: Tensor, spacing: Sequence[float]) -> Surface:
    """The corners of pixels around which some are inside and some outside, with the area of marching cubes there.

    Args:
        mask: ``(...)`` bool of two or three dimensions. The grid of corners has one more along each axis.
        spacing: The distance of neighbours along each axis.

    Source: ``compute_surface_distances`` of DeepMind's ``surface-distance``.
    """
    code = pad(mask.to(torch.uint8), [1, 1] * mask.ndim)
    for axis in reversed(range(mask.ndim)):  # the corner that comes first has the higher bits
        length = code.shape[axis] - 1
        bits = 1 << mask.ndim - 1 - axis
        code = code.narrow(axis, 0, length) * (1 << bits) + code.narrow(axis, 1, length)
    partly = (code != 0) & (code != (1 << (1 << mask.ndim)) - 1)
    table = torch.tensor(area_table(tuple(spacing)), dtype=torch.float64, device=mask.device)
    return Surface(partly.nonzero(), table[code[partly].long()])
