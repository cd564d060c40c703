"""Coming from another package: the one line to change, and what changes in the numbers.

| from | change | what changes in the numbers |
| --- | --- | --- |
| torchmetrics | `from detmetrics import MeanAveragePrecision` | NaN for -1, thresholds in float64; see below |
| torchmetrics, exactly | import from `detmetrics.compat.torchmetrics` | up to 2e-3, by their float32 thresholds |
| pycocotools | `detmetrics.compat.pycocotools.install()` before its imports | nothing |
| faster-coco-eval | `detmetrics.compat.pycocotools.install()` in place of `init_as_pycocotools()` | nothing |
| hotcoco | `detmetrics.compat.pycocotools.install()` in place of `init_as_pycocotools()` | nothing |
| supervision | `from detmetrics import DetectionF1Score, MeanAveragePrecision` | crowds are known to F1 |
| ultralytics | `from detmetrics import DetectionCurves, MeanAveragePrecision` | COCO's interpolation for theirs |

`detmetrics.guides.differences` lists the reasons by symptom.

# torchmetrics

Arguments and result keys of `detmetrics.MeanAveragePrecision` are those of torchmetrics, but

* undefined results are NaN instead of -1, and every value is float64;
* `map_per_class`, `mar_100_per_class` and `classes` are there with `class_metrics=True` only, and with `class_names`
  come as `map/<name>`, so that `log_dict` takes them;
* `average="micro"` is `class_agnostic=True`, and there is no `backend`;
* lists of thresholds and of detection limits can have any length;
* an image without targets counts its false positives, for masks too.

Where code relies on the exact contract (every key always there, -1 where undefined, float32 and int32 results), take
the class of the same name from `detmetrics.compat.torchmetrics`:

>>> import torch
>>> from detmetrics.compat.torchmetrics import MeanAveragePrecision
>>> metric = MeanAveragePrecision(class_metrics=True)
>>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0], [50.0, 50.0, 60.0, 60.0]])
>>> preds = [dict(boxes=boxes, scores=torch.tensor([0.9, 0.8, 0.95]), labels=torch.tensor([1, 2, 2]))]
>>> metric.update(preds, [dict(boxes=boxes[:2], labels=torch.tensor([1, 2]))])
>>> result = metric.compute()
>>> result["map_per_class"], result["map_large"], result["classes"]
(tensor([1.0000, 0.5000]), tensor(-1.), tensor([1, 2], dtype=torch.int32))

It also has the four IoU metrics of torchmetrics, and a `BootStrapper` that resamples images. Lightning's
`EarlyStopping` stops at NaN: use `check_finite=False` or `zero_division=0` where a validation set may be empty.

# pycocotools

Scripts that call pycocotools run unchanged on this engine after `install()`, with its arrays and its printed lines:

>>> import detmetrics.compat.pycocotools
>>> detmetrics.compat.pycocotools.install()  # from here on these names are ours
>>> from pycocotools.coco import COCO
>>> from pycocotools.cocoeval import COCOeval
>>> COCOeval.__module__.startswith("detmetrics")
True
>>> detmetrics.compat.pycocotools.uninstall()

Without it, the `params` of `COCOeval` are arguments of `detmetrics.MeanAveragePrecision`:

| `COCOeval.params` | argument |
| --- | --- |
| `iouThrs` | `iou_thresholds` |
| `recThrs` | `rec_thresholds` |
| `maxDets` | `max_detection_thresholds` |
| `areaRng` with `areaRngLbl` | `area_ranges`, a dict; `"all"` is always there |
| `useCats=0` | `class_agnostic=True` |
| `kpt_oks_sigmas` | `keypoint_sigmas` |

`extended_summary=True` returns `precision`, `recall` and `scores` with the axes of `COCOeval.eval`, NaN where that has
-1. Boxes of COCO's files are `box_format="xywh"`.

# supervision and ultralytics

Both have their own containers of detections; each image becomes a dict of three tensors:

| | boxes | scores | labels |
| --- | --- | --- | --- |
| supervision's `Detections`, through `torch.from_numpy` | `d.xyxy` | `d.confidence` | `d.class_id` |
| ultralytics' `Results` | `r.boxes.xyxy` | `r.boxes.conf` | `r.boxes.cls.long()` |
"""
