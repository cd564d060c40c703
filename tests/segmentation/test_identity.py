"""Which images are the same, how many there are, and what a state is read for."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

import detmetrics
from detmetrics import ClassificationReport, SegmentationConfusionMatrix, SegmentationIoU, SegmentationReport
from detmetrics.segmentation.metric import CountingMetric

METRICS = (SegmentationIoU, SegmentationConfusionMatrix, SegmentationReport, ClassificationReport)


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("apart", [False, True], ids=["one-update", "two-updates"])
def test_one_id_with_targets_of_equal_counts_that_differ(kind: type[CountingMetric], apart: bool) -> None:
    """Both targets have one pixel of each class and both predictions are right: no count tells the images apart."""
    target = torch.tensor([[0, 1], [1, 0]])
    settings: dict[str, Any] = {"num_classes": 2}
    if kind is ClassificationReport:
        settings["task"] = "multilabel"
    metric = kind(**settings)
    for images in [[0], [1]] if apart else [[0, 1]]:
        metric.update(target[images], target[images], image_ids=[5] * len(images))
    with pytest.raises(
        ValueError, match=r"image_ids: expected one target for an id, got two images with id 5 and other"
    ):
        metric.compute()


def test_ignored_pixels_are_content_too() -> None:
    metric = SegmentationIoU(num_classes=2, ignore_index=[255, 254])
    preds = torch.tensor([[0, 1, 1]])
    metric.update(preds, torch.tensor([[0, 1, 255]]), image_ids=[3])
    metric.update(preds, torch.tensor([[0, 1, 254]]), image_ids=[3])
    with pytest.raises(ValueError, match="two images with id 3"):
        metric.compute()


def test_copies_of_an_image_in_other_dtypes_and_batches_are_one_image() -> None:
    preds = torch.tensor([[0, 1, 1], [1, 1, 0]])
    target = torch.tensor([[0, 1, 255], [1, 0, 0]])
    metric = SegmentationIoU(num_classes=2, ignore_index=255)
    metric.update(preds, target, image_ids=[8, 9])
    metric.update(preds[1:], target[1:].to(torch.uint8), image_ids=[9])
    metric.update(preds[:1], target[:1].float(), image_ids=torch.tensor([8], dtype=torch.uint8))
    once = SegmentationIoU(num_classes=2, ignore_index=255)
    once.update(preds, target)
    with pytest.warns(UserWarning, match="2 images"):
        assert torch.equal(metric.compute(), once.compute())
    assert (metric.num_images, metric.num_duplicates) == (2, 2)


def test_one_hot_targets_are_those_of_labels() -> None:
    metric = ClassificationReport(num_classes=3)
    target = torch.tensor([2, 0])
    metric.update(target, target, image_ids=[0, 1])
    metric.update(target, torch.nn.functional.one_hot(target, 3), image_ids=[0, 1])
    with pytest.warns(UserWarning, match="2 images"):
        assert metric.compute()["support"] == 2
    assert metric.num_duplicates == 2


@pytest.mark.parametrize("kind", METRICS)
def test_images_without_ids_are_counted(kind: type[CountingMetric]) -> None:
    labels = torch.tensor([0, 1, 1, 0, 1]) if kind is ClassificationReport else torch.tensor([[0, 1]] * 5)
    metric = kind(num_classes=2)
    metric.update(labels[:2], labels[:2])
    metric.update(labels[2:], labels[2:])
    metric.compute()
    assert (metric.num_images, metric.num_duplicates) == (5, 0)
    metric.update(labels[:3], labels[:3], image_ids=[7, 7, 9] if kind is not ClassificationReport else [7, 8, 8])
    with pytest.warns(UserWarning, match="1 image "):
        metric.compute()
    assert (metric.num_images, metric.num_duplicates) == (7, 1)
    other = kind(num_classes=2)
    other.update(labels, labels)
    other.merge_state(metric)
    with pytest.warns(UserWarning, match="1 image "):
        other.compute()
    assert (other.num_images, other.num_duplicates) == (12, 1)


def test_images_without_ids_are_counted_where_each_has_a_row() -> None:
    metric = SegmentationIoU(num_classes=2, aggregate="imagewise")
    metric.update(torch.zeros(4, 2), torch.zeros(4, 2))
    metric.compute()
    assert (metric.num_images, metric.num_duplicates) == (4, 0)


@pytest.mark.parametrize("kind", METRICS)
def test_what_becomes_of_repeated_images(kind: type[CountingMetric]) -> None:
    """One target, three predictions, two of them equal."""
    samples = kind is ClassificationReport
    target = torch.tensor([1, 1, 1, 0]) if samples else torch.tensor([[0, 1]] * 3 + [[1, 1]])
    preds = torch.tensor([1, 0, 1, 0]) if samples else torch.tensor([[0, 1], [1, 1], [0, 1], [1, 1]])
    ids = [4, 4, 4, 9]

    def fed(**settings: Any) -> CountingMetric:
        metric = kind(num_classes=2, **settings)
        metric.update(preds, target, image_ids=ids)
        return metric

    metric = fed()
    with pytest.warns(UserWarning, match=r"\(id 4\) (was|were) seen again") as caught:
        metric.compute()
    assert any("other predictions" in str(warning.message) for warning in caught)
    assert len(caught) <= 2  # the row that stays may be that of either prediction
    assert (metric.num_images, metric.num_duplicates) == (2, 2)
    with pytest.raises(ValueError, match=r"image_ids: expected one image for an id, got .*id 4.* seen again"):
        fed(duplicates="error").compute()
    kept, plain = fed(duplicates="keep"), kind(num_classes=2)
    plain.update(preds, target)
    assert str(kept.compute()) == str(plain.compute())
    assert (kept.num_images, kept.num_duplicates) == (4, 0)
    with pytest.raises(ValueError, match="duplicates: fixed when"):
        kept.duplicates = "drop"


# --------------------------------------------------------------------------------------------------- sharing


def groups(**metrics: CountingMetric) -> list[list[str]]:
    """Which metrics share a state in a collection, after an update with labels of two classes."""
    collection = MetricCollection(dict(metrics))
    target = torch.tensor([[0, 1], [1, 0]])  # two label maps, or one-hot
    for _ in range(2):
        collection.update(target, target)
    return sorted(sorted(group) for group in collection.compute_groups.values())


def test_a_threshold_tells_no_label_maps_apart() -> None:
    iou = detmetrics.SegmentationIoU
    multiclass = {
        name: iou(num_classes=2, **settings)
        for name, settings in {"a": {}, "b": {"threshold": 0.7}, "c": {"from_logits": True}}.items()
    }
    assert groups(**multiclass) == [["a", "b", "c"]]
    binary = {
        name: iou(task="binary", **settings)
        for name, settings in {"a": {}, "b": {"threshold": 0.7}, "c": {"from_logits": True}, "d": {}}.items()
    }
    assert groups(**binary) == [["a", "d"], ["b"], ["c"]]


def test_pixels_and_samples_are_not_shared() -> None:
    """A target (N, C) is N label maps to one of them, and one-hot to the other."""
    assert groups(pixels=SegmentationIoU(num_classes=2), samples=ClassificationReport(num_classes=2)) == [
        ["pixels"],
        ["samples"],
    ]


@pytest.mark.parametrize("first", ["some", "all"])
def test_reports_of_some_and_of_all_labels_of_masks(first: str) -> None:
    """The averages over samples, and the accuracy, pool the labels that are reported: two states."""
    settings = {"task": "multilabel", "num_classes": 2}
    reports = {"some": ClassificationReport(labels=[0], **settings), "all": ClassificationReport(**settings)}
    collection = MetricCollection({name: reports[name] for name in sorted(reports, reverse=first == "some")})
    alone = {"some": ClassificationReport(labels=[0], **settings), "all": ClassificationReport(**settings)}
    preds, target = torch.tensor([[1, 1], [0, 0]]), torch.tensor([[1, 0], [0, 0]])
    for _ in range(2):
        collection.update(preds, target)
        for metric in alone.values():
            metric.update(preds, target)
    for name, metric in alone.items():
        found: dict[str, Tensor] = collection[name].compute()
        for key, value in metric.compute().items():
            assert torch.equal(found[key].nan_to_num(-1), value.nan_to_num(-1)), (name, key)
    assert alone["some"].compute()["accuracy"] == 1  # label 0 is right in both samples
    assert alone["all"].compute()["accuracy"] == 0.5


# --------------------------------------------------------------------------------------------------- reading


def gathering(kind: type[CountingMetric], calls: list[int], **settings: Any) -> CountingMetric:
    """A metric that believes to be one of two ranks, both of which have its own state."""

    def gather(vector: Tensor, group: Any = None) -> list[Tensor]:
        calls.append(len(vector))
        return [vector, vector]

    return kind(dist_sync_fn=gather, distributed_available_fn=lambda: True, **settings)


@pytest.mark.parametrize("kind", METRICS)
def test_text_and_pictures_gather_no_second_time(kind: type[CountingMetric]) -> None:
    calls: list[int] = []
    metric = gathering(kind, calls, num_classes=2)
    labels = torch.tensor([0, 1]) if kind is ClassificationReport else torch.tensor([[0, 1]])
    metric.update(labels, labels)
    metric.compute()
    assert len(calls) == 1
    assert metric.num_images == 2 * len(labels)
    metric.data()
    if hasattr(metric, "table"):
        metric.table()
    if kind is SegmentationIoU:
        metric.average = "none"
        metric.compute()
        pytest.importorskip("matplotlib")
        metric.plot()
    assert len(calls) == 1


# --------------------------------------------------------------------------------------------------- meta


@pytest.mark.parametrize("settings", [{}, {"task": "multilabel"}], ids=str)
@pytest.mark.parametrize("kind", METRICS)
def test_a_metric_made_on_meta_starts_at_zero_after_reset(kind: type[CountingMetric], settings: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = torch.nn.ModuleList([kind(num_classes=2, **settings)])
    metric = model.to_empty(device="cpu")[0]
    metric.reset()
    masks = torch.tensor([[0, 1], [1, 1], [0, 0]])
    labels = masks[:, 0] if kind is ClassificationReport and not settings else masks
    metric.update(labels, labels)
    fresh = kind(num_classes=2, **settings)
    fresh.update(labels, labels)
    for found, expected in zip(metric.metric_state.values(), fresh.metric_state.values(), strict=True):
        assert torch.equal(torch.as_tensor(found[0]), torch.as_tensor(expected[0])) if len(expected) else not len(found)
    assert metric.data().num_images == 3
