"""One thread for many small operations, where more would wait for each other longer than they work."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

LIBRARIES = ("libtorch_cpu.so", "libtorch_cpu.dylib")


def _find_setter() -> Callable[[int], object] | None:
    """OpenMP's function that sets the number of threads for what the calling thread starts, and for nothing else.

    ``torch.set_num_threads`` would also set what threads get that use torch for the first time. None where the function
    cannot be found, as on Windows.
    """
    for name in LIBRARIES:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
            setter: Callable[[int], object] = library.omp_set_num_threads
            return setter
    return None


_set_num_threads = _find_setter()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A block in which torch works in the calling thread alone; other threads keep the number they have.

    Torch divides an operation on more than 32,768 elements among its threads, and they spin at a barrier until the last
    of them is done. Where data loaders keep the cores busy, that one may not even run.
    """
    before = torch.get_num_threads()
    if before == 1 or _set_num_threads is None:
        yield
        return
    _set_num_threads(1)
    try:
        yield
    finally:
        _set_num_threads(before)
