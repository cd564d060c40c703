"""A plain script under ``torchrun``: ranks agree with one process, also without data, and a lost one is noticed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tests.training import models, plain

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script has written on two ranks."""
    folder = tmp_path_factory.mktemp("torchrun")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.plain", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def lost(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "lost.pt", weights_only=True)
    return found


@pytest.mark.parametrize("split", ["padded", "one rank has all"])
def test_every_rank_gives_the_bits_of_one_process(folder: Path, ranks: list[dict[str, Any]], split: str) -> None:
    net = models.TinyFCOS()
    net.load_state_dict(torch.load(folder / "net.pt", weights_only=True))
    batches = DataLoader(models.Rectangles(plain.COUNT), 1, collate_fn=models.detection_batch)
    alone, count = plain.evaluate(net, batches)
    assert count == plain.COUNT
    assert 0 < alone["map"] < 1
    for rank in ranks:
        assert rank["world size"] == 2
        values, count = rank[split]
        assert count == plain.COUNT
        assert list(values) == list(alone)
        for key, value in alone.items():
            assert torch.equal(values[key].nan_to_num(-1), value.nan_to_num(-1)), key


def test_a_rank_that_does_not_come_is_waited_for_as_long_as_the_group_says(lost: dict[str, Any]) -> None:
    error, seconds = lost["stuck"]
    assert error.endswith("Error")
    assert 0.9 * plain.PATIENCE < seconds < 10 * plain.PATIENCE


def test_a_rank_that_is_gone_is_noticed(lost: dict[str, Any]) -> None:
    error, seconds = lost["gone"]
    assert error.endswith("Error")
    assert seconds < 60  # the timeout of the default group


def test_what_the_survivor_has_accumulated_is_still_there(lost: dict[str, Any]) -> None:
    assert 0 < lost["before"] < 1
    assert all(torch.equal(value, lost["before"]) for value in lost["after"])
