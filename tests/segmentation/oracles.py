"""The packages that surfaces are compared with, and random masks."""

import functools
import importlib
import types
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

SPACINGS = (1.0, 0.5, 2.3, 0.7)


@functools.cache
def deepmind() -> Any:
    """The package surface-distance, with the names that numpy and scipy have dropped since."""
    package = pytest.importorskip("surface_distance")
    metrics = importlib.import_module("surface_distance.metrics")
    metrics.np = types.SimpleNamespace(**{**vars(np), "Inf": np.inf})
    metrics.ndimage = types.SimpleNamespace(filters=scipy.ndimage, morphology=scipy.ndimage)
    return package


def monai() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("monai.metrics")


def medpy() -> Any:
    return pytest.importorskip("medpy.metric.binary")


def random_masks(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Two masks of two or three dimensions and a spacing: noise, blobs up to the border, single voxels, empty ones."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 14, rng.integers(2, 4))
    masks = [_mask(rng, shape) for _ in range(2)]
    if rng.random() < 0.2:
        masks[0] = np.roll(masks[1], 1, axis=0)  # alike, so that many distances are equal
    return masks[0], masks[1], tuple(rng.choice(SPACINGS, len(shape)).tolist())


def _mask(rng: np.random.Generator, shape: np.ndarray) -> np.ndarray:
    kind = rng.choice(["noise", "blobs", "voxel", "full", "empty"], p=[0.35, 0.35, 0.15, 0.05, 0.1])
    noise = rng.random(shape)
    if kind == "noise":
        return noise < rng.choice([0.05, 0.3, 0.7])
    if kind == "blobs":
        return scipy.ndimage.gaussian_filter(noise, 1.5) > rng.choice([0.48, 0.5])
    mask = np.full(shape, kind == "full")
    if kind == "voxel":
        mask[tuple(rng.integers(0, shape))] = True
    return mask
