"""Leaving out images that were seen more than once, as samplers repeat some to give every rank the same number."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.ragged import hash_runs, lexsort, owners, run_starts

KEY, NUM_DETECTIONS, NUM_TARGETS, NUM_OVERLAPS, TARGET_HASH, NOTES = range(6)  # columns of the rows of images


def distinct_images(images: Tensor, detections: Tensor, overlaps: Tensor) -> tuple[Tensor | None, int]:
    """Each image once, in ascending order of keys.

    Of several copies of an image that were predicted differently, the same one stays in whatever order they came: the
    one whose predictions have the smallest hash.

    Args:
        images: ``(B, 6)`` int64 rows.
        detections: ``(N, K)`` int64 rows, image after image.
        overlaps: ``(E, L)`` int64 rows, image after image.

    Returns:
        The indices of the images that stay, in order, or None if all stay as they are; and the number left out.

    Raises:
        ValueError: if one key stands for two images with other targets.
    """
    keys = images[:, KEY]
    if bool((keys[1:] > keys[:-1]).all()):
        return None, 0
    order = lexsort(keys)
    repeated = ~run_starts(keys.index_select(0, order))
    num_duplicates = int(repeated.sum())
    if num_duplicates:
        order = lexsort(keys, _hash_predictions(images, detections, overlaps))
        _check_same_targets(images.index_select(0, order), repeated)
        order = order[~repeated]
    return order, num_duplicates


def _check_same_targets(images: Tensor, repeated: Tensor) -> None:
    """Raise unless every image that repeats the one before has the same targets."""
    hashes = images[:, TARGET_HASH]
    other = repeated & (hashes != hashes.roll(1))
    if bool(other.any()):
        key = int(images[other, KEY][0])
        raise ValueError(
            f"target['image_id']: expected one set of targets for an id, got two images with id {key} and other "
            "targets; give tiles or crops of one image ids of their own"
        )


def _hash_predictions(images: Tensor, detections: Tensor, overlaps: Tensor) -> Tensor:
    """A hash of everything predicted for an image, ``(B,)`` int64."""
    total = torch.zeros_like(images[:, KEY])
    for part, column in ((detections, NUM_DETECTIONS), (overlaps, NUM_OVERLAPS)):
        image = owners(images[:, column], len(part))
        total = total * 31 + hash_runs(part, image, len(total))
    return total
