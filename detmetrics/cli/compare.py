"""``detmetrics compare``: how much better one file of results, or one saved state, is than another."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from detmetrics.analysis.comparison import Comparison, compare
from detmetrics.cli.evaluate import read
from detmetrics.cli.output import tell
from detmetrics.cli.ranks import on_all_ranks, rank
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.files import states
from detmetrics.show.tables import score_table

HEADERS = ["first", "second", "difference", "low", "high", "p"]


def run(arguments: argparse.Namespace) -> None:
    """Read both sides, compare them, and print and write the numbers."""
    first, second = on_all_ranks(lambda: [_metric(path, arguments) for path in (arguments.first, arguments.second)])
    found = compare(first, second, arguments.samples, arguments.confidence, seed=arguments.seed)
    values = {key: value.item() for key, value in first.compute().items() if value.ndim == 0}
    if rank() > 0:
        return
    rows = {key: _row(key, values[key], found) for key in found.differences if key in values}
    shown = {key: row for key, row in rows.items() if arguments.per_class or "/" not in key}
    if not arguments.quiet:
        tell(f"{arguments.samples} samples of {first.num_images} images; p of classes after Holm's correction")
    print(score_table(HEADERS, shown, {}, digits=3).strip("\n"))
    if arguments.json is not None:
        named = {key: dict(zip(HEADERS, map(_plain, row), strict=True)) for key, row in rows.items()}
        arguments.json.write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")


def _metric(path: Path, arguments: argparse.Namespace) -> Any:
    """A metric that has seen a file of results on the targets, or the images of a saved state."""
    if arguments.targets is None:
        metric = states.merge([path], arguments.max_bytes)[1]
        if not isinstance(metric, MeanAveragePrecision):
            raise ValueError(f"{path}: expected a state of detmetrics evaluate, got one of {type(metric).__name__}")
        metric.class_metrics = True
        return metric
    data = read(arguments.targets, path, arguments)
    metric = MeanAveragePrecision(
        box_format="xywh",
        iou_type=arguments.iou_type,
        class_names=data.categories,
        class_metrics=True,
        sync_on_compute=False,  # every rank reads all of it
    )
    for preds, target in data.batches(64):
        metric.update(preds, target)
    return metric


def _row(key: str, value: float, found: Comparison) -> list[float | None]:
    interval = found.differences[key]
    p = found.corrected.get(key, found.p_values[key])
    ends = [interval.value.item(), interval.low.item(), interval.high.item()]
    return [value, value + ends[0], *ends, p.item()]


def _plain(value: float | None) -> float | None:
    """A number as JSON has it: undefined ones are null."""
    return None if value is None or math.isnan(value) else value
