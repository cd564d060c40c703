"""Two ranks under torchrun, with a sampler that repeats an image: ``torchrun --nproc-per-node 2 two_ranks.py``."""

import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler

from detmetrics import DetectionF1Score, MeanAveragePrecision, MetricCollection, demo


def main():
    dist.init_process_group("gloo")
    preds, target = demo.generate(num_images=25, num_detections=30, num_classes=5)
    data = list(zip(preds, target, strict=True))
    sampler = DistributedSampler(data, shuffle=False)  # 25 images on 2 ranks: one comes twice
    metrics = MetricCollection({"ap": MeanAveragePrecision(), "f1": DetectionF1Score(score_threshold=0.3)})
    for batch in DataLoader(
        data, batch_size=4, sampler=sampler, collate_fn=lambda items: list(zip(*items, strict=True))
    ):
        metrics.update(*batch)
    results = metrics.compute()  # the same on all ranks
    if dist.get_rank() == 0:
        print(f"{results['map'].item():.12f} {results['f1'].item():.12f}", metrics["ap"].num_images)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
