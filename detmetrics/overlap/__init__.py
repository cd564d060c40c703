"""How much a detection and a target overlap: one file for each similarity, behind one protocol."""

from detmetrics.overlap.boundary import BoundarySimilarity
from detmetrics.overlap.boxes import BoxSimilarity
from detmetrics.overlap.keypoint_sigmas import keypoint_sigmas
from detmetrics.overlap.keypoints import KeypointSimilarity
from detmetrics.overlap.masks import MaskSimilarity
from detmetrics.overlap.similarity import register

register("bbox", lambda options: BoxSimilarity(options.box_format))
register("segm", lambda options: MaskSimilarity(options.mask_budget))
register("boundary", lambda options: BoundarySimilarity(options.mask_budget))
register(
    "keypoints",
    lambda options: KeypointSimilarity(keypoint_sigmas("keypoint_sigmas", options.keypoint_sigmas), options.box_format),
)
