"""Why is my number different from theirs?

A list of symptoms, by the package that gave the other number. Where both follow the same definition the numbers agree
to the last digits; what is left is listed here.

# pycocotools

| symptom | reason |
| --- | --- |
| -1 there, NaN here | what is undefined is NaN, and left out of means |
| an error here, a number there | a NaN box matches everything there and raises the AP; here a NaN is refused |
| an IoU threshold of 0 is refused | there, boxes that do not meet match at 0 |
| a last digit of 1e-16 | sums run in a fixed order here, whatever the number of threads |

Box formats are the usual cause of other differences: COCO's files have `[x, y, width, height]`, which is
`box_format="xywh"`, while the default is corners. Targets without `area` have the area of their box; COCO's files give
that of the mask, which decides about small, medium and large.

# torchmetrics, detection

| symptom | reason |
| --- | --- |
| differences of 1e-3 or less | their IoU and recall thresholds come from float32 and are off by 1e-8 |
| 80/101 there, 81/101 here | the same: four of five perfect detections reach the recall .8 exactly |
| `map` is -1 there | their lists of limits have to be 1, 10, 100 in that order |
| a higher mask mAP there | images without targets are dropped with their false positives |
| keys are missing here | `map_per_class` and its like are there with `class_metrics=True`; see `detmetrics.compat` |
| on two ranks theirs changes | the order of images with equal scores is that of arrival; here that of the image ids |

# torchmetrics, segmentation

| symptom | reason |
| --- | --- |
| a lower macro mean there | `ignore_index` with a class index keeps that class in the mean, as a zero |
| `MeanIoU` disagrees with `SegmentationIoU()` | theirs is `aggregate="pooled"` |
| `MeanIoU(num_classes=1)` is 1 there | they say so where all foreground was missed |
| results jump between batches | there each batch decides anew whether scores are logits; here `from_logits` does |

# ultralytics

Their AP interpolates in another way and knows no crowds. Their F1 is the peak of a smoothed F1-confidence curve, about
`best_macro_f1` of `detmetrics.DetectionCurves`.

# supervision

Their F1 does not know crowds.

# segmentation_models_pytorch

Their reductions `*-imagewise` are `aggregate="pooled"`. They multiply by class weights without dividing by their sum,
so that a perfect prediction with weights 1, 2, 3, 4 scores .25; here it scores 1. They work in float32.

# scikit-learn

The counts and formulas are the same. The default for 0/0 is 0 there, with a warning, and counts in a macro mean; here
it is NaN and does not. `detmetrics.ClassificationReport` follows scikit-learn in this, too.

# MONAI and nnU-Net

Their Dice is `aggregate="classwise"`. MONAI leaves it as it is when an object is hallucinated in an empty image; here
that lowers it. For surface distances, `definition="monai"` gives their numbers.

# The same model, two runs

| symptom | reason |
| --- | --- |
| other numbers on more ranks | images without `image_id` that a sampler repeats count twice |
| other numbers with another batch size | the model pads or resizes batches; the metric does not depend on them |
| the last epoch is better than all before | `reset()` was not called between epochs: `num_images` tells |
| F1 falls when the score threshold does | more false positives: `DetectionCurves` finds the best threshold |
"""
