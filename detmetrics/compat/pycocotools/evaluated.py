"""What an evaluation found, in the forms that pycocotools keeps it in."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detmetrics.compat.pycocotools import entries as making
from detmetrics.compat.pycocotools.entries import Entry
from detmetrics.compat.pycocotools.params import Params
from detmetrics.compat.pycocotools.problem import Problem
from detmetrics.match.coco import Matches, match
from detmetrics.match.evaluation_data import EvaluationData


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A problem with its matches; what is made of them is made when it is first asked for."""

    problem: Problem
    params: Params

    def with_ious(self, ious: Mapping[tuple[Any, Any], Any]) -> Evaluated:
        """The same with given overlaps, by image id and category id."""
        return Evaluated(self.problem._replace(ious=ious), self.params)

    @functools.cached_property
    def data(self) -> EvaluationData:
        """What matching and accumulating read."""
        return self.problem.data()

    @functools.cached_property
    def matches(self) -> Matches:
        """The matches under all area ranges and thresholds."""
        return match(self.data, self.problem.thresholds, self.problem.areas)

    @functools.cached_property
    def entries(self) -> list[Entry | None]:
        """``evalImgs``: by category, area range and image."""
        cells = making.filled_cells(self.problem)
        return making.make_entries(self.problem, cells, self.data, self.matches, self.params)

    @functools.cached_property
    def ious(self) -> dict[tuple[Any, Any], Any]:
        """Overlaps by image id and category id."""
        return making.make_ious(self.problem, making.filled_cells(self.problem))

    @functools.cached_property
    def _positions(self) -> tuple[dict[Any, int], dict[Any, int], dict[tuple[float, ...], int]]:
        images, classes, areas = (
            {key: position for position, key in enumerate(keys)}
            for keys in (self.problem.images, self.problem.classes, self.problem.areas)
        )
        return images, classes, areas

    def has(self, image: Any, label: Any, area: Any, limit: int) -> bool:
        """Whether there is an entry, or a None for one, for an image, a class, an area range and a limit."""
        keys = zip((image, label, tuple(area)), self._positions, strict=True)
        return limit == self.params.maxDets[-1] and all(key in positions for key, positions in keys)

    def entry(self, image: Any, label: Any, area: Any) -> Entry | None:
        """The entry of an image, a class and an area range, among those that there are."""
        images, classes, areas = self._positions
        return self.entries[(classes[label] * len(areas) + areas[tuple(area)]) * len(images) + images[image]]


def of_cell(params: Params, image: Any, label: Any) -> Params:
    """The parameters for one image, and with ``useCats`` one category."""
    own = copy.copy(params)
    own.imgIds = [image]
    if params.useCats:
        own.catIds = [label]
    return own
