"""The 95th percentile of the Hausdorff distance of two objects in a volume, in the definition of each package."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Contender, Meter, Problem, Statistics

SHIFT = 3  # voxels along each axis
PERCENTILE = 95


@dataclass(frozen=True)
class Volumes:
    """One volume with an object, and the same object elsewhere as the prediction; (1, S, S, S) bool each."""

    preds: Tensor
    target: Tensor


def cubes(device: str, side: int, object_side: int) -> Volumes:
    """A cube in the middle of a volume, and one that is shifted."""
    preds, target = torch.zeros(2, 1, side, side, side, dtype=torch.bool)
    start = (side - object_side - SHIFT) // 2
    inner = slice(start, start + object_side), slice(start + SHIFT, start + SHIFT + object_side)
    target[0][(inner[0],) * 3] = True
    preds[0][(inner[1],) * 3] = True
    return Volumes(preds.to(device), target.to(device))


def detmetrics_distance(definition: str, data: Volumes, meter: Meter) -> Statistics:
    from detmetrics import HausdorffDistance

    metric = HausdorffDistance(task="binary", definition=definition, percentile=PERCENTILE).to(data.preds.device)
    with meter("update"):
        metric.update(data.preds, data.target)
    with meter("compute"):
        return {f"hd95_{definition}": float(metric.compute())}


def monai_distance(data: Volumes, meter: Meter) -> Statistics:
    from monai.metrics import HausdorffDistanceMetric

    metric = HausdorffDistanceMetric(include_background=True, percentile=PERCENTILE)
    preds, target = data.preds[None].float(), data.target[None].float()
    with meter("update"):
        metric(preds, target)
    with meter("compute"):
        return {"hd95_monai": float(metric.aggregate())}


def deepmind_distance(data: Volumes, meter: Meter) -> Statistics:
    surface_distance = _surface_distance()
    preds, target = (masks[0].cpu().numpy() for masks in (data.preds, data.target))
    with meter("update"):
        distances = surface_distance.compute_surface_distances(target, preds, (1.0, 1.0, 1.0))
        return {"hd95_deepmind": float(surface_distance.compute_robust_hausdorff(distances, PERCENTILE))}


def _surface_distance() -> Any:
    """The package, with a name that scipy has dropped since."""
    import types

    import scipy.ndimage
    from surface_distance import metrics

    metrics.ndimage = types.SimpleNamespace(filters=scipy.ndimage, morphology=scipy.ndimage)
    return metrics


def medpy_distance(data: Volumes, meter: Meter) -> Statistics:
    from medpy.metric.binary import hd95

    preds, target = (np.asarray(masks[0].cpu()) for masks in (data.preds, data.target))
    with meter("update"):
        return {"hd95_medpy": float(hd95(preds, target))}


NEEDS = ("detmetrics:HausdorffDistance",)
PROBLEM = Problem(
    name="surfaces",
    title="HD95 of an object of 60^3 voxels in a volume of 128^3, in three definitions",
    generate=cubes,
    size={"side": 128, "object_side": 60},
    small={"side": 24, "object_side": 10},
    contenders=(
        *(
            Contender(f"detmetrics, {definition}", partial(detmetrics_distance, definition), NEEDS)
            for definition in ("deepmind", "monai", "medpy")
        ),
        Contender("MONAI", monai_distance, ("monai",)),
        Contender("surface-distance", deepmind_distance, ("surface_distance", "scipy")),
        Contender("MedPy", medpy_distance, ("medpy",)),
    ),
    bases=("detmetrics, deepmind", "detmetrics, monai"),
    reference="surface-distance",
)
