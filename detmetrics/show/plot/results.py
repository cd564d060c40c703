"""What pictures read from results, and what a history follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.formulas import divide
from detmetrics.show.tables import Headline, headlines

Scalar = float | Tensor
_SCORES = {
    "f1": "F1",
    "iou": "IoU",
    "f_beta": "F-beta",
    "boundary_iou": "Boundary IoU",
    "boundary_f1": "Boundary F1",
    "trimap_iou": "Trimap IoU",
}


def label_of(key: str) -> str:
    """What a result is called on an axis.

    Args:
        key: The key of a result, or of a part of it.

    Example:
        >>> label_of("iou"), label_of("mean_precision")
        ('IoU', 'Mean precision')
    """
    return _SCORES.get(key) or key.replace("_", " ").capitalize()


def numbers(result: Any, names: Sequence[str] | None = None, prefix: str = "") -> Scalar | dict[str, Scalar]:
    """The numbers in a result of a metric: what a history follows.

    Args:
        result: A number, a vector, or a dict in which 0-d entries count.
        names: Those of a vector; None for 0, 1, ...
        prefix: Of a dict only keys that begin with it count, and are called by what follows.

    Raises:
        ValueError: if there are no such numbers.

    Example:
        >>> numbers({"iou/road": 0.5, "iou/sky": 1.0, "mean_iou": 0.75}, prefix="iou/")
        {'road': 0.5, 'sky': 1.0}
    """
    if _is_number(result):
        number: Scalar = result
        return number
    if isinstance(result, Tensor) and result.ndim == 1:
        fits = names is not None and len(names) == len(result)
        return dict(zip(names if names and fits else map(str, range(len(result))), result, strict=True))
    if isinstance(result, Mapping):
        entries = {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}
        scalars = {key: value for key, value in entries.items() if _is_number(value)}
        if scalars:
            return scalars
        got = f"the keys {list(result)[:8]}"
    else:
        got = f"{tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
    wanted = f" of 0-d numbers {prefix}<name>" if prefix else " of 0-d numbers"
    raise ValueError(f"val: expected a number, a vector or a dict{wanted}, got {got}")


def averages(results: Mapping[str, Scalar], score: str) -> dict[str, Scalar]:
    """The averages of a score among the results of a report: what a history follows.

    Args:
        results: What ``compute()`` of a report returns.
        score: ``"f1"``, ``"precision"``, ...

    Example:
        >>> averages({"f1/cat": 0.5, "f1_micro": 0.6, "recall_micro": 0.7, "mean_f1": 0.8}, "f1")
        {'f1_micro': 0.6, 'mean_f1': 0.8}
    """
    found = {}
    if isinstance(results, Mapping):
        plain = {key: value for key, value in results.items() if "/" not in key}
        found = {key: value for key, value in plain.items() if key.startswith(f"{score}_") or key.endswith(f"_{score}")}
    if not found:
        got = list(results)[:8] if isinstance(results, Mapping) else type(results).__name__
        raise ValueError(f"val: expected the results of a report with {score!r}, got {got}")
    return found


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    """The headline numbers among the results of ``MeanAveragePrecision``.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns.

    Example:
        >>> headline({"map": 0.4, "mar_100": 0.5, "map/cat": 0.4})
        {'map': 0.4, 'mar_100': 0.5}
    """
    return {line.key: line.value for line in headlines_of(results)}


def headlines_of(results: Mapping[str, Any]) -> list[Headline]:
    """The headline numbers, or a ``ValueError`` if these are no results of ``MeanAveragePrecision``."""
    found = headlines(results)
    if "map" not in results:
        raise ValueError(
            f"results: expected map and others, as of MeanAveragePrecision, got the keys {list(results)[:8]}"
        )
    return found


def by_size(results: Mapping[str, Scalar]) -> dict[str, dict[str, float]]:
    """``AP`` and ``AR`` for all sizes and for each, from the results of ``MeanAveragePrecision``.

    Args:
        results: What ``MeanAveragePrecision.compute()`` returns.

    Example:
        >>> by_size({"map": 0.4, "map_small": 0.2, "mar_1": 0.1, "mar_10": 0.3, "mar_small": 0.3})
        {'AP': {'all': 0.4, 'small': 0.2}, 'AR': {'all': 0.3, 'small': 0.3}}
    """
    lines = headlines_of(results)
    largest = max(line.limit for line in lines)
    sizes: dict[str, dict[str, float]] = {"AP": {}, "AR": {}}
    for line in lines:
        if line.key == "map" or line.area != "all" or (line.kind == "AR" and line.at == str(largest)):
            sizes[line.kind][line.area] = line.value
    if sizes["AP"].keys() != sizes["AR"].keys():
        raise ValueError(f"results: expected map and mar of the same areas, got the keys {list(results)[:12]}")
    return sizes


def mean_over_classes(precision: Tensor) -> Tensor:
    """The mean over defined classes of ``(T, R, C, A, M)`` at all areas and the largest limit, ``(T, R)``.

    Args:
        precision: What ``MeanAveragePrecision`` returns with ``extended_summary=True``.

    Example:
        >>> import torch
        >>> mean_over_classes(torch.tensor([0.5, torch.nan, 1.0]).view(1, 1, 3, 1, 1)).item()
        0.75
    """
    return defined_mean(precision[..., 0, -1].detach().cpu().double(), dim=2)


def check_matrix(matrix: Any) -> None:
    """Raise unless it is a tensor of two or three dimensions."""
    if not isinstance(matrix, Tensor) or matrix.ndim not in (2, 3):
        got = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise ValueError(f"val: expected a matrix, as compute() returns it, got {got}")


def diagonal_share(matrix: Tensor) -> Tensor:
    """How much of confusion matrices ``(..., C, C)`` is on their diagonals, 0-d; what is not defined counts nowhere.

    Args:
        matrix: ``(..., C, C)`` counts or shares.

    Example:
        >>> import torch
        >>> diagonal_share(torch.tensor([[3, 1], [0, 4]])).item()
        0.875
    """
    check_matrix(matrix)
    cells = matrix.detach().double().nan_to_num(0.0)
    return divide(cells.diagonal(dim1=-2, dim2=-1).sum(), cells.sum())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, Tensor) and value.ndim == 0)
