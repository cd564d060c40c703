"""Kinds of errors and their costs, by hand, against loops, and against tidecv and hotcoco."""

import contextlib
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
import pytest
import tidecv
import torch
from pycocotools import mask
from tidecv import TIDE
from tidecv.errors.main_errors import (
    BackgroundError,
    BoxError,
    ClassError,
    DuplicateError,
    FalsePositiveError,
    MissedError,
    OtherError,
)
from tidecv.errors.qualifiers import Qualifier

from detmetrics import DetectionErrors, MeanAveragePrecision, MetricCollection
from detmetrics.detection.error_costs import FIXES
from detmetrics.detection.error_kinds import KINDS
from detmetrics.files.coco import from_coco
from detmetrics.functional import detection_errors
from tests.detection.test_operating_point import bounds, labels_of, mislabelled, settings_of
from tests.problems import batch, hit, image
from tests.reference import detection as reference
from tests.reference import errors as loops

CLOSE = {"abs": 1e-12, "nan_ok": True}
HERE, AWAY = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
OF_TIDECV = {
    "classification": ClassError,
    "localization": BoxError,
    "both": OtherError,
    "duplicate": DuplicateError,
    "background": BackgroundError,
    "missed": MissedError,
}
OF_HOTCOCO = dict(zip(OF_TIDECV, ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"), strict=True))


def counts_of(result: dict[str, torch.Tensor]) -> dict[str, int]:
    return {kind: int(result[f"num_{kind}"]) for kind in KINDS if result[f"num_{kind}"]}


def listed(result: dict[str, torch.Tensor]) -> dict[str, float]:
    return {key: value.item() for key, value in result.items()}


# -------------------------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        (HERE, 0, "duplicate"),
        ([0.0, 0, 10, 11], 0, "duplicate"),  # 10/11
        ([0.0, 0, 10, 20], 0, "localization"),  # 1/2: no more than the threshold
        ([0.0, 0, 10, 5], 1, "classification"),  # 1/2 reaches the threshold
        ([0.0, 0, 10, 4], 0, "localization"),  # 4/10
        ([0.0, 0, 10, 1], 0, "localization"),  # 1/10 is enough for a place
        ([0.0, 0, 10, 1], 1, "background"),  # and no more than background for a class
        ([0.0, 0, 10, 2], 1, "both"),  # 2/10
        ([0.0, 0, 10, 0.5], 0, "background"),
        (AWAY, 0, "background"),
    ],
)
def test_a_second_detection_is_of_one_kind(box: list[float], label: int, kind: str) -> None:
    """The first one finds the only target."""
    result = detection_errors(*batch(image([(HERE, 0.9, 0), (box, 0.5, label)], [(HERE, 0)])))
    assert counts_of(result) == {kind: 1}
    assert result["ap"] == 1
    assert all(result[f"dap_{fix}"] == 0 for fix in FIXES)  # below the only target of the only class that has one


def test_the_costs_of_a_wrong_class() -> None:
    """A cat is found, a dog is taken for a cat with a higher score: AP is 1/2 of cats, 0 of dogs."""
    result = detection_errors(*batch(image([(HERE, 0.5, 0), (AWAY, 0.9, 0)], [(HERE, 0), (AWAY, 1)])))
    assert counts_of(result) == {"classification": 1}
    assert result["ap"] == (1 / 2 + 0) / 2
    assert result["dap_classification"] == 3 / 4  # both are found then
    assert result["dap_missed"] == 0  # the dog is explained
    assert result["dap_false_positive"] == (1 + 0) / 2 - 1 / 4
    assert result["dap_false_negative"] == 1 / 2 - 1 / 4  # no dogs are left: the mean is that of cats


def test_the_best_of_two_that_point_at_one_target_is_mended_and_the_other_goes() -> None:
    """Of class 0 one is badly placed (.8), of class 1 one is on the target (.9): the target is the latter's."""
    result = detection_errors(
        *batch(image([([0, 0, 10, 4], 0.8, 0), (HERE, 0.9, 1), (AWAY, 0.7, 0)], [(HERE, 0), (AWAY, 0)]))
    )
    assert counts_of(result) == {"classification": 1, "localization": 1}
    # as it is: false, right; 1 of 2 targets at precision 1/2: 51 recall points of 101
    assert result["ap"].item() == pytest.approx(51 / 101 / 2)
    # the one of class 1 becomes right and first: right, false, right: 1 up to recall 1/2, then 2/3
    assert result["dap_classification"].item() == pytest.approx((51 + 50 * 2 / 3) / 101 - 51 / 101 / 2)
    # the badly placed one goes: right; 1 of 2 at precision 1
    assert result["dap_localization"].item() == pytest.approx(51 / 101 - 51 / 101 / 2)


def test_a_found_target_explains_a_place_and_is_not_found_again() -> None:
    """The author of tidecv calls it intended: the closest target may be one that was found."""
    near = [0.0, 6, 10, 16]
    result = detection_errors(*batch(image([(HERE, 0.9, 0), ([0, 3.5, 10, 8], 0.8, 0)], [(HERE, 0), (near, 0)])))
    # the second overlaps the found target by .45, the other by 20/125 = .16
    assert counts_of(result) == {"localization": 1, "missed": 1}
    assert result["dap_localization"] == 0  # it goes, and was below the only hit
    assert result["dap_missed"].item() == pytest.approx(1 - 51 / 101)


def test_crowds_and_ignored_targets_are_no_errors_and_excuse_none() -> None:
    for extra in ({"iscrowd": [1]}, {"ignore": [1]}):
        result = detection_errors(
            *batch(hit(0), image([(HERE, 0.9, 0), ([0, 0, 10, 4], 0.8, 0)], [(HERE, 0)], **extra))
        )
        excused = "iscrowd" in extra  # the small one lies within the crowd
        assert counts_of(result) == ({} if excused else {"background": 1})


def test_nothing_and_everything_missed() -> None:
    empty = detection_errors([], [])
    assert counts_of(empty) == {}
    assert empty["ap"].isnan()
    assert empty["dap_missed"].isnan()
    zero = detection_errors([], [], zero_division=0.0)
    assert (zero["ap"], zero["dap_missed"]) == (0, 0)
    missed = detection_errors(*batch(image([], [(HERE, 0)]), image([(HERE, 0.9, 1)], [(HERE, 1)])))
    assert counts_of(missed) == {"missed": 1}
    assert missed["dap_missed"] == 1 / 2  # class 0 has nothing to find any more


def test_the_thresholds_are_in_order_and_the_state_has_what_they_ask() -> None:
    with pytest.raises(ValueError, match=r"background_threshold: expected less than iou_threshold=0.5, got 0.5"):
        DetectionErrors(background_threshold=0.5)
    metric = DetectionErrors()
    assert metric.pairs == "all"
    with pytest.raises(ValueError, match=r"background_threshold: expected 0.1 or more, got 0.05"):
        metric.background_threshold = 0.05
    assert DetectionErrors(background_threshold=0.05).floor == 0.05
    with pytest.raises(ValueError, match="pairs: expected 'all', which DetectionErrors asks about, got 'same'"):
        DetectionErrors(pairs="same")


def test_images_classes_and_pairs() -> None:
    metric = DetectionErrors(class_names=["cat", "dog", "bird"])
    pairs = batch(
        image([(HERE, 0.9, 1), (AWAY, 0.9, 1)], [(HERE, 0), (AWAY, 0)], image_id=[]),
        image([(HERE, 0.9, 1), (AWAY, 0.5, 2)], [(HERE, 2)]),
        image([], [(HERE, 2)]),
    )
    for number, target in enumerate(pairs[1]):
        target["image_id"] = torch.tensor(10 * number)
    metric.update(*pairs)
    images = metric.per_image()
    assert list(images) == ["image_id", "arrival", *KINDS]
    assert images["image_id"].tolist() == [0, 10, 20]
    assert {kind: images[kind].tolist() for kind in ("classification", "background", "missed")} == {
        "classification": [2, 1, 0],
        "background": [0, 1, 0],
        "missed": [0, 0, 1],
    }
    assert metric.counts()[0].tolist() == [0, 3, 0]
    assert metric.counts()[5].tolist() == [0, 0, 1]
    confusions = metric.confusions()
    assert [column.tolist() for column in confusions] == [[0, 2], [1, 1], [2, 1]]
    assert metric.costs().average_precision.nan_to_num(-1).tolist() == [0, -1, 0]
    assert DetectionErrors().confusions().times.tolist() == []


def test_the_average_precision_is_that_of_map_and_the_state_is_shared() -> None:
    for seed in range(20):
        preds, target = mislabelled(seed)
        coco = MeanAveragePrecision(iou_thresholds=[0.5], max_detection_thresholds=[1000], pairs="all")
        metrics = MetricCollection({"map": coco, "errors": DetectionErrors()})
        metrics.update(preds, target)
        result = metrics.compute()
        torch.testing.assert_close(result["ap"], result["map"], rtol=0, atol=1e-14, equal_nan=True)
        assert len(metrics.compute_groups) == 1


# ------------------------------------------------------------------------------------------------------- against others


@pytest.mark.parametrize("block", range(4))
def test_errors_equal_the_loops(block: int) -> None:
    rng, seen = random.Random(block), set()
    for seed in range(40 * block, 40 * (block + 1)):
        preds, target = mislabelled(seed)
        settings = settings_of(seed)
        del settings["score_threshold"]
        settings["background_threshold"] = rng.choice([0.1, 0.1, 0.3]) * settings["iou_threshold"] / 0.5
        images = reference.read(preds, target, bounds(settings))
        for one in images:
            reference.cut(one, -float("inf"), settings["max_detections"])
            reference.match(one, settings["iou_threshold"], bounds(settings))
        thresholds = settings["iou_threshold"], settings["background_threshold"]
        expected = loops.costs(images, labels_of(preds, target), *thresholds)
        result = listed(detection_errors(preds, target, **settings))
        assert result == pytest.approx(expected, **CLOSE), seed
        seen |= {key for key, value in expected.items() if value > 0}
    assert len(seen) >= 14  # of 15: the grid leaves few errors of both kinds


Rows = list[dict[str, Any]]  # of COCO's files


def continuous(seed: int) -> tuple[list[int], Rows, Rows]:
    """Boxes and scores without ties, of three classes, with errors of all kinds."""
    rng = random.Random(seed)
    annotations, results = [], []
    for key in range(rng.randint(1, 6)):
        for _ in range(rng.randint(0, 6)):
            x, y, w, h = (rng.uniform(low, 60) for low in (0, 0, 8, 8))
            label = rng.randrange(3)
            annotations.append({"image_id": key, "category_id": label, "bbox": [x, y, w, h]})
            for _ in range(rng.randint(0, 3)):
                moved = [x + rng.gauss(0, w / 6), y + rng.gauss(0, h / 6), w * rng.uniform(0.7, 1.4), h]
                found = label if rng.random() < 0.7 else rng.randrange(3)
                results.append({"image_id": key, "category_id": found, "bbox": moved, "score": rng.random()})
        results += [
            {"image_id": key, "category_id": rng.randrange(3), "bbox": [100, 100, 9, 9 + i], "score": rng.random()}
            for i in range(rng.randint(0, 2))
        ]
    return list(range(6)), _as_annotations(annotations), results


def _as_annotations(rows: Rows) -> Rows:
    """By image and class, as a metric keeps them, so that equal overlaps are decided alike."""
    ordered = sorted(rows, key=lambda row: (row["image_id"], row["category_id"]))
    return [
        {"area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0, **row, "id": i}
        for i, row in enumerate(ordered, start=1)
    ]


@pytest.fixture
def coco_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """tidecv divides by 100 where COCO multiplies by .01: seven of the 101 recall points differ in their last bit."""

    class Numpy:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def array(self, values: Any) -> Any:
            given = np.array(values)
            return np.linspace(0, 1, 101) if len(given) == 101 and given[7] == 0.07 else given

    monkeypatch.setattr(tidecv.ap, "np", Numpy())


def tide(annotations: Rows, results: Rows, ids: list[int], key: str = "bbox") -> Any:
    """tidecv's run, without a limit on detections."""
    truth, found = tidecv.Data("truth", max_dets=10**9), tidecv.Data("found")
    for image_id in ids:
        truth.add_image(image_id, str(image_id))
    name = "box" if key == "bbox" else "mask"
    for row in annotations:
        truth.add_ground_truth(row["image_id"], row["category_id"], **{name: row[key]})
    for row in results:
        found.add_detection(row["image_id"], row["category_id"], row["score"], **{name: row[key]})
    return TIDE(mode=TIDE.BOX if key == "bbox" else TIDE.MASK).evaluate(truth, found)


def assert_agrees_with_tidecv(metric: DetectionErrors, run: Any) -> None:
    """The counts, and the average precision of every class that has targets, as it is and after each kind is mended."""
    result, costs = metric.compute(), metric.costs()
    assert counts_of(result) == {
        kind: len(run.error_dict[own]) for kind, own in OF_TIDECV.items() if run.error_dict[own]
    }
    mended = [run.fix_errors(Qualifier("", None)._make_error_func(own)) for own in OF_TIDECV.values()]
    mended.append(run.fix_errors(transform=FalsePositiveError.fix))
    mended.append(run.fix_errors(false_neg_dict=run.false_negatives))
    means = []
    for of_tidecv, ours in zip([run.ap_data, *mended], [costs.average_precision, *costs.mended], strict=True):
        defined = {label: own.get_ap() / 100 for label, own in of_tidecv.objs.items() if own.num_gt_positives > 0}
        for label, value in zip(metric.classes.tolist(), ours.tolist(), strict=True):
            assert value == pytest.approx(defined.get(label, float("nan")), **CLOSE)
        means.append(sum(defined.values()) / len(defined) if defined else float("nan"))
    assert result["ap"].item() == pytest.approx(means[0], **CLOSE)
    for fix, value in zip(FIXES, means[1:], strict=True):
        assert result[f"dap_{fix}"].item() == pytest.approx(value - means[0], **CLOSE), fix


def fed(annotations: Rows, results: Rows, ids: list[int], iou_type: str = "bbox") -> DetectionErrors:
    labels = sorted({row["category_id"] for row in (*annotations, *results)})
    documents = {"images": [{"id": i} for i in ids], "categories": [{"id": i, "name": str(i)} for i in labels]}
    if iou_type == "segm":
        sizes = {row["image_id"]: row["segmentation"]["size"] for row in results}
        sizes |= {row["image_id"]: row["segmentation"]["size"] for row in annotations}
        documents["images"] = [{"id": i, "height": sizes[i][0], "width": sizes[i][1]} for i in ids if i in sizes]
    data = from_coco({**documents, "annotations": annotations}, results, masks=iou_type == "segm")
    metric = DetectionErrors(box_format="xywh", iou_type=iou_type)
    metric.update(data.preds, data.target)
    return metric


@pytest.mark.usefixtures("coco_points")
def test_errors_equal_those_of_tidecv() -> None:
    for seed in range(60):
        ids, annotations, results = continuous(seed)
        if annotations and results:
            run = tide(annotations, results, ids)
            assert_agrees_with_tidecv(fed(annotations, results, ids), run)
    assert run.ap > 0


def hotcoco_errors(annotations: Rows, results: Rows, ids: list[int], iou_type: str = "bbox") -> dict[str, Any]:
    labels = sorted({row["category_id"] for row in (*annotations, *results)})
    documents = {"images": [{"id": i, "height": 500, "width": 500} for i in ids]}
    documents |= {"categories": [{"id": i, "name": str(i)} for i in labels], "annotations": annotations}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = hotcoco.COCO(documents)
        evaluation = hotcoco.COCOeval(truth, truth.load_res(results), iou_type)
        evaluation.params.max_dets = [10**6]
        evaluation.evaluate()
        found: dict[str, Any] = evaluation.tide_errors(0.5, 0.1)
    return found


def assert_agrees_with_hotcoco(metric: DetectionErrors, expected: dict[str, Any]) -> None:
    """Its costs of wrong classes and places turn every one of them right, and a miss adds a perfect detection."""
    result = metric.compute()
    assert {kind: int(result[f"num_{kind}"]) for kind in KINDS} == {
        kind: expected["counts"][own] for kind, own in OF_HOTCOCO.items()
    }
    assert result["ap"].nan_to_num(0.0).item() == pytest.approx(expected["ap_base"], **CLOSE)
    for kind in ("both", "duplicate", "background"):
        value = result[f"dap_{kind}"].nan_to_num(0.0).item()
        assert value == pytest.approx(expected["delta_ap"][OF_HOTCOCO[kind]], **CLOSE), kind


def test_errors_equal_those_of_hotcoco() -> None:
    for seed in range(60):
        ids, annotations, results = continuous(seed)
        if annotations and results:
            assert_agrees_with_hotcoco(fed(annotations, results, ids), hotcoco_errors(annotations, results, ids))


# ------------------------------------------------------------------------------------------------------------ real data


def real(root: Path, name: str) -> tuple[list[int], Rows, Rows]:
    """Annotations without crowds and difficult ones, and results whose equal scores are told apart."""

    def load(path: Path) -> Any:
        return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_text())

    folder, (of_truth, of_results) = root / name.split(":")[0], FILES[name]
    truth, results = load(folder / of_truth), load(folder / of_results)
    kept = [row for row in truth["annotations"] if not row.get("iscrowd") and not row.get("difficult")]
    ids = {image["id"] for image in truth["images"]}
    results = sorted((row for row in results if row["image_id"] in ids), key=lambda row: row["score"])
    for rank, row in enumerate(results, start=1):
        row["score"] = rank / (len(results) + 1)
    return sorted(ids), _as_annotations(kept), results


FILES = {
    "coco_val2014_100": ("instances_val2014_100.json", "instances_val2014_fakebbox100_results.json"),
    "coco_val2014_100:masks": ("instances_val2014_100.json", "instances_val2014_fakesegm100_results.json"),
    "rafael_coco_sampled": ("gt.json", "dt.json"),
    "voc07_tinyyolo": ("voc07_test_gt_coco.json.gz", "tinyyolo_qfdong_dt_coco.json.gz"),
}


def real_masks(root: Path) -> tuple[list[int], Rows, Rows]:
    """The same with run-length encodings, which tidecv wants."""
    _, annotations, results = real(root, "coco_val2014_100:masks")
    sizes = {row["image_id"]: row["segmentation"]["size"] for row in results}
    annotations = [row for row in annotations if row["image_id"] in sizes]
    for row in annotations:
        height, width = sizes[row["image_id"]]
        if isinstance(row["segmentation"], list):
            row["segmentation"] = mask.merge(mask.frPyObjects(row["segmentation"], height, width))
            row["segmentation"]["counts"] = row["segmentation"]["counts"].decode()
    return sorted(sizes), annotations, results


@pytest.mark.usefixtures("coco_points")
@pytest.mark.parametrize(
    ("name", "images"),
    [*((name, 200) for name in FILES), pytest.param("voc07_tinyyolo", None, marks=pytest.mark.slow)],
)
def test_errors_of_real_data_equal_those_of_tidecv_and_hotcoco(data_root: Path, name: str, images: int | None) -> None:
    masks = name.endswith("masks")
    ids, annotations, results = real_masks(data_root) if masks else real(data_root, name)
    ids = ids[:images]
    annotations, results = ([row for row in rows if row["image_id"] in set(ids)] for rows in (annotations, results))
    similarity, key = ("segm", "segmentation") if masks else ("bbox", "bbox")
    metric = fed(annotations, results, ids, similarity)
    assert_agrees_with_tidecv(metric, tide(annotations, results, ids, key))
    assert_agrees_with_hotcoco(metric, hotcoco_errors(annotations, results, ids, similarity))
    assert len(counts_of(metric.compute())) >= (len(KINDS) if name == "voc07_tinyyolo" else 3)


@pytest.mark.parametrize(
    ("folder", "truth", "results"),
    [
        ("fce_keypoints", "gt_dataset.json", "dt_dataset.json"),
        ("xtcoco_keypoints", "example_coco_val.json", "example_coco_preds.json"),
    ],
)
def test_errors_of_keypoints_equal_those_of_hotcoco(data_root: Path, folder: str, truth: str, results: str) -> None:
    documents, found = (json.loads((data_root / folder / name).read_text()) for name in (truth, results))
    documents["annotations"] = [row for row in documents["annotations"] if not row["iscrowd"] and row["num_keypoints"]]
    data = from_coco(documents, found, keypoints=True)
    metric = DetectionErrors(box_format="xywh", iou_type="keypoints")
    metric.update(data.preds, data.target)
    with contextlib.redirect_stdout(io.StringIO()):
        given = hotcoco.COCO(documents)
        evaluation = hotcoco.COCOeval(given, given.load_res(found), "keypoints")
        evaluation.params.max_dets = [10**6]
        evaluation.evaluate()
    assert_agrees_with_hotcoco(metric, evaluation.tide_errors(0.5, 0.1))
    assert metric.compute()["num_localization"] > 0


def test_errors_of_real_data_with_crowds_equal_the_loops(data_root: Path) -> None:
    folder = data_root / "coco_val2014_100"
    data = from_coco(*(folder / name for name in FILES["coco_val2014_100"]))
    for item in (*data.preds, *data.target):
        item["boxes"] = torch.cat([item["boxes"][:, :2], item["boxes"][:, :2] + item["boxes"][:, 2:]], 1)
    images = reference.read(data.preds, data.target, (0, 1e10))
    assert sum(t.crowd for one in images for t in one.targets) > 0
    for one in images:
        reference.cut(one, -float("inf"), None)
        reference.match(one, 0.5, (0, 1e10))
    expected = loops.costs(images, labels_of(data.preds, data.target), 0.5, 0.1)
    assert listed(detection_errors(data.preds, data.target)) == pytest.approx(expected, **CLOSE)
