"""Spawned gloo processes. Each world runs all scenarios once, in one order on every rank; tests look at what came back.

A scenario is a function of (rank, size). What it returns is what the tests see; ``attempt`` turns the error of a call
that must fail into its text. An error that nobody expected is kept too, and raised in each test that asks for it.
"""

import os
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from detmetrics import (
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionErrors,
    DetectionF1Score,
    DetectionIoU,
    DetectionReport,
    KeypointReport,
    LocalizationRecallPrecision,
    LVISAveragePrecision,
    MeanAveragePrecision,
    MetricCollection,
    OpenImagesAveragePrecision,
)
from detmetrics.functional import mean_average_precision
from detmetrics.state import devices
from tests.keypoint_problems import keypoint_problem
from tests.problems import LABELS, Item, Problem, batch, hit, image, mask_problem, miss, random_problem, with_facts
from tests.toy import CURSED, Toy, numbers, numbers_of

TIMEOUT = timedelta(seconds=30)  # a rank that waits longer for the others has failed
SCENARIOS: dict[str, Callable[[int, int], Any]] = {}


class Failure(str):
    """The traceback of a scenario that failed."""


class Results(dict[str, Any]):
    """What the scenarios gave on one rank."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, Failure):
            raise AssertionError(f"scenario {name!r} failed:\n{value}")
        return value


World = Callable[[int], list[Results]]  # what a test asks: the results of each rank in a world of this size


def run_world(size: int, folder: Path) -> list[Results]:
    """Spawn ``size`` ranks, run every scenario, and return the results of each rank."""
    saved = os.environ.get("TORCH_DISTRIBUTED_DEBUG")
    os.environ["TORCH_DISTRIBUTED_DEBUG"] = "DETAIL"  # read when a process starts: mismatched collectives raise
    try:
        mp.spawn(_run_rank, args=(size, folder), nprocs=size)
    finally:
        os.environ.pop("TORCH_DISTRIBUTED_DEBUG")
        if saved is not None:
            os.environ["TORCH_DISTRIBUTED_DEBUG"] = saved
    return [Results(torch.load(folder / f"{rank}.pt", weights_only=False)) for rank in range(size)]


def _run_rank(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(2 if rank == 1 else 1)
    dist.init_process_group("gloo", f"file://{folder}/store", TIMEOUT, rank=rank, world_size=size)
    warnings.simplefilter("ignore", UserWarning)  # compute() before update() is what some scenarios are about
    results = {name: _run(scenario, rank, size) for name, scenario in SCENARIOS.items()}
    if rank < size - 1:
        results["a killed rank"] = _survive(rank)
    torch.save(results, folder / f"{rank}.pt")
    if rank == size - 1:
        os._exit(0)  # without a word to the others, which wait for it in _survive
    dist.destroy_process_group()


def _run(function: Callable[[int, int], Any], rank: int, size: int) -> Any:
    try:
        return function(rank, size)
    except Exception:
        return Failure(traceback.format_exc())


def _survive(rank: int) -> Any:
    """The last rank is gone: compute() raises, and what this rank has is still there."""
    metric = Toy()
    metric.update(numbers(rank))
    error = attempt(metric.compute)
    return error, metric.rows("numbers")[:, 1].tolist(), metric.totals("sums").tolist()


def scenario(name: str) -> Callable[[Callable[[int, int], Any]], Callable[[int, int], Any]]:
    """Run the function under this name in every world."""

    def register(function: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
        SCENARIOS[name] = function
        return function

    return register


def attempt(function: Callable[[], Any]) -> Any:
    """What the call returns, or the type and text of its error."""
    try:
        return function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class CountCollectives(TorchDispatchMode):
    """Counts the collectives that reach torch's dispatcher, whichever Python function was called."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function.namespace == "c10d"
        return function(*args, **(kwargs or {}))


# ------------------------------------------------------------------------------------------- images over the ranks


def padded(rank: int, size: int, count: int) -> list[int]:
    """The images of a rank under ``DistributedSampler``: strided, then the first ones again to even the ranks out."""
    total = -(-count // size) * size
    return [i % count for i in range(rank, total, size)]


SHARDS: dict[str, Callable[[int, int, int], list[int]]] = {
    "strided": lambda rank, size, count: list(range(rank, count, size)),
    "padded": padded,
    "everything on the last rank": lambda rank, size, count: list(range(count)) if rank == size - 1 else [],
    "uneven blocks": lambda rank, size, count: list(
        range(count * rank**2 // size**2, count * (rank + 1) ** 2 // size**2)
    ),
    "backwards": lambda rank, size, count: list(range(count))[::-1][rank::size],
}


def update(metric: Any, problem: Problem, indices: list[int], step: int = 3) -> Any:
    """Feed some images of a problem in batches of ``step``."""
    for start in range(0, len(indices), step):
        chosen = indices[start : start + step]
        metric.update([problem.preds[i] for i in chosen], [problem.target[i] for i in chosen])
    return metric


def problem_with_ids(seed: int) -> Problem:
    """Up to 20 images with ids in random order, coarse scores that tie across images."""
    return random_problem(seed, images=20, image_ids=True)


def problem_without_ids(seed: int) -> Problem:
    return random_problem(seed, images=20, image_ids=False)


def whole(problem: Problem) -> dict[str, Tensor]:
    """One process that sees everything, in one update."""
    metric = MeanAveragePrecision(**problem.settings, extended_summary=True, sync_on_compute=False)
    metric.update(problem.preds, problem.target)
    return metric.compute()


SEEDS = range(3)


@scenario("splits")
def _splits(rank: int, size: int) -> dict[tuple[str, int], Any]:
    """Every way of sharding, on problems with ids: results, and numbers of images and of duplicates."""
    found = {}
    for name, shard in SHARDS.items():
        for seed in SEEDS:
            problem = problem_with_ids(seed)
            metric = MeanAveragePrecision(**problem.settings, extended_summary=True)
            update(metric, problem, shard(rank, size, len(problem.preds)), step=1 + seed % 3)
            found[name, seed] = metric.compute(), metric.num_images, metric.num_duplicates
    return found


NAMES = {label: str(label) for labels in LABELS for label in labels}
METRICS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (DetectionF1Score, {"aggregate": "imagewise"}),
    (DetectionConfusionMatrix, {"class_names": NAMES}),
    (DetectionCurves, {}),
    (DetectionReport, {"class_names": NAMES, "matched_only": True}),
    (DetectionErrors, {}),
    (DetectionIoU, {"average": "none"}),
    (LocalizationRecallPrecision, {"class_metrics": True}),
    (DetectionF1Score, {"iou_type": "segm"}),
    (MeanAveragePrecision, {"iou_type": ("segm", "boundary"), "extended_summary": True}),
    (LVISAveragePrecision, {"max_detections_per_image": 3, "extended_summary": True}),
    (OpenImagesAveragePrecision, {"hierarchy": {0: [7, 90], 1: 2, 3: 4}}),
    (LVISAveragePrecision, {"iou_type": "segm", "frequencies": {0: "r", 1: "c", 7: "f"}}),
    (MeanAveragePrecision, {"iou_type": "keypoints", "box_format": "xywh", "extended_summary": True}),
    (KeypointReport, {"box_format": "xywh"}),
)


@scenario("every kind of metric")
def _every_kind(rank: int, size: int) -> list[tuple[Any, Any]]:
    """Results, and counts of each image, of all ranks together and of one that sees everything."""
    found = []
    for seed in SEEDS:
        for kind, settings in METRICS:
            iou_type = settings.get("iou_type", "bbox")
            if kind is KeypointReport:
                iou_type = "keypoints"
            make = {"bbox": random_problem, "keypoints": keypoint_problem}.get(iou_type, mask_problem)
            problem = make(seed, images=20, image_ids=True, plain=True)
            problem = Problem(problem.preds, with_facts(seed, problem.preds, problem.target))
            count = len(problem.preds)
            alone = update(kind(**settings, sync_on_compute=False), problem, list(range(count)))
            shared = update(kind(**settings), problem, padded(rank, size, count), step=1 + seed % 3)
            found.append((shared.compute(), alone.compute()))
            if hasattr(alone, "per_image"):
                found.append((shared.per_image(), alone.per_image()))
    return found


@scenario("parts of the images")
def _parts(rank: int, size: int) -> list[tuple[Any, Any, int]]:
    """A slice of what the ranks have seen, and of what one has."""
    found = []
    for seed in SEEDS:
        problem = problem_with_ids(seed)
        ids = sorted(int(item["image_id"]) for item in problem.target)[::3]
        shared, alone = MeanAveragePrecision(**problem.settings), MeanAveragePrecision(**problem.settings)
        update(shared, problem, list(range(rank, len(problem.preds), size)))
        chosen = [i for i, item in enumerate(problem.target) if int(item["image_id"]) in ids]
        alone.update([problem.preds[i] for i in chosen], [problem.target[i] for i in chosen])
        alone.sync_on_compute = False
        part = shared.slice(ids)
        found.append((part.compute(), alone.compute(), part.num_images - len(ids)))
    return found


@scenario("strided without ids")
def _strided(rank: int, size: int) -> dict[int, Any]:
    found = {}
    for seed in SEEDS:
        problem = problem_without_ids(seed)
        metric = MeanAveragePrecision(**problem.settings, extended_summary=True)
        found[seed] = update(metric, problem, list(range(rank, len(problem.preds), size)), step=1 + seed % 3).compute()
    return found


@scenario("ties")
def _ties(rank: int, size: int) -> dict[str, Tensor]:
    """Thirty images whose scores are all .5, every third one a hit, given ids in descending order."""
    pairs = [hit(i, 0.5, 100 - i) if i % 3 == 0 else image([([500, 0, 508, 8], 0.5, 0)], []) for i in range(30)]
    pairs = [(preds, {**target, "image_id": torch.tensor(100 - i)}) for i, (preds, target) in enumerate(pairs)]
    preds, target = batch(*pairs)
    problem = Problem(preds, target)
    return update(MeanAveragePrecision(extended_summary=True), problem, list(range(rank, 30, size))).compute()


def fed(rank: int, *ranks: list[tuple[Item, Item]], **settings: Any) -> MeanAveragePrecision:
    """A metric that gets the pairs of its rank; a rank beyond the list, or with an empty one, never calls update."""
    metric = MeanAveragePrecision(**settings)
    if rank < len(ranks) and ranks[rank]:
        metric.update(*batch(*ranks[rank]))
    return metric


@scenario("one rank without update")
def _one_without(rank: int, size: int) -> Any:
    return fed(rank, [hit(0), hit(1), hit(2), miss(3)]).compute()


@scenario("three images against one")
def _three_against_one(rank: int, size: int) -> Any:
    if size == 1:
        return fed(rank, [hit(0), hit(1), hit(2), miss(3)]).compute()
    return fed(rank, [hit(0), hit(1), miss(3)], [hit(2)]).compute()


@scenario("no rank has anything")
def _nothing(rank: int, size: int) -> Any:
    return fed(rank).compute(), fed(rank, *[[image([], [])]] * size).compute()


@scenario("padding with ids")
def _padding_with_ids(rank: int, size: int) -> Any:
    pairs = [miss(0, image_id=0), *(hit(i, image_id=i) for i in range(1, 5))]
    return fed(rank, *_padded_pairs(pairs, size)).compute()


@scenario("padding with ids: images, duplicates")
def _padding_counts(rank: int, size: int) -> Any:
    pairs = [miss(0, image_id=0), *(hit(i, image_id=i) for i in range(1, 5))]
    metric = fed(rank, *_padded_pairs(pairs, size))
    metric.compute()
    return metric.num_images, metric.num_duplicates


@scenario("padding without ids")
def _padding_without_ids(rank: int, size: int) -> Any:
    return fed(rank, *_padded_pairs([miss(0), *map(hit, range(1, 5))], size)).compute()


def _padded_pairs(pairs: list[tuple[Item, Item]], size: int) -> list[list[tuple[Item, Item]]]:
    return [[pairs[i] for i in padded(rank, size, len(pairs))] for rank in range(size)]


# -------------------------------------------------------------------------------------------- how a metric is synced


def count_collectives(count: int, rank: int, size: int) -> int:
    pairs = [hit(i, image_id=i) for i in range(rank, count, size)]
    metric = fed(rank, *[pairs] * size)
    with CountCollectives() as collectives:
        metric.compute()
    return collectives.count


@scenario("collectives of 4 images")
def _collectives_4(rank: int, size: int) -> int:
    return count_collectives(4, rank, size)


@scenario("collectives of 400 images")
def _collectives_400(rank: int, size: int) -> int:
    return count_collectives(400, rank, size)


@scenario("compute, update, compute")
def _again(rank: int, size: int) -> Any:
    """Local states are back after a synced compute: hits i and misses, one a rank and round."""
    metric = MeanAveragePrecision()
    values = []
    for turn in range(3):
        i = turn * size + rank
        metric.update(*batch(miss(i, image_id=i) if turn == 0 else hit(i, image_id=i)))
        values += [metric.compute()["map"], metric.compute()["map"], metric.num_images]
    return values


@scenario("process group")
def _process_group(rank: int, size: int) -> Any:
    """The first two ranks sync with one another, the others with nobody."""
    group = dist.new_group([0, 1][:size])
    metric = fed(rank, [hit(0)], [miss(1)], [miss(2)], process_group=group)
    if rank < 2:
        return metric.compute()["map"]
    together = MetricCollection([fed(rank, process_group=group)])
    toy = Toy()
    toy.update(numbers(rank))
    errors = [attempt(call) for call in (metric.compute, together.compute, lambda: toy.sync(process_group=group))]
    return errors, toy.rows("waiting").flatten().tolist()


def collection(**settings: Any) -> MetricCollection:
    return MetricCollection(
        {
            "map": MeanAveragePrecision(pairs="all"),
            "f1": DetectionF1Score(pairs="all", **settings),
            "matrix": DetectionConfusionMatrix(class_names=NAMES),
            "curves": DetectionCurves(pairs="all"),
        }
    )


@scenario("collectives of a collection")
def _collectives_of_a_collection(rank: int, size: int) -> Any:
    """As many as those of its one metric alone, also on a rank that never saw an image; and the results are theirs."""
    pairs = [hit(i, image_id=i) for i in range(rank, 9, size)] if rank else []
    together, alone = collection(), MeanAveragePrecision(pairs="all")
    for metric in (together, alone):
        if pairs:
            metric.update(*batch(*pairs))
    counts, found = [], []
    for metric in (together, alone):
        with CountCollectives() as collectives:
            found.append(metric.compute())
        counts.append(collectives.count)
    with CountCollectives() as collectives:
        together.compute()
        together["f1"].per_image()
    return counts, collectives.count, found[0]["map"].item() == found[1]["map"].item(), found[0]["f1"].item()


@scenario("readings after compute on rank 0 alone")
def _rank_0_reads_alone(rank: int, size: int) -> Any:
    """What was gathered for ``compute()`` serves for tables, counts of each image and other settings."""
    metric = DetectionReport(class_names=NAMES)
    metric.update(*batch(hit(rank, image_id=rank)))
    metric.compute()
    if rank:
        return None
    with CountCollectives() as collectives:
        table, images = metric.table(), metric.per_image()
        metric.score_threshold = 0.99
        none = metric.compute()["support"].item(), metric.compute()["recall_micro"].item()
    return collectives.count, str(size) in table, len(images["tp"]), none


@scenario("settings that differ between ranks")
def _settings_differ(rank: int, size: int) -> Any:
    """All ranks raise the same error, which names the attribute, its values and the rank."""
    names = ["cat", "dog"] if rank != size - 1 else ["dog", "cat"]
    found = []
    for settings in ({"score_threshold": 0.5 + 0.1 * (rank == size - 1)}, {"class_names": names}):
        metric = DetectionF1Score(**settings)
        metric.update(*batch(hit(rank, image_id=rank)))
        found.append(attempt(metric.compute))
    return found


@scenario("sync_on_compute=False")
def _not_synced(rank: int, size: int) -> Any:
    return fed(rank, *[[hit(0)], [miss(1)]] * size, sync_on_compute=False).compute()["map"]


@scenario("dist_sync_on_step")
def _on_step(rank: int, size: int) -> Any:
    """Rank 0 sees hits, the others misses: the value of a step is that of all ranks."""
    metric = MeanAveragePrecision(dist_sync_on_step=True)
    steps = [metric(*batch((hit if rank == 0 else miss)(10 * turn + rank)))["map"] for turn in range(2)]
    return steps, metric.compute()["map"]


@scenario("forward without dist_sync_on_step")
def _local_step(rank: int, size: int) -> Any:
    metric = MeanAveragePrecision()
    return metric(*batch((hit if rank == 0 else miss)(rank)))["map"], metric.compute()["map"]


@scenario("sync by hand")
def _by_hand(rank: int, size: int) -> Any:
    metric = Toy()
    metric.update(numbers(rank, rank + 20))
    metric.sync()
    refused = [attempt(lambda: metric.update(numbers(1))), attempt(lambda: metric(numbers(1))), attempt(metric.sync)]
    synced = metric.rows("numbers")[:, 1].tolist()
    metric.unsync()
    metric.update(numbers(100 + rank))
    local = metric.rows("numbers")[:, 1].tolist() + metric.rows("waiting")[:, 0].tolist()
    again, total = numbers_of(metric), metric.compute()["sum"].item()
    metric.sync()
    metric.reset()  # while synced
    metric.update(numbers(7))
    found = {"refused": refused, "synced": synced, "local": local, "again": again, "sum": total}
    return {**found, "after reset": numbers_of(metric)}


# -------------------------------------------------------------------------------------------------- what goes wrong


@scenario("rank 0 alone has rows and totals")
def _typed_empty(rank: int, size: int) -> Any:
    metric = Toy()
    if rank == 0:
        metric.update(numbers(1, 2, 2**40))
    return {key: value.tolist() for key, value in metric.compute().items()}


@scenario("other configurations")
def _configurations(rank: int, size: int) -> Any:
    """All ranks raise, none hangs, and each still has its own state."""
    metric = Toy(configuration="b" if rank == 1 else "a")
    metric.update(numbers(rank))
    error = attempt(metric.compute)
    metric.sync_on_compute = metric._to_sync = False
    return error, attempt(lambda: numbers_of(metric))


@scenario("compute fails while synced")
def _failing_compute(rank: int, size: int) -> Any:
    """One rank holds the number that makes compute() fail: it fails everywhere, and reset() works."""
    metric = Toy()
    metric.update(numbers(CURSED if rank == 0 else 1))
    errors = [attempt(metric.compute), attempt(metric.compute)]
    local = metric.rows("numbers")[:, 1].tolist()
    metric.reset()
    metric.update(numbers(rank))
    return errors, local, numbers_of(metric)


@scenario("a rejected update on one rank")
def _rejected(rank: int, size: int) -> Any:
    metric = Toy()
    metric.update(numbers(rank))
    rejected = attempt(lambda: metric.update(numbers(-1 if rank == 0 else 50)))
    return rejected, numbers_of(metric)


@scenario("a failing pack on one rank")
def _failing_pack(rank: int, size: int) -> Any:
    """The others wait in the gather: they must be told."""
    metric = Toy()
    metric.update(numbers(rank))
    if rank == 0:
        metric.settle = _fail  # type: ignore[method-assign]
    error = attempt(metric.compute)
    if rank == 0:
        del metric.settle
    return error, numbers_of(metric)


def _fail() -> None:
    raise MemoryError("no memory left on this rank")


@scenario("an id with other targets on another rank")
def _conflict(rank: int, size: int) -> Any:
    metric = fed(rank, *[[hit(i, image_id=77)] for i in range(size)])
    errors = [attempt(metric.compute), attempt(metric.compute)]
    metric.reset()
    metric.update(*batch(hit(rank, image_id=rank)))
    return errors, metric.compute()["map"].item()


@scenario("a deferred error on one rank")
def _deferred(rank: int, size: int) -> Any:
    kept, devices.defers_value_checks = devices.defers_value_checks, lambda device: True
    try:
        preds, target = batch(hit(rank, image_id=rank + 5))
        if rank == 0:
            preds[0]["scores"] = torch.tensor([float("nan")])
        metric = MeanAveragePrecision()
        metric.update(preds, target)
        errors = [attempt(metric.compute), attempt(metric.compute)]
        metric.reset()
        metric.update(*batch(hit(rank, image_id=rank)))
        return errors, metric.compute()["map"].item()
    finally:
        devices.defers_value_checks = kept


@scenario("a checkpoint of rank 0 on every rank")
def _checkpoint_of_rank_0(rank: int, size: int) -> Any:
    """Lightning saves the state of rank 0 and loads it on every rank."""
    saved = [saved_state(rank)]
    dist.broadcast_object_list(saved, src=0)
    return resume(saved[0])


@scenario("a checkpoint of each rank")
def _checkpoint_of_each_rank(rank: int, size: int) -> Any:
    return resume(saved_state(rank))


def saved_state(rank: int) -> dict[str, Any]:
    metric = Toy()
    metric.persistent(True)
    metric.update(numbers(rank + 1, rank + 100))
    return metric.state_dict()


def resume(state: dict[str, Any]) -> tuple[list[int], list[str]]:
    """All numbers after loading, and the warnings."""
    metric = Toy()
    metric.persistent(True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metric.load_state_dict(state)
    return numbers_of(metric), [str(warning.message) for warning in caught]


@scenario("threads")
def _threads(rank: int, size: int) -> int:
    return torch.get_num_threads()


@scenario("the function is local")
def _function(rank: int, size: int) -> Any:
    """Only rank 0 calls it: a function of its arguments waits for nobody."""
    return mean_average_precision(*batch(hit(0)))["map"] if rank == 0 else None
