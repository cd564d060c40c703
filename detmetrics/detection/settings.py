"""What the detection metrics are asked: settings, with the values that COCO takes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from detmetrics import arguments
from detmetrics.arguments import FrozenDict, optional
from detmetrics.detection.hierarchy import parents_of
from detmetrics.reduce.averages import AGGREGATES
from detmetrics.settings import Settings

IOU_THRESHOLDS = tuple(0.5 + i * ((0.95 - 0.5) / 9) for i in range(10))  # numpy.linspace(.5, .95, 10), to the last bit
RECALL_POINTS = tuple(i * 0.01 for i in range(101))  # numpy.linspace(0, 1, 101), to the last bit
MAX_DETECTIONS = (1, 10, 100)
AREA_RANGES = FrozenDict({"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)})
ALL_AREAS = (0.0, 1e10)
OF_KEYPOINTS = {  # what COCO asks of keypoints alone
    "max_detection_thresholds": (20,),
    "area_ranges": {name: bounds for name, bounds in AREA_RANGES.items() if name != "small"},
    "recall_by_threshold": True,
}
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}  # in how many images of the training set a class is
NORMALIZE = {"true": (1,), "pred": (0,), "all": (0, 1)}  # the axes of a confusion matrix that sum to 1

_NAMED_AREAS = {"all": ALL_AREAS, **AREA_RANGES}
_area_range = functools.partial(arguments.area_range, choices=tuple(_NAMED_AREAS))


def _frequencies(name: str, value: Any) -> FrozenDict[int, str]:
    """The name of a group of frequencies by label, from such names or LVIS's letters."""
    expected = f"a dict from label to one of {(*FREQUENCIES, *FREQUENCIES.values())}"
    if not isinstance(value, Mapping):
        raise arguments.fail(name, expected, value)
    for label, frequency in value.items():
        known = isinstance(frequency, str) and (frequency in FREQUENCIES or frequency in FREQUENCIES.values())
        if not known or not isinstance(arguments.plain(label), int):
            raise ValueError(f"{name}: expected {expected}, got {label!r}: {frequency!r}")
    named = {int(label): str(FREQUENCIES.get(frequency, frequency)) for label, frequency in value.items()}
    return FrozenDict(dict(sorted(named.items())))


@dataclass(frozen=True, kw_only=True)
class ClassSettings(Settings):
    """Which classes there are, and what stands for 0/0."""

    num_classes: Annotated[int | None, optional(arguments.limit)] = None
    class_names: Annotated[FrozenDict[int, str] | None, optional(arguments.class_names)] = None
    class_agnostic: Annotated[bool, arguments.boolean] = False
    zero_division: Annotated[float, arguments.zero_division] = float("nan")

    def check(self) -> None:
        """Raise unless names and number of classes agree."""
        arguments.classes(self.class_names, self.num_classes)

    @property
    def declared(self) -> FrozenDict[int, str] | None:
        """The names of the declared classes by label; without names they are called by their labels."""
        return arguments.classes(self.class_names, self.num_classes)

    @property
    def names_results(self) -> bool:
        """Whether results per class are called by names that the user gave."""
        return self.class_names is not None and not self.class_agnostic


@dataclass(frozen=True, kw_only=True)
class MeanAveragePrecisionSettings(ClassSettings):
    """What :class:`detmetrics.MeanAveragePrecision` is asked."""

    iou_thresholds: Annotated[tuple[float, ...], arguments.overlap_thresholds] = IOU_THRESHOLDS
    rec_thresholds: Annotated[tuple[float, ...], arguments.fractions] = RECALL_POINTS
    max_detection_thresholds: Annotated[tuple[int, ...], arguments.limits] = MAX_DETECTIONS
    area_ranges: Annotated[FrozenDict[str, tuple[float, float]], arguments.area_ranges] = AREA_RANGES
    class_metrics: Annotated[bool, arguments.boolean] = False
    extended_summary: Annotated[bool, arguments.boolean] = False
    recall_by_threshold: Annotated[bool, arguments.boolean] = False  # at .5 and .75, which COCO gives for keypoints

    @property
    def lowest_overlap(self) -> float:
        """The smallest overlap that is asked about."""
        return min(self.iou_thresholds)


@dataclass(frozen=True, kw_only=True)
class LVISSettings(ClassSettings):
    """What :class:`detmetrics.LVISAveragePrecision` is asked."""

    iou_thresholds: Annotated[tuple[float, ...], arguments.overlap_thresholds] = IOU_THRESHOLDS
    rec_thresholds: Annotated[tuple[float, ...], arguments.fractions] = RECALL_POINTS
    max_detections_per_image: Annotated[int, arguments.limit] = 300
    area_ranges: Annotated[FrozenDict[str, tuple[float, float]], arguments.area_ranges] = AREA_RANGES
    class_metrics: Annotated[bool, arguments.boolean] = False
    extended_summary: Annotated[bool, arguments.boolean] = False
    frequencies: Annotated[FrozenDict[int, str] | None, optional(_frequencies)] = None

    def check(self) -> None:
        """Raise unless results go by class."""
        super().check()
        if self.class_agnostic:
            raise arguments.fail("class_agnostic", "False: what is known of an image is known of classes", True)

    @property
    def lowest_overlap(self) -> float:
        """The smallest overlap that is asked about."""
        return min(self.iou_thresholds)

    @property
    def of_coco(self) -> MeanAveragePrecisionSettings:
        """What COCO's reader is asked, of what counts in an image."""
        shared = [field.name for field in dataclasses.fields(MeanAveragePrecisionSettings) if hasattr(self, field.name)]
        limits = (self.max_detections_per_image,)
        return MeanAveragePrecisionSettings(
            **{name: getattr(self, name) for name in shared}, max_detection_thresholds=limits
        )


@dataclass(frozen=True, kw_only=True)
class OpenImagesSettings(ClassSettings):
    """What :class:`detmetrics.OpenImagesAveragePrecision` is asked."""

    iou_threshold: Annotated[float, arguments.overlap_threshold] = 0.5
    class_metrics: Annotated[bool, arguments.boolean] = False
    hierarchy: Any = None  # checked below, with the classes

    def check(self) -> None:
        """Raise unless results go by class, and the hierarchy is one of the classes."""
        super().check()
        if self.class_agnostic:
            raise arguments.fail("class_agnostic", "False: what is known of an image is known of classes", True)
        if self.hierarchy is not None:
            self.set_plain("hierarchy", parents_of("hierarchy", self.hierarchy, self.declared))

    @property
    def lowest_overlap(self) -> float:
        """The smallest overlap that is asked about."""
        return self.iou_threshold


@dataclass(frozen=True, kw_only=True)
class OneThresholdSettings(ClassSettings):
    """What metrics are asked that match at one IoU threshold."""

    iou_threshold: Annotated[float, arguments.overlap_threshold] = 0.5
    max_detections: Annotated[int | None, optional(arguments.limit)] = None
    area_range: Annotated[str | tuple[float, float], _area_range] = "all"

    @property
    def area_bounds(self) -> tuple[float, float]:
        """The inclusive bounds of the area range, in square pixels."""
        return _NAMED_AREAS[self.area_range] if isinstance(self.area_range, str) else self.area_range

    @property
    def lowest_overlap(self) -> float:
        """The smallest overlap that is asked about."""
        return self.iou_threshold


@dataclass(frozen=True, kw_only=True)
class OperatingPointSettings(OneThresholdSettings):
    """What metrics are asked that count the detections from one score on."""

    score_threshold: Annotated[float, arguments.number] = 0.5


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(OperatingPointSettings):
    """What precision, recall and F-score are asked: also how to average them."""

    average: Annotated[str, arguments.one_of("micro", "macro", "weighted", "none")] = "micro"
    aggregate: Annotated[str, arguments.one_of(*AGGREGATES)] = "dataset"
    class_weights: Any = None  # checked below, with the classes
    beta: Annotated[float, arguments.positive] = 1.0

    def check(self) -> None:
        """Raise unless classes, weights and reduction fit one another."""
        super().check()
        if self.average not in AGGREGATES[self.aggregate]:
            expected = f"one of {tuple(AGGREGATES[self.aggregate])} with aggregate={self.aggregate!r}"
            raise arguments.fail("average", expected, self.average)
        if self.class_weights is not None:
            number = None if self.declared is None else len(self.declared)
            weights = arguments.class_weights("class_weights", self.class_weights, number, self.average)
            self.set_plain("class_weights", weights)


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrixSettings(OperatingPointSettings):
    """What :class:`detmetrics.DetectionConfusionMatrix` is asked."""

    normalize: Annotated[str | None, arguments.one_of(None, *NORMALIZE)] = None

    def check(self) -> None:
        """Raise unless classes are declared."""
        super().check()
        if self.declared is None or self.class_agnostic:
            raise ValueError(
                "num_classes: expected num_classes or class_names, and class_agnostic=False, got classes "
                f"{self.declared} and class_agnostic={self.class_agnostic}"
            )


@dataclass(frozen=True, kw_only=True)
class VOCSettings(OneThresholdSettings):
    """What :class:`detmetrics.VOCAveragePrecision` is asked."""

    style: Annotated[str, arguments.one_of("area", "07")] = "area"
    class_metrics: Annotated[bool, arguments.boolean] = False


@dataclass(frozen=True, kw_only=True)
class CurvesSettings(OneThresholdSettings):
    """What :class:`detmetrics.DetectionCurves` is asked."""

    beta: Annotated[float, arguments.positive] = 1.0


@dataclass(frozen=True, kw_only=True)
class ReportSettings(OperatingPointSettings):
    """What :class:`detmetrics.DetectionReport` is asked."""

    matched_only: Annotated[bool, arguments.boolean] = False

    def check(self) -> None:
        """Raise unless pairs of classes can be reported."""
        super().check()
        if self.matched_only and self.class_agnostic:
            raise ValueError("matched_only: expected class_agnostic=False with it, got class_agnostic=True")
