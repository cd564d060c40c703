"""Laws of every public metric. One joins by an entry in ``REGISTRY``; the last test fails while one is missing."""

import copy
import itertools
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import detmetrics
from detmetrics import functional
from detmetrics.detection.metric import DetectionMetric
from tests.device import never_waiting, to_device
from tests.keypoint_problems import keypoint_problem
from tests.problems import LABELS, Problem, mask_problem, random_problem, shuffled, split, with_facts

Data = tuple[Any, Any]  # the arguments of update(): lists or tensors, first dimension images


class Entry(NamedTuple):
    """How the laws use a metric."""

    function: Callable[..., Any]
    data: Callable[[int, bool], Data]  # (seed, with image ids) -> images
    reject: Callable[[Data], Data]  # the same images, the last one such that update() must raise ValueError
    settings: list[dict[str, Any]]  # of the constructor; each is tried
    question: dict[str, Any]  # other settings, to ask of a state that was made under the first ones
    scalars: bool = True  # whether compute() returns 0-d float64 tensors alone


def detections(seed: int, image_ids: bool, make: Callable[..., Problem] = random_problem) -> Data:
    for candidate in range(1000 * seed, 1000 * (seed + 1)):  # the first one with a few images
        problem = make(candidate, images=9, image_ids=image_ids, plain=True)
        if len(problem.preds) >= 5:
            return problem.preds, problem.target
    raise AssertionError("no problem has five images")


def probabilities(seed: int, image_ids: bool) -> Data:
    """With scores in [0, 1]."""
    preds, target = detections(seed, image_ids)
    for item in preds:
        if not ((item["scores"] >= 0) & (item["scores"] <= 1)).all():
            item["scores"] = item["scores"].sigmoid()
    return preds, target


def masks(seed: int, image_ids: bool) -> Data:
    return detections(seed, image_ids, mask_problem)


def keypoints(seed: int, image_ids: bool) -> Data:
    return detections(seed, image_ids, partial(keypoint_problem, boxes=True))


def federated(seed: int, image_ids: bool, make: Callable[[int, bool], Data] = detections) -> Data:
    """With classes that are absent, present or not labelled exhaustively, in some images."""
    preds, target = make(seed, image_ids)
    return preds, with_facts(seed, preds, target)


NAMES = {label: str(label) for labels in LABELS for label in labels}  # all that random problems have
HIERARCHY = {0: [7, 90], 1: 2, 3: [4, 5], 4: 11, 5: 11, -5: 3}
FREQUENCIES = dict(zip(NAMES, itertools.cycle("rcf")))


def at_operating_point(function: Callable[..., Any], *settings: dict[str, Any], scalars: bool = True) -> Entry:
    """An entry of a metric that matches at one IoU threshold."""
    question = {"iou_threshold": 0.3, "max_detections": 2, "area_range": (500, 5000)}
    return Entry(function, detections, with_nan_score, list(settings), question, scalars)


def with_nan_score(data: Data) -> Data:
    preds, target = data
    shapes = {
        "boxes": torch.zeros(1, 4),
        "keypoints": torch.zeros(1, 17, 3),
        "masks": target[-1].get("masks", torch.zeros(1, 1, 1)).any(0, keepdim=True),
    }
    last = {key: shapes[key] for key in shapes if key in preds[-1]}
    last |= {"scores": torch.tensor([float("nan")]), "labels": torch.tensor([0])}
    return [*preds[:-1], last], target


REGISTRY: dict[str, Entry] = {
    "MeanAveragePrecision": Entry(
        functional.mean_average_precision,
        detections,
        with_nan_score,
        [{"extended_summary": True}, {"class_metrics": True, "zero_division": 0.0}, {"class_agnostic": True}],
        {
            "iou_thresholds": [0.15, 0.4],
            "rec_thresholds": [0.0, 0.5],
            "max_detection_thresholds": [2],
            "area_ranges": {"mid": (500, 5000)},
            "extended_summary": True,
        },
    ),
    "DetectionPrecision": at_operating_point(
        functional.detection_precision, {}, {"average": "macro", "zero_division": 0.0}
    ),
    "DetectionRecall": at_operating_point(functional.detection_recall, {}, {"class_agnostic": True}),
    "DetectionF1Score": at_operating_point(
        functional.detection_f1_score,
        {"aggregate": "imagewise", "average": "weighted"},
        {"aggregate": "classwise", "average": "macro", "pairs": "all"},
        {"average": "none", "class_names": NAMES},
    ),
    "DetectionFBetaScore": at_operating_point(functional.detection_fbeta_score, {"beta": 2.0, "score_threshold": 0.2}),
    "DetectionConfusionMatrix": at_operating_point(
        functional.detection_confusion_matrix,
        {"class_names": NAMES},
        {"class_names": NAMES, "normalize": "true"},
        scalars=False,
    ),
    "VOCAveragePrecision": Entry(
        functional.voc_average_precision,
        detections,
        with_nan_score,
        [{}, {"style": "07", "class_metrics": True, "class_names": NAMES}],
        {"iou_threshold": 0.3, "max_detections": 2, "style": "07"},
    ),
    "DetectionCurves": at_operating_point(functional.detection_curves, {}, {"class_agnostic": True}, scalars=False),
    "DetectionCalibration": Entry(
        functional.detection_calibration,
        probabilities,
        with_nan_score,
        [{"num_bins": 4}, {"score_threshold": 0.2, "class_agnostic": True}],
        {"iou_threshold": 0.3, "max_detections": 2, "num_bins": 3},
        scalars=False,
    ),
    "DetectionIoU": at_operating_point(
        functional.detection_iou, {"average": "none", "class_names": NAMES}, {"average": "macro", "zero_division": 0.0}
    ),
    "LocalizationRecallPrecision": at_operating_point(
        functional.localization_recall_precision,
        {"class_metrics": True, "class_names": NAMES},
        {"score_threshold": 0.2, "class_agnostic": True},
    ),
    "DetectionErrors": at_operating_point(
        functional.detection_errors, {}, {"class_names": NAMES, "zero_division": 0.0}, {"class_agnostic": True}
    ),
    "DetectionErrors of masks": Entry(
        functional.detection_errors,
        masks,
        with_nan_score,
        [{"iou_type": "segm", "background_threshold": 0.2}],
        {"iou_threshold": 0.3, "max_detections": 2},
    ),
    "DetectionReport": at_operating_point(
        functional.detection_report, {"class_names": NAMES}, {"class_names": NAMES, "matched_only": True}
    ),
    "LVISAveragePrecision": Entry(
        functional.lvis_average_precision,
        federated,
        with_nan_score,
        [
            {"max_detections_per_image": 3, "frequencies": FREQUENCIES, "extended_summary": True},
            {"class_metrics": True, "class_names": NAMES, "pairs": "all"},
        ],
        {"iou_thresholds": [0.15, 0.4], "max_detections_per_image": 2, "area_ranges": {"mid": (500, 5000)}},
    ),
    "OpenImagesAveragePrecision": Entry(
        functional.open_images_average_precision,
        federated,
        with_nan_score,
        [
            {"hierarchy": HIERARCHY, "class_metrics": True},
            {"class_names": NAMES, "class_metrics": True, "pairs": "all"},
        ],
        {"iou_threshold": 0.3, "zero_division": 0.0},
    ),
    "LVISAveragePrecision of masks": Entry(
        functional.lvis_average_precision,
        lambda seed, image_ids: federated(seed, image_ids, masks),
        with_nan_score,
        [{"iou_type": "segm", "max_detections_per_image": 5}],
        {"iou_thresholds": [0.15, 0.4], "frequencies": FREQUENCIES},
    ),
    "MeanAveragePrecision of masks": Entry(
        functional.mean_average_precision,
        masks,
        with_nan_score,
        [{"iou_type": ("segm", "boundary"), "extended_summary": True}],
        {"iou_thresholds": [0.15, 0.4], "max_detection_thresholds": [2]},
    ),
    "DetectionConfusionMatrix of masks": Entry(
        functional.detection_confusion_matrix,
        masks,
        with_nan_score,
        [{"class_names": NAMES, "iou_type": "segm"}],
        {"iou_threshold": 0.3, "max_detections": 2},
        scalars=False,
    ),
    "MeanAveragePrecision of keypoints": Entry(
        functional.mean_average_precision,
        keypoints,
        with_nan_score,
        [
            {"iou_type": "keypoints", "box_format": "xywh", "extended_summary": True},
            {"iou_type": ("bbox", "keypoints"), "box_format": "xywh", "keypoint_sigmas": [0.05] * 17},
        ],
        {"iou_thresholds": [0.15, 0.4], "max_detection_thresholds": [2]},
    ),
    "DetectionF1Score of keypoints": Entry(
        functional.detection_f1_score,
        keypoints,
        with_nan_score,
        [{"iou_type": "keypoints", "box_format": "xywh", "class_agnostic": True}],
        {"iou_threshold": 0.3, "max_detections": 2},
    ),
}

CASES = [
    pytest.param(name, settings, id=f"{name}-{'-'.join(settings)}")
    for name, entry in REGISTRY.items()
    for settings in entry.settings
]
SEEDS = range(4)
law = pytest.mark.parametrize(("name", "settings"), CASES)


def fresh(name: str, settings: dict[str, Any]) -> DetectionMetric:
    metric: DetectionMetric = getattr(detmetrics, name.partition(" ")[0])(**settings)
    return metric


def fed(name: str, settings: dict[str, Any], *parts: Data) -> DetectionMetric:
    metric = fresh(name, settings)
    for preds, target in parts:
        metric.update(preds, target)
    return metric


def cut(data: Data, seed: int) -> list[Data]:
    return [(data[0][part], data[1][part]) for part in split(seed, len(data[0]))]


def tensors(result: Any) -> dict[str, Tensor]:
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        result = result._asdict()
    return result if isinstance(result, dict) else {"value": result}


def assert_same_bits(result: Any, expected: Any) -> None:
    result, expected = tensors(result), tensors(expected)
    assert list(result) == list(expected)
    for key, value in expected.items():
        assert result[key].dtype == value.dtype
        assert torch.equal(result[key].nan_to_num(-1), value.nan_to_num(-1)), key


def check(*metrics: DetectionMetric, expected: Any) -> None:
    for metric in metrics:
        assert_same_bits(metric.compute(), expected)


# -------------------------------------------------------------------------------------------------------------- laws


@law
def test_the_function_equals_the_class(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = REGISTRY[name].data(seed, bool(seed % 2))
        assert_same_bits(REGISTRY[name].function(*data, **settings), fed(name, settings, data).compute())


@law
def test_any_split_in_order_equals_the_whole(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = REGISTRY[name].data(seed, bool(seed % 2))
        expected = fed(name, settings, data).compute()
        one_by_one = [(data[0][i : i + 1], data[1][i : i + 1]) for i in range(len(data[0]))]
        for parts in (cut(data, seed), cut(data, seed + 100), one_by_one):
            check(fed(name, settings, *parts), expected=expected)


@law
def test_any_order_of_images_with_ids_equals_the_whole(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = REGISTRY[name].data(seed, True)
        expected = fed(name, settings, data).compute()
        for order in range(3):
            preds, target = shuffled(order, *data)
            check(fed(name, settings, *cut((preds, target), order)), expected=expected)


@law
def test_repeated_images_with_ids_change_nothing(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        preds, target = REGISTRY[name].data(seed, True)
        expected = fed(name, settings, (preds, target)).compute()
        metric = fed(name, settings, (preds, target), (preds[:2], target[:2]))
        with pytest.warns(UserWarning, match=r"2 images \(ids .*\) were seen again .* about the same predictions"):
            metric.compute()
        check(metric, expected=expected)


@law
def test_merge_is_associative(name: str, settings: dict[str, Any]) -> None:
    for seed in SEEDS:
        data = REGISTRY[name].data(seed, bool(seed % 2))
        expected = fed(name, settings, data).compute()
        parts = [(data[0][part], data[1][part]) for part in (slice(0, 1), slice(1, 3), slice(3, None))]
        left, right = [[fed(name, settings, part) for part in parts] for _ in range(2)]
        left[0].merge_state(left[1])
        left[0].merge_state(left[2])
        right[1].merge_state(right[2])
        right[0].merge_state(right[1])
        check(left[0], right[0], expected=expected)


@law
def test_merge_of_images_with_ids_is_commutative(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(0, True)
    expected = fed(name, settings, data).compute()
    first, second = (fed(name, settings, (data[0][part], data[1][part])) for part in (slice(0, 2), slice(2, None)))
    second.merge_state(first)
    check(second, expected=expected)


@law
def test_the_empty_state_is_the_identity_of_merge(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(0, False)
    full, empty = fed(name, settings, data), fresh(name, settings)
    expected = full.compute()
    empty.merge_state(full)
    full.merge_state(fresh(name, settings))
    check(full, empty, expected=expected)


@law
def test_inputs_are_neither_changed_nor_kept(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(1, True)
    kept = copy.deepcopy(data)
    expected = fed(name, settings, kept).compute()
    metric = fed(name, settings, data)
    metric.compute()
    again = fed(name, settings, data)
    for given, before in zip(walk(data), walk(kept), strict=True):
        assert torch.equal(given, before)
        given.zero_()  # the caller may reuse its tensors
    check(metric, again, expected=expected)


def walk(value: Any) -> list[Tensor]:
    """All tensors of a nested structure."""
    if isinstance(value, Tensor):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    return [tensor for child in children for tensor in walk(child)]


@law
def test_compute_is_repeatable(name: str, settings: dict[str, Any]) -> None:
    metric = fed(name, {**settings, "compute_with_cache": False}, REGISTRY[name].data(2, True))
    expected = metric.compute()
    for value in tensors(metric.compute()).values():
        value.fill_(7)
    check(metric, expected=expected)


@law
def test_compute_between_updates_changes_nothing(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(3, False)
    metric = fresh(name, settings)
    for preds, target in cut(data, 3):
        metric.update(preds, target)
        metric.compute()
    check(metric, expected=fed(name, settings, data).compute())


@law
def test_forward_is_the_value_of_the_batch(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(3, False)
    metric = fresh(name, settings)
    for part in cut(data, 3):
        assert_same_bits(metric(*part), fed(name, settings, part).compute())
    check(metric, expected=fed(name, settings, data).compute())


@law
def test_reset_makes_it_new(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(3, True)
    metric = fed(name, settings, REGISTRY[name].data(2, True))
    metric.compute()
    metric.reset()
    metric.update(*data)
    check(metric, expected=fed(name, settings, data).compute())


@law
@pytest.mark.parametrize("asked", [False, True], ids=["before-compute", "after-compute"])
def test_pickle_and_copies(name: str, settings: dict[str, Any], asked: bool) -> None:
    data = REGISTRY[name].data(2, False)
    first, rest = ((data[0][part], data[1][part]) for part in (slice(0, 2), slice(2, None)))
    expected = fed(name, settings, data).compute()
    metric = fed(name, settings, first)
    if asked:
        metric.compute()
    for again in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), metric.clone()):
        again.update(*rest)
        check(again, expected=expected)


@law
def test_a_state_dict_answers_other_questions(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(2, True)
    saved = fed(name, settings, *cut(data, 1))
    saved.persistent(True)
    state = saved.state_dict()
    for asked in (settings, settings | REGISTRY[name].question):
        loaded = fed(name, asked, REGISTRY[name].data(3, True))
        loaded.compute()
        loaded.load_state_dict(state)
        check(loaded, expected=fed(name, asked, data).compute())


@law
def test_a_merged_state_answers_other_questions(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(2, True)
    asked = settings | REGISTRY[name].question
    metric = fresh(name, asked)
    for part in cut(data, 1):
        metric.merge_state(fed(name, settings, part))
    check(metric, expected=fed(name, asked, data).compute())


@law
def test_a_rejected_update_changes_nothing(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(1, False)
    metric = fed(name, settings, data)
    state = copy.deepcopy(metric.metric_state)
    with pytest.raises(ValueError, match=r"expected .*, got"):
        metric.update(*REGISTRY[name].reject(data))
    assert metric.update_count == 1
    for now, before in zip(walk(metric.metric_state), walk(state), strict=True):
        assert torch.equal(now, before)
    with pytest.raises(ValueError, match=r"expected .*, got"):
        metric(*REGISTRY[name].reject(data))
    assert metric.update_count == 1
    check(metric, expected=fed(name, settings, data).compute())


@law
def test_casts_change_nothing(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(1, False)
    metric = fresh(name, settings).half()
    metric.update(*data)
    check(metric.to(torch.bfloat16), expected=fed(name, settings, data).compute())


@law
def test_one_thread_gives_the_bits_of_two(name: str, settings: dict[str, Any]) -> None:
    copies = 50 if "masks" in name else 300  # so many that torch divides the work
    data = [
        values * copies if isinstance(values, list) else torch.cat([values] * copies)
        for values in REGISTRY[name].data(1, False)
    ]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(fed(name, settings, data).compute())
    finally:
        torch.set_num_threads(before)
    assert_same_bits(*results)


@law
def test_inference_mode_changes_nothing(name: str, settings: dict[str, Any]) -> None:
    data = REGISTRY[name].data(1, False)
    metric = fresh(name, settings)
    first, rest = ((data[0][part], data[1][part]) for part in (slice(0, 2), slice(2, None)))
    with torch.inference_mode():
        metric.update(*first)
        metric.compute()
    metric.update(*rest)
    check(metric, expected=fed(name, settings, data).compute())


@law
def test_scalars_are_float64_without_dimensions(name: str, settings: dict[str, Any]) -> None:
    if not REGISTRY[name].scalars:
        pytest.skip("returns matrices or curves")
    plain = {key: value for key, value in settings.items() if key not in ("extended_summary", "class_metrics")}
    for value in tensors(fed(name, plain, REGISTRY[name].data(0, True)).compute()).values():
        assert (value.ndim, value.dtype) == (0, torch.float64)


@law
def test_a_gpu_gives_the_same_bits(name: str, settings: dict[str, Any], cuda: torch.device) -> None:
    for seed in SEEDS:
        data = REGISTRY[name].data(seed, True)
        moved = fresh(name, settings).to(cuda)
        for part in cut(data, seed):
            moved.update(*to_device(part, cuda))
        result = moved.compute()
        assert {value.device.type for value in tensors(result).values()} == {"cuda"}
        assert_same_bits(to_device(result, torch.device("cpu")), fed(name, settings, data).compute())


@law
def test_an_update_on_a_gpu_does_not_wait_for_it(name: str, settings: dict[str, Any], cuda: torch.device) -> None:
    metric = fresh(name, settings).to(cuda)
    if metric.reads_pixels:
        pytest.skip("the overlaps of masks are found in update()")
    data = to_device(REGISTRY[name].data(0, False), cuda)
    metric.update(*data)  # the first call may allocate
    with never_waiting():
        metric.update(*data)
    metric.compute()


def test_no_public_metric_is_missing() -> None:
    public = {name: getattr(detmetrics, name) for name in detmetrics.__all__}
    metrics = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, DetectionMetric)}
    assert metrics == {name.partition(" ")[0] for name in REGISTRY}
    every = {name: getattr(functional, name) for name in functional.__all__}
    functions = {name for name, function in every.items() if function.__module__.startswith("detmetrics.detection.")}
    functions.remove("keypoint_report")  # no DetectionMetric: it has laws of its own
    assert {entry.function.__name__ for entry in REGISTRY.values()} == functions
