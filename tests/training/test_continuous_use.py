"""Long use: no growth over epochs, and steps that cost the same whatever was accumulated before."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from detmetrics.state.metric import Metric
from tests.training import registry

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 100

MANY_EPOCHS = f"""
import gc, json, resource, sys, torch
from tests.training import registry

batches = {{name: [registry.batch(name, seed) for seed in range(2)] for name in registry.EVERY}}
metrics = {{name: registry.make(name) for name in registry.EVERY}}
seen = {{}}
for epoch in range(1, {EPOCHS} + 1):
    for name, metric in metrics.items():
        for batch in batches[name]:
            metric.update(*batch)
        metric.compute()
        metric.reset()
    if epoch in ({EPOCHS} // 4, {EPOCHS}):
        gc.collect()
        objects = gc.get_objects()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        tensors = sum(type(x) is torch.Tensor for x in objects)
        seen[epoch] = {{"objects": len(objects), "tensors": tensors, "peak": peak}}
        del objects
print(json.dumps(list(seen.values())))
"""


def test_a_hundred_epochs_do_not_grow() -> None:
    """Every metric, in a process of its own, which tells its largest size early and at the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", MANY_EPOCHS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    early, late = json.loads(done.stdout)
    assert late["tensors"] == early["tensors"]
    assert late["objects"] <= early["objects"] + 50
    assert late["peak"] <= early["peak"] + 4e6


class Work(TorchDispatchMode):
    """Counts operations and the numbers that they return, and with :func:`sys.setprofile` the Python calls."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.elements = self.calls = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.operations += 1
        self.elements += sum(
            x.numel() for x in (result if isinstance(result, tuple) else (result,)) if torch.is_tensor(x)
        )
        return result

    def count_call(self, frame: Any, event: str, argument: Any) -> None:
        self.calls += event in ("call", "c_call")


def work_of_a_step(metric: Metric, batch: Any) -> tuple[int, int, int]:
    work = Work()
    gc.disable()  # its callbacks are calls too
    with work:
        sys.setprofile(work.count_call)
        try:
            metric(*batch)
        finally:
            sys.setprofile(None)
            gc.enable()
    return work.operations, work.elements, work.calls


@pytest.mark.parametrize(
    "name", ["MeanAveragePrecision", "DetectionF1Score", "SegmentationF1Score", "ClassificationReport"]
)
def test_a_step_costs_the_same_at_any_time(name: str) -> None:
    """``forward`` at step 10 and at step 1,000: as many operations, numbers, and Python calls."""
    metric, batch = registry.make(name), registry.batch(name)
    work = {}
    for step in range(1, 1001):
        if step in (9, 10, 1000):  # the ninth fills the caches of what measures
            work[step] = work_of_a_step(metric, batch)
        else:
            metric(*batch)
    assert work[1000][:2] == work[10][:2]
    assert abs(work[1000][2] - work[10][2]) < 100  # a call for each earlier step would make it 990 more
    assert metric.update_count == 1000
