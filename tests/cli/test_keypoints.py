"""``detmetrics evaluate --iou-type keypoints``."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detmetrics.cli import main
from tests import oracle
from tests.cli.commands import assert_close, numbers

PLAIN = ("fce_keypoints", "gt_dataset.json", "dt_dataset.json")
CROWDED = ("fce_crowdpose", "example_crowdpose_val.json", "example_crowdpose_preds.json")


def arguments(data_root: Path, names: tuple[str, str, str], *options: str) -> list[str]:
    files = [str(data_root / names[0] / name) for name in names[1:]]
    return ["evaluate", *files, "--iou-type", "keypoints", *options]


def test_the_lines_are_those_of_pycocotools(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(data_root, PLAIN, "--quiet")) == 0
    printed = capsys.readouterr().out
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data_root / PLAIN[0] / PLAIN[1]))
        evaluation = COCOeval(truth, truth.loadRes(str(data_root / PLAIN[0] / PLAIN[2])), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
    evaluation.summarize()
    assert printed == capsys.readouterr().out


def test_shards_merge_to_the_whole(data_root: Path, tmp_path: Path) -> None:
    sigmas = ["--keypoint-sigmas", "crowdpose"]
    states = []
    for shard in ("0/2", "1/2"):
        states.append(str(tmp_path / f"{shard[0]}.pt"))
        options = [*sigmas, "--shard", shard, "--save-state", states[-1]]
        numbers(*arguments(data_root, CROWDED, *options), out=tmp_path / "part.json")
    merged = numbers("merge", *states, out=tmp_path / "merged.json")
    whole = numbers(*arguments(data_root, CROWDED, *sigmas), out=tmp_path / "whole.json")
    assert {key: value for key, value in whole.items() if key in merged} == merged
    recorded = json.loads((data_root / CROWDED[0] / "META.json").read_text())["recorded"]
    assert set(merged) == set(oracle.KEYPOINT_STATS)
    assert_close(whole, {"map": recorded["AP"], "mar_iou_75": recorded["AR75"]})
    assert [round(whole[f"{name}_map"], 4) for name in ("easy", "medium", "hard")] == [1.0, 0.9802, 0.4116]


def test_groups_are_printed(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(data_root, CROWDED, "--keypoint-sigmas", "crowdpose", "--quiet")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 + 1 + 3
    assert lines[-1] == " AP of hard images: 0.412"


def test_missing_sigmas_are_told_in_a_line(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(data_root, CROWDED)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected shape (N, 17, 2 or 3), got (2, 14, 3)" in line
    assert "keypoint_sigmas='crowdpose'" in line


def test_the_page_shows_skeletons(data_root: Path, tmp_path: Path) -> None:
    for image in json.loads((data_root / CROWDED[0] / CROWDED[1]).read_text())["images"]:
        Image.new("RGB", (image["width"], image["height"])).save(tmp_path / image["file_name"])
    page = tmp_path / "page.html"
    options = ["--keypoint-sigmas", "crowdpose", "--html", str(page), "--images", str(tmp_path)]
    numbers(*arguments(data_root, CROWDED, *options), out=tmp_path / "out.json")
    text = page.read_text()
    assert "overlaps of\n    keypoints." in text
    assert '<path class="wrong" d="M' in text
