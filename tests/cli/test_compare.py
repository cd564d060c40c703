"""Intervals and comparisons on the command line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from detmetrics import MeanAveragePrecision, bootstrap, compare, demo
from detmetrics.cli import main
from detmetrics.coco import to_coco
from tests.cli.commands import numbers, write


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Annotations, and the results of two models, one of which finds less."""
    preds, target = demo.generate(num_images=20, num_detections=12, num_classes=3)
    fewer = [{key: value[::2] for key, value in image.items()} for image in preds]
    annotations, better = to_coco(preds, target)
    _, worse = to_coco(fewer, target)
    documents = {"gt": annotations, "better": better, "worse": worse}
    return {name: write(tmp_path / f"{name}.json", document) for name, document in documents.items()}


def metrics(files: dict[str, str]) -> list[MeanAveragePrecision]:
    from detmetrics.files.coco import from_coco

    found = []
    for name in ("worse", "better"):
        data = from_coco(files["gt"], files[name])
        metric = MeanAveragePrecision(box_format="xywh", class_names=data.categories, class_metrics=True)
        metric.update(data.preds, data.target)
        found.append(metric)
    return found


def test_results_are_compared(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    arguments = [files["worse"], files["better"], "--targets", files["gt"], "--samples", "50", "--json", str(out)]
    assert main(["compare", *arguments, "--per-class"]) == 0
    printed = capsys.readouterr()
    found: dict[str, Any] = json.loads(out.read_text())
    first, second = metrics(files)
    expected = compare(first, second, 50)
    for key in ("map", "map_50", "mar_100", f"map/{first.settings.declared[0]}"):
        row, interval = found[key], expected.differences[key]
        assert row["first"] == pytest.approx(first.compute()[key].item())
        assert row["second"] == pytest.approx(second.compute()[key].item())
        ends = [interval.value.item(), interval.low.item(), interval.high.item()]
        assert [row["difference"], row["low"], row["high"]] == pytest.approx(ends)
        assert row["p"] == pytest.approx(expected.corrected.get(key, expected.p_values[key]).item())
    assert re.search(r"^ +map +0\.\d+ +0\.\d+ +0\.\d+ +0\.\d+ +0\.\d+ +0\.\d+$", printed.out, re.M)
    assert "50 samples of 20 images" in printed.err


def test_states_are_compared_like_results(files: dict[str, str], tmp_path: Path) -> None:
    states = []
    for name in ("worse", "better"):
        states.append(str(tmp_path / f"{name}.pt"))
        assert main(["evaluate", files["gt"], files[name], "--quiet", "--save-state", states[-1]]) == 0
    options = ["--samples", "20", "--quiet", "--json"]
    assert main(["compare", *states, *options, str(tmp_path / "a.json")]) == 0
    results = [files["worse"], files["better"], "--targets", files["gt"]]
    assert main(["compare", *results, *options, str(tmp_path / "b.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())


def test_intervals_are_printed_and_written(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = numbers("evaluate", files["gt"], files["better"], "--intervals", "50", out=tmp_path / "out.json")
    expected = bootstrap(metrics(files)[1], 50)["map"]
    ends = [found["map_low"], found["map_high"], found["map_standard_error"]]
    assert ends == pytest.approx([expected.low.item(), expected.high.item(), expected.standard_error.item()])
    printed = capsys.readouterr().out
    assert "95 % intervals from 50 samples of the images" in printed
    assert re.search(rf"^ +map +{found['map']:.3f} +{found['map_low']:.3f} +{found['map_high']:.3f} ", printed, re.M)


def test_what_cannot_be_compared_is_one_line(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(Path(files["gt"]).read_text())
    document["images"] = document["images"][1:]
    first = document["annotations"][0]["image_id"]
    document["annotations"] = [row for row in document["annotations"] if row["image_id"] != first]
    other = write(tmp_path / "other.json", document)
    states = []
    for targets, name in ((files["gt"], "a"), (other, "b")):
        states.append(str(tmp_path / f"{name}.pt"))
        assert main(["evaluate", targets, files["better"], "--quiet", "--save-state", states[-1]]) == 0
    capsys.readouterr()
    assert main(["compare", *states, "--samples", "5"]) == 1
    assert "expected the images of the first" in capsys.readouterr().err
    assert main(["compare", files["better"], files["worse"]]) == 1  # results without targets
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
