"""Keypoints and the lines between them, as paths of SVG."""

from __future__ import annotations

from collections.abc import Sequence

DOT = 0.015  # radius of a keypoint as a share of the longer side of its box


def pose_path(points: Sequence[Sequence[float]], skeleton: Sequence[tuple[int, int]], box: Sequence[float]) -> str:
    """A dot for each keypoint and the lines of a skeleton between those that are there.

    Args:
        points: x, y and whether it is there (above 0), K times; one at the origin is none.
        skeleton: Pairs of keypoints, counted from 0.
        box: x, y, width, height; large boxes have large dots.

    Example:
        >>> path = pose_path([[1, 2, 1], [5, 6, 2], [7, 8, 0]], [(0, 1), (1, 2)], [0, 0, 40, 100])
        >>> path.startswith("M1.00 2.00L5.00 6.00M"), path.count("M")  # a line, and two dots
        (True, 3)
    """
    there = {i: (x, y) for i, (x, y, seen) in enumerate(points) if seen > 0 and (x, y) != (0, 0)}
    lines = [
        "M{:.2f} {:.2f}L{:.2f} {:.2f}".format(*there[start], *there[end])
        for start, end in skeleton
        if start in there and end in there
    ]
    radius = max(box[2:]) * DOT
    arcs = f"a{radius:.2f} {radius:.2f} 0 1 0 {2 * radius:.2f} 0a{radius:.2f} {radius:.2f} 0 1 0 {-2 * radius:.2f} 0"
    return "".join([*lines, *(f"M{x - radius:.2f} {y:.2f}{arcs}" for x, y in there.values())])
