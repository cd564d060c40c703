"""The detection and panoptic metrics of torchmetrics with their whole contract, to the key, the shape and the -1.

Change ``torchmetrics.detection`` and ``torchmetrics.functional.detection`` to ``detmetrics.compat.torchmetrics``. Of
``torchmetrics.wrappers`` only ``BootStrapper`` is here, which fails on lists of dicts there; the others take metrics of
this package as they are.

What differs from torchmetrics, and why:

- The default thresholds are float64, as in pycocotools. torchmetrics makes them in float32, which moves overlaps and
  recalls that lie on one; results differ by up to 2e-3.
- Images without target masks count with ``"segm"``. torchmetrics leaves them out, and their false positives; without
  any predicted mask it says -1, where recall is 0.
- With two values of ``iou_type``, ``average="micro"`` and ``class_metrics`` the second type is micro as well.
  torchmetrics goes on with macro.
- A prediction whose box or score is not finite is left out with a warning. In torchmetrics a NaN matches any target,
  and raises the average precision.
- Labels and scores of a wrong dtype are refused in ``update()``, not in ``compute()``. Error types are torchmetrics',
  texts are this package's: they name the image and the key.
- States are rows of int64 under other names. The names of torchmetrics' states are read-only views.
- Panoptic quality divides areas in float64, torchmetrics in float32.
- Ranks give the bits of one process, and overlaps are averaged in float64: last bits differ.
"""

from detmetrics.compat.torchmetrics.bootstrapping import BootStrapper
from detmetrics.compat.torchmetrics.functional import (
    complete_intersection_over_union,
    distance_intersection_over_union,
    generalized_intersection_over_union,
    intersection_over_union,
    mean_average_precision,
)
from detmetrics.compat.torchmetrics.mean_ap import MeanAveragePrecision
from detmetrics.compat.torchmetrics.mean_overlap import (
    CompleteIntersectionOverUnion,
    DistanceIntersectionOverUnion,
    GeneralizedIntersectionOverUnion,
    IntersectionOverUnion,
)
from detmetrics.compat.torchmetrics.panoptic import PanopticQuality, panoptic_quality

__all__ = [
    "BootStrapper",
    "CompleteIntersectionOverUnion",
    "DistanceIntersectionOverUnion",
    "GeneralizedIntersectionOverUnion",
    "IntersectionOverUnion",
    "MeanAveragePrecision",
    "PanopticQuality",
    "complete_intersection_over_union",
    "distance_intersection_over_union",
    "generalized_intersection_over_union",
    "intersection_over_union",
    "mean_average_precision",
    "panoptic_quality",
]
