import functools
import math

import pytest
import torch
from torch import Tensor

from detmetrics.reduce import averages, formulas
from tests.reference import reductions

NAN = float("nan")
FORMULAS = {
    "iou": formulas.iou,
    "f1": formulas.f_beta,
    "precision": formulas.precision,
    "recall": formulas.recall,
    "specificity": formulas.specificity,
    "accuracy": formulas.accuracy,
}
REDUCTIONS = [(average, aggregate) for aggregate, choices in averages.AGGREGATES.items() for average in choices]


def random_counts(seed: int, images: int = 6, classes: int = 4) -> list[Tensor]:
    """tp, fp, fn, tn with many zeros, a class that never occurs and an image without anything."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 4, (4, images, classes), generator=generator)
    counts *= torch.randint(0, 2, counts.shape, generator=generator)
    counts[:3, :, -1] = 0
    counts[:3, seed % images] = 0
    return list(counts)


def as_table(counts: list[Tensor]) -> list[list[reductions.Cell]]:
    return [[tuple(cell) for cell in row] for row in torch.stack(counts, dim=-1).tolist()]


@pytest.mark.parametrize("zero_division", [NAN, 0.0, 1.0, 0.3])
@pytest.mark.parametrize(("average", "aggregate"), REDUCTIONS)
def test_every_reduction_of_every_formula_equals_a_loop(average: str, aggregate: str, zero_division: float) -> None:
    for seed in range(8):
        counts = random_counts(seed)
        for excluded in ((), (0,), (1, 3)):
            for class_weights in (None, [1.0, 2.5, 0.0, 4.0]) if average == "macro" else (None,):
                for name, formula in FORMULAS.items():
                    result = averages.average(
                        formula,
                        counts,
                        average=average,
                        aggregate=aggregate,
                        zero_division=zero_division,
                        class_weights=None if class_weights is None else torch.tensor(class_weights),
                        excluded=averages.class_mask(excluded, 4, torch.device("cpu")),
                    )
                    expected = reductions.reduce(
                        name,
                        as_table(counts),
                        average=average,
                        aggregate=aggregate,
                        zero_division=zero_division,
                        excluded=excluded,
                        class_weights=class_weights,
                    )
                    assert result.dtype == torch.float64
                    assert result.tolist() == pytest.approx(expected, rel=1e-14, nan_ok=True), (name, seed)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_f_beta_by_hand(beta: float) -> None:
    # tp 3, fp 1, fn 2: P = 3/4, R = 3/5, F = (1 + b^2) P R / (b^2 P + R)
    expected = (1 + beta**2) * (3 / 4) * (3 / 5) / (beta**2 * 3 / 4 + 3 / 5)
    counts = [torch.tensor(value) for value in (3, 1, 2)]
    assert formulas.f_beta(*counts, beta=beta).item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("average", "aggregate"), REDUCTIONS)
def test_the_order_of_images_does_not_change_a_bit(average: str, aggregate: str) -> None:
    generator = torch.Generator().manual_seed(1)
    counts = [torch.randint(0, 1000, (300, 5), generator=generator) for _ in range(4)]
    order = torch.randperm(300, generator=generator)
    average_of = functools.partial(averages.average, formulas.iou, average=average, aggregate=aggregate)
    assert torch.equal(average_of(counts), average_of([count[order] for count in counts]))


def test_counts_without_tn_and_pooled_counts() -> None:
    tp, fp, fn, _ = random_counts(0)
    for average in averages.AVERAGES:
        by_image = averages.average(formulas.f_beta, (tp, fp, fn), average=average)
        pooled = averages.average(formulas.f_beta, (tp.sum(0), fp.sum(0), fn.sum(0)), average=average)
        assert torch.equal(by_image.nan_to_num(-1), pooled.nan_to_num(-1))


@pytest.mark.parametrize(("average", "aggregate"), REDUCTIONS)
@pytest.mark.parametrize("zero_division", [NAN, 0.5])
@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_nothing_is_undefined(shape: tuple[int, int], zero_division: float, average: str, aggregate: str) -> None:
    counts = [torch.zeros(shape, dtype=torch.int64)] * 3
    result = averages.average(formulas.iou, counts, average=average, aggregate=aggregate, zero_division=zero_division)
    assert result.shape == (shape[1:] if average == "none" else ())
    assert torch.equal(result.isnan(), torch.full_like(result, zero_division).isnan())


def test_large_counts_and_many_images_stay_exact() -> None:
    ones = torch.ones(200_000, 1, dtype=torch.int64)
    mean = averages.average(formulas.iou, (7 * ones, 2 * ones, ones), aggregate="imagewise")
    assert abs(mean.item() - 0.7) < 1e-12
    big = torch.tensor([2**52])
    assert averages.average(formulas.recall, (big, big, big)).item() == 0.5


def test_weights_of_a_perfect_prediction_give_one() -> None:
    counts = [torch.full((3, 4), 5), torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3, 4, dtype=torch.int64)]
    for aggregate in averages.AGGREGATES:
        weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
        assert averages.average(formulas.iou, counts, aggregate=aggregate, class_weights=weights).item() == 1


def test_the_order_of_reductions_matters_with_undefined_cells() -> None:
    """One table, three means: a is defined in both images, b in the first alone."""
    tp, fp, fn = torch.tensor([[1, 1], [1, 0]]), torch.tensor([[0, 1], [3, 0]]), torch.tensor([[0, 0], [0, 0]])
    # cells: a 1, 1/4; b 1/2, undefined
    by = {name: averages.average(formulas.iou, (tp, fp, fn), aggregate=name).item() for name in averages.AGGREGATES}
    assert by == {
        "dataset": (2 / 5 + 1 / 2) / 2,
        "imagewise": ((1 + 1 / 2) / 2 + 1 / 4) / 2,
        "classwise": ((1 + 1 / 4) / 2 + 1 / 2) / 2,
        "pooled": pytest.approx((1 + 1 / 2 + 1 / 4) / 3),
    }
    assert not any(math.isnan(value) for value in by.values())
