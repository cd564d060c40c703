"""The package as a whole: its names, its version, and what importing it costs."""

import subprocess
import sys
from importlib import metadata

import pytest

import detmetrics

HEAVY = {"PIL", "lightning", "matplotlib", "pycocotools", "pytorch_lightning", "rich", "scipy", "sklearn", "wandb"}

NEW_MODULES = """
import sys
import torchmetrics, torchvision
before = set(sys.modules)
import detmetrics
print("\\n".join(set(sys.modules) - before))
"""


def test_import_is_light() -> None:
    listed = subprocess.run([sys.executable, "-c", NEW_MODULES], capture_output=True, text=True, check=True).stdout
    packages = {name.partition(".")[0] for name in listed.split()}
    assert "detmetrics" in packages
    assert not packages & HEAVY
    assert packages - set(sys.stdlib_module_names) == {"detmetrics"}


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
