"""Panoptic quality of one batch of maps of segments, and the score after it."""

import contextlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Contender, Meter, Problem, Statistics

SEGMENTS = 100  # per image
CLASSES = 20  # the first half things
THINGS, STUFFS = range(1, CLASSES // 2 + 1), range(CLASSES // 2 + 1, CLASSES + 1)
VOID_SHARE = 20  # one segment in as many is void


@dataclass(frozen=True)
class PanopticData:
    """A batch in the form that a problem gives to all of its contenders."""

    preds: Tensor  # (B, H, W) int64 segment ids, 0 is void
    target: Tensor
    preds_info: list[list[dict[str, int]]]
    target_info: list[list[dict[str, int]]]

    @property
    def device(self) -> torch.device:
        return self.target.device


def segments(device: str, images: int, height: int, width: int) -> PanopticData:
    """The cells of random points, which predictions have a few pixels off."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand((images, SEGMENTS, 2), generator=generator) * torch.tensor([height, width])
    moved = points + torch.randn(points.shape, generator=generator) * height / 100
    labels = torch.randint(1, CLASSES + 1, (images, SEGMENTS), generator=generator)
    target, preds = (torch.stack([_cells(of_image, height, width) for of_image in x]) for x in (points, moved))
    target[target % VOID_SHARE == 1] = 0
    return PanopticData(preds.to(device), target.to(device), _infos(preds, labels), _infos(target, labels))


def _cells(points: Tensor, height: int, width: int) -> Tensor:
    """The number of the nearest point from 1 on, ``(H, W)``."""
    y, x = torch.arange(height)[:, None].float(), torch.arange(width)[None].float()
    nearest, found = torch.full((height, width), float("inf")), torch.zeros((height, width), dtype=torch.int64)
    for number, (cy, cx) in enumerate(points.tolist(), start=1):
        distance = (y - cy) ** 2 + (x - cx) ** 2
        found[distance < nearest] = number
        nearest = torch.minimum(nearest, distance)
    return found


def _infos(maps: Tensor, labels: Tensor) -> list[list[dict[str, int]]]:
    return [
        [{"id": i, "category_id": int(own[i - 1]), "iscrowd": 0} for i in ids.unique().tolist() if i]
        for ids, own in zip(maps, labels, strict=True)
    ]


def detmetrics_quality(data: PanopticData, meter: Meter) -> Statistics:
    from detmetrics import PanopticQuality

    metric = PanopticQuality(THINGS, STUFFS).to(data.device)
    with meter("update"):
        metric.update(data.preds, data.target, data.preds_info, data.target_info)
    with meter("compute"):
        return {name: float(metric.compute()[name]) for name in ("pq", "sq", "rq")}


def category_maps(data: PanopticData) -> tuple[Tensor, Tensor]:
    """The same segments as categories and instances ``(B, H, W, 2)``; void is the category 0, which is no class."""
    maps = []
    for ids, infos in ((data.preds, data.preds_info), (data.target, data.target_info)):
        table = torch.zeros((len(ids), SEGMENTS + 1), dtype=torch.int64)
        for image, segments_info in enumerate(infos):
            for segment in segments_info:
                table[image, segment["id"]] = segment["category_id"]
        category = table.to(ids.device).gather(1, ids.flatten(1)).view_as(ids)
        maps.append(torch.stack([category, ids], dim=-1))
    return maps[0], maps[1]


def detmetrics_categories(data: PanopticData, meter: Meter) -> Statistics:
    from detmetrics import PanopticQuality

    metric = PanopticQuality(THINGS, STUFFS).to(data.device)
    maps = category_maps(data)
    with meter("update"):
        metric.update(*maps)
    with meter("compute"):
        metric.compute()
    return {}  # stuffs are one segment an image there


def torchmetrics_categories(data: PanopticData, meter: Meter) -> Statistics:
    from torchmetrics.detection import PanopticQuality

    metric = PanopticQuality(set(THINGS), set(STUFFS)).to(data.device)
    maps = category_maps(data)
    with meter("update"):
        metric.update(*maps)
    with meter("compute"):
        metric.compute()
    return {}


def numpy_loop(data: PanopticData, meter: Meter) -> Statistics:
    """``numpy.unique`` of pairs of ids in each image and a loop over the pairs, as panopticapi has them."""
    preds, target = data.preds.cpu().numpy(), data.target.cpu().numpy()
    with meter("update"):
        tallies = np.zeros((CLASSES + 1, 4))  # the sum of IoU, tp, fp, fn
        for image in zip(preds, target, data.preds_info, data.target_info, strict=True):
            _add_image(tallies, *image)
    counted = tallies[tallies[:, 1:].sum(axis=1) > 0]
    iou, tp, fp, fn = counted.T
    whole = tp + fp / 2 + fn / 2
    sq = np.divide(iou, tp, out=np.zeros_like(iou), where=tp > 0)
    return {"pq": float(np.mean(iou / whole)), "sq": float(np.mean(sq)), "rq": float(np.mean(tp / whole))}


def _add_image(tallies: Any, preds: Any, target: Any, preds_info: Any, target_info: Any) -> None:
    found = {segment["id"]: segment["category_id"] for segment in preds_info}
    wanted = {segment["id"]: segment["category_id"] for segment in target_info}
    areas, wanted_areas = (dict(zip(*np.unique(m, return_counts=True), strict=True)) for m in (preds, target))
    codes, counts = np.unique(target * (1 << 24) + preds, return_counts=True)
    pairs = {divmod(int(code), 1 << 24): int(count) for code, count in zip(codes, counts, strict=True)}
    matched, taken = set(), set()
    for (t, p), both in pairs.items():
        if t in wanted and wanted[t] == found.get(p):
            iou = both / (areas[p] + wanted_areas[t] - both - pairs.get((0, p), 0))
            if iou > 0.5:
                tallies[wanted[t], :2] += iou, 1
                matched.add(t), taken.add(p)
    for t in wanted.keys() - matched:
        tallies[wanted[t], 3] += 1
    for p in found.keys() - taken:
        tallies[found[p], 2] += pairs.get((0, p), 0) / areas[p] <= 0.5


def hotcoco_files(data: PanopticData, meter: Meter) -> Statistics:
    """From PNG files, whose decoding is in its time, as it reads no arrays."""
    from hotcoco import panoptic

    with tempfile.TemporaryDirectory() as folder:
        gt, pred = (_write(Path(folder) / side, data, side) for side in ("target", "preds"))
        with meter("update"), contextlib.redirect_stdout(io.StringIO()):
            evaluation = panoptic.PanopticEval(str(gt), str(pred))
            evaluation.run()
        return {name: float(evaluation.results()["All"][name]) for name in ("pq", "sq", "rq")}


def _write(folder: Path, data: PanopticData, side: str) -> Path:
    """COCO's panoptic format: the path of the JSON file."""
    from PIL import Image

    folder.mkdir()
    maps = getattr(data, side).cpu().numpy()
    annotations = []
    for i, (ids, info) in enumerate(zip(maps, getattr(data, f"{side}_info"), strict=True)):
        colours = np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
        Image.fromarray(colours).save(folder / f"{i}.png", compress_level=1)
        areas = np.bincount(ids.ravel())
        full = [{**segment, "area": int(areas[segment["id"]]), "bbox": [0, 0, 1, 1]} for segment in info]
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": full})
    height, width = maps.shape[1:]
    document = {
        "images": [{"id": i, "height": height, "width": width, "file_name": f"{i}.png"} for i in range(len(maps))],
        "categories": [{"id": i, "name": str(i), "isthing": int(i in THINGS)} for i in (*THINGS, *STUFFS)],
        "annotations": annotations,
    }
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(document))
    return path


OURS = "detmetrics"
OURS_FROM_CATEGORIES = "detmetrics, categories and instances"
NEEDS = ("detmetrics:PanopticQuality",)
PROBLEM = Problem(
    name="panoptic_quality",
    title=f"Panoptic quality of one batch of maps with {SEGMENTS} segments each",
    generate=segments,
    size={"images": 8, "height": 1024, "width": 2048},
    small={"images": 2, "height": 64, "width": 96},
    contenders=(
        Contender(OURS, detmetrics_quality, NEEDS),
        Contender(OURS_FROM_CATEGORIES, detmetrics_categories, NEEDS),
        Contender("numpy.unique an image, as panopticapi", numpy_loop, ("numpy",)),
        Contender("hotcoco, from PNG files", hotcoco_files, ("hotcoco", "PIL")),
        Contender("torchmetrics, categories and instances", torchmetrics_categories, ("torchmetrics",)),
    ),
    bases=(OURS, OURS_FROM_CATEGORIES),
    reference="numpy.unique an image, as panopticapi",
)
