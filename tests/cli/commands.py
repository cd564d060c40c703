"""Files for the command, and ways to run it."""

import contextlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detmetrics.cli import main
from tests import oracle

CAT = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [0, 0, 10, 10]}
ANNOTATIONS: dict[str, Any] = {
    "images": [{"id": 1}],
    "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}],
    "annotations": [CAT],
}
RESULT = {"image_id": 1, "category_id": 5, "bbox": [0, 0, 10, 9], "score": 0.5}


def write(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def numbers(*arguments: str, out: Path) -> dict[str, float]:
    """Run the command quietly and return what it writes as JSON, with NaN for null."""
    assert main([*arguments, "--quiet", "--json", str(out)]) == 0
    return {key: math.nan if value is None else value for key, value in json.loads(out.read_text()).items()}


def assert_close(result: dict[str, float], expected: dict[str, float]) -> None:
    assert {key: result[key] for key in expected} == pytest.approx(expected, rel=0, abs=oracle.TOLERANCE, nan_ok=True)


def pycocotools_summary(gt: str, dt: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(gt)
        evaluation = COCOeval(truth, truth.loadRes(dt), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    return printed.getvalue()


def torchrun(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
