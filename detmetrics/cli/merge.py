"""``detmetrics merge``: the numbers of saved states."""

from __future__ import annotations

import argparse
import time

from detmetrics.cli import panoptic, segmentation
from detmetrics.cli.detection_protocols import is_of_detection, protocol_of
from detmetrics.cli.output import finish
from detmetrics.cli.questions import OPTIONS
from detmetrics.cli.ranks import on_all_ranks
from detmetrics.files import states
from detmetrics.files.label_map_scores import LabelMapScores


def run(arguments: argparse.Namespace) -> None:
    """Add saved states up and compute from the sum."""
    start = time.perf_counter()
    settings, metric = on_all_ranks(lambda: states.merge(arguments.states, arguments.max_bytes))
    title = f"Sum of {len(arguments.states)} states"
    if is_of_detection(metric):
        for name, value in protocol_of(metric).settings(arguments).items():
            setattr(metric, name, value)
        finish(metric, settings, title, None, start, arguments)
        return
    for option in ("iou_thresholds", "max_detections", *OPTIONS):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option.replace('_', '-')}: expected states of detmetrics evaluate, got others")
    if isinstance(metric, LabelMapScores):
        segmentation.finish(metric, settings, title, start, arguments)
    else:
        panoptic.finish(metric, settings, start, arguments)
