"""From maps to outcomes: the segments of a batch, the pixels that pairs of them share, and their matches."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.count.content_hash import hash_content
from detmetrics.count.pixel_runs import PixelRuns, find_runs, join_runs, number_rows
from detmetrics.match.unique import Outcomes, Overlap, Segments, match_segments
from detmetrics.overlap.boundary import map_boundary
from detmetrics.panoptic import inputs
from detmetrics.panoptic.inputs import VOID, Infos, Maps, Table
from detmetrics.panoptic.settings import StateConfiguration
from detmetrics.ragged import group_sums, hash_runs


class Side(NamedTuple):
    """What segment each run of pixels is in, on one side; runs of void have the class ``VOID``."""

    label: Tensor  # (K,) int64, an index into the labels of the classes
    id: Tensor  # (K,) int64
    iscrowd: Tensor  # (K,) int64


class Batch(NamedTuple):
    """A checked batch."""

    num_images: int
    runs: PixelRuns
    target: Side
    preds: Side
    boundary: tuple[Tensor, Tensor] | None  # (K,) bool each: whether runs are boundary of the target, of the prediction
    target_table: Table | None  # the segments that the targets declare
    void_on_both_sides: bool  # see match_segments()


def read_batch(
    preds: Maps,
    target: Maps,
    preds_info: Infos | None,
    target_info: Infos | None,
    configuration: StateConfiguration,
    device: torch.device,
) -> Batch:
    """Check a batch and find its runs.

    Args:
        preds: Maps of segment ids, or of categories and instances.
        target: The same of the targets.
        preds_info: Lists of dicts that say the class of each segment; None if the maps say it.
        target_info: The same of the targets.
        configuration: The classes, whether there is but one, and whether boundaries count.
        device: Where the maps must be.

    Raises:
        ValueError: if something does not fit.
    """
    if (preds_info is None) != (target_info is None):
        name = "preds_info" if preds_info is None else "target_info"
        raise ValueError(f"{name}: expected it for both sides or for none, got None")
    channels = target_info is None and not configuration.single_class
    parts = inputs.check_maps(preds, target, channels, device)
    num_images = sum(len(of_target) for _, of_target in parts)
    layers = functools.partial(_layers, channels=channels, configuration=configuration)
    runs = _joined([(*layers(of_target), *layers(of_pred)) for of_pred, of_target in parts])
    half = len(runs.values) // 2
    of_target, of_pred = runs.values[:half], runs.values[half:]
    boundary = (of_target[-1] != 0, of_pred[-1] != 0) if configuration.boundary else None
    if preds_info is None or target_info is None:
        found = [
            _by_category(name, runs.image, values, configuration)
            for name, values in (("target", of_target), ("preds", of_pred))
        ]
        return Batch(num_images, runs, found[0], found[1], boundary, None, configuration.void_on_both_sides)
    labels = configuration.labels
    table = inputs.read_infos("target_info", target_info, num_images, labels, True, device)
    predicted = inputs.read_infos("preds_info", preds_info, num_images, labels, False, device)
    sides = _by_id("target", runs.image, of_target, table), _by_id("preds", runs.image, of_pred, predicted)
    return Batch(num_images, runs, *sides, boundary, table, configuration.void_on_both_sides)


def _layers(maps: Tensor, channels: bool, configuration: StateConfiguration) -> list[Tensor]:
    """What runs are constant in, ``(b, N)`` each: categories and instances or ids, and whether a pixel is boundary."""
    layers = list(maps.unbind(-1)) if channels else [maps]
    if configuration.boundary:
        if layers[0].ndim != 3:
            raise ValueError(
                f"preds: expected maps of two spatial dimensions with boundary=True, got {layers[0].ndim - 1}"
            )
        segments = _segment_layers(layers, configuration) if channels else layers
        images = [map_boundary(*image) for image in zip(*segments, strict=True)]
        layers.append(torch.stack(images) if images else torch.zeros_like(layers[0], dtype=torch.bool))
    return [layer.reshape(len(layer), layer.shape[1:].numel()) for layer in layers]


def _segment_layers(layers: Sequence[Tensor], configuration: StateConfiguration) -> tuple[Tensor, Tensor]:
    """Categories and instances, which stuffs have none of."""
    category, instance = layers
    things = torch.tensor(configuration.things, dtype=torch.int64, device=category.device)
    return category, instance.where(torch.isin(category, things), 0)


def _joined(parts: Sequence[Sequence[Tensor]]) -> PixelRuns:
    """The joined runs of all parts, their images counted on."""
    found, start = [], 0
    for part in parts:
        runs = join_runs(find_runs(*part))
        found.append(runs._replace(image=runs.image + start))
        start += len(part[0])
    if len(found) == 1:
        return found[0]
    values = (torch.cat(layer) for layer in zip(*(runs.values for runs in found), strict=True))
    return PixelRuns(torch.cat([runs.image for runs in found]), tuple(values), torch.cat([r.pixels for r in found]))


def _by_category(name: str, image: Tensor, values: Sequence[Tensor], configuration: StateConfiguration) -> Side:
    """Segments of things by category and instance, of stuffs by category; other categories of a target are void."""
    category, instance = ((values[0] != 0).long(), values[0]) if configuration.single_class else values[:2]
    labels = configuration.labels
    unknown = name == "target" or configuration.allow_unknown_preds_category
    label = inputs.to_class_index(name, image, category, labels, unknown)
    is_thing = torch.tensor([value in configuration.things for value in labels], device=label.device)
    kept = (label != VOID) & is_thing.index_select(0, label.clamp(min=0))
    return Side(label, instance.where(kept, 0), torch.zeros_like(label))


def _by_id(name: str, image: Tensor, values: Sequence[Tensor], table: Table) -> Side:
    label, iscrowd = inputs.look_up(name, image, values[0], table)
    return Side(label, values[0], iscrowd)


def outcomes(batch: Batch) -> Outcomes:
    """Match the segments of a batch."""
    target, targets = _segments(batch.runs.image, batch.target)
    pred, preds = _segments(batch.runs.image, batch.preds)
    number, first = number_rows(batch.runs.image, target, pred)  # the pairs of each image, void with it
    pixels = batch.runs.pixels
    counts = [(pixels, pixels, pixels)]
    if batch.boundary is not None:
        of_target, of_pred = batch.boundary
        counts.append((pixels * (of_target & of_pred), pixels * of_target, pixels * of_pred))
    sums = group_sums(torch.stack([x for each in counts for x in each], dim=1), number, len(first))  # (E, 3) or (E, 6)
    pair = target.index_select(0, first), pred.index_select(0, first)
    overlaps = [Overlap(*pair, *columns.unbind(1)) for columns in sums.split(3, dim=1)]
    return match_segments(overlaps, targets, preds, batch.void_on_both_sides)


def _segments(image: Tensor, side: Side) -> tuple[Tensor, Segments]:
    """The number of each run's segment (K,), -1 for void, and the segments."""
    there = (side.label != VOID).nonzero().squeeze(1)
    columns = [x.index_select(0, there) for x in (image, *side)]
    number, first = number_rows(*columns)
    found, label, _, iscrowd = (x.index_select(0, first) for x in columns)
    return torch.full_like(image, -1).index_copy_(0, there, number), Segments(found, label, iscrowd != 0)


def target_hashes(target: Maps, batch: Batch) -> Tensor:
    """A hash of the target of each image: its pixels and what its segments are, ``(B,)`` int64."""
    parts = [target] if isinstance(target, Tensor) else [one[None] for one in target]
    none = torch.zeros(0, dtype=torch.int64, device=batch.runs.image.device)
    hashes = torch.cat([none, *map(hash_content, parts)])
    table = batch.target_table
    return hashes if table is None else hashes + hash_runs(torch.stack(table[1:], dim=1), table.image, len(hashes))
