"""COCO's two files, made at random: ties in score and overlap, crowds, area edges, empty images."""

import random
from typing import Any

import numpy as np
from pycocotools import mask

SIDE = 120


def random_files(seed: int, num_images: int = 6, *, masks: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations and results; a detection is often a target's box, so that overlaps tie too."""
    draw = random.Random(seed)
    images = [{"id": 3 * i + 2, "height": SIDE, "width": SIDE} for i in range(num_images)]
    categories = [{"id": key, "name": str(key)} for key in (1, 4, 9)]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in images[1:]:
        boxes = [_box(draw) for _ in range(draw.randrange(1, 9))]
        for box in boxes:
            row = {"image_id": image["id"], "category_id": draw.choice([1, 4, 9]), "bbox": box}
            area = draw.choice([box[2] * box[3], 32**2, 96**2, 5.0])
            row |= {"id": len(annotations) + 1, "area": area, "iscrowd": int(draw.random() < 0.2)}
            annotations.append(row)
        for _ in range(draw.randrange(0, 14)):
            box = draw.choice(boxes) if draw.random() < 0.5 else _near(draw, draw.choice(boxes))
            score = draw.choice([0.2, 0.5, 0.9]) if draw.random() < 0.4 else draw.random()
            row = {"image_id": image["id"], "category_id": draw.choice([1, 4, 9]), "bbox": box, "score": score}
            results.append(row)
    draw.shuffle(annotations)
    draw.shuffle(results)
    if not results:
        results = [{"image_id": 2, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}]
    if masks:
        _to_masks([*annotations, *results], draw)
        for row in results:
            del row["bbox"]
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}, results


def _box(draw: random.Random) -> list[float]:
    x, y = draw.randrange(0, 60), draw.randrange(0, 60)
    return [x, y, draw.choice([5, 8, 16, 32, 59]), draw.choice([5, 8, 16, 32, 59])]


def _near(draw: random.Random, box: list[float]) -> list[float]:
    x, y, w, h = box
    return [x + draw.choice([0, 1, 2.5]), y + draw.choice([0, 1]), w + draw.choice([0, 1, 3]), h]


def _to_masks(rows: list[dict[str, Any]], draw: random.Random) -> None:
    for row in rows:
        x, y, w, h = (int(value) for value in row["bbox"])
        if draw.random() < 0.3 and "area" in row:
            row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            continue
        pixels = np.zeros((SIDE, SIDE), dtype=np.uint8, order="F")
        pixels[y : y + h, x : x + w] = 1
        pixels[y, x] = draw.randrange(2)
        encoded = mask.encode(pixels)
        row["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
