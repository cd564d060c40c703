"""What the classification report is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from detmetrics import arguments
from detmetrics.classification.counting import SampleCounting
from detmetrics.segmentation.settings import CountingSettings


@dataclass(frozen=True, kw_only=True)
class ClassificationReportSettings(CountingSettings):
    """What :class:`detmetrics.ClassificationReport` is asked."""

    labels: Any = None  # a tuple of ints once it was checked
    target_names: Any = None  # a tuple of names, or None; checked below with the labels
    digits: Annotated[int, arguments.count] = 2

    def check(self) -> None:
        """Raise unless the number of classes, the labels and their names fit one another."""
        self.set_plain("num_classes", self._find_num_classes())
        self.set_plain("labels", arguments.label_order("labels", self.labels, self.num_classes))
        if self.target_names is not None:
            self.set_plain("target_names", arguments.names("target_names", self.target_names, self.labels))

    def _find_num_classes(self) -> int:
        """The number of classes as it was given, or as many as the task, the labels or their names need."""
        if self.num_classes is not None:
            return int(self.num_classes)
        if self.task == "binary":
            return 2
        if self.labels is not None:
            return int(max(arguments.integers("labels", self.labels), default=0)) + 1
        if self.target_names is not None:
            return len(arguments.listing("target_names", self.target_names, "names"))
        raise ValueError("num_classes: expected it, or labels or target_names, got none of them")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the labels that are reported; without names the labels themselves."""
        return arguments.names("target_names", self.target_names, self.labels)

    @property
    def counting(self) -> SampleCounting:
        """How inputs become counts; of multilabel samples only the reported labels are counted."""
        return SampleCounting(**self.counted, labels=tuple(sorted(self.labels)) if self.task == "multilabel" else ())
