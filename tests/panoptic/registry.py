"""How the laws, in one process and over ranks, use each panoptic metric."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import detmetrics
from detmetrics import functional
from detmetrics.panoptic.metric import PanopticMetric
from tests.panoptic.slow import random_problem

Data = dict[str, Any]  # the arguments of update(), each with one entry per image


class Case(NamedTuple):
    metric: type[PanopticMetric]
    function: Callable[..., Any]
    settings: dict[str, Any]
    form: str  # of the inputs: "infos", "categories" or "instances"


CLASSES: dict[str, Any] = {"things": [3, 9], "stuffs": [5]}
PANOPTIC = detmetrics.PanopticQuality, functional.panoptic_quality
INSTANCE = detmetrics.InstanceQuality, functional.instance_quality
CASES = [
    Case(*PANOPTIC, CLASSES, "infos"),
    Case(*PANOPTIC, {**CLASSES, "boundary": True, "class_names": {3: "a", 5: "b", 9: "c"}}, "infos"),
    Case(*PANOPTIC, {**CLASSES, "threshold": 0.6, "zero_division": 0.0}, "categories"),
    Case(*PANOPTIC, {**CLASSES, "boundary": True, "class_metrics": False}, "categories"),
    Case(*INSTANCE, {}, "instances"),
    Case(*INSTANCE, {"aggregate": "imagewise", "thresholds": [0.6, 0.5], "zero_division": 1.0}, "instances"),
]
COUNT = 7


def images(form: str, seed: int) -> Data:
    """Seven images, one without segments."""
    problem = random_problem(seed, images=COUNT)
    if form == "infos":
        return problem._asdict()
    data = {"preds": problem.preds, "target": problem.target}
    if form == "instances":
        return data
    return {side: torch.stack([_categories(ids), ids], dim=-1) for side, ids in data.items()}


def _categories(ids: Tensor) -> Tensor:
    """A class of segments for each id."""
    return torch.tensor([3, 5, 9]).index_select(0, (ids % 3).flatten()).view_as(ids)


def chosen(data: Data, indices: Iterable[int]) -> Data:
    listed = list(indices)
    return {k: v[listed] if isinstance(v, Tensor) else [v[i] for i in listed] for k, v in data.items()}


def fed(case: Case, data: Data, *parts: Iterable[int], with_ids: bool = False, **settings: Any) -> Any:
    """A metric that got some images in each update; all of them at once without ``parts``."""
    metric = case.metric(**case.settings, **settings)
    for part in parts or [range(COUNT)]:
        listed = list(part)
        metric.update(**chosen(data, listed), image_ids=listed if with_ids else None)
    return metric
