"""``detmetrics evaluate --protocol``: LVIS's and Open Images' numbers of files, and their states."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from detmetrics.cli import main
from tests import lvis_oracle
from tests.cli.commands import ANNOTATIONS, RESULT, numbers, write
from tests.detection.test_lvis import generated, lvis_document

CAT, DOG, ANIMAL = 5, 6, 7
OPEN_IMAGES: dict[str, Any] = {
    "images": [{"id": "a"}, {"id": "b", "neg_category_ids": [CAT]}],
    "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}, {"id": ANIMAL, "name": "animal"}],
    "annotations": [
        {"id": 1, "image_id": "a", "category_id": CAT, "bbox": [0, 0, 10, 10]},
        {"id": 2, "image_id": "a", "category_id": CAT, "bbox": [50, 50, 40, 40], "is_group_of": 1},
    ],
}
RESULTS = [
    {"image_id": image_id, "category_id": category, "bbox": box, "score": score}
    for image_id, category, box, score in (
        ("a", CAT, [0, 0, 10, 10], 0.9),
        ("a", CAT, [60, 60, 5, 5], 0.8),
        ("a", CAT, [70, 70, 5, 5], 0.7),  # in the group again
        ("a", DOG, [0, 0, 10, 10], 0.9),  # nothing is known about dogs
        ("b", CAT, [0, 0, 10, 10], 0.85),  # known to be absent
        ("a", ANIMAL, [0, 0, 10, 10], 0.9),
    )
]
TREE = {"LabelName": "root", "Subcategory": [{"LabelName": "animal", "Subcategory": [{"LabelName": "cat"}]}]}
CAT_PRECISION = (1 + 2 / 3) / 2  # right, a mistake in image b, and the group


@pytest.fixture
def lvis_files(data_root: Path, tmp_path: Path) -> tuple[str, str]:
    document = lvis_document(data_root)
    results = generated(document, 3)
    return write(tmp_path / "gt.json", document), write(tmp_path / "dt.json", results)


@pytest.fixture
def open_images_files(tmp_path: Path) -> tuple[str, str]:
    return write(tmp_path / "gt.json", OPEN_IMAGES), write(tmp_path / "dt.json", RESULTS)


def test_lvis_prints_and_writes_the_numbers_of_lvis(
    lvis_files: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.json"
    assert main(["evaluate", *lvis_files, "--protocol", "lvis", "--json", str(out), "--max-detections", "50"]) == 0
    printed = capsys.readouterr().out
    gt, dt = (json.loads(Path(name).read_text()) for name in lvis_files)
    evaluation = lvis_oracle.evaluated(monkeypatch, gt, dt, 50, "bbox")
    evaluation.print_results()
    assert printed == capsys.readouterr().out
    written = {key: math.nan if value is None else value for key, value in json.loads(out.read_text()).items()}
    assert written == pytest.approx(lvis_oracle.numbers(evaluation), rel=0, abs=1e-10, nan_ok=True)


@pytest.mark.parametrize("protocol", ["lvis", "open-images"])
def test_saved_states_of_shards_add_up(
    request: pytest.FixtureRequest, tmp_path: Path, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = request.getfixturevalue(f"{protocol.replace('-', '_')}_files")
    command = ["evaluate", *files, "--protocol", protocol, "--per-class"]
    whole = numbers(*command, out=tmp_path / "whole.json")
    states = [str(tmp_path / f"{i}.pt") for i in range(2)]
    for i, state in enumerate(states):
        assert main([*command, "--quiet", "--shard", f"{i}/2", "--save-state", state]) == 0
    capsys.readouterr()
    merged = numbers("merge", *reversed(states), out=tmp_path / "merged.json")
    assert repr(merged) == repr(whole)
    other = numbers("merge", *states, "--iou-thresholds", "0.5", out=tmp_path / "merged.json")
    assert other["map"] == whole.get("map_50", whole["map"])


def test_open_images_reads_groups_labels_of_images_and_a_tree(
    open_images_files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", *open_images_files, "--protocol", "open-images"]
    assert numbers(*command, out=tmp_path / "out.json")["map"] == pytest.approx(CAT_PRECISION)
    assert "(AP) @[ IoU=0.50      ] = 0.833" in capsys.readouterr().out
    tree = write(tmp_path / "tree.json", TREE)
    result = numbers(*command, "--hierarchy", tree, "--per-class", out=tmp_path / "out.json")
    assert result["map/cat"] == pytest.approx(CAT_PRECISION)
    assert result["map/animal"] == 0.5  # the cat, but not the group of cats
    assert result["map"] == pytest.approx((CAT_PRECISION + 0.5) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "lvis"], 'expected LVIS annotations, with "neg_category_ids"'),
        (["--protocol", "open-images", "--max-detections", "5"], "--max-detections: expected none for Open Images"),
        (["--protocol", "open-images", "--iou-thresholds", ".5", ".6"], "--iou-thresholds: expected one number"),
        (["--protocol", "open-images", "--hierarchy", "gt.json"], "hierarchy: expected a dict from label"),
        (["--protocol", "open-images", "--hierarchy", "none.json"], "No such file or directory: 'none.json'"),
    ],
)
def test_what_does_not_fit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "gt.json", ANNOTATIONS)
    write(tmp_path / "dt.json", [RESULT])
    assert main(["evaluate", "gt.json", "dt.json", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--hierarchy", "tree.json"],
        ["--protocol", "lvis", "--html", "page.html"],
        ["--protocol", "lvis", "--iou-type", "keypoints"],
        ["--protocol", "pascal"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "gt.json", "dt.json", *arguments])
    assert exit_.value.code == 2
    assert "expected --protocol" in capsys.readouterr().err or "pascal" in arguments
