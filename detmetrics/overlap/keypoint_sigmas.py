"""How far annotators of keypoints are apart: one number for each keypoint, and the sets that are in use."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.ragged import constants


def _thousandths(*values: int) -> tuple[float, ...]:
    return tuple(value / 100 / 10 for value in values)  # COCO's steps, to the last bit


COCO = _thousandths(26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)
CROWDPOSE = _thousandths(79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89, 79, 79)
_FEET = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
# fmt: off
_FACE = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
    0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
    0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
    0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
    0.008, 0.008, 0.010, 0.008,
)
_HAND = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021,
    0.032, 0.020, 0.019, 0.022, 0.031,
)
# fmt: on
_BODY = tuple(round(sigma, 3) for sigma in COCO)
PRESETS = {"coco": COCO, "crowdpose": CROWDPOSE, "wholebody": _BODY + _FEET + _FACE + _HAND + _HAND}

EXPECTED = (
    f"one of {tuple(PRESETS)}, a positive number for each keypoint, or a dict of label to either, one entry a class"
)


@dataclass(frozen=True)
class KeypointSigmas:
    """The sets of sigmas, and which class each is of."""

    sets: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...] | None = None  # ascending, one for each set; None if one set is for all classes

    @property
    def num_keypoints(self) -> int:
        """K: the number of keypoints of the largest set."""
        return max(map(len, self.sets))

    def set_of(self, labels: Tensor) -> Tensor:
        """The index of the set of each label ``(n,)``, -1 where there is none; reads nothing back from a device."""
        if self.labels is None:
            return torch.zeros_like(labels, dtype=torch.int64)
        known = constants(self.labels, labels.device, torch.int64)
        at = torch.searchsorted(known, labels.long()).clamp(max=len(known) - 1)
        return torch.where(known.index_select(0, at) == labels, at, -1)

    def variances(self, device: torch.device) -> Tensor:
        """``(S, K)`` float64, 4 sigma squared; NaN beyond the keypoints of a set."""
        return constants([self._filled(sigmas) for sigmas in self.sets], device, torch.float64).mul_(2).square_()

    def _filled(self, sigmas: tuple[float, ...]) -> list[float]:
        return [*sigmas, *[float("nan")] * (self.num_keypoints - len(sigmas))]


def keypoint_sigmas(name: str, value: Any) -> KeypointSigmas:
    """The sets that an argument stands for.

    Args:
        name: The argument.
        value: None for COCO's, a name of ``PRESETS``, a positive number for each keypoint, or a dict of label to
            either.

    Raises:
        ValueError: if it is none of these.

    Source: COCO, ``COCOeval.Params``; CrowdPose and COCO-WholeBody as xtcocotools evaluates them.

    Example:
        >>> keypoint_sigmas("keypoint_sigmas", "wholebody").num_keypoints
        133
    """
    if value is None:
        return KeypointSigmas((COCO,))
    if not isinstance(value, Mapping):
        return KeypointSigmas((_one_set(name, value),))
    if not value:
        raise arguments.fail(name, EXPECTED, value)
    by_label = {arguments.integer(f"{name}: label", label): own for label, own in value.items()}
    labels = tuple(sorted(by_label))
    return KeypointSigmas(tuple(_one_set(f"{name}[{label}]", by_label[label]) for label in labels), labels)


def _one_set(name: str, value: Any) -> tuple[float, ...]:
    if isinstance(value, str):
        if value not in PRESETS:
            raise arguments.fail(name, EXPECTED, value)
        return PRESETS[value]
    listed = arguments.listing(name, value, "positive numbers, one for each keypoint")
    positive = functools.partial(arguments.positive, name)
    return tuple(map(positive, listed))
