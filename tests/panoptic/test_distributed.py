"""1 to 3 spawned ranks give the bits of one process."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from tests.panoptic.ranks import SEEDS, SIZES, run
from tests.panoptic.registry import CASES, COUNT, fed, images
from tests.segmentation.registry import same_bits


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TORCH_DISTRIBUTED_DEBUG", "DETAIL")  # mismatched collectives raise
        mp.spawn(run, args=(folder,), nprocs=SIZES[-1])
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(SIZES[-1])]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_any_number_of_ranks_equals_one_process(case: int, size: int, ranks: list[dict[Any, Any]]) -> None:
    for seed in SEEDS:
        data = images(CASES[case].form, seed)
        expected, with_ids = fed(CASES[case], data), fed(CASES[case], data, with_ids=True)
        for rank in range(size):
            found = ranks[rank][size, case, seed]
            for how in ("padded", "strided", "one rank"):
                assert same_bits(found[how], expected.compute()), (how, rank)
                by_image = (with_ids if how == "padded" else expected).per_image()
                if how == "one rank":  # the places that the other ranks would have under strided sharding stay free
                    by_image["arrival"] = torch.arange(COUNT) * size + size - 1
                assert same_bits(found[f"{how} by image"], by_image), (how, rank)
            assert found["duplicates"] == -COUNT % size
