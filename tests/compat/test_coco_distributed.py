"""torchvision's detection reference under two ranks gives what pycocotools gives in one process."""

import copy
from pathlib import Path

import numpy as np
import pytest
from pycocotools import coco as their_coco
from pycocotools import cocoeval as their_eval

from tests.compat import coco_ranks
from tests.compat.coco_problems import random_files
from tests.compat.test_pycocotools import indexed, quiet


@pytest.mark.parametrize("size", [2])
def test_ranks_give_what_pycocotools_gives(size: int, tmp_path: Path) -> None:
    dataset, results = random_files(coco_ranks.SEED, coco_ranks.NUM_IMAGES, masks=True)
    found = coco_ranks.run(size, tmp_path)
    for iou_type in ("bbox", "segm"):
        truth = indexed(their_coco.COCO, dataset)
        expected = their_eval.COCOeval(truth, quiet(truth.loadRes, copy.deepcopy(results)), iou_type)
        for step in (expected.evaluate, expected.accumulate, expected.summarize):
            quiet(step)
        assert expected.stats[0] > 0
        for rank in found:
            np.testing.assert_allclose(rank[iou_type], expected.stats, rtol=0, atol=1e-15)
