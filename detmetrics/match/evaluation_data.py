"""What every reader of a detection state reads: images, detections, targets and the overlaps between them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from detmetrics.match.images import Images
from detmetrics.ragged import descending_key, distinct, invert, lexsort, occurrences, rank_in_run, run_starts

T = TypeVar("T")

CROWD, IGNORE = 1, 2  # bits of a target's flags
ABSENT, PRESENT, NOT_EXHAUSTIVE = 4, 8, 16  # flags of rows that are facts about a class in an image, not targets
OF_DETECTIONS = ("scores", "areas", "labels", "image", "order", "spared")
OF_TARGETS = ("target_areas", "target_labels", "target_flags", "target_image")
SCORE_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # integers count as float64
NO_SCORES = len(SCORE_DTYPES)  # stands for the dtype where detections have no scores; they count as 1
MOST_ANSWERS = 8


class Memo:
    """What was worked out from evaluation data, by question: the last ``MOST_ANSWERS`` answers are kept.

    Args:
        source: Whose answers serve here, too, if they have a method ``carried_to``, which is given ``taken``.
        taken: The images of the source that this memo is about.
    """

    def __init__(self, source: Memo | None = None, taken: Images | None = None) -> None:
        self.answers: dict[Hashable, Any] = {}
        self._source, self._taken = source, taken

    def questions(self) -> list[Hashable]:
        """What is known."""
        return [*self.answers, *(self._source.questions() if self._source else ())]

    def answer(self, question: Hashable, make: Callable[[], T]) -> T:
        """The answer that is kept, or a new one."""
        if question not in self.answers:
            answer = self._carried_over(question)
            answer = make() if answer is None else answer
            while len(self.answers) >= MOST_ANSWERS:
                del self.answers[next(iter(self.answers))]
            self.answers[question] = answer
        known: T = self.answers[question]
        return known

    def _carried_over(self, question: Hashable) -> Any:
        """The answer of the source for the images that were taken; None if it has none."""
        if self._source is None:
            return None
        source = self._source
        known = source.answers[question] if question in source.answers else source._carried_over(question)
        return known.carried_to(self._taken) if hasattr(known, "carried_to") else None


class Facts(NamedTuple):
    """What is known of F pairs of image and class, by image, then by label."""

    image: Tensor  # (F,) int64, index into the keys
    labels: Tensor  # (F,) int64
    flags: Tensor  # (F,) int64: ABSENT, PRESENT or NOT_EXHAUSTIVE


class Ties(NamedTuple):
    """Where detections are among those of their image, class and score."""

    place: Tensor  # (N,) int64, from 0
    number: Tensor  # (N,) int64, how many there are


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
    taken: Images | None = dataclasses.field(default=None, init=False)  # what these images were taken from

    @functools.cached_property
    def classes(self) -> Tensor:
        """The labels that occur, ascending (C,)."""
        return distinct(self.labels, self.target_labels)

    @functools.cached_property
    def ties(self) -> Ties | None:
        """Detections of one image and class with equal scores, which are neighbours; None if there are none."""
        starts = run_starts(self.image, self.labels, descending_key(self.scores))
        if bool(starts.all()):
            return None
        count = occurrences(starts.cumsum(0) - 1, int(starts.sum()))
        return Ties(rank_in_run(starts), torch.repeat_interleave(count, count, output_size=len(starts)))

    @functools.cached_property
    def same_class(self) -> EvaluationData:
        """The data without the overlaps between classes."""
        if not self.across_classes:
            return self
        if self.taken is not None:
            return self.taken.data.same_class.at_images(self.taken.images)
        labels = self.labels.index_select(0, self.overlap_detection)
        same = self.with_overlaps(labels == self.target_labels.index_select(0, self.overlap_target))
        return dataclasses.replace(same, across_classes=False)

    @functools.cached_property
    def merged(self) -> EvaluationData:
        """The data with all labels 0, for matching without regard to class.

        Detections of equal score stay in the order of their labels, as in pycocotools with ``useCats=0``.
        """
        if self.taken is not None:
            return self.taken.data.merged.at_images(self.taken.images)
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
        """The data of some of the images, ``kept`` (B,) bool, as if there were no others: its classes are its own."""
        return dataclasses.replace(self.at_images(kept.nonzero().squeeze(1)))

    def at_images(self, images: Tensor) -> EvaluationData:
        """The data of images ``(n,)``, ascending indices; an image that comes twice counts twice.

        The classes stay those of all images. Answers in the memo are carried over instead of worked out again: what a
        detection takes depends on its image alone.
        """
        taken, facts = Images(self, images), self.facts
        overlaps = taken.rows(self.image.index_select(0, self.overlap_detection))
        if facts is not None:
            own = taken.rows(facts.image)
            facts = Facts(own.image, *(column.index_select(0, own.at) for column in facts[1:]))
        detection, target = (x.index_select(0, overlaps.at) for x in (self.overlap_detection, self.overlap_target))
        columns = self._columns(taken.detections.at, taken.targets.at)
        data = dataclasses.replace(
            self,
            **{**columns, "image": taken.detections.image, "target_image": taken.targets.image},
            keys=self.keys.index_select(0, images),
            score_dtype=self.score_dtype.index_select(0, images),
            overlap_detection=taken.renumbered_detections(detection, overlaps.image),
            overlap_target=taken.renumbered_targets(target, overlaps.image),
            iou=self.iou.index_select(0, overlaps.at),
            facts=facts,
        )
        vars(data).update(classes=self.classes, taken=taken, memo=Memo(self.memo, taken))
        return data

    def carried_to(self, taken: Images) -> EvaluationData:
        """Data that was made of other data image by image, for the images that were taken of that."""
        return self.at_images(taken.images)

    def _columns(self, detections: Tensor, targets: Tensor) -> dict[str, Any]:
        """The columns of some detections and targets, indices (n,) and (m,)."""
        columns: dict[str, Any] = {}
        for names, at in ((OF_DETECTIONS, detections), (OF_TARGETS, targets)):
            given = {name: getattr(self, name) for name in names}
            columns |= {name: column.index_select(0, at) for name, column in given.items() if column is not None}
        return columns

    def among(self, detections: Tensor, targets: Tensor) -> EvaluationData:
        """The data with some of its detections and targets, those of ascending indices (n,) and (m,)."""
        new_detection = torch.full_like(self.labels, -1)
        new_detection[detections] = torch.arange(len(detections), device=detections.device)
        new_target = torch.full_like(self.target_labels, -1)
        new_target[targets] = torch.arange(len(targets), device=targets.device)
        detection = new_detection.index_select(0, self.overlap_detection)
        target = new_target.index_select(0, self.overlap_target)
        left = ((detection >= 0) & (target >= 0)).nonzero().squeeze(1)
        return dataclasses.replace(
            self,
            **self._columns(detections, targets),
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
