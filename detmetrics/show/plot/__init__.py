"""Pictures of results. ``metric.plot()`` draws them; here they are functions of what ``compute()`` returns.

Each returns matplotlib's figure and axis. Without an axis a new figure is made, of a size that fits the data; it needs
no display. Lines differ in dashes as well as in colour, and the colours are told apart with any colour vision.
"""

from detmetrics.show.plot.bars import class_bars, report_bars, size_bars, summary_bars
from detmetrics.show.plot.curves import POOLED, iou_fan, precision_recall, score_curves
from detmetrics.show.plot.errors import error_bars
from detmetrics.show.plot.histories import history, score
from detmetrics.show.plot.matrices import confusion_matrix
from detmetrics.show.plot.reliability import reliability_diagram
from detmetrics.show.plot.results import (
    averages,
    by_size,
    diagonal_share,
    headline,
    label_of,
    mean_over_classes,
    numbers,
)

__all__ = [
    "POOLED",
    "averages",
    "by_size",
    "class_bars",
    "confusion_matrix",
    "diagonal_share",
    "error_bars",
    "headline",
    "history",
    "iou_fan",
    "label_of",
    "mean_over_classes",
    "numbers",
    "precision_recall",
    "reliability_diagram",
    "report_bars",
    "score",
    "score_curves",
    "size_bars",
    "summary_bars",
]
