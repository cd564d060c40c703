"""Sort keys and runs, against sorting by tuples in plain Python."""

import random

import pytest
import torch

from detmetrics import ragged

HUGE = 2**62


@pytest.fixture(params=[True, False], ids=["reads are free", "reads stall"])
def reads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways of sorting: with keys packed after a look at their ranges, and as on a GPU, without."""
    monkeypatch.setattr(ragged, "reads_are_free", lambda device: request.param)
    return request.param


@pytest.mark.parametrize("bounds", [(0, 3), (-5, 5), (-HUGE, HUGE), (2**31, 2**33)], ids=str)
@pytest.mark.parametrize("num_keys", [1, 2, 3, 4])
def test_lexsort_is_the_stable_sort_by_tuples(reads: bool, bounds: tuple[int, int], num_keys: int) -> None:
    rng = random.Random(0)
    for size in (0, 1, 2, 50):
        values = [rng.randint(*bounds) for _ in range(4)]  # few values, many ties
        keys = [[rng.choice(values) for _ in range(size)] for _ in range(num_keys)]
        expected = sorted(range(size), key=lambda row: tuple(key[row] for key in keys))
        assert ragged.lexsort(*(torch.tensor(key, dtype=torch.int64) for key in keys)).tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 0.25, 1.0, 0.0, -0.0, -1.5, 3e38],  # float32 holds them
        [0.1, 0.2, 0.1, -0.1, 5e-324, -5e-324, 1.7e308, 0.1 + 1e-17, 0.0],  # it does not
        [],
    ],
    ids=["float32", "float64", "empty"],
)
def test_descending_key_orders_as_the_values_do(reads: bool, values: list[float]) -> None:
    keys = ragged.descending_key(torch.tensor(values, dtype=torch.float64)).tolist()
    for a, key_a in zip(values, keys, strict=True):
        for b, key_b in zip(values, keys, strict=True):
            assert (key_a < key_b) == (a > b)
            assert (key_a == key_b) == (a == b)  # so does -0.0 and 0.0


def test_short_keys_are_taken_where_they_suffice() -> None:
    halves = torch.tensor([0.5, 0.75], dtype=torch.float64)
    assert ragged.descending_key(halves).abs().max() < 2**31
    assert ragged.descending_key(halves + 1e-12).abs().max() > 2**31


def test_runs() -> None:
    image, label = torch.tensor([0, 0, 0, 2, 2, 2]), torch.tensor([5, 5, 7, 7, 7, 9])
    starts = ragged.run_starts(image, label)
    assert starts.tolist() == [True, False, True, True, False, True]
    assert ragged.rank_in_run(starts).tolist() == [0, 1, 0, 0, 1, 0]
    assert ragged.rank_in_run(starts[:0]).tolist() == []


def test_ranges_and_owners() -> None:
    counts = torch.tensor([0, 2, 0, 3])
    assert ragged.exclusive_cumsum(counts).tolist() == [0, 0, 2, 2]
    assert ragged.owners(counts, 5).tolist() == [1, 1, 3, 3, 3]
    assert ragged.ranges(torch.tensor([9, 4, 9, 7]), counts, 5).tolist() == [4, 5, 7, 8, 9]


def test_mixing_keeps_distinct_numbers_apart() -> None:
    low, high = torch.arange(-5000, 5000), torch.arange(5000) << 51
    for values in (low, high, torch.cat([low, -high])):
        assert len(ragged.mix(values.unique()).unique()) == len(values.unique())
    assert ragged.mix(torch.tensor([0])).item() == 0xE220A8397B1DCDAF - 2**64  # splitmix64's first number from seed 0


def test_distinct_boxes_have_distinct_hashes() -> None:
    """Small whole numbers, whose float64 bits differ in few high places, and rows that are permutations of others."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.randint(0, 40, (260_000, 4), generator=generator).unique(dim=0)[:200_000]
    assert len(boxes) == 200_000
    for rows in (boxes, boxes.double().view(torch.int64)):
        assert len(ragged.hash_rows(rows).unique()) == 200_000


def test_the_hash_of_a_run_is_that_of_a_multiset_of_whole_rows() -> None:
    rows = torch.tensor([[1, 2], [3, 4], [3, 4], [1, 2], [1, 4], [3, 2], [1, 2], [1, 2]])
    first, reordered, swapped, twice, none = ragged.hash_runs(rows, torch.arange(8) // 2, 5).tolist()
    assert first == reordered
    assert len({first, swapped, twice, none}) == 4
    assert none == 0
