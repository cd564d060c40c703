"""What four metrics at an operating point add to mean average precision when they share its state in a collection."""

from typing import Any

from benchmarks.detection_map import SIZE, SMALL, DetectionData, generate, twelve
from benchmarks.harness import Contender, Meter, Problem, Statistics

NAMES = ("DetectionPrecision", "DetectionRecall", "DetectionF1Score", "DetectionConfusionMatrix")


def alone(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import MeanAveragePrecision

    return _measure(data, meter, [MeanAveragePrecision()])


def together(data: DetectionData, meter: Meter) -> Statistics:
    import detmetrics

    # The matrix asks about pairs of other classes; with pairs="all" the others share its state.
    sharing = [getattr(detmetrics, name)(pairs="all") for name in ("MeanAveragePrecision", *NAMES[:-1])]
    return _measure(data, meter, [*sharing, detmetrics.DetectionConfusionMatrix(num_classes=data.num_classes)])


def _measure(data: DetectionData, meter: Meter, metrics: list[Any]) -> Statistics:
    from detmetrics import MetricCollection

    collection = MetricCollection(metrics).to(data.device)
    with meter("update"):
        for preds, target in data.batches():
            collection.update(preds, target)
    with meter("compute"):
        return twelve(collection.compute())


PROBLEM = Problem(
    name="detection_collection",
    title="Mean average precision alone, and with precision, recall, F1 and a confusion matrix in one collection",
    generate=generate,
    size=SIZE,
    small=SMALL,
    contenders=(
        Contender("mAP alone", alone, ("detmetrics:MeanAveragePrecision",)),
        Contender("mAP and four more", together, tuple(f"detmetrics:{name}" for name in NAMES)),
    ),
    bases=("mAP alone",),
    reference="mAP alone",
)
