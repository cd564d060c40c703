"""Detection and segmentation metrics that live where the tensors live."""

from detmetrics import functional
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.metric import Metric

__version__ = "0.1.0"

__all__ = ["MeanAveragePrecision", "Metric", "functional"]
