"""The worked cases of mean average precision: small enough to check by hand, with the arithmetic beside them.

AP of one class is the mean of the interpolated precision at the 101 recall thresholds 0, .01, ..., 1. If the hits come
first, it is the share of thresholds that the recall reaches: 76/101 for a recall of 3/4. Unless something else is said,
the boxes are exact copies of their targets, so every IoU threshold gives the same.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import MeanAveragePrecision
from detmetrics.functional import mean_average_precision
from detmetrics.state import devices
from tests import oracle
from tests.problems import Item, batch, hit, image, miss
from tests.workers import World


def value_of(*pairs: tuple[Item, Item], **settings: Any) -> float:
    """mAP of a few images; pycocotools must say the same."""
    preds, target = batch(*pairs)
    result = mean_average_precision(preds, target, **settings, extended_summary=True)
    oracle.assert_agrees(result, oracle.evaluate(preds, target, **settings))
    return result["map"].item()


def close(expected: float) -> Any:
    return pytest.approx(expected, rel=0, abs=oracle.TOLERANCE)


# ------------------------------------------------------------------------------------------------ ranks and padding


def test_uneven_ranks(world: World) -> None:
    """Rank 0 has hits 0, 1, 2 and miss 3, rank 1 never called update: recall 3/4 on both."""
    for rank in world(2):
        assert rank["one rank without update"]["map"].item() == close(76 / 101)
        assert rank["three images against one"]["map"].item() == close(76 / 101)


def test_the_number_of_collectives_does_not_depend_on_the_number_of_images(world: World) -> None:
    for rank in world(2):
        assert rank["collectives of 4 images"] == rank["collectives of 400 images"] == 3


def test_sampler_padding_with_image_ids_is_dropped(world: World) -> None:
    """Five images, the first a miss, over two ranks: [0, 2, 4] and [1, 3, 0]. Recall 4/5."""
    assert value_of(miss(0), *map(hit, range(1, 5))) == close(81 / 101)
    for rank in world(2):
        assert rank["padding with ids"]["map"].item() == close(81 / 101)
        assert rank["padding with ids: images, duplicates"] == (5, 1)


def test_sampler_padding_without_image_ids_counts_twice(world: World) -> None:
    """The miss counts twice: recall 4/6, so the thresholds 0, ..., .66 are reached."""
    for rank in world(2):
        assert rank["padding without ids"]["map"].item() == close(67 / 101)


# --------------------------------------------------------------------------------------- background, unknown classes


def test_a_false_positive_on_a_background_image_counts() -> None:
    background = ([0, 0, 8, 8], 0.95, 0)
    # first the false positive, then the hit: precision 1/2 at recall 1, and so at every threshold
    assert value_of(hit(0), image([background], [])) == close(1 / 2)
    # below the hit it costs nothing: precision is 1 where recall reaches 1
    assert value_of(hit(0), image([([0, 0, 8, 8], 0.5, 0)], [])) == close(1)


def test_a_class_without_targets_is_left_out() -> None:
    # class 7 is only hallucinated: AP is undefined there, as pycocotools has -1, and the mean is that of class 0
    pairs = [hit(0), image([([0, 0, 8, 8], 0.95, 7)], [])]
    assert value_of(*pairs) == close(1)
    result = mean_average_precision(*batch(*pairs), class_metrics=True)
    assert result["classes"].tolist() == [0, 7]
    assert result["map_per_class"][0] == 1
    assert result["map_per_class"][1].isnan()


def test_a_target_without_predictions_scores_zero() -> None:
    assert value_of(miss(0)) == 0


def test_nothing_at_all_is_undefined() -> None:
    assert math.isnan(value_of(image([], [])))


# ------------------------------------------------------------------------------------------------ detections an image


def perfect(count: int) -> tuple[Item, Item]:
    boxes = [[10.0 * i, 0, 10 * i + 8, 8] for i in range(count)]
    return image([(box, 0.9, 0) for box in boxes], [(box, 0) for box in boxes])


def test_the_limit_of_detections() -> None:
    # 100 of 150 targets: recall 2/3 reaches the thresholds 0, ..., .66
    assert value_of(perfect(150)) == close(67 / 101)
    result = mean_average_precision(*batch(perfect(150)), max_detection_thresholds=[1, 10, 1000])
    assert (result["map"], result["mar_1000"]) == (1, 1)
    assert result["mar_10"] == pytest.approx(10 / 150)


@pytest.mark.parametrize("limits", [[50], [1, 10, 100, 1000], [1000, 1]])
def test_limit_lists_of_any_length(limits: list[int]) -> None:
    result = mean_average_precision(*batch(perfect(150)), max_detection_thresholds=limits)
    for limit in limits:
        assert result[f"mar_{limit}"].item() == close(min(limit, 150) / 150)


def test_the_limit_is_per_image_and_class() -> None:
    boxes = [[10.0 * i, 0, 10 * i + 8, 8] for i in range(2)]
    both = image([(boxes[0], 0.9, 0), (boxes[1], 0.8, 1)], [(boxes[0], 0), (boxes[1], 1)])
    assert value_of(both, max_detection_thresholds=[1]) == close(1)


def test_recall_thresholds_are_compared_as_they_are() -> None:
    # linspace(0, 1, 101)[70] is the double just above 7/10, so seven of ten reach 0, ..., .69
    assert value_of(*map(hit, range(7)), *map(miss, range(7, 10))) == close(70 / 101)


def test_stray_detections_below_the_hit_cost_nothing() -> None:
    strays = [([100.0 * i, 0, 100 * i + 8, 8], 0.5, 0) for i in (1, 2, 3)]
    assert value_of(image([([0, 0, 8, 8], 0.9, 0), *strays], [([0, 0, 8, 8], 0)])) == close(1)


# --------------------------------------------------------------------------------------------------------------- ties

RIGHT, WRONG = ([0, 0, 8, 8], 0.9, 0), ([50, 50, 58, 58], 0.9, 0)
TARGET = [([0, 0, 8, 8], 0)]


def test_ties_in_score_go_in_the_order_of_the_image() -> None:
    assert value_of(image([RIGHT, WRONG], TARGET)) == close(1)
    assert value_of(image([WRONG, RIGHT], TARGET)) == close(1 / 2)  # precision 1/2 when recall reaches 1


def test_ties_in_score_across_images_go_in_the_order_of_the_image_ids() -> None:
    right, wrong = image([RIGHT], TARGET), image([WRONG], [])
    for first, second, expected in ((right, wrong, 1), (wrong, right, 1 / 2)):
        low, high = ((preds, {**item, "image_id": key}) for (preds, item), key in ((first, 3), (second, 2**60)))
        assert value_of(low, high) == value_of(high, low) == close(expected)


def test_of_equal_overlaps_the_later_target_is_taken() -> None:
    # the first detection [8, 0, 40, 32] overlaps both targets by 24 of 40: IoU .6. The second, [0, 0, 32, 32], fits the
    # first target alone. Taking the later target leaves the first one free: both match. Taking the earlier does not.
    targets = [([0, 0, 32, 32], 0), ([16, 0, 48, 32], 0)]
    preds = [([8, 0, 40, 32], 0.9, 0), ([0, 0, 32, 32], 0.8, 0)]
    assert value_of(image(preds, targets), iou_thresholds=[0.6]) == close(1)
    # the other way round the second detection finds its target taken: recall 1/2 reaches the thresholds 0, ..., .5
    assert value_of(image(preds, targets[::-1]), iou_thresholds=[0.6]) == close(51 / 101)


def test_zero_and_minus_zero_are_equal_scores() -> None:
    for first, second in ((0.0, -0.0), (-0.0, 0.0)):
        right, wrong = (RIGHT[0], first, 0), (WRONG[0], second, 0)
        assert value_of(image([right, wrong], TARGET)) == close(1)
        assert value_of(image([(WRONG[0], first, 0), (RIGHT[0], second, 0)], TARGET)) == close(1 / 2)


def test_the_score_at_recall_zero_is_that_of_the_first_detection() -> None:
    wrong, right = ([50, 50, 58, 58], 0.9, 0), ([0, 0, 8, 8], 0.4, 0)
    preds, target = batch(image([wrong, right], TARGET))
    scores = mean_average_precision(preds, target, extended_summary=True)["scores"][0, :, 0, 0, -1]
    assert scores.tolist() == [pytest.approx(0.9), *[pytest.approx(0.4)] * 100]
    assert value_of(image([wrong, right], TARGET)) == close(1 / 2)


@pytest.mark.parametrize("size", [1, 2, 3, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_ties_have_the_same_bits_however_the_images_are_split(world: World, size: int) -> None:
    one, *others = [rank["ties"] for rank in world(1) + world(size)]
    for other in others:
        assert all(torch.equal(one[key].nan_to_num(-1), other[key].nan_to_num(-1)) for key in one)


# -------------------------------------------------------------------------------------------------------------- crowd

CROWD_TARGETS: list[tuple[list[float], int]] = [([0, 0, 10, 10], 0), ([15, 15, 60, 60], 0)]


def in_crowd(last_score: float) -> tuple[Item, Item]:
    preds = [
        ([0, 0, 10, 10], 0.9, 0),
        ([20, 20, 30, 30], 0.95, 0),  # these two lie within the crowd region: neither right nor wrong
        ([22, 22, 32, 32], 0.85, 0),
        ([90, 90, 99, 99], last_score, 0),
    ]
    return image(preds, CROWD_TARGETS, iscrowd=[0, 1])


def test_a_crowd_takes_any_number_of_detections() -> None:
    assert value_of(in_crowd(0.6)) == close(1)  # the one hit comes before the one false positive
    assert value_of(in_crowd(0.97)) == close(1 / 2)  # and here after it


# ------------------------------------------------------------------------------------------------------------ logging

NAMES = ["cat", "dog", "bird"]


def cats_only() -> MeanAveragePrecision:
    metric = MeanAveragePrecision(class_metrics=True, class_names=NAMES)
    metric.update(*batch(hit(0)))
    return metric


def test_every_epoch_logs_the_same_keys() -> None:
    metric = cats_only()
    first = metric.compute()
    metric.reset()
    metric.update(*batch(image([([0, 0, 8, 8], 0.9, 2)], [([0, 0, 8, 8], 2), ([0, 0, 8, 8], 1)])))
    assert list(first) == list(metric.compute())
    assert {f"map/{name}" for name in NAMES} | {f"mar_100/{name}" for name in NAMES} < set(first)


def test_every_logged_value_is_a_scalar_and_none_is_minus_one() -> None:
    for key, value in cats_only().compute().items():
        assert (value.ndim, value.dtype, value.device.type) == (0, torch.float64, "cpu"), key
        assert value != -1, key


def test_a_declared_class_that_never_occurs_counts_only_as_zero_division_says() -> None:
    assert cats_only().compute()["map/dog"].isnan()
    assert cats_only().compute()["map"] == 1
    metric = MeanAveragePrecision(class_metrics=True, class_names=NAMES, zero_division=0.0)
    metric.update(*batch(hit(0)))
    assert metric.compute()["map/dog"] == 0
    assert metric.compute()["map"].item() == close(1 / 3)  # (1 + 0 + 0) / 3


def test_an_empty_validation_set_logs_numbers_when_asked_to() -> None:
    """NaN stops Lightning's ``EarlyStopping``; ``zero_division=0`` does not."""
    metric = MeanAveragePrecision(class_names=NAMES, class_metrics=True, zero_division=0.0)
    metric.update([], [])
    assert all(value == 0 for value in metric.compute().values())


def test_class_names_of_a_dict_name_any_label() -> None:
    metric = MeanAveragePrecision(class_metrics=True, class_names={90: "toothbrush", -1: "other"})
    metric.update(*batch(image([([0, 0, 8, 8], 0.9, 90)], [([0, 0, 8, 8], 90)])))
    assert metric.compute()["map/toothbrush"] == 1


def test_a_label_without_a_name_raises() -> None:
    metric = MeanAveragePrecision(class_names=NAMES)
    with pytest.raises(ValueError, match=r"labels.*cat.*7|labels.*0, 1, 2.*7"):
        metric.update(*batch(image([([0, 0, 8, 8], 0.9, 7)], [])))
    assert metric.update_count == 0


# ---------------------------------------------------------------------------------------------------------- bad input

BOX, GOOD = torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([0])


def bad(side: str, **columns: Any) -> tuple[list[Item], list[Item]]:
    """Two images; the second one, on one side, has these columns instead of its own, or without them if None."""
    preds, target = batch(hit(0), hit(1))
    items = preds if side == "preds" else target
    items[1] = {key: value for key, value in (items[1] | columns).items() if value is not None}
    return preds, target


WRONG_FORM: dict[str, tuple[tuple[list[Item], list[Item]], str]] = {
    "five columns": (
        bad("preds", boxes=torch.zeros(2, 5)),
        r"preds\[1\]\['boxes'\]: expected shape \(N, 4\), got \(2, 5\)",
    ),
    "more scores": (bad("preds", scores=torch.ones(3)), r"preds\[1\]\['scores'\]: .*\(1,\).*\(3,\)"),
    "fewer labels": (bad("preds", labels=GOOD[:0]), r"preds\[1\]\['labels'\]: .*\(1,\).*\(0,\)"),
    "more target labels": (bad("target", labels=GOOD.repeat(2)), r"target\[1\]\['labels'\]: .*\(1,\).*\(2,\)"),
    "no scores": (bad("preds", scores=None), r"preds\[1\].*'scores'.*'boxes', 'labels'"),
    "no boxes": (bad("target", boxes=None), r"target\[1\].*'boxes'"),
    "float labels": (bad("preds", labels=torch.tensor([0.0])), r"preds\[1\]\['labels'\]: .*integer.*float32"),
    "a list of boxes": (bad("preds", boxes=[[0, 0, 8, 8]]), r"preds\[1\]\['boxes'\]: expected a tensor, got list"),
    "crowds of another length": (bad("target", iscrowd=torch.zeros(2)), r"target\[1\]\['iscrowd'\]: .*\(1,\).*\(2,\)"),
    "one id missing": ((batch(hit(0), hit(1, image_id=3))), r"target\[0\]\['image_id'\]: .*"),
    "a float id": (bad("target", image_id=torch.tensor(1.5)), r"target\[.\]\['image_id'\]: .*"),
    "lists of other lengths": ((batch(hit(0))[0], batch(hit(0), hit(1))[1]), r"preds.*target.*1.*2"),
    "a dict for a list": ((batch(hit(0))[0], batch(hit(0))[1][0]), r"target: expected a list.*got dict"),  # type: ignore
}
NAN, INFINITY = math.nan, math.inf
WRONG_VALUES: dict[str, tuple[tuple[list[Item], list[Item]], str]] = {
    "NaN box": (bad("preds", boxes=torch.tensor([[0, 0, NAN, 8]])), r"preds\[1\]\['boxes'\]: expected finite.*nan"),
    "NaN target": (
        bad("target", boxes=torch.tensor([[0, 0, NAN, 8]])),
        r"target\[1\]\['boxes'\]: expected finite.*nan",
    ),
    "infinite box": (
        bad("preds", boxes=torch.tensor([[0, 0, INFINITY, 8]])),
        r"preds\[1\]\['boxes'\]: expected finite.*inf",
    ),
    "NaN score": (bad("preds", scores=torch.tensor([NAN])), r"preds\[1\]\['scores'\]: expected finite.*nan"),
    "negative width": (
        bad("preds", boxes=torch.tensor([[9.0, 0, 8, 8]])),
        r"preds\[1\]\['boxes'\]: expected width.*9\.0",
    ),
    "negative height": (
        bad("target", boxes=torch.tensor([[0.0, 9, 8, 8]])),
        r"target\[1\]\['boxes'\]: expected width.*9\.0",
    ),
    "NaN area": (bad("target", area=torch.tensor([NAN])), r"target\[1\]\['area'\]: expected finite.*nan"),
    "negative area": (bad("target", area=torch.tensor([-1.0])), r"target\[1\]\['area'\]: .*-1"),
}


def some_history(metric: MeanAveragePrecision) -> MeanAveragePrecision:
    metric.update(*batch(hit(5), miss(6)))  # recall 1/2: 51/101
    return metric


@pytest.mark.parametrize(
    ("arguments", "message"), [*WRONG_FORM.values(), *WRONG_VALUES.values()], ids=[*WRONG_FORM, *WRONG_VALUES]
)
def test_bad_input_is_named_and_changes_nothing(arguments: tuple[list[Item], list[Item]], message: str) -> None:
    metric = some_history(MeanAveragePrecision())
    with pytest.raises(ValueError, match=message):
        metric.update(*arguments)
    assert metric.update_count == 1
    assert metric.compute()["map"].item() == close(51 / 101)
    assert metric.num_images == 2


def test_a_rejected_image_id_is_negative() -> None:
    metric = some_history(MeanAveragePrecision())
    for image_id in (-1, torch.tensor(-1), torch.tensor([-(2**63)])):
        with pytest.raises(ValueError, match=r"target\[1\]\['image_id'\]: expected a non-negative int"):
            metric.update(*batch(hit(0, image_id=0), (hit(1)[0], {**hit(1)[1], "image_id": image_id})))
    assert metric.compute()["map"].item() == close(51 / 101)


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value checks as on a GPU: not in ``update()``, where they would stall it, but no later than ``compute()``."""
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)


@pytest.mark.usefixtures("deferred")
@pytest.mark.parametrize(("arguments", "message"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_deferred_value_errors_stay_until_reset(arguments: tuple[list[Item], list[Item]], message: str) -> None:
    named = message.split(":")[0].replace(r"\[1\]", "")  # "preds['boxes']"
    metric = some_history(MeanAveragePrecision())
    metric.update(*arguments)
    for _ in range(2):
        with pytest.raises(ValueError, match=named) as error:
            metric.compute()
        assert "3" in str(error.value), "names the image: the fourth since the last reset"
    metric.update(*batch(hit(0)))
    with pytest.raises(ValueError, match=named):
        metric.compute()
    metric.reset()
    assert some_history(metric).compute()["map"].item() == close(51 / 101)


@pytest.mark.usefixtures("deferred")
@pytest.mark.parametrize(("arguments", "message"), WRONG_FORM.values(), ids=WRONG_FORM)
def test_errors_of_form_are_never_deferred(arguments: tuple[list[Item], list[Item]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MeanAveragePrecision().update(*arguments)


@pytest.mark.usefixtures("deferred")
def test_deferred_checks_give_the_same_numbers() -> None:
    metric = some_history(MeanAveragePrecision())
    assert metric.compute()["map"].item() == close(51 / 101)


# --------------------------------------------------------------------------------------------------------- image ids


def test_repeated_images_are_dropped_and_counted() -> None:
    metric = MeanAveragePrecision()
    metric.update(*batch(hit(1, image_id=1), miss(2, image_id=2)))
    metric.update(*batch(hit(1, image_id=1), hit(3, image_id=3), hit(1, image_id=1)))
    with pytest.warns(UserWarning, match=r"2 images \(id 1\) were seen again"):
        assert metric.compute()["map"].item() == close(67 / 101)  # recall 2/3
    assert (metric.num_images, metric.num_duplicates) == (3, 2)


def test_of_repeats_that_differ_in_their_detections_one_stays_whatever_the_order() -> None:
    right, wrong = hit(0, image_id=4), ({**hit(9)[0]}, miss(0, image_id=4)[1])
    found = []
    for pairs in ((right, wrong), (wrong, right)):
        with pytest.warns(UserWarning, match=r"1 image \(id 4\) was seen again"):
            found.append(mean_average_precision(*batch(*pairs))["map"])
    assert torch.equal(*found)


def test_one_id_for_two_images_is_an_error_that_names_it() -> None:
    metric = MeanAveragePrecision()
    metric.update(*batch(hit(1, image_id=77)))
    metric.update(*batch(hit(2, image_id=77)))
    for _ in range(2):
        with pytest.raises(ValueError, match="77"):
            metric.compute()
    metric.reset()
    metric.update(*batch(hit(1, image_id=77)))
    assert metric.compute()["map"] == 1


@pytest.mark.parametrize("key", [0, 2**60, 2**63 - 1])
def test_any_non_negative_id_will_do(key: int) -> None:
    for image_id in (key, torch.tensor(key), torch.tensor([key])):
        assert value_of((hit(0)[0], {**hit(0)[1], "image_id": image_id})) == close(1)


def test_boxes_of_half_precision_have_areas_beyond_its_range() -> None:
    """512 * 512 is 262,144; float16 ends at 65,504."""
    box: Tensor = torch.tensor([[0.0, 0, 512, 512]], dtype=torch.float16)
    preds, target = {"boxes": box, "scores": torch.tensor([0.9]), "labels": GOOD}, {"boxes": box, "labels": GOOD}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = mean_average_precision([preds], [target])
    assert (result["map"], result["map_large"], result["map"].dtype) == (1, 1, torch.float64)
