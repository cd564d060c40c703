"""From lists of dicts, one per image, to one checked flat batch of int64 rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.detection.facts import with_facts
from detmetrics.match.evaluation_data import ABSENT, CROWD, IGNORE, NO_SCORES, SCORE_DTYPES
from detmetrics.overlap.boxes import NOT_NEGATIVE
from detmetrics.overlap.sides import Side, check_lists
from detmetrics.overlap.similarity import Items, Overlaps, Request, Shapes, Similarity, ValueRule

NO_KEY = torch.iinfo(torch.int64).min  # the key of an image without an id
LARGEST_KEY = torch.iinfo(torch.int64).max
SCORE_DTYPE_INDEX = {dtype: i for i, dtype in enumerate(SCORE_DTYPES)}

IMAGE_COLUMNS = 4  # key or NO_KEY, number of detections, number of targets, index into SCORE_DTYPES or NO_SCORES
OTHER_COLUMNS = 3  # of detections and targets, behind the G columns of their geometry
AREA, LABEL, SCORE, FLAGS = -3, -2, -1, -1  # these three, from the end; the score of detections, the flags of targets
SCORE_RULE = ValueRule("finite scores", slice(SCORE, None))
AREA_RULE = ValueRule("finite areas of 0 or more", slice(AREA, LABEL), least=0.0)
MOST_LISTED = 6  # names in an error
LARGEST = torch.finfo(torch.float64).max


class Batch(NamedTuple):
    """A batch of images as flat rows, image after image. All int64; floats travel as their float64 bits."""

    images: Tensor  # (B, 4): key or NO_KEY, numbers of detections and of targets, dtype of the scores
    detections: Tensor  # (N, G + 3): geometry and area as bits, label, score as bits
    targets: Tensor  # (M, G + 3): geometry and area as bits, label, flags


class ValueCheck(NamedTuple):
    """What is expected of the values of a key, and the rows that fail."""

    side: str  # "preds" or "target"
    key: str
    expected: str
    failing: Tensor  # (rows,) bool


def pack(
    preds: Items, target: Items, similarity: Similarity, request: Request, check_values: bool, needs_scores: bool
) -> tuple[Batch, Overlaps | None]:
    """Check and copy a batch.

    Args:
        preds: One dict per image with the instances under ``similarity.key``, ``scores`` (N,), ``labels`` (N,).
        target: One dict per image with the instances, ``labels`` (M,), and optionally ``iscrowd`` (M,), ``ignore``
            (M,), ``area`` (M,), ``image_id``, and what :data:`detmetrics.detection.facts.KEYS` names.
        similarity: What reads the instances.
        request: Which overlaps are kept, and the device where the inputs must be and the rows go.
        check_values: Whether to check values now. If not, nothing is read back from the device, unless the similarity
            looks at its instances for overlaps.
        needs_scores: False if all images of the batch may come without scores.

    Returns:
        The batch, a copy, so that the caller may change the inputs afterwards; and its overlaps, or None if the
        similarity waits.

    Raises:
        ValueError: if a key is missing, or a shape, dtype, length, device or value does not fit.
    """
    check_lists(preds, target)
    detections, targets, overlaps = similarity.measure(preds, target, request)
    sides = (
        Side("preds", preds, detections.counts, similarity.key, request.device),
        Side("target", target, targets.counts, similarity.key, request.device),
    )
    has_scores = needs_scores or not preds or any("scores" in item for item in preds)
    rows = _detection_rows(sides[0], detections, has_scores)
    target_rows, counts = _target_rows(sides[1], targets), targets.counts
    if request.keeps_facts:
        target_rows, counts, place = with_facts(target_rows, counts, target)
        if place is not None and overlaps is not None:
            overlaps = overlaps._replace(target=place.index_select(0, overlaps.target))
    batch = Batch(_image_rows(sides[0], sides[1]._replace(counts=counts), has_scores), rows, target_rows)
    if check_values:
        _check_values(batch, similarity, preds, target)
    return batch, overlaps


def find_invalid(batch: Batch, similarity: Similarity) -> list[ValueCheck]:
    """Every check of values, with the rows that fail it; reads nothing back from the device."""
    values = {"preds": batch.detections.view(torch.float64), "target": batch.targets.view(torch.float64)}
    return [
        ValueCheck(side, key, rule.expected, _fails(values[side][:, rule.columns], rule.least))
        for side, key, rule in _checks(similarity)
    ]


def _checks(similarity: Similarity) -> list[tuple[str, str, ValueRule]]:
    """The side, the key, and what is expected of columns of its rows, in the order of the checks."""
    in_rows = (rule._replace(columns=slice(*rule.columns.indices(similarity.columns))) for rule in similarity.rules)
    geometry = tuple(in_rows)
    return [
        ("preds", "scores", SCORE_RULE),
        *((side, rule.key or similarity.key, rule) for side in ("preds", "target") for rule in geometry),
        ("target", "area", AREA_RULE),
    ]


def _fails(values: Tensor, least: float) -> Tensor:
    """Which rows ``(n,)`` bool have a value that is below ``least`` or not finite; NaN compares as false."""
    return ~((values >= max(least, -LARGEST)) & (values <= LARGEST)).all(dim=1)


def _all_pass(batch: Batch, similarity: Similarity) -> bool:
    """Whether no row fails, in one pass over each side: NaN comes through as the smallest and the largest."""
    extremes = {"preds": _extremes(batch.detections), "target": _extremes(batch.targets)}
    return all(
        max(rule.least, -LARGEST) <= low and high <= LARGEST
        for side, _, rule in _checks(similarity)
        for low, high in extremes[side][rule.columns]
    )


def _extremes(rows: Tensor) -> list[tuple[float, float]]:
    """The smallest and the largest value of each column, read as float64; none if there are no rows."""
    if not len(rows):
        return []
    low, high = rows.view(torch.float64).aminmax(dim=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def check_declared(labels: Tensor, class_names: Mapping[int, str], where: str = "labels") -> None:
    """Raise if a label of ``labels`` (n,) has no name, with what to declare instead; reads the device."""
    seen = set(labels.tolist())
    unknown = sorted(seen.difference(class_names))
    if unknown:
        expected = f"the labels declared in class_names {list(class_names)}"
        remedy = _names_for(sorted(seen), class_names)
        raise ValueError(f"{where}: expected {expected}, got also {unknown}; {remedy}")


def check_labels(batch: Batch, class_names: Mapping[int, str]) -> None:
    """:func:`check_declared` for a batch, naming the side and the first image; reads the device."""
    columns = batch.detections[:, LABEL], batch.targets[:, LABEL]
    is_fact = torch.zeros_like(columns[0], dtype=torch.bool), batch.targets[:, FLAGS] >= ABSENT  # of any class
    labels = torch.cat([batch.detections[:, LABEL], batch.targets[~is_fact[1], LABEL]])
    unknown = torch.tensor(sorted(set(labels.tolist()).difference(class_names)), device=labels.device)
    for side, own, fact, column in zip(("preds", "target"), columns, is_fact, (1, 2), strict=True):
        found = (torch.isin(own, unknown) & ~fact).nonzero() if len(unknown) else unknown
        if len(found):
            image, _ = _image_of_row(batch, column, int(found[0]))
            check_declared(labels, class_names, f"{side}[{image}]['labels']")


def _names_for(seen: Sequence[int], class_names: Mapping[int, str]) -> str:
    """What to declare for labels that have no name."""
    count = len(class_names)
    if list(class_names) == list(range(count)) and seen[0] == 1 and seen[-1] == count:
        named = [f"{label + 1}: {name!r}" for label, name in class_names.items()]
        listed = named if count <= MOST_LISTED else [*named[:2], "...", named[-1]]
        return f"labels that count from 1 take class_names={{{', '.join(listed)}}}"
    return "name every label: class_names={label: name, ...}"


def _image_of_row(batch: Batch, column: int, row: int) -> tuple[int, int]:
    """The image that a row of detections or targets belongs to, and the index of the row within it."""
    ends = batch.images[:, column].cumsum(0)
    image = int(torch.searchsorted(ends, row, right=True))
    return image, row - int(ends[image] - batch.images[image, column])


def _check_values(batch: Batch, similarity: Similarity, preds: Items, target: Items) -> None:
    """Raise a ``ValueError`` for the first value that fails a check."""
    if not _all_pass(batch, similarity):
        check = next(check for check in find_invalid(batch, similarity) if bool(check.failing.any()))
        items, column = (preds, 1) if check.side == "preds" else (target, 2)
        image, row = _image_of_row(batch, column, int(check.failing.nonzero()[0]))
        got = _shown(items[image][check.key][row])
        where, remedy = f"{check.side}[{image}][{check.key!r}]", _other_format(items[image][check.key], check.expected)
        raise ValueError(f"{where}: expected {check.expected}, got {got} in row {row}{remedy}")
    if not any(isinstance(item.get("image_id"), Tensor) for item in target):
        return  # ids on the host are checked already
    negative = (batch.images[:, 0] < 0) & (batch.images[:, 0] != NO_KEY)
    if bool(negative.any()):
        image = int(negative.nonzero()[0])
        raise arguments.fail(f"target[{image}]['image_id']", "a non-negative int", int(batch.images[image, 0]))


def _shown(value: Tensor) -> Any:
    """The value of an instance, or the first of its points that is not finite or has a negative visibility."""
    if value.ndim == 2:
        odd = ~value.isfinite().all(dim=1)
        odd = odd if bool(odd.any()) else value[:, -1] < 0
        value = value[int(odd.nonzero()[0])] if bool(odd.any()) else value
    return arguments.plain(value)


def _other_format(values: Any, expected: str) -> str:
    """What else boxes (n, 4) may be that have a negative size in the format of the metric."""
    if expected != NOT_NEGATIVE or not bool((values[:, 2:] >= 0).all()):
        return ""
    return "; for boxes of [x, y, width, height] make the metric with box_format='xywh'"


def _detection_rows(side: Side, shapes: Shapes, has_scores: bool) -> Tensor:
    scores = side.column("scores").double() if has_scores else torch.ones_like(shapes.area)
    return _rows(shapes, shapes.area, side.column("labels", integer=True), scores.view(torch.int64))


def _target_rows(side: Side, shapes: Shapes) -> Tensor:
    none = torch.zeros_like(shapes.area)
    flags, area = none.long(), side.optional("area", shapes.area)
    for key, flag in (("iscrowd", CROWD), ("is_group_of", CROWD), ("ignore", IGNORE)):
        given = side.optional(key, none)
        flags = flags if given is None else flags | (given != 0) * flag
    if shapes.ignore is not None:
        flags = flags | shapes.ignore * IGNORE
    return _rows(shapes, shapes.area if area is None else area, side.column("labels", integer=True), flags)


def _rows(shapes: Shapes, area: Tensor, *integers: Tensor) -> Tensor:
    """Rows of int64: the bits of the floats, then the integers."""
    bits = [shapes.geometry.view(torch.int64), area.view(torch.int64)[:, None]]
    return torch.cat([*bits, *(x.to(torch.int64)[:, None] for x in integers)], dim=1)


def _image_rows(detections: Side, targets: Side, has_scores: bool) -> Tensor:
    dtypes = [NO_SCORES] * len(detections.items)
    if has_scores:
        dtypes = [SCORE_DTYPE_INDEX.get(item["scores"].dtype, 0) for item in detections.items]
    ids = check_image_ids(targets.items)
    given = any(isinstance(x, Tensor) for x in ids)
    keys = [NO_KEY] * len(ids) if given else ids
    columns = torch.tensor([keys, detections.counts, targets.counts, dtypes], dtype=torch.int64)
    rows = columns.T.to(targets.device, non_blocking=True)
    if given:
        tensors = [torch.as_tensor(x, dtype=torch.int64, device=targets.device).reshape(()) for x in ids]
        column = torch.stack(tensors)[:, None]
        rows = torch.cat([column.clamp(min=-1), rows[:, 1:]], dim=1)  # a negative id must not pass for none
    return rows


def check_image_ids(target: Items) -> list[Any]:
    """An id per image: a non-negative int, or a tensor of one, which stays on its device; ``NO_KEY`` where none has.

    Raises:
        ValueError: if some images have an id and others have none, or an id is no whole number of 0 or more.
    """
    ids = [item.get("image_id") for item in target]
    missing = [i for i, value in enumerate(ids) if value is None]
    if len(missing) == len(ids):
        return [NO_KEY] * len(ids)
    if missing:
        raise ValueError(
            f"target[{missing[0]}]['image_id']: expected an id for every image of an update or for none, got none here"
        )
    return [
        value if type(value) is int and 0 <= value <= LARGEST_KEY else _plain_id(f"target[{i}]['image_id']", value)
        for i, value in enumerate(ids)
    ]


def _plain_id(where: str, value: Any) -> Any:
    """An id as an int, or as the tensor that it is."""
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.dtype.is_floating_point or value.dtype == torch.bool:
            got = f"{value.dtype} of shape {tuple(value.shape)}"
            raise ValueError(f"{where}: expected a one-element integer tensor, got {got}; give one id for each image")
        return value
    if isinstance(value, str):
        number = "number the images, such as ids = {name: i for i, name in enumerate(sorted(names))}"
        raise ValueError(f"{where}: expected a non-negative int, got {value!r}; {number}, and give ids[name]")
    checked = arguments.count(where, value)
    if checked > LARGEST_KEY:
        raise arguments.fail(where, f"an int up to {LARGEST_KEY}", value)
    return checked
