"""Metrics of surfaces against the packages whose definitions they take, and at their edges."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detmetrics import AverageSurfaceDistance, HausdorffDistance, SurfaceDice
from detmetrics.functional import average_surface_distance, hausdorff_distance, surface_dice
from tests.segmentation.oracles import deepmind, medpy, monai, random_masks

EXACT, SINGLE = 1e-9, 2e-6  # of oracles in float64, and in float32
SEEDS = [pytest.param(seed, marks=[] if seed < 40 else [pytest.mark.slow]) for seed in range(300)]
PERCENTILES = (None, 95, 47.3, 3)  # at 50 areas are often equal, and how DeepMind's sums are rounded decides
seeds = pytest.mark.parametrize("seed", SEEDS)


def masks_of(seed: int) -> tuple[Any, Any, dict[str, Any]]:
    """Masks in numpy, target first as the packages want them, and the arguments of ours."""
    preds, target, spacing = random_masks(seed)
    inputs = {"preds": torch.tensor(preds)[None], "target": torch.tensor(target)[None]}
    return target, preds, {**inputs, "task": "binary", "spacing": spacing}


def is_close(ours: Tensor, theirs: Any, tolerance: float) -> bool:
    """Whether two numbers agree, also if they are infinite or undefined."""
    return bool(np.isclose(ours.item(), float(theirs), rtol=tolerance, atol=tolerance, equal_nan=True))


@seeds
def test_deepmind(seed: int) -> None:
    target, preds, given = masks_of(seed)
    package = deepmind()
    with np.errstate(all="ignore"):
        distances = package.compute_surface_distances(target, preds, given["spacing"])
        averages = package.compute_average_surface_distance(distances)
        for tolerance in (0.0, 1.0, 1.4):
            expected = package.compute_surface_dice_at_tolerance(distances, tolerance)
            assert is_close(surface_dice(**given, tolerance=tolerance), expected, EXACT)
    one_is_empty = target.any() != preds.any()
    to_target = average_surface_distance(**given, symmetric=False)
    assert is_close(to_target, math.inf if one_is_empty else averages[1], EXACT)
    for percentile in PERCENTILES:
        expected = package.compute_robust_hausdorff(distances, percentile or 100)
        both_are_empty = not target.any() and not preds.any()  # undefined for us, infinite for them
        expected = math.nan if both_are_empty else expected
        assert is_close(hausdorff_distance(**given, percentile=percentile), expected, EXACT)


@seeds
def test_deepmind_both_ways(seed: int) -> None:
    target, preds, given = masks_of(seed)
    distances = deepmind().compute_surface_distances(target, preds, given["spacing"])
    values = np.concatenate([distances["distances_pred_to_gt"], distances["distances_gt_to_pred"]])
    areas = np.concatenate([distances["surfel_areas_pred"], distances["surfel_areas_gt"]])
    with np.errstate(all="ignore"):
        assert is_close(average_surface_distance(**given), (values * areas).sum() / areas.sum(), EXACT)


@seeds
@pytest.mark.filterwarnings("ignore")  # MONAI warns of empty masks and of its own arguments
def test_monai(seed: int) -> None:
    target, preds, given = masks_of(seed)
    if not target.any() or not preds.any():
        return
    package = monai()
    inputs = given["preds"][None].float(), given["target"][None].float()
    theirs = {"include_background": True, "spacing": given["spacing"]}
    ours = {**given, "definition": "monai"}
    for symmetric in (True, False):
        expected = package.compute_average_surface_distance(*inputs, symmetric=symmetric, **theirs)
        assert is_close(average_surface_distance(**ours, symmetric=symmetric), expected, SINGLE)
        for percentile in PERCENTILES:
            expected = package.compute_hausdorff_distance(
                *inputs, percentile=percentile, directed=not symmetric, **theirs
            )
            found = hausdorff_distance(**ours, percentile=percentile, directed=not symmetric)
            assert is_close(found, expected, SINGLE)
    for tolerance in (0.0, 1.01, 1.4):
        expected = package.compute_surface_dice(*inputs, class_thresholds=[tolerance], **theirs)
        assert is_close(surface_dice(**ours, tolerance=tolerance), expected, SINGLE)
        expected = package.compute_surface_dice(*inputs, class_thresholds=[tolerance], use_subvoxels=True, **theirs)
        assert is_close(surface_dice(**given, tolerance=tolerance), expected, SINGLE)


@seeds
def test_medpy(seed: int) -> None:
    target, preds, given = masks_of(seed)
    if not target.any() or not preds.any():
        return
    package, ours, spacing = medpy(), {**given, "definition": "medpy"}, given["spacing"]
    assert is_close(hausdorff_distance(**ours), package.hd(preds, target, spacing), EXACT)
    assert is_close(hausdorff_distance(**ours, percentile=95), package.hd95(preds, target, spacing), EXACT)
    assert is_close(average_surface_distance(**ours), package.assd(preds, target, spacing), EXACT)
    assert is_close(average_surface_distance(**ours, symmetric=False), package.asd(preds, target, spacing), EXACT)


def sphere(radius: int) -> Tensor:
    grid = torch.meshgrid(*[torch.arange(99)] * 3, indexing="ij")
    return (sum((axis - c) ** 2 for axis, c in zip(grid, (20, 33, 22), strict=True)) <= radius**2)[None]


def test_the_spheres_of_monai() -> None:
    """The test of MONAI has the distance from the small one to the large one, and that of both ways."""
    given = {"preds": sphere(20), "target": sphere(40), "task": "binary", "definition": "monai"}
    expected = {(None, True): 404**0.5, (None, False): 409**0.5, (95, True): 397**0.5, (95, False): 404**0.5}
    for (percentile, directed), value in expected.items():
        assert hausdorff_distance(**given, percentile=percentile, directed=directed).item() == value
    assert (404**0.5, 397**0.5) == (20.09975124224178, 19.924858845171276)


def test_the_cubes_of_surface_distance() -> None:
    preds, target = torch.zeros(2, 1, 100, 100, 100, dtype=torch.bool)
    target[:, :50], preds[:, :51] = True, True
    given = {"task": "binary", "spacing": (2, 1, 1)}
    ways = [
        average_surface_distance(*pair, symmetric=False, **given).item() for pair in ((target, preds), (preds, target))
    ]
    assert [round(value, 3) for value in ways] == [0.322, 0.339]
    assert hausdorff_distance(preds, target, **given).item() == 2.0
    assert hausdorff_distance(preds, target, percentile=95, **given).item() == 2.0
    assert round(surface_dice(preds, target, tolerance=1, **given).item(), 3) == 0.836


def test_exactly_half_of_an_area_is_half() -> None:
    """A single pixel has four lines of one length, here two at the distance 1 and two at 2."""
    preds, target = torch.zeros(2, 1, 3, 7, dtype=torch.int64)
    preds[0, 1, 2], target[0, 1, 4] = 1, 1
    for percentile, expected in ((49.9, 1), (50, 1), (50.1, 2)):
        assert hausdorff_distance(preds, target, task="binary", percentile=percentile).item() == expected


NOTHING, SOMETHING = torch.zeros(1, 3, 4, dtype=torch.int64), torch.zeros(1, 3, 4, dtype=torch.int64)
SOMETHING[0, 1, 1:3] = 1


@pytest.mark.parametrize("definition", ["deepmind", "monai", "medpy"])
def test_empty_masks(definition: str) -> None:
    given = {"task": "binary", "definition": definition, "spacing": (2.0, 3.0)}
    diagonal = math.hypot(3 * 2.0, 4 * 3.0)
    for function in (hausdorff_distance, average_surface_distance):
        assert function(NOTHING, NOTHING, **given).isnan()
        assert function(NOTHING, NOTHING, zero_division=0, **given).item() == 0
        for pair in ((NOTHING, SOMETHING), (SOMETHING, NOTHING)):
            assert function(*pair, **given).item() == math.inf
            assert function(*pair, empty="nan", **given).isnan()
            assert function(*pair, empty="diagonal", **given).item() == pytest.approx(diagonal, rel=1e-15)
    assert surface_dice(NOTHING, NOTHING, **given).isnan()
    assert surface_dice(NOTHING, SOMETHING, **given).item() == surface_dice(SOMETHING, NOTHING, **given).item() == 0
    for function, value in ((hausdorff_distance, 0), (average_surface_distance, 0), (surface_dice, 1)):
        assert function(SOMETHING, SOMETHING, **given).item() == value


def test_a_miss_does_not_improve_the_mean_and_an_excluded_one_does_not_matter() -> None:
    preds, target = torch.zeros(2, 1, 5, 5, dtype=torch.int64)
    target[0, 1:3, 1:3], preds[0, 1:3, 1:4] = 1, 1
    target[0, 4, 4] = 2  # missed
    given = {"num_classes": 3, "definition": "monai"}
    assert hausdorff_distance(preds, target, **given).item() == math.inf
    for left_out in ({"exclude_classes": 2}, {"class_weights": [1, 1, 0]}):
        for aggregate in ("classwise", "imagewise", "pooled"):
            found = hausdorff_distance(preds, target, **given, **left_out, aggregate=aggregate)
            assert found.item() == (1 + 1) / 2


def test_reductions_by_hand() -> None:
    """Lines of pixels: every pixel is surface."""
    preds = torch.tensor([[[1, 0, 0, 0, 0, 0]], [[1, 1, 0, 0, 2, 2]]])
    target = torch.tensor([[[1, 1, 1, 0, 0, 0]], [[1, 1, 0, 2, 2, 0]]])
    given = {"num_classes": 3, "definition": "monai", "exclude_classes": 0}
    # class 1: distances 0 | 0 1 2 in the first image, 0 0 | 0 0 in the second; class 2: none, and 0 1 | 1 0
    assert hausdorff_distance(preds, target, average="none", **given).nan_to_num(-1).tolist() == [-1, 1, 1]
    assert hausdorff_distance(preds, target, aggregate="imagewise", **given).item() == (2 + (0 + 1) / 2) / 2
    assert hausdorff_distance(preds, target, aggregate="pooled", **given).item() == (2 + 0 + 1) / 3
    assert average_surface_distance(preds, target, **given).item() == ((3 / 4 + 0) / 2 + 2 / 4) / 2
    pooled = average_surface_distance(preds, target, aggregate="dataset", average="none", **given)
    assert pooled.nan_to_num(-1).tolist() == [-1, 3 / 8, 2 / 4]
    assert surface_dice(preds, target, tolerance=0.5, aggregate="dataset", average="micro", **given).item() == 8 / 12
    weighted = average_surface_distance(preds, target, aggregate="dataset", average="weighted", **given)
    assert weighted.item() == pytest.approx((5 * 3 / 8 + 2 * 2 / 4) / 7, rel=1e-15)
    tolerances = surface_dice(preds, target, tolerance=[0, 0, 1], average="none", aggregate="dataset", **given)
    assert tolerances.nan_to_num(-1).tolist() == [-1, 6 / 8, 1]


def test_ignored_pixels_are_in_no_mask() -> None:
    preds, target = torch.tensor([[[1, 1, 1, 0, 0]]]), torch.tensor([[[1, 1, 255, 0, 0]]])
    given = {"num_classes": 2, "definition": "medpy", "exclude_classes": 0}
    assert hausdorff_distance(preds, target, ignore_index=255, **given).item() == 0
    target[target == 255] = 0
    assert hausdorff_distance(preds, target, **given).item() == 1


@pytest.mark.parametrize("form", ["labels", "scores", "uint16", "bfloat16"])
def test_forms_of_label_maps(form: str) -> None:
    generator = torch.Generator().manual_seed(3)
    preds, target = torch.randint(0, 3, (2, 2, 6, 7), generator=generator)
    expected = average_surface_distance(preds, target, num_classes=3, average="none")
    if form == "scores":
        preds = torch.nn.functional.one_hot(preds, 3).movedim(-1, 1).float()
    elif form != "labels":
        preds, target = (labels.to(getattr(torch, form)) for labels in (preds, target))
    assert torch.equal(average_surface_distance(preds, target, num_classes=3, average="none"), expected)


def test_masks_are_compared_one_by_one() -> None:
    generator = torch.Generator().manual_seed(4)
    preds, target = torch.rand(2, 2, 3, 4, 5, generator=generator)
    target = (target < 0.4).long()
    together = hausdorff_distance(preds, target, task="multilabel", num_classes=3, threshold=0.3, average="none")
    for label in range(3):
        alone = hausdorff_distance(preds[:, label], target[:, label], task="binary", threshold=0.3)
        assert torch.equal(together[label], alone)


def test_more_dimensions() -> None:
    preds, target = torch.zeros(2, 1, 3, 3, 3, 3, dtype=torch.int64)
    preds[0, 0, 0, 0, 0], target[0, 2, 1, 0, 2] = 1, 1
    spacing = (1, 2, 3, 4)
    found = hausdorff_distance(preds, target, task="binary", definition="monai", spacing=spacing)
    assert found.item() == pytest.approx(math.hypot(2 * 1, 1 * 2, 0, 2 * 4), rel=1e-15)
    with pytest.raises(ValueError, match="expected images of 2 or 3 dimensions with definition='deepmind', got 4"):
        hausdorff_distance(preds, target, task="binary")
    with pytest.raises(ValueError, match="spacing: expected 4 numbers for images of 4 dimensions, got"):
        hausdorff_distance(preds, target, task="binary", definition="monai", spacing=(1, 2))
    with pytest.raises(ValueError, match="target: expected images of a dimension or more, got none"):
        hausdorff_distance(preds.flatten(), target.flatten(), task="binary", definition="monai")


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (HausdorffDistance, {"aggregate": "dataset"}, "aggregate: expected one of .*pooled, got 'dataset'"),
        (HausdorffDistance, {"average": "micro"}, "average: expected one of .*pooled, got 'micro'"),
        (HausdorffDistance, {"percentile": 0}, "percentile: expected"),
        (HausdorffDistance, {"percentile": 101}, "percentile: expected a number above 0, and 100 at most, got 101"),
        (HausdorffDistance, {"definition": "itk"}, "definition: expected one of"),
        (HausdorffDistance, {"spacing": [1, 0]}, "spacing: expected"),
        (AverageSurfaceDistance, {"empty": "zero"}, "empty: expected one of"),
        (SurfaceDice, {"tolerance": -1}, "tolerance: expected numbers of 0 or more, got -1"),
        (SurfaceDice, {"tolerance": [1, 2, 3]}, "tolerance: expected a number, or 1, one for each class"),
    ],
)
def test_bad_arguments(kind: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(task="binary", **given)


@pytest.mark.parametrize("kind", [HausdorffDistance, SurfaceDice, AverageSurfaceDistance])
def test_what_is_measured_is_fixed(kind: Any) -> None:
    metric = kind(num_classes=2, spacing=[1, 2], definition="monai")
    assert (metric.definition, metric.spacing) == ("monai", (1.0, 2.0))
    for name in ("definition", "spacing", *(n for n in ("percentile", "tolerance", "symmetric") if hasattr(kind, n))):
        with pytest.raises(ValueError, match=f"{name}: fixed when a {kind.__name__} is made"):
            setattr(metric, name, getattr(metric, name))


def test_plots_show_what_is_infinite() -> None:
    pytest.importorskip("matplotlib")
    metric = HausdorffDistance(class_names=["a", "b", "c"], average="none")
    metric.update(torch.tensor([[[0, 1, 2], [0, 1, 0]]]), torch.tensor([[[0, 1, 1], [0, 1, 0]]]))
    fig, ax = metric.plot()
    fig.canvas.draw()
    assert [text.get_text() for text in ax.texts][:3] == ["inf", "1.000", "0.000"]
    assert ax.get_xlabel() == "Hausdorff distance (dashed: mean inf)"
    fig, _ = metric.plot([metric.compute()] * 2)
    fig.canvas.draw()
