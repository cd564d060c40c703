"""The band around boundaries against a slow loop."""

import pytest
import torch

from detmetrics.count.trimap import boundary_band


@pytest.mark.parametrize("length", range(1, 12))
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 7, 20])
def test_a_line(length: int, distance: int) -> None:
    for place in range(length):
        for ignored in range(-1, length):
            labels = (torch.arange(length) >= place).int()
            kept = torch.arange(length) != ignored
            expected = []
            for i in range(length):
                window = slice(max(i - distance, 0), i + distance + 1)
                expected.append(len(labels[window][kept[window]].unique()) == 2)
            assert boundary_band(labels, kept, distance).tolist() == expected


def test_a_plane_is_a_square_around_each_pixel() -> None:
    labels = torch.zeros(7, 9, dtype=torch.int32)
    labels[3, 4] = 1
    band = boundary_band(labels, None, 2)
    expected = torch.zeros_like(band)
    expected[1:6, 2:7] = True
    assert torch.equal(band, expected)
