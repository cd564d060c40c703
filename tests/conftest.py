"""Fixtures that more than one file needs: where the real data lies, and the worlds of spawned ranks."""

import functools
import os
from pathlib import Path

import pytest
import torch

from tests import workers

torch.set_num_threads(1)  # on tensors as small as here a second thread is waited for longer than it works
SPAWNING = {"test_distributed.py", "test_torchrun.py", "test_lightning.py", "test_segmentation_runs.py", "test_site.py"}
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets. It comes apart from the repository; without it their tests are skipped."""
    root = Path(os.environ.get("DETMETRICS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "MANIFEST.json").is_file():
        reason = f"no real data at {root}: set DETMETRICS_DATA to the folder that has MANIFEST.json"
        if os.environ.get("CI") or os.environ.get("DETMETRICS_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return root


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> workers.World:
    """``world(size)`` spawns that many gloo ranks once a session and returns what each rank's scenarios gave."""
    return functools.cache(lambda size: workers.run_world(size, tmp_path_factory.mktemp(f"world{size}")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``pytest -m cuda`` runs the tests that need a GPU; in parallel, tests of the same ranks stay together."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "cuda" in fixtures:
            item.add_marker("cuda")
        if "world" in fixtures:
            item.add_marker(pytest.mark.xdist_group("world"))
        elif item.path.name in SPAWNING:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture
def cuda() -> torch.device:
    """The GPU, for the few tests that need one."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda")
