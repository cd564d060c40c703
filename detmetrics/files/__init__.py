"""Files: COCO's annotations and results, and accumulated states."""
