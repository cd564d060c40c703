"""Label maps in files: PNG, TIFF, NPY, NPZ and NIfTI, each as one array of whole numbers."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detmetrics.files.bounded import MAX_BYTES, in_bytes, too_much

CHANNELS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I": 4}  # modes of Pillow, bytes a pixel
AFFINE_TOLERANCE = 1e-3  # in the unit of the affine, between headers that mean the same


class LabelMap(NamedTuple):
    """The content of a file."""

    values: NDArray[Any]  # (H, W) or (D, H, W), of an integer dtype that torch computes in
    spacing: tuple[float, ...] | None = None  # of neighbouring pixels along each axis, if the file tells it
    affine: NDArray[np.float64] | None = None  # (4, 4), from pixels to a space, if the file tells it


def read_label_map(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> LabelMap:
    """Read a label map.

    Args:
        path: A file that ends in one of :data:`READERS`. PNG and TIFF of one channel, the indices of a palette as they
            are; the pages of a TIFF are planes. NPZ with one array. NIfTI with dimensions of size 1 behind the third
            left out. Floating values must be whole.
        max_bytes: How much a file may unpack to, if that is more than the file itself has.

    Returns:
        The values; of NIfTI also the spacing and the affine of the header.

    Raises:
        ImportError: if the format needs a package that is missing.
        OSError: if the file cannot be read.
        ValueError: if it is damaged, unpacks to too much or holds no label map; one line that names the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.array([[0.0, 2.0]]))
        ...     read_label_map(f"{folder}/a.npy").values
        array([[0, 2]])
    """
    name = os.fspath(path)
    reader = READERS.get(suffix_of(name))
    if reader is None:
        raise ValueError(f"{name}: expected a file that ends in {', '.join(READERS)}")
    with Path(name).open("rb"):  # an OSError if it cannot be read
        pass
    try:
        found = reader(name, max_bytes)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # damaged files raise errors of many types in Pillow, zlib, NumPy and nibabel
        text = str(error) or type(error).__name__
        raise ValueError(text if text.startswith(name) else f"{name}: cannot read it: {text}") from error
    return found._replace(values=_whole(name, found.values))


def suffix_of(name: str) -> str:
    """The ending of a file's name that tells its format, in lower case; empty if it is none of :data:`READERS`."""
    lower = name.lower()
    return next((suffix for suffix in READERS if lower.endswith(suffix)), "")


def check_pair(pred: str, target: str, maps: tuple[LabelMap, LabelMap], *, ignore_affine: bool = False) -> None:
    """Raise a ``ValueError`` unless a prediction and its target lie on one grid."""
    ours, theirs = maps
    if ours.values.shape != theirs.values.shape:
        raise ValueError(f"{pred}: expected the shape of {target}, {theirs.values.shape}, got {ours.values.shape}")
    if ignore_affine or ours.affine is None or theirs.affine is None:
        return
    if not np.allclose(ours.affine, theirs.affine, rtol=0, atol=AFFINE_TOLERANCE):
        raise ValueError(
            f"{pred}: expected the affine of {target}, got another, so that their voxels lie elsewhere; "
            "--ignore-affine compares them all the same"
        )


def _read_image(name: str, max_bytes: int, kind: str) -> LabelMap:
    try:
        from PIL import Image, ImageSequence
    except ImportError as error:
        raise ImportError('label maps in PNG and TIFF need pillow: pip install "detmetrics[cli]"') from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about metadata and about sizes that are bounded here
        with Image.open(name, formats=[kind]) as image:
            pages = getattr(image, "n_frames", 1)
            if image.mode not in (*CHANNELS, "F"):
                raise ValueError(f"{name}: expected one channel, the label, got mode {image.mode}")
            _check_size(name, max_bytes, math.prod(image.size) * pages * CHANNELS.get(image.mode, 4))
            if pages == 1:
                return LabelMap(np.asarray(image))
            planes = [np.array(page) for page in ImageSequence.Iterator(image)]
    if len({(plane.shape, plane.dtype) for plane in planes}) > 1:
        raise ValueError(f"{name}: expected pages of one size and type, got {sorted({p.shape for p in planes})}")
    return LabelMap(np.stack(planes))


def _read_png(name: str, max_bytes: int) -> LabelMap:
    return _read_image(name, max_bytes, "PNG")


def _read_tiff(name: str, max_bytes: int) -> LabelMap:
    return _read_image(name, max_bytes, "TIFF")


def _read_npy(name: str, max_bytes: int) -> LabelMap:
    mapped = np.load(name, mmap_mode="r", allow_pickle=False)  # a header that claims more than there is raises
    return LabelMap(np.array(mapped))


def _read_npz(name: str, max_bytes: int) -> LabelMap:
    with zipfile.ZipFile(name) as archive:
        _check_size(name, max_bytes, sum(entry.file_size for entry in archive.infolist()))
    with np.load(name, allow_pickle=False) as arrays:
        if len(arrays.files) != 1:
            raise ValueError(f"{name}: expected one array, got {len(arrays.files)}: {sorted(arrays.files)[:5]}")
        return LabelMap(arrays[arrays.files[0]])


def _read_nifti(name: str, max_bytes: int) -> LabelMap:
    try:
        import nibabel
    except ImportError as error:
        raise ImportError('label maps in NIfTI need nibabel: pip install "detmetrics[medical]"') from error
    image: Any = nibabel.load(name)
    shape, dims = image.shape, 3
    while len(shape) > dims and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > dims:
        raise ValueError(f"{name}: expected at most {dims} dimensions, got {image.shape}")
    _check_size(name, max_bytes, math.prod(image.shape) * max(image.get_data_dtype().itemsize, 8))
    values = np.asarray(image.dataobj).reshape(shape)
    zooms = tuple(float(zoom) for zoom in image.header.get_zooms()[: len(shape)])
    return LabelMap(values, zooms, np.asarray(image.affine, dtype=np.float64))


READERS: dict[str, Callable[[str, int], LabelMap]] = {
    ".png": _read_png,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".nii.gz": _read_nifti,
    ".nii": _read_nifti,
}


def _check_size(name: str, max_bytes: int, size: int) -> None:
    if size > max(max_bytes, Path(name).stat().st_size):
        raise too_much(name, max_bytes, in_bytes(size))


def _whole(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The values in an integer dtype that torch computes in."""
    if values.ndim not in (2, 3):
        raise ValueError(f"{name}: expected a map of 2 or 3 dimensions, got shape {values.shape}")
    if 0 in values.shape:
        raise ValueError(f"{name}: expected a map with pixels, got shape {values.shape}")
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "b":
        return values.astype(np.uint8)
    if kind == "u":
        wider = {1: np.uint8, 2: np.int32, 4: np.int64, 8: np.int64}[size]
        if size == 8 and values.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{name}: expected labels below 2**63, got {values.max()}")
        return values.astype(wider, copy=False)
    if kind == "i":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if kind != "f":
        raise ValueError(f"{name}: expected whole numbers, got an array of {values.dtype}")
    if not (np.isfinite(values) & (np.abs(values) < 2.0**63)).all() or not (values == np.trunc(values)).all():
        raise ValueError(f"{name}: expected whole numbers, the labels, got others")
    return values.astype(np.int64)
