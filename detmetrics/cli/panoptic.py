"""``detmetrics panoptic``: PQ, SQ and RQ of COCO's panoptic format."""

from __future__ import annotations

import argparse
import functools
import time
from typing import Any, NamedTuple

import torch

from detmetrics.cli.accumulate import accumulate
from detmetrics.cli.evaluate import device_of
from detmetrics.cli.output import conclude
from detmetrics.cli.ranks import on_all_ranks
from detmetrics.files.ids import not_the_numbers, numbered
from detmetrics.files.panoptic import PanopticImage, read_panoptic, read_segment_ids
from detmetrics.panoptic.quality import PanopticQuality
from detmetrics.panoptic.scores import SCORES

GROUPS = {"all": "", "things": "_things", "stuff": "_stuffs"}  # and the ends of their keys
DIGITS = 4  # of the table


class Maps(NamedTuple):
    """Segment ids of an image."""

    pred: torch.Tensor
    target: torch.Tensor


def run(arguments: argparse.Namespace) -> None:
    """Read the files, evaluate the images of this shard, each rank its own part, and write what the arguments say."""
    start = time.perf_counter()
    files = on_all_ranks(
        lambda: read_panoptic(
            arguments.targets,
            arguments.preds,
            target_folder=arguments.gt_folder,
            preds_folder=arguments.pred_folder,
            max_bytes=arguments.max_bytes,
        )
    )
    settings = {
        "things": files.things,
        "stuffs": files.stuffs,
        "class_names": files.class_names,
        "threshold": arguments.threshold,
        "boundary": arguments.boundary,
    }
    metric = PanopticQuality(**settings).to(device_of(arguments))
    numbers = numbered(image.image_id for image in files.images)
    metric.image_ids = not_the_numbers({number: image_id for image_id, number in numbers.items()})
    accumulate(
        metric,
        functools.partial(PanopticQuality, **settings),
        functools.partial(_read, arguments.max_bytes),
        _add,
        [(numbers[image.image_id], image) for image in files.images],
        arguments,
    )
    finish(metric, settings, start, arguments)


def _read(max_bytes: int, item: tuple[int, PanopticImage]) -> Maps:
    image = item[1]
    pred, target = (read_segment_ids(side.path, max_bytes) for side in (image.pred, image.target))
    if pred.shape != target.shape:
        raise ValueError(
            f"{image.pred.path}: expected the shape of {image.target.path}, {target.shape}, got {pred.shape}"
        )
    return Maps(torch.from_numpy(pred), torch.from_numpy(target))


def _add(metric: PanopticQuality, item: tuple[int, PanopticImage], maps: Maps) -> None:
    """Add an image; what is wrong with its segments is told of the file that has them."""
    number, image = item
    pred, target = (ids[None].to(metric.device) for ids in maps)
    try:
        metric.update(pred, target, [image.pred.segments], [image.target.segments], [number])
    except ValueError as error:
        side, _, what = str(error).partition(": ")
        path = image.pred.path if side.startswith("preds") else image.target.path
        raise ValueError(f"{path}: {what}") from error


def finish(metric: PanopticQuality, settings: dict[str, Any], start: float, arguments: argparse.Namespace) -> None:
    """Compute, write and print."""
    if arguments.html is not None:
        raise ValueError("--html: expected states of detmetrics evaluate or segmentation, got of panoptic")
    conclude(
        metric,
        settings,
        start,
        arguments,
        page=str,
        text=lambda results: table(results, metric, with_classes=arguments.per_class),
    )


def table(results: dict[str, float], metric: PanopticQuality, *, with_classes: bool) -> str:
    """The results as text: a line for each class if asked, then the means; with the number of target segments."""
    from detmetrics.show.tables import score_table

    counted = {name: values.tolist() for name, values in metric.per_class().items()}
    labels = counted["label"]
    targets = [tp + fn for tp, fn in zip(counted["tp"], counted["fn"], strict=True)]
    classes = {
        name: [*(results[f"{score}/{name}"] for score in SCORES), number]
        for name, number in zip(metric.settings.names, targets, strict=True)
        if with_classes
    }
    groups = {"": labels, "_things": metric.things, "_stuffs": metric.stuffs}
    means = {
        title: [
            *(results[f"{score}{end}"] for score in SCORES),
            sum(number for label, number in zip(labels, targets, strict=True) if label in groups[end]),
        ]
        for title, end in GROUPS.items()
    }
    header = [*(score.upper() for score in SCORES), "segments"]
    return score_table(header, classes, means, DIGITS).rstrip("\n")
