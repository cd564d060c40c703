"""What an update and a ``compute()`` cost on a device: ``python -m benchmarks.gpu`` from the root of the repository.

For each, the time on the host's clock and between two events of the device, the kernels and the values read back, the
peak of memory, and for what reads much data the share of the bandwidth of a plain copy.
"""

from __future__ import annotations

import argparse
import datetime
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


Case = tuple[str, Callable[[], Any], int | None]  # name, call, bytes of input where that is what bounds it


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--small", action="store_true", help="little data, to try the command; nothing is written")
    parser.add_argument("--operations", action="store_true", help="also list the kernels of each call by name")
    args = parser.parse_args(arguments)
    bandwidth = copy_bandwidth(args.device, 1 << 20 if args.small else COPY_BYTES[args.device])
    print(f"copy: {bandwidth / 1e9:,.0f} GB/s read and written", flush=True)
    costs = [cost(*case, args.device, bandwidth, args.operations) for case in cases(args.device, args.small)]
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
        yield f"{kind.__name__}, update of 16 images", _resetting(kind().to(device), *first), None
        filled = kind().to(device)
        yield f"{kind.__name__}, overlaps of {size['images']:,} images", _settling(filled, data), None
        yield f"{kind.__name__}, compute of {size['images']:,} images", _afresh(filled, "compute"), None
    matrix = _filled(DetectionConfusionMatrix(num_classes=size["classes"]).to(device), data)
    matrix.settle()
    yield f"DetectionConfusionMatrix, compute of {size['images']:,} images", _afresh(matrix, "compute"), None


def _mask_cases(device: str, small: bool) -> Iterator[Case]:
    from detmetrics import MeanAveragePrecision

    size = {**instance_masks.PROBLEM.size, "images": 2 if small else 16}
    data = instance_masks.generate(device=device, **size)
    masks = [item["masks"] for item in (*data.preds, *data.target)]
    metric = MeanAveragePrecision(iou_type="segm").to(device)
    num_bytes = sum(mask.numel() for mask in masks)
    yield f"masks, update of {len(masks) // 2} images", _resetting(metric, data.preds, data.target), num_bytes


def _pixel_cases(device: str, small: bool) -> Iterator[Case]:
    from detmetrics import SegmentationIoU

    for problem in segmentation_counts.PROBLEMS:
        size = {**problem.size, **(problem.small if small else {})}
        data = problem.generate(device=device, **size)
        task = "multilabel" if "masks" in problem.name else "multiclass"
        metric = SegmentationIoU(task=task, num_classes=size["classes"]).to(device)
        num_bytes = sum(x.numel() * x.element_size() for x in (data.preds, data.target))
        yield f"{problem.name}, update", _resetting(metric, data.preds, data.target), num_bytes


def _filled(metric: Any, data: detection_map.DetectionData) -> Any:
    for preds, target in data.batches():
        metric.update(preds, target)
    return metric


def _resetting(metric: Any, preds: Any, target: Any) -> Callable[[], Any]:
    """An update of a metric that starts empty."""

    def call() -> None:
        metric.update(preds, target)

    call.before = metric.reset  # type: ignore[attr-defined]
    call.repeats = UPDATES  # type: ignore[attr-defined]
    return call


def _settling(metric: Any, data: detection_map.DetectionData) -> Callable[[], Any]:
    """Finding the overlaps of the images that wait for it."""

    def before() -> None:
        metric.reset()
        _filled(metric, data)

    def call() -> None:
        metric.settle()

    call.before = before  # type: ignore[attr-defined]
    return call


def _afresh(metric: Any, method: str) -> Callable[[], Any]:
    """A call of a method on a copy of the state, so that nothing is remembered."""
    copies: list[Any] = []

    def before() -> None:
        copies[:] = [metric.clone()]

    def call() -> None:
        getattr(copies[0], method)()

    call.before = before  # type: ignore[attr-defined]
    return call


def cost(name: str, call: Any, num_bytes: int | None, device: str, bandwidth: float, operations: bool) -> Cost:
    """Measure a call; the first two runs warm up."""
    for _ in range(2):
        call.before()
        call()
    host, total, on_device = zip(*(_timed(call, device) for _ in range(ROUNDS)), strict=True)
    call.before()
    with device_memory(device) as memory:
        call()
    kernels, reads, names = _launches(call, device)
    if operations:
        print(f"\n{name}: {kernels} kernels, {reads} reads\n" + "\n".join(f"  {n:5} {k}" for k, n in names), flush=True)
    device_ms = statistics.median(on_device) if device != "cpu" else None
    share = num_bytes / (statistics.median(total) / 1e3) / bandwidth if num_bytes else None
    peak = (memory.added_bytes or 0) / 1e6
    print(f"{name}: {statistics.median(total):.3f} ms", file=sys.stderr, flush=True)
    return Cost(name, statistics.median(host), statistics.median(total), device_ms, kernels, reads, peak, share)


def _timed(call: Any, device: str) -> tuple[float, float, float]:
    """Milliseconds on the host until the call returns, until the device is idle, and between two events."""
    call.before()
    _synchronize(device)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device != "cpu" else []
    start = time.perf_counter()
    if events:
        events[0].record()
    repeats = getattr(call, "repeats", 1)
    for _ in range(repeats):
        call()
    returned = time.perf_counter()
    if events:
        events[1].record()
    _synchronize(device)
    idle = time.perf_counter()
    between = events[0].elapsed_time(events[1]) if events else 0.0
    return 1e3 * (returned - start) / repeats, 1e3 * (idle - start) / repeats, between / repeats


def _launches(call: Any, device: str) -> tuple[int, int, list[tuple[str, int]]]:
    """Kernels and reads of a call: those that ran on a GPU, or those that would."""
    call.before()
    if device == "cpu":
        with Launches() as launches:
            call()
        names = launches.kernels.most_common(25) + [(f"read by {k}", n) for k, n in launches.reads.most_common()]
        return launches.kernels.total(), launches.reads.total(), names
    _synchronize(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        call()
        _synchronize(device)
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
        _synchronize(device)
        start = time.perf_counter()
        target.copy_(source)
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * num_bytes / min(seconds)


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


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
