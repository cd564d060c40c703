"""Laws that every metric of counts obeys; the last test fails while a public one is not in the registry."""

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import detmetrics
from detmetrics import functional
from detmetrics.segmentation.metric import CountingMetric
from tests.segmentation.registry import CASES, REGISTRY, Data, fed, images, same_bits, spoilt, tensors

SEEDS = range(4)
law = pytest.mark.parametrize(("name", "settings"), CASES, ids=str)


def cut(data: Data, *ends: int) -> list[Data]:
    bounds = [0, *ends, len(data[0])]
    return [(data[0][a:b], data[1][a:b]) for a, b in itertools.pairwise(bounds)]


def states(metric: CountingMetric) -> list[Tensor]:
    values = metric.metric_state.values()
    return [tensor for value in values for tensor in (value if isinstance(value, list) else [value])]


@law
def test_the_function_equals_the_class(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = images(name, settings, seed)
        assert same_bits(REGISTRY[name].function(*data, **settings), fed(name, settings, data).compute())


@law
def test_any_split_and_any_order_equal_the_whole(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = images(name, settings, seed)
        expected = fed(name, settings, data).compute()
        for parts in (cut(data, 1), cut(data, 3, 5), cut(data, *range(1, 7)), cut(data, 0, 7), cut(data, 4)[::-1]):
            assert same_bits(fed(name, settings, *parts).compute(), expected)


@law
def test_repeated_images_with_ids_change_nothing(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = images(name, settings, seed)
        expected = fed(name, settings, data).compute()
        first, rest = cut(data, 3)
        metric = fed(name, settings, rest, first, cut(data, 2)[0], ids=[[3, 4, 5, 6], [0, 1, 2], [0, 1]])
        with pytest.warns(UserWarning, match=r"image_ids: 2 images \(ids 0, 1\) were seen again"):
            assert same_bits(metric.compute(), expected)
        assert metric.num_duplicates == 2


@law
@pytest.mark.parametrize("with_ids", [False, True])
def test_merge_is_associative_with_the_empty_state_as_identity(
    name: str, settings: dict[str, Any], with_ids: bool
) -> None:
    for seed in SEEDS:
        data = images(name, settings, seed)
        expected = fed(name, settings, data).compute()
        ids = [[0], [1, 2], [3, 4, 5, 6]]
        parts = [(part, [i] if with_ids else None) for part, i in zip(cut(data, 1, 3), ids, strict=True)]
        left, right = [[fed(name, settings, part, ids=i) for part, i in parts] for _ in range(2)]
        empty = fed(name, settings)
        for other in left:
            empty.merge_state(other)
        right[1].merge_state(right[2])
        right[1].merge_state(fed(name, settings))
        right[0].merge_state(right[1])
        assert same_bits(empty.compute(), expected)
        assert same_bits(right[0].compute(), expected)


@law
def test_inputs_are_neither_changed_nor_kept(name: str, settings: dict[str, Any]) -> None:
    data = images(name, settings, 1)
    kept = copy.deepcopy(data)
    metric = fed(name, settings, data)
    expected = metric.compute()
    for given, before in zip(data, kept, strict=True):
        assert torch.equal(given, before)
        given.zero_()
    assert same_bits(metric.compute(), expected)
    assert same_bits(fed(name, settings, kept).compute(), expected)


@law
def test_compute_is_repeatable_and_between_updates_changes_nothing(name: str, settings: dict[str, Any]) -> None:
    data = images(name, settings, 2)
    metric = fed(name, {**settings, "compute_with_cache": False})
    for part in cut(data, 3):
        metric.update(*part)
        for value in tensors(metric.compute()).values():
            value.fill_(7)
    assert same_bits(metric.compute(), fed(name, settings, data).compute())


@law
def test_forward_is_the_value_of_the_batch(name: str, settings: dict[str, Any]) -> None:
    data = images(name, settings, 3)
    metric = fed(name, settings)
    for part in cut(data, 2, 5):
        assert same_bits(metric(*part), fed(name, settings, part).compute())
    assert same_bits(metric.compute(), fed(name, settings, data).compute())


@law
def test_reset_pickle_copies_and_state_dict(name: str, settings: dict[str, Any]) -> None:
    data = images(name, settings, 1)
    first, rest = cut(data, 3)
    expected = fed(name, settings, data).compute()
    metric = fed(name, settings, images(name, settings, 3))
    metric.compute()
    metric.reset()
    metric.update(*first)
    metric.persistent(True)
    loaded = fed(name, settings, images(name, settings, 3))
    loaded.compute()
    loaded.load_state_dict(metric.state_dict())
    for again in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone(), loaded, metric):
        again.update(*rest)
        assert same_bits(again.compute(), expected)


@law
def test_a_rejected_update_changes_nothing(name: str, settings: dict[str, Any]) -> None:
    data = images(name, settings, 2)
    metric = fed(name, settings, data)
    before = copy.deepcopy(states(metric))
    for call in (metric.update, metric):
        with pytest.raises(ValueError, match=r"target\[6\]: expected .*, got 77"):
            call(*spoilt(data))
    assert metric.update_count == 1
    assert all(torch.equal(now, then) for now, then in zip(states(metric), before, strict=True))
    assert same_bits(metric.compute(), fed(name, settings, data).compute())


@law
def test_casts_and_inference_mode_change_nothing(name: str, settings: dict[str, Any]) -> None:
    data = images(name, settings, 2)
    metric = fed(name, settings).half()
    first, rest = cut(data, 2)
    with torch.inference_mode():
        metric.update(*first)
        metric.compute()
    metric.to(torch.bfloat16).update(*rest)
    assert same_bits(metric.compute(), fed(name, settings, data).compute())


@law
def test_one_thread_gives_the_bits_of_two(name: str, settings: dict[str, Any]) -> None:
    copies = 4 if REGISTRY[name].measures else 400
    data = tuple(torch.cat([values] * copies) for values in images(name, settings, 1))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(fed(name, settings, data).compute())
    finally:
        torch.set_num_threads(before)
    assert same_bits(*results)


@law
def test_a_gpu_gives_the_same_bits_and_is_not_waited_for(
    name: str, settings: dict[str, Any], cuda: torch.device
) -> None:
    for seed in SEEDS:
        data = images(name, settings, seed)
        moved = fed(name, settings).to(cuda)
        on_device = [(p.to(cuda), t.to(cuda)) for p, t in cut(data, 3)]
        moved.update(*on_device[0])
        torch.cuda.set_sync_debug_mode("default" if REGISTRY[name].measures else "error")
        try:
            moved.update(*on_device[1])
        finally:
            torch.cuda.set_sync_debug_mode("default")
        result = {key: value.cpu() for key, value in tensors(moved.compute()).items()}
        assert same_bits(result, tensors(fed(name, settings, data).compute()))


def concrete(metric: type[CountingMetric]) -> set[type[CountingMetric]]:
    below = metric.__subclasses__()
    return set().union(*map(concrete, below)) if below else {metric}


def _module(name: str) -> str:
    return str(getattr(getattr(detmetrics, name), "__module__", ""))


def test_no_metric_and_no_twin_is_missing() -> None:
    ours = {m.__name__ for m in concrete(CountingMetric) if m.__module__.startswith("detmetrics.")}
    assert ours == set(REGISTRY)
    families = ("detmetrics.segmentation.", "detmetrics.classification.")
    exported = {name for name in detmetrics.__all__ if _module(name).startswith(families)}
    assert exported == set(REGISTRY)
    twins = {entry.function.__name__ for entry in REGISTRY.values()}
    assert twins <= set(functional.__all__)
