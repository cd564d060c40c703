"""The base of panoptic metrics: a state of outcomes that updates fill and readers read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.count import repeats
from detmetrics.count.image_ids import check_id_values, check_ids
from detmetrics.panoptic import rows
from detmetrics.panoptic.inputs import Infos, Maps
from detmetrics.panoptic.rows import PanopticData
from detmetrics.panoptic.segments import Batch, outcomes, read_batch, target_hashes
from detmetrics.settings import Fixed, Setting
from detmetrics.state.metric import Metric
from detmetrics.state.rows import FIRST_ARRIVAL
from detmetrics.state.sync import State


class PanopticMetric(Metric):
    """Accumulates the matches of segments, and the segments without one.

    Args:
        settings: What readers are asked; ``settings.configuration`` is fixed.
        kwargs: The keyword arguments of ``torchmetrics.Metric``.
    """

    reads_pixels = True

    duplicates = Fixed()
    zero_division = Setting()

    def __init__(self, settings: Any, **kwargs: Any) -> None:
        super().__init__(settings.configuration, settings, **kwargs)
        self.fixed = vars(settings.configuration).copy()
        self.num_images = self.num_duplicates = 0  # distinct and repeated images, as of the last compute()
        self.image_ids: repeats.Ids = {}  # what messages call images, where it is not the number given to update()
        for name, width in rows.WIDTHS.items():
            self.add_rows(name, width, keyed=name == "images")

    def add_batch(
        self,
        preds: Maps,
        target: Maps,
        preds_info: Infos | None,
        target_info: Infos | None,
        image_ids: Sequence[int] | Tensor | None,
    ) -> None:
        """Add a batch in any of the forms that the configuration allows; see the ``update()`` of the metrics."""
        batch = read_batch(preds, target, preds_info, target_info, self.configuration, self.device)
        keys, hashes = self._keys(batch, target, image_ids)
        found = outcomes(batch)
        self.append("images", rows.image_rows(keys, hashes, found))
        self.append("outcomes", found.rows)

    def _keys(self, batch: Batch, target: Maps, image_ids: Sequence[int] | Tensor | None) -> tuple[Tensor, Tensor]:
        """The key of each image, and a hash of its target; only ids can repeat, so that without them there is none."""
        if image_ids is None:
            arrival = torch.arange(batch.num_images, device=self.device)
            return FIRST_ARRIVAL + self.num_rows("images") + arrival, torch.zeros_like(arrival)
        ids = check_ids(image_ids, batch.num_images, self.device)
        check_id_values(ids)
        return ids, target_hashes(target, batch)

    def check_settings(self, settings: Any) -> None:
        """Raise a ``ValueError`` if the settings ask for other outcomes than those of this state."""
        for name, value in vars(settings.configuration).items():
            if value != getattr(self.configuration, name):
                raise ValueError(f"{name}: fixed when a {type(self).__name__} is made, since its state depends on it")

    def rows_of_images(self) -> dict[str, dict[str, int]]:
        """The images, with the column that counts their outcomes."""
        return {"images": {"outcomes": rows.NUM_ROWS}}

    def checked_states(self, incoming: Mapping[str, Any]) -> State:
        """States from elsewhere, on this device, if no reader can go astray because of them."""
        checked = super().checked_states(incoming)
        images, found = (
            checked[self.state_name(name)].joined(width, self.device) for name, width in rows.WIDTHS.items()
        )
        try:
            rows.check_rows(images, found, len(self.configuration.labels))
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: state of {error}") from error
        return checked

    def read_state(self) -> PanopticData:
        """What readers read; warns about the images that were left out."""
        data, left_out = rows.read(self.rows("images"), self.rows("outcomes"), self.duplicates)
        repeats.tell(left_out, self.duplicates, "image_ids", self.image_ids)
        return data

    def data(self) -> PanopticData:
        """The outcomes of the images of all ranks, for readers: ``reader(metric.data(), metric.settings)``.

        All ranks must call it, unless ``compute()`` was called since the last update.

        Raises:
            ValueError: if an id has several targets.
        """
        data: PanopticData = self.read()
        self.num_images, self.num_duplicates = len(data.keys), data.num_duplicates
        return data


def on_device_of(metric: Any, maps: Maps) -> Any:
    """The metric, moved to where the maps are."""
    first = maps if isinstance(maps, Tensor) else next(iter(maps), None)
    return metric.to(first.device) if isinstance(first, Tensor) else metric
