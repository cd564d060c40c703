"""Metrics for object detection and segmentation that live where the tensors live.

A metric is a module with three methods. `update(preds, target)` adds a batch, `compute()` returns the result for
everything added so far, `reset()` starts again. The result does not depend on how the data was cut into batches, on
the number of ranks, or on the order in which states were merged: it has the same bits.

# First steps

Install the package from a checkout with `pip install .`, or with the command line and its tables with
`pip install ".[cli]"`. Then give a metric one dict per image:

>>> import torch
>>> from detmetrics import MeanAveragePrecision
>>> target = [{"boxes": torch.tensor([[10.0, 10, 60, 60], [70, 20, 90, 50]]), "labels": torch.tensor([0, 1])}]
>>> preds = [
...     {
...         "boxes": torch.tensor([[12.0, 11, 60, 62], [30, 30, 80, 80]]),
...         "scores": torch.tensor([0.9, 0.6]),
...         "labels": torch.tensor([0, 1]),
...     }
... ]
>>> metric = MeanAveragePrecision(class_metrics=True, class_names=["cat", "dog", "bird"])
>>> metric.update(preds, target)
>>> result = metric.compute()
>>> print(f"{result['map']:.3f} {result['map/cat']:.3f} {result['map/bird']:.3f}")
0.450 0.900 nan

Every value is a 0-d float64 tensor on the metric's device, so the dict goes into `log_dict` as it is. There are no
birds, so the score of birds is undefined: NaN, which is left out of every mean. `zero_division=0` puts a number there
instead.

Boxes are `(N, 4)` in pixels: corners `xyxy` by default, see `box_format`. Labels are integers of any values. An image
without objects has empty tensors. What does not fit raises a `ValueError` that names the image and the key, and the
metric stays as it was:

>>> preds[0]["scores"] = torch.tensor([0.9])
>>> metric.update(preds, target)
Traceback (most recent call last):
    ...
ValueError: preds[0]['scores']: expected shape (2,), one for each of 2 boxes, got (1,)

Each metric has a function of the same name in `detmetrics.functional`, for data that is all there at once.

# Where to read on

* `detmetrics.guides.choosing`: which metric do I want?
* `detmetrics.detection`: what detection metrics count, thresholds, classes, sizes, crowds, masks.
* `detmetrics.segmentation`: averages over classes and images, undefined scores, ignored pixels, surfaces.
* `detmetrics.panoptic`: panoptic quality, and instances of one class.
* `detmetrics.classification`: scikit-learn's report, from batches.
* `detmetrics.analysis`: how sure a result is, which of two models is better, and where.
* `detmetrics.guides.training`: a plain loop, Lightning, torchrun, Hugging Face, and loggers.
* `detmetrics.state`: batches, ranks, repeated images, merging, checkpoints, threads.
* `detmetrics.files` and `detmetrics.cli`: COCO's and other files, and the command line.
* `detmetrics.compat`: coming from torchmetrics, pycocotools and others.
* `detmetrics.guides.differences`: why is my number different from theirs?
"""

import lazy_loader

__version__ = "0.1.0"

# The names are those of __init__.pyi. Importing torch takes seconds, in which the command could have said what is wrong
# with its arguments, so each name is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
