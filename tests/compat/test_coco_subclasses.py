"""What projects read, call and replace of ``COCOeval`` beyond its public steps: the same program over both bases.

The patterns are those of public evaluators: DETR's and torchvision's ``evaluate`` by cells, the C++ evaluators of
detectron2 and YOLOX, which read ``_gts`` and ``_dts``, mmdetection's settings, and subclasses with an overlap, a rule
for what is ignored or a summary of their own.
"""

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import coco as their_coco
from pycocotools import cocoeval as their_eval

from detmetrics.compat import pycocotools as ours
from tests.compat.coco_problems import random_files
from tests.compat.test_pycocotools import assert_same_arrays, assert_same_entries, assert_same_ious, indexed, quiet

BASES = [(their_coco.COCO, their_eval.COCOeval), (ours.COCO, ours.COCOeval)]


def made(kind: Any, base: Any, seed: int, iou_type: str = "bbox", num_images: int = 6, **params: Any) -> Any:
    """An evaluation of a class, or of what a function makes of the base."""
    coco, evaluation = base
    files = random_files(seed, num_images, masks=iou_type == "segm")
    truth = indexed(coco, files[0])
    found = kind(evaluation)(truth, quiet(truth.loadRes, copy.deepcopy(files[1])), iou_type)
    for name, value in params.items():
        setattr(found.params, name, copy.deepcopy(value))
    return found


def squared(base: Any) -> Any:
    class Squared(base):
        def computeIoU(self, imgId: Any, catId: Any) -> Any:
            return np.square(super().computeIoU(imgId, catId))

    return Squared


def by_height(base: Any) -> Any:
    class ByHeight(base):
        """An overlap of its own, from what ``_prepare`` collects."""

        def computeIoU(self, imgId: Any, catId: Any) -> Any:
            keys = [(imgId, catId)] if self.params.useCats else [(imgId, key) for key in self.params.catIds]
            targets, found = ([ann for key in keys for ann in side[key]] for side in (self._gts, self._dts))
            found = sorted(found, key=lambda ann: -ann["score"])[: self.params.maxDets[-1]]
            if not targets or not found:
                return []
            heights = (np.array([ann["bbox"][3] for ann in side], dtype=float) for side in (found, targets))
            mine, true = np.meshgrid(*heights, indexing="ij")
            return np.minimum(mine, true) / np.maximum(mine, true)

    return ByHeight


def ignoring_small(base: Any) -> Any:
    class IgnoringSmall(base):
        def _prepare(self) -> None:
            super()._prepare()
            for anns in self._gts.values():
                for ann in anns:
                    ann["ignore"] = ann["ignore"] or ann["bbox"][2] < 10

    return IgnoringSmall


def own_lists(base: Any) -> Any:
    class OwnLists(base):
        def _prepare(self) -> None:
            super()._prepare()
            kept = {key: [a for a in anns if a["score"] < 0.8] for key, anns in self._dts.items()}
            self._dts = type(self._dts)(list, kept)

    return OwnLists


def forgiving(base: Any) -> Any:
    class Forgiving(base):
        """Unmatched detections but for those of a high score are ignored."""

        def evaluateImg(self, imgId: Any, catId: Any, aRng: Any, maxDet: int) -> Any:
            entry = super().evaluateImg(imgId, catId, aRng, maxDet)
            if entry is not None:
                low = np.array(entry["dtScores"]) < 0.9
                entry["dtIgnore"] = np.logical_or(entry["dtIgnore"], (entry["dtMatches"] == 0) & low)
            return entry

    return Forgiving


def several(base: Any) -> Any:
    return ignoring_small(forgiving(by_height(base)))


KINDS = (squared, by_height, ignoring_small, own_lists, forgiving, several)


@pytest.mark.parametrize("settings", [{}, {"useCats": 0}, {"maxDets": [1, 2, 3]}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_subclasses_evaluate_as_over_pycocotools(kind: Any, seed: int, settings: dict[str, Any]) -> None:
    theirs, own = (made(kind, base, seed, num_images=25, **settings) for base in BASES)
    plain = made(lambda base: base, BASES[1], seed, num_images=25, **settings)
    for found in (theirs, own, plain):
        quiet(found.evaluate)
        quiet(found.accumulate)
    assert_same_arrays(theirs, own)
    assert_same_ious(theirs, own)
    assert_same_entries(theirs, own)
    assert not np.array_equal(own.eval["precision"], plain.eval["precision"])  # the subclass makes a difference


def by_cells(evaluation: Any) -> np.ndarray[Any, Any]:
    """What DETR and torchvision's first reference ask of the methods, for a batch of images."""
    params = evaluation.params
    params.imgIds = list(np.unique(params.imgIds))
    params.catIds = list(np.unique(params.catIds))
    params.maxDets = sorted(params.maxDets)
    evaluation._prepare()
    classes = params.catIds if params.useCats else [-1]
    evaluation.ious = {(i, k): evaluation.computeIoU(i, k) for i in params.imgIds for k in classes}
    entries = [
        evaluation.evaluateImg(i, k, area, params.maxDets[-1])
        for k in classes
        for area in params.areaRng
        for i in params.imgIds
    ]
    evaluation._paramsEval = copy.deepcopy(params)
    return np.asarray(entries).reshape(len(classes), len(params.areaRng), len(params.imgIds))


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("use_cats", [0, 1])
@pytest.mark.parametrize("reads_lists", [False, True])
def test_evaluating_cell_by_cell(iou_type: str, use_cats: int, reads_lists: bool) -> None:
    for seed in range(3):
        theirs, own = (made(lambda base: base, base, seed, iou_type, useCats=use_cats) for base in BASES)
        for found in (theirs, own):
            if reads_lists:
                found._prepare()
                assert found._gts
            found.evalImgs = list(by_cells(found).flatten())
            quiet(found.accumulate)
        assert_same_arrays(theirs, own)
        assert_same_ious(theirs, own)
        assert_same_entries(theirs, own)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_what_compiled_evaluators_read(iou_type: str) -> None:
    read = []
    for base in BASES:
        found = made(lambda base: base, base, 2, iou_type)
        found._prepare()
        keys = [(i, k) for i in found.params.imgIds for k in found.params.catIds]
        names = ("id", "area", "score", "ignore", "iscrowd", "segmentation" if iou_type == "segm" else "bbox")
        sides = ({key: [[ann.get(n) for n in names] for ann in side[key]] for key in keys} for side in _sides(found))
        read.append(list(sides))
    for theirs, own in zip(*read, strict=True):
        for key, anns in theirs.items():
            assert [[*a[:3], bool(a[3]), bool(a[4]), a[5]] for a in own[key]] == [
                [*a[:3], bool(a[3]), bool(a[4]), a[5]] for a in anns
            ]


def _sides(found: Any) -> tuple[Any, Any]:
    return found._gts, found._dts


@pytest.mark.parametrize("area", [(0, 1e10), [30, 400]])
@pytest.mark.parametrize("limit", [1, 100])
def test_cells_with_other_area_ranges_and_limits(area: Any, limit: int) -> None:
    theirs, own = (made(lambda base: base, base, 4) for base in BASES)
    for found in (theirs, own):
        quiet(found.evaluate)
        found.evalImgs = [
            found.evaluateImg(i, k, area, limit) for k in found.params.catIds for i in found.params.imgIds
        ]
    assert_same_entries(theirs, own)


def test_an_unknown_image_has_no_overlaps() -> None:
    for base in BASES:
        found = made(lambda base: base, base, 4)
        quiet(found.evaluate)
        assert found.computeIoU(12345, 1) == []
        assert found.evaluateImg(2, 1, [0, 1e10], 100) is None  # no annotation and no detection there


def test_a_method_that_is_assigned_to_the_object_is_called() -> None:
    theirs, own = (made(lambda base: base, base, 1) for base in BASES)
    for found in (theirs, own):
        whole = found.computeIoU
        found.computeIoU = lambda i, k, whole=whole: np.square(whole(i, k))
        quiet(found.evaluate)
        quiet(found.accumulate)
    assert_same_arrays(theirs, own)


def test_proposals_as_mmdetection_evaluates_them() -> None:
    """Recall without classes under three limits, by name from ``stats``."""
    stats = []
    for base in BASES:
        found = made(lambda base: base, base, 3, useCats=0, maxDets=[2, 5, 10], iouThrs=np.linspace(0.5, 0.95, 10))
        with contextlib.redirect_stdout(io.StringIO()) as lines:
            for step in (found.evaluate, found.accumulate, found.summarize):
                step()
        stats.append((dict(zip(("AR@2", "AR@5", "AR@10"), found.stats[6:9], strict=True)), lines.getvalue()[-300:]))
    assert stats[1] == stats[0]


def test_per_class_precision_as_detectron_reads_it() -> None:
    per_class = []
    for base in BASES:
        found = made(lambda base: base, base, 5)
        for step in (found.evaluate, found.accumulate, found.summarize):
            quiet(step)
        precision = found.eval["precision"]
        assert len(found.params.catIds) == precision.shape[2]
        own = [precision[:, :, k, 0, -1] for k in range(precision.shape[2])]
        per_class.append([np.mean(p[p > -1]) if (p > -1).any() else np.nan for p in own])
    np.testing.assert_allclose(per_class[1], per_class[0], atol=1e-12)
