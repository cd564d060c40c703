"""The class under the metrics that count pixels or samples: label maps, scores and masks into a state of counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import checks
from detmetrics.metric import FIRST_ARRIVAL, Metric
from detmetrics.ops.counts import count_labels, count_masks, counts_of
from detmetrics.ops.ragged import run_starts
from detmetrics.ops.scores import class_mask

TASKS = ("multiclass", "binary", "multilabel")
COUNTS = 4  # tp, fp, fn, tn
Ids = Sequence[int] | Tensor | None


class Counted(NamedTuple):
    """A batch in numbers."""

    counts: Tensor  # (B, ...) int64 for each image, or (...) for all of them
    invalid: Tensor  # (2,) int64: not 0 if the predictions hold invalid values, and if the target does


class Counting:
    """How inputs become counts: checks their form, counts, and says what was wrong with their values.

    Args:
        task: ``"multiclass"``, ``"binary"`` or ``"multilabel"``.
        num_classes: C. For binary inputs None or 1.
        class_names: The names of the C classes: a list, or a dict from label to name.
        ignore_index: Values of the target whose pixels are not counted: an int, several, or None.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities.

    Raises:
        ValueError: if an argument does not fit.
    """

    def __init__(
        self,
        task: str,
        num_classes: int | None,
        class_names: Sequence[str] | Mapping[int, str] | None,
        ignore_index: int | Sequence[int] | None,
        threshold: float,
        from_logits: bool,
    ) -> None:
        checks.check_choice("task", task, TASKS)
        checks.check_bool("from_logits", from_logits)
        if task == "binary" and num_classes is None and class_names is None:
            num_classes = 1
        classes = checks.check_classes(class_names, num_classes)
        if classes is None or list(classes) != list(range(len(classes))):
            got = "neither" if classes is None else f"names for {list(classes)}"
            raise ValueError(f"num_classes: expected it, or class_names for the labels 0, 1, ..., got {got}")
        if task == "binary" and len(classes) != 1:
            raise ValueError(f"num_classes: expected None or 1 with task='binary', got {len(classes)}")
        self.task, self.num_classes = task, len(classes)
        self.names = list(classes.values())
        self.ignored = checks.check_integers("ignore_index", ignore_index)
        (self.threshold,) = checks.check_fractions("threshold", [threshold])
        self.from_logits = from_logits

    @property
    def configuration(self) -> str:
        """What the counts depend on."""
        return f"{self.task}_{self.num_classes}_{self.ignored}_{self.threshold}_{self.from_logits}"

    def excluded(self, exclude_classes: Sequence[int], device: torch.device) -> Tensor:
        """The classes that no average takes in, (C,) bool: those given, and those whose pixels are all ignored."""
        ignored = self.ignored if self.task == "multiclass" else ()
        classes = [value for value in ignored if 0 <= value < self.num_classes]
        return class_mask([*classes, *exclude_classes], self.num_classes, device)

    def check(self, preds: Tensor, target: Tensor, device: torch.device) -> None:
        """Raise a ``ValueError`` unless both have the form that the task asks for."""
        checks.check_map_tensors(preds, target, device)
        if self.task == "multiclass":
            checks.check_label_maps(preds, target, self.num_classes)
        else:
            checks.check_masks(preds, target, self.num_classes if self.task == "multilabel" else None)

    def count(self, preds: Tensor, target: Tensor, *, per_image: bool) -> Counted:
        """tp, fp, fn, tn of each class: (B, C, 4), or (C, 4) if not ``per_image``."""
        if self.task == "multiclass":
            confusion, invalid = self.confusion(preds, target, per_image=per_image)
            return Counted(counts_of(confusion), invalid)
        if self.task == "binary":
            preds, target = preds[:, None], target[:, None]  # (B, 1, ...)
        counts, invalid = count_masks(preds, target, self.ignored, self.cut, self.bounds)
        return Counted(counts if per_image else counts.sum(dim=0), invalid)

    def confusion(self, preds: Tensor, target: Tensor, *, per_image: bool) -> Counted:
        """Confusion matrices of multiclass inputs: (B, C + 1, C), or (C + 1, C) if not ``per_image``."""
        return Counted(*count_labels(preds, target, self.num_classes, self.ignored, per_image=per_image))

    def explain(self, preds: Tensor, target: Tensor) -> None:
        """Raise a ``ValueError`` that names the first invalid value, if there is one."""
        num_labels = self.num_classes if self.task == "multiclass" else 2
        checks.check_label_values("target", target, num_labels, self.ignored)
        if self.task == "multiclass" and preds.ndim > target.ndim:
            checks.check_scores(preds, -math.inf, math.inf)
        elif self.task != "multiclass" and preds.is_floating_point():
            checks.check_scores(preds, *self.bounds)
        else:
            checks.check_label_values("preds", preds, num_labels, ())

    @property
    def cut(self) -> float:
        """The score from which on a pixel counts as 1."""
        if not self.from_logits:
            return self.threshold
        if self.threshold in (0, 1):
            return math.inf if self.threshold else -math.inf
        return math.log(self.threshold) - math.log1p(-self.threshold)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what scores are valid."""
        return (-math.inf, math.inf) if self.from_logits else (0.0, 1.0)


class CountingMetric(Metric):
    """Accumulates counts: totals of a fixed size, and a row for each image that must be told apart.

    Args:
        counting: How inputs become counts.
        shape: The shape of the counts of an image.
        kind: Names that sort of counts in the configuration.
        per_image: Keep a row for each image; otherwise only for those that have an id.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    def __init__(self, counting: Counting, shape: tuple[int, ...], kind: str, per_image: bool, **kwargs: Any) -> None:
        super().__init__(f"{kind}_{'images' if per_image else 'all'}_{counting.configuration}", **kwargs)
        self._counting, self._shape, self._per_image = counting, shape, per_image
        self.num_images = self.num_duplicates = 0  # rows and repeated rows, as of the last compute()
        self.add_totals("totals", shape)
        self.add_totals("invalid", (3,))  # in preds, target and image_ids, where values are checked late
        self.add_rows("images", 1 + math.prod(shape), keyed=True)

    def update(self, preds: Tensor, target: Tensor, image_ids: Ids = None) -> None:
        """Add a batch.

        Args:
            preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts.
                binary: ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
            target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
            image_ids: A non-negative int for each image, ``(B,)``: repeated images count once. Such images are kept as
                rows.

        Raises:
            ValueError: if the batch does not fit; nothing is changed. On a GPU, values (labels out of range, NaN,
                probabilities outside [0, 1]) are found later, and every ``compute()`` raises until ``reset()``.
        """
        self._counting.check(preds, target, self.device)
        ids = None if image_ids is None else checks.check_ids(image_ids, len(target), self.device)
        per_image = self._per_image or ids is not None
        counts, invalid = self._count(preds, target, per_image)
        bad_ids = invalid.new_zeros(1) if ids is None else (ids < 0).sum()[None]
        if not checks.defers_value_checks(self.device):
            if bool(invalid.any()):
                self._counting.explain(preds, target)
            if ids is not None:
                checks.check_id_values(ids)
        self.add("invalid", torch.cat([invalid, bad_ids]))
        if not per_image:
            self._pool(counts)
            return
        if ids is None:
            ids = FIRST_ARRIVAL + self.num_rows("images") + torch.arange(len(target), device=self.device)
        self.append("images", torch.cat([ids[:, None], counts.flatten(1)], dim=1))

    def _count(self, preds: Tensor, target: Tensor, per_image: bool) -> Counted:
        return self._counting.count(preds, target, per_image=per_image)

    def _pool(self, counts: Tensor) -> None:
        """Add the counts of a batch whose images need not be told apart."""
        self.add("totals", counts)

    def _of_target(self, counts: Tensor) -> Tensor:
        """What the counts (B, ...) of images say about their targets alone, (B, ...)."""
        return counts[..., :2] + counts[..., [2, 3]]  # tp + fn, fp + tn

    def _read(self) -> Tensor:
        """The counts of all images together, (...) int64, or (B, ...) if the metric keeps them apart."""
        self._raise_invalid()
        images = self._images()
        return images if self._per_image else self.totals("totals") + images.sum(dim=0)

    def _images(self) -> Tensor:
        """The counts of the images that are kept apart, each once, (B, ...) int64."""
        counts: Tensor = self._distinct(self.rows("images"))[:, 1:].unflatten(1, self._shape)
        return counts

    def _raise_invalid(self) -> None:
        names = (
            "preds: expected labels or scores that fit",
            "target: expected labels",
            "image_ids: expected ints >= 0",
        )
        for name, count in zip(names, self.totals("invalid").tolist(), strict=True):
            if count:
                raise ValueError(f"{name}, got other values in an earlier update(); call reset() to go on")

    def _distinct(self, rows: Tensor) -> Tensor:
        """The rows with each key once, in ascending order of keys; of repeated images the least row."""
        ordered = rows.index_select(0, rows[:, 0].sort(stable=True).indices)
        repeated = ~run_starts(ordered[:, 0])
        self.num_images, self.num_duplicates = int((~repeated).sum()), int(repeated.sum())
        if not self.num_duplicates:
            return ordered
        distinct: Tensor = torch.unique(ordered, dim=0)  # sorts by all columns
        starts = run_starts(distinct[:, 0])
        targets = self._of_target(distinct[:, 1:].unflatten(1, self._shape)).flatten(1)
        other = ~starts & (targets != targets.roll(1, dims=0)).any(dim=1)
        if bool(other.any()):
            key = int(distinct[other, 0][0])
            raise ValueError(
                f"image_ids: expected one target for an id, got two images with id {key} and other targets; give tiles "
                "or crops of one image ids of their own"
            )
        return distinct[starts]


def evaluate(metric: CountingMetric, preds: Tensor, target: Tensor, image_ids: Ids) -> Any:
    """What a new metric makes of all data at once, without waiting for other processes."""
    metric.sync_on_compute = metric._to_sync = False
    if isinstance(preds, Tensor):
        metric = metric.to(preds.device)
    metric.update(preds, target, image_ids)
    return metric.compute()
