"""Labels and scores into codes of a narrow dtype, and what is neither into a code of its own.

So nothing has to be read in order to check it, and the work that follows is on few bytes per pixel. Comparisons are
written ``out=`` a tensor of the dtype compared: torch vectorises those on a CPU, and not the ones that give bool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

NEAR = 256  # ignored values no further than this from the classes have a code of their own
# Torch computes little in these.
WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def way(tensor: Tensor) -> str:
    """``"cpu"`` or ``"cuda"``: how things are done where the tensor is."""
    return "cpu" if tensor.device.type == "cpu" else "cuda"


class LabelCodes:
    """The codes of labels 0 to C - 1 and of ignored values: each value is its own code, within a window around them.

    What lies below the window has the code before it, what lies above the one after it. Ignored values far from the
    classes share the code after that.

    Args:
        num_classes: C.
        ignored: The ignored values, labels or not.
    """

    def __init__(self, num_classes: int, ignored: Sequence[int] = ()) -> None:
        near = [value for value in ignored if -NEAR <= value < num_classes + NEAR]
        self.first = min([0, *near]) - 1
        self._last = max([num_classes - 1, *near]) + 1
        self._far = [value for value in ignored if value not in near]
        self.size = self._last - self.first + 1 + bool(self._far)
        self.ignored = near + [self._last + 1] * bool(self._far)  # codes, distinct

    def encode(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """The codes (...) of labels (...) of any dtype; what is not a whole number is invalid."""
        if values.is_floating_point():
            exact = values.float() if values.itemsize < 4 else values
            whole = exact.where(exact == exact.trunc(), self.first)  # NaN is not
            codes = whole.clamp(self.first, self._last)
        else:
            values = as_integers(values)
            info = torch.iinfo(values.dtype)
            low, high = max(self.first, info.min), min(self._last, info.max)
            codes = values if (low, high) == (info.min, info.max) else values.clamp(low, high)
        codes = codes.to(dtype)
        for value in self._far:
            if values.is_floating_point() or info.min <= value <= info.max:
                codes = codes.masked_fill(values == value, self._last + 1)
        return codes


def encode_scores(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """The class (m, n) of the largest score among (m, C, n), of equal ones the first; C where there is NaN."""
    num_classes = scores.shape[1]
    if way(scores) != "cpu":
        largest, index = scores.max(dim=1)
        return index.masked_fill(largest.isnan(), num_classes).to(dtype)
    # Several times faster than argmax, which walks over the classes pixel by pixel: largest first, then the one it is.
    if not scores.is_floating_point():
        scores = as_integers(scores).long()
    elif scores.itemsize < 4:
        scores = scores.float()
    is_largest = torch.eq(scores, scores.amax(dim=1, keepdim=True), out=torch.empty_like(scores))
    from_the_end = torch.arange(num_classes, 0, -1, dtype=scores.dtype)[:, None]  # (C, 1)
    return (num_classes - is_largest.mul_(from_the_end).amax(dim=1)).to(dtype)


def as_mask(compare: Callable[..., Tensor], values: Tensor, other: float) -> Tensor:
    """``compare(values, other)`` as 0 and 1 in uint8, of the same shape."""
    if way(values) != "cpu":
        return compare(values, other).view(torch.uint8)
    result: Tensor = compare(values, other, out=torch.empty_like(values))
    return result.to(torch.bool).view(torch.uint8)


def as_integers(values: Tensor) -> Tensor:
    """The same values in a dtype that torch computes in; what int64 cannot hold becomes negative."""
    if values.dtype == torch.bool:
        return values.view(torch.uint8)
    return values.to(WIDER.get(values.dtype, values.dtype))
