"""COCO's files, from and to the lists of dicts that ``update()`` takes."""

from detmetrics.files.coco_keypoints import crowdpose_groups
from detmetrics.files.coco_reading import CocoData, from_coco
from detmetrics.files.coco_writing import to_coco

__all__ = ["CocoData", "crowdpose_groups", "from_coco", "to_coco"]
