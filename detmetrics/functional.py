"""The metrics as functions: all data at once, one result."""

from detmetrics.classification.report import classification_report
from detmetrics.detection.calibration import detection_calibration
from detmetrics.detection.confusion import detection_confusion_matrix
from detmetrics.detection.curves import detection_curves
from detmetrics.detection.errors import detection_errors
from detmetrics.detection.f1_score import detection_f1_score
from detmetrics.detection.fbeta_score import detection_fbeta_score
from detmetrics.detection.keypoint_report_function import keypoint_report
from detmetrics.detection.lrp import localization_recall_precision
from detmetrics.detection.lvis import lvis_average_precision
from detmetrics.detection.mean_ap_function import mean_average_precision
from detmetrics.detection.mean_iou import detection_iou
from detmetrics.detection.open_images import open_images_average_precision
from detmetrics.detection.precision import detection_precision
from detmetrics.detection.recall import detection_recall
from detmetrics.detection.report import detection_report
from detmetrics.detection.voc import voc_average_precision
from detmetrics.panoptic.instances import instance_quality
from detmetrics.panoptic.quality import panoptic_quality
from detmetrics.segmentation.accuracy import segmentation_accuracy
from detmetrics.segmentation.average_surface_distance import average_surface_distance
from detmetrics.segmentation.boundary_f1 import segmentation_boundary_f1_score
from detmetrics.segmentation.boundary_iou import segmentation_boundary_iou
from detmetrics.segmentation.confusion import segmentation_confusion_matrix
from detmetrics.segmentation.counts import score_counts, segmentation_counts
from detmetrics.segmentation.f1_score import segmentation_f1_score
from detmetrics.segmentation.fbeta_score import segmentation_fbeta_score
from detmetrics.segmentation.hausdorff import hausdorff_distance
from detmetrics.segmentation.iou import segmentation_iou
from detmetrics.segmentation.precision import segmentation_precision
from detmetrics.segmentation.recall import segmentation_recall
from detmetrics.segmentation.report import segmentation_report
from detmetrics.segmentation.specificity import segmentation_specificity
from detmetrics.segmentation.surface_dice import surface_dice
from detmetrics.segmentation.trimap_iou import segmentation_trimap_iou

__all__ = [
    "average_surface_distance",
    "classification_report",
    "detection_calibration",
    "detection_confusion_matrix",
    "detection_curves",
    "detection_errors",
    "detection_f1_score",
    "detection_fbeta_score",
    "detection_iou",
    "detection_precision",
    "detection_recall",
    "detection_report",
    "hausdorff_distance",
    "instance_quality",
    "keypoint_report",
    "localization_recall_precision",
    "lvis_average_precision",
    "mean_average_precision",
    "open_images_average_precision",
    "panoptic_quality",
    "score_counts",
    "segmentation_accuracy",
    "segmentation_boundary_f1_score",
    "segmentation_boundary_iou",
    "segmentation_confusion_matrix",
    "segmentation_counts",
    "segmentation_f1_score",
    "segmentation_fbeta_score",
    "segmentation_iou",
    "segmentation_precision",
    "segmentation_recall",
    "segmentation_report",
    "segmentation_specificity",
    "segmentation_trimap_iou",
    "surface_dice",
    "voc_average_precision",
]
