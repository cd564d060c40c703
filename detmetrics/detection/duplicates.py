"""Leaving out images that were seen more than once, as samplers repeat some to give every rank the same number."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.count import repeats
from detmetrics.count.repeats import Ids, Repeats
from detmetrics.ragged import descending_key, hash_runs, lexsort, owners, rows_of, run_starts

KEY, NUM_DETECTIONS, NUM_TARGETS, NUM_OVERLAPS, TARGET_HASH, NOTES = range(6)  # columns of the rows of images
SCORE, AREA, LABEL = range(3)  # columns of the rows of detections

# Predictions for two copies of an image differ by what another batch composition and its rounding change: some 1e-6 of
# a score in float32, 1e-3 in float16 and 1e-2 in bfloat16.
RELATIVE, ABSOLUTE = 1e-2, 1e-3


def distinct_images(
    images: Tensor, detections: Tensor, overlaps: Tensor, duplicates: str, ids: Ids | None = None
) -> tuple[Tensor | None, Repeats]:
    """Each image once, in ascending order of keys.

    Of several copies of an image that were predicted differently, the same one stays in whatever order they came: the
    one whose predictions have the smallest hash.

    Args:
        images: ``(B, 6)`` int64 rows.
        detections: ``(N, 3)`` int64 rows, image after image.
        overlaps: ``(E, L)`` int64 rows, image after image.
        duplicates: ``"keep"`` to leave none out.
        ids: What messages call the images, where it is not the keys.

    Returns:
        The indices of the images that stay, in order, or None if all stay as they are; and the images left out.

    Raises:
        ValueError: if one key stands for two images with other targets, unless all are kept.
    """
    keys = images[:, KEY]
    if bool((keys[1:] > keys[:-1]).all()):
        return None, repeats.NONE
    order = lexsort(keys)
    repeated = ~run_starts(keys.index_select(0, order))
    if not bool(repeated.any()):
        return order, repeats.NONE
    hashes = _hash_predictions(images, detections, overlaps)
    if duplicates == "keep":
        return lexsort(keys, images[:, TARGET_HASH], hashes), repeats.NONE
    order = lexsort(keys, hashes)
    _check_same_targets(images.index_select(0, order), repeated, ids)
    same = _like_the_first(images, detections, order, repeated)
    return order[~repeated], repeats.repeats_of(keys.index_select(0, order), repeated, same)


def _check_same_targets(images: Tensor, repeated: Tensor, ids: Ids | None) -> None:
    """Raise unless every image that repeats the one before has the same targets."""
    hashes = images[:, TARGET_HASH]
    other = repeated & (hashes != hashes.roll(1))
    if bool(other.any()):
        name = repeats.id_of(int(images[other, KEY][0]), ids)
        raise ValueError(
            f"target['image_id']: expected one set of targets for an id, got two images with id {name} and other "
            f"targets; {repeats.REMEDY}"
        )


def _hash_predictions(images: Tensor, detections: Tensor, overlaps: Tensor) -> Tensor:
    """A hash of everything predicted for an image, ``(B,)`` int64."""
    total = torch.zeros_like(images[:, KEY])
    for part, column in ((detections, NUM_DETECTIONS), (overlaps, NUM_OVERLAPS)):
        image = owners(images[:, column], len(part))
        total = total * 31 + hash_runs(part, image, len(total))
    return total


def _like_the_first(images: Tensor, detections: Tensor, order: Tensor, repeated: Tensor) -> Tensor:
    """Whether the predictions of images are about those of the first image with their key, ``(B,)`` bool in ``order``.

    There are as many detections of each label; and their scores, sorted, differ by at most ``ABSOLUTE`` + ``RELATIVE``
    times the larger one, and so do their areas. Sorted numbers differ by no more than the numbers do, so that noise
    which changes the order of detections is noise still.
    """
    position = torch.arange(len(order), device=order.device)
    first = order.index_select(0, torch.where(repeated, 0, position).cummax(0).values)  # index of an image
    counts = images[:, NUM_DETECTIONS]
    comparable = repeated & (counts.index_select(0, order) == counts.index_select(0, first))
    at = comparable.nonzero().squeeze(1)
    pair, both = (detections.index_select(0, rows_of(counts, chosen[at])) for chosen in (order, first))
    owner = owners(counts.index_select(0, order[at]), len(pair))  # index into at
    differs = pair[:, LABEL] != both[:, LABEL]  # rows are in the order of labels
    for ours, theirs in zip(_sorted_columns(pair, owner), _sorted_columns(both, owner), strict=True):
        larger = torch.maximum(ours.abs(), theirs.abs())
        differs |= ~((ours - theirs).abs() <= ABSOLUTE + RELATIVE * larger)
    same = comparable.clone()
    same[at[owner[differs]]] = False
    return same


def _sorted_columns(detections: Tensor, owner: Tensor) -> list[Tensor]:
    """Scores and areas (n,) float64, each sorted within images and labels."""
    columns = detections.view(torch.float64).unbind(1)
    orders = (lexsort(owner, detections[:, LABEL], descending_key(columns[column])) for column in (SCORE, AREA))
    return [columns[column].index_select(0, order) for column, order in zip((SCORE, AREA), orders, strict=True)]
