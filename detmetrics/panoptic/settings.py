"""What panoptic metrics are asked, and all that the meaning of their rows depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from detmetrics import arguments
from detmetrics.arguments import FrozenDict, optional
from detmetrics.count.repeats import DUPLICATES
from detmetrics.settings import Settings

LEAST = 0.5  # of an IoU, from which on a match is unique


def match_threshold(name: str, value: Any) -> float:
    """An IoU in [.5, 1) that a match must exceed."""
    checked = arguments.number(name, value)
    if not LEAST <= checked < 1:
        raise arguments.fail(name, "a number in [0.5, 1): matches are unique above an IoU of .5", value)
    return checked


@dataclass(frozen=True, kw_only=True)
class StateConfiguration:
    """All that the meaning of the rows depends on."""

    things: tuple[int, ...]
    stuffs: tuple[int, ...]
    allow_unknown_preds_category: bool = False
    boundary: bool = False
    duplicates: str = "drop"
    single_class: bool = False  # maps are of instances of one class, and 0 is the background, a stuff
    void_on_both_sides: bool = False  # see match_segments(): as torchmetrics has it

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of all classes, ascending: rows hold indices into them."""
        return tuple(sorted(self.things + self.stuffs))


@dataclass(frozen=True, kw_only=True)
class PanopticSettings(Settings):
    """What :class:`detmetrics.PanopticQuality` is asked."""

    things: Any = ()  # labels, once they were checked
    stuffs: Any = ()
    class_names: Annotated[FrozenDict[int, str] | None, optional(arguments.class_names)] = None
    threshold: Annotated[float, match_threshold] = LEAST
    class_metrics: Annotated[bool, arguments.boolean] = True
    zero_division: Annotated[float, arguments.zero_division] = float("nan")
    boundary: Annotated[bool, arguments.boolean] = False
    allow_unknown_preds_category: Annotated[bool, arguments.boolean] = False
    duplicates: Annotated[str, arguments.one_of(*DUPLICATES)] = "drop"

    def check(self) -> None:
        """Raise unless things and stuffs are distinct classes, each with a name if there are names."""
        for name in ("things", "stuffs"):
            self.set_plain(name, _labels(name, getattr(self, name), self.class_names))
        both = sorted(set(self.things) & set(self.stuffs))
        if both:
            raise ValueError(f"stuffs: expected other classes than things, got {both} in both")
        if not self.things and not self.stuffs:
            raise ValueError("things: expected a class in things or stuffs, got none")
        unnamed = [] if self.class_names is None else sorted({*self.things, *self.stuffs} - set(self.class_names))
        if unnamed:
            raise ValueError(f"class_names: expected names for all things and stuffs, got none for {unnamed}")

    @property
    def configuration(self) -> StateConfiguration:
        """What a state depends on."""
        return StateConfiguration(
            things=self.things,
            stuffs=self.stuffs,
            allow_unknown_preds_category=self.allow_unknown_preds_category,
            boundary=self.boundary,
            duplicates=self.duplicates,
        )

    @property
    def names(self) -> list[str]:
        """The names of the C classes in the order of their labels; without names they are called by their labels."""
        labels = self.configuration.labels
        return [str(label) if self.class_names is None else self.class_names[label] for label in labels]


def _labels(name: str, values: Any, class_names: FrozenDict[int, str] | None) -> tuple[int, ...]:
    """Labels in ascending order, given as such or as names."""
    values = arguments.plain(values)
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise arguments.fail(name, "labels or names of classes", values)
    by_name = {} if class_names is None else {title: label for label, title in class_names.items()}
    listed = list(values)
    unknown = [value for value in listed if isinstance(value, str) and value not in by_name]
    if unknown:
        raise arguments.fail(name, f"labels, or names among class_names {list(by_name)}", unknown)
    labels = [by_name[value] if isinstance(value, str) else value for value in listed]
    return tuple(arguments.integers(name, labels))


def match_thresholds(name: str, values: Any) -> tuple[float, ...]:
    """Distinct IoUs in [.5, 1] that a match must reach, ascending, at least one."""
    expected = "numbers in [0.5, 1]: matches are unique from an IoU of .5 on"
    checked = [arguments.number(name, value) for value in arguments.listing(name, values, expected)]
    if not all(LEAST <= value <= 1 for value in checked):
        raise arguments.fail(name, expected, values)
    return tuple(sorted(set(checked)))


@dataclass(frozen=True, kw_only=True)
class InstanceSettings(Settings):
    """What :class:`detmetrics.InstanceQuality` is asked."""

    thresholds: Annotated[tuple[float, ...], match_thresholds]
    aggregate: Annotated[str, arguments.one_of("dataset", "imagewise")] = "dataset"
    zero_division: Annotated[float, arguments.zero_division] = float("nan")
    duplicates: Annotated[str, arguments.one_of(*DUPLICATES)] = "drop"

    @property
    def configuration(self) -> StateConfiguration:
        """What a state depends on: the background is a stuff, so that its pixels stay in unions."""
        return StateConfiguration(things=(1,), stuffs=(0,), duplicates=self.duplicates, single_class=True)
