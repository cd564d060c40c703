r"""Segmentation metrics: overlap by class and image, surfaces, and what is near outlines.

# Input

Each metric takes predictions and targets of any number of dimensions after the first, which counts the images. `task`
says what they are:

| task | `preds` | `target` |
| --- | --- | --- |
| `"multiclass"` | labels (B, ...), or scores (B, C, ...) | labels (B, ...) |
| `"binary"` | a mask or scores (B, ...) | a mask (B, ...) |
| `"multilabel"` | masks or scores (B, C, ...) | masks (B, C, ...) |

Scores are probabilities, cut at `threshold`, unless `from_logits=True`. Pixels are counted in int64 and divided once,
in float64: no number of pixels is too large, and no batch size changes the result.

>>> import torch
>>> from detmetrics import SegmentationReport
>>> generator = torch.Generator().manual_seed(0)
>>> labels = torch.randint(3, (4, 32, 32), generator=generator)
>>> guess = torch.where(torch.rand(4, 32, 32, generator=generator) < 0.8, labels, 0)
>>> labels[:, :4] = 255
>>> report = SegmentationReport(class_names=["road", "car", "tree"], ignore_index=255)
>>> report.update(guess, labels)
>>> print(report.table().split("\n\n")[1])  # the rows of the classes
        road       0.71      0.83      0.71      1.00      1192
         car       0.79      0.88      1.00      0.79      1173
        tree       0.80      0.89      1.00      0.80      1219

`detmetrics.SegmentationIoU` is the Jaccard index tp / (tp + fp + fn), `detmetrics.SegmentationF1Score` is Dice,
2 tp / (2 tp + fp + fn). The others are named after what they count.

# Averages over classes and images

`average` says how classes become one number: `"micro"` adds up their counts, `"macro"` takes the mean of their scores,
`"weighted"` the mean weighted by the pixels of the target, and `"none"` keeps one score for each class. `aggregate`
says how images do, and the order makes a difference:

| aggregate | what is averaged | who reports it |
| --- | --- | --- |
| `"dataset"` | counts of all images are added, then scored | Cityscapes, VOC, ADE20K, mmseg, scikit-learn |
| `"imagewise"` | each image is scored, then the mean over images | torchmetrics' `samplewise` |
| `"classwise"` | for each class the mean over images, then over classes | nnU-Net, MONAI |
| `"pooled"` | the mean over all defined cells of image and class | smp's `imagewise`, torchmetrics' `MeanIoU` |

>>> from detmetrics.functional import segmentation_iou
>>> truth = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
>>> guess = torch.tensor([[[0, 0], [1, 0]], [[0, 0], [0, 2]], [[0, 0], [0, 0]]])
>>> for aggregate in ("dataset", "imagewise", "classwise", "pooled"):
...     print(f"{aggregate:9} {segmentation_iou(guess, truth, num_classes=4, aggregate=aggregate):.6f}")
dataset   0.439394
imagewise 0.652778
classwise 0.435185
pooled    0.583333

The scores behind these numbers, with a dash where a class is neither there nor predicted:

| | class 0 | class 1 | class 2 | class 3 | mean of the image |
| --- | --- | --- | --- | --- | --- |
| image 0 | 2/3 | 1/2 | - | - | .583 |
| image 1 | 3/4 | - | 0 | - | .375 |
| image 2 | 1 | - | - | - | 1 |
| mean over images | .806 | .5 | 0 | - | |
| all pixels | 9/11 | 1/2 | 0 | - | |

`"imagewise"` is the mean of the last column, `"classwise"` of the row before the last, `"dataset"` of the last row,
and `"pooled"` of the five cells.

# Undefined scores

0/0 is NaN and left out of every mean: a class without pixels in target and prediction says nothing about a model.
A class that is predicted but not there has IoU and F1 0, which counts. `zero_division=0` or `1` replaces NaN before any
mean is taken, so that it counts as well.

# Ignored pixels and classes

`ignore_index` is about the target: its pixels of this value, or of these values, are left out entirely, whatever is
predicted there. `exclude_classes` leaves classes out of averages alone, such as the background, while their pixels
still count as errors of other classes. `class_weights` weighs the scores in macro averages, and divides by the sum of
the weights.

# Surfaces and outlines

`detmetrics.HausdorffDistance`, `detmetrics.SurfaceDice` and `detmetrics.AverageSurfaceDistance` compare surfaces, in
two or more dimensions, with the `spacing` of the pixels:

>>> from detmetrics import HausdorffDistance
>>> distance = HausdorffDistance(task="binary", spacing=[1.0, 0.5])
>>> preds, target = torch.zeros(2, 1, 8, 8, dtype=torch.int64)
>>> preds[:, 2:5, 2:5], target[:, 2:5, 2:7] = 1, 1
>>> distance.update(preds, target)
>>> distance.compute().item()
1.0

Packages define these distances differently, so `definition` names whose numbers you get: `"deepmind"`, `"monai"` or
`"medpy"`. A mask without its partner is infinitely far away unless `empty` says otherwise; two empty masks are
undefined.

`detmetrics.SegmentationBoundaryIoU`, `detmetrics.SegmentationBoundaryF1Score` and `detmetrics.SegmentationTrimapIoU`
look only at what is near outlines, where large objects do not hide small errors.
"""
