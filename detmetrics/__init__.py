"""Detection and segmentation metrics that live where the tensors live."""

from detmetrics import functional
from detmetrics.classification.report import ClassificationReport
from detmetrics.detection.confusion import DetectionConfusionMatrix
from detmetrics.detection.curves import DetectionCurves
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.operating_point import (
    DetectionF1Score,
    DetectionFBetaScore,
    DetectionPrecision,
    DetectionRecall,
)
from detmetrics.detection.report import DetectionReport
from detmetrics.metric import Metric
from detmetrics.segmentation.confusion import SegmentationConfusionMatrix
from detmetrics.segmentation.report import SegmentationReport
from detmetrics.segmentation.scores import (
    SegmentationAccuracy,
    SegmentationF1Score,
    SegmentationFBetaScore,
    SegmentationIoU,
    SegmentationPrecision,
    SegmentationRecall,
    SegmentationSpecificity,
)

__version__ = "0.1.0"

__all__ = [
    "ClassificationReport",
    "DetectionConfusionMatrix",
    "DetectionCurves",
    "DetectionF1Score",
    "DetectionFBetaScore",
    "DetectionPrecision",
    "DetectionRecall",
    "DetectionReport",
    "MeanAveragePrecision",
    "Metric",
    "SegmentationAccuracy",
    "SegmentationConfusionMatrix",
    "SegmentationF1Score",
    "SegmentationFBetaScore",
    "SegmentationIoU",
    "SegmentationPrecision",
    "SegmentationRecall",
    "SegmentationReport",
    "SegmentationSpecificity",
    "functional",
]
