"""The command on folders of label maps: images a second, beside the time that decoding the files takes alone."""

import contextlib
import functools
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Contender, Meter, Problem, Statistics

DISTINCT = 8  # maps that are drawn; further files are copies of them
CELLS = 16  # blocks of one label along the shorter side of a map
SHIFT = 5  # pixels that predictions are off
WORKERS = 2


@dataclass(frozen=True)
class Folders:
    """PNG files in ``gt`` and ``pred``."""

    root: Path
    owner: "tempfile.TemporaryDirectory[str]"  # which goes with the data
    num_classes: int

    @property
    def pairs(self) -> list[tuple[Path, Path]]:
        return [(self.root / "pred" / path.name, path) for path in sorted((self.root / "gt").iterdir())]


def folders(device: str, images: int, height: int, width: int, classes: int) -> Folders:
    """Maps of regions, the predictions of which are shifted."""
    from PIL import Image

    owner = tempfile.TemporaryDirectory()
    root = Path(owner.name)
    generator = torch.Generator().manual_seed(0)
    for side in ("gt", "pred"):
        (root / side).mkdir()
    for i in range(images):
        for side, shift in (("gt", 0), ("pred", SHIFT)):
            path = root / side / f"{i:05d}.png"
            if i >= DISTINCT:
                shutil.copyfile(root / side / f"{i % DISTINCT:05d}.png", path)
                continue
            if side == "gt":
                coarse = torch.randint(0, classes, (1, 1, CELLS, 2 * CELLS), generator=generator).float()
                target = torch.nn.functional.interpolate(coarse, size=(height, width))[0, 0].to(torch.uint8)
            Image.fromarray(target.roll((shift, 2 * shift), dims=(0, 1)).numpy()).save(path)
    return Folders(root, owner, classes)


def command(workers: int, data: Folders, meter: Meter) -> Statistics:
    from detmetrics.cli import main

    out = data.root / "out.json"
    options = ["--num-classes", str(data.num_classes), "--workers", str(workers), "--json", str(out), "--quiet"]
    with meter("evaluate"), contextlib.redirect_stdout(io.StringIO()):
        if main(["segmentation", str(data.root / "gt"), str(data.root / "pred"), *options]):
            raise RuntimeError("the command failed")
    meter.note("images/s", len(data.pairs) / meter.seconds)
    return {"iou": json.loads(out.read_text())["mean_iou"]}


def _decode(pair: tuple[Path, Path]) -> int:
    from PIL import Image

    return sum(int(np.asarray(Image.open(path))[0, 0]) for path in pair)


def decode(workers: int, data: Folders, meter: Meter) -> Statistics:
    from detmetrics.cli.workers import in_order

    with meter("decode"):
        for _ in in_order(_decode, data.pairs, workers):
            pass
    meter.note("images/s", len(data.pairs) / meter.seconds)
    return {}


def numpy_loop(data: Folders, meter: Meter) -> Statistics:
    """As many scripts do it."""
    from PIL import Image

    counts = np.zeros((data.num_classes, data.num_classes), dtype=np.int64)
    with meter("evaluate"):
        for pair in data.pairs:
            pred, target = (np.asarray(Image.open(path)).astype(np.int64) for path in pair)
            index = (data.num_classes * target + pred).ravel()
            counts += np.bincount(index, minlength=counts.size).reshape(counts.shape)
    tp = np.diagonal(counts)
    meter.note("images/s", len(data.pairs) / meter.seconds)
    return {"iou": float(np.mean(tp / (counts.sum(0) + counts.sum(1) - tp)))}


NEEDS: tuple[Any, ...] = ("detmetrics.cli.segmentation", "PIL")
OURS, OURS_ALONE = f"detmetrics, {WORKERS} workers", "detmetrics, one process"
PROBLEM = Problem(
    name="segmentation_files",
    title="Two folders of PNG label maps on the command line",
    generate=folders,
    size={"images": 500, "height": 1024, "width": 2048, "classes": 19},
    small={"images": 20, "height": 64, "width": 128, "classes": 5},
    contenders=(
        Contender(OURS, functools.partial(command, WORKERS), NEEDS),
        Contender(OURS_ALONE, functools.partial(command, 1), NEEDS),
        Contender(f"decoding alone, {WORKERS} workers", functools.partial(decode, WORKERS), ("PIL",)),
        Contender("decoding alone, one process", functools.partial(decode, 1), ("PIL",)),
        Contender("numpy.bincount an image, one process", numpy_loop, ("PIL",)),
    ),
    bases=(OURS, OURS_ALONE),
    reference="numpy.bincount an image, one process",
)
