"""Panoptic quality as an obvious loop over segments and pixels, and random maps with all that is special in it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

Info = list[list[dict[str, int]]]
NAN = float("nan")


class Problem(NamedTuple):
    preds: Tensor  # (B, H, W) segment ids
    target: Tensor
    preds_info: Info
    target_info: Info

    def cut(self, chosen: Any) -> "Problem":
        images = list(chosen)
        return Problem(self.preds[images], self.target[images], *([side[i] for i in images] for side in self[2:]))


def random_problem(seed: int, images: int = 5, size: tuple[int, int] = (14, 17), labels: Any = (3, 5, 9)) -> Problem:
    """Blocks of segments, predicted with noise; voids, crowds, wrong classes, an image of void, ids up to 2**31."""
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    target, preds = (torch.zeros((images, *size), dtype=torch.int64) for _ in range(2))
    target_info: Info = []
    preds_info: Info = []
    for image in range(images):
        ids = [2**31 - 1, *(integers(1, 2**31 - 1, 7).tolist())]
        own = dict(zip(ids, ((labels[int(i)]) for i in integers(0, len(labels), 8)), strict=True))
        for segment in ids if image != 1 else []:
            y, x, h, w = (int(integers(0, n, 1)) for n in (size[0], size[1], size[0], size[1]))
            target[image, y : y + h + 1, x : x + w + 1] = segment
        shift = [int(s) for s in integers(-1, 2, 2)]
        preds[image] = target[image].roll(shift, (0, 1))
        noise = torch.rand(size, generator=generator) < 0.15
        preds[image][noise] = preds[image].flatten()[integers(0, size[0] * size[1], int(noise.sum()))]
        target[image][torch.rand(size, generator=generator) < 0.05] = 0
        y = int(integers(0, size[0], 1))
        preds[image, y : y + 3, :6] = 12345  # a segment that may lie in void
        own |= {12345: labels[0]}
        changed = {s: label if s % 5 else labels[int(integers(0, len(labels), 1))] for s, label in own.items()}
        crowd = {s: int(s % 4 == 0) for s in own}
        target_info.append(
            [{"id": s, "category_id": own[s], "iscrowd": crowd[s]} for s in target[image].unique().tolist() if s]
        )
        preds_info.append([{"id": s, "category_id": changed[s]} for s in preds[image].unique().tolist() if s])
    return Problem(preds, target, preds_info, target_info)


def boundary_of(mask: Tensor, distance: int) -> Tensor:
    """Pixels of a mask with a pixel outside the mask or the image within a square of the distance."""
    height, width = mask.shape
    found = torch.zeros_like(mask)
    for y, x in mask.nonzero().tolist():
        window = range(y - distance, y + distance + 1), range(x - distance, x + distance + 1)
        found[y, x] = any(not (0 <= v < height and 0 <= u < width and mask[v, u]) for v in window[0] for u in window[1])
    return found


def slow_counts(problem: Problem, threshold: float = 0.5, distance: int | None = None) -> list[dict[int, list[Any]]]:
    """For each image a dict from label to [list of IoU, fp, fn]."""
    result = []
    for preds, target, preds_info, target_info in zip(*problem, strict=True):
        counts: dict[int, list[Any]] = {}
        found = {s["id"]: s["category_id"] for s in preds_info}
        crowds = {s["id"]: s["category_id"] for s in target_info if s.get("iscrowd")}
        real = {s["id"]: s["category_id"] for s in target_info if not s.get("iscrowd")}
        void = target == 0
        taken = set()
        for t, label in real.items():
            entry = counts.setdefault(label, [[], 0, 0])
            hits = []
            for p in (p for p, other in found.items() if other == label):
                sides = [(target == t, preds == p)]
                if distance is not None:
                    sides.append((boundary_of(sides[0][0], distance), boundary_of(sides[0][1], distance)))
                exact = min(int((a & b).sum()) / int((a | (b & ~void)).sum()) for a, b in sides)
                if exact > threshold:
                    hits.append((p, exact))
            assert len(hits) < 2
            if hits:
                taken.add(hits[0][0])
                entry[0].append(hits[0][1])
            else:
                entry[2] += 1
        for p, label in found.items():
            mask = preds == p
            outside = void.clone()
            for t, other in crowds.items():
                if other == label:
                    outside |= target == t
            if p not in taken and int((mask & outside).sum()) / int(mask.sum()) <= 0.5:
                counts.setdefault(label, [[], 0, 0])[1] += 1
        result.append(counts)
    return result


def slow_scores(images: list[dict[int, list[Any]]], labels: Any) -> dict[int, tuple[float, float, float]]:
    """PQ, SQ, RQ of each label over all images."""
    scores = {}
    for label in labels:
        entries = [image[label] for image in images if label in image]
        ious = [iou for entry in entries for iou in entry[0]]
        tp, fp, fn = len(ious), sum(e[1] for e in entries), sum(e[2] for e in entries)
        if tp + fp + fn == 0:
            scores[label] = (NAN, NAN, NAN)
            continue
        whole = tp + fp / 2 + fn / 2
        scores[label] = (sum(ious) / whole, sum(ious) / tp if tp else 0.0, tp / whole)
    return scores
