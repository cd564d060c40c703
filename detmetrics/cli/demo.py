"""``detmetrics demo``: the numbers of a generated data set."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch

from detmetrics import demo
from detmetrics.cli import segmentation
from detmetrics.cli.evaluate import device_of, evaluate
from detmetrics.cli.ranks import on_all_ranks, rank
from detmetrics.cli.segmentation import Maps
from detmetrics.files.coco import from_coco, to_coco
from detmetrics.files.pairs import Pair


def run(arguments: argparse.Namespace) -> None:
    """Generate data, save them if asked, and evaluate them as files would be."""
    if arguments.save is not None and rank() == 0:
        arguments.save.mkdir(parents=True, exist_ok=True)
    (_segmentation if arguments.task == "segmentation" else _detection)(arguments)


def _detection(arguments: argparse.Namespace) -> None:
    preds, target = demo.generate(arguments.images, arguments.detections, arguments.classes, seed=arguments.seed)
    names = {label: f"class {label}" for label in range(arguments.classes)}
    annotations, results = to_coco(preds, target, categories=names)
    if arguments.save is not None and rank() == 0:
        for name, document in (("annotations.json", annotations), ("results.json", results)):
            (arguments.save / name).write_text(json.dumps(document))
    evaluate(from_coco(annotations, results, device=device_of(arguments)), "Generated data", arguments)


def _segmentation(arguments: argparse.Namespace) -> None:
    preds, target = demo.generate_label_maps(arguments.images, arguments.classes, seed=arguments.seed)
    scene = demo.SCENE if arguments.classes <= len(demo.SCENE) else ()
    names = list(scene[: arguments.classes]) or [f"class {label}" for label in range(arguments.classes)]
    files = [f"{i:04d}" for i in range(arguments.images)]
    if arguments.save is not None:
        on_all_ranks(lambda: _save(arguments.save, {"gt": target, "pred": preds}, files, names))
    contents = {name: Maps(p, t, None) for name, p, t in zip(files, preds, target, strict=True)}
    settings = {
        "class_names": names,
        "ignore_index": [demo.UNLABELLED],
        "exclude_classes": [],
        "zero_division": math.nan,
        "aggregate": "dataset",
    }
    pairs = [Pair(name, f"pred/{name}.png", f"gt/{name}.png") for name in files]
    segmentation.evaluate(pairs, settings, segmentation.from_memory(contents), "Generated label maps", arguments)


def _save(folder: Path, sides: dict[str, torch.Tensor], files: list[str], names: list[str]) -> None:
    """Two folders of PNG files, and the names of the classes, by rank 0."""
    if rank() > 0:
        return
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('PNG files need pillow: pip install "detmetrics[cli]"') from error
    for side, maps in sides.items():
        (folder / side).mkdir(exist_ok=True)
        for name, values in zip(files, maps, strict=True):
            Image.fromarray(values.numpy()).save(folder / side / f"{name}.png")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names))
