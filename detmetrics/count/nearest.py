"""Exact distances from the points of one set to the nearest of another, on a grid with a spacing.

No distance map of an image is needed, only distances at some points. Three ways give the same bits, as all of them add
the squares of the axes in their order:

- along the lines of the grid, by sorting: upper bounds for all queries, in no time;
- pairs: a query against all points, for the few that are far from everything (a stray pixel);
- a grid: of the window that the bounds of the other queries leave, along one axis after the other. The nearest point
  is no further along any axis than the bound, so that few shifts are enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from detmetrics.ragged import invert

BUDGET = 1 << 24  # numbers in a temporary of float64; a window that has more is divided
CACHED = 1 << 17  # numbers that are worked on at a time on a CPU
FAR = 1 << 30  # steps to a point that is not there
# What one number costs on each way, relative to another: shifts and lookups of the grid, and differences of pairs.
SHIFT, LOOKUP, PAIR = 4, 4, 0.6
SCAN, BLOCK = 30, 15
SAMPLES = 1 << 18  # pairs that upper bounds may take
SIDE = 32  # of a block of queries


def nearest_squared(queries: Tensor, points: Tensor, spacing: Sequence[float]) -> Tensor:
    """The squared distance from each query to the nearest point.

    Args:
        queries: ``(n, d)`` int64 indices into a grid.
        points: ``(m, d)`` int64 indices, distinct; m > 0.
        spacing: The distance of neighbours along each of the d axes.

    Returns:
        ``(n,)`` float64: the smallest sum of ``(spacing * steps) ** 2`` over the axes, added in their order.

    Example:
        >>> nearest_squared(torch.tensor([[0, 0], [2, 3]]), torch.tensor([[1, 0], [9, 9]]), [2.0, 0.5]).tolist()
        [4.0, 6.25]
    """
    if not len(queries):
        return torch.zeros(0, dtype=torch.float64, device=queries.device)
    bound, order = upper_bounds(queries, points, spacing).sort(descending=True)
    queries = queries[order]
    num_far = _num_far(bound, queries, points, spacing)
    far = by_pairs(queries[:num_far], points, spacing)
    near = by_grid(queries[num_far:], points, bound[num_far:], spacing)
    return torch.cat([far, near])[invert(order)]


def upper_bounds(queries: Tensor, points: Tensor, spacing: Sequence[float]) -> Tensor:
    """Upper bounds of the squared distances, ``(n,)``: those on lines, where there are none those to some points."""
    bound = line_bounds(queries, points, spacing)
    lost = bound.isinf().nonzero().squeeze(1)
    every = max(math.ceil(len(points) * len(lost) / SAMPLES), 1)
    bound[lost] = _pairs(queries[lost], points[::every], spacing)
    return bound


def square_roots(squares: Tensor) -> Tensor:
    """The square roots of float64, rounded to nearest on every device and for any number of threads.

    On a CPU ``torch.sqrt`` may be one unit in the last place off, and where depends on how work is divided. One step of
    Newton with an exact remainder mends it: the upper half of a root and the lower one have exact products.

    Example:
        >>> square_roots(torch.tensor([0.0, 2.25, 19.0, float("inf")], dtype=torch.float64)).tolist()
        [0.0, 1.5, 4.358898943540674, inf]
    """
    root = squares.sqrt()
    upper = root.float().double()
    lower = root - upper
    remainder = ((squares - upper * upper) - 2 * upper * lower) - lower * lower
    return torch.where((root > 0) & root.isfinite(), root + remainder / (2 * root), root)


def line_bounds(queries: Tensor, points: Tensor, spacing: Sequence[float]) -> Tensor:
    """The squared distance to the nearest point among those on the lines of the grid through a query, ``(n,)``.

    Infinite where no line through the query meets a point.
    """
    low = torch.minimum(queries.amin(0), points.amin(0))
    size = (torch.maximum(queries.amax(0), points.amax(0)) - low + 1).tolist()
    dtype = torch.int32 if math.prod(size) < 1 << 31 else torch.int64
    queries, points = (queries - low).to(dtype), (points - low).to(dtype)
    steps = queries.new_full((len(size), len(queries)), FAR)
    for axis, length in enumerate(size):
        known, asked = (_on_lines(x, size, axis) for x in (points, queries))
        known = known.sort().values
        at = torch.searchsorted(known, asked)
        for side in (at.clamp(max=len(known) - 1), (at - 1).clamp(min=0)):
            found = known[side]
            on_line = found // length == asked // length
            steps[axis] = torch.minimum(steps[axis], torch.where(on_line, (found - asked).abs(), FAR))
    return torch.stack([_squares(steps[axis], s) for axis, s in enumerate(spacing)]).amin(0)


def _on_lines(points: Tensor, size: Sequence[int], axis: int) -> Tensor:
    """Points (n, d) as numbers (n,) that go on along one axis."""
    number = torch.zeros_like(points[:, 0])
    for other in [*(a for a in range(len(size)) if a != axis), axis]:
        number = number * size[other] + points[:, other]
    return number


def _squares(steps: Tensor, spacing: float) -> Tensor:
    """Squared distances of steps along an axis, float64; infinite for those to nowhere."""
    squares = (steps.double() * spacing).square_()
    return squares.masked_fill_(steps >= FAR // 2, math.inf)


def _num_far(bound: Tensor, queries: Tensor, points: Tensor, spacing: Sequence[float]) -> int:
    """How many of the queries, which come by descending bound, cost less as pairs than in the grid."""
    low, high = torch.minimum(queries.amin(0), points.amin(0)), torch.maximum(queries.amax(0), points.amax(0))
    size = (high - low + 1).tolist()
    steps = [(bound.sqrt() / s).clamp(max=length) for s, length in zip(spacing, size, strict=True)]  # (n,) each
    shifts = torch.stack(steps[1:-1]).sum(0) if len(size) > 2 else 0.0
    far = torch.arange(len(bound) + 1, device=bound.device)
    pairs = len(points) * (far * (PAIR * len(size)) + far.clamp(max=2 ** len(size)) * BLOCK)
    grid = math.prod(size) * (SCAN + SHIFT * shifts) + (len(bound) - far[:-1]) * LOOKUP * (2 * steps[-1] + 1)
    return int((pairs + torch.cat([grid, grid.new_zeros(1)])).argmin())


def by_pairs(queries: Tensor, points: Tensor, spacing: Sequence[float]) -> Tensor:
    """:func:`nearest_squared` from pairs: block by block of the queries, with the points that are near enough to it.

    A point is near enough unless it is further from the box around a block than another is from all of the box.
    """
    found = queries.new_zeros(len(queries), dtype=torch.float64)
    if not len(queries):
        return found
    cell = _on_lines(queries // SIDE, (queries.amax(0) // SIDE + 1).tolist(), queries.shape[1] - 1)
    _, cell, count = cell.unique(return_inverse=True, return_counts=True)
    for block in cell.argsort(stable=True).split(count.tolist()):
        own = queries[block]
        low, high = own.amin(0), own.amax(0)
        below, above = low - points, points - high  # (m, d)
        least = _total((torch.maximum(below, above).clamp_(min=0)).unbind(1), spacing)
        most = _total((high - points).abs().maximum((points - low).abs()).unbind(1), spacing)
        found[block] = _pairs(own, points[least <= most.min()], spacing)
    return found


def _pairs(queries: Tensor, points: Tensor, spacing: Sequence[float]) -> Tensor:
    """The smallest squared distance of each query (n, d) to the points (m, d), (n,), within a budget."""
    queries, points = queries.double(), points.double()
    found = [queries.new_zeros(0)]
    for block in queries.split(max(BUDGET // 64 // len(points), 1)) if len(queries) else ():
        steps = (block[:, axis, None] - points[:, axis] for axis in range(len(spacing)))  # (n, m) each
        found.append(_total(steps, spacing).amin(1))
    return torch.cat(found)


def _total(steps: Iterable[Tensor], spacing: Sequence[float]) -> Tensor:
    """The sum over the axes of squared distances, in their order."""
    squares = (
        (along.double() if s == 1 else along.double() * s).square() for along, s in zip(steps, spacing, strict=True)
    )
    total = next(squares)
    for more in squares:
        total += more
    return total


def by_grid(queries: Tensor, points: Tensor, bound: Tensor, spacing: Sequence[float]) -> Tensor:
    """:func:`nearest_squared` in the window that upper bounds leave, ``(n,)``, in descending order of the bounds.

    A window above the budget is halved along its longest axis, if the bounds make the halves smaller.
    """
    if not len(queries):
        return bound
    low, high = torch.minimum(queries.amin(0), points.amin(0)), torch.maximum(queries.amax(0), points.amax(0))
    reach = _reach(float(bound[0]), (high - low + 1).tolist(), spacing)
    margin = torch.tensor(reach, device=queries.device)
    low, high = torch.maximum(queries.amin(0) - margin, low), torch.minimum(queries.amax(0) + margin, high)
    size = (high - low + 1).tolist()
    longest = max(range(len(size)), key=lambda axis: size[axis])
    first = queries[:, longest]
    middle = (int(first.min()) + int(first.max())) // 2
    if math.prod(size) > BUDGET and size[longest] > 4 * reach[longest] and bool((first > middle).any()):
        return _by_halves(first <= middle, queries, points, bound, spacing)
    inside = ((points >= low) & (points <= high)).all(dim=1)
    field = _field(points[inside] - low, size, reach, spacing)
    return _lookup(field, queries - low, bound, spacing[-1])


def _by_halves(left: Tensor, queries: Tensor, points: Tensor, bound: Tensor, spacing: Sequence[float]) -> Tensor:
    found = torch.empty_like(bound)
    for half in (left, ~left):
        found[half] = by_grid(queries[half], points, bound[half], spacing)
    return found


def _reach(bound: float, size: Sequence[int], spacing: Sequence[float]) -> list[int]:
    """How many steps along each axis a distance can go, one more than that at least, and no more than there are."""
    distance = math.sqrt(bound)
    return [
        length if distance >= s * length else int(distance / s) + 1 for s, length in zip(spacing, size, strict=True)
    ]


def _field(points: Tensor, size: Sequence[int], reach: Sequence[int], spacing: Sequence[float]) -> Tensor:
    """The squared distance from everywhere to the nearest point that is apart along all axes but the last."""
    occupied = torch.zeros(list(size), dtype=torch.bool, device=points.device)
    occupied[points.unbind(1)] = True
    if len(size) == 1:
        return torch.zeros(size, dtype=torch.float64, device=points.device).masked_fill_(~occupied, math.inf)
    field = _steps_along_first(occupied).mul_(spacing[0]).square_()
    for axis in range(1, len(size) - 1):
        field = _spread(field.transpose(0, axis).contiguous(), reach[axis], spacing[axis]).transpose(0, axis)
    return field.contiguous()


def _steps_along_first(occupied: Tensor) -> Tensor:
    """The number of steps along the first axis to the nearest point, float64, by doubling."""
    length = len(occupied)
    dtype, far = (torch.int16, 1 << 14) if length < 1 << 13 else (torch.int32, FAR)  # narrow integers are fast
    index = torch.arange(length, dtype=dtype, device=occupied.device).view(-1, *[1] * (occupied.ndim - 1))
    before, after = index.where(occupied, -far), index.where(occupied, far)
    step = 1
    while step < length:
        before = torch.cat([before[:step], torch.maximum(before[step:], before[:-step])])
        after = torch.cat([torch.minimum(after[:-step], after[step:]), after[-step:]])
        step *= 2
    steps = torch.minimum(index - before, after - index)
    return steps.double().masked_fill_(steps >= far // 2, math.inf)


def _spread(field: Tensor, reach: int, spacing: float) -> Tensor:
    """The least of a field and what is some steps away along the first axis, farther by the square of those."""
    columns = field.flatten(1)
    width = max(CACHED // len(field), 1) if field.device.type == "cpu" else columns.shape[1]
    return torch.cat([_spread_columns(part, reach, spacing) for part in columns.split(width, dim=1)], 1).view(
        field.shape
    )


def _spread_columns(columns: Tensor, reach: int, spacing: float) -> Tensor:
    columns = columns.contiguous()
    nearest, away = columns.clone(), torch.empty_like(columns)
    for step in range(1, min(reach, len(columns) - 1) + 1):
        torch.add(columns, (step * spacing) ** 2, out=away)
        torch.minimum(nearest[step:], away[:-step], out=nearest[step:])
        torch.minimum(nearest[:-step], away[step:], out=nearest[:-step])
    return nearest


def _lookup(field: Tensor, queries: Tensor, bound: Tensor, spacing: float) -> Tensor:
    """The least of a field along the last axis, as far as the bounds of the queries go, which descend."""
    length = field.shape[-1]
    at = _on_lines(queries, field.shape, queries.shape[1] - 1)
    lines, flat, found = queries[:, -1], field.flatten(), []
    start = 0
    while start < len(queries):
        reach = _reach(float(bound[start]), [length], [spacing])[0]
        end = start + max((CACHED if field.device.type == "cpu" else BUDGET // 4) // (2 * reach + 1), 256)
        shift = torch.arange(-reach, reach + 1, device=field.device)
        place = lines[start:end, None] + shift  # (n, 2 reach + 1)
        value = flat[(at[start:end, None] + shift).clamp_(0, len(flat) - 1)] + (shift.double() * spacing).square()
        found.append(value.masked_fill_((place < 0) | (place >= length), math.inf).amin(1))
        start = end
    return torch.cat(found)
