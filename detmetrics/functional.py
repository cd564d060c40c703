"""The metrics as functions: all data at once, one result."""

from detmetrics.classification.functional import classification_report
from detmetrics.detection.functional import (
    detection_confusion_matrix,
    detection_curves,
    detection_f1_score,
    detection_fbeta_score,
    detection_precision,
    detection_recall,
    detection_report,
    mean_average_precision,
)
from detmetrics.segmentation.functional import (
    score_counts,
    segmentation_accuracy,
    segmentation_confusion_matrix,
    segmentation_counts,
    segmentation_f1_score,
    segmentation_fbeta_score,
    segmentation_iou,
    segmentation_precision,
    segmentation_recall,
    segmentation_report,
    segmentation_specificity,
)

__all__ = [
    "classification_report",
    "detection_confusion_matrix",
    "detection_curves",
    "detection_f1_score",
    "detection_fbeta_score",
    "detection_precision",
    "detection_recall",
    "detection_report",
    "mean_average_precision",
    "score_counts",
    "segmentation_accuracy",
    "segmentation_confusion_matrix",
    "segmentation_counts",
    "segmentation_f1_score",
    "segmentation_fbeta_score",
    "segmentation_iou",
    "segmentation_precision",
    "segmentation_recall",
    "segmentation_report",
    "segmentation_specificity",
]
