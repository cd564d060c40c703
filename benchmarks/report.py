"""The rows of a measurement as a Markdown table and as JSON, with the machine in words."""

import datetime
import functools
import importlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import Problem, Row, available_cpus, differences

Table = list[list[str]]  # the header first


def machine(device: str, threads: int, busy: int = 0) -> dict[str, str]:
    """What the figures depend on, and nothing that names this very machine."""
    described = {
        "CPU": _cpu_model(),
        "CPU cores": f"{threads} of {available_cpus()} used",
        "system": f"{platform.system()}, Python {platform.python_version()}",
    }
    if busy:
        described["beside it"] = f"{busy} processes that spin on the same cores"
    if policy := os.environ.get("OMP_WAIT_POLICY"):
        described["OMP_WAIT_POLICY"] = policy
    if device != "cpu":
        import torch

        described["GPU"] = torch.cuda.get_device_name()
    return described


def versions(rows: Iterable[Row]) -> dict[str, str]:
    """The versions of everything installed that the rows need, by distribution."""
    needed = {need.partition(":")[0] for row in rows for need in row.contender.needs} | {
        "torch",
        "torchvision",
        "numpy",
    }
    installed = importlib.metadata.packages_distributions()
    names = sorted({name for module in needed for name in installed.get(module, [])}, key=str.lower)
    ours = {"detmetrics": importlib.import_module("detmetrics").__version__}  # as it is in this tree, installed or not
    return ours | {name: importlib.metadata.version(name) for name in names if name != "detmetrics"}


def markdown(problem: Problem, rows: list[Row], size: Mapping[str, int], device: str, threads: int, busy: int) -> str:
    """A table for the results folder and the terminal."""
    described = [f"- {name}: {value}" for name, value in machine(device, threads, busy).items()]
    packages = ", ".join(f"{name} {version}" for name, version in versions(rows).items())
    sizes = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in size.items())
    parts = [
        f"# {problem.name}, {device}",
        f"{problem.title}. {datetime.date.today()}.",
        "\n".join([f"- size: {sizes}", *described, f"- packages: {packages}"]),
        aligned(table(problem, rows, device)),
        _legend(_reference(problem, rows)),
    ]
    return "\n\n".join(parts) + "\n"


def _legend(reference: Row | None) -> str:
    text = (
        "Seconds: median over the rounds (minimum, maximum). Added memory: the peak of the first run minus what the "
        "process held before it."
    )
    return f"{text} Largest difference of a statistic: from {_name(reference)}." if reference else text


def as_json(
    problem: Problem, rows: list[Row], size: Mapping[str, int], device: str, threads: int, busy: int
) -> dict[str, Any]:
    """Everything that was measured, run by run."""
    return {
        "problem": problem.name,
        "device": device,
        "date": str(datetime.date.today()),
        "size": dict(size),
        "machine": machine(device, threads, busy),
        "packages": versions(rows),
        "contenders": [
            {
                "name": row.contender.name,
                "size": dict(row.contender.size),
                "absent": row.absent,
                "first": asdict(row.first) if row.first else None,
                "rounds": [asdict(run) for run in row.rounds],
            }
            for row in rows
        ],
    }


def table(problem: Problem, rows: list[Row], device: str) -> Table:
    """Header and lines. A contender that was not measured has the reason for it in the second column."""
    columns = _columns(problem, [row for row in rows if row.rounds], device)
    blank = [""] * (len(columns) - 2)
    lines = [
        [cell(row) for cell in columns.values()] if row.rounds else [row.contender.name, row.absent, *blank]
        for row in rows
    ]
    return [list(columns), *lines]


def _columns(problem: Problem, measured: list[Row], device: str) -> dict[str, Callable[[Row], str]]:
    """What the table says of a row, by header."""
    columns: dict[str, Callable[[Row], str]] = {"contender": _name, "seconds": _seconds, "of it": _phases}
    for base in measured:
        if _name(base) in problem.bases:
            columns[f"÷ {_name(base)}"] = functools.partial(_ratio, base)
    for note in dict.fromkeys(note for row in measured for note in row.medians("notes")):
        columns[note] = functools.partial(_note, note)
    columns["added memory, MB"] = lambda row: _megabytes(row.first.host_bytes)
    if device != "cpu":
        columns["on the device, MB"] = lambda row: _megabytes(row.first.device_bytes)
    if reference := _reference(problem, measured):
        columns["largest difference"] = functools.partial(_largest_difference, reference)
    return columns


def _reference(problem: Problem, rows: list[Row]) -> Row | None:
    """The row whose statistics the others are compared with, if any was measured that can be."""
    measured = {_name(row): row for row in rows if row.rounds}
    return next((measured[name] for name in (problem.reference, *problem.bases) if name in measured), None)


def _name(row: Row) -> str:
    return row.contender.name


def _phases(row: Row) -> str:
    return ", ".join(f"{name} {_figure(seconds)}" for name, seconds in row.medians("phases").items())


def _ratio(base: Row, row: Row) -> str:
    return _figure(row.seconds / base.seconds)


def _note(name: str, row: Row) -> str:
    notes = row.medians("notes")
    return _figure(notes[name]) if name in notes else ""


def _seconds(row: Row) -> str:
    seconds = [run.seconds for run in row.rounds]
    if len(seconds) == 1:
        return f"{_figure(seconds[0])} (one round)"
    return f"{_figure(row.seconds)} ({_figure(min(seconds))}, {_figure(max(seconds))})"


def _largest_difference(reference: Row, row: Row) -> str:
    found = differences(row, reference)
    total = len(reference.rounds[-1].statistics)
    largest = f"{max(found.values()):.1e}" if found and any(found.values()) else "0"
    return largest if len(found) == total else f"{largest} ({len(found)} of {total})"


def _figure(value: float) -> str:
    """Three significant digits, more before the point."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _megabytes(value: int | None) -> str:
    return "unknown" if value is None else f"{value / 1e6:,.0f}"


def aligned(table: Table) -> str:
    """The table in Markdown, with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in table]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
