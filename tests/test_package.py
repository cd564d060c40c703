"""The package as a whole: its names, its version, and what importing and using it costs."""

import subprocess
import sys
from importlib import metadata

import pytest

import detmetrics

HEAVY = {"PIL", "lightning", "matplotlib", "pycocotools", "pytorch_lightning", "rich", "scipy", "sklearn"}
HEAVY |= {"pandas", "seaborn", "tensorboard", "wandb"}

NEW_MODULES = """
import sys, time
start = time.perf_counter()
import torchmetrics
before, middle = set(sys.modules), time.perf_counter()
import detmetrics
end = time.perf_counter()
new = set(sys.modules) - before
for name in detmetrics.__all__:
    getattr(detmetrics, name)
print(end - middle, middle - start, *new)
"""

USE = """
import sys
import torchmetrics
from detmetrics import demo
import detmetrics
before = set(sys.modules)
metrics = torchmetrics.MetricCollection([detmetrics.MeanAveragePrecision(), detmetrics.DetectionF1Score()])
metrics.update(*demo.generate(3, 5, 2))
metrics.compute()
print(*set(sys.modules) - before)
"""


def run(script: str) -> list[str]:
    """The words that a fresh process prints."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_import_loads_nothing_that_torchmetrics_does_not() -> None:
    ours, torchmetrics, *new = run(NEW_MODULES)
    print(f"import detmetrics: {float(ours):.2f} s after import torchmetrics, which took {float(torchmetrics):.2f} s")
    packages = {name.partition(".")[0] for name in new}
    assert "detmetrics" in packages
    assert not packages & HEAVY
    assert packages - set(sys.stdlib_module_names) <= {"detmetrics", "lazy_loader", "packaging"}


def test_use_loads_nothing_heavy() -> None:
    assert not {name.partition(".")[0] for name in run(USE)} & HEAVY


def test_version_is_the_installed_one() -> None:
    try:
        installed = metadata.version("detmetrics")
    except metadata.PackageNotFoundError:
        pytest.skip("runs from a checkout that is not installed")
    assert detmetrics.__version__ == installed


def test_public_names_are_explicit() -> None:
    assert detmetrics.__all__ == sorted(detmetrics.__all__)
    assert all(hasattr(detmetrics, name) for name in detmetrics.__all__)
    assert "MeanAveragePrecision" in detmetrics.__all__
