"""How often a metric reads something back from its device, each of which makes the host wait for a GPU.

Segmentation and classification update on ``meta`` tensors, which have nothing to read. Detection cannot: what overlaps
depends on the values. There the branches that a GPU takes are forced on CPU tensors, and the reads are counted.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from detmetrics import ragged
from detmetrics.state import devices
from tests.training import registry

ALWAYS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive", "unique_dim", "equal")
TWICE = ("bincount",)  # on a GPU it reads the smallest and the largest value
SETTLE = 12  # reads that finding the overlaps of all pending images may take; update() itself has none
COMPUTE = {  # and those of compute(), once an epoch: some for each round of matching, so they vary a little
    "MeanAveragePrecision": 100,
    "DetectionConfusionMatrix": 50,
    "DetectionCurves": 100,
    "DetectionF1Score": 35,
    "DetectionFBetaScore": 35,
    "DetectionPrecision": 35,
    "DetectionRecall": 35,
    "DetectionReport": 35,
}


class HostReads:
    """Counts, within the block, the operations that read a number or a size from the device."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._modes = [_Operations(self.found), _Methods(self.found)]

    def __enter__(self) -> "HostReads":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        if _reads(name, args, kwargs):
            self.found += [name] * (2 if name in TWICE else 1)
        return function(*args, **kwargs)


def _reads(name: str, args: Any, kwargs: Any) -> bool:
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    if name in ("index", "index_put", "index_put_"):
        return any(_is_mask(index) for index in args[1])
    if name in ("_to_copy", "copy_"):
        return _leaves_device(name, args, kwargs)
    return name in ALWAYS or name in TWICE


class _Methods(TorchFunctionMode):
    """Methods that reach no operation on a CPU tensor."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (Tensor.tolist, Tensor.numpy, Tensor.cpu):
            self.found.append(function.__name__)
        return function(*args, **(kwargs or {}))


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _leaves_device(name: str, args: Any, kwargs: Any) -> bool:
    """Whether a copy goes from ``meta`` to the host."""
    source = args[1] if name == "copy_" else args[0]
    goal = args[0].device if name == "copy_" else kwargs.get("device")
    return source.device.type == "meta" and goal is not None and torch.device(goal).type != "meta"


@pytest.mark.parametrize(
    "read",
    [
        lambda x: bool(x.any()),
        lambda x: int(x.sum()),
        lambda x: x.tolist(),
        lambda x: x[x > 1],
        lambda x: x.nonzero(),
        lambda x: torch.bincount(x),
        lambda x: torch.repeat_interleave(x, x),
        lambda x: x.unique(),
        lambda x: torch.equal(x, x + 1),
        lambda x: x.numpy(),
    ],
)
def test_each_kind_of_read_is_seen(read: Callable[[Tensor], Any]) -> None:
    values = torch.tensor([1, 2, 3])
    with HostReads() as reads:
        read(values)
    assert reads.found


# --------------------------------------------------------------------------------------- segmentation, classification


@pytest.mark.parametrize("ids", [False, True], ids=["no-ids", "ids"])
@pytest.mark.parametrize("scores", [False, True], ids=["labels", "scores"])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("name", registry.COUNTING)
def test_counting_reads_nothing(name: str, task: str, scores: bool, ids: bool) -> None:
    """``meta`` tensors have no values: whatever needs one raises."""
    metric = registry.make(name, task=task, ignore_index=255).to("meta")
    preds, target = registry.pixels(name, task, scores, "meta")
    more = {"image_ids": torch.arange(registry.IMAGES, device="meta")} if ids else {}
    with HostReads() as reads:
        for _ in range(2):
            metric.update(preds, target, **more)
    assert reads.found == []
    assert metric.update_count == 2


# ------------------------------------------------------------------------------------------------------------ detection


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The branches for devices from which reading is not free, on CPU tensors."""
    monkeypatch.setattr(devices, "defers_value_checks", lambda device: True)
    monkeypatch.setattr(ragged, "reads_are_free", lambda device: False)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("ids", [False, True], ids=["no-ids", "ids"])
@pytest.mark.parametrize("name", registry.DETECTION)
def test_detection_updates_read_nothing(name: str, ids: bool) -> None:
    metric = registry.make(name)
    batches = [registry.detections(seed, ids) for seed in range(5)]
    with HostReads() as reads:
        for preds, target in batches:
            metric.update(preds, target)
    assert reads.found == []
    assert metric.num_rows("bbox_pending_images") == 5 * registry.IMAGES


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("name", registry.DETECTION)
def test_what_settling_and_computing_read_does_not_grow_with_the_images(name: str) -> None:
    few, many = _count_reads(name, 1), _count_reads(name, 20)
    assert many[0] == few[0] <= SETTLE
    assert many[1] <= COMPUTE[name]
    assert many[1] <= 1.5 * few[1]


def _count_reads(name: str, batches: int) -> tuple[int, int]:
    """The reads of finding overlaps, and those of ``compute()`` after that."""
    metric = registry.make(name)
    for seed in range(batches):
        metric.update(*registry.detections(seed))
    with HostReads() as settling:
        metric.settle()
    with HostReads() as computing:
        metric.compute()
    return len(settling.found), len(computing.found)


def test_no_public_metric_is_missing() -> None:
    assert set(registry.public()) == set(registry.EVERY)
