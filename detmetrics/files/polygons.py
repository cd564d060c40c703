"""Polygons of COCO's files: checked before native code sees them, which trusts all that it gets."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

from detmetrics import arguments
from detmetrics.files.json_table import is_number, shown
from detmetrics.overlap.rle import MOST_PIXELS

FEWEST = 6  # numbers of a polygon with pixels: three points
REACH = 10  # how many times the size of the image a point may lie outside of it
LONGEST = 1 << 22  # pixels of an outline; native code takes 80 bytes for each
EXPECTED = 'polygons [[x1, y1, x2, y2, x3, y3, ...], ...] or {"size": [H, W], "counts": ...}'


def check_polygons(polygons: Sequence[Any], height: int, width: int) -> tuple[list[list[float]], int]:
    """The polygons of a mask that have three points or more, and how many have fewer.

    Args:
        polygons: Lists of x and y by turns, in pixels.
        height: That of the image.
        width: That of the image.

    Raises:
        ValueError: if one is no such list, a coordinate is not finite or far outside the image, or none has three
            points. The message begins with the number of the polygon.
    """
    if height * width >= MOST_PIXELS:
        raise ValueError(f"expected an image of fewer than 2**32 pixels, got {height} * {width}")
    if polygons and all(map(is_number, polygons)):
        raise ValueError(f"expected {EXPECTED}, got one list of numbers, {shown(polygons)}: put it into a list")
    kept = [_checked(number, polygon, height, width) for number, polygon in enumerate(polygons)]
    filled = [polygon for polygon in kept if len(polygon) >= FEWEST]
    if not filled:
        raise ValueError(f"expected {EXPECTED}, got {shown(polygons)}, no polygon of three points")
    return filled, len(kept) - len(filled)


def _checked(number: int, polygon: Any, height: int, width: int) -> list[float]:
    points = arguments.plain(polygon)
    if not isinstance(points, list | tuple) or not _are_numbers(points):
        raise ValueError(f"polygon {number}: expected finite numbers [x1, y1, x2, y2, ...], got {shown(points)}")
    if len(points) % 2:
        raise ValueError(f"polygon {number}: expected an x and a y by turns, got {len(points)} numbers")
    length = longest = 0.0
    sides = ("x", points[::2], width), ("y", points[1::2], height)
    for name, values, side in sides:
        least, most = -REACH * side, (1 + REACH) * side
        low, high = (min(values), max(values)) if values else (0, 0)
        if values and not (least <= low and high <= most):
            raise ValueError(
                f"polygon {number}: expected {name} from {least} to {most}, near the image, got {low:g} to {high:g}"
            )
        longest += len(values) * (high - low)
    if longest > LONGEST:  # only then the outline itself may be
        length = sum(_outline(values) for _, values, _ in sides)
    if length > LONGEST:
        raise ValueError(f"polygon {number}: expected an outline of at most {LONGEST} pixels, got {length:.0f}")
    return list(points)


def _are_numbers(points: Sequence[Any]) -> bool:
    """Whether all are finite numbers; looked at one by one only where plain ints and floats are not enough to say."""
    kinds = set(map(type, points))
    with contextlib.suppress(OverflowError):  # of an int that is too large for a float
        # A sum is finite only if all of its terms are.
        if kinds <= {int, float} and math.isfinite(sum(points)) and (int not in kinds or max(map(abs, points)) < 2**63):
            return True
    return all(map(is_number, points))


def _outline(values: Sequence[float]) -> float:
    """How far a coordinate moves on the way around a polygon."""
    return sum(abs(a - b) for a, b in zip(values, [*values[1:], *values[:1]], strict=True))
