"""Nearest points on a grid against all pairs, whichever way they are found."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from detmetrics.count import nearest
from detmetrics.count.nearest import by_grid, by_pairs, line_bounds, nearest_squared, square_roots, upper_bounds


def slow(queries: Tensor, points: Tensor, spacing: Sequence[float]) -> list[float]:
    """Every query against every point, in Python."""
    found = []
    for query in queries.tolist():
        squares = [
            list(itertools.accumulate((s * abs(q - p)) ** 2 for s, q, p in zip(spacing, query, point, strict=True)))[-1]
            for point in points.tolist()
        ]
        found.append(min(squares))
    return found


def random_points(seed: int) -> tuple[Tensor, Tensor, list[float]]:
    generator = torch.Generator().manual_seed(seed)
    dims = int(torch.randint(1, 5, (1,), generator=generator))
    size = torch.randint(1, 8, (dims,), generator=generator).tolist()
    share = [0.02, 0.2, 0.8][seed % 3]
    sets = [(torch.rand(size, generator=generator) < share).nonzero() for _ in range(2)]
    if not len(sets[1]):
        sets[1] = torch.zeros(1, dims, dtype=torch.int64)
    spacing = [[1.0, 0.5, 2.3, 0.7][int(i)] for i in torch.randint(0, 4, (dims,), generator=generator)]
    return sets[0], sets[1], spacing


@pytest.mark.parametrize("seed", range(60))
def test_every_way_gives_the_bits_of_all_pairs(seed: int) -> None:
    queries, points, spacing = random_points(seed)
    expected = torch.tensor(slow(queries, points, spacing), dtype=torch.float64)
    assert torch.equal(nearest_squared(queries, points, spacing), expected)
    assert torch.equal(by_pairs(queries, points, spacing), expected)
    bound, order = upper_bounds(queries, points, spacing).sort(descending=True) if len(queries) else (expected, [])
    assert torch.equal(by_grid(queries[order], points, bound, spacing), expected[order])
    nowhere = torch.full_like(expected, math.inf)
    assert torch.equal(by_grid(queries, points, nowhere, spacing), expected)


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_bounds_are_bounds(seed: int) -> None:
    queries, points, spacing = random_points(seed)
    if len(queries):
        expected = torch.tensor(slow(queries, points, spacing), dtype=torch.float64)
        for bound in (line_bounds(queries, points, spacing), upper_bounds(queries, points, spacing)):
            assert bool((bound >= expected).all())


@pytest.mark.parametrize("budget", [64, 1 << 10, 1 << 24])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_budget_changes_no_bit(budget: int, dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(dims)
    size = [200, 20] if dims == 2 else [60, 10, 8]
    points = (torch.rand(size, generator=generator) < 0.1).nonzero()
    queries = (torch.rand(size, generator=generator) < 0.05).nonzero()
    queries = torch.cat([queries, torch.full((1, dims), 90)])  # a stray one
    expected = torch.tensor(slow(queries, points, [0.7] * dims), dtype=torch.float64)
    monkeypatch.setattr(nearest, "BUDGET", budget)
    assert torch.equal(nearest_squared(queries, points, [0.7] * dims), expected)


def test_square_roots_are_rounded_to_nearest() -> None:
    whole = torch.arange(200_000, dtype=torch.float64)
    values = torch.cat([whole, whole * 0.49 + 1e-9, torch.tensor([0.0, 1e-12, math.inf], dtype=torch.float64)])
    assert square_roots(values).tolist() == [math.sqrt(value) for value in values.tolist()]
