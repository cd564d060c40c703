"""One update with counts of a batch of label maps, scores or masks, input checks on, and the score after it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Contender, Meter, Problem, Statistics

SIZE = {"images": 16, "height": 512, "width": 1024, "classes": 19}
SMALL = {"images": 2, "height": 32, "width": 48}
CELLS = 16  # blocks of one label along each side of a map: labels come in regions


@dataclass(frozen=True)
class SegmentationData:
    """A batch in the form that a problem gives to all of its contenders."""

    preds: Tensor
    target: Tensor
    num_classes: int

    @property
    def device(self) -> torch.device:
        return self.target.device


def regions(device: str, images: int, height: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Label maps of regions, one pixel in ten predicted at random, (B, H, W) int64 each."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, classes, (images, 1, CELLS, 2 * CELLS), generator=generator).float()
    target = torch.nn.functional.interpolate(coarse, size=(height, width))[:, 0].long()
    noise = torch.randint(0, classes, target.shape, generator=generator)
    preds = torch.where(torch.rand(target.shape, generator=generator) < 0.1, noise, target)
    return preds.to(device), target.to(device)


def label_maps(dtype: torch.dtype, device: str, classes: int, **size: int) -> SegmentationData:
    preds, target = regions(device, classes=classes, **size)
    return SegmentationData(preds.to(dtype), target.to(dtype), classes)


def score_maps(device: str, classes: int, **size: int) -> SegmentationData:
    """Float32 scores (B, C, H, W), the label's own one raised."""
    preds, target = regions(device, classes=classes, **size)
    generator = torch.Generator(device=device).manual_seed(1)
    scores = torch.rand((len(target), classes, *target.shape[1:]), generator=generator, device=device)
    scores.scatter_add_(1, preds[:, None], torch.ones_like(scores[:, :1]))
    return SegmentationData(scores, target, classes)


def mask_maps(device: str, classes: int, **size: int) -> SegmentationData:
    """Probabilities (B, C, H, W) in float32 and masks in uint8."""
    data = score_maps(device, classes, **size)
    scores = data.preds.mul_(0.5)
    target = torch.zeros(scores.shape, dtype=torch.uint8, device=device)
    target.scatter_(1, data.target[:, None], 1)
    return SegmentationData(scores, target, classes)


def detmetrics_score(task: str, data: SegmentationData, meter: Meter) -> Statistics:
    from detmetrics import SegmentationIoU

    metric = SegmentationIoU(task=task, num_classes=data.num_classes).to(data.device)
    with meter("update"):
        metric.update(data.preds, data.target)
    with meter("compute"):
        return {"iou": float(metric.compute())}


def torchmetrics_score(task: str, data: SegmentationData, meter: Meter) -> Statistics:
    from torchmetrics.classification import MulticlassJaccardIndex, MultilabelJaccardIndex

    kind: Any = MulticlassJaccardIndex if task == "multiclass" else MultilabelJaccardIndex
    metric = kind(data.num_classes).to(data.device)
    with meter("update"):
        metric.update(data.preds, data.target)
    with meter("compute"):
        return {"iou": float(metric.compute())}


def bincount_an_image(data: SegmentationData, meter: Meter) -> Statistics:
    """The least that torch can do for labels, without a look at their values."""
    counts = torch.zeros(data.num_classes**2, dtype=torch.int64, device=data.device)
    with meter("update"):
        for preds, target in zip(data.preds, data.target, strict=True):
            wide = target.flatten() if target.dtype == torch.int64 else target.flatten().short()
            counts += torch.bincount(wide * data.num_classes + preds.flatten(), minlength=len(counts))
    return {"iou": _mean_iou(counts.view(data.num_classes, -1).cpu().numpy())}


def numpy_an_image(data: SegmentationData, meter: Meter) -> Statistics:
    """As many training scripts do it."""
    preds, target = data.preds.cpu().numpy(), data.target.cpu().numpy()
    counts = np.zeros(data.num_classes**2, dtype=np.int64)
    with meter("update"):
        for p, t in zip(preds, target, strict=True):
            kept = (t >= 0) & (t < data.num_classes)
            index = data.num_classes * t[kept].astype(np.int64) + p[kept]
            counts += np.bincount(index, minlength=len(counts))
    return {"iou": _mean_iou(counts.reshape(data.num_classes, -1))}


def scikit_learn(data: SegmentationData, meter: Meter) -> Statistics:
    from sklearn.metrics import confusion_matrix

    preds, target = data.preds.cpu().numpy().ravel(), data.target.cpu().numpy().ravel()
    with meter("update"):
        counts = confusion_matrix(target, preds, labels=range(data.num_classes))
    return {"iou": _mean_iou(counts)}


def segmentation_models_pytorch(data: SegmentationData, meter: Meter) -> Statistics:
    import segmentation_models_pytorch.metrics as smp

    with meter("update"):
        counts = smp.get_stats(data.preds.long(), data.target.long(), mode="multiclass", num_classes=data.num_classes)
    with meter("compute"):
        return {"iou": float(smp.iou_score(*counts, reduction="macro"))}


def _mean_iou(confusion: np.ndarray) -> float:
    tp = np.diagonal(confusion).astype(float)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - tp
    return float(np.mean(tp[union > 0] / union[union > 0]))


OURS = "detmetrics"
NEEDS = ("detmetrics:SegmentationIoU",)


def _labels_problem(name: str, dtype: torch.dtype) -> Problem:
    return Problem(
        name=f"segmentation_{name}",
        title=f"Mean IoU of one batch of {name} label maps",
        generate=partial(label_maps, dtype),
        size=SIZE,
        small=SMALL,
        contenders=(
            Contender(OURS, partial(detmetrics_score, "multiclass"), NEEDS),
            Contender("bincount an image, no checks", bincount_an_image, ("torch",)),
            Contender("numpy.bincount an image", numpy_an_image, ("numpy",)),
            Contender("segmentation_models_pytorch", segmentation_models_pytorch, ("segmentation_models_pytorch",)),
            Contender("scikit-learn", scikit_learn, ("sklearn",)),
            Contender("torchmetrics", partial(torchmetrics_score, "multiclass"), ("torchmetrics",)),
        ),
        bases=(OURS,),
        reference="scikit-learn",
    )


LABELS = _labels_problem("int64", torch.int64)
BYTES = _labels_problem("uint8", torch.uint8)
SCORES = Problem(
    name="segmentation_scores",
    title="Mean IoU of one batch of float32 scores",
    generate=score_maps,
    size=SIZE,
    small=SMALL,
    contenders=(
        Contender(OURS, partial(detmetrics_score, "multiclass"), NEEDS),
        Contender("torchmetrics", partial(torchmetrics_score, "multiclass"), ("torchmetrics",)),
    ),
    bases=(OURS,),
    reference="torchmetrics",
)
MASKS = Problem(
    name="segmentation_masks",
    title="Mean IoU of one batch of multilabel masks, float32 probabilities",
    generate=mask_maps,
    size=SIZE,
    small=SMALL,
    contenders=(
        Contender(OURS, partial(detmetrics_score, "multilabel"), NEEDS),
        Contender("torchmetrics", partial(torchmetrics_score, "multilabel"), ("torchmetrics",)),
    ),
    bases=(OURS,),
    reference="torchmetrics",
)
PROBLEMS = (LABELS, BYTES, SCORES, MASKS)
