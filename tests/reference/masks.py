"""Boundary IoU as its authors define it: erosion one pixel at a time. Nothing of detmetrics is imported.

Source: Cheng et al., Boundary IoU (CVPR 2021), ``mask_to_boundary`` and ``COCOeval.computeIoU`` of their API.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # (H, W)


def boundary(mask: Mask, dilation_ratio: float = 0.02) -> Mask:
    """The pixels of a mask that erosion by a share of the diagonal takes away; outside the image there is no mask."""
    height, width = mask.shape
    eroded = mask
    for _ in range(max(1, round(dilation_ratio * float(np.sqrt(height**2 + width**2))))):
        framed = np.pad(eroded, 1)
        shifts = [framed[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        eroded = np.logical_and.reduce(shifts)
    return mask & ~eroded


def iou(mask1: Mask, mask2: Mask, crowd: bool) -> float:
    """Intersection over union, over the first mask if the second is a crowd."""
    shared = int((mask1 & mask2).sum())
    return shared / int(mask1.sum() if crowd else (mask1 | mask2).sum()) if shared else 0.0


def boundary_iou(mask1: Mask, mask2: Mask, crowd: bool) -> float:
    """The smaller of the overlaps of the masks and of their boundaries."""
    return min(iou(mask1, mask2, crowd), iou(boundary(mask1), boundary(mask2), crowd))
