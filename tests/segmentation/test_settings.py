"""Settings: assigned equals constructed, bad values raise and name the attribute, nothing can be edited in place."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detmetrics.segmentation.metric import CountingMetric
from detmetrics.settings import Fixed, Setting
from tests.segmentation.registry import REGISTRY, same_bits

NAN = float("nan")
NAMES = ["road", "sky", "cow"]
SETTINGS: dict[str, list[Any]] = {  # values to assign, each in every form that is taken
    "average": ["micro", "macro", "weighted", "none"],
    "aggregate": ["dataset"],
    "class_names": [NAMES, tuple(NAMES), dict(enumerate(NAMES)), np.array(NAMES), None],
    "class_weights": [[1, 2, 3], (0.5, 0, 1), np.array([1.0, 2.0, 0.0]), torch.tensor([3.0, 2.0, 1.0]), None],
    "exclude_classes": [0, [0, 2], np.int64(1), np.array([2, 1]), torch.tensor([0]), None, []],
    "zero_division": [0, 1.0, NAN, np.float32(0.5), np.int64(1), torch.tensor(0.25)],
    "beta": [2, 0.5, np.float64(3.0), torch.tensor(2)],
    "normalize": ["true", "pred", "all", None],
    "threshold": [0.0, 0.25, 1, np.float32(0.5)],
    "from_logits": [True, False, np.True_],
    "labels": [[2, 0], [1], np.array([0, 1]), range(3), None],
    "target_names": [NAMES, np.array(NAMES[::-1]), None],
    "digits": [0, 5, np.int64(3)],
}
BAD: dict[str, list[Any]] = {
    "average": ["Macro", None, ["macro"], 1],
    "aggregate": ["Dataset", "images", None, ["dataset"]],
    "class_names": ["abc", 3, NAMES[:2], ["a", "a", "b"], {0: "a", 1: "b", 3: "c"}, [1, 2, 3]],
    "class_weights": [[1, -1, 1], [1, NAN, 1], [1, 2], 3, "abc", [True, 1, 1], [1, float("inf"), 1], []],
    "exclude_classes": [3, -1, 0.5, "a", [True], ["0"]],
    "zero_division": [True, float("inf"), -float("inf"), "warn", None, np.inf, np.True_],
    "beta": [0, -1, NAN, float("inf"), True, "1", None],
    "normalize": ["True", True, 1, ["true"]],
    "threshold": [1.5, -0.1, NAN, True, "0.5", None],
    "from_logits": [1, 0, "yes", None],
    "labels": [[3], [-1], [0, 0], "01", [0.5], [], 2],
    "target_names": [["a"], ["a", "a", "b"], "abc", [1, 2, 3]],
    "digits": [-1, 0.5, True, "2", None],
}
REFUSED: dict[str, dict[str, list[Any]]] = {  # of these values, with the others as they are by default
    "HausdorffDistance": {"average": ["micro"], "aggregate": ["dataset"]},
    "SurfaceDice": {"average": ["micro"]},
    "AverageSurfaceDistance": {"average": ["micro"]},
}
FIXED: dict[str, list[Any]] = {
    "task": ["multiclass", "binary"],
    "num_classes": [3, 4],
    "ignore_index": [(), 255],
    "duplicates": ["drop", "keep"],
}


def attributes(name: str, kind: type) -> list[str]:
    metric = REGISTRY[name].metric
    return [attribute for attribute in dir(metric) if isinstance(getattr(metric, attribute, None), kind)]


def each(values: dict[str, list[Any]]) -> list[Any]:
    """Every setting of every class with every value."""
    return [
        pytest.param(name, attribute, value, id=f"{name}-{attribute}-{value!r}")
        for name in REGISTRY
        for attribute in attributes(name, Setting)
        for value in values[attribute]
        if value not in refused(name, attribute)
    ]


def refused(name: str, attribute: str) -> list[Any]:
    return REFUSED.get(name, {}).get(attribute, [])


def make(name: str, **settings: Any) -> CountingMetric:
    return REGISTRY[name].metric(**{"num_classes": 3, **settings})


def data(name: str) -> tuple[Tensor, Tensor]:
    """Labels with a class that is only predicted, of which there are few enough for 0/0."""
    preds, target = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]]), torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0]])
    shape = (-1,) if name == "ClassificationReport" else (2, 2, 2)
    return preds.reshape(shape), target.reshape(shape)


@pytest.mark.parametrize(("name", "attribute", "value"), each(SETTINGS))
def test_assigned_equals_constructed(name: str, attribute: str, value: Any) -> None:
    assigned, constructed = make(name), make(name, **{attribute: value})
    assigned.update(*data(name))
    constructed.update(*data(name))
    before = assigned.compute()
    setattr(assigned, attribute, value)
    assert repr(assigned.settings) == repr(constructed.settings)
    assert repr(getattr(assigned, attribute)) == repr(getattr(constructed, attribute))
    assert same_bits(assigned.compute(), constructed.compute())
    setattr(assigned, attribute, getattr(make(name), attribute))
    assert same_bits(assigned.compute(), before)


@pytest.mark.parametrize(("name", "attribute", "value"), each(BAD))
def test_bad_values_raise_and_change_nothing(name: str, attribute: str, value: Any) -> None:
    metric = make(name)
    settings = metric.settings
    with pytest.raises(ValueError, match=rf"{attribute}: expected .*, got "):
        setattr(metric, attribute, value)
    assert metric.settings is settings
    with pytest.raises(ValueError, match=rf"{attribute}: expected .*, got "):
        make(name, **{attribute: value})


@pytest.mark.parametrize("name", REGISTRY)
def test_what_the_state_depends_on_is_fixed(name: str) -> None:
    metric = make(name)
    assert set(attributes(name, Fixed)) >= set(FIXED)
    for attribute, values in FIXED.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{attribute}: fixed when a {name} is made"):
                setattr(metric, attribute, value)
    assert (metric.task, metric.num_classes, metric.ignore_index) == ("multiclass", 3, ())


@pytest.mark.parametrize("task", ["binary", "multilabel"])
@pytest.mark.parametrize("name", REGISTRY)
def test_the_threshold_of_masks_is_fixed(name: str, task: str) -> None:
    metric = REGISTRY[name].metric(task=task, num_classes=None if task == "binary" else 3)
    for attribute, other in (("threshold", 0.25), ("from_logits", True)):
        with pytest.raises(ValueError, match=f"{attribute}: fixed when a {name} is made"):
            setattr(metric, attribute, other)
        setattr(metric, attribute, getattr(metric, attribute))
    with pytest.raises(ValueError, match="threshold: fixed when"):
        metric.settings = metric.settings.replace(threshold=0.25, zero_division=0)
    assert (metric.threshold, metric.from_logits) == (0.5, False)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in REGISTRY
        if "aggregate" in attributes(name, Setting) and "spacing" not in attributes(name, Fixed)
    ],
)
def test_images_that_were_pooled_cannot_be_told_apart(name: str) -> None:
    pooled, apart = make(name), make(name, aggregate="imagewise")
    with pytest.raises(ValueError, match=f"aggregate: fixed when a {name} is made"):
        pooled.aggregate = "imagewise"
    with pytest.raises(ValueError, match=f"aggregate: fixed when a {name} is made"):
        apart.aggregate = "dataset"
    apart.update(*data(name))
    for aggregate in ("classwise", "pooled", "imagewise"):
        apart.aggregate = aggregate
        constructed = make(name, aggregate=aggregate)
        constructed.update(*data(name))
        assert same_bits(apart.compute(), constructed.compute())


def test_settings_that_do_not_fit_one_another() -> None:
    metric = make("SegmentationIoU", aggregate="classwise", class_weights=[1, 2, 3])
    with pytest.raises(ValueError, match=r"average: expected one of .* with aggregate='classwise', got 'micro'"):
        metric.average = "micro"
    with pytest.raises(ValueError, match=r"class_weights: expected average='macro' .*, got average='none'"):
        metric.average = "none"
    metric.class_weights = None
    metric.average = "none"
    assert (metric.average, metric.class_weights) == ("none", None)


def test_the_labels_of_masks_are_fixed() -> None:
    metric = make("ClassificationReport", task="multilabel", labels=[1, 0])
    with pytest.raises(ValueError, match="labels: fixed when a ClassificationReport is made"):
        metric.labels = [0]
    metric.labels = [0, 1]  # another order of the same ones
    assert metric.labels == (0, 1)


def test_the_number_of_classes_that_others_declare() -> None:
    assert REGISTRY["SegmentationIoU"].metric(class_names=NAMES).num_classes == 3
    assert REGISTRY["SegmentationIoU"].metric(task="binary").num_classes == 1
    report = REGISTRY["ClassificationReport"].metric
    assert [report(**given).num_classes for given in ({"labels": [4, 1]}, {"target_names": NAMES})] == [5, 3]
    assert report(task="binary").num_classes == 2


@pytest.mark.parametrize("name", REGISTRY)
def test_settings_cannot_be_edited_in_place(name: str) -> None:
    given = {attribute: list(values[0]) for attribute, values in SETTINGS.items() if isinstance(values[0], list)}
    given = {attribute: value for attribute, value in given.items() if attribute in attributes(name, Setting)}
    if "labels" in given:
        given |= {"labels": [2, 0, 1]}
    metric = make(name, ignore_index=[255, 254], **given)
    metric.update(*data(name))
    expected, kept = metric.compute(), repr(metric.settings)
    for value in given.values():
        value.reverse()  # what was given is not what is held
    for field in dataclasses.fields(metric.settings):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(metric.settings, field.name, None)
        hash(getattr(metric.settings, field.name))  # no list, no dict
    assert repr(metric.settings) == kept
    assert same_bits(metric.compute(), expected)


def test_arguments_in_numpy() -> None:
    plain = make("SegmentationIoU", num_classes=3, ignore_index=[255, 1])
    for ignored in (np.array([255, 1]), [np.int64(255), np.uint8(1)], torch.tensor([1, 255]), (1, 255)):
        metric = make("SegmentationIoU", num_classes=np.int32(3), ignore_index=ignored)
        assert repr(metric.settings) == repr(plain.settings)
        assert metric.configuration == plain.configuration
        assert list(metric.metric_state) == list(plain.metric_state)
    metric = make("SegmentationIoU")
    preds, target = data("SegmentationIoU")
    for ids in (np.array([4, 7]), [np.int64(4), np.int64(7)], torch.tensor([4, 7]), range(4, 8, 3)):
        metric.update(preds, target, image_ids=ids)
    with pytest.warns(UserWarning, match=r"6 images \(ids 4, 7\) were seen again"):
        metric.compute()
    assert (metric.num_images, metric.num_duplicates) == (2, 6)
    for ids in (["a.png", "b.png"], [None, 1], np.array([0.5, 1]), "ab", 3, [2**64, 0]):
        with pytest.raises(ValueError, match="image_ids: expected 2 non-negative ints, one per image, got"):
            metric.update(preds, target, image_ids=ids)


def test_every_setting_is_tried() -> None:
    found = {attribute for name in REGISTRY for attribute in attributes(name, Setting)}
    assert found == set(SETTINGS) == set(BAD)
    for name in REGISTRY:
        arguments = {field.name for field in dataclasses.fields(make(name).settings)}
        shown = {*attributes(name, Setting), *attributes(name, Fixed)}
        assert shown <= arguments
        assert arguments - shown <= {"beta"}  # of F-beta alone
