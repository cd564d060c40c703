"""Metrics for object detection and segmentation that live where the tensors live.

A metric is a module with three methods. `update(preds, target)` adds a batch, `compute()` returns the result for
everything added so far, `reset()` starts again. The result does not depend on how the data was cut into batches, on
the number of ranks, or on the order in which states were merged: it has the same bits.

# First steps

Install the package from a checkout with `pip install .`, or with the command line and its tables with
`pip install ".[cli]"`. Then give a metric one dict per image:

>>> import torch
>>> from detmetrics import MeanAveragePrecision
>>> target = [{"boxes": torch.tensor([[10.0, 10, 60, 60], [70, 20, 90, 50]]), "labels": torch.tensor([0, 1])}]
>>> preds = [
...     {
...         "boxes": torch.tensor([[12.0, 11, 60, 62], [30, 30, 80, 80]]),
...         "scores": torch.tensor([0.9, 0.6]),
...         "labels": torch.tensor([0, 1]),
...     }
... ]
>>> metric = MeanAveragePrecision(class_metrics=True, class_names=["cat", "dog", "bird"])
>>> metric.update(preds, target)
>>> result = metric.compute()
>>> print(f"{result['map']:.3f} {result['map/cat']:.3f} {result['map/bird']:.3f}")
0.450 0.900 nan

Every value is a 0-d float64 tensor on the metric's device, so the dict goes into `log_dict` as it is. There are no
birds, so the score of birds is undefined: NaN, which is left out of every mean. `zero_division=0` puts a number there
instead.

Boxes are `(N, 4)` in pixels: corners `xyxy` by default, see `box_format`. Labels are integers of any values. An image
without objects has empty tensors. What does not fit raises a `ValueError` that names the image and the key, and the
metric stays as it was:

>>> preds[0]["scores"] = torch.tensor([0.9])
>>> metric.update(preds, target)
Traceback (most recent call last):
    ...
ValueError: preds[0]['scores']: expected shape (2,), one for each of 2 boxes, got (1,)

Each metric has a function of the same name in `detmetrics.functional`, for data that is all there at once.

# Where to read on

* `detmetrics.guides.choosing`: which metric do I want?
* `detmetrics.detection`: what detection metrics count, thresholds, classes, sizes, crowds, masks.
* `detmetrics.segmentation`: averages over classes and images, undefined scores, ignored pixels, surfaces.
* `detmetrics.panoptic`: panoptic quality, and instances of one class.
* `detmetrics.classification`: scikit-learn's report, from batches.
* `detmetrics.guides.training`: a plain loop, Lightning, torchrun, Hugging Face, and loggers.
* `detmetrics.state`: batches, ranks, repeated images, merging, checkpoints, threads.
* `detmetrics.files` and `detmetrics.cli`: COCO's and other files, and the command line.
* `detmetrics.compat`: coming from torchmetrics, pycocotools and others.
* `detmetrics.guides.differences`: why is my number different from theirs?
"""

from detmetrics import functional
from detmetrics.classification.report import ClassificationReport
from detmetrics.detection.confusion import DetectionConfusionMatrix
from detmetrics.detection.curves import DetectionCurves
from detmetrics.detection.errors import DetectionErrors
from detmetrics.detection.f1_score import DetectionF1Score
from detmetrics.detection.fbeta_score import DetectionFBetaScore
from detmetrics.detection.keypoint_report import KeypointReport
from detmetrics.detection.lrp import LocalizationRecallPrecision
from detmetrics.detection.lvis import LVISAveragePrecision
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.mean_iou import DetectionIoU
from detmetrics.detection.open_images import OpenImagesAveragePrecision
from detmetrics.detection.precision import DetectionPrecision
from detmetrics.detection.recall import DetectionRecall
from detmetrics.detection.report import DetectionReport
from detmetrics.intervals import Interval, bootstrap
from detmetrics.panoptic.instances import InstanceQuality
from detmetrics.panoptic.quality import PanopticQuality
from detmetrics.segmentation.accuracy import SegmentationAccuracy
from detmetrics.segmentation.average_surface_distance import AverageSurfaceDistance
from detmetrics.segmentation.boundary_f1 import SegmentationBoundaryF1Score
from detmetrics.segmentation.boundary_iou import SegmentationBoundaryIoU
from detmetrics.segmentation.confusion import SegmentationConfusionMatrix
from detmetrics.segmentation.f1_score import SegmentationF1Score
from detmetrics.segmentation.fbeta_score import SegmentationFBetaScore
from detmetrics.segmentation.hausdorff import HausdorffDistance
from detmetrics.segmentation.iou import SegmentationIoU
from detmetrics.segmentation.precision import SegmentationPrecision
from detmetrics.segmentation.recall import SegmentationRecall
from detmetrics.segmentation.report import SegmentationReport
from detmetrics.segmentation.specificity import SegmentationSpecificity
from detmetrics.segmentation.surface_dice import SurfaceDice
from detmetrics.segmentation.trimap_iou import SegmentationTrimapIoU
from detmetrics.state.collection import MetricCollection
from detmetrics.state.metric import Metric

__version__ = "0.1.0"

__all__ = [
    "AverageSurfaceDistance",
    "ClassificationReport",
    "DetectionConfusionMatrix",
    "DetectionCurves",
    "DetectionErrors",
    "DetectionF1Score",
    "DetectionFBetaScore",
    "DetectionIoU",
    "DetectionPrecision",
    "DetectionRecall",
    "DetectionReport",
    "HausdorffDistance",
    "InstanceQuality",
    "Interval",
    "KeypointReport",
    "LVISAveragePrecision",
    "LocalizationRecallPrecision",
    "MeanAveragePrecision",
    "Metric",
    "MetricCollection",
    "OpenImagesAveragePrecision",
    "PanopticQuality",
    "SegmentationAccuracy",
    "SegmentationBoundaryF1Score",
    "SegmentationBoundaryIoU",
    "SegmentationConfusionMatrix",
    "SegmentationF1Score",
    "SegmentationFBetaScore",
    "SegmentationIoU",
    "SegmentationPrecision",
    "SegmentationRecall",
    "SegmentationReport",
    "SegmentationSpecificity",
    "SegmentationTrimapIoU",
    "SurfaceDice",
    "bootstrap",
    "functional",
]
