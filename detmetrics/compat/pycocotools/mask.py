"""The functions of ``pycocotools.mask`` that need no polygons, for where pycocotools is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detmetrics.compat.pycocotools.results import Ann, xywh_of
from detmetrics.overlap.boxes import box_overlap
from detmetrics.overlap.rle import decode_masks, mask_areas, read_runs
from detmetrics.overlap.run_masks import run_iou

BYTES = 64 << 20  # that temporaries may take


def encode(bimask: Any) -> Any:
    """Run-length encodings of ``(H, W)`` or ``(H, W, N)`` arrays, where a value that is not 0 is in the mask."""
    masks = np.asarray(bimask) != 0
    if masks.ndim == 2:
        return _encode(masks)
    return [_encode(masks[:, :, index]) for index in range(masks.shape[2])]


def decode(rleObjs: Any) -> Any:
    """``(H, W)`` uint8 array of an encoding, or ``(H, W, N)`` of a list."""
    masks = decode_masks(_listed(rleObjs)).permute(1, 2, 0).byte().numpy()
    return masks if isinstance(rleObjs, list) else masks[:, :, 0]


def area(rleObjs: Any) -> Any:
    """The pixels of an encoding, or ``(N,)`` of a list."""
    areas = mask_areas(read_runs(_listed(rleObjs))).numpy().astype(np.uint32)
    return areas if isinstance(rleObjs, list) else areas[0]


def toBbox(rleObjs: Any) -> Any:
    """The box around an encoding, ``(4,)`` float64 xywh, or ``(N, 4)`` of a list."""
    boxes = np.array(xywh_of(read_runs(_listed(rleObjs)))).reshape(-1, 4)
    return boxes if isinstance(rleObjs, list) else boxes[0]


def iou(dt: Any, gt: Any, pyiscrowd: Sequence[int]) -> Any:
    """Overlaps ``(D, G)`` of encodings or of xywh boxes; with a crowd region, over the detection's area.

    Args:
        dt: D encodings, or boxes.
        gt: G of the same kind.
        pyiscrowd: G flags.
    """
    if not len(dt) or not len(gt):
        return []
    crowd = torch.tensor([bool(flag) for flag in pyiscrowd])
    if not isinstance(dt[0], dict):
        boxes = [torch.from_numpy(np.asarray(side, dtype=np.float64)) for side in (dt, gt)]
        return box_overlap(boxes[0][:, None], boxes[1], crowd).numpy()
    target, detection = torch.cartesian_prod(torch.arange(len(gt)), torch.arange(len(dt))).unbind(1)
    found = run_iou(read_runs(dt), read_runs(gt), (detection, target), crowd, BYTES)
    return found.view(len(gt), len(dt)).T.contiguous().numpy()


def merge(rleObjs: Sequence[Ann], intersect: bool = False) -> Ann:
    """The encoding of the union of masks, or of their intersection."""
    masks = decode_masks(list(rleObjs))
    return _encode((masks.all(0) if intersect else masks.any(0)).numpy())


def frPyObjects(pyobj: Any, h: int, w: int) -> Any:
    """Encodings of one dict of run lengths or of several.

    Args:
        pyobj: A dict of ``size`` and ``counts``, or a list of them.
        h: The height of the image in pixels.
        w: Its width.

    Raises:
        ImportError: for polygons and boxes, which need pycocotools.
    """
    if not all(isinstance(one, dict) for one in _listed(pyobj)):
        raise ImportError('masks from polygons need pycocotools: pip install "detmetrics[coco]"')
    masks = [_encode(decode_masks([{"size": (h, w), "counts": one["counts"]}])[0].numpy()) for one in _listed(pyobj)]
    return masks if isinstance(pyobj, list) else masks[0]


def _listed(encodings: Any) -> list[Any]:
    return encodings if isinstance(encodings, list) else [encodings]


def _encode(mask: Any) -> Ann:
    """The encoding of a ``(H, W)`` bool array."""
    pixels = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(pixels, prepend=False))
    lengths: list[int] = np.diff(changes, prepend=0, append=len(pixels)).tolist()
    # From the fourth on a length is written as the difference to the last but one.
    numbers = [length - lengths[i - 2] if i > 2 else length for i, length in enumerate(lengths)]
    return {"size": list(mask.shape), "counts": b"".join(map(_characters, numbers))}


def _characters(number: int) -> bytes:
    """Five bits in a character, the lowest first; the next bit says that more follow."""
    found = bytearray()
    more = True
    while more:
        low, number = number & 31, number >> 5
        more = number != (-1 if low & 16 else 0)
        found.append(48 + (low | (32 if more else 0)))
    return bytes(found)
