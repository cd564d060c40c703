"""The numbers of folders of label maps: those of scikit-learn, torchmetrics, published data and each protocol."""

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from detmetrics import AverageSurfaceDistance, HausdorffDistance, SurfaceDice
from detmetrics.cli import class_names, main
from detmetrics.cli.arguments import parse
from detmetrics.cli.protocols import PROTOCOLS
from tests.cli.commands import numbers, torchrun
from tests.label_map_files import Maps, random_maps, save, save_folders
from tests.reference import protocols

VOID = 255


def close(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-12, nan_ok=True)


def flat(targets: Maps, preds: Maps, void: int | None = VOID) -> tuple[Any, Any]:
    target, pred = (np.concatenate([x.ravel() for x in maps]) for maps in (targets, preds))
    return target[target != void], pred[target != void]


@pytest.mark.parametrize("suffixes", [(".png", ".png"), (".tif", ".npz"), (".nii.gz", ".npy")])
def test_scikit_learn_and_torchmetrics(tmp_path: Path, suffixes: tuple[str, str]) -> None:
    from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

    targets, preds = random_maps(5, 4, seed=1)
    folders = save_folders(tmp_path, targets, preds, suffixes)
    result = numbers("segmentation", *folders, "--num-classes", "4", "--ignore-index", "255", out=tmp_path / "1.json")
    target, pred = flat(targets, preds)
    labels = list(range(4))
    precision, recall, f1, support = precision_recall_fscore_support(target, pred, labels=labels, zero_division=np.nan)
    columns = {
        "iou": jaccard_score(target, pred, labels=labels, average=None),
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "support": support,
    }
    for column, values in columns.items():
        assert [result[f"{column}/{label}"] for label in labels] == close(list(values))
        if column != "support":
            assert result[f"mean_{column}"] == close(float(np.nanmean(values)))
    assert result["pixel_accuracy"] == close(float((target == pred).mean()))
    weighted = jaccard_score(target, pred, labels=labels, average="weighted")
    assert result["frequency_weighted_iou"] == close(float(weighted))

    present = torch.from_numpy(pred.astype(np.int64)), torch.from_numpy(target.astype(np.int64))
    assert result["mean_iou"] == pytest.approx(MulticlassJaccardIndex(4)(*present).item(), abs=1e-6)
    assert result["pixel_accuracy"] == pytest.approx(MulticlassAccuracy(4, average="micro")(*present).item(), abs=1e-6)


def test_bdd100k(data_root: Path, tmp_path: Path) -> None:
    """What its evaluation calls mAcc is a mean precision."""
    arrays = np.load(data_root / "bdd_semseg" / "bdd_semseg.npz")
    recorded = json.loads((data_root / "MANIFEST.json").read_text())["bdd_semseg"]["recorded"]
    folders = save_folders(tmp_path, [arrays["gt"].astype(np.uint8)], [arrays["pred"].astype(np.uint8)])
    names = ["--class-names", *class_names.CITYSCAPES]
    result = numbers("segmentation", *folders, *names, "--protocol", "mmseg", out=tmp_path / "1.json")
    present = [name for name in class_names.CITYSCAPES if result[f"support/{name}"]]
    means = {
        key: np.mean([result[f"{score}/{name}"] for name in present])
        for key, score in (("mIoU", "iou"), ("mAcc", "precision"))
    }
    found = {**means, "fIoU": result["frequency_weighted_iou"], "pAcc": result["pixel_accuracy"]}
    assert {key: 100 * value for key, value in found.items()} == pytest.approx(recorded, rel=1e-12)


def same_size(targets: Maps, preds: Maps) -> list[list[list[int]]]:
    return [[values.ravel().tolist() for values in maps] for maps in (preds, targets)]


def run_protocol(tmp_path: Path, name: str, targets: Maps, preds: Maps, *options: str) -> dict[str, float]:
    folders = save_folders(tmp_path / name, targets, preds)
    return numbers("segmentation", *folders, "--protocol", name, *options, out=tmp_path / f"{name}.json")


@pytest.mark.parametrize("seed", range(3))
def test_protocols(tmp_path: Path, seed: int) -> None:
    targets, preds = random_maps(6, 5, seed)
    classes = ["--num-classes", "5"]
    pair = same_size(targets, preds)
    expected = protocols.mmseg(*pair, 5, VOID)
    found = run_protocol(tmp_path, "mmseg", targets, preds, *classes)
    ours = {
        "aAcc": "pixel_accuracy",
        "mIoU": "mean_iou",
        "mAcc": "mean_recall",
        "mDice": "mean_f1",
        "mPrecision": "mean_precision",
    }
    assert {key: found[name] for key, name in ours.items()} == close({key: expected[key] for key in ours})
    voc = protocols.voc(*pair, 21)
    found = run_protocol(tmp_path, "voc", targets, preds)
    assert [found[f"iou/{name}"] for name in class_names.VOC] == close(voc)
    assert found["mean_iou"] == close(protocols.nanmean(voc))

    targets, preds = random_maps(6, 5, seed, void=None)
    pair = same_size(targets, preds)
    assert run_protocol(tmp_path, "nnunet", targets, preds, *classes)["mean_f1"] == close(protocols.nnunet(*pair, 5))
    mean, _ = protocols.monai(*pair, 5, ignore_empty=True)
    assert run_protocol(tmp_path, "monai", targets, preds, *classes)["mean_f1"] == close(mean)
    smp = protocols.smp(*pair, 5, "macro-imagewise", 1.0)
    assert run_protocol(tmp_path, "smp", targets, preds, *classes)["mean_iou"] == close(smp)


@pytest.mark.parametrize("seed", range(3))
def test_ade20k(tmp_path: Path, seed: int) -> None:
    """Classes count from 1 in both folders; where a prediction is 0 the target is missed."""
    targets, preds = random_maps(5, 7, seed, void=0, first=1)
    preds[0][0, 0] = 0
    mean_iou, _ = protocols.ade20k(*same_size(targets, preds), 150)
    assert run_protocol(tmp_path, "ade20k", targets, preds)["mean_iou"] == pytest.approx(mean_iou, rel=1e-9)
    names = ["--class-names", *"abcdefg", "--reduce-zero-label", "both", "--zero-division", "0"]
    plain = numbers("segmentation", *[str(tmp_path / "ade20k" / x) for x in ("gt", "pred")], *names,
                    out=tmp_path / "2.json")  # fmt: skip
    assert plain["mean_iou"] * 7 == pytest.approx(mean_iou * 150, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_cityscapes(tmp_path: Path, seed: int) -> None:
    """Label ids, in files with the data set's names; an ignored id that is predicted is a miss."""
    generator = np.random.default_rng(seed)
    ids = np.array([0, 3, 4, *range(7, 34)], dtype=np.uint8)
    targets = [generator.choice(ids[:-3], (9, 11)) for _ in range(4)]
    preds = [np.where(generator.random((9, 11)) < 0.6, t, generator.choice(ids, (9, 11))) for t in targets]
    for i, (target, pred) in enumerate(zip(targets, preds, strict=True)):
        save(tmp_path / "gt" / f"town{i % 2}" / f"town{i % 2}_{i}_gtFine_labelIds.png", target)
        save(tmp_path / "gt" / f"town{i % 2}" / f"town{i % 2}_{i}_gtFine_color.png", target)
        save(tmp_path / "pred" / f"town{i % 2}_{i}.png", pred)
    counted = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    ignored = [label for label in range(34) if label not in counted]
    expected = protocols.cityscapes(*same_size(targets, preds), 34, ignored)
    folders = [str(tmp_path / "gt"), str(tmp_path / "pred")]
    found = numbers("segmentation", *folders, "--protocol", "cityscapes", out=tmp_path / "1.json")
    assert found["mean_iou"] == close(expected)
    assert [key for key in found if key.startswith("iou/")] == [f"iou/{name}" for name in class_names.CITYSCAPES]


def test_the_protocols_disagree(tmp_path: Path) -> None:
    targets, preds = random_maps(6, 5, void=None)
    found = [
        run_protocol(tmp_path, name, targets, preds, "--num-classes", "5")
        for name in ("mmseg", "nnunet", "monai", "smp")
    ]
    assert len({round(result["mean_f1"], 9) for result in found}) == 4
    assert all(protocol.source for protocol in PROTOCOLS.values())


@pytest.mark.parametrize("aggregate", ["dataset", "imagewise", "classwise", "pooled"])
def test_surfaces(tmp_path: Path, aggregate: str) -> None:
    """A class without partner is infinitely far: so does JSON say."""
    targets, preds = random_maps(4, 3, void=None)
    folders = save_folders(tmp_path, targets, preds)
    options = [
        "--num-classes",
        "3",
        "--exclude-classes",
        "0",
        "--surface",
        "--spacing",
        "2",
        "0.5",
        "--tolerance",
        "1.5",
    ]
    result = numbers("segmentation", *folders, *options, "--aggregate", aggregate, out=tmp_path / "1.json")
    by_image = "classwise" if aggregate == "dataset" else aggregate
    shared: dict[str, Any] = {"num_classes": 3, "exclude_classes": 0, "spacing": [2.0, 0.5], "aggregate": by_image}
    kinds = {
        "hd95": HausdorffDistance(percentile=95, **shared),
        "surface_dice": SurfaceDice(tolerance=1.5, **shared),
        "assd": AverageSurfaceDistance(**shared),
    }
    for name, metric in kinds.items():
        for pred, target in zip(preds, targets, strict=True):
            metric.update(torch.from_numpy(pred)[None], torch.from_numpy(target)[None])
        expected = metric.compute().item()
        assert float(result[name]) == close(expected)
        metric.average = "none"
        assert [float(result[f"{name}/{label}"]) for label in range(3)] == close(metric.compute().tolist())
    assert result["hd95"] == "inf"
    assert math.isnan(result["hd95/0"])


def test_surfaces_take_the_spacing_of_nifti(data_root: Path, tmp_path: Path) -> None:
    case = data_root / "panoptica_spine" / "spine_seg" / "matched_instance"
    import nibabel

    ours = [
        np.asarray(nibabel.load(case / name).dataobj)[180:330, 180:330, 5:9] for name in ("ref.nii.gz", "pred.nii.gz")
    ]
    maps = [(values > 0).astype(np.uint8) for values in ours]
    folders = save_folders(tmp_path, maps[:1], maps[1:], (".nii.gz", ".nii"))
    options = ["--num-classes", "2", "--protocol", "nnunet", "--surface", "--surface-definition", "monai"]
    in_mm = numbers("segmentation", *folders, *options, out=tmp_path / "1.json")
    metric = AverageSurfaceDistance(num_classes=2, definition="monai", spacing=[2.0, 0.5, 3.0])
    metric.update(*(torch.from_numpy(values)[None] for values in reversed(maps)))
    metric.exclude_classes = 0
    assert in_mm["assd"] == close(metric.compute().item())
    in_voxels = numbers("segmentation", *folders, *options, "--spacing", "1", out=tmp_path / "2.json")
    assert in_voxels["assd"] != in_mm["assd"]
    assert in_voxels["mean_f1"] == in_mm["mean_f1"]


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
    import os

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
