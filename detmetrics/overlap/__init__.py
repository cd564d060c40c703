"""How much a detection and a target overlap: one file for each similarity, behind one protocol."""

from detmetrics.overlap.boundary import BoundarySimilarity
from detmetrics.overlap.boxes import BoxSimilarity
from detmetrics.overlap.masks import MaskSimilarity
from detmetrics.overlap.similarity import register

register("bbox", lambda box_format, mask_budget: BoxSimilarity(box_format))
register("segm", lambda box_format, mask_budget: MaskSimilarity(mask_budget))
register("boundary", lambda box_format, mask_budget: BoundarySimilarity(mask_budget))
