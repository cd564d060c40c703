"""scikit-learn's classification report, from batches that are never together."""

import torch

from detmetrics import ClassificationReport


def main():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, (1000,), generator=generator)
    preds = torch.where(torch.rand(1000, generator=generator) < 0.7, target, 0)
    report = ClassificationReport(target_names=["cat", "dog", "bird"])
    for start in range(0, 1000, 64):
        report.update(preds[start : start + 64], target[start : start + 64])
    print(report.table())
    return preds, target, report.table()


if __name__ == "__main__":
    main()
