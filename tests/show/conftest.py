"""Tests of pictures draw without a display."""

from collections.abc import Iterator

import matplotlib as mpl
import pytest
from matplotlib import pyplot


@pytest.fixture(autouse=True)
def pyplot_as_it_was() -> Iterator[None]:
    """Every test draws without a display, and leaves no figure behind."""
    mpl.use("agg")
    yield
    assert pyplot.get_fignums() == []
