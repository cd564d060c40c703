"""Ranks give the bits of one process, also when one of them has no image."""

from pathlib import Path

import pytest
import torch

from tests.compat import ranks


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_give_what_one_process_gives(size: int, tmp_path: Path) -> None:
    results = ranks.run(size, tmp_path)
    assert len(results) == size
    for name, (metric, (preds, target)) in ranks.metrics().items():
        metric.warn_on_many_detections = False
        metric.update(preds, target)
        expected = metric.compute()
        for rank, result in enumerate(results):
            found, num_local = result[name]
            assert num_local == len(preds[rank::size])
            assert found.keys() == expected.keys()
            for key, value in expected.items():
                assert torch.equal(found[key], value), (name, key)
