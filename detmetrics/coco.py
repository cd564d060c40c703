"""COCO's files, from and to the lists of dicts that ``update()`` takes."""

from detmetrics.files.coco import CocoData, from_coco, to_coco

__all__ = ["CocoData", "from_coco", "to_coco"]
