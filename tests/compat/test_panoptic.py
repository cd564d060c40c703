"""Panoptic quality against torchmetrics: every combination of arguments, with unknown categories on both sides."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import detection as theirs
from torchmetrics.functional.detection import panoptic_quality as their_function

from detmetrics.compat import torchmetrics as ours

THINGS, STUFFS, UNKNOWN = [7, 1], [0, 6], [3, 9]
FLOAT32 = 1e-7  # torchmetrics divides the areas of a pair in float32


def maps(seed: int, unknown: bool, images: int = 3) -> tuple[Tensor, Tensor]:
    """Blocks of segments; the prediction is the target with some blocks exchanged."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.tensor(THINGS + STUFFS)
    categories = torch.tensor(THINGS + STUFFS + UNKNOWN)

    def draw(choices: Tensor) -> Tensor:
        category = choices[torch.randint(len(choices), (images, 4, 6), generator=generator)]
        return torch.stack([category, torch.randint(3, category.shape, generator=generator)], dim=-1)

    target = draw(categories)
    other = draw(categories if unknown else known)
    kept = torch.rand(images, 4, 6, 1, generator=generator) < 0.6
    if not unknown:
        kept &= torch.isin(target[..., :1], known)
    preds = torch.where(kept, target, other)
    return preds.repeat_interleave(2, 1).repeat_interleave(3, 2), target.repeat_interleave(2, 1).repeat_interleave(3, 2)


@pytest.mark.parametrize("choice", list(itertools.product([False, True], repeat=3)))
def test_random_maps_give_what_torchmetrics_gives(choice: tuple[bool, bool, bool]) -> None:
    allow, with_parts, per_class = choice
    settings: dict[str, Any] = {
        "things": THINGS,
        "stuffs": STUFFS,
        "allow_unknown_preds_category": allow,
        "return_sq_and_rq": with_parts,
        "return_per_class": per_class,
    }
    for seed in range(8):
        mine, expected = ours.PanopticQuality(**settings), theirs.PanopticQuality(**settings)
        for part in range(2):
            batch = maps(10 * seed + part, allow)
            for metric in (mine, expected):
                metric.update(*batch)
        torch.testing.assert_close(mine.compute(), expected.compute(), rtol=0, atol=FLOAT32)
        torch.testing.assert_close(
            ours.panoptic_quality(*batch, **settings), their_function(*batch, **settings), rtol=0, atol=FLOAT32
        )
        assert mine.compute().dtype == torch.float64


def test_halves_without_a_prediction_are_no_false_negatives() -> None:
    """Targets of which half, more and less has an unknown category predicted."""
    for width in range(5):
        target = torch.tensor([1, 0]).expand(1, 1, 4, 2).clone()
        preds = target.clone()
        preds[..., :width, 0] = 9
        preds[..., width:, 0] = 7
        settings = {"things": [1, 7], "stuffs": [], "allow_unknown_preds_category": True, "return_per_class": True}
        expected = their_function(preds, target, **settings)
        assert torch.equal(ours.panoptic_quality(preds, target, **settings), expected), width


def test_points_of_one_dimension_and_volumes() -> None:
    preds, target = maps(3, False)
    for shape in ((3, -1, 2), (3, 2, 4, -1, 2)):
        own = preds.reshape(shape), target.reshape(shape)
        expected = their_function(*own, THINGS, STUFFS)
        torch.testing.assert_close(ours.panoptic_quality(*own, THINGS, STUFFS), expected, rtol=0, atol=FLOAT32)


def test_nothing_known_is_not_a_number() -> None:
    target = torch.tensor([3, 0]).expand(1, 2, 2, 2)
    settings = {"things": [1], "stuffs": [], "allow_unknown_preds_category": True}
    assert their_function(target, target, **settings).isnan()
    assert ours.panoptic_quality(target, target, **settings).isnan()


@pytest.mark.parametrize(
    ("things", "stuffs"), [([1, "a"], [0]), ([1], [0.5]), ([1, 2], [2]), ([], [])], ids=["str", "float", "both", "none"]
)
def test_wrong_categories_raise_what_torchmetrics_raises(things: Any, stuffs: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as expected:
        theirs.PanopticQuality(things, stuffs)
    with pytest.raises(expected.type):
        ours.PanopticQuality(things, stuffs)


def test_categories_given_twice_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="things"):
        metric = ours.PanopticQuality([1, 1], [0])
    assert metric.things == {1}


MAP = torch.zeros(1, 2, 2, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("preds", "target"),
    [([1], MAP), (MAP, None), (MAP, MAP[:, :1]), (MAP[0, 0], MAP[0, 0]), (MAP[..., :1], MAP[..., :1]), (MAP + 5, MAP)],
    ids=["list", "none", "shapes", "dimensions", "channels", "unknown"],
)
def test_wrong_inputs_raise_what_torchmetrics_raises(preds: Any, target: Any) -> None:
    metric, expected = ours.PanopticQuality([1], [0]), theirs.PanopticQuality([1], [0])
    with pytest.raises((TypeError, ValueError)) as error:
        expected.update(preds, target)
    with pytest.raises(error.type):
        metric.update(preds, target)
    assert metric.update_count == 0
