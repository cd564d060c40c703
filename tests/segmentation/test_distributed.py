"""1 to 4 spawned ranks give the bits of one process."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from tests.segmentation.ranks import SEEDS, SIZES, run
from tests.segmentation.registry import CASES, fed, images, same_bits


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TORCH_DISTRIBUTED_DEBUG", "DETAIL")  # mismatched collectives raise
        mp.spawn(run, args=(folder,), nprocs=SIZES[-1])
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(SIZES[-1])]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: str(CASES[case]))
def test_any_number_of_ranks_equals_one_process(case: int, size: int, ranks: list[dict[Any, Any]]) -> None:
    name, settings = CASES[case]
    for seed in SEEDS:
        expected = fed(name, settings, images(name, settings, seed)).compute()
        for rank in range(size):
            found = ranks[rank][size, case, seed]
            for how in ("padded", "strided", "one rank"):
                assert same_bits(found[how], expected), (how, rank)
            assert found["duplicates"] == -7 % size
