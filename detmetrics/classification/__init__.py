r"""Classification: scikit-learn's report as a metric that takes batches.

`detmetrics.ClassificationReport` gives the numbers and the text of `sklearn.metrics.classification_report` for all
samples of all batches and ranks, without bringing them together:

>>> import torch
>>> from detmetrics import ClassificationReport
>>> report = ClassificationReport(target_names=["cat", "dog"])
>>> report.update(preds=torch.tensor([0, 1, 1]), target=torch.tensor([0, 1, 0]))
>>> report.update(preds=torch.tensor([1]), target=torch.tensor([1]))
>>> print(report.table().split("\n\n")[1])  # the rows of the classes
         cat       1.00      0.50      0.67         2
         dog       0.67      1.00      0.80         2

For the labels of boxes that match targets, see `matched_only` of `detmetrics.DetectionReport`.
"""
