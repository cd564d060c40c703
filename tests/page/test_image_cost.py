"""What reading an image for the page may cost: memory, other programs, time."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detmetrics.page import thumbnails
from detmetrics.page.thumbnails import MOST_PIXELS, thumbnail


def test_no_other_program_is_started_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow starts Ghostscript for PostScript, which has loops, and waits for it."""
    program, trace = tmp_path / "bin" / "gs", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # not looked for yet
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    with pytest.raises(OSError, match="cannot identify image file"):
        thumbnail(path, [])
    assert not trace.exists()


def test_files_of_more_pixels_or_bytes_than_are_read_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P5 %d 1 255 " % (MOST_PIXELS + 1))
    with pytest.raises(OSError, match=rf"^has {MOST_PIXELS + 1} x 1 pixels, more than the {MOST_PIXELS} that are read"):
        thumbnail(path, [])
    monkeypatch.setattr(thumbnails, "MOST_BYTES", 10)
    with pytest.raises(OSError, match=r"^has \d+ bytes, more than the 10 that are read: make it smaller to see it$"):
        thumbnail(path, [])


def test_a_large_jpeg_is_read_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MOST_PIXELS", 600 * 600)
    Image.new("RGB", (4000, 4000)).save(tmp_path / "a.jpg")
    assert thumbnail(tmp_path / "a.jpg", []).width == 4000


MEASURE = """
import resource, sys
from pathlib import Path
from detmetrics.page.thumbnails import thumbnail
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
thumbnail(Path(sys.argv[1]), [])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("I;16", "png"),
        ("RGBA", "webp"),
        *(pytest.param(*kind, marks=pytest.mark.slow) for kind in (("F", "tif"), ("RGBA", "png"), ("RGB", "jp2"))),
    ],
)
def test_the_largest_images_take_less_than_1_gb(tmp_path: Path, mode: str, suffix: str) -> None:
    """Pixels of more than 8 bits took 24 bytes each, and transparent ones 20, besides what the decoder takes."""
    path = tmp_path / f"a.{suffix}"
    side = int(MOST_PIXELS**0.5)
    Image.new(mode, (side, side)).save(
        path, **{"png": {"compress_level": 1}, "webp": {"lossless": True}}.get(suffix, {})
    )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, timeout=100, check=True
    )
    assert int(done.stdout) < 1_000_000  # kB


@pytest.mark.parametrize(
    "picture_of",
    [
        lambda size: Image.new("P", size, 7),
        lambda size: Image.new("1", size, 1),
        lambda size: Image.new("I;16", size, 9),
    ],
)
def test_images_with_long_sides_are_thinned_in_any_mode(picture_of: Callable[[Any], Image.Image]) -> None:
    small = thumbnails.in_colour(picture_of((thumbnails.CLOSE * 2, 10)))
    assert (small.mode, small.size) == ("RGB", (thumbnails.CLOSE, 5))
    assert thumbnails.in_colour(picture_of((1, thumbnails.CLOSE * 3))).size == (1, thumbnails.CLOSE)
