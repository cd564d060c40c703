"""What the metrics of surfaces are asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from detmetrics import arguments
from detmetrics.arguments import optional
from detmetrics.reduce.averages import AGGREGATES, AVERAGES
from detmetrics.segmentation.counting import Counting
from detmetrics.segmentation.settings import ScoreSettings
from detmetrics.segmentation.surface_counting import (
    DEFINITIONS,
    EMPTY,
    AverageDistanceCounting,
    HausdorffCounting,
    SurfaceDiceCounting,
)


def spacing(name: str, value: Any) -> float | tuple[float, ...]:
    """A positive number, or one for each axis."""
    if isinstance(arguments.plain(value), Iterable):
        return tuple(arguments.positive(name, number) for number in arguments.listing(name, value, "positive numbers"))
    checked: float = arguments.positive(name, value)
    return checked


def percentage(name: str, value: Any) -> float:
    """A number above 0, and 100 at most."""
    checked: float = arguments.positive(name, value)
    if checked > 100:
        raise arguments.fail(name, "a number above 0, and 100 at most", value)
    return checked


def tolerance(name: str, value: Any) -> float | tuple[float, ...]:
    """A finite number of 0 or more, or several."""
    several = isinstance(arguments.plain(value), Iterable)
    listed = arguments.listing(name, value, "numbers of 0 or more") if several else [value]
    checked = tuple(arguments.number(name, number) for number in listed)
    if min(checked) < 0:
        raise arguments.fail(name, "numbers of 0 or more", value)
    return checked if several else checked[0]


@dataclass(frozen=True, kw_only=True)
class SurfaceSettings(ScoreSettings):
    """What all of them are asked."""

    aggregate: Annotated[str, arguments.one_of(*AGGREGATES)] = "classwise"
    definition: Annotated[str, arguments.one_of(*DEFINITIONS)] = DEFINITIONS[0]
    spacing: Annotated[Any, optional(spacing)] = None

    @property
    def measured(self) -> dict[str, Any]:
        """What the statistics of surfaces depend on."""
        return {**self.counted, "definition": self.definition, "spacing": self.spacing}


@dataclass(frozen=True, kw_only=True)
class HausdorffSettings(SurfaceSettings):
    """What :class:`detmetrics.HausdorffDistance` is asked."""

    percentile: Annotated[float | None, optional(percentage)] = None
    directed: Annotated[bool, arguments.boolean] = False
    empty: Annotated[str, arguments.one_of(*EMPTY)] = EMPTY[0]

    def check(self) -> None:
        """Raise unless the reduction is one of distances: they cannot be pooled."""
        if self.aggregate == "dataset":
            others = tuple(name for name in AGGREGATES if name != "dataset")
            raise arguments.fail("aggregate", f"one of {others}, as distances cannot be pooled", self.aggregate)
        if self.average == "micro":
            others = tuple(name for name in AVERAGES if name != "micro")
            raise arguments.fail("average", f"one of {others}, as distances cannot be pooled", self.average)
        super().check()

    @property
    def counting(self) -> Counting:
        """How the surfaces of an image are measured."""
        return HausdorffCounting(**self.measured, percentile=self.percentile, directed=self.directed, empty=self.empty)


@dataclass(frozen=True, kw_only=True)
class SurfaceDiceSettings(SurfaceSettings):
    """What :class:`detmetrics.SurfaceDice` is asked."""

    tolerance: Annotated[Any, tolerance] = 1.0

    def check(self) -> None:
        """Raise unless several tolerances are one for each class."""
        super().check()
        if isinstance(self.tolerance, tuple) and len(self.tolerance) != self.num_classes:
            raise arguments.fail("tolerance", f"a number, or {self.num_classes}, one for each class", self.tolerance)

    @property
    def counting(self) -> Counting:
        """How the surfaces of an image are measured."""
        return SurfaceDiceCounting(**self.measured, tolerance=self.tolerance)


@dataclass(frozen=True, kw_only=True)
class AverageSurfaceDistanceSettings(SurfaceSettings):
    """What :class:`detmetrics.AverageSurfaceDistance` is asked."""

    symmetric: Annotated[bool, arguments.boolean] = True
    empty: Annotated[str, arguments.one_of(*EMPTY)] = EMPTY[0]

    @property
    def counting(self) -> Counting:
        """How the surfaces of an image are measured."""
        return AverageDistanceCounting(**self.measured, symmetric=self.symmetric, empty=self.empty)
