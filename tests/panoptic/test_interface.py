"""What panoptic quality takes, what it refuses, and the form of its results."""

import math
from typing import Any

import pytest
import torch
from matplotlib import pyplot

from detmetrics import MetricCollection, PanopticQuality
from detmetrics.functional import panoptic_quality
from tests.panoptic.slow import random_problem
from tests.panoptic.test_quality import close, fed


def test_names_thresholds_and_plain_results() -> None:
    problem = random_problem(1)
    names = {3: "cat", 5: "sky", 9: "dog"}
    metric = fed(problem, things=["dog", "cat"], stuffs=["sky"], class_names=names)
    plain = fed(problem)
    assert metric.things == (3, 9)
    assert list(metric.compute())[9:12] == ["pq/cat", "pq/sky", "pq/dog"]
    assert torch.equal(metric.compute()["pq/dog"].nan_to_num(-1), plain.compute()["pq/9"].nan_to_num(-1))
    metric.class_metrics = False
    assert list(metric.compute()) == [s + g for g in ("", "_things", "_stuffs") for s in ("pq", "sq", "rq")]
    assert all(value.ndim == 0 and value.dtype == torch.float64 for value in metric.compute().values())
    sweep = metric.per_threshold([0.5, 0.7, 0.9])
    for i, threshold in enumerate((0.5, 0.7, 0.9)):
        metric.threshold = threshold
        for name, value in metric.compute().items():
            assert torch.equal(sweep[name][i].nan_to_num(-1), value.nan_to_num(-1))
    assert sweep["pq"][0] > sweep["pq"][2]


def test_zero_division_takes_part_in_means() -> None:
    info = [[{"id": 1, "category_id": 0}]]
    maps = torch.ones(1, 2, 2, dtype=torch.int64)
    for zero_division, expected in ((math.nan, 1.0), (0.0, 0.5)):
        result = panoptic_quality(maps, maps, info, info, things=[0, 1], stuffs=[], zero_division=zero_division)
        assert result["pq_things"] == expected
        assert close(result["pq_stuffs"], zero_division)


def test_empty_images_and_no_images() -> None:
    metric = PanopticQuality([0], [1])
    with pytest.warns(UserWarning, match="before update"):
        assert metric.compute()["pq"].isnan()
    metric.update(torch.zeros(2, 3, 3).long(), torch.zeros(2, 3, 3).long(), [[], []], [[], []])
    metric.update(torch.zeros(0, 3, 3, 2).long(), torch.zeros(0, 3, 3, 2).long())
    metric.update([], [])
    assert metric.compute()["pq"].isnan()
    assert metric.num_images == 2
    assert metric.per_image()["pq"].isnan().all()


ONES = torch.ones(1, 2, 2, dtype=torch.int64)
GOOD = [[{"id": 1, "category_id": 0}]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((ONES.float(), ONES, GOOD, GOOD), r"^preds: expected an integer dtype, got torch.float32"),
        ((ONES, ONES[:, :1], GOOD, GOOD), r"^preds: expected the shape of target \(1, 1, 2\), got \(1, 2, 2\)"),
        ((ONES, ONES, GOOD), r"^target_info: expected it for both sides"),
        ((ONES[..., 0], ONES[..., 0]), r"^preds: expected categories and instances \(..., 2\), got \(1, 2\); maps"),
        ((ONES, ONES, GOOD, [*GOOD, []]), r"^target_info: expected a list of dicts for each of 1 images, got 2"),
        ((ONES, ONES, [[]], GOOD), r"^preds\[0\]: expected an id of its dicts \(0 is void\), got 1"),
        ((ONES, ONES * 0, GOOD, GOOD), r"^target_info\[0\]: expected ids that the map has, got 1"),
        ((ONES, ONES, [[*GOOD[0], *GOOD[0]]], GOOD), r"^preds_info\[0\]: expected distinct ids, got \[1, 1\]"),
        ((ONES, ONES, [[{"id": 1}]], GOOD), r"^preds_info\[0\]: expected the keys 'id' and 'category_id'"),
        ((ONES, ONES, [[{"id": 0, "category_id": 0}]], GOOD), r"^preds_info\[0\]\['id'\]: expected a positive int"),
        ((ONES, ONES, [[{"id": 1, "category_id": 8}]], GOOD), r"^preds_info\[0\]\['category_id'\]: .* got 8 for id 1"),
        (([ONES[0]], [ONES[0], ONES[0]], GOOD, GOOD), r"^preds: expected as many maps as target, 2, got 1"),
        (([ONES[0]], [ONES[0].double()], GOOD, GOOD), r"^target\[0\]: expected an integer dtype"),
        (("maps", ONES, GOOD, GOOD), r"^preds: expected a tensor or a sequence of tensors, got str"),
        ((ONES, ONES, GOOD, GOOD, [-1]), r"^image_ids: expected non-negative ints, got -1"),
        ((ONES, ONES, GOOD, GOOD, [1, 2]), r"^image_ids: expected 1 non-negative ints"),
    ],
)
def test_bad_inputs_are_named_and_change_nothing(inputs: Any, message: str) -> None:
    metric = PanopticQuality([0], [1])
    metric.update(ONES, ONES, GOOD, GOOD)
    with pytest.raises(ValueError, match=message):
        metric.update(*inputs)
    assert metric.compute()["pq"] == 1
    assert metric.num_images == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"things": [1], "stuffs": [1]}, r"^stuffs: expected other classes than things, got \[1\]"),
        ({"things": [], "stuffs": []}, r"^things: expected a class"),
        (
            {"things": ["cat"], "stuffs": []},
            r"^things: expected labels, or names among class_names \[\], got \['cat'\]",
        ),
        (
            {"things": [1], "stuffs": [], "class_names": ["a"]},
            r"^class_names: expected names for all .* none for \[1\]",
        ),
        ({"things": [1], "stuffs": [], "threshold": 0.4}, r"^threshold: expected a number in \[0.5, 1\)"),
        ({"things": "cat", "stuffs": []}, r"^things: expected labels or names"),
    ],
)
def test_bad_arguments_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PanopticQuality(**settings)


def test_what_the_state_depends_on_is_fixed() -> None:
    metric = PanopticQuality([0], [1])
    for name, value in (("things", [0, 2]), ("boundary", True), ("duplicates", "keep")):
        with pytest.raises(ValueError, match=f"^{name}: fixed when a PanopticQuality is made"):
            setattr(metric, name, value)
    with pytest.raises(ValueError, match="two spatial dimensions"):
        PanopticQuality([0], [], boundary=True).update(ONES[..., None], ONES[..., None], GOOD, GOOD)


def test_metrics_of_one_state_share_it_in_a_collection() -> None:
    problem = random_problem(2)
    classes = {"things": [3, 9], "stuffs": [5]}
    both = MetricCollection({"at_50": PanopticQuality(**classes), "at_75": PanopticQuality(**classes, threshold=0.75)})
    both.update(*problem[:2], preds_info=problem.preds_info, target_info=problem.target_info)
    result = both.compute()
    for name, threshold in (("at_50", 0.5), ("at_75", 0.75)):
        own = fed(problem, threshold=threshold).compute()["pq"]
        assert torch.equal(both[name].compute()["pq"], own)
    assert any(key.endswith("pq") for key in result)


def test_a_picture_has_a_bar_per_class_or_the_means() -> None:
    metric = fed(random_problem(1), class_names={3: "cat", 5: "sky", 9: "dog"})
    _, ax = metric.plot()
    assert {label.get_text() for label in ax.get_yticklabels()} == {"cat", "sky", "dog"}
    metric.class_metrics = False
    _, ax = metric.plot([metric.compute()] * 2)
    assert ax.get_xlabel() == "Epoch"
    pyplot.close("all")


def test_segments_that_are_no_dicts_are_named() -> None:
    with pytest.raises(ValueError, match=r"^preds_info\[0\]: expected a list of dicts, got \{'id': 1"):
        PanopticQuality([0], []).update(ONES, ONES, GOOD[0], GOOD)
