"""What the metrics of pixels are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from detmetrics import arguments
from detmetrics.arguments import FrozenDict, optional
from detmetrics.count.repeats import DUPLICATES
from detmetrics.reduce.averages import AGGREGATES, AVERAGES
from detmetrics.segmentation.counting import TASKS, Counting
from detmetrics.settings import Settings

NORMALIZATIONS: dict[str | None, tuple[int, ...]] = {None: (), "true": (-1,), "pred": (-2,), "all": (-2, -1)}  # axes


@dataclass(frozen=True, kw_only=True)
class CountingSettings(Settings):
    """How inputs are counted, and what stands for 0/0."""

    task: Annotated[str, arguments.one_of(*TASKS)] = "multiclass"
    num_classes: Annotated[Any, optional(arguments.limit)] = None  # an int once it was checked
    ignore_index: Annotated[tuple[int, ...], arguments.integers] = ()
    zero_division: Annotated[float, arguments.zero_division] = float("nan")
    threshold: Annotated[float, arguments.fraction] = 0.5
    from_logits: Annotated[bool, arguments.boolean] = False
    duplicates: Annotated[str, arguments.one_of(*DUPLICATES)] = "drop"

    @classmethod
    def of(cls, **given: Any) -> Any:
        """The settings that arguments make in any form that their checkers take."""
        return cls(**given)

    @property
    def counting(self) -> Counting:
        """How inputs become counts."""
        return Counting(**self.counted)

    @property
    def counted(self) -> dict[str, Any]:
        """What counting depends on. Labels are not compared with a threshold, so it is none of theirs."""
        fields = {name: getattr(self, name) for name in ("task", "num_classes", "ignore_index", "duplicates")}
        if self.task == "multiclass":
            return fields
        return {**fields, "threshold": self.threshold, "from_logits": self.from_logits}

    @property
    def ignored_classes(self) -> tuple[int, ...]:
        """The classes all of whose pixels are ignored."""
        if not self.counting.has_label_maps:
            return ()
        return tuple(value for value in self.ignore_index if 0 <= value < self.num_classes)


@dataclass(frozen=True, kw_only=True)
class SegmentationSettings(CountingSettings):
    """The declared classes too."""

    class_names: Annotated[FrozenDict[int, str] | None, optional(arguments.class_names)] = None

    def check(self) -> None:
        """Raise unless the classes are declared, and are as many as the task has."""
        undeclared = self.num_classes is None and self.class_names is None
        number = 1 if self.task == "binary" and undeclared else self.num_classes
        classes = arguments.classes(self.class_names, number)
        if classes is None:
            raise ValueError("num_classes: expected it, or class_names for the labels 0, 1, ..., got neither")
        if list(classes) != list(range(len(classes))):
            raise ValueError(
                f"class_names: expected names for the labels 0, 1, ..., got names for {list(classes)}; name the labels "
                "between too, such as {0: 'background', ...}, and leave them out with exclude_classes"
            )
        if self.task == "binary" and len(classes) != 1:
            raise ValueError(f"num_classes: expected None or 1 with task='binary', got {len(classes)}")
        self.set_plain("num_classes", len(classes))

    @property
    def names(self) -> list[str]:
        """The names of the C classes; without names they are called by their labels."""
        classes = arguments.classes(self.class_names, self.num_classes)
        return [] if classes is None else list(classes.values())


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrixSettings(SegmentationSettings):
    """What :class:`detmetrics.SegmentationConfusionMatrix` is asked."""

    normalize: Annotated[str | None, arguments.one_of(*NORMALIZATIONS)] = None

    @property
    def counting(self) -> Counting:
        """Label maps are counted in matrices. Those of masks are made of tp, fp, fn, tn."""
        return Counting(**self.counted, matrices=self.task == "multiclass")


@dataclass(frozen=True, kw_only=True)
class ReportSettings(SegmentationSettings):
    """What :class:`detmetrics.SegmentationReport` is asked: also which classes its averages take in."""

    exclude_classes: Annotated[tuple[int, ...], arguments.integers] = ()

    def check(self) -> None:
        """Raise unless the excluded classes are among the declared ones."""
        super().check()
        arguments.labels("exclude_classes", self.exclude_classes, self.num_classes)

    @property
    def excluded(self) -> tuple[int, ...]:
        """The classes that no average takes in."""
        return (*self.ignored_classes, *self.exclude_classes)


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(ReportSettings):
    """What a score is asked: also how to average it."""

    average: Annotated[str, arguments.one_of(*AVERAGES)] = "macro"
    aggregate: Annotated[str, arguments.one_of(*AGGREGATES)] = "dataset"
    class_weights: Any = None  # a tuple of numbers, or None; checked below with the classes
    beta: Annotated[float, arguments.positive] = 1.0  # of F-beta

    def check(self) -> None:
        """Raise unless classes, weights and reduction fit one another."""
        super().check()
        check_reduction(self.average, self.aggregate)
        if self.class_weights is not None:
            weights = arguments.class_weights("class_weights", self.class_weights, self.num_classes, self.average)
            self.set_plain("class_weights", weights)

    @property
    def counting(self) -> Counting:
        """Averages over images need the counts of each image."""
        return Counting(**self.counted, per_image=self.aggregate != "dataset")


def check_reduction(average: str, aggregate: str) -> None:
    """Raise unless the average goes with the aggregate."""
    if average not in AGGREGATES[aggregate]:
        raise arguments.fail("average", f"one of {AGGREGATES[aggregate]} with aggregate={aggregate!r}", average)
