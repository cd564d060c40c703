"""The command ``detmetrics``: COCO numbers for a pair of files, for a generated data set, or from saved states.

Under ``torchrun`` the images are dealt out to the ranks, and rank 0 alone prints and writes.
"""

import argparse
import contextlib
import dataclasses
import errno
import importlib
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from detmetrics import MeanAveragePrecision, __version__, demo, state_file
from detmetrics.coco import CocoData, from_coco, to_coco
from detmetrics.detection.base import IOU_TYPES
from detmetrics.report import class_table, coco_summary, terminal_tables

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed with one line on stderr, 130 interrupted, 141 where nobody reads on. Wrong
        arguments exit with 2.
    """
    arguments = _parse(argv)
    try:
        with _process_group(arguments.device):
            _on_all_ranks(lambda: _check_outputs(arguments))
            arguments.command(arguments)
        print(end="", flush=True)
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return 141
    except (ImportError, OSError, ValueError) as error:
        _tell(f"error: {error}")
        return 1
    return 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Raise now what would otherwise be raised after a long evaluation."""
    if arguments.html is not None:
        importlib.import_module("detmetrics.page")
    if _rank() > 0:
        return
    taken = [Path(path).resolve() for path in arguments.inputs(arguments)]
    for path in filter(None, (arguments.json, arguments.save_state, arguments.html)):
        if path.resolve() in taken:
            raise ValueError(f"{path}: expected a file of its own to write, got one that is read or written as well")
        taken.append(path.resolve())
        if path.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not path.parent.is_dir():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if arguments.image_folder is not None and not arguments.image_folder.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(arguments.image_folder))


def _evaluate(arguments: argparse.Namespace) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = _on_all_ranks(
            lambda: from_coco(
                arguments.annotations,
                arguments.results,
                ignore_key=arguments.ignore_key,
                masks=arguments.iou_type != "bbox",
                drop_unknown_images=True,
                device=arguments.device,
            )
        )
    for warning in caught:
        _tell(f"warning: {warning.message}")
    _report(data, f"{Path(arguments.results).name} on {Path(arguments.annotations).name}", arguments)


def _demo(arguments: argparse.Namespace) -> None:
    preds, target = demo.generate(arguments.images, arguments.detections, arguments.classes, seed=arguments.seed)
    names = {label: f"class {label}" for label in range(arguments.classes)}
    annotations, results = to_coco(preds, target, categories=names)
    if arguments.save is not None and _rank() == 0:
        arguments.save.mkdir(parents=True, exist_ok=True)
        for name, document in (("annotations.json", annotations), ("results.json", results)):
            (arguments.save / name).write_text(json.dumps(document))
    _report(from_coco(annotations, results, device=arguments.device), "Generated data", arguments)


def _report(data: CocoData, title: str, arguments: argparse.Namespace) -> None:
    """Evaluate this shard's images, those of each rank there, and write what was asked for."""
    start = time.perf_counter()
    settings = {
        "box_format": "xywh",
        "iou_type": arguments.iou_type,
        "class_names": data.categories,
        "pairs": "same" if arguments.html is None else "all",  # the page has a confusion matrix
        **_questions(arguments),
    }
    metric = MeanAveragePrecision(**settings).to(arguments.device)
    shard = _every(data, *arguments.shard)
    mine = _every(shard, _rank(), _num_ranks())
    quiet = arguments.quiet or _rank() > 0
    _on_all_ranks(lambda: _update(metric, mine, arguments.batch_size, quiet))
    _finish(metric, settings, title, shard, start, arguments)


def _merge(arguments: argparse.Namespace) -> None:
    """Add saved states up and answer from the sum."""
    start = time.perf_counter()
    settings, metric = state_file.merge(arguments.states)
    for name, value in _questions(arguments).items():
        setattr(metric, name, value)
    title = f"Sum of {len(arguments.states)} states"
    _finish(metric, settings, title, None, start, arguments)


def _questions(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a state can be asked anew: the arguments given on the command line."""
    asked = {
        "iou_thresholds": arguments.iou_thresholds and sorted(set(arguments.iou_thresholds)),
        "max_detection_thresholds": arguments.max_detections and sorted(set(arguments.max_detections)),
        "class_metrics": arguments.per_class or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _update(metric: MeanAveragePrecision, data: CocoData, batch_size: int, quiet: bool) -> None:
    for preds, target in data.batches(batch_size) if quiet else _with_progress(data, batch_size):
        metric.update(preds, target)


def _finish(
    metric: MeanAveragePrecision,
    settings: dict[str, Any],
    title: str,
    data: CocoData | None,
    start: float,
    arguments: argparse.Namespace,
) -> None:
    """Compute, write, print; how long all of it took goes to stderr. Every rank computes, and rank 0 does the rest."""
    results = {key: value.item() for key, value in metric.compute().items()}
    seconds = time.perf_counter() - start
    if arguments.save_state is not None:
        state_file.save(arguments.save_state, metric, settings)
    if arguments.html is not None:
        from detmetrics import page

        images = arguments.image_folder if _rank() == 0 else None
        text = page.render(metric, title=title, data=data, images=images)
    if _rank() > 0:
        return
    if not arguments.quiet:
        _tell(f"{metric.num_images} images in {seconds:.2f} s, {metric.num_images / seconds:.0f} images/s")
        if metric.num_duplicates:
            _tell(f"{metric.num_duplicates} images came more than once and count once")
    if arguments.json is not None:
        numbers = {key: None if math.isnan(value) else value for key, value in results.items()}
        arguments.json.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n")
    if arguments.html is not None:
        arguments.html.write_bytes(text.encode("utf-8", "backslashreplace"))  # JSON may hold lone surrogates
    _print(results, metric)


def _print(results: dict[str, float], metric: MeanAveragePrecision) -> None:
    """Pycocotools' lines and the table of classes; tables with bars at a terminal if rich is installed."""
    if sys.stdout is not None and sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console

            console = Console(markup=False, emoji=False, highlight=False)
            for table in terminal_tables(results, metric.iou_thresholds):
                console.print(table)
                console.print()
            return
    print(coco_summary(results, metric.iou_thresholds))
    if metric.class_metrics:
        print(f"\n{class_table(results)}")


def _with_progress(data: CocoData, batch_size: int) -> Iterable[tuple[list[Any], list[Any]]]:
    """The batches, with a progress bar if rich is installed and stderr is a terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield from data.batches(batch_size)
        return
    speed = TextColumn("images, {task.fields[speed]:.0f} images/s")
    columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    console, hidden = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=len(data), speed=0.0)
        for batch in data.batches(batch_size):
            yield batch
            progress.update(task, advance=len(batch[0]), speed=progress.tasks[0].speed or 0.0)


def _tell(message: str) -> None:
    if _rank() == 0:
        print(f"detmetrics: {message}", file=sys.stderr)


# ----------------------------------------------------------------------------------------------------- under torchrun


@contextlib.contextmanager
def _process_group(device: torch.device) -> Iterator[None]:
    """The ranks that torchrun started, within the block; nothing to do without it."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group()
    try:
        yield
    finally:
        dist.destroy_process_group()


def _rank() -> int:
    return int(os.environ["RANK"]) if dist.is_available() and dist.is_torchelastic_launched() else 0


def _num_ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _on_all_ranks(function: Callable[[], T]) -> T:
    """What the function returns. If it fails on a rank, all of them raise, so that none waits for another."""
    if _num_ranks() == 1:
        return function()
    result, error = None, None
    try:
        result = function()
    except (ImportError, OSError, ValueError) as raised:
        error = str(raised)
    errors: list[str | None] = [None] * _num_ranks()
    dist.all_gather_object(errors, error)
    for failed in errors:
        if failed is not None:
            raise ValueError(failed)
    return result  # type: ignore[return-value]


def _every(data: CocoData, index: int, count: int) -> CocoData:
    """Every ``count``-th image, from ``index`` on."""
    return dataclasses.replace(data, preds=data.preds[index::count], target=data.target[index::count])


# ------------------------------------------------------------------------------------------------------- the arguments


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.image_folder is not None and arguments.html is None:
        parser.error("--images: expected --html with it, the page that shows them")
    return arguments


def _parser() -> argparse.ArgumentParser:
    shared, images = _shared_arguments(), _image_arguments()
    parser = argparse.ArgumentParser(prog="detmetrics", description="Detection metrics of COCO files.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    evaluate = commands.add_parser(
        "evaluate",
        parents=[shared, images],
        help="evaluate results against annotations",
        description="Print COCO's twelve numbers for a file of results.",
    )
    evaluate.add_argument("annotations", metavar="GT.json", help="COCO annotations, gzipped or not")
    evaluate.add_argument("results", metavar="DT.json", help="COCO results, gzipped or not")
    evaluate.add_argument(
        "--iou-type", choices=IOU_TYPES, default="bbox", help="overlaps of boxes, masks, or masks and boundaries (bbox)"
    )
    evaluate.add_argument("--ignore-key", metavar="KEY", help="key of annotations to ignore, such as difficult")
    evaluate.add_argument(
        "--images", type=Path, metavar="DIR", dest="image_folder", help="folder of the images, to show on the page"
    )
    evaluate.set_defaults(command=_evaluate, inputs=lambda arguments: [arguments.annotations, arguments.results])

    generated = commands.add_parser(
        "demo",
        parents=[shared, images],
        help="evaluate a generated data set",
        description="Print COCO's twelve numbers for a generated data set that looks like COCO.",
    )
    generated.add_argument("--images", type=_positive, default=200, metavar="N", help="images (200)")
    generated.add_argument("--detections", type=_positive, default=30, metavar="N", help="detections an image (30)")
    generated.add_argument("--classes", type=_positive, default=80, metavar="N", help="classes (80)")
    generated.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds give equal data (0)")
    generated.add_argument("--save", type=Path, metavar="DIR", help="write annotations.json and results.json there")
    generated.set_defaults(command=_demo, inputs=lambda _: [], iou_type="bbox", image_folder=None)

    merge = commands.add_parser(
        "merge",
        parents=[shared],
        help="add up states that were saved with --save-state",
        description="Print COCO's twelve numbers for the images of all states. Thresholds and limits are those of the "
        "first state unless given here. Images that are in several states count once.",
    )
    merge.add_argument("states", nargs="+", type=Path, metavar="STATE", help="files written by --save-state")
    merge.set_defaults(
        command=_merge, inputs=lambda arguments: arguments.states, device=torch.device("cpu"), image_folder=None
    )
    return parser


def _image_arguments() -> argparse.ArgumentParser:
    images = argparse.ArgumentParser(add_help=False)
    images.add_argument("--device", type=_device, default="cpu", help="cpu, cuda, cuda:1, ... (cpu)")
    images.add_argument("--batch-size", type=_positive, default=64, metavar="N", help="images an update (64)")
    images.add_argument(
        "--shard", type=_shard, default="0/1", metavar="I/N", help="only every N-th image, from the I-th on, 0 to N-1"
    )
    return images


def _shared_arguments() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--per-class", action="store_true", help="print a row a class too")
    shared.add_argument("--json", type=Path, metavar="OUT", help="write all numbers there, undefined ones as null")
    shared.add_argument("--html", type=Path, metavar="OUT", help="write a page with tables, curves, worst images there")
    shared.add_argument("--save-state", type=Path, metavar="OUT", help="write there what detmetrics merge adds up")
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


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise argparse.ArgumentTypeError(f"expected I/N with 0 <= I < N, such as 0/4, got {text!r}")


def _device(text: str) -> torch.device:
    if text == "cuda" and "LOCAL_RANK" in os.environ:
        text = f"cuda:{os.environ['LOCAL_RANK']}"  # under torchrun, a GPU a rank
    try:
        return torch.empty(0, dtype=torch.float64, device=text).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"expected a usable device, got {text!r}: {error}".splitlines()[0]) from error
