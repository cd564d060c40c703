"""A validation as RF-DETR's: model and averaged weights, ranks, padding images, values per class, a sweep of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

import detmetrics

CUTS = [n / 100 for n in range(101)]


class Validation:
    """mAP, average precision per class, and the score threshold of the best macro F1.

    Args:
        class_names: The names of the classes, by label.
        models: What is validated: the model, and a twin with averaged weights, say.
    """

    def __init__(self, class_names: Sequence[str], models: Sequence[str] = ("model", "ema")) -> None:
        self.metrics = {name: self._collection(list(class_names)) for name in models}

    @staticmethod
    def _collection(class_names: list[str]) -> detmetrics.MetricCollection:
        """Metrics that read one state; ranks are merged by hand."""
        settings: dict[str, Any] = {"class_names": class_names, "sync_on_compute": False}
        scores = {"precision": detmetrics.DetectionPrecision, "recall": detmetrics.DetectionRecall}
        return detmetrics.MetricCollection(
            {
                "coco": detmetrics.MeanAveragePrecision(class_metrics=True, **settings),
                "f1": detmetrics.DetectionF1Score(average="macro", **settings),
                **{name: kind(average="macro", **settings) for name, kind in scores.items()},
            }
        )

    def add(self, model: str, preds: Any, target: Any, positions: Sequence[int], num_images: int) -> None:
        """Add a batch without the images by which a sampler fills up the last round.

        Args:
            model: Whose predictions they are.
            preds: One dict per image.
            target: One dict per image.
            positions: Where each image stands in the sampler's list.
            num_images: The length of that list without what fills it up.
        """
        kept = [i for i, position in enumerate(positions) if position < num_images]
        if kept:
            self.metrics[model].update([preds[i] for i in kept], [target[i] for i in kept])

    def merge(self, other: Validation) -> None:
        """Add what another rank has seen."""
        for model, collection in self.metrics.items():
            for name, metric in collection.items(copy_state=True):
                metric.merge_state(other.metrics[model][name])

    def results(self) -> dict[str, Tensor]:
        """What is logged: under ``<model>/``, mAP, one value per class, and the best macro F1 with its threshold."""
        found = {}
        for model, collection in self.metrics.items():
            found |= {f"{model}/{key}": value for key, value in collection["coco"].compute().items()}
            sweep = {cut: _at(collection["f1"], cut) for cut in CUTS}
            best = max(sweep, key=lambda cut: sweep[cut].nan_to_num(-1).item())
            found |= {f"{model}/{name}": _at(collection[name], best) for name in ("f1", "precision", "recall")}
            found[f"{model}/score_threshold"] = sweep[best].new_tensor(best)
        return found


def _at(metric: Any, score_threshold: float) -> Tensor:
    metric.score_threshold = score_threshold
    value: Tensor = metric.compute()
    return value
