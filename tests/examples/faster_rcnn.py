"""A Faster R-CNN at its operating point: F1 by class, and how well the boxes that it finds are labelled."""

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

from detmetrics import DetectionF1Score, DetectionReport

NAMES = {1: "circle", 2: "square", 3: "star"}  # torchvision's detectors have 0 for the background


class Shapes(Dataset):
    """Noise with a bright box in it."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        generator = torch.Generator().manual_seed(i)
        image = torch.rand(3, 96, 96, generator=generator) / 2
        image[:, 20:60, 10 + i : 50 + i] += 0.5
        boxes = torch.tensor([[10.0 + i, 20, 50 + i, 60]])
        return image, {"boxes": boxes, "labels": torch.tensor([1 + i % 3]), "image_id": i}


def collate(items):
    return tuple(zip(*items, strict=True))


def main():
    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=4).eval()
    f1 = DetectionF1Score(score_threshold=0.2, average="none", class_names=NAMES)
    matched = DetectionReport(score_threshold=0.2, matched_only=True, class_names=NAMES)
    with torch.no_grad():
        for images, target in DataLoader(Shapes(), batch_size=2, collate_fn=collate):
            preds = model(images)
            f1.update(preds, target)
            matched.update(preds, target)
    scores = f1.compute()
    print({name: round(value.item(), 3) for name, value in scores.items()})
    print(matched.table())
    return scores, matched.compute()


if __name__ == "__main__":
    main()
