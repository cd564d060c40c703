"""The report of keypoints: against pycocotools' matches and a slow loop, and the laws of every metric."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from detmetrics import KeypointReport
from detmetrics.functional import keypoint_report
from tests import keypoint_problems, oracle
from tests.detection.test_laws import assert_same_bits
from tests.keypoint_problems import keypoint_problem
from tests.problems import Item, Problem, split

NAMES = [str(i) for i in range(17)]


def problem(seed: int, image_ids: bool = False) -> Problem:
    found = keypoint_problem(seed, images=9, image_ids=image_ids, plain=True)
    for i, item in enumerate(found.target):
        item["head_size"] = torch.arange(1.0, 1 + len(item["labels"])) * (5 + i)
    return found


def matched(preds: list[Item], target: list[Item], score: float) -> list[tuple[int, int, int | None]]:
    """Image, target and the detection that pycocotools matches to it at .5 or None, of each target that counts."""
    kept = []
    for pred in preds:
        chosen = pred["scores"] >= score
        kept.append({key: value[chosen] for key, value in pred.items()})
    numbered = [{**item, "image_id": i} for i, item in enumerate(target)]
    documents = keypoint_problems.to_coco(kept, numbered)  # type: ignore[arg-type]
    entries = oracle.entries_of(*documents, "keypoints", iouThrs=np.array([0.5]), maxDets=[10_000])
    first_gt, first_dt = (dict(offsets) for offsets in (_offsets(numbered), _offsets(kept)))
    original = [(pred["scores"] >= score).nonzero().flatten().tolist() for pred in preds]
    found = []
    for entry in entries:
        image = entry["image_id"]
        for key, match, ignored in zip(entry["gtIds"], entry["gtMatches"][0], entry["gtIgnore"], strict=True):
            if not ignored:
                detection = None if match == 0 else original[image][int(match) - first_dt[image] - 1]
                found.append((image, key - first_gt[image] - 1, detection))
    return found


def _offsets(items: list[Item]) -> list[tuple[int, int]]:
    counts = [0, *(len(item["labels"]) for item in items)]
    return list(enumerate(np.cumsum(counts)[:-1].tolist()))


def slow_report(
    preds: list[Item], target: list[Item], pairs: list[tuple[int, int, int | None]], normalizer: str, threshold: float
) -> dict[str, float]:
    errors: list[list[float]] = [[] for _ in NAMES]
    for image, i, j in pairs:
        points = target[image]["keypoints"][i].tolist()
        if normalizer == "box":
            size = max(target[image]["boxes"][i, 2:].tolist())
        elif normalizer == "head":
            size = target[image]["head_size"][i].item()
        else:
            (x1, y1, v1), (x2, y2, v2) = points[5], points[12]
            size = math.hypot(x1 - x2, y1 - y2) if v1 > 0 and v2 > 0 else 0
        for k, (x, y, v) in enumerate(points):
            if v > 0 and size > 0:
                px, py = (math.inf, math.inf) if j is None else preds[image]["keypoints"][j, k, :2].tolist()
                errors[k].append(math.hypot(px - x, py - y) / size)
    results = _scores("", [e for own in errors for e in own], threshold)
    for name, own in zip(NAMES, errors, strict=True):
        results |= _scores(f"/{name}", own, threshold)
    for key in ("pck", "error"):
        values = [results[f"{key}/{name}"] for name in NAMES if not math.isnan(results[f"{key}/{name}"])]
        results[f"mean_{key}"] = sum(values) / len(values) if values else math.nan
    return results


def _scores(suffix: str, errors: list[float], threshold: float) -> dict[str, float]:
    finite = [error for error in errors if math.isfinite(error)]
    share = (lambda count: count / len(errors)) if errors else (lambda count: math.nan)
    return {
        f"pck{suffix}": share(sum(error <= threshold for error in errors)),
        f"error{suffix}": sum(finite) / len(finite) if finite else math.nan,
        f"detected{suffix}": share(len(finite)),
        f"support{suffix}": len(errors),
    }


@pytest.mark.parametrize(("normalizer", "threshold"), [("box", 0.2), ("head", 0.5), ("torso", 0.2)])
def test_random_problems_agree_with_a_slow_loop(normalizer: str, threshold: float) -> None:
    total = 0
    for seed in range(20):
        preds, target, _ = vars(problem(seed)).values()
        pairs = matched(preds, target, 0.5)
        expected = slow_report(preds, target, pairs, normalizer, threshold)
        result = keypoint_report(preds, target, normalizer=normalizer, keypoint_names=NAMES, box_format="xywh")
        assert result.keys() == expected.keys()
        for key, value in expected.items():
            assert result[key].item() == pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True), key
        total += sum(j is not None for *_, j in pairs)
    assert total > 50


def test_given_pairs_agree_with_a_slow_loop() -> None:
    for seed in range(10):
        target = problem(seed).target
        generator = torch.Generator().manual_seed(seed)
        preds = []
        for item in target:
            points = item["keypoints"]
            preds.append({"keypoints": points + torch.randint(-9, 9, points.shape, generator=generator)})
        pairs: list[tuple[int, int, int | None]] = [
            (image, i, i)
            for image, item in enumerate(target)
            for i in range(len(item["labels"]))
            if not item["iscrowd"][i] and item["num_keypoints"][i]
        ]
        settings: dict[str, Any] = {"match": "given", "box_format": "xywh", "keypoint_names": NAMES}
        result = keypoint_report(preds, target, threshold=0.1, **settings)
        expected = slow_report(preds, target, pairs, "box", 0.1)
        assert {key: value.item() for key, value in result.items()} == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_pckh_by_hand() -> None:
    """MPII's 16 joints, one prediction a target: errors of 3, 4 and 5 pixels over a head of 8."""
    points = torch.zeros(1, 16, 3)
    points[0, :3, 2] = 1
    moved = points.clone()
    moved[0, :3, 0] = torch.tensor([3.0, 4.0, 5.0])
    target = [
        {"keypoints": points, "boxes": torch.ones(1, 4), "labels": torch.tensor([0]), "head_size": torch.tensor([8])}
    ]
    names = [f"joint {i}" for i in range(16)]
    metric = KeypointReport(match="given", normalizer="head", keypoint_names=names)
    metric.update([{"keypoints": moved}], target)
    result = metric.compute()
    assert result["pck"].item() == 2 / 3  # 5 / 8 is above .5, 4 / 8 is not
    assert result["error"].item() == 0.5
    assert result["pck/joint 3"].isnan()
    metric.threshold = 0.4
    assert metric.compute()["pck"].item() == 1 / 3
    lines = metric.table().splitlines()
    assert lines[2].split() == ["joint", "0", "1.00", "0.38", "1.00", "1"]
    assert lines[-2].split() == ["all", "joints", "0.33", "0.50", "1.00", "3"]


def test_arguments_and_inputs_that_do_not_fit_are_named() -> None:
    for message, arguments in {
        "keypoint_names: expected a name for each of 17": {"keypoint_names": ["a"]},
        "keypoint_names: expected distinct names": {"keypoint_names": ["a"] * 17},
        "torso: expected two distinct ints": {"normalizer": "torso", "keypoint_sigmas": "crowdpose"},
        "torso: expected None": {"torso": (1, 2)},
        "normalizer: expected one of": {"normalizer": "hip"},
        "match: expected one of": {"match": "iou"},
        "threshold": {"threshold": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            KeypointReport(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="match: fixed when a KeypointReport is made"):
        KeypointReport().match = "given"
    target = problem(1).target
    metric = KeypointReport(match="given", normalizer="head", box_format="xywh")
    given = [{"keypoints": item["keypoints"]} for item in target]
    metric.update(given, target)
    before = metric.compute()
    full = next(i for i, item in enumerate(target) if len(item["labels"]))
    one, own = given[full], target[full]
    two = {"keypoints": torch.zeros(99, 17, 2)}
    for message, pred, change in (
        (r"preds\[0\]\['keypoints'\]: expected as many as targets", two, {}),
        (r"target\[0\]\['head_size'\]: expected finite numbers above 0", one, {"head_size": own["head_size"] * 0}),
        (r"target\[0\]\['head_size'\]: expected shape", one, {"head_size": torch.zeros(99)}),
        (r"target\[0\]: expected the key 'labels'", one, {"labels": None}),
    ):
        item = {key: value for key, value in {**own, **change}.items() if value is not None}
        with pytest.raises(ValueError, match=message):
            metric.update([pred], [item])
    assert_same_bits(metric.compute(), before)


def fed(data: Problem, *parts: Any, **settings: Any) -> KeypointReport:
    metric = KeypointReport(box_format="xywh", **settings)
    for part in parts or [slice(None)]:
        metric.update(data.preds[part], data.target[part])
    return metric


@pytest.mark.parametrize("normalizer", ["box", "head"])
def test_any_split_merge_and_copy_equals_the_whole(normalizer: str) -> None:
    for seed in range(6):
        data = problem(seed, image_ids=True)
        whole = fed(data, normalizer=normalizer).compute()
        parts = list(split(seed, len(data.preds)))
        assert_same_bits(fed(data, *parts, normalizer=normalizer).compute(), whole)
        assert_same_bits(fed(data, *parts[::-1], normalizer=normalizer).compute(), whole)
        merged = KeypointReport(box_format="xywh", normalizer=normalizer)
        for part in parts[::-1]:
            merged.merge_state(fed(data, part, normalizer=normalizer))
        for metric in (merged, pickle.loads(pickle.dumps(merged)), copy.deepcopy(merged), merged.clone()):
            assert_same_bits(metric.compute(), whole)
        merged.persistent(True)
        loaded = KeypointReport(box_format="xywh", normalizer=normalizer)
        loaded.persistent(True)
        loaded.load_state_dict(merged.state_dict())
        assert_same_bits(loaded.compute(), whole)
        assert_same_bits(keypoint_report(data.preds, data.target, normalizer=normalizer, box_format="xywh"), whole)


def test_repeated_images_count_once() -> None:
    data = problem(3, image_ids=True)
    metric = fed(data, slice(None), slice(0, 2))
    with pytest.warns(UserWarning, match=r"target\['image_id'\]: 2 images .* were seen again"):
        assert_same_bits(metric.compute(), fed(data).compute())
    assert (metric.num_images, metric.num_duplicates) == (len(data.preds), 2)
    other = {**data.target[0], "head_size": data.target[0]["head_size"] + 1, "boxes": data.target[0]["boxes"] + 1}
    full = next(i for i, item in enumerate(data.target) if len(item["labels"]))
    other = {**data.target[full], "boxes": data.target[full]["boxes"] + 1}
    metric = fed(data)
    metric.update([data.preds[full]], [other])
    with pytest.raises(ValueError, match=r"target\['image_id'\]: expected one target for an id"):
        metric.compute()
    kept = fed(data, slice(None), slice(0, 2), duplicates="keep")
    kept.compute()
    assert kept.num_images == len(data.preds) + 2


def test_states_from_elsewhere_are_checked() -> None:
    metric = fed(problem(2))
    state = dict(metric.metric_state)
    (errors,) = (name for name in state if name.startswith("errors"))
    for wrong in (
        torch.zeros(3, 17, dtype=torch.int64),
        -torch.ones_like(torch.cat(list(state[errors])).double()).view(-1, 17),
    ):
        value = wrong if wrong.dtype == torch.int64 else wrong.view(torch.int64)
        with pytest.raises(ValueError, match="KeypointReport: state of"):
            KeypointReport(box_format="xywh").merge_state({**state, errors: [value]})


def test_nothing_seen_is_undefined() -> None:
    result = keypoint_report([], [])
    assert all(value.isnan() for key, value in result.items() if not key.startswith("support"))
    assert {tuple(value.shape) for value in result.values()} == {()}
    assert "pck/left_wrist" in result
    assert keypoint_report([], [], zero_division=0)["pck"] == 0


def test_plots_show_joints_and_histories() -> None:
    pytest.importorskip("matplotlib")
    metric = fed(problem(4))
    _, axes = metric.plot()
    assert len(axes.get_yticklabels()) == 17
    _, axes = metric.plot([metric.compute(), metric.compute()])
    assert len(axes.get_lines()) == 2
    with pytest.raises(ValueError, match="report of keypoints"):
        metric.plot({"map": torch.tensor(1.0)})
