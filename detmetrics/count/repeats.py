"""What becomes of images that were seen more than once under one id, and what is said about them."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor
from torchmetrics.utilities.prints import rank_zero_warn

DUPLICATES = ("drop", "error", "keep")
MOST_NAMED = 5

Ids = Mapping[int, int | str]  # the ids that users know by the numbers that stand for them, if these differ

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxlong = 80

REMEDY = (
    "give a tile or crop an id of its own, call reset() between epochs, or make the metric with duplicates='keep' to "
    "count every image"
)


class Repeats(NamedTuple):
    """The ids of the images that were left out, one for each of them, in ascending order."""

    same: list[int]  # the predictions are about the same as those of the image that stays: padding by a sampler
    other: list[int]  # the predictions are others

    @property
    def total(self) -> int:
        """How many images were left out."""
        return len(self.same) + len(self.other)


NONE = Repeats([], [])


def repeats_of(keys: Tensor, repeated: Tensor, same: Tensor) -> Repeats:
    """The repeats among images with ids.

    Args:
        keys: ``(B,)`` int64, ascending.
        repeated: ``(B,)`` bool: whether an image is left out.
        same: ``(B,)`` bool: whether its predictions are about the same as those of the image that stays.
    """
    return Repeats(keys[repeated & same].tolist(), keys[repeated & ~same].tolist())


def tell(repeats: Repeats, duplicates: str, argument: str, ids: Ids | None = None) -> None:
    """Warn about images that were left out, on one rank: once for each of the two kinds.

    Args:
        repeats: Those of all states that were read together.
        duplicates: ``"drop"``, or ``"error"`` to raise where the predictions are others.
        argument: What ids are called in ``update()``.
        ids: What messages call the images, where it is not the numbers.

    Raises:
        ValueError: if predictions are others and ``duplicates`` is ``"error"``.
    """
    if repeats.other:
        again = f"{_images(repeats.other, ids)} seen again with the same target but other predictions"
        if duplicates == "error":
            raise ValueError(f"{argument}: expected one image for an id, got {again}; {REMEDY}")
        rank_zero_warn(f"{argument}: {again}; one image of each id counts: {REMEDY}", UserWarning)
    if repeats.same:
        rank_zero_warn(
            f"{argument}: {_images(repeats.same, ids)} seen again with the same target and about the same predictions; "
            "each counts once. Samplers repeat images to give every rank as many; if these are epochs, call reset() "
            "between them",
            UserWarning,
        )


def joined(*repeats: Repeats) -> Repeats:
    """The repeats of several states of the same images: other predictions in one of them are other predictions."""
    longest = max(repeats, key=lambda each: each.total, default=NONE)
    if len(repeats) < 2 or not longest.total:
        return longest
    other = set().union(*(each.other for each in repeats))
    ids = sorted(longest.same + longest.other)
    return Repeats([key for key in ids if key not in other], [key for key in ids if key in other])


def id_of(key: int, ids: Ids | None) -> str:
    """What a message calls an image; text in quotes, and cut short if it is long."""
    return _shortened.repr((ids or {}).get(key, key))


def _images(keys: list[int], ids: Ids | None) -> str:
    """How many images, and the first ids of them."""
    distinct = sorted(set(keys))
    more = f" and {len(distinct) - MOST_NAMED} more" if len(distinct) > MOST_NAMED else ""
    named = ", ".join(id_of(key, ids) for key in distinct[:MOST_NAMED]) + more
    many = f"{len(keys)} images (ids" if len(distinct) > 1 else f"{len(keys)} image{'s' * (len(keys) > 1)} (id"
    return f"{many} {named}) {'were' if len(keys) > 1 else 'was'}"
