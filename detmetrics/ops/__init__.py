"""Tensors in, tensors out: overlaps, matching, counting, scores. Nothing here knows of metrics."""
