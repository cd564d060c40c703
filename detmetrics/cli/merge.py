"""``detmetrics merge``: COCO's numbers from saved states."""

from __future__ import annotations

import argparse
import time

from detmetrics.cli.evaluate import chosen_settings
from detmetrics.cli.output import finish
from detmetrics.cli.ranks import on_all_ranks
from detmetrics.files import states


def run(arguments: argparse.Namespace) -> None:
    """Add saved states up and compute from the sum."""
    start = time.perf_counter()
    settings, metric = on_all_ranks(lambda: states.merge(arguments.states, arguments.max_bytes))
    for name, value in chosen_settings(arguments).items():
        setattr(metric, name, value)
    finish(metric, settings, f"Sum of {len(arguments.states)} states", None, start, arguments)
