"""COCO's files, from and to the lists of dicts that ``update()`` takes."""

from detmetrics.files.coco import CocoData, crowdpose_groups, from_coco, to_coco

__all__ = ["CocoData", "crowdpose_groups", "from_coco", "to_coco"]
