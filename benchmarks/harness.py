"""Measures the contenders of a problem, each in a process of its own, in rounds taken in turn (A B C A B C).

A problem is a generator of data and a list of contenders. A contender is a function of that data and a meter: it works
in named phases of the meter and returns its statistics, so that a fast wrong answer shows beside its time.
"""

import contextlib
import gc
import importlib
import importlib.util
import math
import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.memory import device_memory, host_memory

SLOW_SECONDS = 10.0  # a contender slower than this has its first run count as its only round
POOL_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")

Statistics = dict[str, float]


class Meter:
    """Times the phases of one run on the host's clock; a phase ends when the device is idle again."""

    def __init__(self, device: str) -> None:
        self.phases: dict[str, float] = {}  # seconds
        self.notes: dict[str, float] = {}
        self._device = device

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        synchronize(self._device)
        start = time.perf_counter()
        yield
        synchronize(self._device)
        self.phases[phase] = self.phases.get(phase, 0.0) + time.perf_counter() - start

    def note(self, name: str, value: float) -> None:
        """Keep another figure, such as bytes of state; it becomes a column of the table."""
        self.notes[name] = value


@dataclass(frozen=True)
class Contender:
    """One way to solve a problem.

    Args:
        name: what the table calls it.
        run: ``run(data, meter)`` works in phases of the meter and returns the statistics by name, NaN where undefined.
        needs: modules that must be installed, ``"module"``, or names that must exist, ``"module:name"``.
        size: what differs from the size of the problem.
    """

    name: str
    run: Callable[[Any, Meter], Statistics]
    needs: tuple[str, ...]
    size: Mapping[str, int] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.needs[0].startswith("detmetrics")


@dataclass(frozen=True)
class Problem:
    """A generator of data and the contenders that get it.

    Args:
        name: names the result files.
        title: one line that says what is measured.
        generate: ``generate(device=device, **size)`` returns the data, the same in every process.
        size: the default size by name, for example ``{"images": 5000}``.
        small: what to change in it for the warm-up and the smoke test.
        contenders: ours and the peers'.
        bases: names of the contenders of ours that the other times are divided by.
        reference: name of the contender whose statistics are right; the first base where it was not measured.
    """

    name: str
    title: str
    generate: Callable[..., Any]
    size: Mapping[str, int]
    small: Mapping[str, int]
    contenders: tuple[Contender, ...]
    bases: tuple[str, ...]
    reference: str


@dataclass
class Run:
    """One run of a contender. The bytes are the peak during the run minus what was held right before."""

    phases: dict[str, float]  # seconds
    notes: dict[str, float]
    statistics: Statistics
    host_bytes: int | None
    device_bytes: int | None

    @property
    def seconds(self) -> float:
        return sum(self.phases.values())


@dataclass
class Row:
    """What is known of a contender: the first run and the rounds, or why there are none."""

    contender: Contender
    absent: str = ""  # "not installed", for example
    failed: bool = False
    first: Run | None = None
    rounds: list[Run] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(run.seconds for run in self.rounds)

    def medians(self, kind: str) -> dict[str, float]:
        """Medians over the rounds of the ``"phases"`` or the ``"notes"``, by name."""
        runs = [getattr(run, kind) for run in self.rounds]
        return {name: statistics.median(run[name] for run in runs) for name in runs[0]} if runs else {}


def measure(
    problem: Problem,
    contenders: Sequence[Contender],
    size: Mapping[str, int],
    *,
    device: str,
    threads: int,
    rounds: int,
    log: Callable[[str], None],
    busy: int = 0,
) -> list[Row]:
    """Measure contenders beside each other.

    The first run of each, on a heap that has not grown yet, gives its memory and warms up the rounds. It is the only
    round where ``rounds`` is 0 or it took more than ``SLOW_SECONDS``. Meanwhile ``busy`` processes spin on the same
    CPUs, as data loaders do.
    """
    with _spinning(busy, threads):
        return _measure(problem, contenders, size, device, threads, rounds, log)


def _measure(
    problem: Problem,
    contenders: Sequence[Contender],
    size: Mapping[str, int],
    device: str,
    threads: int,
    rounds: int,
    log: Callable[[str], None],
) -> list[Row]:
    os.environ.update(dict.fromkeys(POOL_VARIABLES, str(threads)))  # for libraries that workers load
    rows, workers = [], []
    for contender in contenders:
        row = Row(contender, absent=_absence(contender))
        rows.append(row)
        if not row.absent:
            worker = Worker(problem, contender, {**size, **contender.size}, device, threads)
            row.first = worker.run(row)
            if row.first and rounds and row.first.seconds < SLOW_SECONDS:
                workers.append((row, worker))
            else:
                row.rounds = [row.first] if row.first else []
                worker.close()
        log(f"{problem.name}: {contender.name}: {row.absent or f'{row.first.seconds:.3g} s'}")
    for _ in range(rounds):
        for row, worker in workers:
            if not row.failed and (run := worker.run(row)):
                row.rounds.append(run)
    for _, worker in workers:
        worker.close()
    return rows


@contextlib.contextmanager
def _spinning(count: int, threads: int) -> Iterator[None]:
    """Processes that never rest, on the CPUs of the contenders."""
    spinners = [multiprocessing.get_context("spawn").Process(target=_spin, args=(threads,)) for _ in range(count)]
    for spinner in spinners:
        spinner.start()
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.join()


def _spin(threads: int) -> None:
    _limit_affinity(threads)
    while True:
        pass


def available_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def differences(row: Row, reference: Row) -> dict[str, float]:
    """How far each statistic that both rows have is from the reference; infinite where only one is undefined."""
    ours, theirs = row.rounds[-1].statistics, reference.rounds[-1].statistics
    return {name: _difference(ours[name], theirs[name]) for name in ours if name in theirs}


def _difference(value1: float, value2: float) -> float:
    if math.isnan(value1) or math.isnan(value2):
        return 0.0 if math.isnan(value1) and math.isnan(value2) else math.inf
    return abs(value1 - value2)


def _absence(contender: Contender) -> str:
    """Why a contender cannot be measured here; empty if it can."""
    for need in contender.needs:
        module, _, name = need.partition(":")
        if importlib.util.find_spec(module) is None:
            return "not installed"
        if name and not hasattr(importlib.import_module(module), name):
            return "not built yet"
    return ""


class Worker:
    """A process that holds a contender and its data, and runs it on request."""

    def __init__(
        self, problem: Problem, contender: Contender, size: Mapping[str, int], device: str, threads: int
    ) -> None:
        context = _process_context(device)
        self._pipe, remote = context.Pipe()
        self._process = context.Process(target=_serve, args=(remote, problem, contender, size, device, threads))
        self._process.start()
        remote.close()

    def run(self, row: Row) -> Run | None:
        """Run once. What goes wrong is written down in the row, and the other contenders go on."""
        try:
            self._pipe.send("run")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            answer = f"the process ended with exit code {self._process.exitcode}"
        if isinstance(answer, Run):
            return answer
        row.absent, row.failed, row.rounds = f"failed: {answer}", True, []
        return None

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _process_context(device: str) -> Any:
    """Clean processes; for the CPU from one that has done no more than the imports, which take seconds."""
    if device != "cpu":
        return multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torchmetrics"])
    return context


def _serve(
    pipe: Connection, problem: Problem, contender: Contender, size: Mapping[str, int], device: str, threads: int
) -> None:
    """The life of a worker. Modules, caches and thread pools are warmed up on little data: the heap stays small."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # several evaluators print their tables
    _limit_cpus(threads)
    data = None
    with contextlib.suppress(EOFError):
        while pipe.recv():
            try:
                if data is None:
                    contender.run(problem.generate(device=device, **{**size, **problem.small}), Meter(device))
                    data = problem.generate(device=device, **size)
                pipe.send(_run_once(contender, data, device))
            except Exception as error:
                traceback.print_exc(limit=-3)
                pipe.send(f"{type(error).__name__}: {error}")


def _run_once(contender: Contender, data: Any, device: str) -> Run:
    meter = Meter(device)
    gc.collect()
    with host_memory() as host, device_memory(device) as on_device:
        result = contender.run(data, meter)
    return Run(meter.phases, meter.notes, result, host.added_bytes, on_device.added_bytes)


def _limit_cpus(threads: int) -> None:
    """Give torch ``threads`` threads, and the process as many CPUs, for libraries that count those."""
    import torch

    torch.set_num_threads(threads)
    _limit_affinity(threads)


def _limit_affinity(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def synchronize(device: str) -> None:
    """Wait until the device is idle."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
