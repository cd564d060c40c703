"""How much memory a block of code adds, on the host and on the device."""

import contextlib
import ctypes
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SAMPLING_SECONDS = 0.001  # between two looks, where the kernel does not keep the peak
PROCESS = Path("/proc/self")


@dataclass
class Memory:
    added_bytes: int | None = None  # None where it cannot be told


@contextlib.contextmanager
def host_memory() -> Iterator[Memory]:
    """Peak resident memory within the block minus that right before it; not known without ``/proc``.

    The heap is trimmed first: memory that was freed but not returned would be used again unseen. Linux keeps the peak
    and resets it on request; where it refuses, a thread looks every millisecond.
    """
    memory = Memory()
    if not (PROCESS / "status").exists():
        yield memory
        return
    with contextlib.suppress(OSError, AttributeError):  # glibc only
        ctypes.CDLL(None).malloc_trim(0)
    before = _resident_bytes("VmRSS")
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:
        with _sampled_peak() as peak:
            yield memory
        memory.added_bytes = max(peak) - before
    else:
        yield memory
        memory.added_bytes = _resident_bytes("VmHWM") - before


@contextlib.contextmanager
def device_memory(device: str) -> Iterator[Memory]:
    """Peak memory of the tensors on the device within the block minus that right before it; 0 on the CPU."""
    memory = Memory(0)
    if device == "cpu":
        yield memory
        return
    import torch

    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield memory
    memory.added_bytes = torch.cuda.max_memory_allocated() - before


@contextlib.contextmanager
def _sampled_peak() -> Iterator[list[int]]:
    samples, done = [_resident_bytes("VmRSS")], threading.Event()

    def look() -> None:
        while not done.wait(SAMPLING_SECONDS):
            samples.append(_resident_bytes("VmRSS"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield samples
    done.set()
    thread.join()


def _resident_bytes(key: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (the peak) of this process."""
    found = re.search(rf"{key}:\s+(\d+) kB", (PROCESS / "status").read_text())
    return int(found[1]) * 1024 if found else 0
