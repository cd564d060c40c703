"""``detmetrics.compat.pycocotools`` against the installed pycocotools, which is the oracle throughout."""

import contextlib
import copy
import gzip
import importlib
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import coco as their_coco
from pycocotools import cocoeval as their_eval
from pycocotools import mask as their_mask

import detmetrics.coco
from detmetrics.compat import pycocotools as ours
from detmetrics.compat.pycocotools import mask as our_mask
from tests.compat.coco_problems import random_files

Files = tuple[dict[str, Any], list[dict[str, Any]]]
SPACING = float(np.spacing(1))  # theirs has tp / (tp + fp + spacing): 1 - spacing for a single true positive
DECODES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' decode


def quiet(call: Callable[..., Any], *args: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return call(*args)


def indexed(kind: Any, dataset: dict[str, Any]) -> Any:
    coco = kind()
    coco.dataset = copy.deepcopy(dataset)
    quiet(coco.createIndex)
    return coco


def evaluated(coco: Any, evaluation: Any, files: Files, iou_type: str, **params: Any) -> Any:
    ground_truth = indexed(coco, files[0])
    results = quiet(ground_truth.loadRes, copy.deepcopy(files[1]))
    made = evaluation(ground_truth, results, iou_type)
    for name, value in params.items():
        setattr(made.params, name, copy.deepcopy(value))
    quiet(made.evaluate)
    return made


def both(files: Files, iou_type: str, **params: Any) -> tuple[Any, Any]:
    pairs = (their_coco.COCO, their_eval.COCOeval), (ours.COCO, ours.COCOeval)
    theirs, own = (evaluated(coco, evaluation, files, iou_type, **params) for coco, evaluation in pairs)
    return theirs, own


def assert_same_arrays(theirs: Any, own: Any) -> None:
    assert own.eval["counts"] == theirs.eval["counts"]
    assert own.eval.keys() == theirs.eval.keys()
    np.testing.assert_allclose(own.eval["precision"], theirs.eval["precision"], rtol=0, atol=SPACING)
    for key in ("recall", "scores"):
        np.testing.assert_array_equal(own.eval[key], theirs.eval[key])


def assert_same_entries(theirs: Any, own: Any) -> None:
    assert len(own.evalImgs) == len(theirs.evalImgs)
    for entry, expected in zip(own.evalImgs, theirs.evalImgs, strict=True):
        assert (entry is None) == (expected is None)
        if expected is None:
            continue
        assert entry.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(entry[key], value, err_msg=key)


def assert_same_ious(theirs: Any, own: Any) -> None:
    assert own.ious.keys() == theirs.ious.keys()
    for key, expected in theirs.ious.items():
        np.testing.assert_array_equal(own.ious[key], expected)


def assert_same(theirs: Any, own: Any) -> None:
    """Arrays before and after ``evalImgs`` are read: from matches, and from entries."""
    for made in (theirs, own):
        quiet(made.accumulate)
    assert_same_arrays(theirs, own)
    assert_same_ious(theirs, own)
    assert_same_entries(theirs, own)
    quiet(own.accumulate)
    assert_same_arrays(theirs, own)


def summary(made: Any) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        made.summarize()
    return printed.getvalue()


def assert_same_summary(theirs: Any, own: Any) -> None:
    assert summary(own) == summary(theirs)
    np.testing.assert_allclose(own.stats, theirs.stats, rtol=0, atol=2 * SPACING)
    assert own.stats.dtype == theirs.stats.dtype


def read(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


COCO_2014 = "coco_val2014_100/instances_val2014_100.json"
FAKE = "instances_val2014_fake{}100_results.json"
REAL = {
    "coco boxes": (COCO_2014, FAKE.format("bbox"), "bbox"),
    "coco masks": (COCO_2014, FAKE.format("segm"), "segm"),
    "boxes of masks": (COCO_2014, FAKE.format("segm"), "bbox"),
    "masks of boxes": (COCO_2014, FAKE.format("bbox"), "segm"),
    "voc": ("voc07_tinyyolo/voc07_test_gt_coco.json.gz", "tinyyolo_qfdong_dt_coco.json.gz", "bbox"),
    "rafael": ("rafael_coco_sampled/gt.json", "dt.json", "bbox"),
}


ALL_OF_VOC = pytest.param("voc", None, marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "num_images"), [*((name, 500) for name in REAL), ALL_OF_VOC])
def test_real_data(name: str, num_images: int | None, data_root: Path) -> None:
    annotations, results, iou_type = REAL[name]
    path = data_root / annotations
    files = read(path), read(path.parent / results)
    images = [image["id"] for image in files[0]["images"]][:num_images]
    theirs, own = both(files, iou_type, imgIds=images)
    assert_same(theirs, own)
    assert_same_summary(theirs, own)
    assert theirs.stats[0] > 0.05  # something was found


def test_lvis_targets_as_results(data_root: Path) -> None:
    """1,203 categories; no results are stored for it, so the targets are moved a little and scored."""
    files = read(data_root / "lvis_val_100/lvis_val_100.json.gz")
    for row in files["annotations"]:
        row.setdefault("iscrowd", 0)
    results = [
        {**{key: row[key] for key in ("image_id", "category_id")}, "bbox": [x, y + 1, w, h], "score": (n % 17) / 17}
        for n, row in enumerate(files["annotations"])
        for x, y, w, h in [row["bbox"]]
    ]
    theirs, own = both((files, results), "bbox")
    assert_same(theirs, own)
    assert_same_summary(theirs, own)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(25))
def test_random_problems(seed: int, iou_type: str) -> None:
    theirs, own = both(random_files(seed, masks=iou_type == "segm"), iou_type)
    assert_same(theirs, own)
    assert_same_summary(theirs, own)


PARAMS: dict[str, dict[str, Any]] = {
    "no categories": {"useCats": 0},
    "no categories, some of them": {"useCats": 0, "catIds": [9, 1]},
    "other thresholds": {"iouThrs": np.array([0.3, 0.5, 0.99, 1.0])},
    "other recall points": {"recThrs": np.array([0.0, 0.25, 0.7])},
    "no recall points": {"recThrs": np.array([])},
    "limits, unsorted": {"maxDets": [5, 1, 2, 3]},
    "areas": {"areaRng": [[25, 1024], [0, 1e10], [30, 31]], "areaRngLbl": ["a", "all", "c"]},
    "images": {"imgIds": [8, 5, 5, 11, 900]},
    "categories": {"catIds": [9, 4, 9, 77]},
    "deprecated useSegm": {"useSegm": 0, "iouType": "segm"},
}


@pytest.mark.parametrize("name", PARAMS)
@pytest.mark.parametrize("seed", range(3))
def test_params(name: str, seed: int) -> None:
    theirs, own = both(random_files(seed), "bbox", **PARAMS[name])
    assert_same(theirs, own)
    if len(own.params.maxDets) >= 3 and len(own.params.recThrs):
        assert_same_summary(theirs, own)


def test_mask_params() -> None:
    theirs, own = both(random_files(3, masks=True), "segm", useCats=0, maxDets=[1, 2, 4])
    assert_same(theirs, own)


ACCUMULATED: dict[str, dict[str, Any]] = {
    "limits": {"maxDets": [2, 10, 50]},
    "recall points": {"recThrs": np.linspace(0, 1, 11)},
    "images": {"imgIds": [2, 5, 8]},
    "categories": {"catIds": [1, 4]},
    "areas": {"areaRng": [[0, 1e10], [7, 8]]},
}


@pytest.mark.parametrize("name", ACCUMULATED)
def test_accumulate_takes_other_params(name: str) -> None:
    theirs, own = both(random_files(2), "bbox", maxDets=[2, 10, 100])
    for made in (theirs, own):
        params = copy.deepcopy(made.params)
        for key, value in ACCUMULATED[name].items():
            setattr(params, key, value)
        quiet(made.accumulate, params)
    assert_same_arrays(theirs, own)


def test_takes_their_objects() -> None:
    files = random_files(1, masks=True)
    theirs, _ = both(files, "segm")
    own = evaluated(their_coco.COCO, ours.COCOeval, files, "segm")
    assert_same(theirs, own)
    assert_same(evaluated(ours.COCO, their_eval.COCOeval, files, "segm"), own)


def test_no_detections() -> None:
    files = random_files(1)
    pair = []
    for coco, evaluation in ((their_coco.COCO, their_eval.COCOeval), (ours.COCO, ours.COCOeval)):
        made = evaluation(indexed(coco, files[0]), coco(), "bbox")
        quiet(made.evaluate)
        pair.append(made)
    assert_same(*pair)
    assert_same_summary(*pair)


def test_evaluate_again_after_a_change() -> None:
    theirs, own = both(random_files(4), "bbox")
    assert_same(theirs, own)
    for made in (theirs, own):
        made.params.maxDets = [1, 2, 3]
        quiet(made.evaluate)
    assert_same(theirs, own)


def test_annotations_stay_as_they_are() -> None:
    files = random_files(5, masks=True)
    coco = indexed(ours.COCO, files[0])
    made = ours.COCOeval(coco, quiet(coco.loadRes, files[1]), "segm")
    before = copy.deepcopy((made.cocoGt.dataset, made.cocoDt.dataset))
    quiet(made.evaluate)
    assert (made.cocoGt.dataset, made.cocoDt.dataset) == before


@pytest.mark.parametrize("kind", ["boxes", "masks", "keypoints", "captions", "array"])
def test_load_res_derives_what_is_missing(kind: str) -> None:
    dataset, results = random_files(6, masks=kind == "masks")
    inputs: Any = results
    if kind == "keypoints":
        inputs = [{**row, "keypoints": [3.5, 4, 2, 9, 1, 1, 0, 7, 0]} for row in results]
        for row in inputs:
            del row["bbox"]
    if kind == "captions":
        inputs = [{"image_id": row["image_id"], "caption": "a dog"} for row in results]
        dataset = {key: value for key, value in dataset.items() if key in ("images", "info")}
    if kind == "array":
        inputs = np.array([[r["image_id"], *r["bbox"], r["score"], r["category_id"]] for r in results])
    found = [quiet(indexed(coco, dataset).loadRes, copy.deepcopy(inputs)) for coco in (their_coco.COCO, ours.COCO)]
    expected, own = (coco.dataset for coco in found)
    assert own.keys() == expected.keys()
    assert own["images"] == expected["images"]
    for row, other in zip(own["annotations"], expected["annotations"], strict=True):
        assert row.keys() == other.keys()
        for key in row:
            assert np.all(row[key] == other[key]), key


@pytest.mark.parametrize("given", ["boxes", "masks"])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_from_coco_derives_what_results_lack(given: str, kind: str) -> None:
    dataset, results = random_files(3, 20, masks=True)
    if given == "boxes":
        _, results = random_files(3, 20)
    data = detmetrics.coco.from_coco(copy.deepcopy(dataset), copy.deepcopy(results), masks=True)
    metric = detmetrics.MeanAveragePrecision(iou_type=kind, box_format="xywh")
    metric.update(data.preds, data.target)
    expected = evaluated(their_coco.COCO, their_eval.COCOeval, (dataset, results), kind)
    quiet(expected.accumulate)
    quiet(expected.summarize)
    result = metric.compute()
    found = [result[key].item() for key in ("map", "map_50", "map_75", "mar_1", "mar_10", "mar_100")]
    np.testing.assert_allclose(found, [*expected.stats[:3], *expected.stats[6:9]], rtol=0, atol=1e-9)
    assert found[0] > 0


QUERIES: list[tuple[str, tuple[Any, ...]]] = [
    ("getImgIds", ()), ("getImgIds", ([2, 5, 8],)), ("getImgIds", ([], [1, 4])), ("getImgIds", ([5, 8], 4)),
    ("getCatIds", ()), ("getCatIds", (["1", "9"],)), ("getCatIds", ([], [], [4, 9])),
    ("getAnnIds", ()), ("getAnnIds", (5,)), ("getAnnIds", ([8, 5],)), ("getAnnIds", ([8, 5], [1, 9])),
    ("getAnnIds", ([], 4)), ("getAnnIds", ([], [], [6, 1024])), ("getAnnIds", ([5, 8, 11], [], [], True)),
    ("loadAnns", ([1, 2],)), ("loadAnns", (2,)), ("loadCats", (4,)), ("loadImgs", ([5, 8],)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args"), QUERIES)
def test_queries(name: str, args: tuple[Any, ...]) -> None:
    dataset, _ = random_files(7)
    found, expected = (getattr(indexed(coco, dataset), name)(*args) for coco in (ours.COCO, their_coco.COCO))
    if name == "getImgIds":
        found, expected = sorted(found), sorted(expected)
    assert found == expected
    assert found


def test_arrays_of_results_become_dicts() -> None:
    rows = np.array([[2, 1.5, 2, 3, 4, 0.5, 9], [5, 0, 0, 1, 1, 0.25, 4]])
    found, expected = (quiet(coco().loadNumpyAnnotations, rows) for coco in (ours.COCO, their_coco.COCO))
    assert found == expected
    for wrong in (rows[:, :6], rows[0], [[1, 2]]):
        with pytest.raises(AssertionError, match=r"expected an array of shape \(N, 7\)"):
            ours.COCO().loadNumpyAnnotations(wrong)


@DECODES
def test_annotations_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    dataset, _ = random_files(6, masks=True)
    dataset["categories"][0]["skeleton"] = [[1, 2], [2, 3]]
    keypoints = {"image_id": 5, "category_id": 1, "bbox": [1, 1, 5, 5], "keypoints": [3.5, 4, 2, 9, 1, 1, 0, 7, 0]}
    drawn = []
    for kind in (their_coco.COCO, ours.COCO):
        coco = indexed(kind, dataset)
        figure, axes = pyplot.subplots()
        coco.showAnns([*coco.loadAnns(coco.getAnnIds()), keypoints])
        drawn.append((len(axes.images), [np.asarray(line.get_xydata()).tolist() for line in axes.lines]))
        pyplot.close(figure)
    assert drawn[1] == drawn[0]
    assert drawn[1][0] > 0
    figure, axes = pyplot.subplots()
    indexed(ours.COCO, dataset).showAnns([keypoints], draw_bbox=True)
    assert [patch.get_xy()[:4].tolist() for patch in axes.patches] == [[[1, 1], [1, 6], [6, 6], [6, 1]]]
    pyplot.close(figure)
    ours.COCO().showAnns([{"caption": "a dog"}])
    assert capsys.readouterr().out.endswith("a dog\n")


@DECODES
def test_index_and_masks(data_root: Path) -> None:
    path = data_root / "coco_val2014_100/instances_val2014_100.json"
    own, theirs = quiet(ours.COCO, str(path)), quiet(their_coco.COCO, str(path))
    for name in ("dataset", "anns", "cats", "imgs", "imgToAnns", "catToImgs"):
        assert getattr(own, name) == getattr(theirs, name), name
    for key in list(own.anns)[::40]:
        np.testing.assert_array_equal(own.annToMask(own.anns[key]), theirs.annToMask(theirs.anns[key]))


def test_printed_lines() -> None:
    dataset, results = random_files(8)
    printed = []
    for coco, evaluation in ((their_coco.COCO, their_eval.COCOeval), (ours.COCO, ours.COCOeval)):
        with contextlib.redirect_stdout(io.StringIO()) as lines:
            ground_truth = coco()
            ground_truth.dataset = copy.deepcopy(dataset)
            ground_truth.createIndex()
            made = evaluation(ground_truth, ground_truth.loadRes(copy.deepcopy(results)), "bbox")
            made.evaluate()
            made.accumulate()
            made.summarize()
        printed.append(re.sub(r"t=\d+\.\d+s", "t", lines.getvalue()))
    assert printed[1] == printed[0]


def joined(coco: Any, evaluation: Any, files: Files, num_ranks: int) -> Any:
    """What torchvision's ``CocoEvaluator`` asks: each rank its images, batch by batch; then the entries joined."""
    parts = []
    for rank in range(num_ranks):
        ground_truth = indexed(coco, files[0])
        made = evaluation(ground_truth, iouType="bbox")
        for image in files[0]["images"][rank::num_ranks]:
            own = [copy.deepcopy(row) for row in files[1] if row["image_id"] == image["id"]]
            made.cocoDt = quiet(ground_truth.loadRes, own) if own else coco()
            made.params.imgIds = [image["id"]]
            quiet(made.evaluate)
            parts.append((image["id"], np.asarray(made.evalImgs).reshape(-1, len(made.params.areaRng), 1)))
    parts.sort(key=lambda part: int(part[0]))
    made.evalImgs = list(np.concatenate([entries for _, entries in parts], 2).flatten())
    made.params.imgIds = [key for key, _ in parts]
    made._paramsEval = copy.deepcopy(made.params)
    quiet(made.accumulate)
    return made


def test_entries_of_ranks_are_joined_as_in_torchvision() -> None:
    files = random_files(9)
    theirs, own = both(files, "bbox")
    one_rank, two_ranks = (joined(ours.COCO, ours.COCOeval, files, size) for size in (1, 2))
    expected = joined(their_coco.COCO, their_eval.COCOeval, files, 2)
    for made in (theirs, own):
        quiet(made.accumulate)
    for made in (one_rank, two_ranks):
        assert_same_arrays(expected, made)
        assert_same_arrays(theirs, made)
    assert_same_summary(expected, two_ranks)


@DECODES
@pytest.mark.parametrize("name", ["area", "toBbox", "decode", "merge", "iou"])
def test_own_mask_functions(name: str) -> None:
    _, results = random_files(10, masks=True)
    masks = [row["segmentation"] for row in results]
    if name == "iou":
        crowd = [n % 2 for n in range(3)]
        np.testing.assert_array_equal(our_mask.iou(masks, masks[:3], crowd), their_mask.iou(masks, masks[:3], crowd))
        boxes = np.array([[0, 0, 4, 4], [1, 1, 4, 4.0], [9, 9, 1, 1]])
        np.testing.assert_array_equal(our_mask.iou(boxes, boxes, crowd), their_mask.iou(boxes, boxes, crowd))
        return
    found, expected = (getattr(module, name)(masks) for module in (our_mask, their_mask))
    if name == "merge":
        assert found == expected
        return
    np.testing.assert_array_equal(found, expected)
    one, other = (getattr(module, name)(masks[0]) for module in (our_mask, their_mask))
    np.testing.assert_array_equal(one, other)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("density", [0.0, 0.03, 0.5, 1.0])
def test_own_encoding(density: float) -> None:
    masks = np.asfortranarray(np.random.default_rng(0).random((97, 211, 3)) < density).astype(np.uint8, order="F")
    assert our_mask.encode(masks) == their_mask.encode(masks)
    assert our_mask.encode(masks[:, :, 0]) == their_mask.encode(masks)[0]
    runs = {"size": [2, 3], "counts": [1, 3, 2]}
    assert our_mask.frPyObjects(runs, 2, 3) == their_mask.frPyObjects(runs, 2, 3)
    with pytest.raises(ImportError, match="masks from polygons need pycocotools"):
        our_mask.frPyObjects([[0, 0, 1, 0, 1, 1]], 2, 3)


def test_install_and_undo() -> None:
    try:
        ours.install()
        ours.install()  # once is enough
        import pycocotools.mask as installed_mask
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval, Params

        assert (COCO, COCOeval, Params) == (ours.COCO, ours.COCOeval, ours.Params)
        assert installed_mask is their_mask
    finally:
        ours.uninstall()
    ours.uninstall()
    assert importlib.import_module("pycocotools.coco") is their_coco
    assert importlib.import_module("pycocotools.cocoeval") is their_eval
    assert sys.modules["pycocotools"].coco is their_coco


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pycocotools":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import detmetrics.compat.pycocotools as ours
ours.install()
from pycocotools.coco import COCO
from pycocotools import mask, cocoeval
assert COCO is ours.COCO and mask.__name__ == "detmetrics.compat.pycocotools.mask"
coco = COCO()
masks = [{"size": [4, 4], "counts": [0, 8, 8]}]
coco.dataset = dict(images=[dict(id=1, height=4, width=4)], categories=[dict(id=1)], annotations=[
    dict(id=1, image_id=1, category_id=1, segmentation=masks[0], area=8, iscrowd=0)])
coco.createIndex()
results = coco.loadRes([dict(image_id=1, category_id=1, segmentation=masks[0], score=0.5)])
evaluation = cocoeval.COCOeval(coco, results, "segm")
evaluation.evaluate(); evaluation.accumulate(); evaluation.summarize()
assert evaluation.stats[0] == 1 and results.anns[1]["bbox"] == [0, 0, 2, 4]
ours.uninstall()
assert "pycocotools" not in sys.modules
"""


def test_install_without_pycocotools() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_errors() -> None:
    with pytest.raises(ValueError, match="expected 'bbox', 'segm' or 'keypoints', got 'boxes'"):
        ours.Params("boxes")
    with pytest.raises(RuntimeError, match=r"expected evaluate\(\) before"):
        quiet(ours.COCOeval().accumulate)
    with pytest.raises(RuntimeError, match=r"expected accumulate\(\) before"):
        ours.COCOeval().summarize()
    dataset, results = random_files(11)
    coco = indexed(ours.COCO, dataset)
    with pytest.raises(AssertionError, match="got image_id 77"):
        quiet(coco.loadRes, [{**results[0], "image_id": 77}])
    with pytest.raises(AssertionError, match="expected a list, got dict"):
        quiet(coco.loadRes, {})
    with pytest.raises(ValueError, match=r'"score" of the result 1 of image_id \d+: expected a number, got NaN'):
        quiet(ours.COCOeval(coco, quiet(coco.loadRes, [{**results[0], "score": math.nan}]), "bbox").evaluate)
    del coco.dataset["annotations"][0]["area"]
    where = f"the annotation {dataset['annotations'][0]['id']} of image_id {dataset['annotations'][0]['image_id']}"
    with pytest.raises(KeyError, match=where):
        quiet(ours.COCOeval(coco, quiet(coco.loadRes, results), "bbox").evaluate)


def test_params_are_theirs() -> None:
    for iou_type in ("bbox", "segm", "keypoints"):
        own, theirs = vars(ours.Params(iou_type)), vars(their_eval.Params(iou_type))
        assert own.keys() == theirs.keys()
        for key in own:
            np.testing.assert_array_equal(own[key], theirs[key])
