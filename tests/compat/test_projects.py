"""How public projects use mAP, in our words: with the import changed, they run and log the same keys.

Each pattern runs over torchmetrics' metrics and over those of ``detmetrics.compat.torchmetrics``; values are compared
at torchmetrics' tolerance, since its default thresholds are float32.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics import detection as theirs

import detmetrics
from detmetrics.compat import torchmetrics as ours
from tests import oracle
from tests.compat.test_torchmetrics import noisy
from tests.compat.validation_example import CUTS, Validation

BATCHES = [noisy(seed, images=7) for seed in range(3)]  # 21 images: two ranks are padded
NAMES = ("cat", "dog", "bird", "fish")
Logged = dict[str, Any]


def feed(metric: Any) -> Any:
    for batch in BATCHES:
        metric.update(*batch)
    return metric


def agree(use: Callable[[Any], Logged]) -> Logged:
    """What the pattern logs with our metrics, after a comparison with what it logs with torchmetrics'."""
    expected, found = use(theirs), use(ours)
    assert list(found) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=2e-3, msg=lambda text, key=key: f"{key}: {text}")
    return found


def loggable(results: Logged) -> Logged:
    """As Lightning's ``log_dict``: scalars alone are taken."""
    for key, value in results.items():
        assert isinstance(value, Tensor), key
        assert value.numel() == 1, key
    return results


def test_torchgeo_clones_a_collection_with_a_prefix() -> None:
    def use(package: Any) -> Logged:
        metrics = MetricCollection([package.MeanAveragePrecision(average="macro")])
        validation, testing = metrics.clone(prefix="val_"), metrics.clone(prefix="test_")
        logged = {}
        for own, prefix in ((validation, "val_"), (testing, "test_")):
            results = feed(own).compute()
            results.pop(f"{prefix}classes", None)
            logged |= loggable(results)
        assert not metrics["MeanAveragePrecision"].update_called
        return logged

    assert "test_map_per_class" in agree(use)


def test_terratorch_selects_keys_by_type() -> None:
    def use(package: Any) -> Logged:
        metrics = feed(MetricCollection({"mAP": package.MeanAveragePrecision(iou_type=("bbox",))}, prefix="val/"))
        results = {key: value for key, value in metrics.compute().items() if "classes" not in key}
        metrics.reset()
        return {key: value.float() for key, value in loggable(results).items()}

    assert "val/map" in agree(use)


def test_deepforest_logs_overlap_beside_precision_and_counts_images() -> None:
    def use(package: Any) -> Logged:
        overlap, precision = package.IntersectionOverUnion(class_metrics=True), package.MeanAveragePrecision()
        feed(overlap), feed(precision)
        logged: Logged = {"images": len(overlap.groundtruth_labels)} if len(overlap.groundtruth_labels) else {}
        logged |= overlap.compute()
        return logged | {key: value for key, value in precision.compute().items() if key != "classes"}

    assert agree(use)["images"] == sum(len(preds) for preds, _ in BATCHES)


def test_luxonis_names_classes_in_a_class_with_two_bases() -> None:
    def use(package: Any) -> Logged:
        class Named:
            def __init__(self, class_names: tuple[str, ...], **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.class_names = class_names

        class Precision(Named, package.MeanAveragePrecision):  # type: ignore[misc, name-defined]
            def compute(self) -> tuple[Tensor, Logged]:
                metrics = super().compute()
                classes = metrics.pop("classes")
                for key in [key for key in metrics if key.endswith("_per_class")]:
                    values = metrics.pop(key)
                    metrics |= {
                        f"{key}/{self.class_names[c]}": v for c, v in zip(classes.tolist(), values, strict=True)
                    }
                return metrics.pop("map"), metrics

        main, others = feed(Precision(NAMES, class_metrics=True)).compute()
        return {"map": main, **others}

    assert "map_per_class/bird" in agree(use)


def test_lightly_sets_class_names_on_a_subclass() -> None:
    def use(package: Any) -> Logged:
        class Precision(package.MeanAveragePrecision):  # type: ignore[misc, name-defined]
            def __init__(self, names: tuple[str, ...], prefix_of: str, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.class_names = list(names)
                self.included, self.settings_of_split, self.data_name = range(len(names)), {"split": "val"}, prefix_of

        metric = feed(Precision(NAMES, "val", class_metrics=True))
        results = metric.compute()
        return {f"{metric.data_name}/{n}": results["map_per_class"][i] for i, n in enumerate(metric.class_names)}

    assert list(agree(use)) == [f"val/{name}" for name in NAMES]


def test_getitune_overrides_update_and_filters_arguments_by_signature() -> None:
    def use(package: Any) -> Logged:
        class Precision(package.MeanAveragePrecision):  # type: ignore[misc, name-defined]
            def update(self, preds: Any, target: Any) -> None:
                super().update(preds, [{**item, "labels": item["labels"].long()} for item in target])

        accepted = inspect.signature(Precision.__mro__[1].__init__).parameters
        asked = {"box_format": "xyxy", "class_metrics": True, "num_classes": 4, "label_info": None}
        metric = Precision(**{key: value for key, value in asked.items() if key in accepted})
        return feed(metric).compute()

    assert len(agree(use)["map_per_class"]) == len(NAMES)


def test_transformers_computes_metrics_batch_by_batch() -> None:
    """The object detection example: one call per batch, the result in the last, numbers in a plain dict."""

    def use(package: Any) -> Logged:
        metric = package.MeanAveragePrecision(box_format="xyxy", class_metrics=True)

        def compute_metrics(preds: Any, target: Any, compute_result: bool) -> dict[str, float]:
            metric.update(preds, target)
            if not compute_result:
                return {}
            results = metric.compute()
            metric.reset()
            classes = results.pop("classes")
            for key in ("map_per_class", "mar_100_per_class"):
                short = key.removesuffix("_per_class")
                values = results.pop(key)
                results |= {f"{short}_{NAMES[c]}": v for c, v in zip(classes.tolist(), values, strict=True)}
            return {key: round(value.item(), 4) for key, value in results.items()}

        logged: dict[str, float] = {}
        for _ in range(2):  # two epochs
            for number, batch in enumerate(BATCHES):
                logged |= compute_metrics(*batch, number == len(BATCHES) - 1)
        return logged

    assert agree(use)["map_cat"] > 0


def test_rfdetr_merges_ranks_itself_without_padding_images() -> None:
    """Ranks that do not synchronise merge explicitly; images that a sampler repeated are left out before."""
    parts = [detmetrics.MeanAveragePrecision(sync_on_compute=False, num_classes=4) for _ in range(2)]
    twin = detmetrics.MeanAveragePrecision(sync_on_compute=False, num_classes=4)  # of averaged weights
    images = [(pred, true) for preds, target in BATCHES for pred, true in zip(preds, target, strict=True)]
    padded = [*range(len(images)), *range(len(images) % 2)]  # as a distributed sampler pads
    for rank, part in enumerate(parts):
        for position in range(rank, len(padded), 2):
            pred, true = images[padded[position]]
            if position < len(images):
                part.update([pred], [true])
                twin.update([pred], [true])
    parts[0].merge_state(parts[1])
    result, whole = parts[0].compute(), twin.compute()
    assert result.keys() == whole.keys()
    assert all(torch.equal(result[key].nan_to_num(-1), whole[key].nan_to_num(-1)) for key in whole)


@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_f1_sweep_is_one_reader_of_the_same_state(threshold: float) -> None:
    """RF-DETR's sweep of scores: one state is asked at each cut, where a slow loop makes fresh metrics."""
    cuts = [n / 20 for n in range(1, 20)]
    preds, target = ([item for batch in BATCHES for item in batch[side]] for side in (0, 1))
    values = [
        detmetrics.functional.detection_f1_score(preds, target, iou_threshold=threshold, score_threshold=cut).item()
        for cut in cuts
    ]
    metric = feed(detmetrics.DetectionF1Score(iou_threshold=threshold))
    swept = []
    for cut in cuts:
        metric.score_threshold = cut
        swept.append(metric.compute().item())
    assert swept == values
    assert max(values) > min(values)


def test_a_validation_in_one_short_class() -> None:
    """Two ranks with a padded sampler give the average precision of pycocotools and the F1 of a slow sweep."""
    images = [(pred, true) for preds, target in BATCHES for pred, true in zip(preds, target, strict=True)]
    padded = [*range(len(images)), *range(len(images) % 2)]
    ranks = [Validation(NAMES) for _ in range(2)]
    for rank, model in itertools.product(range(2), ("model", "ema")):
        for position in range(rank, len(padded), 2):
            pred, true = images[padded[position]]
            worse = {**pred, "boxes": pred["boxes"] + 3} if model == "model" else pred
            ranks[rank].add(model, [worse], [true], [position], len(images))
    ranks[0].merge(ranks[1])
    result = ranks[0].results()
    preds, target = [pred for pred, _ in images], [true for _, true in images]
    expected = oracle.evaluate(preds, target)
    assert result["ema/map"].item() == pytest.approx(expected.stats["map"], abs=1e-12)
    assert {f"ema/map/{name}" for name in NAMES} <= result.keys()
    swept = [
        detmetrics.functional.detection_f1_score(preds, target, score_threshold=cut, average="macro", num_classes=4)
        for cut in CUTS
    ]
    values = [value.nan_to_num(-1).item() for value in swept]
    assert result["ema/f1"].item() == max(values)
    assert result["ema/score_threshold"].item() == CUTS[values.index(max(values))]
    assert result["model/map"] < result["ema/map"]
