# The public names and where they come from: type checkers read this, and Python imports what is asked for.

from . import functional as functional
from .analysis.comparison import Comparison, compare
from .analysis.intervals import Interval, bootstrap
from .analysis.slices import Slice, evaluate_slices
from .classification.report import ClassificationReport
from .detection.calibration import DetectionCalibration
from .detection.confusion import DetectionConfusionMatrix
from .detection.curves import DetectionCurves
from .detection.errors import DetectionErrors
from .detection.f1_score import DetectionF1Score
from .detection.fbeta_score import DetectionFBetaScore
from .detection.keypoint_report import KeypointReport
from .detection.lrp import LocalizationRecallPrecision
from .detection.lvis import LVISAveragePrecision
from .detection.mean_ap import MeanAveragePrecision
from .detection.mean_iou import DetectionIoU
from .detection.open_images import OpenImagesAveragePrecision
from .detection.precision import DetectionPrecision
from .detection.recall import DetectionRecall
from .detection.report import DetectionReport
from .detection.voc import VOCAveragePrecision
from .panoptic.instances import InstanceQuality
from .panoptic.quality import PanopticQuality
from .segmentation.accuracy import SegmentationAccuracy
from .segmentation.average_surface_distance import AverageSurfaceDistance
from .segmentation.boundary_f1 import SegmentationBoundaryF1Score
from .segmentation.boundary_iou import SegmentationBoundaryIoU
from .segmentation.confusion import SegmentationConfusionMatrix
from .segmentation.f1_score import SegmentationF1Score
from .segmentation.fbeta_score import SegmentationFBetaScore
from .segmentation.hausdorff import HausdorffDistance
from .segmentation.iou import SegmentationIoU
from .segmentation.precision import SegmentationPrecision
from .segmentation.recall import SegmentationRecall
from .segmentation.report import SegmentationReport
from .segmentation.specificity import SegmentationSpecificity
from .segmentation.surface_dice import SurfaceDice
from .segmentation.trimap_iou import SegmentationTrimapIoU
from .state.collection import MetricCollection
from .state.metric import Metric

__version__: str

__all__ = [
    "AverageSurfaceDistance",
    "ClassificationReport",
    "Comparison",
    "DetectionCalibration",
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
    "Slice",
    "SurfaceDice",
    "VOCAveragePrecision",
    "bootstrap",
    "compare",
    "evaluate_slices",
    "functional",
]
