"""The numbers of the command, and the options that change them."""

import gzip
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from detmetrics.cli import main
from tests import oracle
from tests.cli.commands import ANNOTATIONS, CAT, RESULT, assert_close, numbers, pycocotools_summary, write


@pytest.fixture(scope="session")
def manifest(data_root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((data_root / "MANIFEST.json").read_text())
    return loaded


@pytest.mark.parametrize(
    ("name", "gt", "dt"),
    [
        ("coco_val2014_100", "instances_val2014_100.json", "instances_val2014_fakebbox100_results.json"),
        ("rafael_coco_sampled", "gt.json", "dt.json"),
    ],
)
def test_real_files(data_root: Path, manifest: dict[str, Any], tmp_path: Path, name: str, gt: str, dt: str) -> None:
    measured = manifest[name]["measured"]
    measured = measured.get("bbox", measured)
    files = [str(data_root / name / file) for file in (gt, dt)]
    result = numbers("evaluate", *files, "--per-class", out=tmp_path / "out.json")
    assert list(result)[:12] == list(oracle.STATS)
    assert_close(result, dict(zip(oracle.STATS, measured["stats"], strict=True)))
    per_category = {key.partition("#")[0]: value for key, value in measured["per_category_AP"].items()}
    assert [key for key in result if key.startswith("map/")] == [f"map/{name}" for name in per_category]
    expected = {f"map/{name}": math.nan if value is None else value for name, value in per_category.items()}
    assert_close(result, expected)


def test_real_files_gzipped(data_root: Path, manifest: dict[str, Any], tmp_path: Path) -> None:
    folder = data_root / "voc07_tinyyolo"
    annotations = json.loads(gzip.decompress((folder / "voc07_test_gt_coco.json.gz").read_bytes()))
    for annotation in annotations["annotations"]:
        annotation["iscrowd"] = annotation["difficult"]
    files = [write(tmp_path / "gt.json", annotations), str(folder / "tinyyolo_qfdong_dt_coco.json.gz")]
    result = numbers("evaluate", *files, out=tmp_path / "out.json")
    recorded = manifest["voc07_tinyyolo"]["measured"]["pycocotools_12_difficult_as_crowd"]  # to six digits
    assert [round(value, 6) for value in result.values()] == recorded


MASKS = ("instances_val2014_100.json", "instances_val2014_fakesegm100_results.json")


def test_masks_of_real_files(data_root: Path, manifest: dict[str, Any], tmp_path: Path) -> None:
    measured = manifest["coco_val2014_100"]["measured"]["segm"]
    files = [str(data_root / "coco_val2014_100" / name) for name in MASKS]
    states = []
    for shard in ("0/2", "1/2"):
        states.append(str(tmp_path / f"{shard[0]}.pt"))
        options = ["--iou-type", "segm", "--shard", shard, "--save-state", states[-1]]
        numbers("evaluate", *files, *options, out=tmp_path / "part.json")
    result = numbers("merge", *states, "--per-class", out=tmp_path / "out.json")
    assert_close(result, dict(zip(oracle.STATS, measured["stats"], strict=True)))
    per_category = {f"map/{key.partition('#')[0]}": value for key, value in measured["per_category_AP"].items()}
    assert_close(result, {key: math.nan if value is None else value for key, value in per_category.items()})


def test_output_is_that_of_pycocotools(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data_root / "coco_val2014_100"
    files = [
        str(folder / "instances_val2014_100.json"),
        str(folder / "instances_val2014_fakebbox100_results.json"),
    ]
    assert main(["evaluate", *files]) == 0
    out, err = capsys.readouterr()
    assert out == pycocotools_summary(*files)
    assert re.fullmatch(r"detmetrics: 100 images in \d+\.\d\d s, \d+ images/s\n", err)


def test_undefined_is_null_in_json_and_minus_one_in_print(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *small, "--json", str(tmp_path / "out.json")]) == 0
    written = json.loads((tmp_path / "out.json").read_text())
    # IoU 90/100 passes the thresholds .5 to .9: 9 of 10
    assert written["map"] == written["mar_100"] == pytest.approx(0.9, rel=0, abs=1e-12)
    assert written["map_large"] is None
    annotations = {**ANNOTATIONS, "annotations": [{**CAT, "area": 100, "iscrowd": 0}]}  # pycocotools needs both
    assert capsys.readouterr().out == pycocotools_summary(write(tmp_path / "full.json", annotations), small[1])


def test_per_class(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--per-class"]) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    assert table == "class    map  mar_100\ncat    0.900    0.900\ndog      nan      nan\n"


def test_iou_thresholds_and_max_detections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--images", "30", "--save", str(tmp_path)]) == 0
    capsys.readouterr()
    files = [str(tmp_path / "annotations.json"), str(tmp_path / "results.json")]
    options = ["--iou-thresholds", "0.3", "0.5", "--max-detections", "2", "7"]
    result = numbers("evaluate", *files, *options, out=tmp_path / "out.json")
    annotations, results = (json.loads(Path(file).read_text()) for file in files)
    reference = oracle.evaluate_coco(annotations, results, iou_thresholds=[0.3, 0.5], max_detection_thresholds=[2, 7])
    assert_close(result, reference.stats)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(result) == 10  # map, map_50, 3 areas; mar_2, mar_7, 3 areas
    assert printed[0].startswith(" Average Precision  (AP) @[ IoU=0.30:0.50 | area=   all | maxDets=  7 ] = ")
    assert printed[5].startswith(" Average Recall     (AR) @[ IoU=0.30:0.50 | area=   all | maxDets=  2 ] = ")


def test_ignore_key(tmp_path: Path) -> None:
    hard = {"image_id": 1, "category_id": 5, "bbox": [50, 50, 10, 10]}
    files = [
        write(tmp_path / "gt.json", {**ANNOTATIONS, "annotations": [CAT, {**CAT, **hard, "id": 2, "difficult": 1}]}),
        write(tmp_path / "dt.json", [RESULT, {**hard, "score": 0.9}]),
    ]
    counted = numbers("evaluate", *files, out=tmp_path / "1.json")
    # both found at .5 to .9, then one of two: precision 1 at the first 51 of 101 recall points
    assert counted["map"] == pytest.approx((9 + 51 / 101) / 10, rel=0, abs=1e-12)
    ignored = numbers("evaluate", *files, "--ignore-key", "difficult", out=tmp_path / "2.json")
    assert ignored["map"] == pytest.approx(0.9, rel=0, abs=1e-12)
    assert ignored["mar_1"] == 0  # an ignored detection takes its place all the same


@pytest.mark.parametrize(("iou_type", "expected"), [("bbox", 1.0), ("segm", 0.7), ("boundary", 0.4)])
def test_iou_type(tmp_path: Path, iou_type: str, expected: float) -> None:
    # a square of 100 with a hole of 40: IoU 8400 / 10000; boundaries of 4 pixels: 10000 - 92**2 = 1536, of the hole
    # 48**2 - 40**2 = 704: 1536 / 2240
    square = {"size": [120, 130], "counts": [0, *[100, 20] * 99, 100, 20 + 30 * 120]}
    rim, cut = [100, 20] * 30, [30, 40, 30, 20] * 40
    hollow = {"size": [120, 130], "counts": [0, *rim, *cut, *rim[:-1], 20 + 30 * 120]}
    cat, box = {"image_id": 1, "category_id": 5, "bbox": [0, 0, 100, 100]}, {"id": 1, "area": 1e4, "iscrowd": 0}
    files = [
        write(tmp_path / "gt.json", {**ANNOTATIONS, "annotations": [{**cat, **box, "segmentation": square}]}),
        write(tmp_path / "dt.json", [{**cat, "score": 0.5, "segmentation": hollow}]),
    ]
    result = numbers("evaluate", *files, "--iou-type", iou_type, out=tmp_path / "out.json")
    assert result["mar_100"] == pytest.approx(expected, rel=0, abs=1e-12)


def test_files_without_masks_fail_with_one_line(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *small, "--iou-type", "segm"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f'detmetrics: error: {small[0]}: annotations: entry 0: "segmentation" of image_id 1: ')
    assert err.endswith(", got no such key\n")
    assert err.count("\n") == 1


def test_masks_without_pycocotools_fail_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cat = {**CAT, "segmentation": [[0, 0, 10, 0, 10, 10]]}
    images = [{"id": 1, "height": 20, "width": 20}]
    files = [
        write(tmp_path / "gt.json", {**ANNOTATIONS, "images": images, "annotations": [cat]}),
        write(tmp_path / "dt.json", [{**RESULT, "segmentation": cat["segmentation"]}]),
    ]
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    assert main(["evaluate", *files, "--iou-type", "segm"]) == 1
    message = 'detmetrics: error: masks in COCO files need pycocotools: pip install "detmetrics[coco]"\n'
    assert capsys.readouterr().err == message


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    one = numbers("demo", "--images", "20", "--per-class", "--batch-size", "1", out=tmp_path / "1.json")
    many = numbers("demo", "--images", "20", "--per-class", "--batch-size", "7", out=tmp_path / "2.json")
    assert str(one) == str(many)


def test_demo_is_seeded_and_saved_files_give_its_numbers(tmp_path: Path) -> None:
    demo = ["demo", "--images", "12", "--detections", "8", "--classes", "4", "--per-class"]
    result = numbers(*demo, "--save", str(tmp_path / "new" / "folder"), out=tmp_path / "1.json")
    assert str(result) == str(numbers(*demo, "--seed", "0", out=tmp_path / "2.json"))
    assert str(result) != str(numbers(*demo, "--seed", "1", out=tmp_path / "3.json"))
    files = [str(tmp_path / "new" / "folder" / name) for name in ("annotations.json", "results.json")]
    assert str(result) == str(numbers("evaluate", *files, "--per-class", out=tmp_path / "4.json"))


def test_demo_on_the_gpu(tmp_path: Path, cuda: torch.device) -> None:
    on_cpu = numbers("demo", out=tmp_path / "1.json")
    assert str(on_cpu) == str(numbers("demo", "--device", str(cuda), out=tmp_path / "2.json"))
