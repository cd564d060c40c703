"""The base class keeps torchmetrics' contract, and each hazard of torchmetrics' own base is gone.

What needs several processes is in ``detection/test_distributed.py``. Here a world of two is pretended: ``dist_sync_fn``
answers with the packed state twice, as if another rank held the same.
"""

import copy
import inspect
import pickle
import threading
from typing import Any

import pytest
import torch
import torchmetrics
from torch import Tensor, nn
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from detmetrics import MeanAveragePrecision
from tests.problems import batch, hit, miss, random_problem
from tests.toy import CURSED, Toy, numbers, numbers_of


def twice(packed: Tensor, group: Any = None) -> list[Tensor]:
    return [packed, packed.clone()]


def always() -> bool:
    return True


def toy(*values: int, **kwargs: Any) -> Toy:
    """A metric that holds these numbers."""
    metric = Toy(**kwargs)
    if values:
        metric.update(numbers(*values))
    return metric


def paired(*values: int, **kwargs: Any) -> Toy:
    return toy(*values, dist_sync_fn=twice, distributed_available_fn=always, **kwargs)


# ------------------------------------------------------------------------------------------------------------ states


def test_rows_concatenate_and_totals_add() -> None:
    metric = toy(3, 4)
    metric.update(numbers(5))
    values = {key: value.tolist() for key, value in metric.compute().items()}
    assert values == {"count": 3, "sum": 12, "squares": 9 + 16 + 25, "numbers": [3, 4, 5], "half": 6.0}


def test_rows_become_one_chunk_for_all_that_share_them() -> None:
    metric, other = toy(3, 4), Toy()
    metric.settle()
    metric.update(numbers(5))
    metric.settle()
    other.numbers = metric.numbers
    assert len(metric.numbers) == 2
    assert other.rows("numbers") is metric.rows("numbers")
    assert len(metric.numbers) == 1


def test_rows_that_come_while_others_are_joined_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from another thread."""
    metric, join = toy(), torch.cat
    chunks = [torch.full((1, 3), value) for value in range(3)]
    for chunk in chunks[:2]:
        metric.append("numbers", chunk)

    def joined_meanwhile(tensors: Any, *args: Any) -> Tensor:
        metric.append("numbers", chunks[2])
        return join(tensors, *args)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "cat", joined_meanwhile)
        assert torch.equal(metric.rows("numbers"), join(chunks[:2]))
    assert torch.equal(metric.rows("numbers"), torch.cat(chunks))


def test_many_updates_leave_few_chunks_and_all_rows() -> None:
    metric = Toy()
    for number in range(5000):
        metric.append("numbers", torch.full((1, 3), number))
        metric.append("numbers", torch.empty((0, 3), dtype=torch.int64))
    assert len(metric.metric_state["numbers"]) < 130
    assert metric.num_rows("numbers") == 5000
    assert metric.rows("numbers")[:, 0].tolist() == list(range(5000))


def test_threads_that_update_one_metric_lose_nothing() -> None:
    metric = MeanAveragePrecision()
    preds, target = batch(hit(0))

    def work() -> None:
        for _ in range(300):
            metric.update(preds, target)
            metric(preds, target)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metric.compute()
    assert metric.num_images == metric.update_count == 1200


def test_an_edit_in_place_is_noticed() -> None:
    metric = toy(1, 2)
    assert numbers_of(metric) == [1, 2]
    metric.rows("numbers")[0, 1] = 7
    assert numbers_of(metric) == [7, 2]
    metric.totals("sums")[1] = 100
    assert metric.compute()["sum"] == 100


def test_every_state_is_int64() -> None:
    metric = toy(1)
    metric.compute()
    for state in metric.metric_state.values():
        for chunk in state if isinstance(state, list) else [state]:
            assert chunk.dtype == torch.int64


def test_without_rows_the_columns_are_still_there() -> None:
    metric = toy()
    assert (metric.rows("numbers").shape, metric.rows("numbers").dtype) == ((0, 3), torch.int64)
    assert metric.totals("sums").tolist() == [0, 0]


def test_a_reference_to_old_totals_and_rows_stays_valid() -> None:
    metric = toy(1, 2)
    metric.settle()
    totals, rows = metric.totals("sums"), metric.rows("numbers")
    kept = totals.clone(), rows.clone()
    metric.update(numbers(3))
    metric.compute()
    metric.reset()
    assert torch.equal(totals, kept[0])
    assert torch.equal(rows, kept[1])


def test_no_buffers_that_ddp_would_broadcast_or_half_would_cast() -> None:
    metric = toy(1)
    assert [*metric.buffers(), *metric.parameters()] == []


def test_class_attributes_are_those_torchmetrics_asks_for() -> None:
    for metric in (Toy, MeanAveragePrecision):
        assert (metric.full_state_update, metric.is_differentiable, metric.higher_is_better) == (False, False, True)
        assert (metric.plot_lower_bound, metric.plot_upper_bound) == (0.0, 1.0)


def test_unknown_keywords_raise() -> None:
    with pytest.raises(ValueError, match="colour"):
        Toy(colour="red")


# ------------------------------------------------------------------------------------------- update, compute, forward


def test_a_rejected_update_changes_nothing() -> None:
    metric = toy(1, 2)
    with pytest.raises(ValueError, match="below 0"):
        metric.update(numbers(3, -1))
    assert metric.update_count == 1
    assert numbers_of(metric) == [1, 2]


def test_a_rejected_update_keeps_the_cached_result() -> None:
    metric = toy(1, 2)
    before = metric.compute()
    with pytest.raises(ValueError, match="below 0"):
        metric.update(numbers(-1))
    assert torch.equal(metric.compute()["numbers"], before["numbers"])


def test_forward_gives_the_value_of_the_batch_and_accumulates() -> None:
    metric = toy(1)
    assert metric(numbers(2, 3))["numbers"].tolist() == [2, 3]
    assert metric(numbers(4))["sum"] == 4
    assert metric.update_count == 3
    assert numbers_of(metric) == [1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [-1, CURSED], ids=["update-fails", "compute-fails"])
def test_forward_on_a_bad_batch_keeps_the_history(wrong: int) -> None:
    metric = toy(1, 2)
    with pytest.raises((ValueError, RuntimeError)):
        metric(numbers(wrong))
    assert metric.update_count == 1
    assert numbers_of(metric) == [1, 2]
    assert metric(numbers(3))["numbers"].tolist() == [3]
    assert numbers_of(metric) == [1, 2, 3]


def test_forward_does_not_copy_the_history() -> None:
    """Every chunk that was there is there after it, the very same tensor: a step costs the same at any length."""
    metric = toy(1, 2)
    metric.settle()
    before = list(metric.metric_state["numbers"])
    for step in range(5):
        metric(numbers(step))
    after = metric.metric_state["numbers"]
    assert all(new is old for new, old in zip(after[: len(before)], before, strict=True))
    assert len(after) == len(before) + 5


def test_compute_is_cached_and_repeatable() -> None:
    metric = toy(1, 2)
    first, second = metric.compute(), metric.compute()
    for key, value in first.items():
        assert torch.equal(value, second[key])


def test_a_changed_result_does_not_change_the_next_one() -> None:
    metric = toy(1, 2)
    metric.compute()["numbers"].zero_()
    assert numbers_of(metric) == [1, 2]


@pytest.mark.parametrize(("cached", "calls"), [(True, 1), (False, 2)])
def test_compute_with_cache_is_honoured(cached: bool, calls: int) -> None:
    asked = []

    class Counting(Toy):
        def compute(self) -> dict[str, Tensor]:
            asked.append(1)
            return super().compute()

    metric = Counting(compute_with_cache=cached)
    metric.update(numbers(1))
    metric.compute()
    metric.compute()
    assert len(asked) == calls


def test_compute_before_update_warns_and_answers() -> None:
    with pytest.warns(UserWarning, match="before"):
        assert numbers_of(toy()) == []


def test_one_class_is_not_squeezed_to_a_scalar() -> None:
    assert toy(5).compute()["numbers"].shape == (1,)


def test_reset_forgets_everything() -> None:
    metric = toy(1, 2)
    metric.compute()
    metric.reset()
    assert metric.update_count == 0
    metric.update(numbers(9))
    assert numbers_of(metric) == [9]


def test_inference_mode_around_any_call() -> None:
    """torchmetrics' totals cannot be changed in place after a reset under ``inference_mode``."""
    metric = toy(1)
    with torch.inference_mode():
        metric.update(numbers(2))
        metric.reset()
        metric.update(numbers(3))
    metric.update(numbers(4))
    assert metric(numbers(5))["numbers"].tolist() == [5]
    assert numbers_of(metric) == [3, 4, 5]


def test_autocast_is_off_inside() -> None:
    seen = []

    class Watching(Toy):
        def update(self, values: Tensor) -> None:
            seen.append(torch.is_autocast_enabled("cpu"))
            super().update(values)

        def compute(self) -> dict[str, Tensor]:
            seen.append(torch.is_autocast_enabled("cpu"))
            return super().compute()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        metric = Watching()
        metric.update(numbers(1))
        metric.compute()
    assert seen == [False, False]


def test_states_carry_no_gradient() -> None:
    metric = MeanAveragePrecision()
    preds, target = batch(hit(0))
    preds[0]["scores"].requires_grad_()
    metric.update(preds, target)
    assert not metric.compute()["map"].requires_grad
    assert not any(chunk.requires_grad for state in metric.metric_state.values() for chunk in state)


# -------------------------------------------------------------------------------------------------------- casts


@pytest.mark.parametrize(
    "cast",
    [
        lambda metric: metric.to(torch.bfloat16),
        lambda metric: metric.half(),
        lambda metric: metric.bfloat16(),
        lambda metric: metric.double(),
        lambda metric: metric.set_dtype(torch.float16),
        lambda metric: metric.type(torch.int32),
        lambda metric: nn.Sequential(metric).to(torch.bfloat16),  # Lightning's bf16-true
        lambda metric: nn.Sequential(metric).type(torch.float16),
    ],
    ids=["to", "half", "bfloat16", "double", "set_dtype", "type", "module.to", "module.type"],
)
def test_no_cast_touches_a_state(cast: Any) -> None:
    """300 updates stay 300; a bfloat16 counter stops at 256."""
    metric = toy()
    cast(metric)
    for _ in range(300):
        metric.update(numbers(2**40 + 1))
    metric.compute()
    cast(metric)
    result = metric.compute()
    assert (result["count"], result["sum"]) == (300, 300 * (2**40 + 1))
    assert result["half"].dtype == torch.float32  # as compute() made it
    assert {value.dtype for value in (metric.rows("numbers"), metric.totals("sums"))} == {torch.int64}


def test_no_cast_rounds_a_cached_result() -> None:
    metric = MeanAveragePrecision()
    metric.update(*batch(hit(0), hit(1), miss(2)))
    before = metric.compute()["map"]
    for cast in (
        metric.half,
        metric.bfloat16,
        lambda: metric.set_dtype(torch.float16),
        lambda: metric.to(torch.float16),
    ):
        cast()
        assert torch.equal(metric.compute()["map"], before)


# ------------------------------------------------------------------------------------------------------------- merge


def test_merge_is_associative_and_keeps_the_order_of_arrival() -> None:
    left = toy(1, 2)
    left.merge_state(toy(3))
    left.merge_state(toy(4, 5))
    right = toy(3)
    right.merge_state(toy(4, 5))
    first = toy(1, 2)
    first.merge_state(right)
    assert numbers_of(left) == numbers_of(first) == [1, 2, 3, 4, 5]


def test_merge_with_an_empty_state_changes_nothing() -> None:
    metric, empty = toy(1, 2), toy()
    metric.merge_state(toy())
    empty.merge_state(toy(1, 2))
    assert numbers_of(metric) == numbers_of(empty) == [1, 2]


def test_merge_clears_the_cached_result_and_adds_update_counts() -> None:
    metric, other = toy(1), toy(2)
    other.update(numbers(3))
    metric.compute()
    metric.merge_state(other)
    assert numbers_of(metric) == [1, 2, 3]
    assert metric.update_count == 3
    assert numbers_of(other) == [2, 3]


def test_merge_takes_a_kept_metric_state() -> None:
    metric, other = toy(1), toy(2, 3)
    metric.merge_state(copy.deepcopy(other.metric_state))
    assert numbers_of(metric) == [1, 2, 3]


@pytest.mark.parametrize(
    ("incoming", "message"),
    [
        (torchmetrics.SumMetric(), "Toy"),
        (toy(1, configuration="other"), "configuration"),
        ({"numbers": []}, "expected the states"),
        ({**toy(1).metric_state, "sums": torch.zeros(3, dtype=torch.int64)}, r"\(2,\).*\(3,\)"),
        ({**toy(1).metric_state, "numbers": [torch.zeros(1, 3)]}, "int64.*float32"),
        ([1, 2], "list"),
    ],
    ids=["other class", "other configuration", "missing states", "other shape", "other dtype", "no state"],
)
def test_merge_rejects_what_does_not_fit(incoming: Any, message: str) -> None:
    metric = toy(1)
    with pytest.raises(ValueError, match=message):
        metric.merge_state(incoming)
    assert metric.update_count == 1
    assert numbers_of(metric) == [1]


def test_merge_rejects_the_metric_itself() -> None:
    metric = toy(1)
    with pytest.raises(ValueError, match="itself"):
        metric.merge_state(metric)


def test_merge_into_a_synced_metric_is_refused() -> None:
    metric, other = paired(1), paired(2)
    metric.sync(twice)
    with pytest.raises(TorchMetricsUserError, match="synced"):
        metric.merge_state(toy(1))
    metric.unsync()
    other.sync(twice)
    with pytest.raises(TorchMetricsUserError, match="synced"):
        metric.merge_state(other)


# ------------------------------------------------------------------------------------------- checkpoints and pickling


def test_a_state_dict_is_empty_unless_asked_for() -> None:
    assert toy(1).state_dict() == {}


def test_loading_replaces_the_state_and_the_cached_result() -> None:
    saved = toy(1, 2)
    saved.persistent(True)
    loaded = toy(9)
    loaded.compute()
    state = saved.state_dict()
    loaded.load_state_dict(state)
    assert numbers_of(loaded) == [1, 2]
    loaded.update(numbers(3))
    assert numbers_of(loaded) == [1, 2, 3]
    assert numbers_of(saved) == [1, 2]
    assert state.keys() == {*saved.metric_state, "saved_by_rank"}, "the state_dict itself is not changed"


def test_loading_within_a_module_leaves_weights_alone() -> None:
    module = nn.ModuleDict({"head": nn.Linear(2, 2), "metric": toy(1, 2)})
    module["metric"].persistent(True)
    fresh = nn.ModuleDict({"head": nn.Linear(2, 2), "metric": toy()})
    fresh.load_state_dict(module.state_dict())
    assert numbers_of(fresh["metric"]) == [1, 2]
    assert torch.equal(fresh["head"].weight, module["head"].weight)


def test_a_loaded_metric_was_updated(recwarn: pytest.WarningsRecorder) -> None:
    saved, loaded = toy(1), toy()
    saved.persistent(True)
    loaded.load_state_dict(saved.state_dict())
    assert numbers_of(loaded) == [1]
    assert not [warning for warning in recwarn if "before" in str(warning.message)]


def test_a_state_of_another_configuration_does_not_load() -> None:
    saved = toy(1, configuration="other")
    saved.persistent(True)
    metric = toy(2)
    with pytest.raises((RuntimeError, ValueError), match="other"):
        metric.load_state_dict(saved.state_dict())
    assert numbers_of(metric) == [2]


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda metric: metric.clone(), lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_are_independent(again: Any) -> None:
    metric = toy(1, 2)
    other = again(metric)
    other.update(numbers(3))
    assert numbers_of(other) == [1, 2, 3]
    assert numbers_of(metric) == [1, 2]


# ----------------------------------------------------------------------------------------------------------- syncing


def test_dist_sync_fn_gathers_the_whole_state_in_one_call() -> None:
    calls = []

    def gather(packed: Tensor, group: Any = None) -> list[Tensor]:
        calls.append((packed.dtype, packed.ndim, group))
        return [packed, packed.clone()]

    group = object()
    metric = toy(1, 2, dist_sync_fn=gather, distributed_available_fn=always, process_group=group)
    assert numbers_of(metric) == [1, 1, 2, 2]  # arrival j of rank r of 2 becomes 2j + r
    assert calls == [(torch.int64, 1, group)]


def test_the_local_state_is_back_after_compute() -> None:
    metric = paired(1, 2)
    assert metric.compute()["sum"] == 6
    assert metric.totals("sums").tolist() == [2, 3]
    metric.update(numbers(4))
    assert metric.compute()["sum"] == 14


def test_sync_on_compute_is_honoured() -> None:
    assert paired(1, 2, sync_on_compute=False).compute()["sum"] == 3


def test_dist_sync_on_step_is_honoured() -> None:
    metric = paired(1, dist_sync_on_step=True)
    assert metric(numbers(2))["numbers"].tolist() == [2, 2]
    assert paired(1)(numbers(2))["numbers"].tolist() == [2]
    assert sorted(numbers_of(metric)) == [1, 1, 2, 2]


def test_a_compute_that_fails_while_synced_can_be_followed_by_anything() -> None:
    metric = paired(CURSED)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="among the numbers"):
            metric.compute()
    assert metric.rows("numbers")[:, 1].tolist() == [CURSED]
    metric.update(numbers(1))
    metric.reset()
    metric.update(numbers(2))
    assert numbers_of(metric) == [2, 2]


def test_a_gather_that_fails_leaves_the_local_state() -> None:
    metric = toy(1, dist_sync_fn=broken, distributed_available_fn=always)
    with pytest.raises(ConnectionError):
        metric.compute()
    metric.update(numbers(2))
    assert metric.totals("sums").tolist() == [2, 3]
    metric.dist_sync_fn = twice
    assert numbers_of(metric) == [1, 1, 2, 2]


def broken(packed: Tensor, group: Any = None) -> list[Tensor]:
    raise ConnectionError("a rank is gone")


@pytest.mark.parametrize("call", ["update", "forward"])
def test_update_and_forward_are_refused_while_synced(call: str) -> None:
    metric = paired(1)
    metric.sync(twice)
    with pytest.raises(TorchMetricsUserError, match="synced"):
        getattr(metric, call)(numbers(2))
    metric.unsync()
    assert metric.update_count == 1
    assert metric.totals("sums").tolist() == [1, 1]


def test_reset_while_synced() -> None:
    metric = paired(1)
    metric.sync(twice)
    metric.reset()
    metric.update(numbers(5))
    assert numbers_of(metric) == [5, 5]


def test_compute_on_cpu_gives_the_same() -> None:
    assert numbers_of(toy(1, 2, compute_on_cpu=True)) == [1, 2]


# -------------------------------------------------------------------------------------------------- MetricCollection


def test_a_collection_shares_one_state_between_equal_configurations_only() -> None:
    collection = torchmetrics.MetricCollection({"a": Toy("same"), "b": Toy("same"), "c": Toy("other")})
    for step in range(3):
        collection.update(numbers(step))
    assert sorted(map(sorted, collection.compute_groups.values())) == [["a", "b"], ["c"]]
    result = collection.compute()
    assert all(result[key].tolist() == [0, 1, 2] for key in ("a_numbers", "b_numbers", "c_numbers"))


def test_a_collection_goes_on_after_compute_forward_and_reset() -> None:
    collection = torchmetrics.MetricCollection({"a": Toy("same"), "b": Toy("same")})
    for start in (1, 5):
        collection.update(numbers(start))
        collection.compute()
        collection(numbers(start + 1))
        collection.update(numbers(start + 2))
        result = collection.compute()
        expected = [start, start + 1, start + 2]
        assert (result["a_numbers"].tolist(), result["b_numbers"].tolist()) == (expected, expected)
        collection.reset()


def test_other_thresholds_in_a_collection_give_other_numbers() -> None:
    """torchmetrics merges metrics whose first batch left equal states, and then takes one answer for both."""
    settings: dict[str, dict[str, Any]] = {"loose": {"iou_thresholds": [0.5]}, "strict": {"iou_thresholds": [0.9]}}
    collection = torchmetrics.MetricCollection({name: MeanAveragePrecision(**kw) for name, kw in settings.items()})
    problem = random_problem(1, images=8, plain=True)
    for preds, target in zip(problem.preds, problem.target, strict=True):
        collection.update([preds], [target])
    result = collection.compute()
    for name, kw in settings.items():
        alone = MeanAveragePrecision(**kw)
        alone.update(problem.preds, problem.target)
        assert torch.equal(result[f"{name}_map"], alone.compute()["map"])
    assert result["loose_map"] != result["strict_map"]


# ---------------------------------------------------------------------------------- what this stands on in torchmetrics

RELIED_ON = {
    "_wrap_update": ["self", "update"],
    "_wrap_compute": ["self", "compute"],
    "_sync_dist": ["self", "dist_sync_fn", "process_group"],
    "sync": ["self", "dist_sync_fn", "process_group", "should_sync", "distributed_available"],
    "unsync": ["self", "should_unsync"],
    "sync_context": ["self", "dist_sync_fn", "process_group", "should_sync", "should_unsync", "distributed_available"],
    "_copy_state_dict": ["self"],
    "_move_list_states_to_cpu": ["self"],
    "_apply": ["self", "fn", "exclude_state"],
}
ATTRIBUTES = {
    "_defaults",
    "_persistent",
    "_reductions",
    "_cache",
    "_is_synced",
    "_to_sync",
    "_should_unsync",
    "_computed",
}
ATTRIBUTES |= {"_forward_cache", "_update_count", "_device", "sync_on_compute", "dist_sync_on_step", "compute_on_cpu"}


@pytest.mark.parametrize("name", RELIED_ON)
def test_torchmetrics_still_has_the_methods_that_are_overridden(name: str) -> None:
    assert list(inspect.signature(getattr(torchmetrics.Metric, name)).parameters) == RELIED_ON[name]


def test_torchmetrics_still_has_the_attributes_that_are_read() -> None:
    assert set(vars(torchmetrics.SumMetric())) >= ATTRIBUTES


def test_results_are_drawn_as_in_torchmetrics() -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    metric = toy(1, 2)
    results = {key: value for key, value in metric.compute().items() if value.ndim == 0}
    for val, length in ((None, 1), (results, 1), ([results] * 3, 3)):
        _, axis = metric.plot(val)
        drawn = {line.get_label(): len(line.get_xdata()) for line in axis.get_lines()}
        assert {key: drawn[key] for key in results} == dict.fromkeys(results, length)
    plt.close("all")
