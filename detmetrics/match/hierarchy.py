"""Classes in a hierarchy: an object of a class is one of every class above it, too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from detmetrics.match.evaluation_data import ABSENT, EvaluationData, Facts
from detmetrics.ragged import constants, exclusive_cumsum, invert, lexsort, owners

Parents = Mapping[int, Sequence[int]]


def ancestors(parents: Parents) -> dict[int, tuple[int, ...]]:
    """All classes above each class that has a parent, ascending, each once however many ways lead to it.

    Args:
        parents: The classes right above a class, by its label.

    Raises:
        ValueError: if a class is above itself.

    Example:
        >>> ancestors({1: [2], 2: [3], 4: [3]})
        {1: (2, 3), 2: (3,), 4: (3,)}
    """
    found: dict[int, tuple[int, ...]] = {}
    for label in parents:
        above: set[int] = set()
        new = set(parents[label])
        while new:
            above |= new
            new = {parent for child in new for parent in parents.get(child, ())} - above
        if label in above:
            raise ValueError(f"hierarchy: expected no class above itself, got {label} above {label}")
        found[label] = tuple(sorted(above))
    return found


def expanded(data: EvaluationData, parents: Parents) -> EvaluationData:
    """The data with every target repeated for each class above its own, and what is known of classes, too.

    A class that is there is there by every name above it; of one that is absent all below are. Detections stay as they
    are: whoever predicts a class says so. Targets of a class are ordered by the label that they came with.

    Args:
        data: With the overlaps between classes.
        parents: The classes right above a class, by its label.

    Source: ``OIDHierarchicalLabelsExpansion`` of TensorFlow's object detection API.
    """
    pairs = [(label, above) for label, listed in ancestors(parents).items() for above in listed]
    if not pairs:
        return data.same_class
    up = _Expansion(sorted(pairs), data.labels.device)
    row, label = up.rows(data.target_labels)  # (M + copies,)
    order = lexsort(data.target_image.index_select(0, row), label, row)
    at = row.index_select(0, order)
    # An overlap is kept with the one row of its target that has the label of its detection.
    detection_label = data.labels.index_select(0, data.overlap_detection)
    copy = up.row_of(data.overlap_target, data.target_labels, detection_label)
    left = (copy >= 0).nonzero().squeeze(1)
    return dataclasses.replace(
        data.at_overlaps(left),
        target_areas=data.target_areas.index_select(0, at),
        target_labels=label.index_select(0, order),
        target_flags=data.target_flags.index_select(0, at),
        target_image=data.target_image.index_select(0, at),
        overlap_target=invert(order).index_select(0, copy.index_select(0, left)),
        across_classes=False,
        facts=None if data.facts is None else _expanded_facts(data.facts, up, [(b, a) for a, b in pairs]),
    )


def _expanded_facts(facts: Facts, up: _Expansion, downward: Sequence[tuple[int, int]]) -> Facts:
    """Facts of the classes above, or below where a class is absent."""
    down = _Expansion(sorted(downward), facts.labels.device)
    parts = []
    for expansion, chosen in ((up, facts.flags != ABSENT), (down, facts.flags == ABSENT)):
        image, labels, flags = (column[chosen] for column in facts)
        row, label = expansion.rows(labels)
        parts.append((image.index_select(0, row), label, flags.index_select(0, row)))
    joined = Facts(*(torch.cat(column) for column in zip(*parts, strict=True)))
    order = lexsort(joined.image, joined.labels)
    return Facts(*(column.index_select(0, order) for column in joined))


class _Expansion:
    """Pairs of a label and another that goes with it, ascending, at least one."""

    def __init__(self, pairs: Sequence[tuple[int, int]], device: torch.device) -> None:
        both = constants([list(pair) for pair in pairs], device, torch.int64).reshape(-1, 2)
        self.labels, self.others = both.T.contiguous()
        self.numbers = torch.cat([self.labels, self.others]).unique()  # of labels in pairs

    def count(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The first pair of each label (n,), and how many there are."""
        first = torch.searchsorted(self.labels, labels)
        return first, torch.searchsorted(self.labels, labels, right=True) - first

    def rows(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Every row with its own label, then those with the others: index of the row and label, ``(n + copies,)``."""
        first, count = self.count(labels)
        row = owners(count, int(count.sum()))
        place = torch.arange(len(row), device=row.device) - exclusive_cumsum(count).index_select(0, row)
        other = self.others.index_select(0, first.index_select(0, row) + place)
        return torch.cat([torch.arange(len(labels), device=row.device), row]), torch.cat([labels, other])

    def row_of(self, row: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
        """Which of :meth:`rows` of ``labels`` (n,) is that of ``row`` (E,) with label ``wanted`` (E,); -1 for none."""
        first, count = self.count(labels)
        own, size = labels.index_select(0, row), len(self.numbers)
        code = self._number(self.labels) * (size + 1) + self._number(self.others)  # ascending
        pair = self._number(own) * (size + 1) + self._number(wanted)
        at = torch.searchsorted(code, pair)
        found = code[at.clamp(max=len(code) - 1)] == pair
        copy = len(labels) + exclusive_cumsum(count).index_select(0, row) + at - first.index_select(0, row)
        return torch.where(own == wanted, row, torch.where(found, copy, -1))

    def _number(self, labels: Tensor) -> Tensor:
        """The numbers of labels, ``len(numbers)`` for one that is in no pair."""
        at = torch.searchsorted(self.numbers, labels)
        known = self.numbers[at.clamp(max=len(self.numbers) - 1)] == labels
        return torch.where(known, at, len(self.numbers))
