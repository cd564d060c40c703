"""Which metric do I want?

# Detection and instance segmentation

| question | metric |
| --- | --- |
| How good is the detector, in the number that papers report? | `detmetrics.MeanAveragePrecision` |
| How many objects does it find at the threshold that I deploy? | `detmetrics.DetectionRecall` |
| How many of its detections are wrong there? | `detmetrics.DetectionPrecision` |
| Both in one number? | `detmetrics.DetectionF1Score`, `detmetrics.DetectionFBetaScore` |
| Which threshold should I deploy? | `detmetrics.DetectionCurves` |
| How good is each class? | `detmetrics.DetectionReport` |
| Which classes does it take for which? | `detmetrics.DetectionConfusionMatrix` |
| Are the boxes that it finds labelled well? | `detmetrics.DetectionReport` with `matched_only=True` |
| Which kinds of errors cost most? | `detmetrics.DetectionErrors` |
| One number with the best threshold of each class? | `detmetrics.LocalizationRecallPrecision` |
| How tight are the boxes that it finds? | `detmetrics.DetectionIoU` |
| The number of LVIS or Open Images? | `detmetrics.LVISAveragePrecision`, `detmetrics.OpenImagesAveragePrecision` |
| The number of PASCAL VOC? | `detmetrics.VOCAveragePrecision` |
| The same for masks or keypoints? | each of them with `iou_type="segm"`, `"boundary"` or `"keypoints"` |
| Which joints does a pose model miss? | `detmetrics.KeypointReport` |

# Semantic segmentation

| question | metric |
| --- | --- |
| The mean IoU of a benchmark? | `detmetrics.SegmentationIoU`; `aggregate` as `detmetrics.segmentation` says |
| Dice, as medical papers report it? | `detmetrics.SegmentationF1Score` with `aggregate="classwise"` |
| All scores of all classes? | `detmetrics.SegmentationReport` |
| Which classes are taken for which? | `detmetrics.SegmentationConfusionMatrix` |
| How far are surfaces from each other? | `detmetrics.HausdorffDistance`, `detmetrics.AverageSurfaceDistance` |
| Which share of a surface is within a tolerance? | `detmetrics.SurfaceDice` |
| How good are outlines? | `detmetrics.SegmentationBoundaryIoU`, `detmetrics.SegmentationBoundaryF1Score` |
| How good are labels near outlines? | `detmetrics.SegmentationTrimapIoU` |

# Panoptic segmentation, cells and nuclei

| question | metric |
| --- | --- |
| PQ, SQ and RQ? | `detmetrics.PanopticQuality` |
| AJI, or F1 at IoU thresholds, of instances of one class? | `detmetrics.InstanceQuality` |

# Classification

| question | metric |
| --- | --- |
| scikit-learn's report, from batches and all ranks? | `detmetrics.ClassificationReport` |

# How sure, and which is better?

| question | function |
| --- | --- |
| How much would a result change with other images? | `detmetrics.bootstrap` |
| Is the new model better, and on which images? | `detmetrics.compare` |
| How good is it at night, on small objects, in crowds? | `detmetrics.evaluate_slices` |

They work with every metric whose state tells images apart, and match nothing again.

# Several at once

Put them into a `detmetrics.MetricCollection`: those that read the same state share it.
"""
