"""The command ``detmetrics``: COCO numbers for a pair of files, or for a generated data set."""

import argparse
import contextlib
import json
import math
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from detmetrics import MeanAveragePrecision, __version__, demo
from detmetrics.coco import CocoData, from_coco, to_coco
from detmetrics.report import class_table, coco_summary


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed with one line on stderr. Wrong arguments exit with 2.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except (OSError, ValueError) as error:
        _tell(f"error: {error}")
        return 1
    return 0


def _evaluate(arguments: argparse.Namespace) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = from_coco(
            arguments.annotations,
            arguments.results,
            ignore_key=arguments.ignore_key,
            drop_unknown_images=True,
            device=arguments.device,
        )
    for warning in caught:
        _tell(f"warning: {warning.message}")
    _report(data, arguments)


def _demo(arguments: argparse.Namespace) -> None:
    preds, target = demo.generate(arguments.images, arguments.detections, arguments.classes, seed=arguments.seed)
    names = {label: f"class {label}" for label in range(arguments.classes)}
    annotations, results = to_coco(preds, target, categories=names)
    if arguments.save is not None:
        arguments.save.mkdir(parents=True, exist_ok=True)
        for name, document in (("annotations.json", annotations), ("results.json", results)):
            (arguments.save / name).write_text(json.dumps(document))
    _report(from_coco(annotations, results, device=arguments.device), arguments)


def _report(data: CocoData, arguments: argparse.Namespace) -> None:
    """Evaluate and print, and write what was asked for."""
    metric = MeanAveragePrecision(
        box_format="xywh",
        iou_thresholds=arguments.iou_thresholds,
        max_detection_thresholds=arguments.max_detections,
        class_metrics=arguments.per_class,
        class_names=data.categories,
    ).to(arguments.device)
    results = _run(metric, data, arguments.batch_size, arguments.quiet)
    if arguments.json is not None:
        numbers = {key: None if math.isnan(value) else value for key, value in results.items()}
        arguments.json.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n")
    print(coco_summary(results, metric.iou_thresholds))
    if arguments.per_class:
        print(f"\n{class_table(results)}")


def _run(metric: MeanAveragePrecision, data: CocoData, batch_size: int, quiet: bool) -> dict[str, float]:
    """All results as floats; how long they took goes to stderr."""
    start = time.perf_counter()
    for preds, target in data.batches(batch_size) if quiet else _with_progress(data, batch_size):
        metric.update(preds, target)
    results = {key: value.item() for key, value in metric.compute().items()}
    seconds = time.perf_counter() - start
    if not quiet:
        _tell(f"{len(data)} images in {seconds:.2f} s, {len(data) / seconds:.0f} images/s")
    return results


def _with_progress(data: CocoData, batch_size: int) -> Iterable[tuple[list[Any], list[Any]]]:
    """The batches, with a progress bar if rich is installed and stderr is a terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    except ImportError:
        yield from data.batches(batch_size)
        return
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("images, {task.fields[speed]:.0f} images/s"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(data), speed=0.0)
        for batch in data.batches(batch_size):
            yield batch
            progress.update(task, advance=len(batch[0]), speed=progress.tasks[0].speed or 0.0)


def _tell(message: str) -> None:
    print(f"detmetrics: {message}", file=sys.stderr)


# ------------------------------------------------------------------------------------------------------- the arguments


def _parser() -> argparse.ArgumentParser:
    shared = _shared_arguments()
    parser = argparse.ArgumentParser(prog="detmetrics", description="Detection metrics of COCO files.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    evaluate = commands.add_parser(
        "evaluate",
        parents=[shared],
        help="evaluate results against annotations",
        description="Print COCO's twelve numbers for a file of results.",
    )
    evaluate.add_argument("annotations", metavar="GT.json", help="COCO annotations, gzipped or not")
    evaluate.add_argument("results", metavar="DT.json", help="COCO results, gzipped or not")
    evaluate.add_argument("--ignore-key", metavar="KEY", help="key of annotations to ignore, such as difficult")
    evaluate.set_defaults(command=_evaluate)

    generated = commands.add_parser(
        "demo",
        parents=[shared],
        help="evaluate a generated data set",
        description="Print COCO's twelve numbers for a generated data set that looks like COCO.",
    )
    generated.add_argument("--images", type=_positive, default=200, metavar="N", help="images (200)")
    generated.add_argument("--detections", type=_positive, default=30, metavar="N", help="detections an image (30)")
    generated.add_argument("--classes", type=_positive, default=80, metavar="N", help="classes (80)")
    generated.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds give equal data (0)")
    generated.add_argument("--save", type=Path, metavar="DIR", help="write annotations.json and results.json there")
    generated.set_defaults(command=_demo)
    return parser


def _shared_arguments() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--device", type=_device, default="cpu", help="cpu, cuda, cuda:1, ... (cpu)")
    shared.add_argument("--batch-size", type=_positive, default=64, metavar="N", help="images an update (64)")
    shared.add_argument("--per-class", action="store_true", help="print a row a class too")
    shared.add_argument("--json", type=Path, metavar="OUT", help="write all numbers there, undefined ones as null")
    shared.add_argument("--quiet", action="store_true", help="no progress and no time on stderr")
    shared.add_argument(
        "--iou-thresholds", type=_fraction, nargs="+", metavar="T", help="IoU thresholds (0.5 0.55 ... 0.95)"
    )
    shared.add_argument(
        "--max-detections", type=_positive, nargs="+", metavar="N", help="limits an image and class (1 10 100)"
    )
    return shared


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more, got {text!r}")
    return int(text)


def _fraction(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in [0, 1], got {text!r}")


def _device(text: str) -> torch.device:
    try:
        return torch.empty(0, dtype=torch.float64, device=text).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"expected a usable device, got {text!r}: {error}".splitlines()[0]) from error
