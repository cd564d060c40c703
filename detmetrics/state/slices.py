"""Part of a state: the rows of some images, as a metric of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.ragged import rows_of
from detmetrics.state.rows import Chunks

if TYPE_CHECKING:
    from detmetrics.state.metric import Metric

REMEDY = "give every image an id in update(), or slice the data"


def slice_state(self: Any, image_ids: Iterable[int] | Tensor) -> Any:
    """A metric that has seen some of the images alone: the same class, settings and device, a state of its own.

    Its results have the bits of those of a metric that was fed with these images. It can be asked anything, merged and
    saved; nothing is matched or measured again before it is asked. Under ``torch.distributed`` each rank takes those of
    its images that are meant.

    Args:
        self: The metric, which stays as it is.
        image_ids: The ids of images as given to ``update()``; those that were not seen are no error, see
            ``num_images`` after ``compute()``, or :func:`detmetrics.evaluate_slices`, which counts them.

    Returns:
        The metric.

    Raises:
        ValueError: if an id is no non-negative int, or if the state does not tell images apart.
        TorchMetricsUserError: if the metric is synced.

    Example:
        >>> from detmetrics import MeanAveragePrecision, demo
        >>> preds, target = demo.generate(num_images=20, num_detections=10, num_classes=3)  # with ids 1, 2, ...
        >>> metric, alone = MeanAveragePrecision(), MeanAveragePrecision()
        >>> metric.update(preds, target)
        >>> alone.update(preds[:5], target[:5])
        >>> torch.equal(metric.slice(range(1, 6)).compute()["map"], alone.compute()["map"])
        True
    """
    self.refuse_when_synced("slice", self)
    wanted = _ids(image_ids, self.device)
    self.settle()
    owned = self.rows_of_images()
    _check_told_apart(self, owned)
    states: dict[str, Any] = {name: getattr(self, self.state_name(name)) for name in self.base_names}
    states |= {name: Chunks() for name in self.base_names if self.layouts[self.state_name(name)].width is not None}
    for name, parts in owned.items():
        images = self.rows(name)
        kept = torch.isin(images[:, 0], wanted).nonzero().squeeze(1)
        states[name] = Chunks([images.index_select(0, kept)])
        for part, column in parts.items():
            at = rows_of(images[:, column], kept)
            states[part] = Chunks([self.rows(part).index_select(0, at)])
    metric: Metric = self.clone()
    metric.reset()
    metric.set_states({self.state_name(name): value for name, value in states.items()})
    metric.count_updates(self.update_count)
    return metric


def _ids(image_ids: Any, device: torch.device) -> Tensor:
    """Distinct ids, ``(n,)`` int64."""
    listed = image_ids.flatten().tolist() if isinstance(image_ids, Tensor) else list(image_ids)
    return torch.tensor(sorted({arguments.count("image_ids", one) for one in listed}), dtype=torch.int64, device=device)


def _check_told_apart(metric: Any, owned: dict[str, dict[str, int]]) -> None:
    """Raise a ``ValueError`` if the state holds anything that is not about one image with an id."""
    known = {name for owner, parts in owned.items() for name in (owner, *parts)}
    for name in metric.base_names - known:
        is_rows = metric.layouts[metric.state_name(name)].width is not None
        if metric.num_rows(name) if is_rows else bool(metric.totals(name).any()):
            raise ValueError(f"slice: expected a state that tells images apart, got {name!r} of all together; {REMEDY}")
    for name in owned:
        if metric.num_rows(name) and bool((metric.rows(name)[:, 0] < 0).any()):
            raise ValueError(f"slice: expected images with ids, got images without; {REMEDY}")
