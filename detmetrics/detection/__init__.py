r"""Detection metrics: what was found, what was missed, and what was wrong.

# One state, many questions

All detection metrics take the same input and keep the same state: the scores of the detections, the areas, and the
overlaps of .1 or more between detections and targets. A metric is a question about this state, so thresholds can be
changed after the data was seen, and metrics in a `detmetrics.MetricCollection` search for overlaps once.

>>> import torch
>>> from detmetrics import DetectionF1Score, MeanAveragePrecision, MetricCollection, demo
>>> preds, target = demo.generate(num_images=50, num_detections=20, num_classes=3)
>>> metrics = MetricCollection({"ap": MeanAveragePrecision(), "f1": DetectionF1Score(score_threshold=0.3)})
>>> metrics.update(preds, target)
>>> result = metrics.compute()
>>> print(f"{result['map']:.3f} {result['f1']:.3f}")
0.454 0.700

`preds` is a list with one dict per image:

| key | shape | meaning |
| --- | --- | --- |
| `boxes` | (N, 4) | pixels, corners x1, y1, x2, y2 unless `box_format` says otherwise |
| `scores` | (N,) | confidence; metrics at an operating point also take predictions without |
| `labels` | (N,) | integers |
| `masks` | (N, H, W) | in place of `boxes` with `iou_type="segm"` or `"boundary"`; or a list of run-length encodings |

`target` is a list of as many dicts with `boxes` or `masks` and `labels`, and optionally

| key | shape | meaning |
| --- | --- | --- |
| `image_id` | int | tells repeated images apart from new ones, see `detmetrics.state` |
| `iscrowd` | (M,) | regions of many objects |
| `ignore` | (M,) | targets that count neither way |
| `area` | (M,) | square pixels, which decide about small, medium and large; by default those of the box or mask |

# Matching

Within an image and a class, detections choose in the order of their scores. Each takes the free target that it
overlaps most, if the overlap reaches the IoU threshold; of equal overlaps it takes the later target. A target that is
not counted (a crowd, an ignored target, one outside the area range) is taken only if no other is left, and the
detection then counts neither way. Unmatched detections outside the area range do not count either.

The overlap with a crowd is the intersection divided by the area of the detection, and a crowd can be taken any number
of times. These are pycocotools' rules, down to the last bit.

# Average precision

`detmetrics.MeanAveragePrecision` is COCO's: for each class the mean over 101 recall points of the best precision at
that recall or beyond, with at most 100 detections of a class in an image; `map` is the mean over the IoU thresholds
.5, .55, ..., .95, then over the classes. `map_50` and `map_75` are those of one threshold, `map_small`, `map_medium`
and `map_large` those of targets below 32², up to 96², and above; `mar_1`, `mar_10` and `mar_100` are recalls with as
many detections allowed.

Everything can be asked again, also of a state that was saved, loaded or merged:

>>> ap = metrics["ap"]
>>> ap.iou_thresholds = [0.75]
>>> ap.max_detection_thresholds = [1, 10, 100, 1000]
>>> ap.area_ranges = {"tiny": (0, 16**2)}
>>> sorted(ap.compute())
['map', 'map_75', 'map_tiny', 'mar_1', 'mar_10', 'mar_100', 'mar_1000', 'mar_tiny']

Thresholds below .1 have to be given when the metric is made, because smaller overlaps are not kept otherwise.

# Precision, recall and F1 at an operating point

`detmetrics.DetectionPrecision`, `detmetrics.DetectionRecall`, `detmetrics.DetectionF1Score` and
`detmetrics.DetectionFBetaScore` count true positives, false positives and false negatives at one IoU threshold and
one score threshold, both .5 unless given:

$$P = \frac{tp}{tp + fp} \qquad R = \frac{tp}{tp + fn} \qquad F_1 = \frac{2\,tp}{2\,tp + fp + fn}$$

A detection in an image without targets is a false positive. `average` says how classes become one number
(`"micro"`, `"macro"`, `"weighted"`, `"none"`), and `aggregate` how images do; see `detmetrics.segmentation`, where the
same words have the same meaning.

Which score threshold is best? `detmetrics.DetectionCurves` knows every one of them:

>>> from detmetrics import DetectionCurves
>>> curves = DetectionCurves()
>>> curves.update(preds, target)
>>> best = curves.scalars()
>>> print(f"F1 {best['best_f1']:.3f} at {best['best_score_threshold']:.3f}")
F1 0.730 at 0.136

`detmetrics.DetectionReport` prints everything by class, `detmetrics.DetectionConfusionMatrix` tells which classes are
taken for which, with a last row and column for the background, and `report.per_image()` finds the worst images.

>>> from detmetrics import DetectionConfusionMatrix
>>> matrix = DetectionConfusionMatrix(score_threshold=0.4, class_names=["person", "car", "dog"])
>>> matrix.update(preds, target)
>>> matrix.compute()
tensor([[115,   2,   0,  85],
        [  4,  44,   0,  31],
        [  0,   0,  14,   6],
        [ 22,  10,   4,   0]])

# Classes

Without `num_classes` or `class_names` the classes are the labels that occur in predictions or targets. With
`class_names`, a list or a dict from label to name, results per class are named (`map/cat`), every declared class has
a result in every epoch, and an undeclared label raises. A class that neither occurs nor is predicted is undefined
(NaN) and left out of means; a class that is only predicted has F1 0 and counts. `class_agnostic=True` treats all
labels as one class.

# Masks

`iou_type="segm"` compares masks, `"boundary"` takes the smaller of the overlaps of the masks and of their outlines
(Boundary IoU). Masks are bool, integers (anything but 0) or probabilities (.5 or more), `(N, H, W)` or Mask R-CNN's
`(N, 1, H, W)`, and images may have any sizes. No mask outlives its `update()`. `mask_budget` bounds the memory that
overlaps take while they are found (64 MB by default).

>>> masks = torch.zeros(2, 480, 640)
>>> masks[0, 100:200, 100:300] = masks[1, 300:400, 50:150] = 0.9
>>> preds = [{"masks": masks[:, None], "scores": torch.tensor([0.9, 0.6]), "labels": torch.tensor([0, 0])}]
>>> target = [{"masks": masks[:1].roll(10, dims=2) > 0.5, "labels": torch.tensor([0])}]
>>> metric = MeanAveragePrecision(iou_type=("segm", "boundary"))
>>> result = metric(preds, target)
>>> print(f"{result['segm_map']:.3f} {result['boundary_map']:.3f}")
0.900 0.400

# Keypoints

`iou_type="keypoints"` compares poses by object keypoint similarity, the mean over the labelled points of a target

$$OKS = \frac{1}{n} \sum_{i=1}^{n} \exp\left(-\frac{d_i^2}{2\,a\,(2 \sigma_i)^2}\right)$$

where d is the distance of two points, a the area of the target, and sigma how far annotators are apart at that point.
`keypoint_sigmas` are COCO's for 17 points unless given: `"crowdpose"` (14), `"wholebody"` (133), a number for each
point, or a dict with a set for each label.

| key | shape | meaning |
| --- | --- | --- |
| `keypoints` in `preds` | (N, K, 2 or 3) | x and y; a third column is not read |
| `keypoints` in `target` | (M, K, 3) | x, y and visibility, labelled if above 0 |
| `boxes` in `target` | (M, 4) | a target without labelled points is a box doubled in size, and ignored |
| `area` in `target` | (M,) | by default .53 times that of the box, as CrowdPose has it |
| `num_keypoints` in `target` | (M,) | targets with 0 are ignored; by default the number of labelled points |

The area of a detection is that of its box, if it has one, else that around its points. With keypoints alone the limit
is 20 and there are no small areas, as in COCO; `mar_iou_50` and `mar_iou_75` are recalls at one threshold.

>>> points = torch.rand(3, 17, 2, generator=torch.Generator().manual_seed(0)) * 100
>>> labels, boxes = torch.zeros(3, dtype=torch.int64), torch.tensor([[0.0, 0.0, 100.0, 100.0]]).expand(3, 4)
>>> target = [{"keypoints": torch.cat([points, torch.full((3, 17, 1), 2.0)], dim=2), "boxes": boxes, "labels": labels}]
>>> preds = [{"keypoints": points + 5, "scores": torch.tensor([0.9, 0.8, 0.7]), "labels": labels}]
>>> pose = MeanAveragePrecision(iou_type="keypoints")
>>> result = pose(preds, target)
>>> print(f"{result['map']:.3f} {result['mar_iou_50']:.3f}")
0.400 1.000

`detmetrics.KeypointReport` says which joints are off, and by how much: PCK and the mean error of each. `per_group()`
of `detmetrics.MeanAveragePrecision` evaluates groups of images, such as CrowdPose's easy, medium and hard ones.

# How it is built

`update()` goes through `inputs.py`, which checks and copies a batch, and `settle.py`, which finds the overlaps, into
the rows of the state. `compute()` reads them: `match` decides which detection takes which target, `count` counts, and
`reduce` makes numbers of counts. For average precision the whole way is `metric.py`, `settle.py`,
`average_precision.py`, `match/coco.py` and `reduce/interpolation.py`.
"""
