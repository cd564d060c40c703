"""Spawned ranks give the bits of one process: whatever the split, the number of ranks and the number of threads.

The scenarios are in ``tests/workers.py``. A world of ranks runs them all once, with ``TORCH_DISTRIBUTED_DEBUG=DETAIL``
set, which turns collectives that do not fit together into errors.
"""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.workers import SEEDS, SHARDS, World, problem_with_ids, problem_without_ids, whole

SIZES = (1, 2, 3, 4, 8)
every_size = pytest.mark.parametrize("size", SIZES)
several_ranks = pytest.mark.parametrize("size", SIZES[1:])


def assert_same_bits(result: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(result) == list(expected)
    for key, value in expected.items():
        assert value.dtype == torch.float64
        assert torch.equal(result[key].nan_to_num(-1), value.nan_to_num(-1)), key


def results(world: World, size: int, name: str) -> list[Any]:
    """What a scenario gave on each rank; there must be as many processes as asked for."""
    ranks = world(size)
    assert len(ranks) == size
    return [rank[name] for rank in ranks]


# ---------------------------------------------------------------------------------------------------- the same bits


@every_size
@pytest.mark.parametrize("shard", SHARDS)
def test_any_split_of_images_with_ids_gives_the_bits_of_one_process(world: World, size: int, shard: str) -> None:
    for rank in results(world, size, "splits"):
        for seed in SEEDS:
            problem = problem_with_ids(seed)
            result, num_images, num_duplicates = rank[shard, seed]
            assert_same_bits(result, whole(problem))
            count = len(problem.preds)
            assert num_images == count
            assert num_duplicates == (-count % size if shard == "padded" else 0)


@every_size
def test_a_slice_has_the_bits_of_its_images_on_one_process(world: World, size: int) -> None:
    for rank in results(world, size, "parts of the images"):
        for part, alone, missing in rank:
            assert_same_bits(part, alone)
            assert missing == 0


@every_size
def test_strided_images_without_ids_give_the_bits_of_one_process(world: World, size: int) -> None:
    for rank in results(world, size, "strided without ids"):
        for seed in SEEDS:
            assert_same_bits(rank[seed], whole(problem_without_ids(seed)))


def test_the_order_of_images_matters_in_these_problems() -> None:
    """Otherwise the tests above would pass without any canonical order."""
    changed = 0
    for seed in SEEDS:
        problem = problem_without_ids(seed)
        first, second = (
            whole(problem),
            whole(type(problem)(problem.preds[::-1], problem.target[::-1], problem.settings)),
        )
        changed += not torch.equal(first["precision"].nan_to_num(-1), second["precision"].nan_to_num(-1))
    assert changed >= len(SEEDS) // 2


@several_ranks
def test_processes_have_other_numbers_of_threads(world: World, size: int) -> None:
    assert set(results(world, size, "threads")) == {1, 2}


@every_size
def test_no_images_on_any_rank_are_undefined_on_all(world: World, size: int) -> None:
    for without_update, without_boxes in results(world, size, "no rank has anything"):
        for result in (without_update, without_boxes):
            assert all(value.isnan() for value in result.values())


# ----------------------------------------------------------------------------------------------------------- syncing


@every_size
def test_three_collectives_sync_any_metric(world: World, size: int) -> None:
    found = {rank[f"collectives of {count} images"] for rank in world(size) for count in (4, 400)}
    assert found == {3}


@every_size
def test_ranks_go_on_after_a_compute(world: World, size: int) -> None:
    """One image a rank and round, misses in the first: 0, then half, then two thirds of the targets are found."""
    for rank in results(world, size, "compute, update, compute"):
        expected = [(0, size), (51 / 101, 2 * size), (67 / 101, 3 * size)]
        for (value, count), turn in zip(expected, range(3), strict=True):
            first, second, num_images = rank[3 * turn : 3 * turn + 3]
            assert torch.equal(first, second)
            assert first.item() == pytest.approx(value, rel=0, abs=1e-12)
            assert num_images == count


@several_ranks
def test_a_process_group_syncs_its_members(world: World, size: int) -> None:
    """A hit on rank 0 and a miss on rank 1; the miss on rank 2 is of another group."""
    values = results(world, size, "process group")
    assert [value.item() for value in values[:2]] == [pytest.approx(51 / 101)] * 2
    for rank, (errors, own) in enumerate(values[2:], start=2):
        remedy = "got what new_group() returns to ranks outside of a group; call compute() and sync() on the ranks of"
        for name, error in zip(("MeanAveragePrecision", "MeanAveragePrecision", "Toy"), errors, strict=True):
            assert error.startswith(f"RuntimeError: {name}: process_group: expected a group with rank {rank}, {remedy}")
        assert own == [rank]


@every_size
def test_sync_on_compute_can_be_off(world: World, size: int) -> None:
    values = [value.item() for value in results(world, size, "sync_on_compute=False")]
    assert values == [1, 0, 1, 0, 1, 0, 1, 0][:size]  # a hit on even ranks, a miss on odd ones


@every_size
def test_dist_sync_on_step_gives_the_value_of_all_ranks(world: World, size: int) -> None:
    """One hit among ``size`` targets: recall 1 / size reaches the thresholds 0, ..., floor(100 / size) / 100."""
    for steps, total in results(world, size, "dist_sync_on_step"):
        expected = pytest.approx((100 // size + 1) / 101, rel=0, abs=1e-12)
        assert [value.item() for value in (*steps, total)] == [expected] * 3


@every_size
def test_forward_is_of_the_local_batch_and_compute_of_all(world: World, size: int) -> None:
    for rank, (step, total) in enumerate(results(world, size, "forward without dist_sync_on_step")):
        assert step == (1 if rank == 0 else 0)
        assert total.item() == pytest.approx((100 // size + 1) / 101, rel=0, abs=1e-12)


@every_size
def test_the_function_does_not_sync(world: World, size: int) -> None:
    assert results(world, size, "the function is local") == [1, *[None] * (size - 1)]


@every_size
def test_syncing_by_hand(world: World, size: int) -> None:
    for rank, found in enumerate(results(world, size, "sync by hand")):
        everything = sorted([*range(size), *range(20, 20 + size)])
        assert sorted(found["synced"]) == everything
        assert all("synced" in error for error in found["refused"])
        assert len(found["refused"]) == 3
        assert sorted(found["local"]) == [rank, rank + 20, rank + 100]
        everything += range(100, 100 + size)
        assert sorted(found["again"]) == sorted(everything)
        assert found["sum"] == sum(everything)
        assert found["after reset"] == [7] * size


# -------------------------------------------------------------------------------- the hazards of torchmetrics' base


@every_size
def test_a_rank_without_update_contributes_a_typed_empty(world: World, size: int) -> None:
    """Where torchmetrics aborts, or with int32 rows gives one rank [1.4e-45, ...]."""
    for found in results(world, size, "rank 0 alone has rows and totals"):
        assert found["numbers"] == [1, 2, 2**40]
        assert found["squares"] == 1 + 4 + (2**80 % 2**64)  # 2**80 is 0 modulo 2**64
        assert (found["count"], found["sum"]) == (3, 2**40 + 3)


@several_ranks
def test_other_configurations_raise_on_every_rank(world: World, size: int) -> None:
    for rank, (error, local) in enumerate(results(world, size, "other configurations")):
        assert "configuration" in error
        assert local == [rank]


@every_size
def test_a_compute_that_fails_while_synced_leaves_the_local_state(world: World, size: int) -> None:
    for rank, (errors, local, afterwards) in enumerate(results(world, size, "compute fails while synced")):
        assert errors == ["RuntimeError: 13 is among the numbers"] * 2
        assert local == [13 if rank == 0 else 1]
        assert afterwards == list(range(size))


@every_size
def test_a_rejected_update_on_one_rank_disturbs_nobody(world: World, size: int) -> None:
    for rank, (rejected, total) in enumerate(results(world, size, "a rejected update on one rank")):
        assert (rejected is None) == (rank != 0)
        assert sorted(total) == sorted([*range(size), *[50] * (size - 1)])


@every_size
def test_a_rank_that_cannot_pack_its_state_tells_the_others(world: World, size: int) -> None:
    for rank, (error, total) in enumerate(results(world, size, "a failing pack on one rank")):
        assert ("no memory left" if rank == 0 else "rank 0") in error
        assert total == list(range(size))


@several_ranks
def test_one_id_with_other_targets_raises_on_every_rank(world: World, size: int) -> None:
    found = results(world, size, "an id with other targets on another rank")
    assert len({str(errors) for errors, _ in found}) == 1
    for errors, afterwards in found:
        assert "77" in errors[0]
        assert errors[0] == errors[1]
        assert afterwards == 1


@every_size
def test_a_deferred_error_raises_on_every_rank_until_reset(world: World, size: int) -> None:
    found = results(world, size, "a deferred error on one rank")
    assert len({str(errors) for errors, _ in found}) == 1
    for errors, afterwards in found:
        assert errors[0].startswith("ValueError")
        assert "scores" in errors[0]
        assert "5" in errors[0]  # the image_id on rank 0
        assert errors[0] == errors[1]
        assert afterwards == 1


@every_size
def test_a_checkpoint_of_rank_0_is_counted_once(world: World, size: int) -> None:
    """What the other ranks had is lost, so they start empty, and say so."""
    for rank, (found, warned) in enumerate(results(world, size, "a checkpoint of rank 0 on every rank")):
        assert found == [1, 100]
        assert ["rank 0" in text for text in warned] == ([] if rank == 0 else [True])


@every_size
def test_a_checkpoint_of_each_rank_is_complete(world: World, size: int) -> None:
    for found, warned in results(world, size, "a checkpoint of each rank"):
        assert sorted(found) == sorted([*range(1, size + 1), *range(100, 100 + size)])
        assert warned == []


@several_ranks
def test_survivors_of_a_killed_rank_raise_and_keep_their_state(world: World, size: int) -> None:
    survivors = [found["a killed rank"] for found in world(size)[:-1]]
    for rank, (error, rows, totals) in enumerate(survivors):
        assert "Error" in error
        assert rows == [rank]
        assert totals == [1, rank]


@several_ranks
def test_a_collection_makes_as_many_collectives_as_one_metric(world: World, size: int) -> None:
    for counts, later, equal, f1 in results(world, size, "collectives of a collection"):
        together, alone = counts
        assert together == alone > 0
        assert later == 0  # results and readings are kept
        assert equal
        assert f1 == 1


@several_ranks
def test_what_was_gathered_is_read_without_another_gather(world: World, size: int) -> None:
    collectives, in_table, num_images, (support, recall) = results(
        world, size, "readings after compute on rank 0 alone"
    )[0]
    assert collectives == 0
    assert in_table
    assert num_images == size
    assert (support, recall) == (size, 0)


@several_ranks
def test_settings_that_differ_raise_on_all_ranks_and_are_named(world: World, size: int) -> None:
    ranks = results(world, size, "settings that differ between ranks")
    assert all(rank == ranks[0] for rank in ranks)
    threshold, names = ranks[0]
    assert re.search(rf"score_threshold.*got 0.5 on rank 0 and 0.6 on rank {size - 1}", threshold)
    assert re.search(rf"class_names.*'cat'.*on rank 0 and .*'dog'.* on rank {size - 1}", names)
