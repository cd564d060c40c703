"""Keypoints in ``detmetrics.compat.pycocotools``, against the installed pycocotools."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import coco as their_coco
from pycocotools import cocoeval as their_eval

from detmetrics.compat import pycocotools as ours
from detmetrics.overlap.keypoint_sigmas import PRESETS
from tests import keypoint_problems
from tests.compat.test_pycocotools import (
    Files,
    assert_same_arrays,
    assert_same_entries,
    assert_same_summary,
    both,
    evaluated,
    indexed,
    quiet,
)
from tests.keypoint_problems import keypoint_problem

ROUNDING = 1e-15  # of a mean of up to 133 numbers in another order
SIGMAS = {1: [0.1], 14: PRESETS["crowdpose"], 17: PRESETS["coco"], 133: PRESETS["wholebody"]}
REAL = {
    "xtcoco_keypoints": ("example_coco_val.json", "example_coco_preds.json"),
    "fce_keypoints": ("gt_dataset.json", "dt_dataset.json"),
}


def assert_same(theirs: Any, own: Any) -> None:
    """Arrays before and after ``evalImgs`` are read: from matches, and from entries."""
    for made in (theirs, own):
        quiet(made.accumulate)
    assert_same_arrays(theirs, own)
    assert own.ious.keys() == theirs.ious.keys()
    for key, expected in theirs.ious.items():
        assert np.shape(own.ious[key]) == np.shape(expected)
        np.testing.assert_allclose(own.ious[key], expected, rtol=0, atol=ROUNDING)
    assert_same_entries(theirs, own)
    quiet(own.accumulate)
    assert_same_arrays(theirs, own)
    for made in (theirs, own):
        quiet(made.summarize)
    assert own.stats.shape == (10,)
    np.testing.assert_allclose(own.stats, theirs.stats, rtol=0, atol=ROUNDING)


def random_files(seed: int, num: int = 17) -> Files:
    """COCO's two files of a random problem with at least one result."""
    for candidate in range(100 * seed, 100 * seed + 100):
        problem = keypoint_problem(candidate, num=num)
        annotations, results = keypoint_problems.to_coco(problem.preds, problem.target)
        if results and annotations["annotations"]:
            return {"info": {}, **annotations}, results
    raise AssertionError("no problem has results")


@pytest.mark.parametrize("name", REAL)
def test_real_data(name: str, data_root: Path) -> None:
    truth, found = (json.loads((data_root / name / file).read_text()) for file in REAL[name])
    theirs, own = both((truth, found), "keypoints")
    assert_same(theirs, own)
    assert_same_summary(theirs, own)  # the printed lines too
    recorded = json.loads((data_root / name / "META.json").read_text())
    (numbers,) = (recorded.get("recorded") or recorded["measured"]).values()
    np.testing.assert_allclose(own.stats, numbers if isinstance(numbers, list) else numbers["stats"], atol=1e-12)


@pytest.mark.parametrize("num", SIGMAS)
@pytest.mark.parametrize("seed", range(6))
def test_random_problems(seed: int, num: int) -> None:
    assert_same(*both(random_files(seed, num), "keypoints", kpt_oks_sigmas=np.array(SIGMAS[num])))


@pytest.mark.slow
@pytest.mark.parametrize("num", SIGMAS)
def test_many_random_problems(num: int) -> None:
    for seed in range(6, 106):
        assert_same(*both(random_files(seed, num), "keypoints", kpt_oks_sigmas=np.array(SIGMAS[num])))


PARAMS: dict[str, dict[str, Any]] = {
    "no categories": {"useCats": 0},
    "thresholds": {"iouThrs": np.array([0.3, 0.5, 0.99, 1.0])},
    "limits": {"maxDets": [2, 1]},
    "limits with 20": {"maxDets": [20, 1, 100]},
    "areas": {"areaRng": [[0, 1e10], [30, 2000]], "areaRngLbl": ["all", "medium"]},
    "images": {"imgIds": [0, 1, 2]},
    "categories": {"catIds": [1, 90]},
}


@pytest.mark.parametrize("name", PARAMS)
def test_params(name: str) -> None:
    for seed in range(4):
        assert_same(*both(random_files(seed), "keypoints", **PARAMS[name]))


def test_takes_their_objects() -> None:
    files = random_files(1)
    theirs, _ = both(files, "keypoints")
    assert_same(theirs, evaluated(their_coco.COCO, ours.COCOeval, files, "keypoints"))


def test_what_a_subclass_replaces_is_called() -> None:
    files, pair = random_files(2), []
    for coco, evaluation in ((their_coco.COCO, their_eval.COCOeval), (ours.COCO, ours.COCOeval)):

        class Half(evaluation):  # type: ignore[misc, valid-type]
            def computeOks(self, imgId: Any, catId: Any) -> Any:  # noqa: N802, N803
                found = super().computeOks(imgId, catId)
                return found if len(found) == 0 else found * 0.75

        pair.append(evaluated(coco, Half, files, "keypoints"))
    assert_same(*pair)
    whole = evaluated(ours.COCO, ours.COCOeval, files, "keypoints")
    assert any(len(value) and (value != pair[1].ious[key]).any() for key, value in whole.ious.items())


def test_lists_that_are_read_count() -> None:
    files, pair = random_files(3), []
    for coco, evaluation in ((their_coco.COCO, their_eval.COCOeval), (ours.COCO, ours.COCOeval)):

        class Ignoring(evaluation):  # type: ignore[misc, valid-type]
            def _prepare(self) -> None:
                super()._prepare()
                for own in list(self._gts.values()):
                    for gt in own:
                        gt["ignore"] = gt["ignore"] or gt["id"] % 2

        pair.append(evaluated(coco, Ignoring, files, "keypoints"))
    assert_same(*pair)


def test_errors() -> None:
    dataset, results = random_files(4)
    with pytest.raises(ValueError, match=r'"keypoints" of the annotation \d+: expected 6 numbers, .* got 51'):
        evaluated(ours.COCO, ours.COCOeval, (dataset, results), "keypoints", kpt_oks_sigmas=np.array([0.1, 0.2]))
    for key in ("keypoints", "num_keypoints"):
        lacking = copy.deepcopy(dataset)
        del lacking["annotations"][0][key]
        made = ours.COCOeval(
            indexed(ours.COCO, lacking), quiet(indexed(ours.COCO, lacking).loadRes, results), "keypoints"
        )
        with pytest.raises(KeyError, match=key):
            quiet(made.evaluate)
