r"""Panoptic segmentation, and instances of one class.

`detmetrics.PanopticQuality` compares two maps of segments, of which no two overlap. A segment of the prediction and one
of the target match if they have the same class and their IoU is above .5, so that no segment has two partners.

$$PQ = \frac{\sum_{matches} IoU}{tp + fp / 2 + fn / 2} = SQ \cdot RQ$$

The segmentation quality SQ is the mean IoU of the matches, the recognition quality RQ is their F1. Scores are taken by
class and averaged over all classes, over *things* (countable objects) and over *stuff* (sky, road).

>>> import torch
>>> from detmetrics import PanopticQuality
>>> metric = PanopticQuality(things=["cat"], stuffs=["sky"], class_names={1: "cat", 2: "sky"})
>>> cat, sky = {"category_id": 1}, {"category_id": 2}
>>> metric.update(
...     preds=torch.tensor([[[3, 3, 3, 3], [4, 4, 4, 4]]]),  # segment ids, 0 is void
...     target=torch.tensor([[[7, 7, 7, 8], [9, 9, 9, 9]]]),
...     preds_info=[[{**cat, "id": 3}, {**sky, "id": 4}]],
...     target_info=[[{**cat, "id": 7}, {**cat, "id": 8}, {**sky, "id": 9}]],
... )
>>> scores = metric.compute()
>>> {name: round(scores[name].item(), 4) for name in ("pq", "sq", "rq", "pq_things", "pq/cat")}
{'pq': 0.75, 'sq': 0.875, 'rq': 0.8333, 'pq_things': 0.5, 'pq/cat': 0.5}

Maps of categories and instances `(B, H, W, 2)`, as torchmetrics takes them, need no dicts. Void pixels leave the
union, and predictions more than half of which are void or a crowd of their class do not count. `boundary=True` is
Boundary PQ, and `metric.per_threshold([0.5, 0.75])` reads the same state again.

For cells and nuclei `detmetrics.InstanceQuality` takes maps of instance ids and returns the aggregated Jaccard index
(AJI), and F1, accuracy and PQ at several IoU thresholds.
"""
