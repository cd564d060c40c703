"""Panoptic segmentation: segments of two maps, matched and scored."""
