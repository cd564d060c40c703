"""From two ``COCO`` objects to evaluation data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from detmetrics.compat.pycocotools.keypoints import keypoint_overlaps
from detmetrics.compat.pycocotools.lists import ByCell, chosen, given_overlaps
from detmetrics.compat.pycocotools.params import Params
from detmetrics.compat.pycocotools.results import Ann
from detmetrics.match.coco import SUFFICIENT, AreaRange
from detmetrics.match.evaluation_data import CROWD, IGNORE, EvaluationData
from detmetrics.overlap.boxes import find_overlaps
from detmetrics.overlap.mask_words import MASK_BUDGET
from detmetrics.overlap.masks import measure_masks
from detmetrics.overlap.similarity import Overlaps, Request
from detmetrics.ragged import descending_key, lexsort, ranges, rank_in_run, run_starts

CPU = torch.device("cpu")
Chosen = tuple[list[Ann], Tensor, Tensor]  # annotations, and the indices of their images and categories


class Side(NamedTuple):
    """The detections or the targets, by image, then by class; detections then by score, descending."""

    coco: Any
    anns: list[Ann]
    image: Tensor  # (n,) int64, index into the images
    label: Tensor  # (n,) int64, index into the classes
    cell: Tensor  # (n,) int64, image and label as one number, ascending


class Problem(NamedTuple):
    """What is evaluated. A cell is an image and a class; its number is image * C + class."""

    images: list[Any]  # B ids
    classes: list[Any]  # C ids, or -1 alone
    iou_type: str
    thresholds: list[float]  # T
    areas: list[AreaRange]  # A
    detections: Side
    targets: Side
    ious: Mapping[tuple[Any, Any], Any] | None = None  # overlaps by image id and class id, if they are given
    sigmas: tuple[float, ...] = ()  # of keypoints
    own_ignore: bool = False  # whether ``ignore`` of a target is read; else crowd regions alone are ignored

    def overlaps(self, floor: float) -> Overlaps:
        """The overlaps within cells of at least ``floor`` and above 0, by target, then by detection."""
        if self.ious is not None:
            keys = list(itertools.product(self.images, self.classes))
            return given_overlaps(self.ious, keys, (self.detections.cell, self.targets.cell), floor)
        if not self.compares:
            return Overlaps(*(torch.zeros(0, dtype=dtype) for dtype in (torch.int64, torch.int64, torch.float64)))
        find = {"bbox": _box_overlaps, "keypoints": _keypoint_overlaps}.get(self.iou_type, _mask_overlaps)
        return find(self, floor)

    @property
    def compares(self) -> bool:
        """Whether there are overlaps; pycocotools finds none of keypoints without categories."""
        return self.iou_type != "keypoints" or self.classes != [-1]

    def data(self) -> EvaluationData:
        """What matching and accumulating read, with the overlaps that a threshold can ask about."""
        overlaps = self.overlaps(min(*self.thresholds, SUFFICIENT))
        detections, targets = self.detections, self.targets
        zeros = torch.zeros(len(self.images), dtype=torch.int64)
        return EvaluationData(
            keys=torch.arange(len(self.images)),
            score_dtype=zeros,
            scores=numbers(detections.anns, "score"),
            areas=numbers(detections.anns, "area"),
            labels=detections.label,
            image=detections.image,
            target_areas=numbers(targets.anns, "area"),
            target_labels=targets.label,
            target_flags=self._flags(),
            target_image=targets.image,
            overlap_detection=overlaps.detection,
            overlap_target=overlaps.target,
            iou=overlaps.iou,
            num_duplicates=0,
            across_classes=False,
        )

    def _flags(self) -> Tensor:
        crowd = crowds(self.targets)
        if self.own_ignore:
            return crowd * CROWD | crowds(self.targets, "ignore") * IGNORE
        unlabelled = numbers(self.targets.anns, "num_keypoints") == 0 if self.iou_type == "keypoints" else crowd * 0
        return crowd * CROWD | unlabelled * IGNORE


def read_problem(ground_truth: Any, results: Any, params: Params, lists: Sequence[ByCell] | None = None) -> Problem:
    """The annotations and results of the images and categories that are asked about.

    Args:
        ground_truth: A ``COCO`` object, pycocotools' or of this package.
        results: Another one, with scores; None for no detections.
        params: What to evaluate. ``imgIds``, and with ``useCats`` also ``catIds``, without repeats.
        lists: The targets and the detections that are evaluated instead of theirs; None for theirs.

    Raises:
        KeyError: if an annotation lacks a key, naming both.
        ValueError: if a score is NaN, or masks do not fit one another.
    """
    images = {key: index for index, key in enumerate(params.imgIds)}
    categories = {key: index for index, key in enumerate(dict.fromkeys(params.catIds))}
    chosen_anns = (
        [_chosen(coco, images, categories) for coco in (ground_truth, results)]
        if lists is None
        else [chosen(side, images, categories) for side in lists]
    )
    return Problem(
        images=list(images),
        classes=list(categories) if params.useCats else [-1],
        iou_type=params.iouType,
        thresholds=[float(threshold) for threshold in params.iouThrs],
        areas=[(float(low), float(high)) for low, high in params.areaRng],
        detections=_detections(results, chosen_anns[1], len(categories), params),
        targets=_targets(ground_truth, chosen_anns[0], len(categories), params),
        sigmas=tuple(map(float, params.kpt_oks_sigmas)) if params.iouType == "keypoints" else (),
        own_ignore=lists is not None,
    )


def _detections(coco: Any, found: Chosen, num_categories: int, params: Params) -> Side:
    """The best ``maxDets[-1]`` detections of each cell; of equal scores the first, as in pycocotools."""
    anns, image, category = found
    scores = numbers(anns, "score")
    if bool(scores.isnan().any()):
        ann = anns[int(scores.isnan().nonzero()[0])]
        raise ValueError(
            f'"score" of the result {ann["id"]!r} of image_id {ann["image_id"]!r}: expected a number, got NaN'
        )
    by_score = descending_key(scores)
    label = category if params.useCats else torch.zeros_like(category)
    order = lexsort(image, category, by_score) if params.useCats else lexsort(image, by_score, category)
    rank = rank_in_run(run_starts(image.index_select(0, order), label.index_select(0, order)))
    order = order[rank < params.maxDets[-1]]
    return _side(coco, anns, image, label, order, num_categories if params.useCats else 1)


def _targets(coco: Any, found: Chosen, num_categories: int, params: Params) -> Side:
    anns, image, category = found
    label = category if params.useCats else torch.zeros_like(category)
    return _side(coco, anns, image, label, lexsort(image, category), num_categories if params.useCats else 1)


def _chosen(coco: Any, images: dict[Any, int], categories: dict[Any, int]) -> Chosen:
    """The annotations of some images and categories, and the indices of both."""
    found = coco.loadAnns(coco.getAnnIds(imgIds=list(images))) if coco is not None and images else []
    anns = [ann for ann in found if ann["category_id"] in categories and ann["image_id"] in images]
    image, category = (
        torch.tensor([index[ann[key]] for ann in anns], dtype=torch.int64)
        for key, index in (("image_id", images), ("category_id", categories))
    )
    return anns, image, category


def _side(coco: Any, anns: list[Ann], image: Tensor, label: Tensor, order: Tensor, num_classes: int) -> Side:
    image, label = image.index_select(0, order), label.index_select(0, order)
    return Side(coco, [anns[i] for i in order.tolist()], image, label, image * num_classes + label)


def numbers(anns: Sequence[Ann], key: str) -> Tensor:
    """A key of annotations, ``(n,)`` float64.

    Raises:
        KeyError: if an annotation lacks it, naming it.
    """
    try:
        return torch.from_numpy(np.fromiter((ann[key] for ann in anns), np.float64, len(anns)))
    except KeyError:
        ann = next(ann for ann in anns if key not in ann)
        where = f"the annotation {ann['id']!r} of image_id {ann['image_id']!r}"
        raise KeyError(f"{key!r}: expected it in every annotation, got none in {where}") from None


def crowds(targets: Side, key: str = "iscrowd") -> Tensor:
    """Which targets are crowd regions, or have another key that is not 0, ``(M,)`` int64, 1 or 0."""
    return torch.tensor([int(bool(ann.get(key, 0))) for ann in targets.anns], dtype=torch.int64)


def _boxes(anns: Sequence[Ann]) -> Tensor:
    """``(n, 4)`` float64 xywh."""
    boxes = [ann["bbox"] for ann in anns]
    for ann, box in zip(anns, boxes, strict=True):
        if len(box) != 4:
            raise ValueError(f'"bbox" of the annotation {ann["id"]!r}: expected 4 numbers, got {len(box)}')
    return torch.from_numpy(np.fromiter(itertools.chain.from_iterable(boxes), np.float64, 4 * len(boxes))).view(-1, 4)


def candidates(problem: Problem) -> tuple[Tensor, Tensor]:
    """The first detection in the cell of each target, and how many there are, ``(M,)`` int64 each."""
    cells, asked = problem.detections.cell, problem.targets.cell
    first = torch.searchsorted(cells, asked)
    return first, torch.searchsorted(cells, asked, right=True) - first


def _box_overlaps(problem: Problem, floor: float) -> Overlaps:
    iscrowd = crowds(problem.targets) != 0
    boxes = _boxes(problem.detections.anns), _boxes(problem.targets.anns)
    return find_overlaps(*boxes, iscrowd, *candidates(problem), floor)


def _keypoint_overlaps(problem: Problem, floor: float) -> Overlaps:
    detections, targets = problem.detections.anns, problem.targets.anns
    areas = numbers(targets, "area")
    return keypoint_overlaps(detections, targets, _boxes(targets), areas, candidates(problem), problem.sigmas, floor)


def _mask_overlaps(problem: Problem, floor: float) -> Overlaps:
    """Only images with detections and targets are looked at."""
    counts = [
        torch.bincount(side.image, minlength=len(problem.images)) for side in (problem.detections, problem.targets)
    ]
    both = ((counts[0] > 0) & (counts[1] > 0)).nonzero().squeeze(1)
    preds, target = (
        _items(side, both, own) for side, own in zip((problem.detections, problem.targets), counts, strict=True)
    )
    measured = measure_masks(preds, target, Request(CPU, "same", floor), MASK_BUDGET)
    assert measured.overlaps is not None
    rows = [_rows(both, own) for own in counts]
    return measured.overlaps._replace(
        detection=rows[0][measured.overlaps.detection], target=rows[1][measured.overlaps.target]
    )


def _rows(images: Tensor, counts: Tensor) -> Tensor:
    """The rows of some images, one image after the other."""
    first = (counts.cumsum(0) - counts).index_select(0, images)
    own = counts.index_select(0, images)
    return ranges(first, own, int(own.sum()))


def _items(side: Side, images: Tensor, counts: Tensor) -> list[dict[str, Any]]:
    """The masks, labels and crowds of some images, one dict per image."""
    ends = counts.cumsum(0)
    items = []
    for start, end in zip((ends - counts)[images].tolist(), ends[images].tolist(), strict=True):
        own = side._replace(anns=side.anns[start:end])
        masks = [_encoding(side.coco, ann) for ann in own.anns]
        items.append({"masks": masks, "labels": side.label[start:end], "iscrowd": crowds(own)})
    return items


def _encoding(coco: Any, ann: Ann) -> Ann:
    segmentation = ann["segmentation"]
    encoding: Ann = segmentation if isinstance(segmentation, dict) else coco.annToRLE(ann)
    return encoding
