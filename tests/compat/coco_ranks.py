"""Spawned gloo processes that evaluate as torchvision's detection reference does, in our words."""

import contextlib
import copy
import io
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detmetrics.compat import pycocotools as ours
from tests.compat.coco_problems import random_files

SEED, NUM_IMAGES, BATCH = 9, 13, 2  # an odd number of images: the sampler repeats one


class Evaluator:
    """Batches are evaluated as they come; entries of all ranks are joined, each image once.

    Args:
        coco: The annotations.
        iou_types: What is evaluated.
    """

    def __init__(self, coco: Any, iou_types: list[str]) -> None:
        from pycocotools.cocoeval import COCOeval  # this package's, after install()

        self.coco = copy.deepcopy(coco)
        self.evaluations = {iou_type: COCOeval(self.coco, iouType=iou_type) for iou_type in iou_types}
        self.entries: dict[str, list[Any]] = {iou_type: [] for iou_type in iou_types}
        self.images: list[int] = []

    def update(self, images: list[int], results: list[dict[str, Any]]) -> None:
        from pycocotools.coco import COCO

        self.images += images
        for iou_type, evaluation in self.evaluations.items():
            evaluation.cocoDt = self.coco.loadRes(copy.deepcopy(results)) if results else COCO()
            evaluation.params.imgIds = list(images)
            evaluation.evaluate()
            shape = -1, len(evaluation.params.areaRng), len(images)
            self.entries[iou_type].append(np.asarray(evaluation.evalImgs).reshape(shape))

    def join(self) -> None:
        for iou_type, evaluation in self.evaluations.items():
            own = self.images, np.concatenate(self.entries[iou_type], 2)
            parts: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(parts, own)
            images, first = np.unique([image for part in parts for image in part[0]], return_index=True)
            entries = np.concatenate([part[1] for part in parts], 2)[..., first]
            evaluation.evalImgs = list(entries.flatten())
            evaluation.params.imgIds = list(images)
            evaluation._paramsEval = copy.deepcopy(evaluation.params)


def run(size: int, folder: Path) -> list[dict[str, Any]]:
    """``stats`` of each rank in a world of ``size``, by similarity."""
    mp.spawn(_run_rank, args=(size, folder), nprocs=size)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _run_rank(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["TORCH_DISTRIBUTED_DEBUG"] = "DETAIL"
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    ours.install()
    with contextlib.redirect_stdout(io.StringIO()):
        stats = evaluate(rank, size)
    torch.save(stats, folder / f"{rank}.pt")
    dist.destroy_process_group()


def evaluate(rank: int, size: int) -> dict[str, Any]:
    from pycocotools.coco import COCO

    assert COCO is ours.COCO
    dataset, results = random_files(SEED, NUM_IMAGES, masks=True)
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    evaluator = Evaluator(coco, ["bbox", "segm"])
    images = [image["id"] for image in dataset["images"]]
    padded = [*images, *images[: -len(images) % size]][rank::size]
    for start in range(0, len(padded), BATCH):
        batch = sorted(padded[start : start + BATCH])
        evaluator.update(batch, [row for row in results if row["image_id"] in batch])
    evaluator.join()
    for evaluation in evaluator.evaluations.values():
        evaluation.accumulate()
        evaluation.summarize()
    return {iou_type: evaluation.stats for iou_type, evaluation in evaluator.evaluations.items()}
