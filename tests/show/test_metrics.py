"""Every metric draws itself: now, a result, a history, without data."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from torchmetrics import MetricCollection

from detmetrics import (
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionF1Score,
    DetectionPrecision,
    plot,
)
from detmetrics.show.plot import drawing
from detmetrics.show.plot.matrices import short_count
from tests.show.drawn import data, detections, fed, rendered, texts
from tests.training import registry


@pytest.mark.parametrize("name", sorted(registry.public()))
def test_every_metric_draws_itself_a_result_and_a_history(name: str) -> None:
    metric = fed(registry.make(name), *registry.batch(name))
    result = metric.compute()
    before = repr(result)
    for val in (None, result, metric(*registry.batch(name, seed=1)), [result] * 3, (result,)):
        fig, ax = metric.plot(val)
        assert ax.has_data()
        assert ax.figure is fig
        rendered(fig)
        if isinstance(val, list | tuple) and not hasattr(val, "_fields"):
            assert ax.get_xlabel() == "Epoch"
            assert {len(line.get_xdata()) for line in ax.get_lines()} == {len(val)}
    own = Figure().subplots()
    assert metric.plot(ax=own) == (own.figure, own)
    assert repr(result) == before


def test_a_normalised_matrix_stays_as_it_is() -> None:
    matrix = fed(DetectionConfusionMatrix(num_classes=2, normalize="true"), *detections(2)).compute()
    before = matrix.clone()
    plot.confusion_matrix(matrix, ["a", "b"])
    assert torch.equal(matrix, before)


def test_a_name_is_text_wherever_it_stands() -> None:
    metric = fed(DetectionCurves(class_names=["a$x_$", "all classes"]), *detections(2))
    result = metric.compute()
    fig, ax = metric.plot([result, result], kind="score", name="a$x_$")
    rendered(fig)
    assert ax.get_ylabel() == "Best F-score and threshold, a$x_$"
    _, ax = metric.plot([result, result])
    assert [line.get_label() for line in ax.get_lines()] == ["a$x_$", "all classes", "all classes (pooled)"]


def test_what_stands_for_undefined_is_no_best_point() -> None:
    preds, target = detections(2)  # of the third class there is nothing at all
    metric = fed(DetectionCurves(class_names=["a", "b", "c"], zero_division=1.0), preds, target)
    assert metric.compute().best_f_beta[2] == 1
    assert texts(metric.plot(kind="score", name="c")[1]) == ["no targets or no detections"]


def test_results_of_other_classes_are_not_called_by_those_seen_last() -> None:
    metric = fed(DetectionF1Score(average="none"), *detections(2))
    first = metric.compute()
    metric.reset()
    preds, target = detections(2)
    metric.update([{**p, "labels": p["labels"] + 7} for p in preds], [{**t, "labels": t["labels"] + 7} for t in target])
    assert sorted(tick.get_text() for tick in metric.plot()[1].get_yticklabels()) == ["7", "8"]
    assert sorted(tick.get_text() for tick in metric.plot(first)[1].get_yticklabels()) == ["0", "1"]


def test_names_that_are_shortened_stay_apart() -> None:
    names = [f"a very long class name number {i} of the set of many classes" for i in range(3)]
    labels, _ = drawing.lettering([*names, names[0]])
    assert len(set(labels[:3])) == 3
    assert drawing.lettering(["same", "same"])[0] == ["same", "same"]


def test_results_that_cannot_be_drawn_say_so() -> None:
    with pytest.raises(ValueError, match="expected map and mar of the same areas"):
        plot.size_bars({"map": 0.5, "map_small": 0.4})
    with pytest.raises(ValueError, match="val: expected a number, a vector or a dict"):
        DetectionF1Score().plot({"f1/a": "x"})
    assert short_count(10**15) == "1.00P"


@pytest.mark.parametrize("name", sorted(registry.public()))
def test_every_metric_refuses_what_it_has_not_returned(name: str) -> None:
    metric = fed(registry.make(name), *registry.batch(name))
    for val in ("what", {"what": torch.zeros(3)}):
        for given in (val, [val]):
            with pytest.raises(ValueError, match=r"^(val|results): expected"):
                metric.plot(given)


@pytest.mark.parametrize("name", sorted(registry.public()))
def test_every_metric_draws_without_data(name: str) -> None:
    lists = {**registry.DETECTION, **registry.PANOPTIC, **registry.POSES}
    batch = ([], []) if name in lists else (torch.zeros(0, 8, 8), torch.zeros(0, 8, 8))
    if name in registry.CLASSIFICATION:
        batch = (torch.zeros(0), torch.zeros(0).long())
    fig, _ = fed(registry.make(name), *batch).plot()
    rendered(fig)


def test_every_metric_is_in_the_registry() -> None:
    assert set(registry.public()) == set(registry.EVERY)


def test_a_collection_of_torchmetrics_draws_them() -> None:
    collection = MetricCollection(
        {"f1": DetectionF1Score(), "curves": DetectionCurves(), "confusion": DetectionConfusionMatrix(num_classes=2)}
        | {"precision": DetectionPrecision(pairs="all")}
    )
    collection.update(*detections(2))
    drawn = collection.plot()
    assert len(drawn) == 4
    for fig, _ in drawn:
        rendered(fig)
    numbers = MetricCollection({"f1": DetectionF1Score(), "precision": DetectionPrecision()})
    numbers.update(*detections(2))
    for fig, ax in numbers.plot([numbers.compute()] * 3):
        assert data(ax.get_lines()[0])[0] == [1, 2, 3]
        rendered(fig)
    own, axes = pyplot.subplots(1, 2)
    assert [ax for _, ax in numbers.plot(ax=list(axes))] == list(axes)
    pyplot.close(own)


def test_the_pictures_of_the_readme_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).resolve().parents[2] / ".site" / "pictures.py"
    if not script.is_file():
        pytest.skip("the script is in the repository alone, not in the distribution")
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    written = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(written) == {"score.png", "confusion.png"}
    assert all(1_000 < size < 100_000 for size in written.values())
