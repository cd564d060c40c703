"""Object keypoint similarity: equal to pycocotools, whatever the number of keypoints."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detmetrics import DetectionF1Score, MeanAveragePrecision, MetricCollection
from detmetrics.coco import crowdpose_groups, from_coco
from detmetrics.detection.inputs import pack
from detmetrics.functional import detection_f1_score, mean_average_precision
from detmetrics.overlap.keypoint_sigmas import PRESETS, keypoint_sigmas
from detmetrics.overlap.keypoints import KeypointSimilarity
from detmetrics.overlap.oks import Wanted, find_oks
from detmetrics.overlap.similarity import Request
from detmetrics.show.tables import headlines
from detmetrics.state import devices
from tests import keypoint_problems, oracle
from tests.device import to_device
from tests.keypoint_problems import SIGMAS, keypoint_problem
from tests.problems import Problem

SAMPLE = 120
ALL = 1000
REAL = {
    "xtcoco_keypoints": ("example_coco_val.json", "example_coco_preds.json"),
    "fce_keypoints": ("gt_dataset.json", "dt_dataset.json"),
    "fce_crowdpose": ("example_crowdpose_val.json", "example_crowdpose_preds.json"),
}


def agrees(problem: Problem) -> None:
    result = mean_average_precision(problem.preds, problem.target, extended_summary=True, **problem.settings)
    oracle.assert_agrees(result, keypoint_problems.evaluate(problem.preds, problem.target, **problem.settings))


@pytest.mark.parametrize("num", SIGMAS)
def test_random_problems_agree_with_pycocotools(num: int) -> None:
    for seed in range(SAMPLE // len(SIGMAS)):
        agrees(keypoint_problem(seed, num=num))


@pytest.mark.slow
@pytest.mark.parametrize("num", SIGMAS)
def test_many_random_problems_agree_with_pycocotools(num: int) -> None:
    for seed in range(SAMPLE, SAMPLE + ALL // len(SIGMAS)):
        agrees(keypoint_problem(seed, num=num))


def documents(name: str, data: Path) -> tuple[Any, Any, Any]:
    truth, found = (json.loads((data / name / file).read_text()) for file in REAL[name])
    return truth, found, json.loads((data / name / "META.json").read_text())


def evaluated(truth: Any, found: Any, **settings: Any) -> tuple[MeanAveragePrecision, Any]:
    data = from_coco(truth, found, keypoints=True)
    metric = MeanAveragePrecision(box_format="xywh", iou_type="keypoints", extended_summary=True, **settings)
    for batch in data.batches(2):
        metric.update(*batch)
    return metric, data


@pytest.mark.parametrize(("name", "key"), [("xtcoco_keypoints", "measured"), ("fce_keypoints", "recorded")])
def test_real_data_agree_with_pycocotools_and_with_what_was_recorded(name: str, key: str, data_root: Path) -> None:
    truth, found, meta = documents(name, data_root)
    result = evaluated(truth, found)[0].compute()
    reference = oracle.evaluate_coco(truth, found, iou_type="keypoints")
    assert set(oracle.KEYPOINT_STATS) == reference.stats.keys()
    oracle.assert_agrees(result, reference)
    (recorded,) = meta[key].values()
    recorded = recorded["stats"] if isinstance(recorded, dict) else recorded
    assert [result[name].item() for name in oracle.KEYPOINT_STATS] == pytest.approx(recorded, abs=1e-12)


def test_crowdpose_gives_the_recorded_numbers(data_root: Path) -> None:
    truth, found, meta = documents("fce_crowdpose", data_root)
    metric, data = evaluated(truth, found, keypoint_sigmas="crowdpose")
    recorded, result = meta["recorded"], metric.compute()
    keys = {"AP": "map", "AP50": "map_50", "AP75": "map_75", "AR": "mar_20", "AR50": "mar_iou_50", "AR75": "mar_iou_75"}
    assert {name: result[key].item() for name, key in keys.items()} == pytest.approx(
        {name: recorded[name] for name in keys}, abs=1e-12
    )
    groups = metric.per_group(crowdpose_groups(data.crowd_index))
    for name, own in groups.items():  # recorded with four digits
        assert round(own["map"].item(), 4) == recorded[f"AP_{name}"]
    tenths = [sigma * 10 for sigma in PRESETS["crowdpose"]]
    assert tenths == pytest.approx(meta["sigmas_times_10"], abs=1e-15)


def test_a_group_is_evaluated_as_if_it_were_all() -> None:
    problem = keypoint_problem(5, images=9, image_ids=True)
    metric = MeanAveragePrecision(**problem.settings, class_metrics=True)
    metric.update(problem.preds, problem.target)
    ids = [item["image_id"] for item in problem.target]
    groups = {"odd": ids[1::2], "even": ids[::2], "none": [1000], "all": ids}
    found = metric.per_group(groups)
    for name, chosen in (("odd", slice(1, None, 2)), ("even", slice(0, None, 2)), ("none", slice(0, 0))):
        alone = mean_average_precision(
            problem.preds[chosen], problem.target[chosen], **problem.settings, class_metrics=True
        )
        assert found[name].keys() == alone.keys()
        assert all(torch.equal(found[name][key].nan_to_num(-1), value.nan_to_num(-1)) for key, value in alone.items())
    assert all(torch.equal(found["all"][key].nan_to_num(-1), v.nan_to_num(-1)) for key, v in metric.compute().items())


def person(*points: tuple[float, float, float]) -> Tensor:
    return torch.tensor([points], dtype=torch.float64)


BOX = torch.tensor([[0.0, 0.0, 10.0, 20.0]], dtype=torch.float64)  # 200 square pixels
LABEL = torch.tensor([0])
ONE_SCORE = {"scores": torch.tensor([0.9]), "labels": LABEL}


def oks(pred: dict[str, Any], target: dict[str, Any], sigmas: Any, box_format: str = "xywh") -> float:
    """The similarity of one detection and one target, from the overlaps that the state keeps; 0 for none."""
    metric = DetectionF1Score(
        iou_type="keypoints", keypoint_sigmas=sigmas, box_format=box_format, iou_threshold=1e-9, class_agnostic=True
    )
    metric.update([{**ONE_SCORE, **pred}], [{"boxes": BOX, "labels": LABEL, **target}])
    return sum(metric.data().iou.tolist())


def test_by_hand() -> None:
    target = {"keypoints": person((1, 1, 2), (5, 5, 1), (0, 0, 0)), "area": torch.tensor([100.0])}
    pred = {"keypoints": person((4, 5, 0), (5, 5, 0), (900, 900, 0))}  # 5 pixels off, exact, not labelled
    expected = (math.exp(-25 / (2 * 100 * 0.2**2)) + 1) / 2
    assert oks(pred, target, [0.1, 0.3, 0.3]) == pytest.approx(expected, abs=1e-15)
    expected = (math.exp(-25 / (2 * 0.53 * 200 * 0.2**2)) + 1) / 2  # the area of the box
    assert oks(pred, {"keypoints": target["keypoints"]}, [0.1, 0.3, 0.3]) == pytest.approx(expected, abs=1e-15)
    assert oks({"keypoints": pred["keypoints"][..., :2]}, target, [0.1] * 3) == oks(pred, target, [0.1] * 3)
    corners = {**target, "boxes": torch.tensor([[0.0, 0.0, 10.0, 20.0]])}
    assert oks(pred, {**corners, "area": None}, [0.1] * 3, "xyxy") == oks(pred, corners | {"area": None}, [0.1] * 3)


def test_a_target_without_labelled_points_is_a_box_doubled_in_size_and_ignored() -> None:
    target = {"keypoints": torch.zeros(1, 2, 3), "area": torch.tensor([100.0])}
    inside = {"keypoints": person((-10, -20, 0), (20, 40, 0))}  # the corners of the doubled box
    assert oks(inside, target, [0.1, 0.1]) == 1
    outside = {"keypoints": person((-13, -24, 0), (0, 0, 0))}
    assert oks(outside, target, [0.1, 0.1]) == pytest.approx((math.exp(-25 / (2 * 100 * 0.2**2)) + 1) / 2)
    settings: dict[str, Any] = {"iou_type": "keypoints", "keypoint_sigmas": [0.1, 0.1], "box_format": "xywh"}
    sides = [{**ONE_SCORE, **inside}], [{"boxes": BOX, "labels": LABEL, **target}]
    assert detection_f1_score(*sides, **settings).isnan()  # neither found nor missed
    sides[1][0]["num_keypoints"] = torch.tensor([1])  # a file may say so, and pycocotools believes it
    assert detection_f1_score(*sides, **settings) == 1


def test_classes_have_sigmas_of_their_own() -> None:
    target = {"keypoints": person((1, 1, 2), (5, 5, 1)), "area": torch.tensor([100.0])}
    pred = {"keypoints": person((1, 6, 0), (5, 10, 0)), "labels": torch.tensor([7])}  # both 5 pixels off
    sigmas = {7: [0.1, 0.3], 2: [0.3]}  # class 2 has one point, and the second does not count
    by_class = {label: oks(pred, {**target, "labels": torch.tensor([label])}, sigmas) for label in sigmas}
    near, far = math.exp(-25 / (200 * 0.6**2)), math.exp(-25 / (200 * 0.2**2))
    assert by_class == {7: pytest.approx((near + far) / 2, abs=1e-15), 2: pytest.approx(near, abs=1e-15)}
    with pytest.raises(ValueError, match=r"target\[0\]\['labels'\]: expected labels that keypoint_sigmas names, got 3"):
        oks(pred, {**target, "labels": torch.tensor([3])}, sigmas)


def test_the_extent_of_a_class_with_fewer_points_is_that_of_its_own() -> None:
    points = torch.tensor([[[0.0, 0.0], [30.0, 40.0], [999.0, 999.0]]])
    metric = MeanAveragePrecision(iou_type="keypoints", keypoint_sigmas={0: [0.1, 0.1], 1: [0.1] * 3})
    empty = {"keypoints": torch.zeros(0, 3, 3), "boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}
    metric.update([{**ONE_SCORE, "keypoints": points}], [empty])
    assert metric.data().areas.tolist() == [1200.0]


@pytest.mark.parametrize(
    ("side", "change", "message"),
    [
        ("preds", {"keypoints": torch.zeros(1, 14, 3)}, r"preds\[1\]\['keypoints'\].*\(N, 17, 2 or 3\).*'crowdpose'"),
        ("preds", {"keypoints": torch.zeros(1, 5, 3)}, r"preds\[1\]\['keypoints'\].*keypoint_sigmas=\[\.\.\.\]"),
        ("target", {"keypoints": torch.zeros(1, 17, 2)}, r"target\[1\]\['keypoints'\].*\(N, 17, 3\)"),
        ("target", {"keypoints": torch.full((1, 17, 3), -1.0)}, r"target\[1\]\['keypoints'\].*visibilities.*\[-1"),
        ("preds", {"keypoints": torch.full((1, 17, 2), math.nan)}, r"preds\[1\]\['keypoints'\].*finite.*\[nan, nan\]"),
        ("target", {"boxes": torch.tensor([[1.0, 1, 0, 0]])}, r"target\[1\]\['boxes'\].*width and height"),
        ("target", {"boxes": torch.zeros(2, 4)}, r"target\[1\]\['boxes'\].*1 keypoints, got 2"),
        ("preds", {"boxes": torch.zeros(0, 4)}, r"preds\[1\]\['boxes'\].*1 keypoints, got 0"),
        ("target", {"boxes": None}, r"target\[1\]\['boxes'\].*tensor"),
        ("target", {"area": torch.tensor([-1.0])}, r"target\[1\]\['area'\]"),
        ("target", {"num_keypoints": torch.zeros(2)}, r"target\[1\]\['num_keypoints'\]"),
        ("preds", {"keypoints": [1.0]}, r"preds\[1\]\['keypoints'\].*tensor, got list"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(side: str, change: dict[str, Any], message: str) -> None:
    pred = {**ONE_SCORE, "keypoints": torch.ones(1, 17, 3)}
    target = {"labels": LABEL, "keypoints": torch.ones(1, 17, 3), "boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0]])}
    preds, targets = [pred, pred], [target, target]
    metric = MeanAveragePrecision(iou_type="keypoints")
    metric.update(preds, targets)
    before = metric.compute()
    sides = {"preds": preds, "target": targets}
    sides[side] = [sides[side][0], {**sides[side][1], **change}]
    with pytest.raises(ValueError, match=message):
        metric.update(**sides)
    after = metric.compute()
    assert all(torch.equal(after[key].nan_to_num(-1), value.nan_to_num(-1)) for key, value in before.items())


def test_values_that_are_checked_later_are_named_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)
    pred = {**ONE_SCORE, "keypoints": torch.ones(1, 1, 3)}
    target = {"labels": torch.tensor([3]), "keypoints": torch.ones(1, 1, 3), "boxes": BOX}
    metric = MeanAveragePrecision(iou_type="keypoints", keypoint_sigmas={0: [0.1]}, box_format="xywh")
    metric.update([pred, pred], [{**target, "labels": LABEL}, target])
    with pytest.raises(ValueError, match=r"target\['labels'\] of image 1 in order of arrival.*keypoint_sigmas names"):
        metric.compute()


def test_empty_images_have_keypoints_of_any_shape() -> None:
    none = {"keypoints": torch.zeros(0), "labels": torch.zeros(0).long(), "boxes": torch.zeros(0, 4)}
    full = {"keypoints": torch.ones(1, 17, 3), "labels": LABEL, "boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0]])}
    preds = [{**none, "scores": torch.zeros(0)}, {**full, **ONE_SCORE}, {**full, **ONE_SCORE, "boxes": None}]
    preds[2]["keypoints"] = preds[2]["keypoints"][..., :2]
    result = mean_average_precision(preds, [none, full, full], iou_type="keypoints")
    assert result["map"] == 1
    assert mean_average_precision([preds[0]], [none], iou_type="keypoints")["map"].isnan()


@pytest.mark.parametrize("sigmas", [None, {0: "coco", 1: "coco", 2: [0.1] * 5, 7: "coco", 90: "coco"}])
def test_an_update_reads_nothing_back_from_the_device(sigmas: Any) -> None:
    """Tensors on ``meta`` have no values: whatever reads one raises."""
    problem = keypoint_problem(3, images=6, boxes=True)
    meta = torch.device("meta")
    similarity = KeypointSimilarity(keypoint_sigmas("keypoint_sigmas", sigmas), "xywh")
    sides = (to_device(side, meta) for side in (problem.preds, problem.target))
    batch, overlaps = pack(*sides, similarity, Request(meta, "same", 0.1), check_values=False, needs_scores=True)
    assert overlaps is None
    assert batch.targets.shape == (sum(len(item["labels"]) for item in problem.target), 3 * 17 + 6 + 3)


def test_rows_that_wait_are_bounded_by_bytes() -> None:
    """133 keypoints are 408 numbers a row, 7 are of a box: after 65,536 * 7 / 408 rows overlaps are found."""
    count = 600
    points, labels = torch.ones(count, 133, 3), torch.zeros(count, dtype=torch.int64)
    pred = {"keypoints": points, "scores": torch.rand(count), "labels": labels}
    target = {"keypoints": points, "boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0]] * count), "labels": labels}
    metric = MeanAveragePrecision(iou_type="keypoints", keypoint_sigmas="wholebody")
    few = [{key: value[:100] for key, value in item.items()} for item in (pred, target)]
    metric.update([few[0]], [few[1]])
    assert metric.num_rows("keypoints_images") == 0
    metric.update([pred], [target])
    assert metric.num_rows("keypoints_images") == 2


def test_defaults_are_those_of_coco_for_keypoints_alone() -> None:
    alone = MeanAveragePrecision(iou_type=["keypoints"])
    assert alone.max_detection_thresholds == (20,)
    assert list(alone.area_ranges) == ["medium", "large"]
    assert MeanAveragePrecision(iou_type="keypoints", max_detection_thresholds=[5]).max_detection_thresholds == (5,)
    together = MeanAveragePrecision(iou_type=("bbox", "keypoints"))
    assert together.max_detection_thresholds == (1, 10, 100)


def test_the_ten_numbers_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    problem = keypoint_problem(5, images=9, plain=True)
    metric = MeanAveragePrecision(**problem.settings)
    metric.update(problem.preds, problem.target)
    _, axes = metric.plot()
    names = ["AP", "AP50", "AP75", "AP medium", "AP large"]
    names += ["AR, 20 detections", "AR50", "AR75", "AR medium", "AR large"]
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    _, axes = metric.plot(kind="sizes")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["all", "medium", "large"]
    recall = headlines({key: value.item() for key, value in metric.compute().items()})[6]
    assert (recall.key, recall.kind, recall.iou, recall.area, recall.limit) == ("mar_iou_50", "AR", "0.50", "all", 20)


def test_metrics_share_a_state_if_their_sigmas_agree() -> None:
    def made(sigmas: Any) -> DetectionF1Score:
        return DetectionF1Score(iou_type="keypoints", keypoint_sigmas=sigmas)

    states = [set(made(sigmas).metric_state) for sigmas in (None, "coco", PRESETS["coco"], [0.1] * 17, {1: "coco"})]
    assert states[0] == states[1] == states[2]
    assert not states[0] & states[3]
    assert not states[0] & states[4]
    problem = keypoint_problem(3, boxes=True)
    settings = {"iou_type": "keypoints", "box_format": "xywh"}
    both = MetricCollection({"map": MeanAveragePrecision(**settings), "f1": DetectionF1Score(**settings)})
    both.update(problem.preds, problem.target)
    alone = DetectionF1Score(**settings)
    alone.update(problem.preds, problem.target)
    assert torch.equal(both.compute()["f1"], alone.compute())


def test_the_presets() -> None:
    assert {name: len(own) for name, own in PRESETS.items()} == {"coco": 17, "crowdpose": 14, "wholebody": 133}
    assert PRESETS["wholebody"][:17] == tuple(round(sigma, 3) for sigma in PRESETS["coco"])
    assert keypoint_sigmas("keypoint_sigmas", torch.tensor([0.5, 0.25])).sets == ((0.5, 0.25),)


@pytest.mark.parametrize("num", [1, 5])
def test_what_the_extents_leave_out_is_below_the_floor(num: int) -> None:
    """Of all pairs, with a floor and without: the same similarities, up to the floor."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 2, num, generator=generator, dtype=torch.float64) * 60
    target = torch.rand(100, 2, num, generator=generator, dtype=torch.float64) * 60
    labelled = torch.arange(num) < max(num - 1, 1)
    variance = torch.rand(100, num, generator=generator, dtype=torch.float64).where(labelled, torch.nan)
    wanted = Wanted(target, target + 3, variance, torch.rand(100, generator=generator, dtype=torch.float64) * 200)
    first, count = torch.zeros(100, dtype=torch.int64), torch.full((100,), 200)
    everything = find_oks(points, wanted, first, count, 0.0)
    assert 10_000 < len(everything.iou) <= 20_000  # the others are too small for a float
    found = find_oks(points, wanted, first, count, 0.3)
    at = (everything.iou >= 0.3).nonzero().squeeze(1)
    assert 100 < len(at) < 10_000
    for part, own in zip(everything, found, strict=True):
        assert torch.equal(part[at], own)
