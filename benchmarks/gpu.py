"""What an update and a ``compute()`` cost on a device: ``python -m benchmarks.gpu`` from the root of the repository.

For each, the time on the host's clock and between two events of the device, the kernels and the values read back, the
peak of memory, and for what reads much data the share of the bandwidth of a plain copy.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import detection_map, instance_masks, report, segmentation_counts
from benchmarks.harness import synchronize
from benchmarks.launches import Launches
from benchmarks.memory import device_memory

RESULTS = Path(__file__).parent / "results"
COPY_BYTES = {"cpu": 1 << 26, "cuda": 1 << 30}
ROUNDS = 20
UPDATES = 10  # in a row, so that a GPU is kept at work


@dataclass
class Cost:
    """What one call costs. Milliseconds are medians."""

    name: str
    host_ms: float  # until the call returns
    total_ms: float  # until the device is idle
    device_ms: float | None  # between two events of the device; none on the CPU
    kernels: int
    reads: int
    megabytes: float  # peak of memory on the device
    share: float | None  # bytes of input over time, of the bandwidth of a copy


@dataclass(frozen=True)
class Case:
    """A call to measure."""

    name: str
    call: Callable[[], Any]
    before: Callable[[], Any]  # what is done before each round, outside of what is measured
    repeats: int = 1  # calls in a row
    num_bytes: int | None = None  # of input, where that is what bounds it


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--small", action="store_true", help="little data, to try the command; nothing is written")
    parser.add_argument("--operations", action="store_true", help="also list the kernels of each call by name")
    args = parser.parse_args(arguments)
    bandwidth = copy_bandwidth(args.device, 1 << 20 if args.small else COPY_BYTES[args.device])
    print(f"copy: {bandwidth / 1e9:,.0f} GB/s read and written", flush=True)
    costs = [cost(case, args.device, bandwidth, args.operations) for case in cases(args.device, args.small)]
    text = _markdown(costs, args.device, bandwidth)
    print(text)
    if not args.small:
        described = report.machine(args.device, torch.get_num_threads())
        content = {"machine": described, "copy, bytes per second": bandwidth, "costs": [asdict(c) for c in costs]}
        (RESULTS / f"calls-{args.device}.md").write_text(text)
        (RESULTS / f"calls-{args.device}.json").write_text(json.dumps(content, indent=1) + "\n")
    return 0


def cases(device: str, small: bool) -> Iterator[Case]:
    """Every measured call, with its data made just before."""
    yield from _detection_cases(device, small)
    yield from _mask_cases(device, small)
    yield from _pixel_cases(device, small)


def _detection_cases(device: str, small: bool) -> Iterator[Case]:
    from detmetrics import DetectionConfusionMatrix, DetectionF1Score, MeanAveragePrecision

    size = {**detection_map.SIZE, **(detection_map.SMALL if small else {})}
    data = detection_map.generate(device=device, **size)
    first = next(data.batches())
    for kind in (MeanAveragePrecision, DetectionF1Score):
        yield _update(f"{kind.__name__}, update of 16 images", kind().to(device), *first)
        filled = kind().to(device)
        refill = functools.partial(_refill, filled, data)
        yield Case(f"{kind.__name__}, overlaps of {size['images']:,} images", filled.settle, refill)
        yield _compute(f"{kind.__name__}, compute of {size['images']:,} images", filled)
    matrix = DetectionConfusionMatrix(num_classes=size["classes"]).to(device)
    _refill(matrix, data)
    matrix.settle()
    yield _compute(f"DetectionConfusionMatrix, compute of {size['images']:,} images", matrix)


def _mask_cases(device: str, small: bool) -> Iterator[Case]:
    from detmetrics import MeanAveragePrecision

    size = {**instance_masks.PROBLEM.size, "images": 2 if small else 16}
    data = instance_masks.generate(device=device, **size)
    masks = [item["masks"] for item in (*data.preds, *data.target)]
    metric = MeanAveragePrecision(iou_type="segm").to(device)
    num_bytes = sum(mask.numel() for mask in masks)
    yield _update(f"masks, update of {len(masks) // 2} images", metric, data.preds, data.target, num_bytes)


def _pixel_cases(device: str, small: bool) -> Iterator[Case]:
    from detmetrics import SegmentationIoU

    for problem in segmentation_counts.PROBLEMS:
        size = {**problem.size, **(problem.small if small else {})}
        data = problem.generate(device=device, **size)
        task = "multilabel" if "masks" in problem.name else "multiclass"
        metric = SegmentationIoU(task=task, num_classes=size["classes"]).to(device)
        num_bytes = sum(x.numel() * x.element_size() for x in (data.preds, data.target))
        yield _update(f"{problem.name}, update", metric, data.preds, data.target, num_bytes)


def _refill(metric: Any, data: detection_map.DetectionData) -> None:
    metric.reset()
    for preds, target in data.batches():
        metric.update(preds, target)


def _update(name: str, metric: Any, preds: Any, target: Any, num_bytes: int | None = None) -> Case:
    """Updates of a metric that starts empty."""
    return Case(name, functools.partial(metric.update, preds, target), metric.reset, UPDATES, num_bytes)


def _compute(name: str, metric: Any) -> Case:
    """``compute()`` of a copy of the state, so that nothing is remembered."""
    copies: list[Any] = []

    def copy() -> None:
        copies[:] = [metric.clone()]

    return Case(name, lambda: copies[0].compute(), copy)


def cost(case: Case, device: str, bandwidth: float, operations: bool) -> Cost:
    """Measure a call; the first two runs warm up."""
    for _ in range(2):
        case.before()
        case.call()
    host, total, on_device = zip(*(_timed(case, device) for _ in range(ROUNDS)), strict=True)
    case.before()
    with device_memory(device) as memory:
        case.call()
    kernels, reads, names = _launches(case, device)
    if operations:
        listed = "\n".join(f"  {count:5} {name}" for name, count in names)
        print(f"\n{case.name}: {kernels} kernels, {reads} reads\n{listed}", flush=True)
    total_ms = statistics.median(total)
    device_ms = statistics.median(on_device) if device != "cpu" else None
    share = case.num_bytes / (total_ms / 1e3) / bandwidth if case.num_bytes else None
    print(f"{case.name}: {total_ms:.3f} ms", file=sys.stderr, flush=True)
    peak = (memory.added_bytes or 0) / 1e6
    return Cost(case.name, statistics.median(host), total_ms, device_ms, kernels, reads, peak, share)


def _timed(case: Case, device: str) -> tuple[float, float, float]:
    """Milliseconds of a call on the host until it returns, until the device is idle, and between two events."""
    case.before()
    synchronize(device)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device != "cpu" else []
    start = time.perf_counter()
    if events:
        events[0].record()
    for _ in range(case.repeats):
        case.call()
    returned = time.perf_counter()
    if events:
        events[1].record()
    synchronize(device)
    idle = time.perf_counter()
    between = events[0].elapsed_time(events[1]) if events else 0.0
    milliseconds = 1e3 / case.repeats
    return milliseconds * (returned - start), milliseconds * (idle - start), between / case.repeats


def _launches(case: Case, device: str) -> tuple[int, int, list[tuple[str, int]]]:
    """Kernels and reads of a call: those that ran on a GPU, or those that would."""
    case.before()
    if device == "cpu":
        with Launches() as launches:
            case.call()
        names = launches.kernels.most_common(25) + [(f"read by {k}", n) for k, n in launches.reads.most_common()]
        return launches.kernels.total(), launches.reads.total(), names
    synchronize(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        case.call()
        synchronize(device)
    events = [e for e in profiled.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    copies = [e for e in events if "Memcpy DtoH" in e.name]
    launched = [e for e in events if not e.name.startswith(("Memcpy", "Memset"))]
    spent: dict[str, tuple[int, float]] = {}
    for event in events:
        count, microseconds = spent.get(event.name[:70], (0, 0.0))
        spent[event.name[:70]] = (count + 1, microseconds + event.device_time)
    longest = sorted(spent.items(), key=lambda item: -item[1][1])[:12]
    names = [(f"{microseconds:9.0f} µs {name}", count) for name, (count, microseconds) in longest]
    calls = sorted(profiled.key_averages(), key=lambda event: -event.self_cpu_time_total)[:16]
    names += [(f"{event.self_cpu_time_total:9.0f} µs of the host in {event.key}", event.count) for event in calls]
    return len(launched), len(copies), names


def copy_bandwidth(device: str, num_bytes: int) -> float:
    """Bytes per second, read and written, of a copy on the device."""
    source = torch.empty(num_bytes, dtype=torch.uint8, device=device).fill_(1)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(10):
        synchronize(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * num_bytes / min(seconds)


def _markdown(costs: list[Cost], device: str, bandwidth: float) -> str:
    header = [
        "call",
        "host, ms",
        "until idle, ms",
        "on the device, ms",
        "kernels",
        "host reads",
        "peak, MB",
        "bandwidth",
    ]
    lines = [
        [
            cost.name,
            f"{cost.host_ms:.3f}",
            f"{cost.total_ms:.3f}",
            "" if cost.device_ms is None else f"{cost.device_ms:.3f}",
            str(cost.kernels),
            str(cost.reads),
            f"{cost.megabytes:,.0f}",
            "" if cost.share is None else f"{cost.share:.0%}",
        ]
        for cost in costs
    ]
    described = [f"- {name}: {value}" for name, value in report.machine(device, torch.get_num_threads()).items()]
    described += [f"- torch {torch.__version__}", f"- a copy moves {bandwidth / 1e9:,.0f} GB/s, read and written"]
    said = f"What single calls cost, medians of {ROUNDS}; updates {UPDATES} in a row. {datetime.date.today()}."
    title = f"# calls, {device}\n\n{said}"
    return "\n\n".join([title, "\n".join(described), report.aligned([header, *lines])]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
