"""Checking rows that come from elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.detection.duplicates import KEY, NOTES, NUM_DETECTIONS, NUM_OVERLAPS, NUM_TARGETS
from detmetrics.detection.rows import NOTE_DTYPE, Rows
from detmetrics.match.evaluation_data import ABSENT, NO_SCORES, NOT_EXHAUSTIVE, PRESENT
from detmetrics.ragged import owners
from detmetrics.state.rows import FIRST_ARRIVAL


def check_rows(rows: Rows) -> None:
    """Check settled rows that come from elsewhere, such as a file: no reader may fail or go astray because of them.

    Args:
        rows: The state.

    Raises:
        ValueError: if counts, indices or values do not fit together, or values are not finite.
    """
    _check_counts(rows)
    for expected, holds in _expectations(rows).items():
        if not bool(holds.all()):
            raise ValueError(f"{expected}, got others in row {int((~holds).nonzero()[0])}")


def _check_counts(rows: Rows) -> None:
    for part, column in zip(Rows._fields[1:], range(NUM_DETECTIONS, NUM_OVERLAPS + 1), strict=True):
        counts, length = rows.images[:, column], len(getattr(rows, part))
        # No count is above the number of rows, so the sum does not wrap around.
        if bool(((counts < 0) | (counts > length)).any()) or int(counts.sum()) != length:
            raise ValueError(f"{part}: expected as many rows as the images count, got {length}")


def _expectations(rows: Rows) -> dict[str, Tensor]:
    """What must hold, and for which rows it does."""
    keys, notes = rows.images[:, KEY], rows.images[:, NOTES]
    arrival = keys - FIRST_ARRIVAL  # negative for keys of 0 or more, as int64 wraps around
    detections, targets, overlaps = (part.view(torch.float64) for part in rows[1:])
    image, pair = owners(rows.images[:, NUM_OVERLAPS], len(rows.overlaps)), rows.overlaps[:, 0]
    return {
        "images: expected ids of 0 or more, or numbers of arrival": arrival < 1 << 62,
        "images: expected notes of known scores": (notes >= 0) & (notes & NOTE_DTYPE <= NO_SCORES),
        "detections: expected finite scores": detections[:, 0].isfinite(),
        "detections: expected finite areas of 0 or more": detections[:, 1].isfinite() & (detections[:, 1] >= 0),
        "targets: expected finite areas of 0 or more": targets[:, 0].isfinite() & (targets[:, 0] >= 0),
        "targets: expected known flags": _is_known(rows.targets[:, 2]),
        "overlaps: expected finite numbers above 0": overlaps[:, 1].isfinite() & (overlaps[:, 1] > 0),
        "overlaps: expected detections of their image": _is_below(pair >> 32, rows.images[:, NUM_DETECTIONS], image),
        "overlaps: expected targets of their image": _is_below(pair & 0xFFFFFFFF, rows.images[:, NUM_TARGETS], image),
    }


def _is_known(flags: Tensor) -> Tensor:
    """Whether the flags are those of a target, or of one fact."""
    return (flags >> 2 == 0) | (flags == ABSENT) | (flags == PRESENT) | (flags == NOT_EXHAUSTIVE)


def _is_below(index: Tensor, counts: Tensor, image: Tensor) -> Tensor:
    """Whether indices within an image are below its count, ``(E,)`` bool."""
    return (index >= 0) & (index < counts.index_select(0, image))
