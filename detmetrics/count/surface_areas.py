"""The area of the surface within a cell whose corners are voxels, from which of the corners are inside.

The surface is that of marching cubes: its vertices are the middles of the edges that leave the mask, and 13 cases, of
two dimensions 3, make all others by mirroring, turning and exchanging inside and outside.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

Normal = tuple[int, ...]  # of a triangle or line, as long as its area, in eighths of a cell

# Code of a case to its triangles. The first corner in raster order is the highest bit of a code.
LINES: dict[int, tuple[Normal, ...]] = {0b0001: ((4, 4),), 0b0011: ((8, 0),), 0b0110: ((4, 4), (4, 4))}
TRIANGLES: dict[int, tuple[Normal, ...]] = {
    0b00000001: ((1, 1, 1),),
    0b00000011: ((2, 2, 0), (2, 2, 0)),
    0b00000110: ((1, 1, 1), (1, 1, 1)),
    0b00000111: ((1, 1, 1), (2, 2, 2), (4, 0, 0)),
    0b00001111: ((4, 0, 0), (4, 0, 0)),
    0b00010110: ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    0b00010111: ((1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)),
    0b00011000: ((1, 1, 1), (1, 1, 1)),
    0b00011001: ((1, 1, 1), (0, 2, 2), (0, 2, 2)),
    0b00011011: ((1, 1, 1), (3, 3, 3), (0, 2, 2), (2, 0, 2)),
    0b00011110: ((1, 1, 1), (1, 1, 1), (2, 2, 2), (4, 0, 0)),
    0b00111100: ((2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)),
    0b01101001: ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
}
CASES = {2: LINES, 3: TRIANGLES}


@functools.lru_cache(maxsize=64)
def area_table(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """The area for each code of the corners of a cell: 16 lengths in two dimensions, 256 areas in three.

    Args:
        spacing: The sides of a cell.

    Source: the lookup tables of DeepMind's ``surface-distance``, whose values these are.

    Example:
        >>> [round(length, 3) for length in area_table((3.0, 5.0))[:4]]
        [0.0, 2.915, 2.915, 5.0]
    """
    table = [0.0] * (1 << (1 << len(spacing)))
    for code, normals in CASES[len(spacing)].items():
        for turned, exchanged in _symmetries(len(spacing)):
            same = _turned(code, turned, exchanged)
            area = sum(_area([normal[axis] for axis in exchanged], spacing) for normal in normals)
            table[same] = table[len(table) - 1 - same] = area
    return tuple(table)


def _area(normal: Sequence[int], spacing: Sequence[float]) -> float:
    """The length of a normal after the sides are scaled: each part of it is a product of the other sides."""
    cell = math.prod(spacing)
    return math.sqrt(sum((part / 8 * (cell / s)) ** 2 for part, s in zip(normal, spacing, strict=True)))


def _symmetries(dims: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Which axes are mirrored (0 or 1 each), and the order that the axes get."""
    mirrored = itertools.product((0, 1), repeat=dims)
    return list(itertools.product(mirrored, itertools.permutations(range(dims))))


def _turned(code: int, mirrored: Sequence[int], exchanged: Sequence[int]) -> int:
    corners = list(itertools.product((0, 1), repeat=len(mirrored)))
    inside = [corner for bit, corner in enumerate(reversed(corners)) if code >> bit & 1]
    moved = {tuple(corner[axis] ^ m for axis, m in zip(exchanged, mirrored, strict=True)) for corner in inside}
    return sum(1 << bit for bit, corner in enumerate(reversed(corners)) if corner in moved)
