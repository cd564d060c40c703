"""Labels of files into labels of classes, 0 to C - 1, and into that of no class, C."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDEST = 1 << 20  # values between the least and the largest label of a map that is relabelled
REDUCE = ("target", "both")


@dataclass(frozen=True)
class Relabelling:
    """How labels change, the first of these steps first.

    Attributes:
        num_classes: C. A pixel of no class gets it as its label: of a target it is ignored, of a prediction wrong.
        reduce_zero_label: 0 becomes no class and every other label one less, but for those in ``kept``: of the target
            alone (mmseg's ``reduce_zero_label``), or of both. None for neither.
        table: New labels by old ones, of both; None for no class.
        others_void: Whether labels that the table does not have become no class, rather than stay.
        kept: Labels that are not reduced: the ignored ones.
    """

    num_classes: int
    reduce_zero_label: str | None = None
    table: Mapping[int, int | None] = field(default_factory=dict)
    others_void: bool = False
    kept: tuple[int, ...] = ()

    @property
    def makes_void(self) -> bool:
        """Whether pixels may become of no class."""
        return self.reduce_zero_label is not None or self.others_void or None in self.table.values()

    def apply(self, values: NDArray[Any], *, is_target: bool) -> NDArray[Any]:
        """The new labels of a map.

        Raises:
            ValueError: if its labels are too far apart.

        Example:
            >>> Relabelling(2, "both", kept=(255,)).apply(np.array([0, 1, 2, 255], np.uint8), is_target=True).tolist()
            [2, 0, 1, 255]
        """
        reduces = self.reduce_zero_label == "both" or (self.reduce_zero_label == "target" and is_target)
        if not reduces and not self.table and not self.others_void:
            return values
        low, high = (0, 255) if values.dtype == np.uint8 else (int(values.min()), int(values.max()))
        if high - low >= WIDEST:
            raise ValueError(f"expected labels less than {WIDEST} apart, to relabel them, got {low} and {high}")
        news = np.array([self._new(old, reduces) for old in range(low, high + 1)], dtype=np.int64)
        if news.min() >= 0 and news.max() < 256:
            news = news.astype(np.uint8)
        found: NDArray[Any] = news.take(values if low == 0 else values.astype(np.int64) - low)
        return found

    def _new(self, old: int, reduces: bool) -> int:
        if reduces and old not in self.kept:
            if old == 0:
                return self.num_classes
            old -= 1
        new = self.table.get(old, None if self.others_void and old not in self.kept else old)
        return self.num_classes if new is None else new
