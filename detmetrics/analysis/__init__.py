"""How sure a result is, which of two models is better, and where: readers of any metric that tells images apart.

They take a metric that has seen the data, match nothing again, and leave the metric as it is.

# How sure

`detmetrics.bootstrap` draws images with replacement and asks the metric about each such sample:

>>> from detmetrics import DetectionF1Score, bootstrap, demo
>>> preds, target = demo.generate(num_images=50, num_detections=20, num_classes=3)
>>> metric = DetectionF1Score(score_threshold=0.2)
>>> metric.update(preds, target)
>>> print(bootstrap(metric, num_samples=200)["DetectionF1Score"])
0.7238 [0.6910, 0.7551]

Images of one video or patient are alike, and an interval that takes them for independent is too narrow: `groups` draws
them together.

# Which is better

`detmetrics.compare` takes two metrics that have seen the same images. What makes an image hard for both models is no
part of the difference, so that far smaller differences can be told from chance than with two intervals:

>>> from detmetrics import compare
>>> fewer = [{key: value[::2] for key, value in image.items()} for image in preds]
>>> other = DetectionF1Score(score_threshold=0.2)
>>> other.update(fewer, target)
>>> found = compare(other, metric, num_samples=200)
>>> print(found)
DetectionF1Score: 0.1683 [0.1315, 0.2000], p = 0.00995
>>> {name: int(count.sum()) for name, count in found.objects.items()}
{'both': 125, 'only_first': 0, 'only_second': 86, 'neither': 90}

`found.images` has the score of each image by both, and `found.corrected` the p values of classes after Holm's
correction.

# Where

`detmetrics.evaluate_slices` asks the same metric about parts of its images:

>>> from detmetrics import evaluate_slices
>>> parts = evaluate_slices(metric, {"time": {"day": range(1, 31), "night": range(31, 51)}})
>>> {value: round(part.result.item(), 3) for value, part in parts.items()}
{'all': 0.724, 'time/day': 0.736, 'time/night': 0.706}
"""
