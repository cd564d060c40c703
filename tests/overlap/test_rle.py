"""Run-length encodings against pycocotools', and those that it reads beyond their end."""

import re
from typing import Any

import pytest
import torch

from detmetrics.overlap.rle import decode_masks
from tests import oracle


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (48, 64), (3, 2100), (2100, 3)])
@pytest.mark.parametrize("filled", [0.0, 0.001, 0.3, 1.0])
def test_decodes_what_pycocotools_encodes(size: tuple[int, int], filled: float) -> None:
    masks = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) < filled
    encoded = oracle.encode(masks)
    assert torch.equal(decode_masks(encoded), masks)
    assert torch.equal(decode_masks([{**entry, "counts": entry["counts"].decode()} for entry in encoded]), masks)


def test_large_runs_need_many_characters() -> None:
    masks = torch.zeros(1, 3000, 4000, dtype=torch.bool)
    masks[0, 2999, 3999] = True  # a run of 11,999,999
    assert torch.equal(decode_masks(oracle.encode(masks)), masks)


def test_lists_of_runs() -> None:
    masks = decode_masks([{"size": (2, 3), "counts": [0, 2, 4]}, {"size": [2, 3], "counts": [6]}])
    assert masks.int().tolist() == [[[1, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_nothing() -> None:
    assert decode_masks([]).shape == (0, 0, 0)
    assert decode_masks([{"size": [0, 5], "counts": []}]).shape == (1, 0, 5)
    assert decode_masks([{"size": [0, 5], "counts": b""}]).shape == (1, 0, 5)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("abc", "expected dicts of 'size' and 'counts', got str"),
        (torch.ones(2, 2), "expected dicts of 'size' and 'counts', got Tensor"),
        ({"size": [2, 2]}, "expected dicts of 'size' and 'counts', got dict"),
        ({"size": [2], "counts": [4]}, "expected a size of (H, W), got [2]"),
        ({"size": [2, -2], "counts": [4]}, "expected a size of (H, W), got [2, -2]"),
        ({"size": [2, 2], "counts": None}, "expected counts as str, bytes or a list of ints, got NoneType"),
        ({"size": [2, 2], "counts": [2.5, 1.5]}, "expected counts as str, bytes or a list of ints, got list"),
        ({"size": [2, 2], "counts": [1, 2]}, "that add up to 2 * 2 pixels, got 3 pixels"),  # pycocotools: any pixels
        ({"size": [2, 2], "counts": b"12"}, "that add up to 2 * 2 pixels, got 3 pixels"),
        ({"size": [2, 2], "counts": [1, 4]}, "that add up to 2 * 2 pixels, got 5 pixels"),
        ({"size": [2, 2], "counts": [5, -1]}, "expected runs of 0 or more that add up to 2 * 2 pixels, got 4 pixels"),
        ({"size": [2, 2], "counts": "~"}, "expected counts in COCO's characters, got b'~'"),
        ({"size": [2, 2], "counts": "P"}, "expected counts in COCO's characters, got b'P'"),  # goes on
        ({"size": [2, 2], "counts": "é"}, "expected counts in COCO's characters, got b'\\xc3\\xa9'"),
        ({"size": [2, 2], "counts": "P" * 13 + "0"}, "expected counts in COCO's characters"),  # more than 64 bits
        ({"size": [1, 4], "counts": [4]}, "expected encodings of one size, got (1, 4) and (2, 2)"),
    ],
)
def test_what_does_not_fit_is_named(entry: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        decode_masks([{"size": [2, 2], "counts": [4]}, entry])
