"""Files: annotations and results, and accumulated states.

# COCO's format

`detmetrics.coco.from_coco` reads a file of annotations and one of results into the dicts that `update()` takes, and
`detmetrics.coco.to_coco` writes such dicts as the two documents:

>>> from detmetrics import MeanAveragePrecision, demo
>>> from detmetrics.coco import from_coco, to_coco
>>> preds, target = demo.generate(num_images=20, num_detections=30, num_classes=5)
>>> annotations, results = to_coco(preds, target)
>>> data = from_coco(annotations, results)
>>> metric = MeanAveragePrecision(box_format="xywh", class_names=data.categories)
>>> for preds, target in data.batches(8):
...     metric.update(preds, target)
>>> print(f"{metric.compute()['map_50']:.3f} on {metric.num_images} images")
0.585 on 20 images

Boxes of these files are `[x, y, width, height]`, hence `box_format="xywh"`. With `masks=True` polygons and run-length
encodings are read as well. Ids of images and categories may be integers or strings; they come back as they were in
messages, in `image_ids`, and on the page of `--html`.

What a file contradicts or lacks is an error that names the file, the entry and the image. What is harmless, such as a
polygon of two points beside good ones, is left out with one warning that counts it.

# States

`detmetrics evaluate --save-state` writes what a metric has accumulated, with a format version and a checksum, and
`detmetrics merge` adds such files up; see `detmetrics.cli`.
"""
