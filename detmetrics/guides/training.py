"""Metrics during training: a plain loop, Lightning, torchrun, Hugging Face's Trainer, and loggers.

# A plain loop

`update()` once for each batch, `compute()` and `reset()` once for each epoch. torchvision's detectors return what the
metrics take:

>>> import tempfile
>>> import torch
>>> from torch.utils.data import DataLoader
>>> from torchvision.models.detection import ssdlite320_mobilenet_v3_large
>>> from detmetrics import DetectionF1Score, MeanAveragePrecision
>>> names = {1: "cat", 2: "dog", 3: "bird"}  # torchvision's detectors have 0 for the background
>>> cat = {"boxes": torch.tensor([[8.0, 8, 40, 40]]), "labels": torch.tensor([1])}
>>> data = [(torch.rand(3, 64, 64), {**cat, "image_id": i}) for i in range(4)]
>>> loader = DataLoader(data, batch_size=2, collate_fn=lambda items: tuple(zip(*items)))
>>> def new_model():
...     return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
>>> model, f1 = new_model().eval(), DetectionF1Score(score_threshold=0.3)
>>> scores = MeanAveragePrecision(class_metrics=True, class_names=names)
>>> for epoch in range(1):
...     with torch.no_grad():
...         for images, target in loader:
...             preds = model(images)
...             scores.update(preds, target)
...             f1.update(preds, target)
...     results = {**scores.compute(), "f1": f1.compute()}
...     scores.reset()
...     f1.reset()
>>> len(results), scores.num_images
(19, 4)

On a GPU move the metrics there with `.to(device)`. Inputs stay on the device, and `update()` never waits for it. What
is wrong with values (not finite, negative sizes) is therefore found by `compute()`, which names the image.

# Lightning

A metric with one number is logged as it is, and Lightning computes and resets it; so is a collection of such metrics. A
metric with a dict of results is computed, logged and reset by hand. The keys are the same in every epoch, the sanity
check included, if the classes are named.

>>> import warnings
>>> warnings.simplefilter("ignore")  # Lightning has much to say about small examples
>>> import lightning
>>> from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
>>> class Detector(lightning.LightningModule):
...     def __init__(self):
...         super().__init__()
...         self.model = new_model()
...         self.f1 = DetectionF1Score(score_threshold=0.3)
...         self.scores = MeanAveragePrecision(class_metrics=True, class_names=names)
...
...     def training_step(self, batch, batch_idx):
...         return sum(self.model(*batch).values())
...
...     def validation_step(self, batch, batch_idx):
...         images, target = batch
...         preds = self.model(images)
...         self.f1.update(preds, target)
...         self.scores.update(preds, target)
...         self.log("val/f1", self.f1)
...
...     def on_validation_epoch_end(self):
...         self.log_dict({f"val/{key}": value for key, value in self.scores.compute().items()})
...         self.scores.reset()
...
...     def configure_optimizers(self):
...         return torch.optim.SGD(self.parameters(), lr=1e-3)
>>> best = ModelCheckpoint(tempfile.mkdtemp(), monitor="val/map", mode="max")
>>> patient = EarlyStopping("val/map", mode="max", check_finite=False)
>>> trainer = lightning.Trainer(
...     max_epochs=1,
...     callbacks=[best, patient],
...     accelerator="cpu",
...     logger=False,
...     enable_progress_bar=False,
...     enable_model_summary=False,
... )
>>> trainer.fit(Detector(), loader, loader)
>>> sorted(trainer.callback_metrics)[:3]
['val/f1', 'val/map', 'val/map/bird']

`check_finite=False` keeps `EarlyStopping` from stopping at NaN, which stands for what is not defined, such as the score
of a validation set without objects. On several ranks each rank logs the value of all of them: `sync_dist=True`, which
Lightning recommends there, is not needed. Images that Lightning's sampler repeats count once if targets have an
`image_id`. States are in checkpoints only after `metric.persistent(True)`.

# Several ranks: torchrun

```python
# ranks.py
import torch.distributed as dist
from detmetrics import MeanAveragePrecision, demo

dist.init_process_group("gloo")  # or "nccl"
rank, size = dist.get_rank(), dist.get_world_size()
preds, target = demo.generate(num_images=25, num_detections=30, num_classes=5)
metric = MeanAveragePrecision()
for i in range(rank, 26, size):  # 26 is even: image 0 comes twice, as a sampler fills up the ranks
    metric.update([preds[i % 25]], [target[i % 25]])
value = metric.compute()["map"].item()  # waits for all ranks, and is the same on each
if rank == 0:
    print(f"{value:.12f}", metric.num_images, metric.num_duplicates)
dist.destroy_process_group()
```

```sh
torchrun --standalone --nproc-per-node 2 ranks.py
```

```text
0.557460985181 25 1
```

A rank that has seen no image calls `compute()` all the same. If one rank dies, the others raise after the timeout of
the process group at the latest, and still have what they had. `detmetrics.state` tells more about ranks.

# Hugging Face's Trainer

With `batch_eval_metrics=True` the Trainer calls `compute_metrics` for each batch, and once more with
`compute_result=True` at the end. A metric is the state between these calls:

>>> metric = MeanAveragePrecision()
>>> def compute_metrics(evaluation, compute_result):
...     preds, target = evaluation  # from the model's post_process_object_detection
...     metric.update(preds, target)
...     if not compute_result:
...         return {}
...     result = {key: value.item() for key, value in metric.compute().items()}
...     metric.reset()
...     return result
>>> batch = [{"boxes": torch.tensor([[0.0, 0, 8, 8]]), "scores": torch.tensor([0.9]), "labels": torch.tensor([0])}]
>>> compute_metrics((batch, batch), compute_result=False)
{}
>>> compute_metrics((batch, batch), compute_result=True)["map"]
1.0

# Loggers

TensorBoard takes one number at a time:

>>> from torch.utils.tensorboard import SummaryWriter
>>> with SummaryWriter(tempfile.mkdtemp()) as writer:
...     for key, value in results.items():
...         writer.add_scalar(f"val/{key}", value, epoch)

Weights & Biases takes the dict, and tables, such as a curve and a confusion matrix:

>>> import wandb
>>> from detmetrics import DetectionConfusionMatrix, DetectionCurves, demo
>>> batch = demo.generate(num_images=20, num_detections=30, num_classes=3)
>>> curves, confusion = DetectionCurves(), DetectionConfusionMatrix(class_names=["cat", "dog", "bird"])
>>> curves.update(*batch)
>>> confusion.update(*batch)
>>> curve, matrix = curves.compute(), confusion.compute()
>>> start, end = curve.offsets[-2:]  # the last curve is that of all classes pooled
>>> points = torch.stack([curve.scores, curve.recall, curve.precision], dim=1)[start:end]
>>> with wandb.init(project="detector", mode="offline", dir=tempfile.mkdtemp()) as run:
...     run.log({f"val/{key}": value for key, value in {**results, **curve.scalars()}.items()})
...     run.log({"val/curve": wandb.Table(["score", "recall", "precision"], points.tolist())})
...     run.log({"val/confusion": wandb.Table(["cat", "dog", "bird", "background"], matrix.tolist())})

MLflow takes numbers: `mlflow.log_metrics({key: value.item() for key, value in results.items()}, step=epoch)`, where
undefined ones (NaN) are best left out. Pictures go to any logger as figures: `figure, axis = confusion.plot()`.
"""
