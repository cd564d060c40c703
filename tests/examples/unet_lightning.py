"""A small U-Net in Lightning, with F1 as micro, macro and imagewise score."""

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from detmetrics import MetricCollection, SegmentationF1Score

CLASSES = 3


class UNet(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.low = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2))
        self.head = nn.Conv2d(16, CLASSES, 1)
        options = {"num_classes": CLASSES, "ignore_index": 255}
        self.scores = MetricCollection(
            {
                "f1_micro": SegmentationF1Score(average="micro", **options),
                "f1_macro": SegmentationF1Score(average="macro", **options),
                "f1_imagewise": SegmentationF1Score(aggregate="imagewise", **options),
            },
            prefix="val/",
        )

    def forward(self, image):
        high = self.down(image)
        return self.head(torch.cat([high, self.low(high)], dim=1))

    def training_step(self, batch, batch_idx):
        image, labels = batch
        return nn.functional.cross_entropy(self(image), labels, ignore_index=255)

    def validation_step(self, batch, batch_idx):
        image, labels = batch
        self.scores.update(self(image), labels)
        self.log_dict(self.scores)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def main():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (8, 4, 4), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = labels[:, None] / 2 + torch.rand(8, 1, 32, 32, generator=generator) / 4
    labels[:, :2] = 255  # not labelled
    loader = DataLoader(TensorDataset(image, labels), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    lightning.seed_everything(0, verbose=False)
    trainer.fit(UNet(), loader, loader)
    results = {name: value.item() for name, value in trainer.callback_metrics.items()}
    print({name: round(value, 3) for name, value in results.items()})
    return results


if __name__ == "__main__":
    main()
