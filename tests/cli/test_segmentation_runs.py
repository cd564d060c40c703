"""How folders of label maps are evaluated: by workers, shards and ranks, and what is wrong with files and arguments."""

import argparse
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detmetrics.cli import class_names, main
from detmetrics.cli.arguments import parse
from tests.cli.commands import numbers, torchrun
from tests.label_map_files import random_maps, save, save_folders

BASE = ["--num-classes", "5", "--ignore-index", "255", "--aggregate", "imagewise", "--surface"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("maps")
    found = save_folders(root, *random_maps(21, 5, seed=3))
    page = ["--html", str(root / "whole.html")]
    numbers("segmentation", *found, *BASE, "--workers", "1", *page, out=root / "whole.json")
    return found


def whole(folders: list[str]) -> str:
    return (Path(folders[0]).parent / "whole.json").read_text()


def test_workers_give_the_same_bits(folders: list[str], tmp_path: Path) -> None:
    numbers("segmentation", *folders, *BASE, "--workers", "3", out=tmp_path / "1.json")
    assert (tmp_path / "1.json").read_text() == whole(folders)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1, 2]], ids=str)
def test_merged_shards_give_the_bits_of_one_run(
    folders: list[str], tmp_path: Path, order: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    states = []
    for i in range(3):
        states.append(str(tmp_path / f"{i}.pt"))
        options = ["--shard", f"{i}/3", "--save-state", states[-1], "--workers", "1"]
        numbers("segmentation", *folders, *BASE, *options, out=tmp_path / "part.json")
    capsys.readouterr()
    numbers("merge", *(states[i] for i in order), out=tmp_path / "1.json")
    assert (tmp_path / "1.json").read_text() == whole(folders)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(order) - 3  # once, for all metrics
    assert all("'02'" in line or "deep/" in line for line in told)
    numbers("merge", states[0], "--quiet", out=tmp_path / "2.json")


def test_states_of_other_kinds_do_not_add_up(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps, other, boxes = (str(tmp_path / f"{name}.pt") for name in ("maps", "other", "boxes"))
    numbers("segmentation", *folders, *BASE, "--save-state", maps, out=tmp_path / "1.json")
    numbers("segmentation", *folders, *BASE, "--spacing", "2", "--save-state", other, out=tmp_path / "1.json")
    numbers("demo", "--images", "3", "--save-state", boxes, out=tmp_path / "1.json")
    capsys.readouterr()
    for states, message in (
        ([maps, boxes], f"{boxes}: expected a state of LabelMapScores as in {maps}, got one of 'MeanAveragePrecision'"),
        ([maps, other], f"{other}: expected the states ["),
        ([maps, "--max-detections", "3"], "--max-detections: expected states of detmetrics evaluate, got others"),
    ):
        assert main(["merge", *states, "--quiet"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"detmetrics: error: {message}")
        assert err.count("\n") == 1


def test_two_ranks_give_the_bits_of_one(folders: list[str], tmp_path: Path) -> None:
    arguments = ["segmentation", *folders, *BASE, "--workers", "2", "--json", str(tmp_path / "1.json")]
    outputs = ["--save-state", str(tmp_path / "1.pt"), "--html", str(tmp_path / "1.html")]
    done = torchrun("-m", "detmetrics", *arguments, *outputs)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "1.html").read_bytes() == (Path(folders[0]).parent / "whole.html").read_bytes()
    assert (tmp_path / "1.json").read_text() == whole(folders)
    numbers("merge", str(tmp_path / "1.pt"), out=tmp_path / "2.json")
    assert (tmp_path / "2.json").read_text() == whole(folders)


def test_the_gpu_gives_the_same_counts(folders: list[str], tmp_path: Path, cuda: torch.device) -> None:
    options = ["--num-classes", "5", "--ignore-index", "255", "--workers", "2"]
    on_cpu = numbers("segmentation", *folders, *options, out=tmp_path / "1.json")
    assert str(on_cpu) == str(
        numbers("segmentation", *folders, *options, "--device", str(cuda), out=tmp_path / "2.json")
    )


def test_workers_that_only_read_give_the_same_bits(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for a GPU, but counted here."""
    monkeypatch.setattr("detmetrics.cli.accumulate.device_of", lambda _: argparse.Namespace(type="elsewhere"))
    for workers in ("1", "3"):
        numbers("segmentation", *folders, *BASE, "--workers", workers, out=tmp_path / "1.json")
        assert (tmp_path / "1.json").read_text() == whole(folders)
    capsys.readouterr()
    assert main(["segmentation", *folders, "--num-classes", "4", "--ignore-index", "255", "--workers", "3"]) == 1
    assert re.match(r"detmetrics: error: \S+\.png: expected labels 0 to 3, got 4; ", capsys.readouterr().err)


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, pred = np.array([[0, 0, 1, 9]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    folders = save_folders(tmp_path, [target], [pred])
    options = ["--class-names", "road", "sky", "--ignore-index", "9", "--quiet"]
    assert main(["segmentation", *folders, *options, "--per-class"]) == 0
    averages = """
        mean     0.5000    0.6667    0.7500    0.7500         3
weighted iou     0.5000                                       3
    accuracy                                   0.6667         3
"""
    header = "                    iou        f1 precision    recall   support\n"
    classes = """
        road     0.5000    0.6667    1.0000    0.5000         2
         sky     0.5000    0.6667    0.5000    1.0000         1
"""
    assert capsys.readouterr() == (header + classes + averages, "")
    assert main(["segmentation", *folders, *options]) == 0
    assert capsys.readouterr().out == header + averages


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "pred/09.png",
            np.full((2, 3), 7, np.uint8),
            "expected labels 0 to 2, got 7; --ignore-index, --label-map and ",
        ),
        ("gt/09.png", np.full((2, 3), 9, np.uint8), "expected labels 0 to 2 or ignored [255], got 9; --ignore-index, "),
        ("pred/09.png", np.zeros((3, 3), np.uint8), "expected the shape of {root}/gt/09.png, (2, 3), got (3, 3)"),
        ("gt/09.png", np.zeros((2, 3, 3), np.uint8), "expected one channel, the label, got mode RGB"),
    ],
)
def test_bad_maps_fail_with_one_line(
    tmp_path: Path, workers: str, name: str, values: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(12):
        for side in ("gt", "pred"):
            save(tmp_path / side / f"{i:02d}.png", np.zeros((2, 3), np.uint8))
    save(tmp_path / name, values)
    folders = [str(tmp_path / side) for side in ("gt", "pred")]
    options = ["--num-classes", "3", "--ignore-index", "255", "--workers", workers]
    assert main(["segmentation", *folders, *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"detmetrics: error: {tmp_path / name}: {message.format(root=tmp_path)}")
    assert err.count("\n") == 1


def test_a_worker_that_ends(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import detmetrics.cli.segmentation as command

    monkeypatch.setattr(command, "read_pair", lambda *_: os._exit(9))
    assert main(["segmentation", *folders, *BASE, "--workers", "2", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert err == (
        "detmetrics: error: a worker was ended from outside, perhaps for want of memory: try fewer --workers\n"
    )


def test_a_shard_without_images(folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = numbers("segmentation", *folders, *BASE, "--shard", "29/30", out=tmp_path / "1.json")
    assert math.isnan(result["mean_iou"])
    message = "shard 29/30 has none of the 21 images; its numbers are undefined"
    assert capsys.readouterr().err == f"detmetrics: warning: {message}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected --num-classes, --class-names or a --protocol that has classes"),
        (["--protocol", "mmseg"], "expected --num-classes, --class-names or a --protocol that has classes"),
        (["--num-classes", "3", "--class-names", "a", "b"], "expected the number of --class-names, 2, got 3"),
        (["--class-names", "a", "b", "a"], "--class-names: expected distinct names, got 'a' twice"),
        (["--class-names", "none.txt"], "--class-names: expected names or a text file of them, got an error: "),
        (["--num-classes", "3", "--label-map", "7"], "expected OLD:NEW such as 7:0 or 0:void, got '7'"),
        (["--num-classes", "3", "--spacing", "1"], "--spacing: expected --surface with it"),
        (["--num-classes", "3", "--surface", "--spacing", "0"], "expected a number above 0, got '0'"),
        (["--num-classes", "3", "--ignore-index", "x"], "expected a whole number, got 'x'"),
        (["--num-classes", "5000"], "--num-classes: expected at most 4096, got 5000"),
    ],
)
def test_wrong_arguments(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["segmentation", "gt", "pred", *options])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_arguments_overrule_the_protocol(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ground\n\n sky \n")

    def given(*options: str) -> argparse.Namespace:
        return parse(["segmentation", "gt", "pred", *options])

    voc = given("--protocol", "voc")
    assert (voc.ignore_index, voc.class_names, voc.aggregate) == ((255,), list(class_names.VOC), "dataset")
    mine = given("--protocol", "voc", "--class-names", str(tmp_path / "names.txt"), "--ignore-index", "7", "8")
    assert (mine.ignore_index, mine.class_names) == ([7, 8], ["ground", "sky"])
    assert given("--protocol", "nnunet", "--num-classes", "3", "--aggregate", "pooled").aggregate == "pooled"
    assert given("--num-classes", "2", "--reduce-zero-label").reduce_zero_label == "target"
    assert len(set(class_names.ADE20K)) == 150


def test_the_demo_gives_the_numbers_of_its_files(tmp_path: Path) -> None:
    demo = ["demo", "--task", "segmentation", "--images", "3", "--per-class"]
    result = numbers(*demo, "--save", str(tmp_path / "new" / "folder"), out=tmp_path / "1.json")
    assert str(result) == str(numbers(*demo, "--seed", "0", out=tmp_path / "2.json"))
    assert str(result) != str(numbers(*demo, "--seed", "1", out=tmp_path / "3.json"))
    folders = [str(tmp_path / "new" / "folder" / side) for side in ("gt", "pred")]
    names = ["--class-names", str(tmp_path / "new" / "folder" / "classes.txt"), "--ignore-index", "255"]
    assert str(result) == str(numbers("segmentation", *folders, *names, out=tmp_path / "4.json"))
    assert "iou/class 8" in numbers(*demo, "--classes", "9", out=tmp_path / "5.json")


@pytest.mark.parametrize("option", ["--detections", "--batch-size", "--iou-thresholds", "--max-detections"])
def test_the_demo_takes_no_options_of_another_task(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["demo", "--task", "segmentation", option, "1"])
    assert exit_.value.code == 2
    assert f"{option}: expected --task detection with it" in capsys.readouterr().err
