"""The smallest things that can be trained: coloured rectangles, a torchvision detector and a segmentation net."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MetricCollection
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

from detmetrics import (
    DetectionF1Score,
    DetectionPrecision,
    DetectionRecall,
    MeanAveragePrecision,
    SegmentationF1Score,
    SegmentationIoU,
)

NAMES = ["cat", "dog", "traffic light"]  # the third never occurs
SIZE = 64  # pixels
BATCH = 4
MAP_SETTINGS: dict[str, Any] = {"class_metrics": True, "class_names": NAMES, "iou_thresholds": [0.3, 0.5]}
PIXEL_NAMES = ["background", *NAMES]
PIXEL_SETTINGS: dict[str, Any] = {"class_names": PIXEL_NAMES, "ignore_index": 255}
POINT_SETTINGS: dict[str, Any] = {"score_threshold": 0.2, "iou_threshold": 0.3}
Item = tuple[Tensor, dict[str, Any]]


class Rectangles(Dataset[Item]):
    """Images (3, SIZE, SIZE) of up to two rectangles, red for cats and green for dogs; item i is always the same."""

    def __init__(self, count: int, first: int = 0, labels: tuple[int, ...] = (0, 1)) -> None:
        self.count, self.first, self.labels = count, first, labels

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        number = self.first + index
        generator = torch.Generator().manual_seed(number)
        image = 0.2 * torch.rand(3, SIZE, SIZE, generator=generator)
        boxes, labels = [], []
        for half in range(number % 3):  # none, one in the left half, one in each
            label = self.labels[int(torch.randint(len(self.labels), (), generator=generator))]
            x, y, w, h = (int(v) for v in torch.randint(0, 9, (4,), generator=generator))
            box = [32 * half + x, 8 + y, 32 * half + x + 16 + w, 8 + y + 24 + h]
            image[label, box[1] : box[3], box[0] : box[2]] = 1
            boxes.append(box)
            labels.append(label)
        target = {
            "boxes": torch.tensor(boxes).float().reshape(-1, 4),
            "labels": torch.tensor(labels, dtype=torch.int64),
        }
        return image, {**target, "image_id": number}


def label_map(target: dict[str, Any]) -> Tensor:
    """(SIZE, SIZE): 0 for the background, the label + 1 within boxes, 255 in the first row, which nobody annotated."""
    found = torch.zeros(SIZE, SIZE, dtype=torch.int64)
    for box, label in zip(target["boxes"].long().tolist(), target["labels"].tolist(), strict=True):
        found[box[1] : box[3], box[0] : box[2]] = label + 1
    found[0] = 255
    return found


def detection_batch(items: list[Item]) -> tuple[list[Tensor], list[dict[str, Any]]]:
    return [image for image, _ in items], [target for _, target in items]


def segmentation_batch(items: list[Item]) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, SIZE, SIZE), label maps (B, SIZE, SIZE), ids (B,)."""
    images, targets = detection_batch(items)
    ids = torch.tensor([target["image_id"] for target in targets])
    return torch.stack(images), torch.stack([label_map(target) for target in targets]), ids


def loader(data: Dataset[Item], collate: Any, batch_size: int = BATCH) -> DataLoader[Item]:
    return DataLoader(data, batch_size=batch_size, collate_fn=collate)


class TinyFCOS(FCOS):
    """Torchvision's FCOS on a backbone of two convolutions, random weights."""

    def __init__(self) -> None:
        layers = [
            nn.Conv2d(3, 32, 3, stride=4, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.ReLU(),
        ]
        backbone = nn.Sequential(*layers)
        backbone.out_channels = 32  # type: ignore[assignment]
        super().__init__(
            backbone,
            num_classes=len(NAMES),
            min_size=SIZE,
            max_size=SIZE,
            anchor_generator=AnchorGenerator(((24,),), ((1.0,),)),
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
            topk_candidates=40,
            score_thresh=0.05,
        )

    def postprocess_detections(self, head_outputs: Any, anchors: Any, image_shapes: Any) -> Any:
        """In float32, since ``nms`` on a CPU knows no bfloat16; back in the dtype of the net, as on a GPU."""
        dtype = head_outputs["cls_logits"][0].dtype
        head_outputs = {key: [x.float() for x in values] for key, values in head_outputs.items()}
        anchors = [[x.float() for x in levels] for levels in anchors]
        found = super().postprocess_detections(head_outputs, anchors, image_shapes)
        return [{key: x if key == "labels" else x.to(dtype) for key, x in item.items()} for item in found]


class Detector(LightningModule):
    """A detector with a dict of results, a scalar metric a data loader, and a collection of scalar metrics."""

    def __init__(self, num_loaders: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = TinyFCOS()
        self.map = MeanAveragePrecision(**MAP_SETTINGS)
        self.f1 = nn.ModuleList(DetectionF1Score(**POINT_SETTINGS) for _ in range(num_loaders))
        self.points = MetricCollection(
            {"precision": DetectionPrecision(**POINT_SETTINGS), "recall": DetectionRecall(**POINT_SETTINGS)},
            prefix="val/",
        )
        self.ever = DetectionF1Score(**POINT_SETTINGS)  # over all training steps, saved in checkpoints
        self.ever.persistent(True)
        self.seen: list[tuple[Any, Any]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, target = batch
        loss: Tensor = sum(self.model(images, target).values())
        self.ever.update([{**item, "scores": torch.ones(len(item["labels"]))} for item in target], target)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        images, target = batch
        preds = self.model(images)
        self.seen.append((preds, target))
        self.f1[dataloader_idx].update(preds, target)
        self.log("val/f1", self.f1[dataloader_idx])
        if dataloader_idx == 0:
            self.map.update(preds, target)
            self.points.update(preds, target)
            self.log_dict(self.points, add_dataloader_idx=False)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{key}": value for key, value in self.map.compute().items()})
        self.map.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


class Segmenter(LightningModule):
    """A segmentation net with a dict of results, a scalar metric a data loader, and a collection of scalar metrics."""

    def __init__(self, num_loaders: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        classes = len(PIXEL_NAMES)
        self.model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 3, padding=1))
        self.iou = SegmentationIoU(average="none", **PIXEL_SETTINGS)
        self.f1 = nn.ModuleList(
            SegmentationF1Score(aggregate="imagewise", **PIXEL_SETTINGS) for _ in range(num_loaders)
        )
        self.points = MetricCollection(
            {"miou": SegmentationIoU(**PIXEL_SETTINGS), "dice": SegmentationF1Score(**PIXEL_SETTINGS)}, prefix="val/"
        )
        self.ever = SegmentationIoU(average="micro", **PIXEL_SETTINGS)
        self.ever.persistent(True)
        self.seen: list[tuple[Any, Any]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, target, _ = batch
        loss = nn.functional.cross_entropy(self.model(images), target, ignore_index=255)
        self.ever.update(target.clamp(max=len(NAMES)), target)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        images, target, ids = batch
        preds = self.model(images)
        self.seen.append((preds, target))
        self.f1[dataloader_idx].update(preds, target, image_ids=ids)
        self.log("val/f1", self.f1[dataloader_idx])
        if dataloader_idx == 0:
            self.iou.update(preds, target, image_ids=ids)
            self.points.update(preds, target, image_ids=ids)
            self.log_dict(self.points, add_dataloader_idx=False)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{key}": value for key, value in self.iou.compute().items()})
        self.iou.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)
