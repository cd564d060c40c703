"""Seeded random detection problems, coarse on purpose.

Boxes lie on a grid of a few cells, objects come in pairs with detections half-way between them, and scores are rounded:
so two targets overlap a detection equally, overlaps fall on thresholds, and scores tie. Generic random boxes do none of
this, and a matcher with the wrong tie rule passes them all.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Item = dict[str, Tensor]

LABELS = ([0], [1, 2], [0, 7, 90], [3, 4, 5, 11], [-5, 3, 2**40], [-(2**63), 0, 2**63 - 1])
SIDES = (4, 6, 8, 12, 16)  # cells of 8 pixels: 32 and 96 are among them, so box areas fall on COCO's edges
AREAS = (32.0**2, 96.0**2, 32.0**2 + 1, 96.0**2 - 1, 500.0, 4000.0, 20000.0, 0.0)
SETTINGS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("iou_thresholds", ([0.5], [0.1, 0.35, 0.6, 1.0], [0.75, 0.5])),
    ("rec_thresholds", ([0.0, 0.5, 1.0], [0.1, 0.2, 0.3, 0.7, 0.9])),
    ("max_detection_thresholds", ([1, 2, 3], [2], [1, 3, 10, 300], [50])),
    ("area_ranges", ({}, {"tiny": (0, 32**2), "edge": (32**2, 32**2), "rest": (32**2 + 1, 1e10)})),
    ("class_agnostic", (True,)),
)


@dataclass(frozen=True)
class Problem:
    """The arguments of ``update``, one dict an image, and those of the constructor."""

    preds: list[Item]
    target: list[Item]
    settings: dict[str, Any] = field(default_factory=dict)


def random_problem(seed: int, *, images: int = 4, image_ids: bool | None = None, plain: bool = False) -> Problem:
    """Make one problem of up to ``images`` images; ``plain`` keeps the constructor's defaults."""
    rng = random.Random(seed)
    settings = {} if plain else {key: rng.choice(values) for key, values in SETTINGS if rng.random() < 0.15}
    box_format = "xyxy" if plain else rng.choice(["xyxy", "xyxy", "xywh", "cxcywh"])
    style = Style(rng, box_format)
    pairs = [style.image(rng) for _ in range(rng.randint(1, images))]
    preds, target = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if image_ids or (image_ids is None and rng.random() < 0.5):
        for item, key in zip(
            target, rng.sample([*range(50), 2**31, 2**60, 2**60 + 1, 2**63 - 1], len(target)), strict=True
        ):
            item["image_id"] = torch.tensor(key) if rng.random() < 0.5 else key  # type: ignore[assignment]
    return Problem(preds, target, {**settings, "box_format": box_format})


def mask_problem(seed: int, **options: Any) -> Problem:
    """The same with masks: the boxes of :func:`random_problem` drawn on images of odd sizes, in some with holes."""
    problem = random_problem(seed, **options)
    rng = random.Random(f"masks {seed}")
    zoom, holes = rng.choice([0.25, 0.5]), rng.random() < 0.5
    for items in zip(problem.preds, problem.target, strict=True):
        boxes = [_drawn(item.pop("boxes"), problem.settings["box_format"], zoom) for item in items]
        width, height = (int(max((b[:, axis].max() for b in boxes if len(b)), default=4)) for axis in (2, 3))
        x, y = torch.arange(width + rng.randint(0, 9)), torch.arange(height + rng.randint(0, 9))[:, None]
        for item, (left, top, right, bottom) in zip(items, (b.T[..., None, None] for b in boxes), strict=True):
            item["masks"] = (x >= left) & (x < right) & (y >= top) & (y < bottom)  # (N, H, W)
            item["masks"] &= (3 * x + y) % 7 != 0 if holes else True
    return Problem(
        problem.preds, problem.target, {key: v for key, v in problem.settings.items() if key != "box_format"}
    )


def _drawn(boxes: Tensor, box_format: str, zoom: float) -> Tensor:
    """Boxes in whole pixels, ``(N, 4)`` int64 xyxy."""
    first, second = boxes.double().reshape(-1, 4).split(2, dim=1)
    if box_format == "cxcywh":
        first = first - second / 2
    last = second if box_format == "xyxy" else first + second
    return (torch.cat([first, last], 1) * zoom).round().long()


class Style:
    """What the images of one problem have in common: labels, scale, dtypes, how scores tie, optional keys."""

    def __init__(self, rng: random.Random, box_format: str) -> None:
        self.box_format = box_format
        self.labels = rng.choice(LABELS)
        self.scale = rng.choice(
            [8.0, 8.0, 8.0, 2.5, 0.1]
        )  # a tenth of a pixel has no exact double: the order of operations shows
        self.box_dtype = rng.choice([torch.float64, torch.float32, torch.int64] if self.scale == 8 else [torch.float64])
        self.scores = rng.choice(["fifths", "fifths", "fifths", "tenths", "bfloat16", "float32", "float64", "logits"])
        self.area = rng.choice(["none", "none", "box", "given"])
        self.crowds = rng.random() < 0.85
        self.ignores = rng.random() < 0.15
        self.crowded = rng.random() < 0.05  # up to 300 detections in an image

    def image(self, rng: random.Random) -> tuple[Item, Item]:
        """Make one image: usually objects with their detections and strays; sometimes either side is empty, or both."""
        kind = rng.choices(["usual", "no targets", "no detections", "nothing"], [16, 2, 2, 1])[0]
        objects = [] if kind == "nothing" else [twin for _ in range(rng.randint(2, 4)) for twin in self._twins(rng)]
        detections = [self._shifted(rng, *rng.choice(objects)) for _ in range(self._count(rng))] if objects else []
        return (
            self._preds(rng, detections if kind in ("usual", "no targets") else []),
            self._target(rng, objects if kind in ("usual", "no detections") else []),
        )

    def _count(self, rng: random.Random) -> int:
        return rng.randint(100, 300) if self.crowded and rng.random() < 0.5 else rng.randint(2, 14)

    def _twins(self, rng: random.Random) -> list[tuple[int, list[int]]]:
        """One object, or two at equal distances from a place, where a detection overlaps both alike."""
        label, x, y = rng.choice(self.labels), rng.randint(2, 12), rng.randint(0, 12)
        w, h, shift = rng.choice(SIDES), rng.choice(SIDES), rng.randint(0, 1)
        return [(label, [x + d, y, w, h]) for d in ([0] if rng.random() < 0.3 else [-shift, shift])]

    def _shifted(self, rng: random.Random, label: int, box: list[int]) -> tuple[int, list[int]]:
        """A detection near an object: moved or grown by a cell, at times of another label or far away."""
        x, y, w, h = box
        label = rng.choice(self.labels) if rng.random() < 0.15 else label
        if rng.random() < 0.15:
            return label, [x + 30, y, w, h]
        return label, [x + rng.randint(-1, 1), y, w + rng.choice([0, 0, 1]), h + rng.choice([0, 0, 0, -1])]

    def _preds(self, rng: random.Random, rows: list[tuple[int, list[int]]]) -> Item:
        scores = torch.tensor([rng.random() for _ in rows], dtype=torch.float64)
        if self.scores in ("fifths", "tenths"):
            steps = 5 if self.scores == "fifths" else 10
            scores = (scores * steps).round() / steps
        elif self.scores == "logits":
            scores = (scores * 8).round() - 3.5  # never -1, which pycocotools means something else by
        elif self.scores == "bfloat16":
            scores = scores.bfloat16()
        elif self.scores == "float32":
            scores = scores.float()
        return {"boxes": self._boxes(rng, rows), "scores": scores, "labels": _labels(rows)}

    def _target(self, rng: random.Random, rows: list[tuple[int, list[int]]]) -> Item:
        item = {"boxes": self._boxes(rng, rows), "labels": _labels(rows)}
        if self.crowds:
            item["iscrowd"] = torch.tensor([int(rng.random() < 0.35) for _ in rows], dtype=torch.int64)
        if self.ignores:
            item["ignore"] = torch.tensor([rng.random() < 0.3 for _ in rows], dtype=torch.bool)
        if self.area == "given":
            item["area"] = torch.tensor([rng.choice(AREAS) for _ in rows], dtype=torch.float64)
        elif self.area == "box":
            item["area"] = torch.tensor([w * h * self.scale**2 for _, (_, _, w, h) in rows], dtype=torch.float64)
        return item

    def _boxes(self, rng: random.Random, rows: list[tuple[int, list[int]]]) -> Tensor:
        if not rows:
            return torch.zeros(rng.choice([(0, 4), (0,)]), dtype=self.box_dtype)
        x, y, w, h = torch.tensor([box for _, box in rows], dtype=torch.float64).unbind(1)
        if self.box_format == "xyxy":
            boxes = torch.stack([x, y, x + w, y + h], 1)
        else:
            boxes = torch.stack([x, y, w, h] if self.box_format == "xywh" else [x + w / 2, y + h / 2, w, h], 1)
        return (boxes * self.scale).to(self.box_dtype)


def _labels(rows: list[tuple[int, list[int]]]) -> Tensor:
    return torch.tensor([label for label, _ in rows], dtype=torch.int64)


def with_facts(seed: int, preds: list[Item], target: list[Item]) -> list[Item]:
    """The targets, with classes that are absent, present or not labelled exhaustively, in some images."""
    rng = random.Random(f"facts {seed}")
    labels = sorted({label for items in (preds, target) for item in items for label in item["labels"].tolist()})
    keys = {"neg_category_ids": 0.4, "pos_category_ids": 0.1, "not_exhaustive_category_ids": 0.3}
    return [
        item
        | {
            key: torch.tensor([label for label in labels if rng.random() < share], dtype=torch.int64)
            for key, share in keys.items()
            if rng.random() < 0.7
        }
        for item in target
    ]


def shuffled(seed: int, *lists: list[Any]) -> tuple[list[Any], ...]:
    """The lists in one and the same random order."""
    order = random.Random(seed).sample(range(len(lists[0])), len(lists[0]))
    return tuple([values[i] for i in order] for values in lists)


def split(seed: int, count: int) -> list[slice]:
    """Cut ``count`` images into random batches, empty ones among them."""
    rng = random.Random(seed)
    cuts = sorted(rng.choices(range(count + 1), k=rng.randint(1, 4)))
    return [slice(a, b) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]


def hit(i: int, score: float = 0.9, image_id: int | None = None) -> tuple[Item, Item]:
    """One image of CASES.md: target and prediction are both [10i, 0, 10i + 8, 8]."""
    _, target = miss(i, image_id)
    return {"boxes": target["boxes"], "scores": torch.tensor([score]), "labels": torch.tensor([0])}, target


def miss(i: int, image_id: int | None = None) -> tuple[Item, Item]:
    """The same image without the prediction."""
    target = {"boxes": torch.tensor([[10.0 * i, 0, 10 * i + 8, 8]]), "labels": torch.tensor([0])}
    if image_id is not None:
        target["image_id"] = torch.tensor(image_id)
    return {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}, target


def batch(*pairs: tuple[Item, Item]) -> tuple[list[Item], list[Item]]:
    """Pairs of (preds, target) as the two arguments of ``update``."""
    return [preds for preds, _ in pairs], [target for _, target in pairs]


def image(
    preds: list[tuple[list[float], float, int]], target: list[tuple[list[float], int]], **extra: list[Any]
) -> tuple[Item, Item]:
    """One image written out: detections (box, score, label), targets (box, label), more columns of the targets."""
    return {
        "boxes": torch.tensor([box for box, _, _ in preds]).reshape(-1, 4),
        "scores": torch.tensor([score for _, score, _ in preds]),
        "labels": torch.tensor([label for _, _, label in preds], dtype=torch.int64),
    }, {
        "boxes": torch.tensor([box for box, _ in target]).reshape(-1, 4),
        "labels": torch.tensor([label for _, label in target], dtype=torch.int64),
        **{key: torch.tensor(values) for key, values in extra.items()},
    }
