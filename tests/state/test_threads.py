"""Small operations run in the calling thread alone, and nothing of it is left behind."""

import threading
from typing import Any

import pytest
import torch

from detmetrics import SegmentationIoU
from detmetrics.state import threads
from detmetrics.state.metric import Metric
from tests.toy import Toy, numbers


@pytest.fixture(autouse=True)
def _two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def seen_in(metric: Metric, method: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that a step of a metric finds."""
    seen, step = [], getattr(metric, method)

    def look(*args: Any, **kwargs: Any) -> Any:
        seen.append(torch.get_num_threads())
        return step(*args, **kwargs)

    monkeypatch.setattr(metric, method, look)
    return seen


def test_update_and_compute_use_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Toy()
    updates, reads = seen_in(metric, "append", monkeypatch), seen_in(metric, "read_state", monkeypatch)
    metric.update(numbers(1, 5))
    metric.compute()
    assert {*updates, *reads} == {1}
    assert torch.get_num_threads() == 2


def test_an_update_that_reads_pixels_uses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = SegmentationIoU(num_classes=2)
    seen = seen_in(metric, "set_states", monkeypatch)
    metric.update(torch.zeros(1, 4, 4, dtype=torch.int64), torch.zeros(1, 4, 4, dtype=torch.int64))
    assert set(seen) == {2}


def test_the_number_comes_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), threads.one_thread():
        raise ValueError(f"inside with {torch.get_num_threads()}")
    assert torch.get_num_threads() == 2


def test_blocks_within_blocks() -> None:
    with threads.one_thread():
        with threads.one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_other_threads_keep_theirs() -> None:
    found: list[int] = []
    with threads.one_thread():
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert found == [2]


def test_without_the_function_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_set_num_threads", None)
    with threads.one_thread():
        assert torch.get_num_threads() == 2
    monkeypatch.setattr(threads, "LIBRARIES", ("no such library",))
    assert threads._find_setter() is None
