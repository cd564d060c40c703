"""What follows from an evaluation that is there: error kinds, and two models compared by the bootstrap."""

from typing import Any

from benchmarks import peers
from benchmarks.detection_map import SIZE, SMALL, DetectionData, generate, hotcoco_targets
from benchmarks.harness import Contender, Meter, Problem, Statistics

SAMPLES = 100  # of the bootstrap; the time grows with them


def _fed(metric: Any, data: DetectionData, every: int = 0) -> Any:
    """A metric of this package that has seen the images, without every so many-th detection."""
    for preds, target in data.batches():
        metric.update([_without(image, every) for image in preds], target)
    metric.compute()
    return metric


def _without(image: dict[str, Any], every: int) -> dict[str, Any]:
    return {key: value[:-every] for key, value in image.items()} if every else image


def detmetrics_errors(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import DetectionErrors

    metric = DetectionErrors()
    for preds, target in data.batches():
        metric.update(preds, target)
    metric.settle()
    with meter("errors"):
        metric.compute()
    return {}


def detmetrics_bootstrap(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import MeanAveragePrecision, bootstrap

    metric = _fed(MeanAveragePrecision(), data)
    with meter("bootstrap"):
        bootstrap(metric, SAMPLES, method="percentile")
    return {}


def detmetrics_comparison(data: DetectionData, meter: Meter) -> Statistics:
    from detmetrics import MeanAveragePrecision, compare

    first, second = (_fed(MeanAveragePrecision(), data, every) for every in (0, 10))
    with meter("comparison"):
        compare(first, second, SAMPLES, method="percentile")
    return {}


def _hotcoco(data: DetectionData, every: int = 0) -> Any:
    from hotcoco import COCOeval

    gt = hotcoco_targets(data)
    preds = [_without(image, every) for image in data.preds]
    evaluation = COCOeval(gt, gt.load_res(peers.detection_matrix(preds)), "bbox")
    evaluation.evaluate()
    return evaluation


def hotcoco_errors(data: DetectionData, meter: Meter) -> Statistics:
    evaluation = _hotcoco(data)
    with meter("errors"):
        evaluation.tide_errors()
    return {}


def hotcoco_comparison(data: DetectionData, meter: Meter) -> Statistics:
    from hotcoco import compare

    first, second = _hotcoco(data), _hotcoco(data, 10)
    with meter("comparison"):
        compare(first, second, n_bootstrap=SAMPLES)
    return {}


PROBLEM = Problem(
    name="detection_analysis",
    title=f"Error kinds (TIDE), and intervals and comparisons from {SAMPLES} samples, of evaluations that are there",
    generate=generate,
    size=SIZE,
    small=SMALL,
    contenders=(
        Contender("detmetrics, errors", detmetrics_errors, ("detmetrics:DetectionErrors",)),
        Contender("hotcoco, errors", hotcoco_errors, ("hotcoco",)),
        Contender("detmetrics, bootstrap", detmetrics_bootstrap, ("detmetrics:bootstrap",)),
        Contender("detmetrics, comparison", detmetrics_comparison, ("detmetrics:compare",)),
        Contender("hotcoco, comparison", hotcoco_comparison, ("hotcoco",)),
    ),
    bases=("detmetrics, errors",),
    reference="detmetrics, errors",
)
