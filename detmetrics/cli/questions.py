"""What ``detmetrics evaluate`` is asked beside COCO's numbers: errors, parts of the images, score thresholds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detmetrics.analysis.intervals import bootstrap
from detmetrics.analysis.slices import evaluate_slices
from detmetrics.detection.analysis_settings import ErrorSettings
from detmetrics.detection.classes import class_titles
from detmetrics.detection.error_costs import FIXES, summarize_errors
from detmetrics.detection.error_kinds import KINDS
from detmetrics.detection.mean_ap import MeanAveragePrecision
from detmetrics.detection.score_curves import score_curves
from detmetrics.detection.settings import CurvesSettings
from detmetrics.show.tables import score_table

if TYPE_CHECKING:
    from detmetrics.files.coco import CocoData

OPTIONS = ("errors", "slices", "min_precision", "intervals")
UNSEEN = 1 << 62  # numbers of images from here on stand for none
IN_TABLE = {"map": "AP", "map_50": "AP50", "map_75": "AP75"}


class Answer(NamedTuple):
    """What is printed, and what is written to the file of numbers."""

    text: str
    numbers: dict[str, float]


def asked(arguments: argparse.Namespace) -> list[str]:
    """The options that are given, as they are written."""
    return [f"--{name.replace('_', '-')}" for name in OPTIONS if getattr(arguments, name, None) is not None]


def answers(metric: MeanAveragePrecision, data: CocoData | None, arguments: argparse.Namespace) -> list[Answer]:
    """The answers to what is asked; all ranks must call it.

    Args:
        metric: What has seen this rank's images.
        data: The images of all ranks, if they are at hand.
        arguments: Those of the command.

    Raises:
        ValueError: if the state does not hold what is asked for, or the file of attributes is none.
    """
    found = []
    if getattr(arguments, "errors", None):
        found.append(_errors(metric))
    if getattr(arguments, "slices", None) is not None:
        found.append(_slices(metric, data, arguments.slices))
    if getattr(arguments, "min_precision", None) is not None:
        found.append(_threshold(metric, arguments.min_precision, arguments.per_class))
    if getattr(arguments, "intervals", None) is not None:
        found.append(_intervals(metric, arguments.intervals))
    return found


def _errors(metric: MeanAveragePrecision) -> Answer:
    if metric.pairs != "all":
        raise ValueError("--errors: expected a state with overlaps between classes, as --errors and --html keep them")
    settings = ErrorSettings(class_names=metric.settings.declared, class_agnostic=metric.class_agnostic)
    values = {key: value.item() for key, value in summarize_errors(metric.data(), settings).items()}
    rows: dict[str, list[float | None]] = {
        fix: [int(values[f"num_{fix}"]) if fix in KINDS else None, values[f"dap_{fix}"]] for fix in FIXES
    }
    named = {name if name in KINDS else f"all {name.replace('_', ' ')}s": row for name, row in rows.items()}
    title = (
        f"Errors at IoU {settings.iou_threshold:.2f}, where AP is {values['ap']:.3f}, and what AP each kind costs\n\n"
    )
    return Answer(title + score_table(["errors", "AP lost"], named, {}, digits=3).rstrip("\n"), values)


def _slices(metric: MeanAveragePrecision, data: CocoData | None, path: Path) -> Answer:
    try:
        attributes = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from error
    ids = metric.image_ids if data is None else data.image_ids
    parts = evaluate_slices(metric, _numbered(attributes, {str(own): number for number, own in ids.items()}, path))
    rows: dict[str, list[float | None]] = {}
    numbers: dict[str, float] = {}
    for name, part in parts.items():
        values = {key: value.item() for key, value in part.result.items() if value.ndim == 0}
        rows[name] = [*(values[key] for key in IN_TABLE if key in values), part.num_images]
        numbers |= {f"{name}/{key}": value for key, value in values.items()} if name != "all" else {}
    headers = [*(title for key, title in IN_TABLE.items() if key in parts["all"].result), "images"]
    notes = "".join(f"{name}: {part.note}\n" for name, part in parts.items() if part.note)
    table = score_table(headers, rows, {}, digits=3).rstrip("\n")
    return Answer(f"Parts of the images\n\n{table}\n" + (f"\n{notes}" if notes else ""), numbers)


def _intervals(metric: MeanAveragePrecision, num_samples: int) -> Answer:
    found = bootstrap(metric, num_samples)
    headlines = {key: interval for key, interval in found.items() if not interval.value.ndim and "/" not in key}
    rows: dict[str, list[float | None]] = {
        key: [own.value.item(), own.low.item(), own.high.item(), own.standard_error.item()]
        for key, own in headlines.items()
    }
    ends = {"low": 1, "high": 2, "standard_error": 3}
    numbers = {f"{key}_{end}": row[at] or 0.0 for key, row in rows.items() for end, at in ends.items()}
    table = score_table(["value", "low", "high", "std error"], rows, {}, digits=3).rstrip("\n")
    return Answer(f"95 % intervals from {num_samples} samples of the images\n\n{table}", numbers)


def _numbered(attributes: Any, number_of: dict[str, int], path: Path) -> Any:
    """The attributes with the numbers that stand for ids in the metric.

    Ids are compared as text: in JSON, what a user writes as 7 may be "7" in the annotations. Those that stand for no
    image get numbers that no image has.
    """
    expected = "attributes, each an object from value to a list of ids of images"
    if not isinstance(attributes, dict) or not all(isinstance(values, dict) for values in attributes.values()):
        raise ValueError(f"{path}: expected an object of {expected}")
    known = dict(number_of)

    def number(one: Any) -> int:
        if isinstance(one, bool) or not isinstance(one, int | str):
            raise ValueError(f"{path}: expected ids of images, integers or strings, got {one!r}")
        if str(one) not in known:
            ids_are_numbers = isinstance(one, int) and one >= 0 and not number_of
            known[str(one)] = int(one) if ids_are_numbers else UNSEEN + len(known)
        return known[str(one)]

    found: dict[str, dict[str, list[int]]] = {}
    for name, values in attributes.items():
        if not all(isinstance(ids, list) for ids in values.values()):
            raise ValueError(f"{path}: expected an object of {expected}; the values of {name!r} are none")
        found[name] = {value: [number(one) for one in ids] for value, ids in values.items()}
    return found


def _threshold(metric: MeanAveragePrecision, precision: float, per_class: bool) -> Answer:
    settings = CurvesSettings(class_names=metric.settings.declared, class_agnostic=metric.class_agnostic)
    curves = score_curves(metric.data(), settings)
    points = curves.highest_recall(precision=precision)
    names = class_titles(curves.classes, settings) if per_class else []
    columns = [points.score_threshold, points.precision, points.recall]
    values = [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    keys = [f"{key}_at_precision" for key in ("score_threshold", "precision", "recall")]
    numbers = dict(zip(keys, values[-1], strict=True))
    for name, row in zip(names, values, strict=False):
        numbers |= {f"{key}/{name}": value for key, value in zip(keys, row, strict=True)}
    rows: dict[str, list[float | None]] = dict(zip(names, values, strict=False))
    title = f"Score threshold with the highest recall at IoU 0.50 and precision {precision:g} or more\n\n"
    table = score_table(["score", "precision", "recall"], rows, {"all classes": values[-1]}, digits=3)
    return Answer(title + table, numbers)
