"""Laws that every panoptic metric obeys; the last test fails while a public one has no case."""

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import detmetrics
from detmetrics.panoptic.metric import PanopticMetric
from tests.panoptic.registry import CASES, COUNT, Case, chosen, fed, images
from tests.segmentation.registry import same_bits

SEEDS = range(3)
EVERY = range(COUNT)
law = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.metric.__name__}-{case.form}-{case.settings}")


def cut(*ends: int) -> list[range]:
    return [range(a, b) for a, b in itertools.pairwise([0, *ends, COUNT])]


def moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


@law
def test_the_function_equals_the_class(case: Case) -> None:
    for seed in SEEDS:
        data = images(case.form, seed)
        assert same_bits(case.function(**data, **case.settings), fed(case, data).compute())


@law
def test_scores_are_not_trivial(case: Case) -> None:
    values = fed(case, images(case.form, 0)).compute()
    main = values["pq" if case.form != "instances" else "aji"]
    assert 0 < main < 1
    assert all(0 <= value <= 1 for value in values.values() if not value.isnan())


@law
def test_any_split_equals_the_whole_and_with_ids_any_order(case: Case) -> None:
    for seed in SEEDS:
        data = images(case.form, seed)
        whole = fed(case, data)
        for parts in (cut(1), cut(3, 5), cut(*range(1, COUNT)), cut(0, COUNT)):
            split = fed(case, data, *parts)
            assert same_bits(split.compute(), whole.compute())
            assert same_bits(split.per_image(), whole.per_image())
        whole = fed(case, data, with_ids=True)
        backwards = fed(case, data, *(part[::-1] for part in cut(4)[::-1]), with_ids=True)
        assert same_bits(backwards.compute(), whole.compute())
        assert same_bits(backwards.per_image(), whole.per_image())


@law
def test_repeated_images_with_ids_change_nothing(case: Case) -> None:
    for seed in SEEDS:
        data = images(case.form, seed)
        metric = fed(case, data, range(3, COUNT), range(3), range(2), with_ids=True)
        with pytest.warns(UserWarning, match=r"image_ids: 2 images \(ids 0, 1\) were seen again"):
            assert same_bits(metric.compute(), fed(case, data).compute())
        assert (metric.num_images, metric.num_duplicates) == (COUNT, 2)


@law
def test_what_becomes_of_repeated_images(case: Case) -> None:
    data = images(case.form, 1)
    other = {**data, "target": data["target"].flip(0)}
    if case.form == "infos":
        other["target_info"] = data["target_info"][::-1]
    metric = fed(case, data, with_ids=True)
    metric.update(**chosen(other, [0]), image_ids=[0])
    with pytest.raises(ValueError, match="expected one target for an id, got two images with id 0"):
        metric.compute()
    kept = fed(case, data, EVERY, [0], with_ids=True, duplicates="keep")
    kept.compute()
    assert kept.num_images == COUNT + 1


@law
@pytest.mark.parametrize("with_ids", [False, True])
def test_merge_is_associative_with_the_empty_state_as_identity(case: Case, with_ids: bool) -> None:
    for seed in SEEDS:
        data = images(case.form, seed)
        expected = fed(case, data).compute()
        left, right = [[fed(case, data, part, with_ids=with_ids) for part in cut(1, 3)] for _ in range(2)]
        empty = case.metric(**case.settings)
        for other in left:
            empty.merge_state(other)
        right[1].merge_state(right[2])
        right[1].merge_state(case.metric(**case.settings))
        right[0].merge_state(right[1])
        assert same_bits(empty.compute(), expected)
        assert same_bits(right[0].compute(), expected)


@law
def test_inputs_are_neither_changed_nor_kept(case: Case) -> None:
    data = images(case.form, 1)
    before = copy.deepcopy(data)
    metric = fed(case, data)
    expected = metric.compute()
    for name, value in data.items():
        assert torch.equal(value, before[name]) if isinstance(value, Tensor) else value == before[name]
        if isinstance(value, Tensor):
            value.zero_()
    assert same_bits(metric.compute(), expected)
    assert same_bits(fed(case, before).compute(), expected)


@law
def test_forward_is_the_value_of_the_batch(case: Case) -> None:
    data = images(case.form, 2)
    metric = case.metric(**case.settings)
    for part in cut(2, 5):
        assert same_bits(metric(**chosen(data, part)), fed(case, data, part).compute())
    assert same_bits(metric.compute(), fed(case, data).compute())


@law
def test_reset_pickle_copies_and_state_dict(case: Case) -> None:
    data = images(case.form, 1)
    expected = fed(case, data).compute()
    metric = fed(case, images(case.form, 2))
    metric.compute()
    metric.reset()
    metric.update(**chosen(data, range(3)))
    metric.persistent(True)
    loaded = fed(case, images(case.form, 2))
    loaded.load_state_dict(metric.state_dict())
    for again in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone(), loaded, metric):
        again.update(**chosen(data, range(3, COUNT)))
        assert same_bits(again.compute(), expected)


@law
def test_a_state_that_no_reader_understands_is_refused(case: Case) -> None:
    metric = fed(case, images(case.form, 1))
    metric.persistent(True)
    state = metric.state_dict()
    name = next(key for key in state if "outcomes" in key)
    for column, value in ((0, 99), (1, 0), (2, -1), (3, -5)):
        wrong = copy.deepcopy(state)
        rows = wrong[name][0] if isinstance(wrong[name], list) else wrong[name]
        rows[0, column] = value
        with pytest.raises(ValueError, match=r"state of outcomes: expected classes, flags and pixels"):
            case.metric(**case.settings).load_state_dict(wrong)


@law
def test_a_rejected_update_changes_nothing(case: Case) -> None:
    data = images(case.form, 2)
    metric = fed(case, data)
    for call in (metric.update, metric):
        with pytest.raises(ValueError, match=r"^preds: expected an integer dtype"):
            call(**{**data, "preds": data["preds"].double()})
    assert metric.update_count == 1
    assert same_bits(metric.compute(), fed(case, data).compute())


@law
def test_casts_and_inference_mode_change_nothing(case: Case) -> None:
    data = images(case.form, 2)
    metric = case.metric(**case.settings).half()
    with torch.inference_mode():
        metric.update(**chosen(data, range(2)))
        metric.compute()
    metric.to(torch.bfloat16).update(**chosen(data, range(2, COUNT)))
    assert same_bits(metric.compute(), fed(case, data).compute())


@law
def test_one_thread_gives_the_bits_of_two(case: Case) -> None:
    data = chosen(images(case.form, 1), list(EVERY) * 40)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            metric = case.metric(**case.settings)
            metric.update(**data)
            results.append(metric.compute())
    finally:
        torch.set_num_threads(before)
    assert same_bits(*results)


@law
def test_a_gpu_gives_the_same_bits(case: Case, cuda: torch.device) -> None:
    for seed in SEEDS:
        data = images(case.form, seed)
        on_device = {name: moved(value, cuda) for name, value in data.items()}
        metric = case.metric(**case.settings).to(cuda)
        metric.update(**on_device)
        result = {key: value.cpu() for key, value in metric.compute().items()}
        assert same_bits(result, fed(case, data).compute())


def test_no_metric_is_missing() -> None:
    kinds = PanopticMetric.__subclasses__()
    ours = {kind for kind in kinds if kind.__module__.startswith("detmetrics.panoptic.")}  # compat has its own tests
    assert ours == {case.metric for case in CASES}
    assert {kind.__name__ for kind in ours} <= set(detmetrics.__all__)
