"""Pictures know results: which of them are drawn, which are a history, and what a fresh one has with it."""

from typing import Any, NamedTuple

import pytest
import torch

from detmetrics.show.plot import pictures
from tests.show.drawn import bars, data, texts, ticks


def never() -> Any:
    raise AssertionError("there is nothing to compute")


def test_a_result_is_drawn_several_are_a_history_and_none_is_computed() -> None:
    picture = pictures.Score("iou")
    _, ax = pictures.draw(picture, 0.25, never)
    assert data(ax.get_lines()[0]) == ([1], [0.25])
    for several in ([0.25, 0.5], (0.25, 0.5)):
        _, ax = pictures.draw(picture, several, never)
        assert data(ax.get_lines()[0]) == ([1, 2], [0.25, 0.5])
    _, ax = pictures.draw(picture, None, lambda: 0.75)
    assert data(ax.get_lines()[0]) == ([1], [0.75])
    assert ax.get_ylabel() == "IoU"


class Pair(NamedTuple):
    first: float
    second: float


def test_a_named_tuple_is_one_result() -> None:
    with pytest.raises(ValueError, match="val: expected a number, a vector or a dict of 0-d numbers, got Pair"):
        pictures.draw(pictures.Score("f1"), Pair(0.25, 0.5), never)


def test_support_goes_with_fresh_results_of_several_classes() -> None:
    calls = []

    def support() -> dict[str, int]:
        calls.append(1)
        return {"7": 3, "9": 4}

    picture = pictures.Score("f1", None, "F2", support)
    result = torch.tensor([0.5, 0.75])
    _, ax = pictures.draw(picture, None, lambda: result)
    assert ticks(ax.yaxis) == ["9", "7"]  # named by the support, the best first
    assert texts(ax)[2:] == ["4", "3", "support"]
    assert len(calls) == 1
    _, ax = pictures.draw(picture, result, never)
    assert ticks(ax.yaxis) == ["1", "0"]
    pictures.draw(picture, None, lambda: 0.5)
    assert len(calls) == 1


def test_results_by_name_are_called_by_it() -> None:
    result = {"f1/cat": 0.25, "f1/dog": 0.5}
    _, ax = pictures.draw(pictures.Score("f1", ["cat", "dog"]), result, never)
    assert (ticks(ax.yaxis), bars(ax)) == (["dog", "cat"], [0.5, 0.25])


def average_precision(kind: str, prefix: str = "") -> pictures.MeanAveragePrecision:
    return pictures.MeanAveragePrecision(
        kind, [0.5], [0.0, 1.0], prefix, lambda labels: [f"class {i}" for i in labels.tolist()], lambda: {"class 3": 5}
    )


def test_average_precision_of_a_prefix() -> None:
    result = {
        "bbox_map": 0.5,
        "segm_map": 0.25,
        "segm_map_per_class": torch.tensor([0.25]),
        "classes": torch.tensor([3]),
    }
    assert average_precision("summary", "segm_").numbers(result) == {"map": 0.25}
    assert average_precision("classes", "segm_").numbers(result) == {"class 3": torch.tensor(0.25)}
    _, ax = pictures.draw(average_precision("classes", "segm_"), None, lambda: result)
    assert texts(ax) == ["0.250", "5", "support"]


def test_kinds_are_checked() -> None:
    with pytest.raises(ValueError, match="kind: expected one of"):
        average_precision("pie")
    with pytest.raises(ValueError, match="kind: expected one of"):
        pictures.Curves("pie", None, lambda labels: [])
    with pytest.raises(ValueError, match="name: expected None with kind='precision_recall'"):
        pictures.Curves("precision_recall", "cat", lambda labels: [])
    with pytest.raises(ValueError, match="val: expected ScoreCurves"):
        pictures.Curves("score", None, lambda labels: []).numbers({})
