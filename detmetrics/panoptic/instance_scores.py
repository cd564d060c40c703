"""Readers of the outcomes of maps of instances: counts at each IoU threshold, and the aggregated Jaccard index."""

from __future__ import annotations

import torch
from torch import Tensor

from detmetrics.panoptic.rows import PanopticData
from detmetrics.panoptic.scores import Tally, cell_tally, class_tally, image_columns
from detmetrics.panoptic.settings import InstanceSettings
from detmetrics.ragged import group_sums
from detmetrics.reduce import formulas
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.formulas import divide

BACKGROUND, INSTANCE = range(2)  # the classes of a map of instances
NUM_CLASSES = 2
OF_COUNTS = {
    "f1": formulas.f_beta,
    "precision": formulas.precision,
    "recall": formulas.recall,
    "accuracy": formulas.iou,  # of counts: tp / (tp + fp + fn)
}
OF_OVERLAPS = {"pq": formulas.panoptic_quality, "sq": formulas.segmentation_quality}


def instance_scores(data: PanopticData, settings: InstanceSettings) -> dict[str, Tensor]:
    """What ``compute()`` of :class:`detmetrics.InstanceQuality` returns: 0-d float64 tensors by name."""
    if settings.aggregate == "dataset":
        tallies = [class_tally(data, NUM_CLASSES, data.iou >= at) for at in settings.thresholds]
        found = _scores([_instances(tally) for tally in tallies], settings.zero_division)  # (T,) each
        aji = _jaccard(data, torch.zeros_like(data.image), 1, settings.zero_division)[0]
    else:
        by_image = per_image(data, settings)
        names = (*OF_COUNTS, *OF_OVERLAPS)
        found = {name: _mean_of_images(by_image[name], settings.zero_division) for name in names}
        aji = _mean_of_images(by_image["aji"], settings.zero_division)
    means = {name: defined_mean(values, zero_division=settings.zero_division) for name, values in found.items()}
    at_each = {
        f"{name}/{at:g}": value
        for name, values in found.items()
        for at, value in zip(settings.thresholds, values.unbind(), strict=True)
    }
    return {"aji": aji} | means | at_each


def per_image(data: PanopticData, settings: InstanceSettings) -> dict[str, Tensor]:
    """Counts and scores of each image; see :meth:`detmetrics.InstanceQuality.per_image`."""
    tallies = [_instances(cell_tally(data, NUM_CLASSES, data.iou >= at)) for at in settings.thresholds]  # (B,) each
    aji = _jaccard(data, data.image, len(data.keys), settings.zero_division)
    counts = {name: torch.stack([getattr(tally, name) for tally in tallies], dim=-1) for name in ("tp", "fp", "fn")}
    return image_columns(data) | {"aji": aji} | counts | _scores(tallies, settings.zero_division)


def _instances(tally: Tally) -> Tally:
    """Without the background."""
    return Tally(*(count[..., INSTANCE] for count in tally))


def _scores(tallies: list[Tally], zero_division: float) -> dict[str, Tensor]:
    """Each score at each threshold, ``(..., T)``."""
    every = Tally(*(torch.stack(counts, dim=-1) for counts in zip(*tallies, strict=True)))
    found = {name: formula(*every[1:]) for name, formula in OF_COUNTS.items()}
    found |= {name: formula(*every) for name, formula in OF_OVERLAPS.items()}
    return {name: score.where(~score.isnan(), zero_division) for name, score in found.items()}


def _jaccard(data: PanopticData, group: Tensor, num_groups: int, zero_division: float) -> Tensor:
    """The aggregated Jaccard index of each group of outcomes, ``(G,)``."""
    pixels = torch.stack([data.intersection, data.union], dim=1)
    sums = group_sums(pixels, group.where(data.label == INSTANCE, -1), num_groups)  # (G, 2)
    intersection, union = sums.unbind(1)
    return divide(intersection, union, zero_division)


def _mean_of_images(scores: Tensor, zero_division: float) -> Tensor:
    """The mean over images ``(B, ...)``, whatever their order: they are sorted by value first."""
    return defined_mean(scores.sort(dim=0).values, dim=0, zero_division=zero_division)
