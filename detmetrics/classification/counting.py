"""How labels, one-hot targets and scores of samples become counts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detmetrics.segmentation import inputs
from detmetrics.segmentation.counting import Counted, Counting, ImageCounts
from detmetrics.state import devices


@dataclass(frozen=True)
class SampleCounts(ImageCounts):
    """The counts of all samples so far, and for multilabel inputs those of each sample over the reported labels."""

    samples: Tensor | None  # (N, 3) int64: tp, fp, fn; where all have ids in the order of the keys

    def at_images(self, images: Tensor) -> Any:
        """See :meth:`ImageCounts.at_images`."""
        chosen = super().at_images(images)
        return chosen if self.samples is None else dataclasses.replace(chosen, samples=self.samples[images])


@dataclass(frozen=True, kw_only=True)
class SampleCounting(Counting):
    """Counts samples as :class:`Counting` does pixels, but that both labels of binary inputs are counted.

    Multilabel inputs are counted sample by sample, over the labels that are reported, for the averages over samples.
    """

    labels: tuple[int, ...] = ()  # multilabel: those that are counted in a sample, ascending

    @property
    def has_label_maps(self) -> bool:
        """Whether targets are labels, rather than a 0 or 1 for each label."""
        return self.task != "multilabel"

    def prepare(self, preds: Tensor, target: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Labels in place of binary scores and one-hot targets; a value that is invalid becomes -1, an invalid label.

        On a CPU the values are checked here, since -1 does not tell what they were.
        """
        inputs.check_tensors(preds, target, device)
        check_values = not devices.defers_value_checks(device)
        if self.task == "binary" and preds.is_floating_point():
            preds = self._labels_of_scores(preds, check_values)
        if self.task == "multiclass" and target.ndim == 2:
            target = _labels_of_one_hot(target, self.num_classes, check_values)
        return super().prepare(preds, target, device)

    def count(self, preds: Tensor, target: Tensor, *, per_image: bool) -> Counted:
        """The counts of prepared inputs: (N, C, 4), or (C, 4) if they are labels and not ``per_image``."""
        return super().count(preds, target, per_image=per_image or self.task == "multilabel")

    def over_labels(self, counts: Tensor) -> Tensor:
        """tp, fp and fn (N, 3) of samples (N, C, 4) over the labels that are reported."""
        return torch.stack([counts[:, label, :3] for label in self.labels], dim=1).sum(dim=1)

    def _labels_of_scores(self, preds: Tensor, check_values: bool) -> Tensor:
        low, high = self.bounds
        if check_values:
            inputs.check_scores(preds, low, high)
        valid = (preds >= low) & (preds <= high)
        return (preds >= self.cut).long().where(valid, -1)


def _labels_of_one_hot(target: Tensor, num_classes: int, check_values: bool) -> Tensor:
    """The labels (N,) of a one-hot target (N, C), -1 for a row that is none."""
    if target.shape[1] != num_classes:
        raise ValueError(f"target: expected labels (N,) or one-hot (N, {num_classes}), got {tuple(target.shape)}")
    valid = (target.sum(dim=1) == 1) & ((target == 0) | (target == 1)).all(dim=1)
    if check_values and not bool(valid.all()):
        sample = int((~valid).nonzero()[0, 0])
        raise ValueError(f"target[{sample}]: expected one 1 and otherwise 0, got {target[sample].tolist()}")
    return target.long().argmax(dim=1).where(valid, -1)
