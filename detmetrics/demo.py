"""Generated data: detections that look like COCO to a metric, and label maps: the demo's and the benchmarks' input.

Coordinates are multiples of 1/8 pixel and scores of 2**-20. So float32 holds them exactly, box formats convert without
rounding, equal overlaps occur as they do in real annotations, and the last bits do not depend on the number of threads.
"""

from typing import Any

import torch
from torch import Tensor

IMAGE_SIZE = (640, 480)  # width, height in pixels
CLASSES_PER_IMAGE = 4
CROWD_RATE = 0.01
MISS_RATE = 0.2  # of targets that no detection aims at first
DUPLICATE_RATE = 0.3  # of the two further detections that each target may get
WRONG_LABEL_RATE = 0.1


def generate(
    num_images: int, num_detections: int, num_classes: int, num_targets: float = 7.2, seed: int = 0
) -> tuple[list[dict[str, Tensor]], list[dict[str, Any]]]:
    """Generate detections and targets in the form that ``update()`` takes.

    Classes follow Zipf's law and cluster in images, the number of targets is geometric, sizes are log-normal (some 40 %
    of the targets are small and 25 % large), one target in a hundred is a crowd. Detections are jittered copies of
    targets, duplicates, wrong labels and strays; the better the overlap, the higher the score tends to be.

    Args:
        num_images: The number of images B.
        num_detections: The number of detections D in every image.
        num_classes: The number of classes C; labels are 0 to C - 1, the most frequent first.
        num_targets: The mean number of targets per image.
        seed: Equal seeds give equal data, with any number of threads.

    Returns:
        ``preds`` and ``target``, lists of B dicts. Prediction: ``boxes`` ``(D, 4)`` float32 xyxy pixels, ``scores``
        ``(D,)`` float32 in [0, 1], descending, ``labels`` ``(D,)`` int64. Target: ``boxes`` ``(M, 4)``, ``labels``
        ``(M,)``, ``iscrowd`` ``(M,)`` bool and ``image_id``, an int, counted from 1.

    Example:
        >>> preds, target = generate(num_images=2, num_detections=5, num_classes=80)
        >>> preds[0]["boxes"].shape, target[1]["image_id"]
        (torch.Size([5, 4]), 2)
    """
    generator = torch.Generator().manual_seed(seed)
    counts = torch.empty(num_images, dtype=torch.int64).geometric_(1 / (1 + num_targets), generator=generator) - 1
    frequencies = 1 / torch.arange(1, num_classes + 1, dtype=torch.float64)
    present = torch.multinomial(frequencies, num_images * CLASSES_PER_IMAGE, replacement=True, generator=generator)
    present = present.reshape(num_images, CLASSES_PER_IMAGE)

    image = torch.arange(num_images).repeat_interleave(counts)  # (M,)
    boxes = _random_boxes(len(image), generator)  # (M, 4)
    labels = _random_labels(present[image], generator)  # (M,)
    iscrowd = _chance(CROWD_RATE, len(image), generator)  # (M,)

    preds = _detections(num_detections, counts, present, boxes, labels, generator)
    columns = (column.split(counts.tolist()) for column in (boxes.float(), labels, iscrowd))
    target = [
        {"boxes": boxes, "labels": labels, "iscrowd": iscrowd, "image_id": image_id}
        for image_id, (boxes, labels, iscrowd) in enumerate(zip(*columns, strict=True), start=1)
    ]
    return preds, target


def _detections(
    num_detections: int, counts: Tensor, present: Tensor, boxes: Tensor, labels: Tensor, generator: torch.Generator
) -> list[dict[str, Tensor]]:
    """Detections of targets: ``counts`` (B,), ``present`` (B, CLASSES_PER_IMAGE), ``boxes`` (M, 4), ``labels`` (M,)."""
    image = torch.arange(len(counts)).repeat_interleave(num_detections)  # (N,), N = B * D
    aimed, aim = _aim(num_detections, counts, generator)  # (N,), (K,): K detections are aimed at targets
    found = _random_boxes(len(image), generator)  # (N, 4)
    found[aimed] = _jitter(boxes[aim], generator)
    names = _random_labels(present[image], generator)  # (N,)
    names[aimed] = torch.where(_chance(WRONG_LABEL_RATE, len(aim), generator), names[aimed], labels[aim])
    overlap = torch.zeros(len(image), dtype=torch.float64)
    overlap[aimed] = _iou(found[aimed], boxes[aim])
    evidence = 5 * overlap - 4 + torch.randn(len(image), dtype=torch.float64, generator=generator)

    shape = (len(counts), num_detections)
    scores, order = _on_grid(evidence.sigmoid(), 2**20).reshape(shape).sort(dim=1, descending=True, stable=True)
    found = found.reshape(*shape, 4).take_along_dim(order[..., None], dim=1)  # (B, D, 4)
    names = names.reshape(shape).take_along_dim(order, dim=1)
    return [
        {"boxes": boxes, "scores": scores, "labels": labels}
        for boxes, scores, labels in zip(found.float(), scores.float(), names, strict=True)
    ]


def _aim(num_detections: int, counts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which detections are aimed at a target, (B * D,) bool, and at which one, (K,) rows.

    The targets of an image take turns with its detections: a first shot each, then two for duplicates. The remaining
    detections are strays.
    """
    count = counts.repeat_interleave(num_detections)  # (N,)
    first = (counts.cumsum(0) - counts).repeat_interleave(num_detections)
    slot = torch.arange(num_detections).repeat(len(counts))
    turn = slot // count.clamp(min=1)
    rates = torch.tensor([1 - MISS_RATE, DUPLICATE_RATE, DUPLICATE_RATE, 0.0], dtype=torch.float64)
    aimed = (count > 0) & (_uniform(len(slot), generator) < rates[turn.clamp(max=3)])
    return aimed, (first + slot % count.clamp(min=1))[aimed]


def _random_boxes(count: int, generator: torch.Generator) -> Tensor:
    """``(count, 4)`` float64 xyxy boxes in the image; side lengths like COCO's, median 42 pixels."""
    image_size = torch.tensor(IMAGE_SIZE, dtype=torch.float64)
    side = torch.empty(count, 1, dtype=torch.float64).log_normal_(3.74, 1.18, generator=generator)
    aspect = torch.empty(count, 1, dtype=torch.float64).log_normal_(0.0, 0.4, generator=generator)
    size = torch.minimum(torch.cat([side * aspect, side / aspect], dim=1).clamp(min=4), image_size)  # (count, 2)
    corner = (image_size - size) * torch.rand(count, 2, dtype=torch.float64, generator=generator)
    return _on_grid(torch.cat([corner, corner + size], dim=1), 8)


def _jitter(boxes: Tensor, generator: torch.Generator) -> Tensor:
    """Move all four edges; how far, in box sizes, varies from box to box."""
    size = boxes[:, 2:] - boxes[:, :2]
    reach = torch.empty(len(boxes), 1, dtype=torch.float64).log_normal_(-2.8, 0.8, generator=generator)
    noise = torch.randn(len(boxes), 4, dtype=torch.float64, generator=generator)
    corners = boxes + noise * reach * torch.cat([size, size], dim=1)
    low, high = corners[:, :2], torch.maximum(corners[:, 2:], corners[:, :2] + 1)
    image_size = torch.tensor(IMAGE_SIZE, dtype=torch.float64)
    low = torch.minimum(low.clamp(min=0), image_size - 1)
    high = torch.minimum(high, image_size).maximum(low + 1)
    return _on_grid(torch.cat([low, high], dim=1), 8)


def _iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """``(N,)`` overlaps of the xyxy boxes in equal rows."""
    low = torch.maximum(boxes1[:, :2], boxes2[:, :2])
    high = torch.minimum(boxes1[:, 2:], boxes2[:, 2:])
    intersection = (high - low).clamp(min=0).prod(1)
    area1 = (boxes1[:, 2:] - boxes1[:, :2]).prod(1)
    area2 = (boxes2[:, 2:] - boxes2[:, :2]).prod(1)
    return intersection / (area1 + area2 - intersection)


def _random_labels(present: Tensor, generator: torch.Generator) -> Tensor:
    """``(N,)``: one of each row of ``present`` ``(N, CLASSES_PER_IMAGE)``."""
    choice = torch.randint(CLASSES_PER_IMAGE, (len(present), 1), generator=generator)
    return present.take_along_dim(choice, dim=1).squeeze(1)


def _chance(rate: float, count: int, generator: torch.Generator) -> Tensor:
    """``(count,)`` bool, true at the given rate."""
    return _uniform(count, generator) < rate


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    """``(count,)`` float64 in [0, 1)."""
    return torch.rand(count, dtype=torch.float64, generator=generator)


def _on_grid(values: Tensor, steps: int) -> Tensor:
    """The nearest multiples of ``1 / steps``."""
    return (values * steps).round() / steps


MAP_SIZE = (128, 256)  # height, width of a generated label map
SCENE = ("road", "sidewalk", "building", "vegetation", "sky", "person", "car", "pole")
UNLABELLED = 255
NUM_REGIONS = 40
WRONG_REGION_RATE = 0.08
SHIFT_PX = 2.0  # how far predicted regions are from where they should be


def generate_label_maps(num_images: int, num_classes: int = len(SCENE), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Generate label maps of regions, and predictions with shifted borders and wrong regions.

    Each region is what lies nearest to a random point; classes follow Zipf's law. The lowest rows of a target and some
    spots are not labelled.

    Args:
        num_images: The number of images B.
        num_classes: The number of classes C, at most 255; labels are 0 to C - 1, the most frequent first.
        seed: Equal seeds give equal maps, with any number of threads.

    Returns:
        ``preds`` and ``target``, ``(B, 128, 256)`` uint8. A target has 255 where it is not labelled.

    Raises:
        ValueError: if there are more than 255 classes.

    Example:
        >>> preds, target = generate_label_maps(num_images=2)
        >>> target.shape, preds.max().item() < 8, (target == 255).any().item()
        (torch.Size([2, 128, 256]), True, True)
    """
    if num_classes > UNLABELLED:
        raise ValueError(f"num_classes: expected at most {UNLABELLED}, which is not labelled, got {num_classes}")
    generator = torch.Generator().manual_seed(seed)
    frequencies = 1 / torch.arange(1, num_classes + 1, dtype=torch.float64)
    images = [_label_map(frequencies, generator) for _ in range(num_images)]
    preds, target = (torch.stack(maps) for maps in zip(*images, strict=True))
    return preds, target


def _label_map(frequencies: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The prediction and the target of an image, ``(H, W)`` uint8 each."""
    size = torch.tensor(MAP_SIZE, dtype=torch.float64)
    points = torch.rand(NUM_REGIONS, 2, dtype=torch.float64, generator=generator) * size
    labels = torch.multinomial(frequencies, NUM_REGIONS, replacement=True, generator=generator)
    moved = points + SHIFT_PX * torch.randn(points.shape, dtype=torch.float64, generator=generator)
    others = torch.multinomial(frequencies, NUM_REGIONS, replacement=True, generator=generator)
    guessed = torch.where(_chance(WRONG_REGION_RATE, NUM_REGIONS, generator), others, labels)
    region = _nearest(points)
    target, preds = labels[region], guessed[_nearest(moved)]
    target[region == 0] = UNLABELLED
    target[-MAP_SIZE[0] // 16 :] = UNLABELLED
    return preds.to(torch.uint8), target.to(torch.uint8)


def _nearest(points: Tensor) -> Tensor:
    """Which of the points ``(N, 2)`` is nearest to each pixel, of equally near ones the first, ``(H, W)``."""
    eighths = (points * 8).round().long()
    rows, columns = (8 * torch.arange(length)[:, None] for length in MAP_SIZE)
    down, along = (rows - eighths[:, 0]) ** 2, (columns - eighths[:, 1]) ** 2  # (H, N), (W, N)
    codes = (down[:, None] + along) * len(points) + torch.arange(len(points))  # no two are equal
    return codes.amin(dim=-1) % len(points)
