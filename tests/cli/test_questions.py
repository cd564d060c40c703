"""Errors, parts of the images and score thresholds on the command line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from detmetrics import MeanAveragePrecision
from detmetrics.cli import main
from detmetrics.files.coco import from_coco
from detmetrics.functional import detection_curves, detection_errors
from tests.cli.commands import ANNOTATIONS, CAT, RESULT, numbers, write

FAR = {"image_id": 1, "category_id": 6, "bbox": [0, 0, 10, 10], "score": 0.75}  # a cat that is taken for a dog


def documents(ids: tuple[Any, ...] = (1, 2, 3)) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    annotations = [{**CAT, "id": n, "image_id": one} for n, one in enumerate(ids, start=1)]
    results = [{**row, "image_id": one} for row, one in zip((RESULT, FAR, RESULT), ids, strict=True)]
    return {**ANNOTATIONS, "images": [{"id": one} for one in ids], "annotations": annotations}, results


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    annotations, results = documents()
    return [write(tmp_path / "gt.json", annotations), write(tmp_path / "dt.json", results)]


def test_errors_are_printed_and_written(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = numbers("evaluate", *files, "--errors", out=tmp_path / "out.json")
    data = from_coco(*documents())
    expected = detection_errors(data.preds, data.target, box_format="xywh", class_names=data.categories)
    assert {key: found[key] for key in expected} == pytest.approx({k: v.item() for k, v in expected.items()})
    assert found["num_classification"] == 1
    printed = capsys.readouterr().out
    assert "Errors at IoU 0.50, where AP is 0.663, and what AP each kind costs" in printed
    assert re.search(r"^ +classification +1 +0\.337$", printed, re.M)
    assert re.search(r"^all false negatives +0\.337$", printed, re.M)


def test_parts_are_printed_with_their_ids_and_what_is_missing(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attributes = write(tmp_path / "attributes.json", {"light": {"day": [1, 3], "night": [2, 99]}})
    found = numbers("evaluate", *files, "--slices", attributes, out=tmp_path / "out.json")
    data = from_coco(*documents())
    alone = MeanAveragePrecision(box_format="xywh", class_names=data.categories)
    alone.update(data.preds[::2], data.target[::2])
    assert found["light/day/map"] == pytest.approx(alone.compute()["map"].item())
    assert found["light/night/map_50"] == 0
    printed = capsys.readouterr().out
    assert "light/night: few images, 1 missing" in printed
    assert re.search(r"^ +light/day +0\.900 +1\.000 +1\.000 +2$", printed, re.M)


def test_parts_of_images_with_names(tmp_path: Path) -> None:
    annotations, results = documents(("a", "b", "c"))
    given = [write(tmp_path / "gt.json", annotations), write(tmp_path / "dt.json", results)]
    attributes = write(tmp_path / "attributes.json", {"light": {"day": ["a", "c"], "night": ["b", "z"]}})
    found = numbers("evaluate", *given, "--slices", attributes, out=tmp_path / "out.json")
    assert found["light/day/map_50"] == 1
    assert found["light/night/map_50"] == 0


def test_the_threshold_for_a_precision(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = numbers("evaluate", *files, "--min-precision", "0.6", "--per-class", out=tmp_path / "out.json")
    data = from_coco(*documents())
    curves = detection_curves(data.preds, data.target, box_format="xywh", class_names=data.categories)
    point = curves.highest_recall(precision=0.6)
    assert found["score_threshold_at_precision"] == pytest.approx(point.score_threshold[-1].item()) == 0.5
    assert found["recall_at_precision/cat"] == pytest.approx(point.recall[0].item())
    assert "Score threshold with the highest recall at IoU 0.50 and precision 0.6 or more" in capsys.readouterr().out


def test_saved_states_answer_too(files: list[str], tmp_path: Path) -> None:
    attributes = write(tmp_path / "attributes.json", {"light": {"day": [1, 3], "night": [2]}})
    questions = ["--errors", "--slices", attributes, "--min-precision", "0.6"]
    expected = numbers("evaluate", *files, *questions, "--save-state", str(tmp_path / "s.pt"), out=tmp_path / "a.json")
    assert numbers("merge", str(tmp_path / "s.pt"), *questions, out=tmp_path / "b.json") == pytest.approx(
        expected, nan_ok=True
    )
    numbers("evaluate", *files, "--save-state", str(tmp_path / "same.pt"), out=tmp_path / "c.json")
    assert main(["merge", str(tmp_path / "same.pt"), "--errors", "--quiet"]) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected an object of attributes"),
        ({"light": [1]}, "expected an object of attributes"),
        ({"light": {"day": 1}}, "the values of 'light' are none"),
        ({"light": {"day": [1.5]}}, "expected ids of images, integers or strings, got 1.5"),
    ],
)
def test_attributes_that_do_not_fit_end_with_a_message(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], document: Any, message: str
) -> None:
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps(document))
    assert main(["evaluate", *files, "--slices", str(path), "--quiet"]) == 1
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_json_and_other_protocols(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "attributes.json").write_text("{")
    assert main(["evaluate", *files, "--slices", str(tmp_path / "attributes.json"), "--quiet"]) == 1
    assert "expected JSON" in capsys.readouterr().err
    for option in (["--errors"], ["--min-precision", "0.5"]):
        with pytest.raises(SystemExit):
            main(["evaluate", *files, "--protocol", "lvis", *option])
        assert f"{option[0]}: expected --protocol coco with it" in capsys.readouterr().err
