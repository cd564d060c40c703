"""State: batches, ranks, repeated images, merging, checkpoints and threads.

# What is kept

A state consists of int64 numbers alone: rows, which are put one after the other, or totals, which are added. Both give
the same result in any order, so a metric has the same bits for any batch size, any number of ranks and any order of
merging. A mean average precision keeps 48 bytes for an image, 24 for a detection or a target, and 16 for an overlap of
a detection with a target of its class; a segmentation score over the data set keeps 32 bytes for a class.

A state is moved by `.to(device)` like any module, and no cast (`.half()`, autocast) changes it. `update()` checks a
batch before it changes anything, so an update that raises has changed nothing.

# Several ranks

`compute()` gathers the states of all ranks in one step and returns the same result on each. Ranks may have seen
different numbers of images, or none, but all of them must call it. Nothing has to be set up apart from the process
group of `torch.distributed`. Ranks whose metrics have other settings or class names raise an error that names the
difference. With `sync_on_compute=False` each rank has its own result.

# Repeated images

A sampler repeats images so that all ranks get equally many. Give images an id and repeats count once:

>>> import torch
>>> from detmetrics import MeanAveragePrecision
>>> metric = MeanAveragePrecision()
>>> box = torch.tensor([[0.0, 0, 8, 8]])
>>> target = [{"boxes": box, "labels": torch.tensor([0]), "image_id": 17}]
>>> preds = [{"boxes": box, "scores": torch.tensor([0.9]), "labels": torch.tensor([0])}]
>>> metric.update(preds, target)
>>> metric.update(preds, target)  # as on another rank
>>> import warnings
>>> with warnings.catch_warnings(record=True) as told:
...     warnings.simplefilter("always")
...     result = metric.compute()
>>> metric.num_images, metric.num_duplicates, len(told)
(1, 1, 1)

The warning gives the number of repeats. If a repeated image was predicted differently (tiles of one image that share an
id, or an epoch without `reset()`), it names the ids. `duplicates="error"` raises in that case, and `duplicates="keep"`
counts every copy. One id with two different targets is always an error, unless every copy is kept.

With ids the result has the same bits as one pass over the data in the order of the ids. Without ids every image counts,
and images with equal scores are ranked in the order in which a strided sampler gives them to the ranks.

# Merging and saving

`merge_state` adds the state of another metric, for example of a machine that could not be reached:

>>> first, second = MeanAveragePrecision(), MeanAveragePrecision()
>>> first.update(preds, target)
>>> second.update(preds, [{**target[0], "image_id": 18}])
>>> first.merge_state(second)
>>> first.compute()["map"].item(), first.num_images
(1.0, 2)

`metric.metric_state` is the state as a dict, which `merge_state` takes too. By default states are not part of a
module's checkpoint; `metric.persistent(True)` puts them there. Files of states for the command line are written by
`detmetrics evaluate --save-state`; see `detmetrics.cli`.

# Collections

Metrics of a `detmetrics.MetricCollection` share a state if the meaning of their states agrees (same `iou_type`,
`box_format` and `pairs`, for example), whatever their thresholds. They share one search for overlaps, one matching,
and one gather on several ranks. In torchmetrics' own `MetricCollection` they share the state as well, and gather one by
one.

# Threads

A lock lets several threads update one metric, and two threads give the sum of what they added. State tensors are never
changed in place, so a state that was kept by reference stays what it was.
"""
