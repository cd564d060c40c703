"""The numbers of folders of label maps: those of scikit-learn, torchmetrics, published data and each protocol."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from detmetrics import AverageSurfaceDistance, HausdorffDistance, SurfaceDice
from detmetrics.cli import class_names
from detmetrics.cli.protocols import PROTOCOLS
from tests.cli.commands import numbers
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
