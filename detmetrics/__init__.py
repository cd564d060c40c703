"""Detection and segmentation metrics that live where the tensors live."""

from detmetrics import functional
from detmetrics.classification.report import ClassificationReport
from detmetrics.detection.confusion import DetectionConfusionMatrix
from detmetrics.detection.curves import DetectionCurves
from detmetrics.detection.f1_score import DetectionF1Score
from detmetrics.detection.fbeta_score import DetectionFBetaScore
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.precision import DetectionPrecision
from detmetrics.detection.recall import DetectionRecall
from detmetrics.detection.report import DetectionReport
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
    "DetectionF1Score",
    "DetectionFBetaScore",
    "DetectionPrecision",
    "DetectionRecall",
    "DetectionReport",
    "HausdorffDistance",
    "InstanceQuality",
    "MeanAveragePrecision",
    "Metric",
    "MetricCollection",
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
    "functional",
]
