"""What ``COCOeval`` is asked, with COCO's values."""

from __future__ import annotations

from typing import Any

import numpy as np

AREAS = {"all": (0, 1e5), "small": (0, 32), "medium": (32, 96), "large": (96, 1e5)}  # sides of squares, in pixels
SIGMAS = (26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)  # thousandths, by key point


class Params:
    """The parameters of an evaluation; every field may be assigned before ``evaluate()``.

    Args:
        iouType: ``"bbox"``, ``"segm"`` or ``"keypoints"``.

    Attributes:
        imgIds: The images that are evaluated.
        catIds: The categories that are.
        iouThrs: ``(T,)`` float64 in (0, 1].
        recThrs: ``(R,)`` float64 in [0, 1], ascending.
        maxDets: Limits on the detections per image and category.
        areaRng: Pairs of inclusive bounds in square pixels.
        areaRngLbl: Their names.
        useCats: 1 to evaluate each category by itself, 0 to treat all as one.
        kpt_oks_sigmas: With ``"keypoints"``: the spread of each key point.
        useSegm: None. Deprecated by COCO: 1 for ``"segm"``, 0 for ``"bbox"``.

    Raises:
        ValueError: if ``iouType`` is another.

    Source: pycocotools ``Params``.

    Example:
        >>> Params("bbox").maxDets
        [1, 10, 100]
    """

    def __init__(self, iouType: str = "segm") -> None:
        if iouType not in ("bbox", "segm", "keypoints"):
            raise ValueError(f"iouType: expected 'bbox', 'segm' or 'keypoints', got {iouType!r}")
        has_keypoints = iouType == "keypoints"
        names = [name for name in AREAS if not (has_keypoints and name == "small")]
        self.imgIds: Any = []
        self.catIds: Any = []
        self.iouThrs: Any = np.linspace(0.5, 0.95, 10)
        self.recThrs: Any = np.linspace(0.0, 1.0, 101)
        self.maxDets: Any = [20] if has_keypoints else [1, 10, 100]
        self.areaRng: Any = [[AREAS[name][0] ** 2, AREAS[name][1] ** 2] for name in names]
        self.areaRngLbl: Any = names
        self.useCats: Any = 1
        self.iouType = iouType
        self.useSegm: Any = None
        if has_keypoints:
            self.kpt_oks_sigmas: Any = np.array(SIGMAS) / 100.0 / 10.0  # COCO's steps, to the last bit
