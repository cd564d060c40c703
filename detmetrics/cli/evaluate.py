"""``detmetrics evaluate``: the numbers of COCO, LVIS or Open Images for a file of results."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from detmetrics.cli.detection_protocols import DETECTION_PROTOCOLS
from detmetrics.cli.output import finish, tell, with_progress
from detmetrics.cli.ranks import every, num_ranks, on_all_ranks, rank
from detmetrics.files.coco import CocoData, from_coco
from detmetrics.files.ids import not_the_numbers


def run(arguments: argparse.Namespace) -> None:
    """Read the files and evaluate them."""
    data = on_all_ranks(lambda: read(arguments.annotations, arguments.results, arguments))
    evaluate(data, f"{Path(arguments.results).name} on {Path(arguments.annotations).name}", arguments)


def read(annotations: Any, results: Any, arguments: argparse.Namespace) -> CocoData:
    """A file of annotations and one of results, as the arguments ask."""
    return from_coco(
        annotations,
        results,
        ignore_key=arguments.ignore_key,
        masks=arguments.iou_type in ("segm", "boundary"),
        keypoints=arguments.iou_type == "keypoints",
        groups=arguments.protocol == "open-images",
        drop_unknown_images=True,
        max_bytes=arguments.max_bytes,
        device=device_of(arguments),
    )


def evaluate(data: CocoData, title: str, arguments: argparse.Namespace) -> None:
    """Evaluate the images of this shard, each rank its own part of them, and write what the arguments say."""
    start = time.perf_counter()
    protocol = DETECTION_PROTOCOLS[arguments.protocol]
    settings = {
        "box_format": "xywh",
        "iou_type": arguments.iou_type,
        "class_names": data.categories,
        **({"pairs": "all"} if arguments.html is not None or arguments.errors else {}),  # between classes, too
        **protocol.of_files(data, arguments),
        **protocol.settings(arguments),
    }
    if arguments.iou_type == "keypoints" and arguments.keypoint_sigmas is not None:
        settings["keypoint_sigmas"] = arguments.keypoint_sigmas
    metric = protocol.metric(**settings).to(device_of(arguments))
    metric.image_ids = not_the_numbers(data.image_ids)
    shard = every(data, *arguments.shard)
    if not len(shard):
        index, count = arguments.shard
        tell(f"warning: shard {index}/{count} has none of the {len(data)} images; its numbers are undefined")
    own = every(shard, rank(), num_ranks())
    on_all_ranks(lambda: _update(metric, own, arguments.batch_size, arguments.quiet or rank() > 0))
    finish(metric, settings, title, shard, start, arguments)


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device of the evaluation."""
    return torch.device("cpu") if arguments.device is None else arguments.device


def _update(metric: Any, data: CocoData, batch_size: int, quiet: bool) -> None:
    if not len(data):
        metric.update([], [])  # so that the metric knows that none is missing
    for _ in with_progress(_updated(metric, data, batch_size), len(data), quiet):
        pass


def _updated(metric: Any, data: CocoData, batch_size: int) -> Iterator[int]:
    for preds, target in data.batches(batch_size):
        metric.update(preds, target)
        yield len(preds)
