"""What every reader of a detection state reads: images, detections, targets and the overlaps between them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from detmetrics.ragged import descending_key, distinct, invert, lexsort

T = TypeVar("T")

CROWD, IGNORE = 1, 2  # bits of a target's flags
ABSENT, PRESENT, NOT_EXHAUSTIVE = 4, 8, 16  # flags of rows that are facts about a class in an image, not targets
SCORE_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # integers count as float64
NO_SCORES = len(SCORE_DTYPES)  # stands for the dtype where detections have no scores; they count as 1
MOST_ANSWERS = 8


class Memo:
    """What was worked out from evaluation data, by question: the last ``MOST_ANSWERS`` answers are kept."""

    def __init__(self) -> None:
        self.answers: dict[Hashable, Any] = {}

    def answer(self, question: Hashable, make: Callable[[], T]) -> T:
        """The answer that is kept, or a new one."""
        if question not in self.answers:
            answer = make()
            while len(self.answers) >= MOST_ANSWERS:
                del self.answers[next(iter(self.answers))]
            self.answers[question] = answer
        known: T = self.answers[question]
        return known


class Facts(NamedTuple):
    """What is known of F pairs of image and class, by image, then by label."""

    image: Tensor  # (F,) int64, index into the keys
    labels: Tensor  # (F,) int64
    flags: Tensor  # (F,) int64: ABSENT, PRESENT or NOT_EXHAUSTIVE


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """B images, N detections, M targets and E overlaps in canonical order.

    Images are in ascending order of keys. Within an image detections are by label, then by score, descending; targets
    by label. So nothing depends on the order in which images were seen. What readers work out is kept in ``memo`` for
    all metrics that share the state.
    """

    keys: Tensor  # (B,) int64
    score_dtype: Tensor  # (B,) int64, index into SCORE_DTYPES, or NO_SCORES
    scores: Tensor  # (N,) float64
    areas: Tensor  # (N,) float64
    labels: Tensor  # (N,) int64
    image: Tensor  # (N,) int64, index into keys
    target_areas: Tensor  # (M,) float64
    target_labels: Tensor  # (M,) int64
    target_flags: Tensor  # (M,) int64
    target_image: Tensor  # (M,) int64
    overlap_detection: Tensor  # (E,) int64, index into scores
    overlap_target: Tensor  # (E,) int64, index into target_labels
    iou: Tensor  # (E,) float64
    num_duplicates: int  # repeated images that were left out
    across_classes: bool = True  # whether there may be overlaps between classes
    facts: Facts | None = None  # about classes in images; None if there are none
    order: Tensor | None = None  # (N,) int64, the places of detections in their images as given; None if not kept
    spared: Tensor | None = None  # (N,) bool, detections that are ignored where they stay unmatched; None if none is
    memo: Memo = dataclasses.field(default_factory=Memo, init=False)

    @functools.cached_property
    def classes(self) -> Tensor:
        """The labels that occur, ascending (C,)."""
        return distinct(self.labels, self.target_labels)

    @functools.cached_property
    def same_class(self) -> EvaluationData:
        """The data without the overlaps between classes."""
        if not self.across_classes:
            return self
        labels = self.labels.index_select(0, self.overlap_detection)
        same = self.with_overlaps(labels == self.target_labels.index_select(0, self.overlap_target))
        return dataclasses.replace(same, across_classes=False)

    @functools.cached_property
    def merged(self) -> EvaluationData:
        """The data with all labels 0, for matching without regard to class.

        Detections of equal score stay in the order of their labels, as in pycocotools with ``useCats=0``.
        """
        order = lexsort(self.image, descending_key(self.scores))
        return dataclasses.replace(
            self,
            scores=self.scores.index_select(0, order),
            areas=self.areas.index_select(0, order),
            labels=torch.zeros_like(self.labels),
            target_labels=torch.zeros_like(self.target_labels),
            overlap_detection=invert(order).index_select(0, self.overlap_detection),
            order=None if self.order is None else self.order.index_select(0, order),
        )

    def of_images(self, kept: Tensor) -> EvaluationData:
        """The data of some of the images, ``kept`` (B,) bool."""
        detections, targets = kept.index_select(0, self.image), kept.index_select(0, self.target_image)
        number, facts = kept.cumsum(0) - 1, self.facts
        own = self.among(detections.nonzero().squeeze(1), targets.nonzero().squeeze(1))
        if facts is not None:
            facts = Facts(*(column[kept.index_select(0, facts.image)] for column in facts))
            facts = facts._replace(image=number.index_select(0, facts.image))
        return dataclasses.replace(
            own,
            keys=self.keys[kept],
            score_dtype=self.score_dtype[kept],
            image=number.index_select(0, own.image),
            target_image=number.index_select(0, own.target_image),
            facts=facts,
        )

    def among(self, detections: Tensor, targets: Tensor) -> EvaluationData:
        """The data with some of its detections and targets, those of ascending indices (n,) and (m,)."""
        new_detection = torch.full_like(self.labels, -1)
        new_detection[detections] = torch.arange(len(detections), device=detections.device)
        new_target = torch.full_like(self.target_labels, -1)
        new_target[targets] = torch.arange(len(targets), device=targets.device)
        detection = new_detection.index_select(0, self.overlap_detection)
        target = new_target.index_select(0, self.overlap_target)
        left = ((detection >= 0) & (target >= 0)).nonzero().squeeze(1)
        own = ("scores", "areas", "labels", "image", "order", "spared")
        of_targets = ("target_areas", "target_labels", "target_flags", "target_image")
        columns: dict[str, Any] = {}
        for names, at in ((own, detections), (of_targets, targets)):
            given = {name: getattr(self, name) for name in names}
            columns |= {name: column.index_select(0, at) for name, column in given.items() if column is not None}
        return dataclasses.replace(
            self,
            **columns,
            overlap_detection=detection.index_select(0, left),
            overlap_target=target.index_select(0, left),
            iou=self.iou.index_select(0, left),
        )

    def with_overlaps(self, kept: Tensor) -> EvaluationData:
        """The data with some of its overlaps, ``kept`` (E,) bool."""
        return self.at_overlaps(kept.nonzero().squeeze(1))

    def at_overlaps(self, at: Tensor) -> EvaluationData:
        """The data with some of its overlaps, those of the indices ``at``."""
        return dataclasses.replace(
            self,
            overlap_detection=self.overlap_detection.index_select(0, at),
            overlap_target=self.overlap_target.index_select(0, at),
            iou=self.iou.index_select(0, at),
        )
