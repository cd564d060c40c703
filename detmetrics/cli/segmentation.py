"""``detmetrics segmentation``: the numbers of two folders of label maps."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from detmetrics.cli.accumulate import accumulate
from detmetrics.cli.evaluate import device_of
from detmetrics.cli.output import conclude
from detmetrics.cli.ranks import on_all_ranks, rank
from detmetrics.files.ids import not_the_numbers
from detmetrics.files.label_map_scores import SURFACES, LabelMapScores
from detmetrics.files.label_maps import check_pair, read_label_map
from detmetrics.files.pairs import Pair, find_pairs
from detmetrics.files.relabel import Relabelling
from detmetrics.segmentation.report import COLUMNS

DIGITS = 4  # of the table
SIDES = ("preds", "target")


class Reading(NamedTuple):
    """How a pair of files is read."""

    relabelling: Relabelling
    max_bytes: int
    ignore_affine: bool


class Maps(NamedTuple):
    """What a pair of files holds: labels of classes."""

    pred: torch.Tensor
    target: torch.Tensor
    spacing: tuple[float, ...] | None


Read = Callable[[tuple[int, Pair]], Maps]
Look = Callable[[int], "tuple[torch.Tensor, torch.Tensor]"]  # the number of a pair to prediction and target


def run(arguments: argparse.Namespace) -> None:
    """Pair the files, evaluate those of this shard, each rank its own part, and write what the arguments say."""
    pairs = on_all_ranks(
        lambda: find_pairs(
            arguments.targets,
            arguments.preds,
            target_suffix=arguments.gt_suffix,
            preds_suffix=arguments.pred_suffix,
            by=arguments.pair_by,
        )
    )
    reading = reading_of(arguments)
    title = f"{arguments.preds.name} on {arguments.targets.name}"
    evaluate(pairs, settings_of(arguments, reading), functools.partial(_read, reading), title, arguments)


def evaluate(
    pairs: Sequence[Pair], settings: dict[str, Any], read: Read, title: str, arguments: argparse.Namespace
) -> None:
    """Evaluate the pairs of this shard, each rank its own part of them, and write what the arguments say.

    Args:
        pairs: Those of all shards.
        settings: What makes the scores, as a file of states keeps it.
        read: Reads a numbered pair, in any process.
        title: The heading of the page.
        arguments: Those of the command.
    """
    start = time.perf_counter()
    scores = LabelMapScores(**settings).to(device_of(arguments))
    numbered = list(enumerate(pairs))
    scores.image_ids = not_the_numbers({number: pair.name for number, pair in numbered})
    accumulate(scores, functools.partial(LabelMapScores, **settings), read, add, numbered, arguments)
    finish(scores, settings, title, start, arguments, lambda number: read((number, pairs[number]))[:2])


def settings_of(arguments: argparse.Namespace, reading: Reading) -> dict[str, Any]:
    """What makes the scores, as a file of states keeps it."""
    surface = None
    if arguments.surface:
        surface = {"definition": arguments.surface_definition or "deepmind", "tolerance": arguments.tolerance or 1.0}
        surface |= {} if arguments.spacing is None else {"spacing": spacing_of(arguments.spacing)}
    return {
        "class_names": arguments.class_names,
        "void": reading.relabelling.makes_void,
        "ignore_index": list(arguments.ignore_index),
        "exclude_classes": list(arguments.exclude_classes),
        "zero_division": arguments.zero_division,
        "aggregate": arguments.aggregate,
        "only_present": arguments.only_present,
        "surface": surface,
    }


def spacing_of(given: Sequence[float]) -> float | list[float]:
    """One number for all axes, or one for each."""
    return given[0] if len(given) == 1 else list(given)


def reading_of(arguments: argparse.Namespace) -> Reading:
    """How files are read."""
    relabelling = Relabelling(
        num_classes=len(arguments.class_names),
        reduce_zero_label=arguments.reduce_zero_label,
        table=arguments.label_map,
        others_void=arguments.others_void,
        kept=tuple(arguments.ignore_index),
    )
    return Reading(relabelling, arguments.max_bytes, arguments.ignore_affine)


def _read(reading: Reading, numbered: tuple[int, Pair]) -> Maps:
    return read_pair(numbered[1], reading)


def from_memory(contents: Mapping[str, Maps]) -> Read:
    """Takes pairs by their names from what was read or made before."""
    return functools.partial(_take, contents)


def _take(contents: Mapping[str, Maps], numbered: tuple[int, Pair]) -> Maps:
    return contents[numbered[1].name]


def read_pair(pair: Pair, reading: Reading) -> Maps:
    """The label maps of a pair.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if one is damaged, or they do not fit each other; one line that names the file.
    """
    pred, target = (read_label_map(path, reading.max_bytes) for path in (pair.pred, pair.target))
    check_pair(pair.pred, pair.target, (pred, target), ignore_affine=reading.ignore_affine)
    changed: list[torch.Tensor] = []
    for path, found, is_target in ((pair.pred, pred, False), (pair.target, target, True)):
        try:
            values = reading.relabelling.apply(found.values, is_target=is_target)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        changed.append(torch.from_numpy(values if values.flags.writeable else values.copy()))
    return Maps(changed[0], changed[1], target.spacing)


def add(scores: LabelMapScores, numbered: tuple[int, Pair], maps: Maps) -> None:
    """Add a pair; what is wrong with its labels is told of the file that has them."""
    number, pair = numbered
    device = scores.report.device
    try:
        scores.update(maps.pred.to(device), maps.target.to(device), number, maps.spacing)
    except ValueError as error:
        side, _, what = str(error).partition(": ")
        paths = dict(zip(SIDES, (pair.pred, pair.target), strict=True))
        path = paths.get(side.partition("[")[0])
        if path is None:
            raise ValueError(f"{pair.target}: {error}") from error
        raise ValueError(
            f"{path}: {what.partition(';')[0]}; --ignore-index, --label-map and --num-classes say what labels mean"
        ) from error


def finish(
    scores: LabelMapScores,
    settings: dict[str, Any],
    title: str,
    start: float,
    arguments: argparse.Namespace,
    look: Look | None = None,
) -> None:
    """Compute, write and print."""
    conclude(
        scores,
        settings,
        start,
        arguments,
        page=lambda: _page(scores, title, arguments, look),
        text=lambda results: table(results, scores, with_classes=arguments.per_class),
    )


def table(results: dict[str, float], scores: LabelMapScores, *, with_classes: bool) -> str:
    """The results as text: a line for each class if asked, then the averages."""
    from detmetrics.show.tables import score_table

    surfaces = [name for name in SURFACES if name in results]
    columns = [*COLUMNS, *surfaces]
    classes = {
        name: [*(results[f"{column}/{name}"] for column in columns), int(results[f"support/{name}"])]
        for name in (scores.class_names if with_classes else ())
    }
    support = sum(int(results[f"support/{name}"]) for name in scores.class_names)
    blank: list[float | None] = [None] * len(surfaces)
    means = [*(results[f"mean_{column}"] for column in COLUMNS), *(results[name] for name in surfaces)]
    over_all: dict[str, list[float | None]] = {
        "mean": [*means, support],
        "weighted iou": [results["frequency_weighted_iou"], None, None, None, *blank, support],
        "accuracy": [None, None, None, results["pixel_accuracy"], *blank, support],
    }
    shown = {"surface_dice": "s. dice"}  # as wide as a column
    return score_table([*(shown.get(name, name) for name in columns), "support"], classes, over_all, DIGITS).rstrip(
        "\n"
    )


def _page(scores: LabelMapScores, title: str, arguments: argparse.Namespace, look: Look | None) -> str:
    from detmetrics.page.label_maps import render_label_maps

    headline = getattr(arguments, "headline", "iou")  # merge and demo have no protocol
    return str(render_label_maps(scores, title=title, headline=headline, look=look if rank() == 0 else None))
