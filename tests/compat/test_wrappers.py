"""torchmetrics' wrappers around metrics of this package, TorchScript and export.

Expected values come from fresh metrics without a wrapper, or from torchmetrics' own metric in the same wrapper.
"""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchmetrics
from torch import Tensor, nn
from torchmetrics import detection as theirs
from torchmetrics.wrappers import (
    BootStrapper,
    ClasswiseWrapper,
    MetricTracker,
    MinMaxMetric,
    MultioutputWrapper,
    MultitaskWrapper,
    Running,
)

import detmetrics
from detmetrics.compat import torchmetrics as ours
from tests.compat.test_torchmetrics import EXACT, check_equal, noisy

BATCHES = [noisy(seed) for seed in range(4)]
MAPS = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]]), torch.tensor([[0, 1, 1, 1], [2, 0, 0, 1]])

DETECTION: dict[str, Callable[[], Any]] = {
    "compat mAP": ours.MeanAveragePrecision,
    "compat IoU": ours.IntersectionOverUnion,
    "mAP": detmetrics.MeanAveragePrecision,
    "F1": detmetrics.DetectionF1Score,
    "report": detmetrics.DetectionReport,
}
kinds = pytest.mark.parametrize("make", DETECTION.values(), ids=DETECTION)


def value_of(make: Callable[[], Any], *batches: Any) -> Any:
    """The result of a new metric for some batches."""
    metric = make()
    for batch in batches:
        metric.update(*batch)
    return metric.compute()


def assert_same(result: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert result.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(result[key], value)
    else:
        torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)


@kinds
def test_running_gives_the_last_batches(make: Callable[[], Any]) -> None:
    running = Running(make(), window=2)
    for number, batch in enumerate(BATCHES):
        assert_same(running(*batch), value_of(make, batch))
        last = BATCHES[max(number - 1, 0) : number + 1]
        assert_same(running.compute(), value_of(make, *last))
    running.reset()
    running.update(*BATCHES[0])
    assert_same(running.compute(), value_of(make, BATCHES[0]))


@kinds
def test_multitask_keeps_tasks_apart(make: Callable[[], Any]) -> None:
    wrapper = MultitaskWrapper({"boxes": make(), "pixels": detmetrics.SegmentationIoU(num_classes=3)}, prefix="val_")
    (preds, target), (maps, true) = BATCHES[0], MAPS
    for _ in range(2):
        wrapper.update({"boxes": preds, "pixels": maps}, {"boxes": target, "pixels": true})
        result = wrapper.compute()
        assert result.keys() == {"val_boxes", "val_pixels"}
        assert_same(result["val_boxes"], value_of(make, BATCHES[0]))
        assert_same(result["val_pixels"], value_of(lambda: detmetrics.SegmentationIoU(num_classes=3), MAPS))
        wrapper.reset()


@kinds
def test_tracker_keeps_every_epoch(make: Callable[[], Any]) -> None:
    tracker = MetricTracker(make(), maximize=True)
    for batch in BATCHES:
        tracker.increment()
        tracker.update(*batch)
        assert_same(tracker.compute(), value_of(make, batch))
    assert tracker.n_steps == len(BATCHES)
    every = tracker.compute_all()
    expected = [value_of(make, batch) for batch in BATCHES]
    if isinstance(every, Tensor):
        assert_same(every, torch.stack(expected))
    elif isinstance(every, dict):
        assert_same(every, {key: torch.stack([one[key] for one in expected]) for key in expected[0]})
    else:
        for one, other in zip(every, expected, strict=True):
            assert_same(one, other)


def test_tracker_finds_the_best_epoch_of_a_score() -> None:
    tracker = MetricTracker(detmetrics.DetectionF1Score(), maximize=True)
    for batch in BATCHES:
        tracker.increment()
        tracker.update(*batch)
    scores = [value_of(detmetrics.DetectionF1Score, batch).item() for batch in BATCHES]
    best, step = tracker.best_metric(return_step=True)
    assert best == max(scores)
    assert step == scores.index(max(scores))


@pytest.mark.parametrize("make", [ours.MeanAveragePrecision, theirs.MeanAveragePrecision])
def test_tracker_has_no_best_epoch_of_a_dict_with_either_package(make: Callable[[], Any]) -> None:
    """``best_metric`` of torchmetrics' tracker handles dicts of collections alone; ``compute_all`` has the numbers."""
    tracker = MetricTracker(make(), maximize=True)
    for batch in BATCHES[:2]:
        tracker.increment()
        tracker.update(*batch)
    with pytest.raises(TypeError):
        tracker.best_metric()
    maps = [value_of(make, batch)["map"] for batch in BATCHES[:2]]
    assert tracker.compute_all()["map"].argmax() == torch.stack(maps).argmax()


def test_min_max_of_a_score() -> None:
    wrapper = MinMaxMetric(detmetrics.DetectionF1Score())
    seen: list[Tensor] = []
    metric = detmetrics.DetectionF1Score()
    for batch in BATCHES:
        wrapper.update(*batch)
        metric.update(*batch)
        seen.append(metric.compute())
        result = wrapper.compute()
        assert [result[key].item() for key in ("raw", "min", "max")] == [
            x.item() for x in (seen[-1], min(seen), max(seen))
        ]


@pytest.mark.parametrize("make", [ours.MeanAveragePrecision, theirs.MeanAveragePrecision])
def test_min_max_takes_no_dict_of_either_package(make: Callable[[], Any]) -> None:
    wrapper = MinMaxMetric(make())
    wrapper.update(*BATCHES[0])
    with pytest.raises(RuntimeError, match="scalar"):
        wrapper.compute()


def test_classwise_names_the_scores_of_classes() -> None:
    def make() -> Any:
        return detmetrics.DetectionF1Score(average="none", num_classes=4)

    wrapper = ClasswiseWrapper(make(), labels=["a", "b", "c", "d"], prefix="f1_")
    for batch in BATCHES[:2]:
        wrapper.update(*batch)
    expected = value_of(make, *BATCHES[:2])
    assert_same(wrapper.compute(), dict(zip(("f1_a", "f1_b", "f1_c", "f1_d"), expected, strict=True)))


def test_compositions_of_scores() -> None:
    precision, recall = detmetrics.DetectionPrecision(), detmetrics.DetectionRecall()
    f1 = 2 * precision * recall / (precision + recall)
    f1.update(*BATCHES[0])
    metric = detmetrics.DetectionF1Score()
    metric.update(*BATCHES[0])
    torch.testing.assert_close(f1.compute(), metric.compute(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("wrap", [lambda m: MultitaskWrapper({"a": m}), lambda m: MetricTracker(m, maximize=True)])
def test_both_packages_agree_in_one_wrapper(wrap: Callable[[Any], Any]) -> None:
    results = []
    for metric in (
        ours.MeanAveragePrecision(class_metrics=True),
        theirs.MeanAveragePrecision(**EXACT, class_metrics=True),
    ):
        wrapper = wrap(metric)
        if isinstance(wrapper, MetricTracker):
            wrapper.increment()
            wrapper.update(*BATCHES[0])
            results.append(wrapper.compute())
        else:
            wrapper.update(*({"a": side} for side in BATCHES[0]))
            results.append(wrapper.compute()["a"])
    check_equal(*results, 1e-6)


PACKAGES = pytest.mark.parametrize("make", [ours.MeanAveragePrecision, theirs.MeanAveragePrecision])
SCALARS: dict[str, Callable[[], Any]] = {
    "compat mAP": lambda: ours.MeanAveragePrecision()["map"],
    "their mAP": lambda: theirs.MeanAveragePrecision()["map"],
    "compat IoU": lambda: ours.IntersectionOverUnion()["iou"],
    "mAP": lambda: detmetrics.MeanAveragePrecision()["map"],
    "F1": detmetrics.DetectionF1Score,
    "report": lambda: detmetrics.DetectionReport()["f1_micro"],
}


@pytest.mark.parametrize("make", SCALARS.values(), ids=SCALARS)
def test_one_key_of_a_result_is_tracked_and_bounded(make: Callable[[], Any]) -> None:
    """``metric["map"]`` is a composition of torchmetrics: a metric of its own that gives one number."""
    tracker, bounded = MetricTracker(make(), maximize=True), MinMaxMetric(make())
    for batch in BATCHES:
        tracker.increment()
        tracker.update(*batch)
        bounded.update(*batch)
        result = bounded.compute()
    values = [value_of(make, batch).item() for batch in BATCHES]
    assert tracker.best_metric(return_step=True) == (max(values), values.index(max(values)))
    seen = [value_of(make, *BATCHES[: n + 1]).item() for n in range(len(BATCHES))]
    assert [result[key].item() for key in ("raw", "min", "max")] == [seen[-1], min(seen), max(seen)]


@pytest.mark.filterwarnings("ignore:Encountered the following error when trying to get the best metric:UserWarning")
@PACKAGES
def test_tracker_finds_the_best_epoch_of_each_key_in_a_collection(make: Callable[[], Any]) -> None:
    tracker = MetricTracker(torchmetrics.MetricCollection([make()]), maximize=True)
    for batch in BATCHES:
        tracker.increment()
        tracker.update(*batch)
    best, steps = tracker.best_metric(return_step=True)
    results = [value_of(make, batch) for batch in BATCHES]
    for key in ("map", "map_50", "mar_100"):
        values = [result[key].item() for result in results]
        assert (best[key], steps[key]) == (max(values), values.index(max(values)))


@pytest.mark.parametrize("name", ["f1", "iou"])
def test_outputs_of_segmentation_are_told_apart(name: str) -> None:
    """Maps of two tasks in the last dimension. Boxes have none: for lists of dicts use ``MultitaskWrapper``."""
    kind = {"f1": detmetrics.SegmentationF1Score, "iou": detmetrics.SegmentationIoU}[name]
    wrapper = MultioutputWrapper(kind(num_classes=3), num_outputs=2, output_dim=-1)
    preds, target = (torch.stack([x[None], x.flip(1)[None]], dim=-1) for x in MAPS)  # (1, 2, 4, 2)
    other = target.clone()
    other[..., 1] = 0
    wrapper.update(preds, other)
    expected = [value_of(lambda: kind(num_classes=3), (preds[..., k], other[..., k])) for k in range(2)]
    assert_same(wrapper.compute(), torch.stack(expected))


# ------------------------------------------------------------------------------------------------------------ bootstrap


def test_bootstrap_of_tensors_gives_what_torchmetrics_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(0, 3, (2, 12, 5, 5), generator=generator)
    results = []
    for kind in (BootStrapper, ours.BootStrapper):
        for strategy in ("poisson", "multinomial"):
            torch.manual_seed(3)
            metric = kind(detmetrics.SegmentationIoU(num_classes=3), 6, True, True, 0.5, True, strategy)
            metric.update(*maps)
            results.append(metric.compute())
    assert results[0].keys() == {"mean", "std", "quantile", "raw"}
    for expected, result in zip(results[:2], results[2:], strict=True):
        for key, value in expected.items():
            torch.testing.assert_close(result[key], value, rtol=0, atol=1e-12)


@kinds
def test_bootstrap_resamples_images(make: Callable[[], Any]) -> None:
    """Each copy is what the metric says of the images that were drawn, by their number of targets."""
    preds, target = BATCHES[0]
    numbered = [{**item, "image_id": number} for number, item in enumerate(target)]
    metric = ours.BootStrapper(make(), num_bootstraps=5, raw=True)
    torch.manual_seed(1)
    drawn = [torch.arange(len(preds)).repeat_interleave(torch.poisson(torch.ones(len(preds))).long()) for _ in range(5)]
    torch.manual_seed(1)
    metric.update(preds, numbered)
    result = metric.compute()
    expected = [value_of(make, ([preds[i] for i in index], [target[i] for i in index])) for index in drawn]
    assert any(len(index.unique()) < len(index) for index in drawn)  # an image counts twice
    for prefix, values in _by_prefix(expected):
        stacked = torch.stack(values)
        if isinstance(metric.metrics[0], ours.MeanAveragePrecision):
            stacked = torch.where(stacked == -1, torch.nan, stacked)
        assert_same(result[f"{prefix}raw"], stacked)
        defined = stacked[~stacked.isnan()]
        if len(defined) > 1:
            torch.testing.assert_close(result[f"{prefix}mean"], defined.mean())
            torch.testing.assert_close(result[f"{prefix}std"], defined.std())


def _by_prefix(expected: list[Any]) -> list[tuple[str, list[Tensor]]]:
    """The float numbers of results by the prefix of their keys."""
    if isinstance(expected[0], Tensor):
        return [("", expected)]
    keys = [key for key, value in expected[0].items() if value.is_floating_point() and value.ndim == 0]
    return [(f"{key}_", [one[key] for one in expected]) for key in keys if all(key in one for one in expected)]


def test_torchmetrics_bootstrap_fails_on_lists_with_either_package() -> None:
    for make in (ours.MeanAveragePrecision, theirs.MeanAveragePrecision):
        with pytest.raises((TypeError, RuntimeError, ValueError, AttributeError)):
            BootStrapper(make()).update(*BATCHES[0])


def test_bootstrap_in_forward_reset_and_with_wrong_arguments() -> None:
    metric = ours.BootStrapper(
        detmetrics.DetectionF1Score(), num_bootstraps=4, raw=True, sampling_strategy="multinomial"
    )
    values = [metric(*batch)["raw"] for batch in BATCHES]
    assert len({tuple(value.tolist()) for value in values}) == len(BATCHES)
    assert metric.compute()["raw"].shape == (4,)
    assert all(copy.update_count == len(BATCHES) for copy in metric.metrics)
    metric.reset()
    assert all(copy.update_count == 0 for copy in metric.metrics)
    for wrong in ({"sampling_strategy": "bayesian"}, {"base_metric": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ours.BootStrapper(**{"base_metric": detmetrics.DetectionF1Score(), **wrong})
    for arguments in ((), (1, 2, 3)):
        with pytest.raises(ValueError, match="update: expected"):
            metric.update(*arguments)


# ------------------------------------------------------------------------------------------------ TorchScript, export


class Detector(nn.Module):
    """A module that holds metrics, as Lightning modules do."""

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.metric = metric

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


HELD: dict[str, Callable[[], Any]] = {
    **DETECTION,
    "masks": lambda: ours.MeanAveragePrecision(iou_type=("bbox", "segm")),
    "IoU": lambda: detmetrics.SegmentationIoU(num_classes=3),
    "classification": lambda: detmetrics.ClassificationReport(num_classes=3),
    "collection": lambda: detmetrics.MetricCollection([detmetrics.MeanAveragePrecision()]),
    "their collection": lambda: torchmetrics.MetricCollection([ours.MeanAveragePrecision()]),
}


@pytest.mark.parametrize("make", HELD.values(), ids=HELD)
@pytest.mark.parametrize("updated", [False, True])
def test_modules_that_hold_a_metric_can_be_scripted_traced_and_exported(
    make: Callable[[], Any], updated: bool, tmp_path: Any
) -> None:
    module, x = Detector(make()), torch.ones((1, 2))
    if updated and make not in (HELD["IoU"], HELD["classification"], HELD["masks"]):
        module.metric.update(*BATCHES[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that TorchScript goes
        scripted, traced = torch.jit.script(module), torch.jit.trace(copy.deepcopy(module), x)
        torch.jit.save(scripted, tmp_path / "module.pt")
        loaded = torch.jit.load(tmp_path / "module.pt")
        exported = torch.export.export(module, (x,)).module()
    for made in (scripted, traced, loaded, exported):
        assert torch.equal(made(x), module(x))
