"""pycocotools' ``COCO`` and ``COCOeval`` over this package's engine: the same calls, results and printed lines.

What differs from pycocotools, and why:

- Precision is ``tp / (tp + fp)``. pycocotools adds 2.2e-16 below, so that a single true positive has 1 - 2.2e-16 there.
- An annotation with the id 0 can be matched. pycocotools takes a match with it for none.
- A threshold of 0 needs an overlap above 0. pycocotools lets boxes match that do not meet.
- ``evaluate()`` leaves the annotations as they are. pycocotools writes ``ignore``, ``_ignore`` and encoded masks into
  them.
- ``evalImgs`` and ``ious`` are made when they are read. ``accumulate()`` needs neither.
- ``iscrowd`` may be missing; it is 0 then.
- ``_gts`` and ``_dts`` are copies, made when they are first read. From then on they are what is evaluated, since a
  subclass may change them; ``evaluateImg()`` then works cell by cell, which is slower than in pycocotools.
- ``showAnns()`` takes matplotlib's colours in turn, not random ones.
- There is no ``COCO.download()``: nothing here reads from a network.
- Key points are not evaluated.
"""

from detmetrics.compat.pycocotools.coco import COCO
from detmetrics.compat.pycocotools.cocoeval import COCOeval
from detmetrics.compat.pycocotools.params import Params
from detmetrics.compat.pycocotools.replace import install, uninstall

__all__ = ["COCO", "COCOeval", "Params", "install", "uninstall"]
