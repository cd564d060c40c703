"""Folders of label maps for the tests of files, of the command and of the page."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Maps = list[NDArray[Any]]


def random_maps(
    num_images: int, num_classes: int, seed: int = 0, void: int | None = 255, first: int = 0
) -> tuple[Maps, Maps]:
    """Targets and predictions of several shapes; the last class is never a target, and one image has no void."""
    generator = np.random.default_rng(seed)
    targets, preds = [], []
    for i in range(num_images):
        shape = (generator.integers(3, 9), generator.integers(4, 12))
        target = generator.integers(first, first + num_classes - 1, shape).astype(np.uint8)
        guess = generator.integers(first, first + num_classes, shape).astype(np.uint8)
        pred = np.where(generator.random(shape) < 0.7, target, guess).astype(np.uint8)
        if void is not None and i:
            target[generator.random(shape) < 0.2] = void
        targets.append(target)
        preds.append(pred)
    return targets, preds


def save(path: Path, values: NDArray[Any]) -> str:
    """Write a map in the format that the name tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez_compressed(path, labels=values)
    elif path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 0.5, 3.0, 1.0])), path)
    else:
        Image.fromarray(values).save(path, **({"compression": "tiff_deflate"} if ".tif" in path.name else {}))
    return str(path)


def save_folders(root: Path, targets: Maps, preds: Maps, suffixes: tuple[str, str] = (".png", ".png")) -> list[str]:
    """``gt`` and ``pred`` with files ``00``, ``01`` and so on, every other one in a folder of its own."""
    for name, maps, suffix in (("gt", targets, suffixes[0]), ("pred", preds, suffixes[1])):
        for i, values in enumerate(maps):
            save(root / name / ("deep" if i % 2 else "") / f"{i:02d}{suffix}", values)
    return [str(root / "gt"), str(root / "pred")]
