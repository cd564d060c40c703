"""What the command writes and prints."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detmetrics.cli.ranks import rank

if TYPE_CHECKING:
    from detmetrics.detection.mean_ap import MeanAveragePrecision
    from detmetrics.files.coco import CocoData


def tell(message: str) -> None:
    """Print a message to stderr, on one line and once for all ranks."""
    if rank() == 0 and sys.stderr is not None:
        print(f"detmetrics: {one_line(message)}", file=sys.stderr)


def one_line(text: str) -> str:
    """A text with its line breaks and control characters escaped: names in files may hold any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


@contextlib.contextmanager
def told_warnings() -> Iterator[None]:
    """Warnings to users become messages within the block, each once; those to programmers are dropped."""
    told: set[str] = set()

    def tell_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            tell(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = tell_warning  # catch_warnings puts the old one back
        yield


def check_outputs(arguments: argparse.Namespace) -> None:
    """Raise now what would otherwise be raised after a long evaluation."""
    if arguments.html is not None:
        importlib.import_module("detmetrics.page")
    if rank() > 0:
        return
    taken = [path.resolve() for path in arguments.inputs]
    for path in filter(None, (arguments.json, arguments.save_state, arguments.html)):
        if path.resolve() in taken:
            raise ValueError(f"{path}: expected a file of its own to write, got one that is read or written as well")
        taken.append(path.resolve())
        _check_writable(path)
    if arguments.image_folder is not None and not arguments.image_folder.is_dir():
        raise _error(errno.ENOTDIR, arguments.image_folder)


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise _error(errno.EISDIR, path)
    if not path.parent.is_dir():
        raise _error(errno.ENOENT, path)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _error(errno.EACCES, path)


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def finish(
    metric: Any,
    settings: dict[str, Any],
    title: str,
    data: CocoData | None,
    start: float,
    arguments: argparse.Namespace,
) -> None:
    """Compute, write and print the numbers of a protocol of detection.

    Args:
        metric: A metric that has seen this rank's images.
        settings: The constructor's arguments that made it.
        title: The heading of the page.
        data: The images of all ranks, if they are at hand.
        start: When the evaluation began; how long it took goes to stderr.
        arguments: Those of the command.
    """
    from detmetrics.cli import questions
    from detmetrics.cli.detection_protocols import protocol_of

    protocol = protocol_of(metric)
    if not protocol.has_page and arguments.html is not None:
        raise ValueError(f"--html: expected --protocol coco with it, got the numbers of {protocol.title}")
    options = questions.asked(arguments)
    if options and not protocol.has_page:
        raise ValueError(f"{options[0]}: expected --protocol coco with it, got the numbers of {protocol.title}")
    groups = _groups(metric, data)
    found = questions.answers(metric, data, arguments)
    conclude(
        metric,
        settings,
        start,
        arguments,
        page=lambda: _page(metric, title, data, arguments),
        text=lambda results: protocol.text(results, metric),
        tables=(lambda results: _tables(results, metric)) if protocol.has_page else None,
        more={f"{name}_map": value for name, value in groups.items()}
        | {key: value for answer in found for key, value in answer.numbers.items()},
        footer="".join(f"\n AP of {name} images: {value:.3f}" for name, value in groups.items())
        + "".join(f"\n\n{answer.text}".rstrip("\n") for answer in found),
    )


def conclude(
    metric: Any,
    settings: dict[str, Any],
    start: float,
    arguments: argparse.Namespace,
    *,
    page: Callable[[], str],
    text: Callable[[dict[str, float]], str],
    tables: Callable[[dict[str, float]], list[Any]] | None = None,
    more: Mapping[str, float] | None = None,
    footer: str = "",
) -> None:
    """Compute, write and print. Every rank computes, and rank 0 does the rest.

    Args:
        metric: What has seen this rank's images: a metric, or several as one.
        settings: The constructor's arguments that made it.
        start: When the evaluation began; how long it took goes to stderr.
        arguments: Those of the command.
        page: Makes the page, on all ranks.
        text: Makes text of the results.
        tables: Makes tables of them for rich, for a terminal.
        more: Numbers for the file of numbers alone.
        footer: What is printed below, if anything.
    """
    results = {key: value.item() for key, value in metric.compute().items()}
    seconds = time.perf_counter() - start
    if arguments.save_state is not None:
        from detmetrics.files import states

        states.save(arguments.save_state, metric, settings)
    rendered = None if arguments.html is None else page()
    if rank() > 0:
        return
    if not arguments.quiet:
        tell(f"{metric.num_images} images in {seconds:.2f} s, {metric.num_images / seconds:.0f} images/s")
    if arguments.json is not None:
        numbers = {key: _as_json(value) for key, value in (results | dict(more or {})).items()}
        arguments.json.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n")
    if rendered is not None:
        arguments.html.write_bytes(rendered.encode("utf-8", "backslashreplace"))  # JSON may hold lone surrogates
    _print_results(results, text, tables)
    if footer:
        print(footer)


def _print_results(results: dict[str, float], text: Any, tables: Any) -> None:
    if tables is not None and sys.stdout is not None and sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            _print_tables(tables(results))
            return
    print(text(results))


def _groups(metric: MeanAveragePrecision, data: CocoData | None) -> dict[str, float]:
    """The average precision of CrowdPose's groups of images, if keypoints are evaluated on its files."""
    if data is None or metric.iou_types != ("keypoints",) or not data.crowd_index:
        return {}
    from detmetrics.files.coco import crowdpose_groups

    found = metric.per_group(crowdpose_groups(data.crowd_index))
    return {name: results["map"].item() for name, results in found.items()}


def _as_json(value: float) -> float | str | None:
    """A number in JSON: null if it is undefined, a string if it is infinite."""
    return None if math.isnan(value) else str(value) if math.isinf(value) else value


def _page(metric: MeanAveragePrecision, title: str, data: CocoData | None, arguments: argparse.Namespace) -> str:
    from detmetrics.page import render

    images = arguments.image_folder if rank() == 0 else None
    errors = bool(getattr(arguments, "errors", None))
    return render(metric, title=title, data=data, images=images, errors=errors)


def _tables(results: dict[str, float], metric: MeanAveragePrecision) -> list[Any]:
    """COCO's numbers as tables with bars."""
    from detmetrics.show.terminal import terminal_tables

    return list(terminal_tables(results, metric.iou_thresholds))


def _print_tables(tables: list[Any]) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    for table in tables:
        console.print(table)
        console.print()


def with_progress(done: Iterable[int], total: int, quiet: bool) -> Iterator[int]:
    """The same, with a progress bar if rich is installed and stderr is a terminal.

    Args:
        done: How many images are done, a few at a time.
        total: How many there are.
        quiet: Whether to show none.
    """
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        quiet = True
    if quiet:
        yield from done
        return
    speed = TextColumn("images, {task.fields[speed]:.0f} images/s")
    columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    console, hidden = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=total, speed=0.0)
        for count in done:
            yield count
            progress.update(task, advance=count, speed=progress.tasks[0].speed or 0.0)
